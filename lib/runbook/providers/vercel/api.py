"""Vercel's API as our calls meet it: the team in every one, pages by time, effects that are looked for.

Source: Vercel's REST API. A yes is seldom the end of it: whatever changes something is looked for before it
is asked for, and again after. What is there already is not asked for a second time, so every `apply_*` may
be repeated at will.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from runbook.errors import OutcomeUnknown, VendorRefused, VendorUnavailable
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import Dialect, Limit, Reply, limit_of, retry_after
from runbook.providers.http import Http
from runbook.providers.paging import by_cursor
from runbook.providers.request import Query
from runbook.providers.shape import Shape
from runbook.step import Step

T = TypeVar("T")
VENDOR: Final = "vercel"
PAGE: Final = 100
LOOK_AT_MOST_EVERY_S: Final = 8.0
CONFLICT, NOT_FOUND = 409, 404


def _limit(reply: Reply, now: datetime) -> Limit | None:
    return limit_of(reply, now, left="x-ratelimit-remaining", renewed="x-ratelimit-reset", unit="epoch")


def _later(reply: Reply, now: datetime) -> datetime | None:
    """Return when to ask again; a 429 may lack Retry-After, its limit's reset says it then."""
    limit = _limit(reply, now)
    return retry_after(reply, now) or (limit.renewed_at if limit and limit.left == 0 else None)


API: Final = Dialect(
    vendor=VENDOR,
    mount="/vercel",
    secrets=("token",),
    authorize=lambda secrets: {"Authorization": f"Bearer {secrets['token']}"},
    limit=_limit,
    later=_later,
    request_id=("x-vercel-id",),
)


class Paging(Shape):
    """What a page says of the next: `next` is a creation time in milliseconds since 1970."""

    next: int | None


@dataclass
class Api:
    """A session that asks for our team's things; without the team, Vercel looks into a personal account."""

    http: Http
    step: Step
    team: str

    def call(
        self,
        name: str,
        method: str,
        path: str,
        *,
        into: type[T],
        args: Mapping[str, str] | None = None,
        query: Query | None = None,
        json: Any = None,
        once: bool | None = None,
    ) -> T:
        """Make a call, see `Http.call`."""
        whole = {**(query or {}), "teamId": self.team}
        return self.http.call(name, method, path, into=into, args=args, query=whole, json=json, once=once)

    def send(
        self,
        name: str,
        method: str,
        path: str,
        *,
        args: Mapping[str, str] | None = None,
        query: Query | None = None,
        json: Any = None,
        once: bool | None = None,
    ) -> None:
        """Make a call whose reply says nothing but yes."""
        whole = {**(query or {}), "teamId": self.team}
        self.http.exchange(name, method, path, args=args, query=whole, json=json, once=once)

    def pages(
        self,
        name: str,
        fetch: Callable[[Query], tuple[Sequence[T], Paging]],
        *,
        key: Callable[[T], str],
    ) -> list[T]:
        """Return all items of a list; `fetch(query)` returns a page.

        A page ends at a creation time. Items that share it, as a zone file's records do, may stand on either
        side of the cut, so the next page is asked for from that very millisecond on, and what comes twice
        counts once. A page full of one millisecond raises SurprisingReply.
        """
        found: dict[str, T] = {}

        def turn(cursor: int | None) -> tuple[Sequence[T], int | None]:
            until = {} if cursor is None else {"until": cursor + 1}
            items, paging = fetch({"limit": PAGE, **until})
            found.update({key(item): item for item in items})
            return items, paging.next

        by_cursor(turn, what=f"{VENDOR} {name}")
        return list(found.values())

    def brought_about(
        self,
        look: Callable[[], T | None],
        act: Callable[[], object],
        *,
        what: str,
        call: str,
        within_s: float = 30.0,
    ) -> tuple[T, bool]:
        """Return what `look` finds, after `act` if need be, and whether it was there before.

        A refusal or a lost reply of `act` does not count when the look finds the effect all the same (it was
        sent twice, or somebody was faster). Raises VendorUnavailable when Vercel said yes and nothing shows.
        """
        if (found := look()) is not None:
            return found, True
        refused: VendorRefused | None = None
        unknown: OutcomeUnknown | None = None
        try:
            act()
        except VendorRefused as error:
            refused, within_s = error, 0.0
        except OutcomeUnknown as error:
            unknown = error
        ends = self.step.clock.now() + timedelta(seconds=within_s)
        for _ in self.moments(until=ends):
            if (found := look()) is not None:
                return found, False
        raise refused or unknown or not_shown(what, call, within_s)

    def moments(self, *, until: datetime) -> Iterator[datetime]:
        """Return times to look at, the first one now, the last one `until`; it waits for each of them."""
        wait_s = 1.0
        while (now := self.step.clock.now()) < until:
            yield now
            self.step.clock.sleep_until(min(until, now + timedelta(seconds=wait_s)))
            wait_s = min(2 * wait_s, LOOK_AT_MOST_EVERY_S)
        yield now


@contextmanager
def open_api(step: Step) -> Iterator[Api]:
    """Open a session for our team."""
    team = vendor_id(step, VENDOR, "team")
    with connect(step, API) as http:
        yield Api(http, step, team)


def project_id(step: Step) -> str:
    return vendor_id(step, VENDOR, "project")


def not_shown(what: str, call: str, within_s: float) -> VendorUnavailable:
    return VendorUnavailable(
        f"{VENDOR} said yes to {call}, and after {within_s:g} s it still does not show that {what}; look at "
        "Vercel, then resume: it is looked for before it is asked for again",
        vendor=VENDOR,
        call=call,
    )


def refused(call: str, code: str, words: str) -> VendorRefused:
    """Return a refusal of our own, before anything was sent."""
    return VendorRefused(f"{VENDOR}: {words}", vendor=VENDOR, call=call, code=code)


def at(milliseconds: int) -> datetime:
    """Return one of Vercel's times."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)
