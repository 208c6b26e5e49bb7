"""Sentry: releases and deploys told to it, errors counted by release, issues that a release has brought.

Source: Sentry's Web API. A release may be created twice (208), a deploy counts each time: it is looked for by
its name first. Errors are found about a minute after they happened, and only those that the SDK sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from pydantic import AwareDatetime

from runbook.errors import OutcomeUnknown, SurprisingReply, VendorRefused, VendorUnavailable
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import TOO_MANY, Dialect, Limit, Reply, limit_of, retry_after
from runbook.providers.http import Http
from runbook.providers.paging import by_cursor, links
from runbook.providers.request import Query
from runbook.providers.shape import Shape, parsed
from runbook.step import Step
from runbook.values import Value

T = TypeVar("T")
SETTLED_S: Final = 120
"""An error is there two minutes after it happened, as a rule; Sentry promises nothing."""

_PAGE: Final = 100
_MISSING: Final = 404
_BASE: Final = "/api/0/organizations/{organization}"


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


class Release(Value):
    """A release that Sentry knows; `deploys` is how often it was told of one."""

    version: str
    created_at: datetime
    released_at: datetime | None
    deploys: int


class Deploy(Value):
    """A deploy of a release; `found` says that it was there already."""

    version: str
    environment: str
    name: str
    finished_at: datetime
    found: bool


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


class _Release(Shape):
    version: str
    dateCreated: AwareDatetime  # noqa: N815  # the vendor's spelling
    dateReleased: AwareDatetime | None = None  # noqa: N815
    deployCount: int  # noqa: N815


class _Deploy(Shape):
    environment: str
    name: str | None
    dateFinished: AwareDatetime  # noqa: N815


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


def read_release(step: Step, *, version: str) -> Release | None:
    """Return a release (`omnihub-web@8.0.0`), None when Sentry does not know it."""
    with connect(step, API) as http:
        return _release(step, http, version)


def apply_release(step: Step, *, version: str, ref: str | None = None) -> Release:
    """Have Sentry know a release of our project; telling it twice does no harm.

    `ref` is its commit. Raises VendorUnavailable when Sentry says yes and does not show it.
    """
    project = vendor_id(step, "sentry", "project")
    body: dict[str, object] = {"version": version, "projects": [project], **({"ref": ref} if ref else {})}
    with connect(step, API) as http:
        http.exchange("create_release", "POST", f"{_BASE}/releases/", args=_args(step), json=body, once=False)
        found = _release(step, http, version)
    if found is None:
        raise VendorUnavailable(
            f"sentry accepted the release {version} and does not show it; resume in a minute",
            vendor="sentry",
            call="create_release",
        )
    return found


def read_deploys(step: Step, *, version: str) -> tuple[Deploy, ...]:
    """Return the deploys of a release, newest first."""
    with connect(step, API) as http:
        return _deploys(step, http, version)


def apply_deploy(step: Step, *, version: str, name: str, finished_at: datetime) -> Deploy:
    """Tell Sentry of a deploy of a release, unless it has one of this name in our environment.

    The name must be the run's own (name the run in it): it is what the deploy is recognized by.
    Raises OutcomeUnknown when the reply was lost twice and the list does not show it.
    """
    environment = vendor_id(step, "sentry", "environment")
    body = {"environment": environment, "name": name, "dateFinished": _time(finished_at)}
    with connect(step, API) as http:

        def already() -> Deploy | None:
            mine = (
                d for d in _deploys(step, http, version) if (d.environment, d.name) == (environment, name)
            )
            return next(mine, None)

        if found := already():
            return found
        for _ in range(2):
            _told(step, http, version, body)
            if found := already():
                return found.model_copy(update={"found": False})
    raise OutcomeUnknown(
        f"sentry does not show the deploy {name} of {version}, told twice; look at the release, "
        "then resume: it is looked for before it is told",
        vendor="sentry",
        call="create_deploy",
    )


def read_error_counts(step: Step, *, since: datetime, until: datetime) -> tuple[Errors, ...]:
    """Return how many errors came of each release in [since, until), most first.

    A release without any is not in the list. Those of the newest two minutes may lack.
    """
    query: Query = {
        **_span(step, since, until),
        "dataset": "errors",
        "field": ["release", "count()"],
        "sort": "-count()",
        "per_page": _PAGE,
    }
    with connect(step, API) as http:

        def fetch(cursor: str | None) -> tuple[Sequence[dict[str, str | int]], str | None]:
            reply, after = _page(step, http, "read_error_counts", "/events/", query, cursor, _Events)
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
            f"{_BASE}/events-timeseries/",
            args=_args(step),
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
    query: Query = {**_span(step, since, until), "query": f'firstRelease:"{version}"', "limit": _PAGE}
    with connect(step, API) as http:

        def fetch(cursor: str | None) -> tuple[Sequence[_Issue], str | None]:
            return _page(step, http, "read_issues", "/issues/", query, cursor, tuple[_Issue, ...])

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


def _args(step: Step, **more: str) -> dict[str, str]:
    return {"organization": vendor_id(step, "sentry", "organization"), **more}


def _span(step: Step, since: datetime, until: datetime) -> Query:
    return {
        "start": _time(since),
        "end": _time(until),
        "project": vendor_id(step, "sentry", "project"),
        "environment": vendor_id(step, "sentry", "environment"),
    }


def _time(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _release(step: Step, http: Http, version: str) -> Release | None:
    try:
        found = http.call(
            "read_sentry_release",
            "GET",
            f"{_BASE}/releases/{{version}}/",
            args=_args(step, version=version),
            into=_Release,
        )
    except VendorRefused as refusal:
        if refusal.status == _MISSING:
            return None
        raise
    return Release(
        version=found.version,
        created_at=found.dateCreated,
        released_at=found.dateReleased,
        deploys=found.deployCount,
    )


def _told(step: Step, http: Http, version: str, body: dict[str, str]) -> None:
    """Tell of a deploy; whether it was heard is for the list to say."""
    path = f"{_BASE}/releases/{{version}}/deploys/"
    try:
        http.exchange("create_deploy", "POST", path, args=_args(step, version=version), json=body)
    except OutcomeUnknown:
        step.remark("sentry create_deploy: the reply was lost; the list of deploys is looked at")


def _deploys(step: Step, http: Http, version: str) -> tuple[Deploy, ...]:
    path = "/releases/{version}/deploys/"

    def fetch(cursor: str | None) -> tuple[Sequence[_Deploy], str | None]:
        return _page(step, http, "read_deploys", path, {}, cursor, tuple[_Deploy, ...], version=version)

    return tuple(
        Deploy(
            version=version,
            environment=one.environment,
            name=one.name or "",
            finished_at=one.dateFinished,
            found=True,
        )
        for one in by_cursor(fetch, what="sentry read_deploys")
    )


def _page(
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
    reply = http.exchange(name, "GET", _BASE + path, args=_args(step, **args), query=paged)
    after = links(reply.header("Link")).get("next", {})
    more = after.get("cursor") if after.get("results") == "true" else None
    return parsed(reply.content, into, vendor="sentry", call=name), more
