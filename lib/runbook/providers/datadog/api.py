"""How Datadog speaks: two keys, limits told in headers only, and errors that come with HTTP 200."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from runbook.providers.connect import vendor_id
from runbook.providers.dialect import (
    OK,
    Dialect,
    Limit,
    Reply,
    Verdict,
    by_status,
    limit_of,
    retry_after,
    said,
)
from runbook.step import Step

QUERY_TIMESERIES: Final = "query_timeseries"


def _verdict(reply: Reply) -> Verdict:
    """Judge by the status, and by `errors` where the status says yes: the query was not worked out, then."""
    if reply.status != OK or b'"errors"' not in reply.content:
        return by_status(reply)
    data = reply.data()
    errors = data.get("errors") if isinstance(data, dict) else None
    if not errors:
        return by_status(reply)
    return Verdict("failed", *said(data))


def _limit(reply: Reply, now: datetime) -> Limit | None:
    return limit_of(reply, now, left="x-ratelimit-remaining", renewed="x-ratelimit-reset", unit="seconds")


def _later(reply: Reply, now: datetime) -> datetime | None:
    """Return when to ask again: a 429 has no Retry-After, but says in how many seconds its window ends."""
    seconds = reply.header("x-ratelimit-reset")
    return now + timedelta(seconds=int(seconds)) if seconds.isdigit() else retry_after(reply, now)


API: Final = Dialect(
    vendor="datadog",
    mount="/datadog",
    secrets=("api_key", "application_key"),
    authorize=lambda secrets: {
        "DD-API-KEY": secrets["api_key"],
        "DD-APPLICATION-KEY": secrets["application_key"],
    },
    headers={"Accept": "application/json"},
    verdict=_verdict,
    limit=_limit,
    later=_later,
    quiet=frozenset({QUERY_TIMESERIES}),
)


def our(step: Step, name: str) -> str:
    """Return Datadog's name for something of ours, as environment.yaml has it."""
    return vendor_id(step, "datadog", name)


def ours(step: Step, name: str) -> str | None:
    """Return Datadog's name for something that we may do without."""
    return step.environment().vendor("datadog").ids.get(name)


def scope(step: Step, *more: str) -> str:
    """Return the scope of all our queries, narrowed by more tags."""
    return ",".join([f"env:{our(step, 'env')}", f"service:{our(step, 'service')}", *more])


def milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)
