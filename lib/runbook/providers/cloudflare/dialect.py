"""How Cloudflare says yes and no, lists that are whole or an error, and changes that converge."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar

from runbook.errors import SurprisingReply, VendorRefused, VendorUnavailable
from runbook.providers.dialect import DONE, FAILED, Dialect, Limit, Reply, Verdict, by_status, said
from runbook.providers.http import Http
from runbook.providers.paging import by_number
from runbook.providers.request import Query
from runbook.providers.shape import Shape

T = TypeVar("T")
S = TypeVar("S", bound=Shape)

THROTTLED: Final = frozenset({"971", "10429"})
_ROUNDS: Final = 3
_LIMIT: Final = re.compile(r'"[^"]*";r=(\d+);t=(\d+)')


def verdict(reply: Reply) -> Verdict:
    """Judge by `success`, whatever HTTP's status says of it; GraphQL by its `errors`."""
    data = reply.data()
    if not isinstance(data, dict) or reply.status >= FAILED:
        return by_status(reply)
    if data.get("success") is True:
        return DONE
    judged = by_status(reply)
    refused = data.get("success") is False or ("data" in data and bool(data.get("errors")))
    if judged.kind != "done" or not refused:
        return judged
    code, words = said(data)
    return Verdict("later" if code in THROTTLED else "refused", code, words)


def limit(reply: Reply, now: datetime) -> Limit | None:
    """Return what `Ratelimit: "default";r=<left>;t=<seconds>` tells."""
    found = _LIMIT.search(reply.header("Ratelimit"))
    if found is None:
        return None
    return Limit(int(found[1]), now + timedelta(seconds=int(found[2])))


API: Final = Dialect(
    vendor="cloudflare",
    mount="/cloudflare/client/v4",
    secrets=("token",),
    authorize=lambda secrets: {"Authorization": f"Bearer {secrets['token']}"},
    verdict=verdict,
    limit=limit,
    request_id=("cf-ray",),
    blind_wait_s=60.0,
)


class One(Shape, Generic[T]):
    """The envelope of one thing."""

    result: T


class Info(Shape):
    """Where a page stands in its list."""

    page: int
    per_page: int
    count: int
    total_count: int


class Page(Shape, Generic[T]):
    """The envelope of a page."""

    result: tuple[T, ...]
    result_info: Info


def read_whole(
    http: Http,
    name: str,
    path: str,
    into: type[Page[S]],
    *,
    size: int,
    args: Mapping[str, str] | None = None,
    query: Query | None = None,
) -> list[S]:
    """Return every item of a list; SurprisingReply when it changed under our eyes or is cut short."""
    totals: set[int] = set()

    def fetch(number: int) -> tuple[tuple[S, ...], bool]:
        asked: Query = {**(query or {}), "page": number, "per_page": size}
        reply = http.call(name, "GET", path, args=args, query=asked, into=into)
        totals.add(reply.result_info.total_count)
        return reply.result, number * size < reply.result_info.total_count

    found = by_number(fetch, what=f"cloudflare {name}")
    if totals != {len(found)}:
        raise SurprisingReply(
            f"cloudflare {name}: the list says it has {sorted(totals)} items and {len(found)} came; "
            "it is being changed, so read it again: resume",
            vendor="cloudflare",
            call=name,
        )
    return found


def settle(
    look: Callable[[], T | None], act: Callable[[], object], *, call: str, there: frozenset[str] = frozenset()
) -> T:
    """Look, and act until the look finds what was asked; return what it found.

    `act` must be harmless to repeat; `there` are the codes of a refusal that says it was done before.
    Raises VendorUnavailable when Cloudflare accepts `call` and goes on showing something else.
    """
    for _ in range(_ROUNDS):
        found = look()
        if found is not None:
            return found
        try:
            act()
        except VendorRefused as error:
            if error.code not in there:
                raise
    found = look()
    if found is None:
        raise VendorUnavailable(
            f"cloudflare accepted {call} {_ROUNDS} times, and what it shows has not become what was asked; "
            "look into its dashboard, then resume",
            vendor="cloudflare",
            call=call,
        )
    return found
