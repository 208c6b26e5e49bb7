"""Compares a milestone's scorecard with the one of the report before it, criterion by criterion."""

from __future__ import annotations

from collections.abc import Iterator

from runbook.milestone.gathering import LOOKS_AT_MOST
from runbook.milestone.order import MILESTONES, Order
from runbook.milestone.relying import examine, result_of
from runbook.milestone.scorecard import Criterion, Finding, Scorecard
from runbook.step import Earlier, Step
from runbook.values import Value, html_table

RUNBOOK = "post_deployment_report"
CRITERIA = "the plan's criteria"  # the step that returns the scorecard
_BETTER: tuple[Finding, ...] = ("not met", "not known", "needs a person", "met")


class Moved(Value):
    """One criterion then and now; `before` is empty where it was not there."""

    title: str
    before: str
    now: Finding
    value_before: float | None
    value_now: float | None
    unit: str

    @property
    def direction(self) -> str:
        """Return better, worse, the same, or new."""
        if self.before not in _BETTER:
            return "new"
        then, now = _BETTER.index(self.before), _BETTER.index(self.now)
        return "the same" if then == now else "better" if now > then else "worse"

    def change(self) -> str:
        """Return the change of its number, where both are known."""
        if self.value_before is None or self.value_now is None:
            return "–"
        return f"{self.value_now - self.value_before:+,.3f}".rstrip("0").rstrip(".") + f" {self.unit}"


class Comparison(Value):
    """A milestone against the one before; `problems` say why there is nothing to compare with."""

    run_id: str
    milestone: str
    problems: tuple[str, ...]
    moved: tuple[Moved, ...]

    @property
    def worse(self) -> tuple[Moved, ...]:
        return tuple(one for one in self.moved if one.direction == "worse")

    def in_words(self) -> str:
        """Return the comparison in a sentence."""
        if not self.moved:
            return "; ".join(self.problems) or "there is no report before this one"
        better = sum(one.direction == "better" for one in self.moved)
        return f"against {self.milestone}: {better} better, {len(self.worse)} worse"

    def rows(self) -> list[tuple[str, str]]:
        changed = [one for one in self.moved if one.direction != "the same"]
        rows = [(one.title, f"{one.direction}: {one.before or 'not there'} → {one.now}") for one in changed]
        return [("the report before", self.run_id or "none"), ("compared", self.in_words()), *rows]

    def _repr_html_(self) -> str:
        if not self.moved:
            return html_table(self.rows())
        rows = [(one.direction, one.title, one.before or "–", one.now, one.change()) for one in self.moved]
        return html_table(self.rows()[:2]) + html_table(
            rows, head=("", "criterion", self.milestone, "now", "change")
        )


def compare(step: Step, order: Order, scorecard: Scorecard) -> Comparison:
    """Return this milestone against the report that is named, or the newest earlier one of the same rollout.

    A report that cannot be relied on is compared with nothing, and named.
    """
    run_id = order.report_before or _find(step, scorecard)
    if not run_id:
        return Comparison(run_id="", milestone="", problems=(), moved=())
    earlier, problems = examine(step, run_id, runbook=RUNBOOK, changes=False)
    before = result_of(earlier, CRITERIA) if earlier is not None and not problems else None
    if not isinstance(before, Scorecard):
        why = problems or ("it came to no criteria",)
        return Comparison(run_id=run_id, milestone="", problems=(f"{run_id}: {'; '.join(why)}",), moved=())
    if before.deployed_at != scorecard.deployed_at:
        why = (f"{run_id}: it is about another rollout",)
        return Comparison(run_id=run_id, milestone=before.milestone, problems=why, moved=())
    return Comparison(
        run_id=run_id, milestone=before.milestone, problems=(), moved=tuple(_moved(before, scorecard))
    )


def as_criterion(comparison: Comparison) -> Iterator[Criterion]:
    """Yield a criterion where a report before cannot be relied on: it counts against this one."""
    if comparison.problems:
        yield Criterion.of(
            "record",
            "the report before",
            holds=False,
            observed="; ".join(comparison.problems),
            expected="sealed, signed and verified, of the same rollout",
            source=f"runbook verify {comparison.run_id}",
        )


def _find(step: Step, scorecard: Scorecard) -> str:
    """Return the newest report of this rollout at an earlier milestone, empty when there is none."""
    if scorecard.deployed_at is None:
        return ""
    earlier_ones = MILESTONES[: MILESTONES.index(scorecard.milestone)]
    mine = [one for one in step.runs() if one.runbook == RUNBOOK and one.run_id != step.run_id]
    for one in [one for one in mine if one.environment == step.environment().name][:LOOKS_AT_MOST]:
        found, problems = examine(step, one.run_id, runbook=RUNBOOK, changes=False)
        before = _scorecard_of(found, problems)
        if before and before.milestone in earlier_ones and before.deployed_at == scorecard.deployed_at:
            return one.run_id
    return ""


def _scorecard_of(found: Earlier | None, problems: tuple[str, ...]) -> Scorecard | None:
    before = result_of(found, CRITERIA) if found is not None and not problems else None
    return before if isinstance(before, Scorecard) else None


def _moved(before: Scorecard, now: Scorecard) -> Iterator[Moved]:
    then = {one.title: one for one in before.criteria}
    for one in now.criteria:
        old = then.get(one.title)
        yield Moved(
            title=one.title,
            before=old.finding if old else "",
            now=one.finding,
            value_before=old.value if old else None,
            value_now=one.value,
            unit=one.unit,
        )
