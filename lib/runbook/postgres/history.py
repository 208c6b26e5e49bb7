"""Reads out of the write-ahead log what happened: commits in order, and who changed how much of which table.

`pg_waldump` writes a line per record; they are read as a stream. Kept are three numbers per commit, and for
each table only the transactions that changed most of it, so hours of log fit in memory.
"""

from __future__ import annotations

import heapq
import re
import shutil
import subprocess
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from runbook.errors import StepFailed
from runbook.postgres.programs import Programs
from runbook.postgres.proving import archive_of
from runbook.postgres.values import Backup
from runbook.postgres.wal import Lsn, make_view
from runbook.step import Step

LARGEST_KEPT = 8  # transactions kept per table
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RECORD = re.compile(rb"tx:\s+(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), .*?desc: (\w+)")
RELATION = re.compile(rb"blkref #0: rel (\d+/\d+/\d+)")
COMMITTED = re.compile(
    rb"(?:COMMIT_PREPARED (\d+):|COMMIT) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC(?:; (.*))?"
)
DETAIL = re.compile(r"(rels|subxacts):([^;]*)")
TEMPORARY = re.compile(r"/t\d+_\d+")
ENDED_IN_LOG = ("invalid record length", "invalid magic number", "could not find", "contrecord")


class Commit(NamedTuple):
    """A committed transaction: where its commit record starts in the log, and when that was."""

    xid: int
    lsn: Lsn
    at: datetime

    def __str__(self) -> str:
        return (
            f"transaction {self.xid}, committed at {self.lsn} on {self.at.isoformat(timespec='milliseconds')}"
        )


class Change(NamedTuple):
    """How many rows of a relation a committed transaction deleted or updated, as the log counts them."""

    rows: int
    commit: Commit


class Drop(NamedTuple):
    """A commit that let go of relations' files, and by how many relations it left fewer than it found.

    None fewer is a rewrite: TRUNCATE, VACUUM FULL, a refreshed view.
    """

    commit: Commit
    relations: int
    files: tuple[str, ...]


@dataclass
class History:
    """What the log says from a backup's start to its end, of committed transactions only.

    `largest` holds, by relation ("tablespace/database/file"), the transactions that changed most of it,
    largest first; `drops` the commits that let go of files.
    """

    begins: Lsn
    ends: Lsn
    largest: dict[str, list[Change]] = field(default_factory=dict)
    drops: list[Drop] = field(default_factory=list)
    _xids: array[int] = field(default_factory=lambda: array("L"))
    _lsns: array[int] = field(default_factory=lambda: array("Q"))
    _times_us: array[int] = field(default_factory=lambda: array("q"))

    def add(self, commit: Commit) -> None:
        self._xids.append(commit.xid)
        self._lsns.append(commit.lsn)
        self._times_us.append((commit.at - EPOCH) // timedelta(microseconds=1))

    def __len__(self) -> int:
        return len(self._xids)

    def __getitem__(self, place: int) -> Commit:
        at = EPOCH + timedelta(microseconds=self._times_us[place])
        return Commit(self._xids[place], Lsn(self._lsns[place]), at)

    def __iter__(self) -> Iterator[Commit]:
        return (self[place] for place in range(len(self)))

    def place_of(self, commit: Commit) -> int:
        """Return where a commit stands in the order of commits; ValueError when it is not one of them."""
        return self._lsns.index(commit.lsn)


def read_history(step: Step, programs: Programs, backup: Backup, *, catalogue_file: str) -> History:
    """Read the whole log that a base backup's archive holds.

    `catalogue_file` is pg_class's ("1663/5/1259"), whose deleted rows tell a drop. Raises StepFailed when
    the log cannot be read; that it has no gap is proven elsewhere (proving.py).
    """
    if backup.start_lsn is None or backup.timeline is None:
        raise StepFailed("the backup does not say where it starts in the log, so the log cannot be searched")
    archive, start = archive_of(backup), Lsn.parse(backup.start_lsn)
    timeline = archive.newest_timeline(base=backup.timeline)
    stretches = archive.stretches(timeline, base=backup.timeline)
    shown: dict[str, Path] = {}
    number = archive.number_of(start)
    while (segment := archive.segments.get((archive.timeline_at(number, stretches), number))) is not None:
        shown[archive.name(timeline, number)] = segment.path
        number += 1
    if not shown:
        raise StepFailed(f"the archive does not hold the segment with {start}, where the backup starts")
    end = Lsn(number * archive.segment_bytes)
    with (
        _view(programs, shown) as view,
        step.progress("reading the log", total=(end - start) / 1e6, unit="MB") as bar,
    ):
        reader = _Reader(History(start, start), catalogue_file)
        for line in _lines(programs, view, timeline, start, end):
            if reader.take(line):
                bar.at((reader.history.ends - start) / 1e6)
        return reader.finish()


@contextmanager
def _view(programs: Programs, shown: dict[str, Path]) -> Iterator[Path]:
    """Show the segments to pg_waldump as one timeline, so that it reads across switches as recovery does."""
    folder = programs.own(Path(tempfile.mkdtemp(prefix="history-", dir=programs.scratch)))
    try:
        yield make_view(programs, shown, folder / "view")
    finally:
        shutil.rmtree(folder)


def _lines(programs: Programs, view: Path, timeline: int, start: Lsn, end: Lsn) -> Iterator[bytes]:
    """Yield pg_waldump's lines of heap and transaction records."""
    arguments = ("-p", str(view), "-t", str(timeline), "-s", str(start), "-e", str(end))
    with (
        tempfile.TemporaryFile() as complaints,
        programs.spawn(
            "pg_waldump",
            *arguments,
            "-r",
            "Heap",
            "-r",
            "Transaction",
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as child,
    ):
        try:
            assert child.stdout is not None  # noqa: S101  # it was asked for
            yield from child.stdout
            child.wait()
        finally:
            child.kill()
        complaints.seek(0)
        said = complaints.read().decode(errors="replace").strip()
    if child.returncode and not any(words in said for words in ENDED_IN_LOG):
        raise StepFailed(f"pg_waldump could not read the log: {said}")


class _Reader:
    """Takes the lines one by one; counts per open transaction, and settles when it commits or aborts."""

    def __init__(self, history: History, catalogue_file: str) -> None:
        self.history = history
        self._catalogue = catalogue_file
        self._open: dict[int, Counter[str]] = {}

    def take(self, line: bytes) -> bool:
        """Read one record; True when it ended a transaction."""
        found = RECORD.search(line)
        if found is None:
            return False
        xid, does = int(found[1]), found[3]
        if does in (b"COMMIT", b"COMMIT_PREPARED"):
            self._commit(xid, Lsn.parse(found[2].decode()), line)
            return True
        if does in (b"ABORT", b"ABORT_PREPARED"):
            self._open.pop(xid, None)
            return True
        if does in (b"DELETE", b"UPDATE", b"HOT_UPDATE", b"INSERT"):
            self._count(xid, does, line)
        return False

    def _count(self, xid: int, does: bytes, line: bytes) -> None:
        found = RELATION.search(line)
        if found is None:
            return
        relation = found[1].decode()
        if relation == self._catalogue:
            step = {b"DELETE": 1, b"INSERT": -1}.get(does, 0)
        else:
            step = 0 if does == b"INSERT" else 1
        if step:
            self._open.setdefault(xid, Counter())[relation] += step

    def _commit(self, xid: int, lsn: Lsn, line: bytes) -> None:
        found = COMMITTED.search(line)
        if found is None:
            raise StepFailed(f"pg_waldump wrote a commit in a form unknown here: {line[:200]!r}")
        at = datetime.fromisoformat(found[2].decode()).replace(tzinfo=UTC)
        commit = Commit(int(found[1] or xid), lsn, at)
        details = {name: text.split() for name, text in DETAIL.findall((found[3] or b"").decode())}
        self.history.add(commit)
        self.history.ends = lsn
        counts = Counter[str]()
        for one in (xid, commit.xid, *map(int, details.get("subxacts", []))):
            counts.update(self._open.pop(one, {}))
        dropped = counts.pop(self._catalogue, 0)
        files = tuple(name for name in details.get("rels", []) if not TEMPORARY.search(name))
        if files:
            self.history.drops.append(Drop(commit, max(0, dropped), files))
        for relation, rows in counts.items():
            kept = self.history.largest.setdefault(relation, [])
            heapq.heappush(kept, Change(rows, commit))
            if len(kept) > LARGEST_KEPT:
                heapq.heappop(kept)

    def finish(self) -> History:
        for kept in self.history.largest.values():
            kept.sort(reverse=True)
        return self.history
