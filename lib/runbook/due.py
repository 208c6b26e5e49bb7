"""Which parked runs may go on now: their time has come, or a signature was given since they parked."""

from __future__ import annotations

from pathlib import Path

from runbook import surroundings
from runbook.account import summarize
from runbook.errors import JournalError
from runbook.journal import is_held, read_journal
from runbook.opening import JOURNAL, run_folder
from runbook.rehearsing import clock_of
from runbook.summary import Summary


def due_runs(root: Path) -> list[str]:
    """Return the ids of the parked runs that are due, the longest parked first.

    A run whose record cannot be read is passed over; `runbook status` names it. So is a copy of a
    run's folder.
    """
    found = []
    for path in surroundings.outputs_folder(root).glob(f"*/{JOURNAL}"):
        summary = _due(path)
        if summary is not None:
            found.append((summary.ended_at, summary.run_id))
    return [run_id for _, run_id in sorted(found)]


def is_due(root: Path, run_id: str) -> bool:
    """Return whether a run is due still: since it was listed, others may have taken it up or ended it."""
    return _due(run_folder(root, run_id) / JOURNAL) is not None


def _due(journal: Path) -> Summary | None:
    """Return the account of a run that is parked and may go on now."""
    try:
        summary = summarize(read_journal(journal), alive=is_held(journal))
    except (JournalError, ValueError, KeyError):
        return None
    if summary.status != "parked" or summary.run_id != journal.parent.name:
        return None
    come = summary.waits_until is not None and summary.waits_until <= clock_of(summary.environment).now()
    return summary if come or (summary.waits_for and _signed_since(journal)) else None


def _signed_since(journal: Path) -> bool:
    """Return whether a signature was left in the run's evidence after its last line was written."""
    parked_at = journal.stat().st_mtime_ns
    return any(
        path.stat().st_mtime_ns >= parked_at for path in journal.parent.glob("evidence/approval-*.sig")
    )
