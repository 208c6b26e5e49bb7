"""What the desks of the emulator share: refusals in Vercel's envelopes, pages by time, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeVar

from runbook.sandbox.world.part import Answer, Call, Part, Route
from runbook.sandbox.world.state import Doc, Table

T = TypeVar("T")
TEAM, TEAM_SLUG, USER = "team_7rQm2VbXc5RzJ8LpN4YhDe9K", "omnihub", "u5TtWm2VbXc5RzJ8LpN4YhDe"
MOUNT: Final = "/vercel"
PAGE, PAGE_MOST = 20, 100


class Desk:
    """One subject of Vercel's API; its tables are those of the part that it belongs to."""

    def __init__(self, part: Part) -> None:
        self.part = part

    def routes(self) -> Iterable[Route]:
        """Return the operations it answers."""
        return ()

    def table(self, name: str) -> Table:
        return self.part.table(name)

    @property
    def now(self) -> datetime:
        return self.part.now


def ms(when: datetime) -> int:
    """Return a time as Vercel writes it: milliseconds since 1970."""
    return int(when.timestamp() * 1000)


def no(status: int, code: str, message: str) -> Answer:
    """Refuse in the usual envelope."""
    return Answer(status, {"error": {"code": code, "message": message}})


def no_unwrapped(status: int, code: str, message: str) -> Answer:
    """Refuse as the registrar's endpoints do: without the `error` around it."""
    return Answer(status, {"status": status, "code": code, "message": message})


def missing(what: str) -> Answer:
    return no(404, "not_found", f"{what} not found")


def page(call: Call, found: Sequence[T], created: Callable[[T], int]) -> tuple[list[T], Doc]:
    """Return one page, newest first, and its `pagination`.

    `until` leaves out what was created at that very millisecond: who pages by the last item's time loses
    those that share it. A zone file's records do.
    """
    since, until = call.number("since", 0, most=10**14), call.number("until", 10**14, most=10**14)
    limit = call.number("limit", PAGE, least=1, most=PAGE_MOST)
    fitting = [doc for doc in reversed(found) if since <= created(doc) < until]
    fitting.sort(key=created, reverse=True)
    chosen = fitting[:limit]
    more = len(fitting) > limit
    pagination = {
        "count": len(chosen),
        "next": created(chosen[-1]) if more else None,
        "prev": created(chosen[0]) if chosen else None,
    }
    return chosen, pagination


@dataclass(frozen=True)
class Limit:
    """So many calls of one operation in a window that begins with the first; other operations do not count.

    Some of Vercel's 429s say Retry-After, some leave it to the reset header: `tells`.
    """

    name: str
    most: int
    window: timedelta
    tells: bool

    def take(self, table: Table, now: datetime, handler: Callable[[], Answer]) -> Answer:
        """Answer a call if one is left; either way the headers say how it stands."""
        doc = table.get(self.name)
        if doc is None or ms(now) >= doc["reset"]:
            doc = table.put(self.name, {"reset": ms(now + self.window), "used": 0})
        if doc["used"] >= self.most:
            answer = no(429, "rate_limited", f"The limit of {self.most} {self.name} was reached.")
            return replace(answer, headers=self._headers(doc, now, refused=True))
        doc = table.put(self.name, {**doc, "used": doc["used"] + 1})
        answer = handler()
        return replace(answer, headers={**answer.headers, **self._headers(doc, now)})

    def _headers(self, doc: Doc, now: datetime, *, refused: bool = False) -> dict[str, str]:
        reset_s = -(-doc["reset"] // 1000)
        headers = {
            "X-RateLimit-Limit": str(self.most),
            "X-RateLimit-Remaining": str(self.most - doc["used"]),
            "X-RateLimit-Reset": str(reset_s),
        }
        if refused and self.tells:
            headers["Retry-After"] = str(max(1, reset_s - int(now.timestamp())))
        return headers
