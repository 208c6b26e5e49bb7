"""What is seen when somebody is paged for errors: by build, by time, by vendor; what cannot be seen says so.

Each vendor is asked by itself: at two in the morning half a picture now is worth more than a whole one later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from runbook.changes.traffic.counting import floor
from runbook.changes.traffic.watching import sentry_release
from runbook.errors import VendorError
from runbook.providers import datadog, pagerduty, sentry, vercel
from runbook.step import Step
from runbook.values import Value, shown

T = TypeVar("T")
MINUTE = timedelta(minutes=1)
DEPLOYS_BACK = timedelta(days=45)  # how far back a build may be that one could go back to


class Order(Value):
    """The notebook's own parameters."""

    incident_key: str
    look_back_h: float
    lately_min: float


class Rate(Value):
    """What a build did in a stretch of time."""

    requests: int
    errors: int

    def __add__(self, other: Rate) -> Rate:
        return Rate(requests=self.requests + other.requests, errors=self.errors + other.errors)

    @property
    def ratio(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    def in_a_line(self) -> str:
        if not self.requests:
            return "no requests"
        return f"{self.errors / self.requests * 100:.2f} % ({self.errors:,} of {self.requests:,})"


class Build(Value):
    """A build that answered: its role, since when it is live, how it was lately and before that."""

    id: str
    version: str
    role: str
    live_since: datetime | None
    lately: Rate
    earlier: Rate


class Picture(Value):
    """All that is seen at `at`; `unseen` names what could not be looked at, and why.

    `before` is the error rate of all builds together before the current one went live, `beside` that of the
    current one since a canary has been beside it.
    """

    at: datetime
    lately_min: float
    production: str
    percent: float
    canary: str
    builds: tuple[Build, ...]
    before: Rate
    beside: Rate
    candidates: tuple[str, ...]
    alerts: tuple[str, ...]
    new_issues: tuple[str, ...]
    deploys: tuple[str, ...]
    incidents: tuple[str, ...]
    unseen: tuple[str, ...]

    def build(self, deployment: str) -> Build | None:
        return next((one for one in self.builds if one.id == deployment), None)

    def rows(self) -> list[tuple[str, str]]:
        release = f"{self.canary} to {self.percent:g} % of the visitors" if self.canary else "none under way"
        return [
            ("at", f"{self.at:%Y-%m-%d %H:%M} UTC"),
            ("production", self.production or "not known"),
            ("release", release),
            *(
                (
                    f"errors of {one.id}",
                    f"{one.lately.in_a_line()} in the last {self.lately_min:g} minutes, "
                    f"{one.earlier.in_a_line()} before; {one.role}, {one.version}",
                )
                for one in self.builds
            ),
            ("alerts that fire", shown(self.alerts)),
            ("new in Sentry", shown(self.new_issues)),
            ("deployed lately", shown(self.deploys)),
            ("incident", shown(self.incidents)),
            *(("not seen", text) for text in self.unseen),
        ]


class _Seer:
    """Asks one thing after the other, and remembers what could not be answered."""

    def __init__(self) -> None:
        self.unseen: list[str] = []

    def one(self, what: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except VendorError as error:
            self.unseen.append(f"{what}: {error}")
            return None

    def many(self, what: str, ask: Callable[[], tuple[T, ...]]) -> tuple[T, ...]:
        return self.one(what, ask) or ()


def look_around(step: Step, order: Order) -> Picture:
    """Return what every vendor says of the service now and in the hours before."""
    seer, now = _Seer(), step.clock.now()
    since = now - timedelta(hours=order.look_back_h)
    project = seer.one("Vercel's project", lambda: vercel.read_project(step))
    release = seer.one("Vercel's release", lambda: vercel.read_release(step))
    back = now - DEPLOYS_BACK
    builds = seer.many("Vercel's builds", lambda: vercel.read_deployments(step, since=back))
    candidates = seer.many("builds to go back to", lambda: vercel.read_rollback_candidates(step, since=back))
    minutes = seer.many("Datadog's counts", lambda: _minutes(step, since, now, builds))
    active = release if release is not None and release.active else None
    production = project.production if project else ""
    live = _live_since(project, release)
    roles = {production: "serves production", **({active.canary: "canary"} if active else {})}
    lately = floor(now) - timedelta(minutes=order.lately_min + datadog.SETTLED_S / 60)
    return Picture(
        at=now,
        lately_min=order.lately_min,
        production=production,
        percent=active.percent if active else 0.0,
        canary=active.canary if active else "",
        builds=_built(minutes, builds, roles, live, lately),
        before=_sum(m for m in minutes if (at := live.get(production)) and m.at < at - MINUTE),
        beside=_sum((m for m in minutes if active is not None and m.at > active.started_at), of=production),
        candidates=tuple(one.id for one in candidates if one.id != production),
        alerts=seer.many("Datadog's monitors", lambda: _alerts(step)),
        new_issues=seer.many("Sentry", lambda: _issues(step, roles, builds, since, now)),
        deploys=_deployed(builds, live, since),
        incidents=seer.many("PagerDuty", lambda: _incidents(step, order.incident_key)),
        unseen=tuple(seer.unseen),
    )


def _minutes(
    step: Step, since: datetime, until: datetime, builds: Sequence[vercel.Deployment]
) -> tuple[datadog.Minute, ...]:
    names = tuple(one.id for one in builds)
    found = datadog.read_minutes(step, since=since, until=until, deployments=names, bucketed="nobody")
    return found.minutes


def _live_since(project: vercel.Project | None, release: vercel.Release | None) -> dict[str, datetime]:
    """Return since when builds serve, as far as Vercel tells: the last release, the last move."""
    found: dict[str, datetime] = {}
    if project is not None and project.move is not None and project.move.status == "succeeded":
        found[project.move.to] = project.move.requested_at
    if release is not None and release.state == "COMPLETE":
        found[release.canary] = max(release.updated_at, found.get(release.canary, release.updated_at))
    elif release is not None and release.active:
        found[release.canary] = release.started_at
    return found


def _built(
    minutes: Sequence[datadog.Minute],
    builds: Sequence[vercel.Deployment],
    roles: dict[str, str],
    live: dict[str, datetime],
    lately: datetime,
) -> tuple[Build, ...]:
    versions = {one.id: one.meta.get("version", "version not told") for one in builds}
    answered = {arm.deployment for minute in minutes for arm in minute.arms} | {one for one in roles if one}
    return tuple(
        Build(
            id=name,
            version=versions.get(name, "version not told"),
            role=roles.get(name, "served before"),
            live_since=live.get(name),
            lately=_sum((m for m in minutes if m.at >= lately), of=name),
            earlier=_sum((m for m in minutes if m.at < lately), of=name),
        )
        for name in sorted(answered, key=lambda one: (one not in roles, one))
    )


def _sum(minutes: Iterable[datadog.Minute], *, of: str = "") -> Rate:
    requests = errors = 0
    for minute in minutes:
        for arm in minute.arms:
            if not of or arm.deployment == of:
                requests, errors = requests + arm.total.requests, errors + arm.total.errors
    return Rate(requests=requests, errors=errors)


def _alerts(step: Step) -> tuple[str, ...]:
    return tuple(one.name for one in datadog.read_monitors(step) if one.state == "Alert")


def _issues(
    step: Step,
    roles: dict[str, str],
    builds: Sequence[vercel.Deployment],
    since: datetime,
    until: datetime,
) -> tuple[str, ...]:
    """Return the issues that Sentry saw first with a build that serves."""
    found: list[str] = []
    for build in builds:
        if build.id in roles and (version := build.meta.get("version")):
            name = sentry_release(step, version)
            issues = sentry.read_new_issues(step, version=name, since=since, until=until)
            found += [f"{one.short_id} {one.title} ({one.count:,} times, {name})" for one in issues]
    return tuple(found)


def _deployed(
    builds: Sequence[vercel.Deployment], live: dict[str, datetime], since: datetime
) -> tuple[str, ...]:
    went = [f"{name} went live at {at:%H:%M} UTC" for name, at in live.items() if at >= since]
    made = [f"{one.id} was built at {one.created_at:%H:%M} UTC" for one in builds if one.created_at >= since]
    return (*went, *made)


def _incidents(step: Step, key: str) -> tuple[str, ...]:
    if not key:
        return ()
    found = pagerduty.read_incidents(step, dedup_key=key)
    return tuple(f"{one.number} {one.title}: {one.status}, since {one.created_at:%H:%M} UTC" for one in found)
