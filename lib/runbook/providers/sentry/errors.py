"""Errors by release and over time, and the issues that a release has brought."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import AwareDatetime

from runbook.errors import SurprisingReply, VendorUnavailable
from runbook.providers.connect import connect, vendor_id
from runbook.providers.paging import by_cursor
from runbook.providers.request import Query
from runbook.providers.sentry.api import API, BASE, PAGE, args_of, read_page, time_text
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

SETTLED_S: Final = 120
"""An error is there two minutes after it happened, as a rule; Sentry promises nothing."""


class Errors(Value):
    """How many errors of a release came within a stretch of time."""

    version: str
    errors: int


class Point(Value):
    """How many errors came in an interval that began at `at`."""

    at: datetime
    errors: int


class Issue(Value):
    """An issue: errors that Sentry takes for the same."""

    id: str
    short_id: str
    title: str
    culprit: str
    status: str
    count: int
    users: int
    first_seen: datetime | None
    last_seen: datetime | None
    link: str


class _Events(Shape):
    data: tuple[dict[str, str | int], ...]


class _Point(Shape):
    timestamp: float
    value: float
    incomplete: bool


class _SeriesMeta(Shape):
    dataScanned: str = "full"  # noqa: N815


class _Series(Shape):
    values: tuple[_Point, ...]
    meta: _SeriesMeta


class _SeriesReply(Shape):
    timeSeries: tuple[_Series, ...]  # noqa: N815


class _Issue(Shape):
    id: str
    shortId: str  # noqa: N815
    title: str
    culprit: str | None
    status: str
    count: str
    userCount: int  # noqa: N815
    firstSeen: AwareDatetime | None  # noqa: N815
    lastSeen: AwareDatetime | None  # noqa: N815
    permalink: str


def read_error_counts(step: Step, *, since: datetime, until: datetime) -> tuple[Errors, ...]:
    """Return how many errors came of each release in [since, until), most first.

    A release without any is not in the list. Those of the newest two minutes may lack.
    """
    query: Query = {
        **_span(step, since, until),
        "dataset": "errors",
        "field": ["release", "count()"],
        "sort": "-count()",
        "per_page": PAGE,
    }
    with connect(step, API) as http:

        def fetch(cursor: str | None) -> tuple[Sequence[dict[str, str | int]], str | None]:
            reply, after = read_page(step, http, "read_error_counts", "/events/", query, cursor, _Events)
            return reply.data, after

        rows = by_cursor(fetch, what="sentry read_error_counts")
    try:
        return tuple(Errors(version=str(row["release"]), errors=int(row["count()"])) for row in rows)
    except KeyError as missing:
        raise SurprisingReply(
            f"sentry answered read_error_counts without the column {missing}; see the run's evidence/",
            vendor="sentry",
            call="read_error_counts",
        ) from None


def read_error_series(
    step: Step, *, version: str, since: datetime, until: datetime, every: timedelta = timedelta(minutes=1)
) -> tuple[Point, ...]:
    """Return a release's errors over time, those intervals left out that Sentry calls incomplete.

    Raises VendorUnavailable when Sentry has looked at a part of its data only.
    """
    query: Query = {
        **_span(step, since, until),
        "dataset": "errors",
        "yAxis": "count()",
        "interval": int(every.total_seconds() * 1000),
        "query": f'release:"{version}"',
    }
    with connect(step, API) as http:
        reply = http.call(
            "read_error_series",
            "GET",
            f"{BASE}/events-timeseries/",
            args=args_of(step),
            query=query,
            into=_SeriesReply,
        )
    if any(one.meta.dataScanned != "full" for one in reply.timeSeries):
        raise VendorUnavailable(
            f"sentry counted the errors of {version} in a part of its data only; resume in some minutes",
            vendor="sentry",
            call="read_error_series",
        )
    return tuple(
        Point(at=datetime.fromtimestamp(point.timestamp / 1000, UTC), errors=int(point.value))
        for one in reply.timeSeries
        for point in one.values
        if not point.incomplete
    )


def read_new_issues(step: Step, *, version: str, since: datetime, until: datetime) -> tuple[Issue, ...]:
    """Return the issues that came first with a release and have errors in [since, until), resolved or not."""
    query: Query = {**_span(step, since, until), "query": f'firstRelease:"{version}"', "limit": PAGE}
    with connect(step, API) as http:

        def fetch(cursor: str | None) -> tuple[Sequence[_Issue], str | None]:
            return read_page(step, http, "read_issues", "/issues/", query, cursor, tuple[_Issue, ...])

        found = by_cursor(fetch, what="sentry read_issues")
    return tuple(
        Issue(
            id=one.id,
            short_id=one.shortId,
            title=one.title,
            culprit=one.culprit or "",
            status=one.status,
            count=int(one.count),
            users=one.userCount,
            first_seen=one.firstSeen,
            last_seen=one.lastSeen,
            link=one.permalink,
        )
        for one in found
    )


def _span(step: Step, since: datetime, until: datetime) -> Query:
    return {
        "start": time_text(since),
        "end": time_text(until),
        "project": vendor_id(step, "sentry", "project"),
        "environment": vendor_id(step, "sentry", "environment"),
    }
