"""Parts, clock and faults of a world together: it answers calls and lets time pass, without sockets."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote

from runbook.clock import FileClock, VirtualClock, utc_text
from runbook.errors import InputError, UnknownName
from runbook.files import write_atomically
from runbook.sandbox import vendors
from runbook.sandbox.world.faults import Fault, Faults
from runbook.sandbox.world.part import Answer, Call, Part, Route
from runbook.sandbox.world.state import CLOCK, Doc, State
from runbook.wording import unknown_names

BEGINS: Final = datetime(2026, 11, 30, 1, 0, tzinfo=UTC)
"""Monday, an hour before the plan's window opens: where a world's clock starts unless it is told."""

SEED: Final = "omnihub"
Mangled = Literal["", "cut", "truncated", "malformed"]


@dataclass(frozen=True)
class Outcome:
    """What became of a call: the reply, and what the wire does to it on its way."""

    vendor: str
    call: str
    answer: Answer
    fault: str = ""
    mangled: Mangled = ""
    delay_s: float = 0.0


class Router:
    """Finds the route of a path: literal segments go before `{names}`."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root: dict[str, object] = {}
        for route in routes:
            here = self._root
            for segment in route.path.strip("/").split("/"):
                here = here.setdefault("{}" if segment.startswith("{") else segment, {})  # type: ignore[assignment]
            found = here.setdefault("/", {}).setdefault(route.method, {})  # type: ignore[attr-defined]
            if route.select in found:
                raise ValueError(f"two routes for {route.method} {route.path}")
            found[route.select] = route

    def find(
        self, method: str, path: str, query: Sequence[tuple[str, str]] = ()
    ) -> tuple[Route, dict[str, str]] | None:
        """Return the route and the path's arguments, unquoted; `path` is as it came over the wire."""
        segments = path.strip("/").split("/")
        found = _walk(self._root, segments, method) or {}
        route = next((found[pair] for pair in query if pair in found), found.get(None))
        if route is None:
            return None
        names = route.path.strip("/").split("/")
        pairs = zip(names, segments, strict=True)
        return route, {name[1:-1]: unquote(part) for name, part in pairs if name.startswith("{")}


def _walk(
    here: dict[str, object], segments: Sequence[str], method: str
) -> dict[tuple[str, str] | None, Route] | None:
    if not segments:
        found = here.get("/", {})
        return found.get(method) if isinstance(found, dict) else None
    for key in (segments[0], "{}"):
        below = here.get(key)
        if isinstance(below, dict) and (routes := _walk(below, segments[1:], method)):
            return routes
    return None


class World:
    """Everything there is in a rehearsal; `path` None keeps it in memory."""

    def __init__(
        self,
        path: Path | None,
        *,
        kinds: Sequence[type[Part]] | None = None,
        begins: datetime = BEGINS,
        seed: str = SEED,
    ) -> None:
        self.state, self.seed = State(path), seed
        self._kinds = tuple(kinds if kinds is not None else found_parts())
        self._meta = self.state.table("world", "meta")
        born = "clock" not in self._meta
        if born:
            self._meta.put("clock", {"now": utc_text(begins), "began": utc_text(begins)})
        self.clock = VirtualClock(datetime.fromisoformat(self._meta["clock"]["now"]))
        self._shown = None if path is None else _shown(path.with_name(CLOCK), self.clock.now())
        self.faults = Faults(self.state.table("world", "faults"))
        self.parts: dict[str, Part] = {kind.name: kind(self) for kind in self._kinds}
        self._router = Router(route for part in self.parts.values() for route in part.routes())
        self._mounts = {mount: part for part in self.parts.values() for mount in part.mounts}
        if born:
            self.reset()

    def part(self, name: str) -> Part:
        """Return a part by name, as an emulator needs the DNS; UnknownName when it is not there."""
        if name not in self.parts:
            raise UnknownName(f"the sandbox has no part {name!r}; it has {', '.join(self.parts)}")
        return self.parts[name]

    def reset(self, names: Iterable[str] = ()) -> None:
        """Make parts (all, unless named) what they are in a new world, and lift every fault."""
        self.faults.lift()
        for part in [self.part(name) for name in names] or self.parts.values():
            part.load({})
            part.seed()
        self.state.save()

    # Time

    def advance_to(self, when: datetime) -> None:
        """Let time pass until `when`, stopping wherever a part has work; a time gone by is no error."""
        if when > self.clock.now():
            for part in self.parts.values():
                part.time_passes()
        while due := self._next_due(until=when):
            self.clock.sleep_until(due[0])
            due[1].on_time(self.clock.now())
            if due == (due[1].next_due(), due[1]):
                raise RuntimeError(f"{due[1].name} leaves undone what is due at {due[0]}")
        self.clock.sleep_until(when)
        self._meta.change("clock", now=utc_text(self.clock.now()))
        self.state.save()
        if self._shown is not None:
            self._shown.sleep_until(self.clock.now())

    def advance(self, by: timedelta) -> None:
        if by < timedelta(0):
            raise InputError(f"the sandbox's clock does not run backwards (asked for {by})")
        self.advance_to(self.clock.now() + by)

    def _next_due(self, *, until: datetime) -> tuple[datetime, Part] | None:
        waiting = [(at, part) for part in self.parts.values() if (at := part.next_due()) and at <= until]
        return min(waiting, key=lambda item: item[0], default=None)

    # Calls

    def answer(self, call: Call) -> Outcome:
        """Answer a call, as the faults that are set will have it; what it changed is saved on return."""
        part = self._mounts.get(call.path.lstrip("/").partition("/")[0])
        if part is None:
            return Outcome("", "", Answer(404, {"error": f"no vendor at {call.path}"}))
        found = self._router.find(call.method, call.path, call.query)
        if found is None:
            return Outcome(part.name, "", part.error(404))
        route, args = found
        call = replace(call, args=args)
        taken = self.faults.take(part.name, route.call, has_effect=route.has_effect)
        outcome = self._faulty(part, route, call, *taken) if taken else self._plain(part, route, call)
        self.state.save()
        return outcome

    def _plain(self, part: Part, route: Route, call: Call) -> Outcome:
        refused = None if route.open else part.authorize(call)
        return Outcome(part.name, route.call, refused or route.handler(call))

    def _faulty(self, part: Part, route: Route, call: Call, fault: Fault, snapshot: Doc) -> Outcome:
        def at(answer: Answer, mangled: Mangled = "", delay_s: float = 0.0) -> Outcome:
            return Outcome(part.name, route.call, answer, fault.name, mangled, delay_s)

        match fault.name:
            case "status":
                return at(part.error(fault.status))
            case "rate-limited":
                return at(part.limited(fault.retry_after_s))
            case "cut":
                return at(Answer(), "cut")
            case "stale" | "accepted":
                dumps = snapshot if fault.name == "stale" else self.dump()
                return at(self._shadow(dumps).answer(call).answer)
        answer = self._plain(part, route, call).answer
        match fault.name:
            case "status-after":
                return at(part.error(fault.status))
            case "latency":
                return at(answer, delay_s=fault.seconds)
            case "malformed":
                return at(
                    Answer(200, "<html><body>Bad gateway</body></html>", content_type="text/html"),
                    "malformed",
                )
            case _:
                return at(answer, "cut" if fault.name == "cut-after" else "truncated")

    def set_fault(self, fault: Fault) -> None:
        self.faults.set(fault, snapshot=self.dump() if fault.name == "stale" else {})
        self.state.save()

    def dump(self) -> Doc:
        """Return all that the parts remember, by their names, and save what that wrote down."""
        dumped = {part.name: part.dump() for part in self.parts.values()}
        self.state.save()
        return dumped

    def _shadow(self, dumps: Doc) -> World:
        """Return a world of its own in memory, at the same time, that remembers `dumps`."""
        shadow = World(None, kinds=self._kinds, begins=self.clock.now(), seed=self.seed)
        for name, dumped in dumps.items():
            shadow.part(name).load(dumped)
            self.part(name).lend_to(shadow.part(name))
        return shadow

    # For a person who looks

    def scenarios(self) -> dict[str, str]:
        """Return the scenarios there are, each with what happens in it."""
        return {name: says for part in self.parts.values() for name, says in part.scenarios.items()}

    def play(self, scenario: str) -> None:
        """Begin a scenario in every part that has a role in it; UnknownName tells which there are."""
        known = self.scenarios()
        if scenario not in known:
            raise UnknownName(
                f"there is no scenario {scenario!r}; right would be {unknown_names(scenario, known)}"
            )
        for part in self.parts.values():
            if scenario in part.scenarios:
                part.play(scenario)
        self.state.save()

    def status(self) -> Doc:
        """Return what the world holds, part by part."""
        return {
            "now": utc_text(self.clock.now()),
            "began": self._meta["clock"]["began"],
            "faults": self.faults.listed(),
            "parts": {part.name: part.status() for part in self.parts.values()},
            "addresses": self.addresses(),
        }

    def addresses(self) -> Doc:
        """Return what parts listen on besides HTTP, by part and name."""
        return {part.name: dict(found) for part in self.parts.values() if (found := part.addresses())}

    def secrets(self) -> Doc:
        """Return the made-up credentials of this world, by part and name."""
        return {part.name: dict(found) for part in self.parts.values() if (found := part.secrets())}


def _shown(path: Path, now: datetime) -> FileClock:
    """Return the clock that other processes read: a look at a file costs less than a question."""
    write_atomically(path, utc_text(now))
    return FileClock(path)


def found_parts(*, postgres: bool = False, valkey: bool = False) -> Iterator[type[Part]]:
    """Return the parts there are: DNS, visitors, vendors, the site, its users, and the engines wanted."""
    if find_spec("runbook.sandbox.dns") and find_spec("runbook.sandbox.dns.part"):
        yield importlib.import_module("runbook.sandbox.dns.part").PART
    yield importlib.import_module("runbook.sandbox.traffic.part").PART
    for module in pkgutil.iter_modules(vendors.__path__):
        yield importlib.import_module(f"{vendors.__name__}.{module.name}").PART
    for name in ("site", "users"):
        yield importlib.import_module(f"runbook.sandbox.{name}").PART
    if postgres:
        yield importlib.import_module("runbook.sandbox.database").PART
    if valkey:
        yield importlib.import_module("runbook.sandbox.valkey").PART
