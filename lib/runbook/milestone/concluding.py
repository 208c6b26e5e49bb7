"""What a report comes to: the check that nothing is missed, the verdict, the numbers."""

from __future__ import annotations

from runbook.milestone.comparing import Comparison, as_criterion
from runbook.milestone.costing import Costing
from runbook.milestone.people import Calls
from runbook.milestone.scorecard import Scorecard
from runbook.milestone.service import WHOLE, ServiceRecord
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check


def nothing_missed(step: Step, scorecard: Scorecard, comparison: Comparison) -> list[Check]:
    """Return every criterion as a check: what is not known has not passed, what needs a person stays open."""
    del step
    return [one.as_check() for one in (*as_criterion(comparison), *scorecard.criteria)]


def conclude(
    step: Step,
    scorecard: Scorecard,
    comparison: Comparison,
    service: ServiceRecord,
    calls: Calls,
    costing: Costing,
) -> Conclusion:
    """Return the verdict in a sentence, and the numbers for the reports after this one."""
    plan = step.rollout()
    ratio, month = service.error_ratio, costing.latest
    return Conclusion(
        verdict=f"{scorecard.milestone}: {scorecard.counts()}; {comparison.in_words()}.",
        numbers={
            "uptime_percent": Number(
                title="Uptime", value=None if service.uptime is None else service.uptime * WHOLE, unit="%"
            ),
            "down_min": Number(
                title="Minutes down",
                value=service.down_min,
                unit="min",
                limit=plan.success.downtime_below_minutes_per_month,
            ),
            "silent_min": Number(title="Minutes without data", value=service.silent_min, unit="min"),
            "budget_left_percent": Number(
                title="Error budget left", value=service.budget.remaining * WHOLE, unit="%"
            ),
            "error_percent": Number(
                title="Error rate",
                value=None if ratio is None else ratio * WHOLE,
                unit="%",
                limit=plan.slos.error_rate.target_below_percent,
            ),
            "p95_ms": Number(
                title="P95", value=service.p95_ms, unit="ms", limit=plan.slos.p95_latency.target_below_ms
            ),
            "database_ms": Number(
                title="Database",
                value=service.database_ms,
                unit="ms",
                limit=plan.slos.database_latency.target_below_ms,
            ),
            "incidents": Number(title="Incidents", value=len(calls.incidents), unit="incidents"),
            "cost_usd": Number(
                title="Cost of the month",
                value=None if month.unknown else month.forecast_usd,
                unit="USD",
                limit=costing.limit_usd,
            ),
            "criteria_met": Number(title="Criteria met", value=scorecard.count("met"), unit="criteria"),
            "criteria_to_sign": Number(
                title="Criteria to sign", value=len(scorecard.to_sign), unit="criteria"
            ),
        },
    )
