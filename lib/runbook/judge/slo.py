"""Error budgets and how fast they burn, by time and by request (Google's SRE workbook, chapter 5).

    budget     = 1 − objective                            99.9 %: 0.1 %
    burn rate  = (bad / total) / budget                   1: the budget lasts exactly its period
    remaining  = 1 − Σ bad / (budget · total of the period)

Counted by time, bad and total are minutes (99.9 % of 30 days: 43.2 bad minutes); counted by request,
requests. The plan's uptime goes by time, its error rate by request: two objectives, not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from pydantic import Field

from runbook.judge.counts import Floats
from runbook.values import Value

PERIOD_DAYS: Final = 30.0
MINUTES_A_DAY: Final = 1440

Urgency = Literal["page", "ticket"]


class Budget(Value):
    """What an objective allows in its period, and what is used of it; `unit` is minutes or requests.

    A share below zero means that more than the whole budget is used.
    """

    objective: float = Field(gt=0, lt=1)
    allowed: float
    used: float
    unit: Literal["minutes", "requests"]

    @property
    def remaining(self) -> float:
        """Return the share of the budget that is left; a budget of nothing is used up by anything."""
        if self.allowed:
            return 1 - self.used / self.allowed
        return 1.0 if not self.used else -np.inf

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("objective", f"{self.objective:.3%}"),
            ("allowed", f"{self.allowed:,.1f} {self.unit}"),
            ("used", f"{self.used:,.1f} {self.unit}"),
            ("remaining", f"{self.remaining:.1%}"),
        ]


def budget_by_time(bad_minutes: float, *, objective: float, period_days: float = PERIOD_DAYS) -> Budget:
    """Return the budget of an objective that counts bad minutes."""
    allowed = (1 - objective) * period_days * MINUTES_A_DAY
    return Budget(objective=objective, allowed=allowed, used=bad_minutes, unit="minutes")


def budget_by_requests(bad: float, *, objective: float, expected: float) -> Budget:
    """Return the budget of an objective that counts requests, of which the period has `expected`."""
    return Budget(objective=objective, allowed=(1 - objective) * expected, used=bad, unit="requests")


def burn_rate(bad: float, total: float, *, objective: float) -> float | None:
    """Return how many times faster than allowed the budget burns; None without anything to count."""
    return bad / total / (1 - objective) if total else None


def canary_burn(
    canary_bad: float,
    canary_all: float,
    baseline_bad: float,
    baseline_all: float,
    *,
    objective: float,
    expected: float,
) -> float | None:
    """Return the share of the period's budget that the canary used beyond what the baseline would have.

    None without a baseline, for then nobody can tell the two apart.
    """
    if not baseline_all:
        return None
    beyond = max(0.0, canary_bad - canary_all * baseline_bad / baseline_all)
    return beyond / ((1 - objective) * expected)


class BurnRule(Value):
    """Fires when the budget burns faster than `rate` over both windows; the short one ends it soon."""

    rate: float
    long_minutes: int
    short_minutes: int
    urgency: Urgency


# The workbook's multi-window, multi-burn-rate alerts: 2, 5, 10 and 10 % of a 30-day budget.
BURN_RULES: Final = (
    BurnRule(rate=14.4, long_minutes=60, short_minutes=5, urgency="page"),
    BurnRule(rate=6.0, long_minutes=360, short_minutes=30, urgency="page"),
    BurnRule(rate=3.0, long_minutes=1440, short_minutes=120, urgency="ticket"),
    BurnRule(rate=1.0, long_minutes=4320, short_minutes=360, urgency="ticket"),
)


class BurnAlert(Value):
    """A rule that fires, with the burn rates of both its windows."""

    rule: BurnRule
    long_rate: float
    short_rate: float

    def in_a_line(self) -> str:
        windows = f"{self.rule.long_minutes / 60:g} h and {self.rule.short_minutes} min"
        return (
            f"{self.rule.urgency}: burns {self.long_rate:.1f} and {self.short_rate:.1f} times over {windows}"
        )


def burn_alerts(
    bad: Sequence[float] | Floats,
    total: Sequence[float] | Floats,
    *,
    objective: float,
    rules: Sequence[BurnRule] = BURN_RULES,
) -> tuple[BurnAlert, ...]:
    """Return the rules that fire at the end of counts by minute, oldest first.

    A window longer than the counts is judged by what there is of it only if that is at least its half.
    """
    bad_sums, total_sums = (np.concatenate([[0.0], np.cumsum(counts)]) for counts in (bad, total))
    last, found = len(total_sums) - 1, []
    for rule in rules:
        if last < rule.long_minutes / 2:
            continue
        rates = []
        for minutes in (rule.long_minutes, rule.short_minutes):
            since = max(0, last - minutes)
            rates.append(
                burn_rate(
                    float(bad_sums[last] - bad_sums[since]),
                    float(total_sums[last] - total_sums[since]),
                    objective=objective,
                )
            )
        if rates[0] is not None and rates[1] is not None and min(rates[0], rates[1]) > rule.rate:
            found.append(BurnAlert(rule=rule, long_rate=rates[0], short_rate=rates[1]))
    return tuple(found)
