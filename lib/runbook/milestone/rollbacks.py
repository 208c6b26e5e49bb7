"""Rollbacks of the production deployment, by the marks that they left on Datadog's timelines."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from runbook.milestone.period import Period
from runbook.providers import datadog
from runbook.step import Step
from runbook.values import Value, shown

ROLLED_BACK: Final = "was rolled back"  # as the canary says it when it is undone


class Rollbacks(Value):
    """What was taken back since the rollout began: a mark's time and title each."""

    since: datetime
    until: datetime
    marks: tuple[tuple[datetime, str], ...]
    marks_of_canaries: int

    def rows(self) -> list[tuple[str, str]]:
        found = [(shown(at), title) for at, title in self.marks]
        return [
            ("marks of canaries", shown(self.marks_of_canaries)),
            ("rollbacks among them", shown(len(self.marks))),
            *found,
        ]


def read_rollbacks(step: Step, period: Period) -> Rollbacks:
    """Return the rollbacks of the rollout's weeks and of the milestone: a run's own record may be gone."""
    since = period.since - timedelta(weeks=step.rollout().source.duration_weeks)
    events = datadog.read_events(step, since=since, until=period.until, query="canary")
    marks = tuple((one.at, one.title) for one in events if ROLLED_BACK in one.title)
    return Rollbacks(since=since, until=period.until, marks=marks, marks_of_canaries=len(events))
