"""How the site fares by its own metrics: requests that failed, through whichever side they came."""

from __future__ import annotations

from datetime import timedelta

from runbook.changes.delegation.migration import Migration
from runbook.errors import VendorError
from runbook.judge.policy import Rules
from runbook.providers import datadog
from runbook.providers.datadog.minutes import SETTLED_S
from runbook.step import Step
from runbook.values import Check, Checks, Value


class Service(Value):
    """Errors by requests in the last `minutes`, None: not known; the plan's alert is at `critical`."""

    rate: float | None
    critical: float
    minutes: int

    @property
    def fails(self) -> bool:
        return self.rate is not None and self.rate > self.critical

    def in_a_line(self) -> str:
        known = "not known" if self.rate is None else f"{self.rate:.2%} of requests failed"
        return f"{known} in {self.minutes} minutes, by Datadog; the alert is at {self.critical:.0%}"


def read_service(step: Step) -> Service:
    """Return how the site fares now; a Datadog that does not answer is remarked, and its rate not known."""
    rules = Rules.of(step.rollout())
    until = step.clock.now() - timedelta(seconds=SETTLED_S)
    since = until - timedelta(minutes=rules.errors_for_minutes)
    rate = None
    try:
        levels = datadog.read_levels(step, since=since, until=until, times=False)
        requests = sum(one.requests or 0.0 for one in levels)
        rate = sum(one.errors or 0.0 for one in levels) / requests if requests else None
    except VendorError as error:
        step.remark(f"the site's own error rate is not known: {error}")
    return Service(rate=rate, critical=rules.error_critical, minutes=rules.errors_for_minutes)


def service_well(step: Step, migration: Migration) -> Checks:
    """Return whether the site is well before anything is moved, and whether we would see that it is not."""
    del migration
    service = read_service(step)
    return Checks(
        items=(
            Check.of(
                "the site's own error rate",
                holds=service.rate is not None and not service.fails,
                observed=service.in_a_line(),
                expected="known, and below the alert; settle that first, then resume",
            ),
        )
    )
