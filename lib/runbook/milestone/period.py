"""The stretch of time that a milestone is about, and whether it is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from runbook.milestone.gathering import Gathered
from runbook.milestone.order import SPANS, Milestone, Order
from runbook.step import Step
from runbook.values import Check, Value, shown

SETTLED: Final = timedelta(minutes=3)
"""Counts of the newest minutes still come in: Datadog's and Sentry's are there after two."""


class Period(Value):
    """[since, until) in whole minutes; `counted_from` says from what."""

    milestone: Milestone
    since: datetime
    until: datetime
    counted_from: str

    @property
    def minutes(self) -> float:
        return (self.until - self.since).total_seconds() / 60

    def days(self) -> tuple[tuple[datetime, datetime], ...]:
        """Return the days of it, UTC, the first and the last clipped to it."""
        found, begins = [], self.since
        while begins < self.until:
            ends = min(_midnight(begins.date() + timedelta(days=1)), self.until)
            found.append((begins, ends))
            begins = ends
        return tuple(found)

    def months(self) -> tuple[date, ...]:
        """Return the first days of the calendar months that it touches."""
        return tuple(dict.fromkeys(begins.date().replace(day=1) for begins, _ in self.days()))

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("milestone", self.milestone),
            ("from", shown(self.since)),
            ("until", shown(self.until)),
            ("counted from", self.counted_from),
        ]


def read_period(step: Step, order: Order, gathered: Gathered) -> Period:
    """Return the milestone's stretch: from the deployment's end, or back from now where nothing tells it."""
    span = SPANS[order.milestone]
    if gathered.deployed_at is not None:
        since = _minute(gathered.deployed_at)
        told = f"the end of {gathered.phases[-1].run.run_id}"
        return Period(milestone=order.milestone, since=since, until=since + span, counted_from=told)
    until = _minute(step.clock.now() - SETTLED)
    told = "now, backwards: no record that can be relied on says when the deployment was complete"
    return Period(milestone=order.milestone, since=until - span, until=until, counted_from=told)


def is_reached(step: Step, period: Period) -> list[Check]:
    """Return whether the milestone is over and its last minutes are counted."""
    due, now = period.until + SETTLED, step.clock.now()
    return [
        Check.of(
            f"{period.milestone} is over",
            holds=now >= due,
            observed=f"it is {shown(now)}",
            expected=f"{shown(due)} or later; resume the run then",
        )
    ]


def _minute(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(second=0, microsecond=0)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
