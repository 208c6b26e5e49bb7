"""Marks on Datadog's timelines: events that say when a phase began or ended, each posted once if it can be.

Posting an event has no idempotency key, and one that was posted is found some seconds later only. A mark is
looked for by its key before it is posted, and again, after a wait, when the reply was lost. The same mark can
be there twice only if it is asked for again within those seconds, or if Datadog takes longer than the wait.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime

from runbook.clock import utc_text
from runbook.errors import OutcomeUnknown, VendorUnavailable
from runbook.providers.connect import connect
from runbook.providers.datadog.api import API, our
from runbook.providers.http import Http
from runbook.providers.paging import by_cursor
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

Tone = Literal["info", "success", "warning", "error"]
FOUND_AFTER: Final = timedelta(seconds=60)
_OLDEST: Final = timedelta(hours=17)
_PAGE: Final = 100


class Mark(Value):
    """A mark that Datadog has accepted; `found` says that it was there already."""

    key: str
    title: str
    at: datetime
    found: bool


class Event(Value):
    """An event as the search shows it."""

    title: str
    text: str
    at: datetime
    tags: tuple[str, ...]


class _Posted(Shape):
    status: Literal["ok"]


class _Inner(Shape):
    title: str


class _Attributes(Shape):
    attributes: _Inner
    message: str
    tags: tuple[str, ...]
    timestamp: AwareDatetime


class _Event(Shape):
    attributes: _Attributes


class _Page(Shape):
    after: str = ""


class _Warning(Shape):
    title: str = ""
    detail: str = ""


class _Meta(Shape):
    status: str = "done"
    page: _Page = _Page()
    warnings: tuple[_Warning, ...] = ()


class _Found(Shape):
    data: tuple[_Event, ...] = ()
    meta: _Meta = _Meta()


def read_events(step: Step, *, since: datetime, until: datetime, query: str = "*") -> tuple[Event, ...]:
    """Return the events of [since, until] that a search finds, oldest first; the last seconds' may lack.

    Raises VendorUnavailable when the search says that it found only a part.
    """
    with connect(step, API) as http:
        return _search(http, query, since, until)


def apply_mark(
    step: Step,
    *,
    key: str,
    title: str,
    text: str,
    at: datetime,
    tone: Tone = "info",
    tags: Sequence[str] = (),
) -> Mark:
    """Mark a moment of ours on Datadog's timelines, unless it is there: at least once, and once as a rule.

    `key` says which moment it is, the run in it (`run/phase-1/began`); `at` is no older than 17 hours.
    Raises OutcomeUnknown when the reply was lost twice and the search does not show the mark.
    """
    label = f"runbook_mark:{hashlib.sha256(key.encode()).hexdigest()[:24]}"
    event = {
        "title": title,
        "text": text,
        "alert_type": tone,
        "date_happened": int(at.timestamp()),
        "aggregation_key": label,
        "source_type_name": "runbook",
        "tags": [f"env:{our(step, 'env')}", f"service:{our(step, 'service')}", *tags, label],
    }
    with connect(step, API) as http:
        if _is_there(http, label, at):
            return Mark(key=key, title=title, at=at, found=True)
        for _ in range(2):
            if _posted(http, event):
                return Mark(key=key, title=title, at=at, found=False)
            step.clock.sleep_until(step.clock.now() + FOUND_AFTER)
            if _is_there(http, label, at):
                return Mark(key=key, title=title, at=at, found=False)
    raise OutcomeUnknown(
        f"datadog lost the reply to create_event twice, and its search does not show the mark {key}; "
        "look at the event stream, then resume: it is looked for before it is posted",
        vendor="datadog",
        call="create_event",
    )


def _posted(http: Http, event: dict[str, object]) -> bool:
    """Return whether the event was accepted; False: nobody knows."""
    try:
        http.call("create_event", "POST", "/api/v1/events", json=event, into=_Posted)
    except OutcomeUnknown:
        return False
    return True


def _is_there(http: Http, label: str, at: datetime) -> bool:
    span = timedelta(minutes=1)
    return bool(_search(http, label, at - span, at + span))


def _search(http: Http, query: str, since: datetime, until: datetime) -> tuple[Event, ...]:
    asked = {"query": query, "from": utc_text(since), "to": utc_text(until)}

    def fetch(cursor: str | None) -> tuple[Sequence[_Event], str | None]:
        page: dict[str, object] = {"limit": _PAGE, **({"cursor": cursor} if cursor else {})}
        body = {"filter": asked, "page": page, "sort": "timestamp"}
        reply = http.call(
            "search_events", "POST", "/api/v2/events/search", json=body, into=_Found, once=False
        )
        if reply.meta.warnings or reply.meta.status == "timeout":
            words = "; ".join(one.detail or one.title for one in reply.meta.warnings) or "it timed out"
            raise VendorUnavailable(
                f"datadog found only a part of the events ({words}); resume in some minutes",
                vendor="datadog",
                call="search_events",
            )
        return reply.data, reply.meta.page.after or None

    found = by_cursor(fetch, what="datadog search_events")
    return tuple(
        Event(
            title=one.attributes.attributes.title,
            text=one.attributes.message,
            at=one.attributes.timestamp,
            tags=one.attributes.tags,
        )
        for one in found
    )
