"""Sealing a run: charts, report and sums are written from what is recorded; and checking that again.

SHA256SUMS is in the form of `sha256sum -c`, so that anyone can check a run without this package.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from runbook.account import summarize
from runbook.errors import JournalError
from runbook.files import write_atomically
from runbook.journal import read_journal
from runbook.report import write_charts, write_report
from runbook.summary import Summary

SUMS = "SHA256SUMS"
SIGNATURE = "SHA256SUMS.sig"
EVERY_RUN = ("journal.jsonl", "notebook.ipynb", "report.html", "summary.json")


def write_summary(folder: Path) -> Summary:
    """Write summary.json anew from the journal and return it."""
    summary = summarize(read_journal(folder / "journal.jsonl"))
    write_atomically(folder / "summary.json", summary.model_dump_json(indent=1) + "\n")
    return summary


def seal(folder: Path) -> Summary:
    """Write summary, charts, report and sums of a run whose notebook lies in its folder."""
    summary = write_summary(folder)
    write_charts(folder)
    write_report(folder)
    write_sums(folder)
    return summary


def write_sums(folder: Path) -> None:
    """Write the SHA-256 of every file of the run but the sums themselves."""
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in _files(folder)]
    write_atomically(folder / SUMS, "".join(lines))


def verify(folder: Path) -> list[str]:
    """Return what is wrong with a sealed run, a line each; nothing wrong, nothing returned.

    Compares every file with its sum, the journal with its chain, the summary with the journal.
    """
    if not (folder / SUMS).is_file():
        return [f"{SUMS}: missing; the run is not sealed"]
    return [*_wrong_files(folder), *_wrong_sums(folder), *_wrong_record(folder)]


def _wrong_files(folder: Path) -> list[str]:
    """Return the files that every run has and this one lacks, and what is no plain file."""
    absent = [name for name in EVERY_RUN if not (folder / name).is_file()]
    odd = [path for path in folder.rglob("*") if path.is_symlink() or not (path.is_file() or path.is_dir())]
    lacking = [f"{name}: missing; every sealed run has it" for name in absent]
    return [*lacking, *(f"{path.relative_to(folder)}: no plain file, so nothing of the run" for path in odd)]


def _wrong_sums(folder: Path) -> list[str]:
    recorded: dict[str, str] = {}
    text = (folder / SUMS).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        found, gap, name = line.partition("  ")
        if not gap or name in recorded:
            return [f"{SUMS}:{number}: not a line that sha256sum writes, or a file named twice"]
        recorded[name] = found
    present = set(_files(folder))
    return [
        *(f"{name}: not in {SUMS}; it was added after sealing" for name in sorted(present - set(recorded))),
        *(
            f"{name}: missing; it was there when the run was sealed"
            for name in sorted(set(recorded) - present)
        ),
        *(
            f"{name}: its content is not what was sealed"
            for name in sorted(present & set(recorded))
            if _sha256(folder / name) != recorded[name]
        ),
    ]


def _wrong_record(folder: Path) -> list[str]:
    try:
        summary = summarize(read_journal(folder / "journal.jsonl"))
        written = Summary.model_validate_json((folder / "summary.json").read_bytes())
    except (JournalError, OSError, ValueError) as error:
        return [f"journal.jsonl or summary.json: {error}"]
    if summary.model_copy(update={"signature": written.signature}) != written:
        return ["summary.json: does not say what the journal says"]
    return []


def _files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = (path.relative_to(folder).as_posix() for path in found)
    return sorted(name for name in names if name not in (SUMS, SIGNATURE))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
