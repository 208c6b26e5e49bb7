"""index.html over all runs: what needs a person first, then every run, newest first."""

from __future__ import annotations

import base64
import fcntl
import gc
import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from pathlib import Path

from runbook.errors import UnknownName
from runbook.files import write_atomically
from runbook.report.pages import environment
from runbook.report.rehearsal import REHEARSAL
from runbook.report.remembered import Row, read_rows
from runbook.report.runs import SANDBOX, Need, RunLine
from runbook.report.standing import BROKEN, INCOMPLETE
from runbook.report.trends import LAST, trends
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
    days: tuple[tuple[str, tuple[Row, ...]], ...]


def write_index(outputs: Path) -> Path:
    """Write index.html over the runs in `outputs`, whole or not at all; return its path.

    A folder that cannot be read is listed as unknown, with what is wrong with it. Raises UnknownName when
    `outputs` is no folder, OSError when the index cannot be written.
    """
    if not outputs.is_dir():
        raise UnknownName(f"{outputs} is no folder; runs leave their folders in outputs/")
    path = outputs / INDEX
    with _alone(outputs), _uncollected():
        write_atomically(path, render(read_rows(outputs), rehearsed=(outputs / REHEARSAL).is_file()))
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


@contextmanager
def _uncollected() -> Iterator[None]:
    """Hold back the garbage collector, which else looks through 10,000 growing runs again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def render(rows: list[Row], *, rehearsed: bool = False) -> str:
    """Return the index of these runs, newest first, as HTML; `rehearsed`: there is a rehearsal.html."""
    lines = [row.line for row in rows]
    real = [line for line in lines if line.environment != SANDBOX]
    script, source = _script()
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            parts=_parts(rows),
            counts=_counts(lines),
            groups=_groups(real),
            waiting=[line for line in real if line.waits and not line.needs],
            trends=trends(lines),
            last=LAST,
            choices=_choices(lines),
            rehearsed=[line for line in lines if line.needs and line.environment == SANDBOX],
            rehearsed_last=rehearsed,
            named_at_most=NAMED_AT_MOST,
            unsigned=sum(line.signature == "unsigned" for line in lines),
            broken=sum(BROKEN in line.marks for line in lines),
            incomplete=sum(INCOMPLETE in line.marks for line in lines),
            script=script,
            script_source=source,
        )
    )


@cache
def _script() -> tuple[str, str]:
    """Return the one script, which filters, and the words by which the page's policy lets it alone run."""
    loader = environment().loader
    assert loader is not None  # noqa: S101  # made with one
    text = loader.get_source(environment(), "index.js")[0]
    return text, f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _choices(lines: list[RunLine]) -> dict[str, list[str]]:
    """Return what the list can be filtered by."""
    looks = {line.look.word for line in lines}
    return {
        "runbook": sorted({line.runbook for line in lines} - {""}),
        "environment": sorted({line.environment for line in lines} - {""}),
        "outcome": [look.word for look in WORST_FIRST if look.word in looks],
    }


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


def _parts(rows: list[Row]) -> list[Part]:
    """Return the list in parts of whole days: a browser lays out what is unfolded only."""
    days = [(day, tuple(group)) for day, group in groupby(rows, key=lambda row: row.line.day)]
    parts: list[list[tuple[str, tuple[Row, ...]]]] = []
    count = ROWS_A_PART
    for day in days:
        if count >= ROWS_A_PART:
            parts.append([])
            count = 0
        parts[-1].append(day)
        count += len(day[1])
    return [_part(part) for part in parts]


def _part(days: list[tuple[str, tuple[Row, ...]]]) -> Part:
    newest, oldest = days[0][0], days[-1][0]
    title = newest if newest == oldest else f"{oldest} to {newest}"
    return Part(title, _counts([row.line for _, rows in days for row in rows]), tuple(days))
