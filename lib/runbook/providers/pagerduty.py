"""PagerDuty: events that are deduplicated by a key, incidents and their log, who is on call.

Source: PagerDuty's REST API v2 and Events API v2. An event's 202 says *accepted*; only the incident and a
`notify_log_entry` in its log prove that somebody was told (`read_delivery`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime

from runbook.clock import utc_text
from runbook.errors import VendorUnavailable
from runbook.providers.connect import connect, vendor_id
from runbook.providers.dialect import Dialect, Limit, Reply, limit_of
from runbook.providers.http import Http
from runbook.providers.paging import by_offset
from runbook.providers.request import Query
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

Severity = Literal["critical", "error", "warning", "info"]
Action = Literal["trigger", "acknowledge", "resolve"]
_PAGE: Final = 100
_LOOK_EVERY_S: Final = 5.0


def _limit(reply: Reply, now: datetime) -> Limit | None:
    return limit_of(reply, now, left="ratelimit-remaining", renewed="ratelimit-reset", unit="seconds")


REST: Final = Dialect(
    vendor="pagerduty",
    mount="/pagerduty",
    secrets=("token",),
    authorize=lambda secrets: {"Authorization": f"Token token={secrets['token']}"},
    headers={"Accept": "application/vnd.pagerduty+json;version=2", "Content-Type": "application/json"},
    limit=_limit,
    blind_wait_s=30.0,
)
EVENTS: Final = Dialect(
    vendor="pagerduty",
    mount="/pagerduty-events",
    url="events",
    secrets=("routing_key",),
    blind_wait_s=60.0,  # "retry after minutes"
)


class Event(Value):
    """An event that PagerDuty has accepted; its key is what makes sending it again harmless."""

    dedup_key: str
    action: Action
    accepted_at: datetime


class Incident(Value):
    """An incident as it stands."""

    id: str
    number: int
    title: str
    status: Literal["triggered", "acknowledged", "resolved"]
    created_at: datetime


class LogEntry(Value):
    """One line of an incident's log; `user` is empty where no person is meant."""

    kind: str
    at: datetime
    summary: str
    user: str


class Delivery(Value):
    """Proof that an event reached a person: the incident it became, who was notified, how long after."""

    incident: Incident
    notified: str
    notified_at: datetime
    took_s: float


class Answered(Value):
    """An incident, who was called and who answered, and when; None and empty: nobody, or not yet.

    `answered_by` names a person; an acknowledgement through the API reads so.
    """

    incident: Incident
    notified: str
    notified_at: datetime | None
    answered_by: str
    answered_at: datetime | None
    resolved_at: datetime | None

    @property
    def answered_after_s(self) -> float | None:
        """Return how soon after it began somebody answered."""
        begun = self.incident.created_at
        return None if self.answered_at is None else (self.answered_at - begun).total_seconds()


class Duty(Value):
    """Somebody on call at a level of the policy, within the window that was asked for."""

    level: int
    user: str
    schedule: str
    since: datetime
    until: datetime


class Gap(Value):
    """Nobody on call at a level."""

    level: int
    since: datetime
    until: datetime


class OnCall(Value):
    """Who is on call over a window, by level (1 is primary), and where nobody is."""

    since: datetime
    until: datetime
    duties: tuple[Duty, ...]
    gaps: tuple[Gap, ...]

    def at_level(self, level: int) -> tuple[Duty, ...]:
        return tuple(duty for duty in self.duties if duty.level == level)


class Coverage(Value):
    """Which share of a window a schedule covers."""

    schedule: str
    since: datetime
    until: datetime
    percent: float


class _Ref(Shape):
    id: str
    summary: str


class _Accepted(Shape):
    status: Literal["success"]
    dedup_key: str


class _Incident(Shape):
    id: str
    incident_number: int
    title: str
    status: Literal["triggered", "acknowledged", "resolved"]
    created_at: AwareDatetime


class _LogEntry(Shape):
    type: str
    created_at: AwareDatetime
    summary: str
    user: _Ref | None = None


class _OnCall(Shape):
    escalation_level: int
    user: _Ref
    schedule: _Ref | None = None
    start: AwareDatetime | None
    end: AwareDatetime | None


class _Incidents(Shape):
    incidents: tuple[_Incident, ...]
    more: bool


class _LogEntries(Shape):
    log_entries: tuple[_LogEntry, ...]
    more: bool


class _OnCalls(Shape):
    oncalls: tuple[_OnCall, ...]
    more: bool


class _Rendered(Shape):
    rendered_coverage_percentage: float


class _Schedule(Shape):
    name: str
    final_schedule: _Rendered


class _ScheduleReply(Shape):
    schedule: _Schedule


def apply_event(
    step: Step,
    *,
    dedup_key: str,
    action: Action = "trigger",
    summary: str = "",
    source: str = "",
    severity: Severity = "info",
) -> Event:
    """Send an event; a second one of the same key joins the first, so it may be repeated at will.

    `summary`, `source` and `severity` are needed to trigger. Accepted is not delivered: see `read_delivery`.
    """
    with connect(step, EVENTS) as http:
        event: dict[str, object] = {
            "routing_key": http.secrets["routing_key"],
            "event_action": action,
            "dedup_key": dedup_key,
        }
        if action == "trigger":
            event["payload"] = {"summary": summary, "source": source, "severity": severity}
        reply = http.call("enqueue", "POST", "/v2/enqueue", json=event, into=_Accepted, once=False)
    return Event(dedup_key=reply.dedup_key, action=action, accepted_at=step.clock.now())


def read_incidents(step: Step, *, dedup_key: str) -> tuple[Incident, ...]:
    """Return the incidents that an event's key belongs to, open or not."""
    with connect(step, REST) as http:
        return _incidents(http, dedup_key)


def read_answered(step: Step, *, since: datetime, until: datetime) -> tuple[Answered, ...]:
    """Return our service's incidents that began in [since, until), oldest first, with who answered them.

    The window is half a year at the most, as PagerDuty has it.
    """
    service = vendor_id(step, "pagerduty", "service")
    query: Query = {"service_ids[]": [service], "since": utc_text(since), "until": utc_text(until)}
    with connect(step, REST) as http:
        found = sorted(_search(http, query), key=lambda one: (one.created_at, one.number))
        return tuple(
            _answered(one, _log(http, one.id)[::-1]) for one in found if since <= one.created_at < until
        )


def read_log_entries(step: Step, *, incident_id: str) -> tuple[LogEntry, ...]:
    """Return an incident's log, newest first."""
    with connect(step, REST) as http:
        return _log(http, incident_id)


def read_delivery(step: Step, event: Event, *, within_s: float = 300.0) -> Delivery:
    """Wait until the event's incident shows that somebody was notified, and return that proof.

    Raises VendorUnavailable when nobody was within `within_s` seconds.
    """
    began = step.clock.now()
    ends = began + timedelta(seconds=within_s)
    with connect(step, REST) as http:
        while True:
            found = _incidents(http, event.dedup_key)
            if found and (told := _notification(_log(http, found[0].id))):
                took_s = (told.at - found[0].created_at).total_seconds()
                return Delivery(incident=found[0], notified=told.user, notified_at=told.at, took_s=took_s)
            if step.clock.now() >= ends:
                what = "the incident shows no notification" if found else "the event has become no incident"
                raise VendorUnavailable(
                    f"pagerduty accepted the event {event.dedup_key}, and after {within_s:g} s {what}; "
                    "look at the service and its escalation policy, then resume",
                    vendor="pagerduty",
                    call="read_incidents",
                )
            step.clock.sleep_until(min(ends, step.clock.now() + timedelta(seconds=_LOOK_EVERY_S)))


def read_on_call(step: Step, *, since: datetime, until: datetime) -> OnCall:
    """Return who is on call in our escalation policy over [since, until), clipped to it, and the gaps.

    Levels are those of the policy (1 primary, 2 secondary). PagerDuty's own default window is *now* alone.
    """
    policy = vendor_id(step, "pagerduty", "escalation_policy")
    query = {"escalation_policy_ids[]": [policy], "since": utc_text(since), "until": utc_text(until)}
    with connect(step, REST) as http:

        def fetch(offset: int) -> tuple[Sequence[_OnCall], bool]:
            reply = http.call("read_oncalls", "GET", "/oncalls", query=_page(query, offset), into=_OnCalls)
            return reply.oncalls, reply.more

        found = by_offset(fetch, what="pagerduty read_oncalls")
    duties = sorted((_duty(item, since, until) for item in found), key=lambda d: (d.level, d.since, d.user))
    levels = range(1, 1 + max((duty.level for duty in duties), default=1))
    gaps = [
        gap for level in levels for gap in _gaps([d for d in duties if d.level == level], level, since, until)
    ]
    return OnCall(since=since, until=until, duties=tuple(duties), gaps=tuple(gaps))


def read_coverage(step: Step, *, schedule: str, since: datetime, until: datetime) -> Coverage:
    """Return which share of [since, until) a schedule covers; `schedule` is its name among our ids."""
    key = vendor_id(step, "pagerduty", schedule)
    query = {"since": utc_text(since), "until": utc_text(until)}
    with connect(step, REST) as http:
        reply = http.call(
            "read_schedule", "GET", "/schedules/{id}", args={"id": key}, query=query, into=_ScheduleReply
        )
    percent = reply.schedule.final_schedule.rendered_coverage_percentage
    return Coverage(schedule=reply.schedule.name, since=since, until=until, percent=percent)


def _incidents(http: Http, dedup_key: str) -> tuple[Incident, ...]:
    return _search(http, {"incident_key": dedup_key, "date_range": "all"})


def _search(http: Http, query: Query) -> tuple[Incident, ...]:
    def fetch(offset: int) -> tuple[Sequence[_Incident], bool]:
        reply = http.call("read_incidents", "GET", "/incidents", query=_page(query, offset), into=_Incidents)
        return reply.incidents, reply.more

    found = by_offset(fetch, what="pagerduty read_incidents")
    return tuple(
        Incident(id=i.id, number=i.incident_number, title=i.title, status=i.status, created_at=i.created_at)
        for i in found
    )


def _log(http: Http, incident_id: str) -> tuple[LogEntry, ...]:
    def fetch(offset: int) -> tuple[Sequence[_LogEntry], bool]:
        reply = http.call(
            "read_log_entries",
            "GET",
            "/incidents/{id}/log_entries",
            args={"id": incident_id},
            query=_page({}, offset),
            into=_LogEntries,
        )
        return reply.log_entries, reply.more

    found = by_offset(fetch, what="pagerduty read_log_entries")
    return tuple(
        LogEntry(kind=e.type, at=e.created_at, summary=e.summary, user=e.user.summary if e.user else "")
        for e in found
    )


def _answered(incident: Incident, log: Sequence[LogEntry]) -> Answered:
    """Return what an incident's log, oldest entry first, says of who was called and who came."""
    first = {entry.kind: entry for entry in reversed(log)}
    told, taken = first.get("notify_log_entry"), first.get("acknowledge_log_entry")
    over = next((entry for entry in reversed(log) if entry.kind == "resolve_log_entry"), None)
    return Answered(
        incident=incident,
        notified=told.user if told else "",
        notified_at=told.at if told else None,
        answered_by=(taken.user or "through the API") if taken else "",
        answered_at=taken.at if taken else None,
        resolved_at=over.at if over and incident.status == "resolved" else None,
    )


def _notification(log: Sequence[LogEntry]) -> LogEntry | None:
    return next((entry for entry in reversed(log) if entry.kind == "notify_log_entry"), None)


def _page(query: Query, offset: int) -> Query:
    return {**query, "limit": _PAGE, "offset": offset}


def _duty(item: _OnCall, since: datetime, until: datetime) -> Duty:
    """Clip an entry to the window; without start and end somebody is always on call."""
    return Duty(
        level=item.escalation_level,
        user=item.user.summary,
        schedule=item.schedule.summary if item.schedule else "",
        since=max(item.start or since, since),
        until=min(item.end or until, until),
    )


def _gaps(duties: Sequence[Duty], level: int, since: datetime, until: datetime) -> list[Gap]:
    found, covered = [], since
    for duty in duties:
        if duty.since > covered:
            found.append(Gap(level=level, since=covered, until=duty.since))
        covered = max(covered, duty.until)
    if covered < until:
        found.append(Gap(level=level, since=covered, until=until))
    return found
