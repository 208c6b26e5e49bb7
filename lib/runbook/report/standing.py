"""What a run did to the world and on whose word: its changes, approvals, marks, and how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbook.charts.words import count_text
from runbook.handover import Handover, handover
from runbook.report.view import Look, utc
from runbook.summary import ChangeLine, ChangeStatus, Summary

CHANGES_OPEN, CHANGES_AT_MOST = 12, 500
CHANGES: dict[ChangeStatus, Look] = {
    "begun": Look("in doubt", "question", "bad"),
    "undo begun": Look("undo in doubt", "question", "bad"),
    "not undone": Look("not undone", "cross", "bad"),
    "applied": Look("applied", "check", "good"),
    "undone": Look("undone", "back", "wait"),
    "stays": Look("stays, no undo", "skip", "unknown"),
    "was in place": Look("was in place", "skip", "unknown"),
}
UNDER_WAY = Look("under way", "play", "busy")
BROKEN = Look("Break glass, not reviewed", "bolt", "bad")
REVIEWED = Look("Break glass, reviewed", "bolt", "stop")
INCOMPLETE = Look("Evidence incomplete", "alert", "bad")
_NOTICED = ("begun", "undo begun", "not undone")


def marks(summary: Summary | None) -> list[Look]:
    """Return what stands beside a run's state wherever it is named: broken glass, a record with holes."""
    if summary is None:
        return []
    broken = [approval for approval in summary.approvals if approval.break_glass]
    glass = [REVIEWED if all(approval.review for approval in broken) else BROKEN] if broken else []
    return [*glass, *([INCOMPLETE] if summary.lost_lines else [])]


@dataclass(frozen=True)
class ChangeRow:
    """One change as the table shows it."""

    line: ChangeLine
    look: Look
    at: str


@dataclass(frozen=True)
class ChangeTable:
    """The changes outside scratch: those in sight, those folded away, and how many are not here."""

    tally: str
    open: tuple[ChangeRow, ...]
    folded: tuple[ChangeRow, ...]
    left_out: int


def change_table(summary: Summary) -> ChangeTable | None:
    """Return the changes in the order of the record; where they are many, what is in doubt or left first."""
    if not summary.changes:
        return None
    lines = list(summary.changes)
    if len(lines) > CHANGES_OPEN + 3:
        lines.sort(key=lambda line: line.status not in _NOTICED)
        noticed = sum(line.status in _NOTICED for line in lines)
        in_sight = min(CHANGES_AT_MOST, max(noticed, CHANGES_OPEN))
    else:
        in_sight = len(lines)
    running = summary.status == "running"
    rows = [_row(line, running=running) for line in lines[:CHANGES_AT_MOST]]
    left_out = len(lines) - len(rows)
    return ChangeTable(change_tally(summary), tuple(rows[:in_sight]), tuple(rows[in_sight:]), left_out)


def _row(line: ChangeLine, *, running: bool) -> ChangeRow:
    under_way = running and line.status in ("begun", "undo begun")
    return ChangeRow(
        line, UNDER_WAY if under_way else CHANGES[line.status], utc(line.at).removesuffix(" UTC")
    )


def change_tally(summary: Summary) -> str:
    """Return how many changes outside scratch there are of each kind, worst first; "none" without any."""
    found = [
        (look.word, sum(line.status == status for line in summary.changes))
        for status, look in CHANGES.items()
    ]
    return ", ".join(f"{count:,} {word}" for word, count in found if count) or "none outside scratch"


def stands(summary: Summary) -> Handover | None:
    """Return how a run is handed over; None when it is over and nothing is left to be done about it."""
    found = handover(summary)
    return None if summary.terminal and found.safe == "yes" else found


def safety_sentence(summary: Summary) -> str:
    """Return whether what was changed is safe, in one sentence."""
    return handover(summary).safety


def record_facts(summary: Summary) -> list[tuple[str, str]]:
    """Return what the record says of itself beyond the run: hands, edits, what is lost, the seal before."""
    facts = []
    if summary.taken_up_by:
        facts.append(("Taken up by", ", then ".join(_counted(summary.taken_up_by))))
    if summary.edits:
        times = "once" if summary.edits == 1 else f"{summary.edits:,} times"
        facts.append(("Notebook", f"edited {times} while the run was under way; shown as it was last"))
    if summary.lost_lines:
        facts.append(("Lost", f"{count_text(summary.lost_lines, 'line')} of the journal, during a rollback"))
    if summary.predecessor:
        facts.append(("Sealed before with", f"SHA256SUMS of SHA-256 {summary.predecessor}"))
    return facts


def _counted(names: Sequence[str]) -> list[str]:
    """Return names in their order, those that follow themselves once, with how often."""
    runs: list[tuple[str, int]] = []
    for name in names:
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1] + 1)
        else:
            runs.append((name, 1))
    return [name if times == 1 else f"{name} ({times} times)" for name, times in runs]
