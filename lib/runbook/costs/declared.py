"""What no vendor tells: our own constants, from environment.yaml; they read *declared*, never measured."""

from __future__ import annotations

from datetime import date

from runbook.costs.charges import Charge, month_bounds
from runbook.step import Step


def read_declared(step: Step, *, month: date) -> tuple[Charge, ...]:
    """Return the declared costs of a month, each with its date; one without a number is unknown."""
    since, until = month_bounds(month)
    return tuple(
        Charge(
            service=one.service,
            what=f"{one.what} (declared on {one.declared_on})",
            cost_usd=one.cost_usd_per_month,
            since=since,
            until=until,
            source="unknown" if one.cost_usd_per_month is None else "declared",
            recurring=True,
        )
        for one in step.environment().declared_costs
    )
