"""How Sentry speaks: a limit that ends at a time, pages by a Link header, our organization in every path."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, TypeVar

from runbook.providers.connect import vendor_id
from runbook.providers.dialect import TOO_MANY, Dialect, Limit, Reply, limit_of, retry_after
from runbook.providers.http import Http
from runbook.providers.paging import links
from runbook.providers.request import Query
from runbook.providers.shape import parsed
from runbook.step import Step

T = TypeVar("T")
BASE: Final = "/api/0/organizations/{organization}"
PAGE: Final = 100


def _limit(reply: Reply, now: datetime) -> Limit | None:
    return limit_of(
        reply,
        now,
        left="x-sentry-rate-limit-remaining",
        renewed="x-sentry-rate-limit-reset",
        unit="epoch",
    )


def _later(reply: Reply, now: datetime) -> datetime | None:
    """Return when to ask again: the reset is a time since 1970, and Retry-After is rare."""
    told = retry_after(reply, now)
    reset = reply.header("x-sentry-rate-limit-reset")
    if told is None and reply.status == TOO_MANY and reset.isdigit():
        return datetime.fromtimestamp(int(reset), UTC)
    return told


API: Final = Dialect(
    vendor="sentry",
    mount="/sentry",
    secrets=("token",),
    authorize=lambda secrets: {"Authorization": f"Bearer {secrets['token']}"},
    limit=_limit,
    later=_later,
)


def args_of(step: Step, **more: str) -> dict[str, str]:
    """Return what a path's names stand for."""
    return {"organization": vendor_id(step, "sentry", "organization"), **more}


def time_text(when: datetime) -> str:
    """Return a time as Sentry takes it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_page(
    step: Step,
    http: Http,
    name: str,
    path: str,
    query: Query,
    cursor: str | None,
    into: type[T],
    **args: str,
) -> tuple[T, str | None]:
    """Return a page and the next cursor; a next link is always there, `results` says if it leads on."""
    paged = query if cursor is None else {**query, "cursor": cursor}
    reply = http.exchange(name, "GET", BASE + path, args=args_of(step, **args), query=paged)
    after = links(reply.header("Link")).get("next", {})
    more = after.get("cursor") if after.get("results") == "true" else None
    return parsed(reply.content, into, vendor="sentry", call=name), more
