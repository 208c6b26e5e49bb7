"""index.html over all runs: what needs a person first, then every run, newest first."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from runbook.errors import UnknownName
from runbook.files import write_atomically
from runbook.report.pages import environment
from runbook.report.runs import SANDBOX, Need, RunLine, read_runs
from runbook.report.standing import BROKEN, INCOMPLETE
from runbook.report.view import WORST_FIRST, Look

INDEX, LOCK = "index.html", ".index.lock"
NAMED_AT_MOST = 50  # of each need; the others are in the list, marked
ROWS_A_PART = 200
NEEDS: dict[Need, str] = {
    "left in between": "Left in between",
    "changes in place": "Stopped, with changes in place",
    "unknown": "Came to no end",
    "signature": "Waiting for a signature",
    "review": "Break glass, not looked at since",
}


@dataclass(frozen=True)
class Group:
    """The runs that need a person for one reason: those named, and how many more there are."""

    need: Need
    title: str
    lines: tuple[RunLine, ...]
    more: int


@dataclass(frozen=True)
class Part:
    """Some whole days of the list: folded away unless it is the first."""

    title: str
    counts: tuple[tuple[Look, int], ...]
    days: tuple[tuple[str, tuple[RunLine, ...]], ...]


def write_index(outputs: Path) -> Path:
    """Write index.html over the runs in `outputs`, whole or not at all; return its path.

    A folder that cannot be read is listed as unknown, with what is wrong with it. Raises UnknownName when
    `outputs` is no folder, OSError when the index cannot be written.
    """
    if not outputs.is_dir():
        raise UnknownName(f"{outputs} is no folder; runs leave their folders in outputs/")
    path = outputs / INDEX
    with _alone(outputs):
        write_atomically(path, render(read_runs(outputs)))
    return path


@contextmanager
def _alone(outputs: Path) -> Iterator[None]:
    """Let one process at a time read and write: of two runs that end together, the index shows both."""
    handle = os.open(outputs / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def render(lines: list[RunLine]) -> str:
    """Return the index of these lines, which are newest first, as HTML."""
    real = [line for line in lines if line.environment != SANDBOX]
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            parts=_parts(lines),
            counts=_counts(lines),
            groups=_groups(real),
            rehearsed=[line for line in lines if line.needs and line.environment == SANDBOX],
            named_at_most=NAMED_AT_MOST,
            unsigned=sum(line.signature == "unsigned" for line in lines),
            broken=sum(BROKEN in line.marks for line in lines),
            incomplete=sum(INCOMPLETE in line.marks for line in lines),
        )
    )


def _groups(lines: list[RunLine]) -> list[Group]:
    found = [(need, title, [line for line in lines if need in line.needs]) for need, title in NEEDS.items()]
    return [
        Group(need, title, tuple(some[:NAMED_AT_MOST]), max(0, len(some) - NAMED_AT_MOST))
        for need, title, some in found
        if some
    ]


def _counts(lines: list[RunLine]) -> tuple[tuple[Look, int], ...]:
    found = Counter(line.look for line in lines)
    return tuple((look, found[look]) for look in WORST_FIRST if look in found)


def _parts(lines: list[RunLine]) -> list[Part]:
    """Return the list in parts of whole days: a browser lays out what is unfolded only."""
    days = [(day, tuple(group)) for day, group in groupby(lines, key=lambda line: line.day)]
    parts: list[list[tuple[str, tuple[RunLine, ...]]]] = []
    rows = ROWS_A_PART
    for day in days:
        if rows >= ROWS_A_PART:
            parts.append([])
            rows = 0
        parts[-1].append(day)
        rows += len(day[1])
    return [_part(part) for part in parts]


def _part(days: list[tuple[str, tuple[RunLine, ...]]]) -> Part:
    newest, oldest = days[0][0], days[-1][0]
    title = newest if newest == oldest else f"{oldest} to {newest}"
    return Part(title, _counts([line for _, lines in days for line in lines]), tuple(days))
