"""How the service was over a milestone: uptime and its budget by the minute, errors, latency, day by day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from runbook.judge.slo import Budget, budget_by_time, burn_rate
from runbook.milestone.period import Period
from runbook.providers import datadog
from runbook.step import Step
from runbook.values import Value, html_table

MONTH_DAYS: Final = 30.0
"""The budget is a month's, whatever part of it has gone by: 43.2 bad minutes at 99.9 %."""

UPTIME, REQUESTS = "slo_uptime", "slo_requests"
WHOLE: Final = 100.0


class Day(Value):
    """One UTC day, or the part of it that belongs to the milestone; None: nothing was told.

    `down_min` are minutes in which the uptime objective was missed, `silent_min` those without data.
    Latencies are those of the slowest build of the day.
    """

    day: date
    since: datetime
    until: datetime
    down_min: float
    silent_min: float
    requests: float | None
    errors: float | None
    p95_ms: float | None
    database_ms: float | None

    @property
    def minutes(self) -> float:
        return (self.until - self.since).total_seconds() / 60

    @property
    def error_ratio(self) -> float | None:
        return None if not self.requests else (self.errors or 0.0) / self.requests

    def burn(self, objective: float) -> float | None:
        """Return how fast the uptime budget burnt that day; None when nothing was told all day."""
        return burn_rate(self.down_min, self.minutes - self.silent_min, objective=objective)


class ServiceRecord(Value):
    """The service over a milestone. `objective` is a share, such as 0.999; the limits are the plan's targets.

    `requests` and `errors` are those of the objective of requests; None: there was nothing to count.
    """

    since: datetime
    until: datetime
    objective: float
    p95_limit_ms: float
    database_limit_ms: float
    requests: float | None
    errors: float | None
    p95_ms: float | None
    database_ms: float | None
    days: tuple[Day, ...]

    @property
    def minutes(self) -> float:
        return (self.until - self.since).total_seconds() / 60

    @property
    def down_min(self) -> float:
        return sum(day.down_min for day in self.days)

    @property
    def silent_min(self) -> float:
        return sum(day.silent_min for day in self.days)

    @property
    def uptime(self) -> float | None:
        """Return the share of the minutes told that were up; None when none was told."""
        told = self.minutes - self.silent_min
        return 1 - self.down_min / told if told > 0 else None

    @property
    def uptime_at_least(self) -> float:
        """Return the share of all minutes that are known to have been up: the silent ones count as down."""
        return 1 - (self.down_min + self.silent_min) / self.minutes

    @property
    def budget(self) -> Budget:
        """Return a month's budget of bad minutes, and what this milestone used of it."""
        return budget_by_time(self.down_min, objective=self.objective, period_days=MONTH_DAYS)

    @property
    def error_ratio(self) -> float | None:
        return None if not self.requests else (self.errors or 0.0) / self.requests

    def table(self) -> list[tuple[str, ...]]:
        """Return the days as text: minutes down and untold, burn, requests, errors, latencies."""
        return [
            (
                f"{one.day:%Y-%m-%d}",
                f"{one.down_min:g}",
                f"{one.silent_min:g}",
                text(one.burn(self.objective), "{:.2f}"),
                text(one.requests, "{:,.0f}"),
                text(one.error_ratio, "{:.3f} %", times=WHOLE),
                text(one.p95_ms, "{:,.0f} ms"),
                text(one.database_ms, "{:,.0f} ms"),
            )
            for one in self.days
        ]

    def rows(self) -> list[tuple[str, str]]:
        budget, told = self.budget, self.minutes - self.silent_min
        uptime = text(self.uptime, "{:.4f} %", times=WHOLE)
        errors = text(self.error_ratio, "{:.3f} %", times=WHOLE)
        silent = "which Datadog counts as uptime and this report does not"
        left = f"{budget.remaining * WHOLE:.1f} % of the month's {budget.allowed:.1f} minutes"
        return [
            ("uptime", f"{uptime} of {told:,.0f} minutes told"),
            ("minutes down", f"{self.down_min:g}"),
            ("minutes without data", f"{self.silent_min:g}, {silent}"),
            ("error budget left", left),
            ("errors", f"{errors} of {text(self.requests, '{:,.0f}')} requests"),
            ("P95", text(self.p95_ms, "{:,.0f} ms")),
            ("database", text(self.database_ms, "{:,.0f} ms in the mean")),
        ]

    def _repr_html_(self) -> str:
        head = ("day", "min down", "min without data", "burn", "requests", "errors", "P95", "database")
        return html_table(self.rows()) + html_table(self.table(), head=head)


def read_service(step: Step, period: Period) -> ServiceRecord:
    """Return how the service was, from Datadog: both objectives' histories, and each day's levels."""
    slos = step.rollout().slos
    uptime = datadog.read_slo_history(
        step, slo=UPTIME, since=period.since, until=period.until, target_percent=slos.uptime.target_percent
    )
    counted = datadog.read_slo_history(step, slo=REQUESTS, since=period.since, until=period.until)
    days = []
    with step.progress("days", total=len(period.days()), unit="days") as bar:
        for since, until in period.days():
            levels = datadog.read_levels(step, since=since, until=until)
            days.append(make_day(since, until, down=uptime.down, silent=uptime.silent, levels=levels))
            bar.add(1)
    whole = datadog.read_levels(step, since=period.since, until=period.until)
    total = counted.total or None
    return ServiceRecord(
        since=period.since,
        until=period.until,
        objective=slos.uptime.target_percent / WHOLE,
        p95_limit_ms=slos.p95_latency.target_below_ms,
        database_limit_ms=slos.database_latency.target_below_ms,
        requests=total,
        errors=None if total is None else total - (counted.good or 0.0),
        p95_ms=slowest(one.p95_ms for one in whole),
        database_ms=slowest(one.database_ms for one in whole),
        days=tuple(days),
    )


def make_day(
    since: datetime,
    until: datetime,
    *,
    down: Sequence[datadog.Downtime],
    silent: Sequence[datadog.Downtime],
    levels: Sequence[datadog.Level],
) -> Day:
    """Return one day from the stretches of the whole milestone and the day's own levels."""
    requests = [one.requests for one in levels if one.requests is not None]
    return Day(
        day=since.date(),
        since=since,
        until=until,
        down_min=minutes_within(down, since, until),
        silent_min=minutes_within(silent, since, until),
        requests=sum(requests) if requests else None,
        errors=sum(one.errors or 0.0 for one in levels) if requests else None,
        p95_ms=slowest(one.p95_ms for one in levels),
        database_ms=slowest(one.database_ms for one in levels),
    )


def minutes_within(stretches: Iterable[datadog.Downtime], since: datetime, until: datetime) -> float:
    """Return how many minutes of [since, until) lie in some of the stretches, which do not overlap."""
    parts = (min(one.until, until) - max(one.since, since) for one in stretches)
    return sum((part for part in parts if part > timedelta()), timedelta()).total_seconds() / 60


def slowest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def text(value: float | None, form: str, *, times: float = 1.0) -> str:
    """Return a number in its form, in words where there is none."""
    return "not known" if value is None else form.format(value * times)
