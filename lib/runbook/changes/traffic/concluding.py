"""What a phase came to, for the report and for the runs after it."""

from __future__ import annotations

from runbook.changes.traffic.between import UnderWay
from runbook.gates.watching import Verdict
from runbook.step import Step
from runbook.summary import Conclusion, Number

WHOLE_PERCENT = 100


def conclude(step: Step, under_way: UnderWay, verdict: Verdict) -> Conclusion:
    """Return verdict and numbers of a phase that is through."""
    phase, ground = under_way.phase, under_way.ground
    after = (
        "the deployment is complete"
        if phase.is_last
        else f"phase {phase.number + 1} may begin, with previous={step.run_id}"
    )
    how = "was good" if verdict.decision == "proceed" else "went on by signature, not by its numbers,"
    limit = phase.gate.error_rate_below_percent
    return Conclusion(
        verdict=f"{ground.called} {how} at {phase.percent:g} % for {phase.hours:g} h; {after}.",
        numbers={
            "canary_percent": Number(title="visitors on the canary", value=phase.percent, unit="%"),
            "error_percent": _percent("error rate of the canary", verdict, "errors_canary", limit=limit),
            "baseline_error_percent": _percent("error rate beside it", verdict, "errors_baseline"),
            "slow_percent": _percent("requests over 500 ms", verdict, "slow_500_canary"),
            "budget_left_percent": _percent("error budget left", verdict, "budget_remaining"),
            "looks": Number(title="looks", value=verdict.looks, unit=""),
            "unwatched_min": Number(title="not watched", value=sum(verdict.gaps_s) / 60, unit="min"),
        },
    )


def _percent(title: str, verdict: Verdict, name: str, *, limit: float | None = None) -> Number:
    ratio = verdict.numbers.get(name)
    value = None if ratio is None else round(ratio * WHOLE_PERCENT, 4)
    return Number(title=title, value=value, unit="%", limit=limit)
