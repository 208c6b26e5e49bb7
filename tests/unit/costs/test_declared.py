"""Declared costs: our own constants, with their date; without a number they are unknown."""

from datetime import UTC, date, datetime

from runbook.costs import read_declared
from runbook.plan.environment import Environment
from runbook.step import Step

GIVEN = [
    {"service": "Sentry", "what": "Team plan", "cost_usd_per_month": 26.0, "declared_on": date(2026, 11, 1)},
    {"service": "Datadog", "what": "hosts", "cost_usd_per_month": None, "declared_on": date(2026, 11, 2)},
]


def test_they_are_prices_of_a_month_and_say_their_date():
    """Declared, never measured; null is unknown, which is not 0."""
    environment = Environment.model_validate(
        {"name": "sandbox", "says": "a test", "default_mode": "apply", "declared_costs": GIVEN}
    )
    sentry, datadog = read_declared(Step(environment=lambda: environment), month=date(2027, 2, 14))
    assert (sentry.cost_usd, sentry.source, sentry.recurring) == (26.0, "declared", True)
    assert sentry.what == "Team plan (declared on 2026-11-01)"
    assert (sentry.since, sentry.until) == (
        datetime(2027, 2, 1, tzinfo=UTC),
        datetime(2027, 3, 1, tzinfo=UTC),
    )
    assert (datadog.cost_usd, datadog.source) == (None, "unknown")
