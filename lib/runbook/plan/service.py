"""What the rollout plan promises of the service: objectives, alerts, canary phases, rollback, success."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal

from pydantic import Field

from runbook.plan.judging import Params, Wrong
from runbook.plan.words import Words

Name = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z0-9_]*$"),
    Words("a name such as tech_lead (small letters, digits, underscores)"),
]
Text = Annotated[str, Field(min_length=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
Positive = Annotated[float, Field(gt=0)]


def rising(model: Params, *names: str) -> Iterator[Wrong]:
    """Return what is wrong when the named numbers do not rise strictly from the first to the last."""
    for (before, low), (name, high) in pairwise((name, getattr(model, name)) for name in names):
        if low is not None and high <= low:
            yield Wrong((name,), f"{high:g}", f"more than `{before}`, which is {low:g}")


class Uptime(Params):
    """Share of time the service answers; higher is better."""

    target_percent: Percent = Field(description="the objective")
    critical_below_percent: Percent = Field(description="under this a person is called")

    def wrongs(self) -> Iterator[Wrong]:
        return rising(self, "critical_below_percent", "target_percent")


class ErrorRate(Params):
    """Share of requests that fail; lower is better."""

    target_below_percent: Percent = Field(description="the objective: less than this")
    warning_above_percent: Percent = Field(description="over this a warning is sent")
    critical_above_percent: Percent = Field(description="over this a person is called")

    def wrongs(self) -> Iterator[Wrong]:
        return rising(self, "target_below_percent", "warning_above_percent", "critical_above_percent")


class Latency(Params):
    """How long an answer takes; lower is better."""

    target_below_ms: Positive = Field(description="the objective: less than this")
    warning_above_ms: Positive = Field(description="over this a warning is sent")
    critical_above_ms: Positive = Field(description="over this a person is called")

    def wrongs(self) -> Iterator[Wrong]:
        return rising(self, "target_below_ms", "warning_above_ms", "critical_above_ms")


class Slos(Params):
    """The four service level objectives with their alert thresholds."""

    uptime: Uptime = Field(description="share of time the service answers")
    error_rate: ErrorRate = Field(description="share of requests that fail")
    p95_latency: Latency = Field(description="time within which 95 of 100 requests are answered")
    database_latency: Latency = Field(description="time a database call takes")


class Alert(Params):
    """A condition that calls somebody; exactly one of the three `…_above_…`/`failures…` keys says which."""

    name: Name = Field(description="the alert's name, unique")
    error_rate_above_percent: Percent | None = Field(default=None, description="fires over this error rate")
    database_latency_above_ms: Positive | None = Field(
        default=None, description="fires over this average time of a database call"
    )
    failures_in_a_row: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="fires after so many failed health checks one after the other"
    )
    for_minutes: Positive | None = Field(default=None, description="how long the condition must last")
    tell: tuple[Name, ...] = Field(min_length=1, description="channels that hear of it")
    runbook_page: Text = Field(description="the page the plan sends the responder to")

    def wrongs(self) -> Iterator[Wrong]:
        keys = ("error_rate_above_percent", "database_latency_above_ms", "failures_in_a_row")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            yield Wrong(
                ("name",),
                f"{self.name} with {' and '.join(given) or 'no condition'}",
                f"exactly one of {', '.join(keys)}",
            )
        lasts = self.failures_in_a_row is None
        if lasts and self.for_minutes is None:
            yield Wrong(("for_minutes",), "nothing", "how many minutes the condition must last")


class Gate(Params):
    """What decides at the end of a canary phase; exactly one of the three conditions is set."""

    error_rate_below_percent: Percent | None = Field(default=None, description="go on under this error rate")
    error_budget_above_percent: Percent | None = Field(
        default=None, description="go on with more than this share of the error budget left"
    )
    all_green_for_h: Positive | None = Field(
        default=None, description="go on after all metrics were green for so long"
    )
    otherwise: Literal["rollback", "hold"] = Field(
        description="what follows when the condition does not hold; hold waits for a person who investigates"
    )

    def wrongs(self) -> Iterator[Wrong]:
        keys = ("error_rate_below_percent", "error_budget_above_percent", "all_green_for_h")
        given = [key for key in keys if getattr(self, key) is not None]
        if len(given) != 1:
            yield Wrong((), " and ".join(given) or "no condition", f"exactly one of {', '.join(keys)}")


WHOLE_PERCENT: Final = 100


class CanaryPhase(Params):
    """A stretch of the rollout with a fixed share of the traffic on the new release."""

    percent: Annotated[float, Field(gt=0, le=100)] = Field(
        description="share of the traffic on the new release"
    )
    from_h: Annotated[float, Field(ge=0)] = Field(
        description="hours after the start of the canary when it begins"
    )
    to_h: Positive = Field(description="hours after the start of the canary when its gate decides")
    gate: Gate = Field(description="what decides whether to go on")

    def wrongs(self) -> Iterator[Wrong]:
        return rising(self, "from_h", "to_h")


class Canary(Params):
    """The progressive rollout: contiguous phases with rising shares, up to all traffic."""

    by: Text = Field(description="what splits the traffic")
    phases: tuple[CanaryPhase, ...] = Field(min_length=1, description="the phases in their order")

    def wrongs(self) -> Iterator[Wrong]:
        if (first := self.phases[0]).from_h != 0:
            yield Wrong(
                ("phases", 0, "from_h"), f"{first.from_h:g}", "0: the first phase begins with the canary"
            )
        for number, (one, after) in enumerate(pairwise(self.phases), start=1):
            if after.from_h != one.to_h:
                expected = (
                    f"{one.to_h:g}, where the phase before ends: phases leave no gap and do not overlap"
                )
                yield Wrong(("phases", number, "from_h"), f"{after.from_h:g}", expected)
            if after.percent <= one.percent:
                expected = f"more than the {one.percent:g} of the phase before"
                yield Wrong(("phases", number, "percent"), f"{after.percent:g}", expected)
        last = self.phases[-1]
        if last.percent != WHOLE_PERCENT:
            yield Wrong(
                ("phases", len(self.phases) - 1, "percent"), f"{last.percent:g}", "100 in the last phase"
            )


class RollbackScenario(Params):
    """How one kind of trouble is undone, and how long that may take."""

    symptoms: Text = Field(description="how it shows")
    error_rate_above_percent: Percent | None = Field(
        default=None, description="the symptom in numbers, where it has one"
    )
    steps: tuple[Text, ...] = Field(min_length=1, description="what is done, in order")
    rto_at_least_minutes: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="the shortest time to be whole again that the plan names"
    )
    rto_below_minutes: Positive = Field(description="time within which the service is whole again")
    rpo_below_minutes: Positive | None = Field(default=None, description="how much newest data may be lost")

    def wrongs(self) -> Iterator[Wrong]:
        return rising(self, "rto_at_least_minutes", "rto_below_minutes")


class KillSwitch(Params):
    """The emergency control that stops writes while a damaged database is restored."""

    table: Name = Field(description="the table of emergency controls")
    row_id: Text = Field(description="the id of its one row")
    reason: Text = Field(description="the reason written into it")


class Rollback(Params):
    """The plan's rollback procedures."""

    authority_primary: Name | None = Field(
        description="role that may order a rollback; null: blank in the plan"
    )
    authority_secondary: Name | None = Field(description="who may order it when the first cannot be reached")
    high_error_rate: RollbackScenario = Field(description="scenario 1: high error rate during the canary")
    dns_issues: RollbackScenario = Field(description="scenario 2: DNS issues after the migration")
    record_fix_minutes: Positive = Field(
        description="time a corrected record takes to arrive with the lowered TTL"
    )
    database_corruption: RollbackScenario = Field(description="scenario 3: database corruption")
    kill_switch: KillSwitch = Field(description="what stops writes in scenario 3")


class Success(Params):
    """When the rollout counts as a success; `slos` and the total of `costs` are not said again here."""

    staging_pass_percent: Percent = Field(description="share of staging tests that pass")
    staging_days: Annotated[int, Field(ge=1)] = Field(description="for how long they pass")
    rollbacks_at_most: Annotated[int, Field(ge=0)] = Field(
        description="rollbacks of the production deployment"
    )
    requests_ok_at_least_percent: Percent = Field(description="share of requests that succeed")
    downtime_below_minutes_per_month: Positive = Field(
        description="downtime that the uptime objective leaves"
    )
    cost_tolerance_percent: Percent = Field(description="how far the costs may be from the total, both ways")
    user_incidents_at_most: Annotated[int, Field(ge=0)] = Field(description="incidents that users notice")
    support_tickets_below_per_week: Positive = Field(description="support tickets")
    business: tuple[Text, ...] = Field(description="business criteria without a number")
    operational: tuple[Text, ...] = Field(description="operational criteria")
