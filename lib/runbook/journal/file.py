"""The journal in a file: one writer at a time, every line durable before `append` returns.

A process that dies in the middle of a line leaves bytes after the last newline; the next writer keeps
them aside next to the journal and notes it. A line that cannot be written whole is taken back, so the
file always ends in a newline.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

from runbook.clock import Clock, utc_text
from runbook.errors import JournalError, RunBusy
from runbook.journal.record import GENESIS, Kind, Record, verify_chain


def read_journal(path: Path) -> list[Record]:
    """Return the complete lines of a journal, chain verified; torn bytes at its end are left out.

    Raises JournalError when the file cannot be read, JournalCorrupt when a line is not what was written.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error
    return _parse(content[: content.rfind(b"\n") + 1], where=path.name)


def _parse(whole: bytes, *, where: str) -> list[Record]:
    lines = whole.split(b"\n")[:-1]
    records = [Record.parse(line, where=f"{where}:{number}") for number, line in enumerate(lines, start=1)]
    verify_chain(records, where=where)
    return records


class FileJournal:
    """An open journal that this process alone may append to, until `close` or the process's death."""

    def __init__(self, path: Path, handle: int, records: list[Record], clock: Clock) -> None:
        self.path = path
        self._handle = handle
        self._clock = clock
        # Each record with the size of the file after it: one list, so that no interrupt comes between.
        self._lines = _with_ends(records)
        self._broken: str | None = None

    @classmethod
    def open(cls, path: Path, *, clock: Clock) -> Self:
        """Open or create `path` for this process alone.

        Raises RunBusy when another process holds it, JournalCorrupt when what is there is damaged.
        """
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise JournalError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            _lock(handle, path, clock)
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            records = _parse(whole, where=path.name)
            torn = content[len(whole) :]
            if torn:
                _keep_aside(path, torn, seq=len(records) + 1)
                os.ftruncate(handle, len(whole))
            _sync_folder(path.parent)
        except BaseException:
            os.close(handle)
            raise
        journal = cls(path, handle, records, clock)
        if torn:
            journal.append("note", f"{len(torn)} torn bytes were kept aside", data={"torn_bytes": len(torn)})
        return journal

    @property
    def records(self) -> Sequence[Record]:
        return [record for record, _ in self._lines]

    def since(self, seq: int) -> Sequence[Record]:
        """Return the records after line `seq`, also one that an interrupt kept us from noticing."""
        if not self._broken:
            self._catch_up()
        return [record for record, _ in self._lines[seq:]]

    @property
    def head(self) -> str:
        """Return the hash of the last line."""
        return self._lines[-1][0].hash if self._lines else GENESIS

    def append(self, kind: Kind, title: str, *, key: str = "", data: dict[str, Any] | None = None) -> Record:
        """Write one line and return it once it is on disk.

        Raises JournalError when it cannot be written; the file is then as it was before.
        """
        if self._broken:
            raise JournalError(f"{self.path} takes no more lines: {self._broken}")
        self._catch_up()
        record = Record.make(
            seq=len(self._lines) + 1,
            at=self._next_time(),
            kind=kind,
            title=title,
            key=key,
            data=data or {},
            prev=self.head,
        )
        line = record.line()
        self._write(line)
        self._lines.append((record, self._size + len(line)))
        return record

    def close(self) -> None:
        """Give the journal up; closing twice is fine."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
            self._broken = "it is closed"

    def _next_time(self) -> str:
        # A clock that is set back must not make the record run backwards.
        now = utc_text(self._clock.now())
        return max(now, self._lines[-1][0].at) if self._lines else now

    @property
    def _size(self) -> int:
        return self._lines[-1][1] if self._lines else 0

    def _catch_up(self) -> None:
        """Take in a line that an interrupt kept us from noticing, and take back half a one."""
        if os.fstat(self._handle).st_size == self._size:
            return
        content = self.path.read_bytes()[self._size :]
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines(keepends=True):
            record = Record.parse(line, where=f"{self.path.name}:{len(self._lines) + 1}")
            self._lines.append((record, self._size + len(line)))
        os.ftruncate(self._handle, self._size)

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._handle, line)
            if written < len(line):
                raise OSError(28, f"only {written} of {len(line)} bytes were written")
        except OSError as error:
            self._take_back()
            raise JournalError(
                f"{self.path}: the line cannot be written ({error.strerror}); nothing is lost. "
                "Make room or mend the folder, then resume"
            ) from error
        try:
            os.fsync(self._handle)
        except OSError as error:
            # After a failed fsync nobody knows what is on disk, and a second one would say "fine".
            self._broken = f"fsync failed ({error.strerror})"
            raise JournalError(f"{self.path}: {self._broken}; nothing more is recorded") from error

    def _take_back(self) -> None:
        try:
            os.ftruncate(self._handle, self._size)
        except OSError as error:
            self._broken = f"a torn line could not be taken back ({error.strerror})"


def is_held(path: Path) -> bool:
    """Return whether a process is executing the run of this journal, or driving its kernel, now."""
    return any(_is_locked(place) for place in (path, path.parent))


def _is_locked(place: Path) -> bool:
    handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return not _try(handle, fcntl.LOCK_SH)
    finally:
        os.close(handle)


@contextmanager
def driving(folder: Path, *, clock: Clock) -> Iterator[None]:
    """Hold a run's folder for the process that drives its kernel, from before its start until it is sealed.

    Raises RunBusy when another process does.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(handle, folder, clock)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, path: Path, clock: Clock) -> None:
    # Somebody asking `is_held` holds it for a moment; that is not yet another executor.
    for _ in range(5):
        if _try(handle, fcntl.LOCK_EX):
            return
        clock.sleep_until(clock.now() + timedelta(milliseconds=40))
    name = path.name if path.is_dir() else path.parent.name
    raise RunBusy(f"the run {name} is being executed by another process; see it with: runbook status {name}")


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _with_ends(records: list[Record]) -> list[tuple[Record, int]]:
    ends = accumulate(len(record.line()) for record in records)
    return list(zip(records, ends, strict=True))


def _keep_aside(path: Path, torn: bytes, *, seq: int) -> None:
    aside = path.with_name(f"{path.name}.torn-{seq}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    try:
        os.write(handle, torn)
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
