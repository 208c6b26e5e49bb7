"""Reads one run's record, and says in sentences why it cannot be relied on; of such a run nothing is used."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import Field

from runbook.errors import RunbookError, StepFailed
from runbook.milestone.scraps import differing
from runbook.step import Earlier, Step
from runbook.summary import Number
from runbook.values import Value

NONE: Final = "none is on record"


class Kept(Value):
    """A run of the rollout as its record tells; `part` is what it did for the rollout.

    `problems` say why it cannot be relied on: then `status`, `verdict` and `numbers` are empty, so that
    nothing an unverified file says is shown as if it were known. `passed_over` names newer runs that could
    not be relied on, where this one was found and not named.
    """

    part: str
    run_id: str
    problems: tuple[str, ...]
    passed_over: tuple[str, ...] = ()
    status: str = ""
    verdict: str = ""
    decision: str = ""
    opened_at: datetime | None = None
    ended_at: datetime | None = None
    numbers: dict[str, Number] = Field(default_factory=dict)

    @property
    def relied_on(self) -> bool:
        return bool(self.run_id) and not self.problems

    @property
    def stands(self) -> bool:
        """Whether it is verified, through, and no newer one of its kind is in doubt."""
        return self.relied_on and self.status == "done" and not self.passed_over

    def number(self, name: str) -> float | None:
        """Return one of its numbers, None where it has none or is not relied on."""
        found = self.numbers.get(name)
        return found.value if found else None

    def standing(self) -> str:
        """Return how it stands, in a sentence."""
        if not self.run_id:
            return "; ".join(self.problems) or NONE
        doubt = (
            f"; a newer one cannot be relied on: {', '.join(self.passed_over)}" if self.passed_over else ""
        )
        if self.problems:
            return f"{self.run_id} cannot be relied on: {'; '.join(self.problems)}{doubt}"
        return f"{self.run_id}: {self.status}, sealed and verified{doubt}"


def keep(
    step: Step, part: str, run_id: str, *, runbook: str, decision: str = "", passed_over: tuple[str, ...] = ()
) -> tuple[Kept, Earlier | None]:
    """Return a run as it may be relied on, and its record where it may; `decision` is a step's title."""
    earlier, problems = examine(step, run_id, runbook=runbook)
    if earlier is None or problems:
        return Kept(part=part, run_id=run_id, problems=problems, passed_over=passed_over), None
    summary = earlier.summary
    kept = Kept(
        part=part,
        run_id=run_id,
        problems=(),
        passed_over=passed_over,
        status=summary.status,
        verdict=summary.verdict,
        decision=decided(earlier, decision),
        opened_at=summary.opened_at,
        ended_at=summary.ended_at,
        numbers=summary.numbers,
    )
    return kept, earlier


def examine(
    step: Step, run_id: str, *, runbook: str, changes: bool = True
) -> tuple[Earlier | None, tuple[str, ...]]:
    """Return a run's record, None when it cannot be read, and why it cannot be relied on.

    `changes` is False for a runbook that only reads: its runs of mode plan are as good as any.
    """
    try:
        earlier = step.earlier(run_id)
    except (RunbookError, OSError) as error:
        return None, (_one_line(error),)
    summary, problems = earlier.summary, list(earlier.problems)
    if summary.runbook != runbook:
        problems.append(f"it is a run of {summary.runbook}, not of {runbook}")
    if changes and summary.mode != "apply":
        problems.append("it was opened in mode plan, so it changed nothing")
    if not problems and summary.status == "done":
        problems += differing(earlier)
    return earlier, tuple(map(_one_line, problems))


def decided(earlier: Earlier, title: str) -> str:
    """Return what a watch of a run decided, empty without one."""
    found = result_of(earlier, title) if title else None
    return str(getattr(found, "decision", "") or "")


def result_of(earlier: Earlier, title: str) -> Value | None:
    """Return what a step of a run returned, None when it returned nothing."""
    try:
        return earlier.result(title)
    except StepFailed:
        return None


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
