"""Which parked runs may go on now: their time has come, or a signature was given since they parked."""

from __future__ import annotations

from pathlib import Path

from runbook import surroundings
from runbook.account import summarize
from runbook.errors import JournalError
from runbook.journal import is_held, read_journal
from runbook.opening import JOURNAL, clock_of


def due_runs(root: Path) -> list[str]:
    """Return the ids of the parked runs that are due, the longest parked first.

    A run whose record cannot be read is passed over; `runbook status` names it.
    """
    found = []
    for path in surroundings.outputs_folder(root).glob(f"*/{JOURNAL}"):
        try:
            summary = summarize(read_journal(path), alive=is_held(path))
        except (JournalError, ValueError, KeyError):
            continue
        if summary.status != "parked" or summary.ended_at is None:
            continue
        now = clock_of(summary.environment).now()
        come = summary.waits_until is not None and summary.waits_until <= now
        if come or (summary.waits_for and _signed_since(path)):
            found.append((summary.ended_at, summary.run_id))
    return [run_id for _, run_id in sorted(found)]


def _signed_since(journal: Path) -> bool:
    """Return whether a signature was left in the run's evidence after its last line was written."""
    parked_at = journal.stat().st_mtime_ns
    return any(
        path.stat().st_mtime_ns >= parked_at for path in journal.parent.glob("evidence/approval-*.sig")
    )
