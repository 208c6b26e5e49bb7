"""What the world is made of: a Part answers a vendor's calls and does its work when its time comes.

    class Slack(Part):
        name = "slack"
        mounts = ("slack",)  # first segment of its paths: http://127.0.0.1:PORT/slack/…
        def routes(self):
            yield Route("POST", "/slack/api/chat.postMessage", "post_message", self.post_message)
        def seed(self): ...  # what a new world holds
        def post_message(self, call: Call) -> Answer: ...

Everything a part remembers stands in its tables (`self.table("messages")`): they are on disk before the
reply leaves, so a killed world is taken up exactly where it was. A part never reads the machine's clock
or draws lots: `self.now`, `self.later(...)` and `self.token()` come from the world.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl

from runbook.clock import utc_text
from runbook.sandbox.world.state import Doc, Table

if TYPE_CHECKING:
    from runbook.sandbox.world.world import World

UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
LOWER: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
HEX: Final = "0123456789abcdef"


@dataclass(frozen=True)
class Call:
    """One request as it came over the wire; `args` are the path's `{names}`, unquoted."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    args: Mapping[str, str] = field(default_factory=dict)

    def one(self, name: str, default: str = "") -> str:
        """Return a query parameter, the first of its name."""
        return next((value for key, value in self.query if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return every query parameter of a name, as in `ids[]=a&ids[]=b`."""
        return [value for key, value in self.query if key == name]

    def number(self, name: str, default: int, *, least: int = 0, most: int = 10**9) -> int:
        """Return a query parameter as a whole number held between `least` and `most`."""
        text = self.one(name)
        return max(least, min(most, int(text))) if text.lstrip("-").isdigit() else default

    def header(self, name: str) -> str:
        return self.headers.get(name, "")

    def json(self) -> Any:
        """Return the JSON body, or None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def fields(self) -> Doc:
        """Return the body's fields, JSON object or form alike; empty when it is neither."""
        if "json" in self.header("Content-Type"):
            found = self.json()
            return found if isinstance(found, dict) else {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True)
class Answer:
    """One reply: `body` is JSON data, text or bytes; None is no body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    def content(self) -> bytes:
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """One operation: `call` is its name for faults, the log and the contract (`read_incidents`).

    `path` begins with one of the part's mounts and may hold `{names}`. `open` needs no authorization.
    `changes` says whether it has an effect; None: all but GET do. Only a read can be stale.
    `select` is a query parameter and its value, for a vendor that has one path for everything; a route of
    that path without one answers what no other was selected for.
    """

    method: str
    path: str
    call: str
    handler: Handler
    open: bool = False
    changes: bool | None = None
    select: tuple[str, str] | None = None

    @property
    def has_effect(self) -> bool:
        return self.method != "GET" if self.changes is None else self.changes


class Part:
    """Base of everything in the world: an emulator of a vendor, the DNS, a database."""

    name: ClassVar[str]
    mounts: ClassVar[tuple[str, ...]] = ()
    scenarios: ClassVar[Mapping[str, str]] = {}
    """Scenarios this part plays a role in: name → what happens, in a sentence."""

    def __init__(self, world: World) -> None:
        self.world = world

    # What a part is asked

    def routes(self) -> Iterable[Route]:
        """Return the operations it answers."""
        return ()

    def seed(self) -> None:
        """Fill the tables of a new world."""

    def secrets(self) -> Mapping[str, str]:
        """Return what a client must show, by the names of environment.yaml's `secret_variables`."""
        return {}

    def addresses(self) -> Mapping[str, str]:
        """Return what it listens on besides HTTP: `{"parent": "127.0.0.1:40053"}`."""
        return {}

    def status(self) -> Doc:
        """Return what it holds, short, for a person who looks."""
        return {}

    def authorize(self, call: Call) -> Answer | None:
        """Return the vendor's refusal of a call without its credential, or None."""
        del call
        return None

    def error(self, status: int) -> Answer:
        """Return the vendor's own envelope for a status: 404, 429, 500 …"""
        return Answer(status, {"error": f"status {status}"})

    def limited(self, retry_after_s: int | None) -> Answer:
        """Return the vendor's own refusal of one call too many."""
        answer = self.error(429)
        extra = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        return Answer(429, answer.body, {**answer.headers, **extra}, answer.content_type)

    def play(self, scenario: str) -> None:
        """Begin one of `scenarios`."""

    def time_passes(self) -> None:
        """Hear that the clock is about to leave `now`: what was done so far was done by then."""

    def lend_to(self, shadow: Part) -> None:
        """Let a shadow of this part use what this one has opened; it may look, and must leave no trace."""

    async def start(self) -> None:
        """Open what it needs besides HTTP: sockets, processes."""

    async def stop(self) -> None:
        """Close all of it."""

    # What a part remembers

    def table(self, name: str) -> Table:
        return self.world.state.table(self.name, name)

    def dump(self) -> Doc:
        """Return everything it remembers as plain JSON."""
        return self.world.state.dump(self.name)

    def load(self, dumped: Doc) -> None:
        """Become what `dump` returned."""
        self.world.state.load(self.name, dumped)

    def token(self, length: int, alphabet: str = LOWER) -> str:
        """Return the next of a fixed series of ids: unlike each other, the same in every rehearsal."""
        meta = self.table("meta")
        count = meta.get("tokens", {"count": 0})["count"] + 1
        meta.put("tokens", {"count": count})
        digits = int.from_bytes(
            hashlib.sha512(f"{self.world.seed}/{self.name}/{count}".encode()).digest(), "big"
        )
        letters = []
        for _ in range(length):
            digits, place = divmod(digits, len(alphabet))
            letters.append(alphabet[place])
        return "".join(letters)

    # Time

    @property
    def now(self) -> datetime:
        """The world's time; it stands still until it is moved."""
        return self.world.clock.now()

    def later(self, what: str, /, *, after: timedelta, **data: Any) -> None:
        """Have `on_due(what, data)` called when the clock gets there; survives a restart."""
        self.table("due").put(
            self.token(16, HEX), {"at": utc_text(self.now + after), "what": what, "data": data}
        )

    def next_due(self) -> datetime | None:
        """Return when `on_time` must be called next; the clock stops there on its way."""
        times = [datetime.fromisoformat(doc["at"]) for doc in self.table("due").values()]
        return min(times, default=None)

    def on_time(self, now: datetime) -> None:
        """Do the work that is due; the clock stands at `now`."""
        due = self.table("due")
        for key, doc in sorted(due.items(), key=lambda item: item[1]["at"]):
            if datetime.fromisoformat(doc["at"]) <= now:
                due.drop(key)
                self.on_due(doc["what"], doc["data"])

    def on_due(self, what: str, data: Doc) -> None:
        """Do one piece of work that `later` put off."""
        raise NotImplementedError(f"{self.name} does not know how to do {what} with {data}")


def seconds_text(when: datetime) -> str:
    """Return a time as vendors write it: `2026-11-25T17:00:00Z`."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
