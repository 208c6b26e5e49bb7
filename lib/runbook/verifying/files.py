"""Files against SHA256SUMS: each as it was sealed, none added, none gone, all of them plain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from runbook.seals import SIGNATURE, SUMS, files_of, oddities_of, read_sums, sha256_of
from runbook.verifying.sealed import JOURNAL, REPORT, SUMMARY, Sealed

EVERY_RUN = (JOURNAL, "notebook.ipynb", REPORT, SUMMARY)


def wrong_files(sealed: Sealed) -> Iterator[str]:
    """Return what every run has and this one lacks, and what is neither file nor folder."""
    for name in EVERY_RUN:
        if not (sealed.folder / name).is_file():
            yield f"{name}: missing; every sealed run has it"
    for name in oddities_of(sealed.folder):
        yield f"{name}: a link, an empty folder or no file at all; nothing of a sealed run is that"


def wrong_sums(sealed: Sealed, *, late: frozenset[str]) -> Iterator[str]:
    """Return which files are not those that were sealed; `late` may have been added since."""
    try:
        recorded = read_sums(sealed.sums)
    except ValueError as error:
        yield str(error)
        return
    if list(recorded) != sorted(recorded):
        yield f"{SUMS}: its lines are not in the order they were written in"
    present = set(files_of(sealed.folder))
    for name in sorted(present - set(recorded) - late):
        yield f"{name}: not in {SUMS}; it was added after sealing"
    for name in sorted(set(recorded) - present):
        yield f"{name}: missing; it was there when the run was sealed"
    for name in sorted(present & set(recorded)):
        if sha256_of(sealed.folder / name) != recorded[name]:
            yield f"{name}: its content is not what was sealed"


def is_signed(folder: Path) -> bool:
    """Return whether there is a signature, whatever it is worth."""
    return (folder / SIGNATURE).is_file()
