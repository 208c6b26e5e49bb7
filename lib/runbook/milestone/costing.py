"""What the rollout costs, for each calendar month that a milestone touches, as the bills tell by its end."""

from __future__ import annotations

from runbook.costs import MonthCosts, month_costs
from runbook.costs.month import usd
from runbook.milestone.period import Period
from runbook.providers.bills import read_bills
from runbook.step import Step
from runbook.values import Value


class Costing(Value):
    """A milestone's months, the earliest first; each against the plan's total and its alerts."""

    months: tuple[MonthCosts, ...]
    limit_usd: float
    warning_usd: float
    critical_usd: float

    @property
    def within(self) -> bool | None:
        """Whether every month is within the plan's tolerance; None when that is not known of one."""
        each = [one.within_tolerance for one in self.months]
        return False if False in each else None if None in each else True

    @property
    def latest(self) -> MonthCosts:
        return self.months[-1]

    def observed(self) -> str:
        """Return each month's forecast in a sentence, what is unknown by name."""
        return "; ".join(_month(one) for one in self.months)

    def rows(self) -> list[tuple[str, str]]:
        found = [(f"{one.month:%Y-%m}: {name}", text) for one in self.months for name, text in one.rows()]
        return [*found, ("alerts at", f"{usd(self.warning_usd)} and {usd(self.critical_usd)}")]

    def _repr_html_(self) -> str:
        return "".join(one._repr_html_() for one in self.months)


def read_costing(step: Step, period: Period) -> Costing:
    """Return the months' costs from every bill there is; a bill that cannot be read is unknown, not free."""
    plan, success = step.rollout().costs, step.rollout().success
    months = tuple(
        month_costs(
            read_bills(step, month=month),
            plan=plan,
            month=month,
            as_of=period.until,
            tolerance_percent=success.cost_tolerance_percent,
        )
        for month in period.months()
    )
    return Costing(
        months=months,
        limit_usd=plan.total_usd_per_month * (1 + success.cost_tolerance_percent / 100),
        warning_usd=plan.warning_usd_per_month,
        critical_usd=plan.critical_usd_per_month,
    )


def _month(costs: MonthCosts) -> str:
    at_least = "at least " if costs.unknown else ""
    unknown = f" (unknown: {', '.join(costs.unknown)})" if costs.unknown else ""
    missing = sum(len(one.missing_days) for one in costs.services)
    days = f", {missing} {'day' if missing == 1 else 'days'} of bills missing" if missing else ""
    return f"{costs.month:%Y-%m}: {at_least}{usd(costs.forecast_usd)} forecast{unknown}{days}"
