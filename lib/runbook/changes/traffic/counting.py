"""Datadog's minutes as the judge counts them: canary against baseline, each minute with the share it had."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from runbook.changes.traffic.order import Ground, Share
from runbook.judge.calibrating import Noise, noise_before
from runbook.judge.counts import INDICATORS, Arm, Counts, Indicator, Minute, Slices
from runbook.judge.policy import P95_SHARE
from runbook.judge.slo import Budget
from runbook.providers import datadog
from runbook.providers.datadog.minutes import SETTLED_S
from runbook.providers.vercel.releases import ALL
from runbook.step import Step
from runbook.values import Value, shown

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
SETTLES = timedelta(seconds=SETTLED_S) + MINUTE  # after that the counts of a minute, however late, are whole


class Counted(Value):
    """The judge's minutes in [since, until), settled; one of which nobody reported has neither arm."""

    since: datetime
    until: datetime
    minutes: tuple[Minute, ...]


class Baseline(Value):
    """An ordinary day before the canary: how noisy each indicator is, how much came, how good it was.

    `requests_per_minute` are means by hour of the day, UTC; None where nothing was reported.
    """

    since: datetime
    until: datetime
    noise: dict[Indicator, Noise]
    requests_per_minute: tuple[float | None, ...]
    error_ratio: float | None
    slow_ratio: float | None
    minutes: int

    def rows(self) -> list[tuple[str, str]]:
        known = [one for one in self.requests_per_minute if one is not None]
        errors = "not known" if self.error_ratio is None else f"{self.error_ratio:.2%}"
        slow = "not known" if self.slow_ratio is None else f"{self.slow_ratio:.1%}"
        return [
            (
                "seen",
                f"{self.minutes:,} minutes since {self.since:%Y-%m-%d %H:%M} UTC",
            ),
            (
                "requests a minute",
                f"{shown(min(known))} to {shown(max(known))} by the hour" if known else "none",
            ),
            ("error rate", errors),
            ("over 500 ms", f"{slow} of requests (P95 is under it below {P95_SHARE:.0%})"),
            *((f"noise of {name}", one.in_a_line()) for name, one in self.noise.items()),
        ]


def read_baseline(step: Step, ground: Ground) -> Baseline:
    """Return the 24 hours before, all visitors on the current build, as the judge is to know them."""
    until = floor(step.clock.now() - timedelta(seconds=SETTLED_S))
    since = until - DAY
    found = datadog.read_minutes(
        step, since=since, until=until, deployments=(ground.current,), bucketed="everybody"
    )
    minutes = [
        Minute(at=one.at, canary_percent=ALL, canary=None, baseline=_arm(one, ground.current))
        for one in found.minutes
    ]
    totals = [minute.baseline.total for minute in minutes if minute.baseline]
    requests = sum(total.requests for total in totals)
    return Baseline(
        since=since,
        until=until,
        noise={name: noise_before(minutes, name, of=whole) for name, whole in INDICATORS.items()},
        requests_per_minute=_by_hour(minutes),
        error_ratio=sum(total.errors for total in totals) / requests if requests else None,
        slow_ratio=sum(total.slow_500 for total in totals) / requests if requests else None,
        minutes=len(totals),
    )


def read_counted(step: Step, ground: Ground, *, since: datetime, until: datetime) -> Counted:
    """Return both arms in each settled minute of [since, until) in which the canary had one share."""
    found = datadog.read_minutes(
        step, since=since, until=until, deployments=(ground.canary, ground.current), bucketed="newcomers"
    )
    told = {one.at: one for one in found.minutes}
    minutes = [_minute(at, told.get(at), ground) for at in sorted({*told, *found.gaps})]
    known = tuple(minute for minute in minutes if minute is not None)
    return Counted(since=found.since, until=found.settled_until, minutes=known)


def read_budget(step: Step, *, since: datetime, until: datetime) -> Budget | None:
    """Return what is left of the uptime objective's error budget; None where there was nothing to count."""
    standing = datadog.read_slo_status(step, slo="slo_uptime", since=since, until=until)
    objective = datadog.read_slo(step, slo="slo_uptime").target_percent / 100
    left = standing.budget_left_percent
    if left is None:
        return None
    allowed = (1 - objective) * (until - since).total_seconds() / 60
    return Budget(objective=objective, allowed=allowed, used=allowed * (1 - left / 100), unit="minutes")


def percent_at(shares: Sequence[Share], at: datetime) -> float | None:
    """Return the canary's share throughout the minute `at`; None before it had one, or when it changed."""
    begun = [share for share in shares if share.at <= at]
    changes = any(at < share.at < at + MINUTE for share in shares)
    return None if changes or not begun else begun[-1].percent


def floor(when: datetime) -> datetime:
    return when.replace(second=0, microsecond=0)


def _minute(at: datetime, told: datadog.Minute | None, ground: Ground) -> Minute | None:
    """Return a minute as the judge wants it, None for one in which the canary's share was not one."""
    percent = percent_at(ground.shares, at)
    if percent is None:
        return None
    canary = told and _arm(told, ground.canary)
    baseline = _arm(told, ground.current) if told and percent < ALL else None
    return Minute(at=at, canary_percent=percent, canary=canary, baseline=baseline)


def _arm(minute: datadog.Minute, deployment: str) -> Arm | None:
    found = minute.arm(deployment)
    if found is None:
        return None
    buckets = found.buckets
    columns = None if buckets is None else {name: getattr(buckets, name) for name in Slices.model_fields}
    return Arm(total=Counts(**dict(found.total)), newcomers=None if columns is None else Slices(**columns))


def _by_hour(minutes: Sequence[Minute]) -> tuple[float | None, ...]:
    sums = [[0.0, 0.0] for _ in range(24)]
    for minute in minutes:
        if minute.baseline:
            sums[minute.at.hour][0] += minute.baseline.total.requests
            sums[minute.at.hour][1] += 1
    return tuple(total / count if count else None for total, count in sums)
