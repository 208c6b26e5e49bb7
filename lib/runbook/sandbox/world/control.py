"""The control API of a world, as JSON under /_world/.

GET    status     clock, faults, what each part holds, requests seen
GET    clock      {"now"}
GET    addresses  what parts listen on besides HTTP
POST   advance    {"seconds"} or {"until"} → {"now"}
GET    requests   ?vendor=&call=&limit= → the newest requests, oldest first
GET    faults     those that are set
POST   faults     a Fault → those that are set
DELETE faults     lift all
POST   scenario   {"name"}
POST   reset      {"parts": […]}: as in a new world (all, unless named), requests forgotten
GET    dump       everything the parts remember
GET    secrets    the made-up credentials
GET    health     {"bugs", "unsaved"}: what is wrong with the world itself
POST   stop
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from runbook.clock import utc_text
from runbook.errors import InputError
from runbook.sandbox.world.faults import FAULTS, Fault
from runbook.sandbox.world.part import Answer, Call
from runbook.sandbox.world.seen import Seen
from runbook.sandbox.world.world import World


class Control:
    """Answers the control API of one world."""

    def __init__(self, world: World, seen: Seen, *, stop: Callable[[], None]) -> None:
        self._world, self._seen, self._stop = world, seen, stop
        self._verbs: dict[tuple[str, str], Callable[[Call], Any]] = {
            ("GET", "status"): self._status,
            ("GET", "clock"): lambda _call: {"now": utc_text(world.clock.now())},
            ("GET", "addresses"): lambda _call: world.addresses(),
            ("POST", "advance"): self._advance,
            ("GET", "requests"): self._requests,
            ("GET", "faults"): lambda _call: world.faults.listed(),
            ("POST", "faults"): self._set_fault,
            ("DELETE", "faults"): self._lift,
            ("POST", "scenario"): self._play,
            ("POST", "reset"): self._reset,
            ("GET", "dump"): lambda _call: world.dump(),
            ("GET", "secrets"): lambda _call: world.secrets(),
            ("GET", "health"): lambda _call: {"bugs": seen.bugs, "unsaved": world.state.unsaved()},
            ("POST", "stop"): self._end,
        }

    def answer(self, call: Call) -> Answer:
        """Answer a control call; raises InputError for one that is wrong."""
        verb = self._verbs.get((call.method, call.path.rpartition("/")[2]))
        if verb is None:
            known = ", ".join(f"{method} {name}" for method, name in self._verbs)
            raise InputError(f"the sandbox has no control {call.method} {call.path}; there are {known}")
        return Answer(200, verb(call))

    def _status(self, _call: Call) -> Any:
        counts = [[vendor, name, count] for (vendor, name), count in sorted(self._seen.counts.items())]
        return {**self._world.status(), "requests": counts}

    def _advance(self, call: Call) -> Any:
        asked = call.json() or {}
        try:
            if "until" in asked:
                self._world.advance_to(datetime.fromisoformat(asked["until"]))
            else:
                self._world.advance(timedelta(seconds=asked["seconds"]))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InputError(
                'advance needs {"seconds": 60} or {"until": "2026-11-30T02:00:00+00:00"}'
            ) from error
        return {"now": utc_text(self._world.clock.now())}

    def _requests(self, call: Call) -> Any:
        return self._seen.newest(
            vendor=call.one("vendor"), call=call.one("call"), limit=call.number("limit", 10_000, least=1)
        )

    def _set_fault(self, call: Call) -> Any:
        try:
            fault = Fault.model_validate_json(call.body)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise InputError(f"no such fault: {wrong}; there are {', '.join(FAULTS)}") from error
        self._world.set_fault(fault)
        return self._world.faults.listed()

    def _lift(self, _call: Call) -> Any:
        self._world.faults.lift()
        self._world.state.save()
        return []

    def _play(self, call: Call) -> Any:
        self._world.play(str((call.json() or {}).get("name", "")))
        return self._status(call)

    def _reset(self, call: Call) -> Any:
        self._world.reset((call.json() or {}).get("parts", ()))
        self._seen.forget()
        return {}

    def _end(self, _call: Call) -> Any:
        self._stop()
        return {}
