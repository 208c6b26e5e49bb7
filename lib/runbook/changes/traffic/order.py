"""What is ordered: one phase of the plan's canary for one build, and the ground it is released on."""

from __future__ import annotations

from datetime import datetime

from runbook.errors import UnknownName
from runbook.plan.service import CanaryPhase, Gate
from runbook.step import Step
from runbook.values import Value

RUNBOOK = "canary_phase"


class Order(Value):
    """The notebook's own parameters."""

    deployment: str
    phase: int
    previous: str
    schema_attested_by: str
    look_every_s: float
    max_look_gap_s: float


class Phase(Value):
    """One phase as the plan has it: `percent` of the visitors for `hours`, then its gate.

    `percents` are the shares of all phases, `rto_s` is how soon a rollback must be through. The limits are
    the plan's objectives as charts draw them, `budget_least` the share of error budget that a gate asks for.
    """

    number: int
    percents: tuple[float, ...]
    hours: float
    gate: Gate
    rto_s: float
    status_every_h: float
    error_limit: float
    p95_limit_ms: float
    budget_least: float

    @property
    def percent(self) -> float:
        return self.percents[self.number - 1]

    @property
    def percent_before(self) -> float:
        return self.percents[self.number - 2] if self.number > 1 else 0.0

    @property
    def is_last(self) -> bool:
        return self.number == len(self.percents)

    @property
    def keep_for(self) -> str:
        """Return the runbook whose next run takes the reserved project over; the last phase frees it."""
        return "" if self.is_last else RUNBOOK

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("phase", f"{self.number} of {len(self.percents)}"),
            ("visitors on the canary", f"{self.percent:g} %, before it {self.percent_before:g} %"),
            ("watched", f"{self.hours:g} hours, a status every {self.status_every_h:g}"),
            ("goes on", gate_text(self.gate)),
            ("rolled back within", f"{self.rto_s / 60:g} minutes"),
        ]


class Share(Value):
    """Since when the canary has had `percent` of the visitors."""

    at: datetime
    percent: float


class Ground(Value):
    """A build and the ground it is released on.

    `assigns_domains` and `stages` are how the project was before the canary, and what it goes back to.
    `shares` are those that the canary had so far, oldest first.
    """

    project: str
    canary: str
    version: str
    current: str
    assigns_domains: bool
    stages: tuple[float, ...] | None
    shares: tuple[Share, ...] = ()

    @property
    def called(self) -> str:
        """Return what people call the canary: its version, or Vercel's id where none is told."""
        return self.version or self.canary

    def rows(self) -> list[tuple[str, str]]:
        builds = "go live by themselves" if self.assigns_domains else "wait to be released"
        stages = ", ".join(f"{one:g} %" for one in self.stages) if self.stages else "none"
        shares = ", ".join(f"{one.percent:g} % since {one.at:%Y-%m-%d %H:%M} UTC" for one in self.shares)
        return [
            ("project", self.project),
            ("canary", f"{self.canary} ({self.version or 'its version is not told'})"),
            ("current build", self.current),
            ("before the canary", f"production builds {builds}; stages of releases: {stages}"),
            ("had so far", shares or "nothing yet"),
        ]


def read_phase(step: Step, order: Order) -> Phase:
    """Return the phase that is ordered; UnknownName when the plan has none of that number."""
    plan = step.rollout()
    phases = plan.canary.phases
    if order.phase > len(phases):
        raise UnknownName(
            f"the plan has {len(phases)} phases, and phase {order.phase} was asked for; they stand in "
            "params/plan.yaml under `canary: phases`"
        )
    chosen = phases[order.phase - 1]
    return Phase(
        number=order.phase,
        percents=tuple(one.percent for one in phases),
        hours=_hours(chosen),
        gate=chosen.gate,
        rto_s=plan.rollback.high_error_rate.rto_below_minutes * 60,
        status_every_h=plan.communication.status_every_h,
        error_limit=plan.slos.error_rate.target_below_percent / 100,
        p95_limit_ms=plan.slos.p95_latency.target_below_ms,
        budget_least=max(one.gate.error_budget_above_percent or 0.0 for one in phases) / 100,
    )


def _hours(phase: CanaryPhase) -> float:
    """Return how long a phase is watched; green for so long can be said only after so long."""
    return max(phase.to_h - phase.from_h, phase.gate.all_green_for_h or 0.0)


def gate_text(gate: Gate) -> str:
    """Return a gate as people say it."""
    if gate.error_rate_below_percent is not None:
        condition = f"error rate under {gate.error_rate_below_percent:g} %"
    elif gate.error_budget_above_percent is not None:
        condition = f"over {gate.error_budget_above_percent:g} % of the error budget left"
    else:
        condition = f"all green for {gate.all_green_for_h:g} hours"
    return f"{condition}; otherwise {gate.otherwise}"
