"""What one phase hands to the next: where it got to, what it rests on, and whether it went well."""

from __future__ import annotations

from datetime import datetime, timedelta

from runbook.changes.interface import Applied
from runbook.changes.traffic.counting import SETTLES, Baseline, floor
from runbook.changes.traffic.moving import Raised
from runbook.changes.traffic.order import RUNBOOK, Ground, Order, Phase, Share
from runbook.changes.traffic.telling import WATCH
from runbook.errors import StepFailed
from runbook.step import Earlier, Step
from runbook.values import Check, Value

# Titles of steps of the notebook that the next phase's run reads.
UNDER_WAY, DECISION = "the phase under way", f"{WATCH}: decision"


class UnderWay(Value):
    """A phase that has begun: the traffic moved at `began_at`, the gate decides at `ends_at`."""

    phase: Phase
    ground: Ground
    baseline: Baseline
    began_at: datetime
    ends_at: datetime

    @property
    def judged_at(self) -> datetime:
        """Return when the gate is judged: at the end, once the counts of the last minute are settled."""
        return floor(self.ends_at) + SETTLES

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("canary", f"{self.ground.canary}, {self.phase.percent:g} % of the visitors"),
            ("since", f"{self.began_at:%Y-%m-%d %H:%M:%S} UTC"),
            ("watched until", f"{self.ends_at:%Y-%m-%d %H:%M} UTC"),
        ]


class Previous(Value):
    """The run of the phase before, as its record tells: what is wrong with it, and what it left.

    `under_way` is None when the traffic was never moved, `decision` is empty when none was taken.
    """

    run_id: str
    runbook: str
    status: str
    mode: str
    problems: tuple[str, ...]
    decision: str
    under_way: UnderWay | None

    def rows(self) -> list[tuple[str, str]]:
        if not self.run_id:
            return [("before", "nothing: this is the first phase")]
        left = self.under_way
        return [
            ("run", f"{self.run_id}: {self.status}"),
            ("record", "; ".join(self.problems) or "sealed, and it verifies"),
            ("phase", f"{left.phase.number} of {left.ground.canary}" if left else "did not begin"),
            ("decision", self.decision or "none"),
        ]


def read_under_way(step: Step, phase: Phase, ground: Ground, baseline: Baseline, raised: Applied) -> UnderWay:
    """Return the phase that has begun: since when Vercel says, until when it is watched."""
    del step
    result = raised.result
    if not isinstance(result, Raised):
        raise StepFailed(f"the traffic was not raised: {result!r}")
    shares = (*ground.shares, Share(at=result.at, percent=phase.percent))
    return UnderWay(
        phase=phase,
        ground=ground.model_copy(update={"shares": shares}),
        baseline=baseline,
        began_at=result.at,
        ends_at=result.at + timedelta(hours=phase.hours),
    )


def read_previous(step: Step, order: Order) -> Previous:
    """Return what the run of the phase before left; UnknownName when there is no such run."""
    if order.phase == 1 and not order.previous:
        return Previous(run_id="", runbook="", status="", mode="", problems=(), decision="", under_way=None)
    earlier = step.earlier(order.previous)
    under_way, decided = _result(earlier, UNDER_WAY), _result(earlier, DECISION)
    return Previous(
        run_id=order.previous,
        runbook=earlier.summary.runbook,
        status=earlier.summary.status,
        mode=earlier.summary.mode,
        problems=earlier.problems,
        decision=str(getattr(decided, "decision", "")),
        under_way=under_way if isinstance(under_way, UnderWay) else None,
    )


def _result(earlier: Earlier, title: str) -> Value | None:
    try:
        return earlier.result(title)
    except StepFailed:
        return None


def previous_is_through(step: Step, order: Order, phase: Phase, previous: Previous) -> list[Check]:
    """Compare the phase before with what this one rests on: verified, through, the same build, a go."""
    del step
    if phase.number == 1:
        nothing = "no phase before the first"
        return [
            Check.of(
                "phase before",
                holds=not order.previous,
                observed=order.previous or nothing,
                expected=f"{nothing}: leave `previous` empty",
            )
        ]
    left = previous.under_way
    before, run_id = phase.number - 1, previous.run_id
    return [
        Check.of(
            f"{run_id} is a run of {RUNBOOK}, and through",
            holds=(previous.runbook, previous.status, previous.mode) == (RUNBOOK, "done", "apply"),
            observed=f"{previous.runbook}, {previous.status}, mode {previous.mode}",
            expected=f"{RUNBOOK}, done, mode apply",
        ),
        Check.of(
            f"{run_id} verifies",
            holds=not previous.problems,
            observed="; ".join(previous.problems) or "sealed, its signer on the list",
            expected=f"nothing to object (runbook verify {run_id})",
        ),
        Check.of(
            f"{run_id} was phase {before} of the same build",
            holds=left is not None and (left.phase.number, left.ground.canary) == (before, order.deployment),
            observed=f"phase {left.phase.number} of {left.ground.canary}" if left else "no phase began in it",
            expected=f"phase {before} of {order.deployment}",
        ),
        Check.of(
            f"{run_id} decided to go on",
            holds=previous.decision == "proceed",
            observed=previous.decision or "no decision",
            expected="proceed",
        ),
    ]
