"""What a run came to, in words: exit code, verdict in a sentence, reasons. The most severe comes first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runbook.summary import ChangeLine, CheckLine, StepStatus
from runbook.values import Checks

NAMED_AT_MOST = 3
IN_DOUBT = ("begun", "undo begun", "not undone")
NO_GO, IN_BETWEEN, PARKED = 3, 4, 75


@dataclass(frozen=True)
class Open:
    """A step that did not end well; `changes` are those it began outside scratch, as they stand."""

    verb: str
    title: str
    status: StepStatus
    exit_code: int
    error: str
    message: str
    checks: Checks | None
    changes: tuple[ChangeLine, ...]

    @property
    def half_done(self) -> bool:
        """Whether some of its changes are in the world, or may be, and others are not."""
        return self.verb == "apply" and any(c.status in (*IN_DOUBT, "applied") for c in self.changes)


@dataclass(frozen=True)
class Situation:
    """What the lines of a run say, as far as its outcome rests on it."""

    mode: str
    alive: bool
    finished: bool
    verdict: str
    aborted: dict[str, Any]
    ended: dict[str, Any]
    last: str
    applied_anything: bool
    rolled_back: bool
    open_steps: tuple[Open, ...]
    changes: tuple[ChangeLine, ...]
    checks: tuple[CheckLine, ...]


@dataclass(frozen=True)
class Outcome:
    """`abandoned`: a newer drill took its place."""

    exit_code: int
    verdict: str
    reasons: tuple[str, ...] = ()
    abandoned: bool = False


def outcome(run: Situation) -> Outcome:
    """Return what a run came to."""
    if run.aborted:
        return _aborted(run)
    if run.alive:
        return Outcome(0, f"Running: {run.last}." if run.last else "Running: just opened.")
    for step in run.open_steps:
        if step.verb == "rollback" and (
            left := [c for c in run.changes if c.status in (*IN_DOUBT, "applied")]
        ):
            how = "came to its end, and not all is undone" if step.status == "failed" else "did not end"
            verdict = f"Left in between: a rollback was begun and {how}; a person is needed now."
            return Outcome(IN_BETWEEN, verdict, _states(left))
        if step.half_done or (step.status == "failed" and step.exit_code == IN_BETWEEN):
            return Outcome(
                IN_BETWEEN, f"Left in between at “{step.title}”: a person is needed now.", _between(step)
            )
    if run.ended.get("error") == "ReplayMismatch":
        return Outcome(2, f"Not resumed: {run.ended['message']}")
    if run.rolled_back:
        return _rolled_back(run)
    if run.open_steps and run.open_steps[-1].status in ("failed", "waiting"):
        return _refused_or_failed(run, run.open_steps[-1])
    if run.finished and not run.open_steps and run.ended.get("exit_code", 0) == 0:
        return Outcome(0, _done(run), _unchecked(run.checks))
    return _fell_over(run)


def _aborted(run: Situation) -> Outcome:
    by, reason = run.aborted["by"], run.aborted["reason"]
    if run.aborted.get("abandoned"):
        return Outcome(1, f"Abandoned: {reason}.", abandoned=True)
    stay = [c for c in run.changes if c.status in (*IN_DOUBT, "applied")]
    what = "nothing of it stays in place" if not stay else f"{_counted(stay)} in place"
    return Outcome(NO_GO, f"Aborted by {by}: {reason}; {what}.", _states(stay))


def _counted(stay: list[ChangeLine]) -> str:
    return "1 change stays" if len(stay) == 1 else f"{len(stay)} changes stay"


def _rolled_back(run: Situation) -> Outcome:
    undone = [c for c in run.changes if c.status == "undone"]
    stays = [c for c in run.changes if c.status == "stays"]
    decided = next((step for step in run.open_steps if step.error == "NoGo"), None)
    because = f" {decided.message[:1].upper()}{decided.message[1:]}." if decided else ""
    number = "1 change was" if len(undone) == 1 else f"{len(undone)} changes were"
    verdict = f"No-go, rolled back: {number} undone and verified.{because}"
    return Outcome(NO_GO, verdict, (*_states(undone), *_states(stays), *_in_place(run)))


def _states(changes: Iterable[ChangeLine]) -> tuple[str, ...]:
    words = {
        "begun": "begun, and nobody saw it end",
        "undo begun": "its undo was begun, and nobody saw it end",
    }
    return tuple(
        f"{c.sentence}: {words.get(c.status, c.status)}{f' ({c.remark})' if c.remark else ''}"
        for c in changes
    )


def _between(step: Open) -> tuple[str, ...]:
    """Return what a person needs to know of a step that stopped between its changes."""
    stopped = f"it stopped with: {step.message}" if step.message else "its process ended in the middle"
    return (*_states(step.changes), stopped)


def _refused_or_failed(run: Situation, step: Open) -> Outcome:
    exit_code = step.exit_code or 1
    if exit_code == 2 and run.applied_anything:  # noqa: PLR2004
        exit_code = 1  # 2 promises that nothing ran
    word = {NO_GO: "No-go", PARKED: "Parked"}.get(exit_code, "Failed")
    failed = step.checks.failed if step.checks else ()
    reasons = tuple(
        f"{check.title}: observed {check.observed}; expected {check.expected}" for check in failed
    )
    said = _failed_titles(step.checks) if failed and step.checks else step.message
    return Outcome(exit_code, f"{word} at “{step.title}”: {said}", (*reasons, *_in_place(run)))


def _in_place(run: Situation) -> tuple[str, ...]:
    """Return what this run has changed and not undone: whoever reads of a failure must know."""
    return tuple(f"in place: {c.sentence}" for c in run.changes if c.status == "applied")


def _failed_titles(checks: Checks) -> str:
    """Return how many checks failed, and which: what they observed stands among the reasons."""
    titles = [check.title for check in checks.failed]
    more = f" and {len(titles) - NAMED_AT_MOST} more" if len(titles) > NAMED_AT_MOST else ""
    return f"{len(titles)} of {len(checks.items)} checks failed: {'; '.join(titles[:NAMED_AT_MOST])}{more}."


def _done(run: Situation) -> str:
    if run.mode == "plan":
        return "Planned only: nothing was changed."
    return run.verdict or f"Done: {sum(line.status == 'passed' for line in run.checks)} checks passed."


def _unchecked(checks: Iterable[CheckLine]) -> tuple[str, ...]:
    return tuple(
        f"not checked: {line.title} ({line.observed})" for line in checks if line.status == "not checked"
    )


def _fell_over(run: Situation) -> Outcome:
    what = run.ended.get("message") or ("" if run.ended else "the process ended without a word")
    where = (
        f"in “{run.open_steps[-1].title}”"
        if run.open_steps
        else f"after “{run.last}”"
        if run.last
        else "at its start"
    )
    said = what or "the notebook ended without run.finish()"
    text = f"Failed {where}: {said}. Nothing is half-done."
    return Outcome(run.ended.get("exit_code") or 1, text, _in_place(run))
