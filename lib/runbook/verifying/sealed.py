"""A sealed run as it lies in its folder, read once for all that look at it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from runbook.errors import JournalError
from runbook.gates.asked import at_of
from runbook.journal import Record, read_journal
from runbook.seals import SUMS
from runbook.summary import Summary

JOURNAL, SUMMARY, REPORT = "journal.jsonl", "summary.json", "report.html"


@dataclass(frozen=True)
class Sealed:
    """What could be read; what could not is a line in `wrong`, and its place here is empty."""

    folder: Path
    sums: bytes
    journal: bytes
    records: tuple[Record, ...]
    summary: Summary | None
    wrong: tuple[str, ...]

    @property
    def opened(self) -> dict[str, Any]:
        return self.records[0].data if self.records else {}

    @property
    def run_id(self) -> str:
        return str(self.opened.get("run_id", self.folder.name))

    @property
    def environment(self) -> str:
        return str(self.opened.get("environment", ""))

    @property
    def last_at(self) -> datetime | None:
        """Return the time of the journal's last line, None when it cannot be read."""
        return at_of(self.records[-1]) if self.records else None

    def prefixes(self) -> dict[str, int]:
        """Return the SHA-256 of each beginning of the journal, by the number of lines it has."""
        found, so_far = {}, hashlib.sha256()
        for number, line in enumerate(self.journal.splitlines(keepends=True), start=1):
            so_far.update(line)
            found[so_far.hexdigest()] = number
        return found


def read_sealed(folder: Path) -> Sealed:
    """Read sums, journal and summary of a run; never raises for what is missing or broken."""
    wrong: list[str] = []
    records: list[Record] = []
    summary = None
    try:
        records = read_journal(folder / JOURNAL)
        if not records or records[0].kind != "opened":
            records = []
            wrong.append(f"{JOURNAL}:1: a run's journal begins with the line 'opened'; this one does not")
    except JournalError as error:
        wrong.append(str(error).replace(str(folder / JOURNAL), JOURNAL))
    try:
        summary = Summary.model_validate_json(_read(folder / SUMMARY))
    except ValueError as error:
        wrong.append(f"{SUMMARY}: it is not what a run's summary looks like ({_first_line(error)})")
    return Sealed(
        folder, _read(folder / SUMS), _read(folder / JOURNAL), tuple(records), summary, tuple(wrong)
    )


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _first_line(error: ValueError) -> str:
    return " ".join(str(error).splitlines()[:3])
