"""What people were called for: PagerDuty's incidents with who answered, Sentry's errors of the build."""

from __future__ import annotations

from datetime import datetime

from runbook.changes.traffic.watching import sentry_release
from runbook.milestone.period import Period
from runbook.providers import pagerduty, sentry
from runbook.step import Step
from runbook.values import Value, html_table, shown


class Calls(Value):
    """The incidents of a milestone, oldest first, and what was down meanwhile."""

    since: datetime
    until: datetime
    incidents: tuple[pagerduty.Answered, ...]

    @property
    def unanswered(self) -> tuple[pagerduty.Answered, ...]:
        return tuple(one for one in self.incidents if one.answered_at is None)

    @property
    def slowest_answer_s(self) -> float | None:
        """Return how long the longest of those that were answered took; None when none was."""
        return max(
            (one.answered_after_s for one in self.incidents if one.answered_after_s is not None), default=None
        )

    def table(self) -> list[tuple[str, ...]]:
        return [
            (
                f"{one.incident.created_at:%Y-%m-%d %H:%M}",
                one.incident.title,
                one.notified or "nobody",
                one.answered_by or "nobody",
                "–" if one.answered_after_s is None else f"{one.answered_after_s / 60:.1f} min",
                one.incident.status,
            )
            for one in self.incidents
        ]

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("incidents", shown(len(self.incidents))),
            ("not answered", shown(len(self.unanswered))),
            *((cells[0], ", ".join(cells[1:])) for cells in self.table()),
        ]

    def _repr_html_(self) -> str:
        if not self.incidents:
            return html_table([("incidents", "none")])
        head = ("began (UTC)", "incident", "called", "answered", "after", "now")
        return html_table(self.table(), head=head)


class BuildErrors(Value):
    """Sentry's errors by release over a milestone, and the issues that came with the release."""

    version: str
    errors: tuple[sentry.Errors, ...]
    new_issues: tuple[sentry.Issue, ...]

    def rows(self) -> list[tuple[str, str]]:
        release = self.version or "not known: no canary's record is relied on"
        counts = [(f"errors of {one.version}", shown(one.errors)) for one in self.errors]
        issues = [
            (one.short_id, f"{one.title}: {shown(one.count)} times, {one.status}") for one in self.new_issues
        ]
        first = "not known" if not self.version else shown(len(self.new_issues))
        return [
            ("release", release),
            *(counts or [("errors", "none")]),
            ("issues it brought", first),
            *issues,
        ]


def read_calls(step: Step, period: Period) -> Calls:
    """Return the incidents that began in the milestone, with who was called, who answered and how soon."""
    found = pagerduty.read_answered(step, since=period.since, until=period.until)
    return Calls(since=period.since, until=period.until, incidents=found)


def read_build_errors(step: Step, period: Period, *, version: str) -> BuildErrors:
    """Return what Sentry counted; without a known release, no issues of its own."""
    since, until = period.since, period.until
    release = sentry_release(step, version) if version else ""
    return BuildErrors(
        version=release,
        errors=sentry.read_error_counts(step, since=since, until=until),
        new_issues=sentry.read_new_issues(step, version=release, since=since, until=until) if release else (),
    )
