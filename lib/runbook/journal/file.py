"""The journal in a file: one writer at a time, every line durable before `append` returns.

A process that dies in the middle of a line leaves bytes after the last newline; the next writer keeps
them aside next to the journal and notes it. A line that cannot be written whole is taken back, so the
file always ends in a newline, or the error says that it does not.
"""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from threading import RLock
from typing import Any, Self

from runbook.clock import Clock, utc_text
from runbook.errors import JournalCorrupt, JournalError
from runbook.journal.lock import Held, hold
from runbook.journal.record import GENESIS, Kind, Record, damaged, verify_chain

_OPEN = os.O_RDWR | os.O_CREAT | os.O_APPEND


def read_journal(path: Path) -> list[Record]:
    """Return the complete lines of a journal, chain verified; torn bytes at its end are left out.

    Raises JournalError when the file cannot be read, JournalCorrupt when a line is not what was written.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = _read(handle, 0)
        finally:
            os.close(handle)
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error
    lines, _ = _parse(content, where=path.name)
    return [record for record, _ in lines]


def _parse(
    content: bytes,
    *,
    where: str,
    after: tuple[Record, int] | None = None,
    known: Sequence[Record] = (),
) -> tuple[list[tuple[Record, int]], bytes]:
    """Return each record with the size of the file after it, and the torn bytes at the end.

    `content` is what follows the line `after`, or the whole journal; of `known` is taken what it holds.
    """
    seq, end = (after[0].seq, after[1]) if after else (0, 0)
    *whole, torn = content.split(b"\n")
    lines = []
    with _collector_paused():
        for number, (line, same) in enumerate(zip_longest(whole, known[: len(whole)]), start=seq + 1):
            end += len(line) + 1
            lines.append((Record.parse(line, where=f"{where}:{number}", known=same), end))
    verify_chain((record for record, _ in lines), where=where, after=after[0] if after else None)
    _refuse_changed_end(torn, where=f"{where}:{seq + len(whole) + 1}")
    return lines, torn


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Let the garbage collector rest: it would look again and again at what cannot hold a circle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _refuse_changed_end(torn: bytes, *, where: str) -> None:
    """Raise JournalCorrupt when what looks torn is a whole line whose newline was changed."""
    try:
        Record.parse(torn[:-1], where=where)
    except JournalCorrupt:
        return
    raise damaged(where, f"it ends in {torn[-1:]!r} where its newline belongs")


class FileJournal:
    """An open journal that this process alone may append to, until `close` or the process's death."""

    def __init__(self, path: Path, held: Held, lines: list[tuple[Record, int]], clock: Clock) -> None:
        self.path = path
        self._held = held
        self._clock = clock
        self._turn = RLock()
        # Each record with the size of the file after it: one list, so that no interrupt comes between.
        self._lines = lines
        self._writing = False
        self._broken: str | None = None

    @classmethod
    def open(cls, path: Path, *, clock: Clock, known: Sequence[Record] = ()) -> Self:
        """Open or create `path` for this process alone.

        `known` are records that `read_journal` gave a moment ago: the file is verified all the same, but
        decoding their lines again, which is most of the work, is spared.

        Raises RunBusy when another process holds it, JournalCorrupt when what is there is damaged,
        JournalError when it cannot be read, written or kept.
        """
        held = hold(path, _OPEN, clock)
        try:
            return cls._take_up(path, held, clock, known)
        except BaseException as error:
            held.release()
            if isinstance(error, OSError):
                said = f"{path} cannot be taken up: {error.strerror}; nothing is lost"
                raise JournalError(said) from error
            raise

    @classmethod
    def _take_up(cls, path: Path, held: Held, clock: Clock, known: Sequence[Record]) -> Self:
        """Read what is there, make sure it is on disk, and put aside what a dying process left at its end."""
        lines, torn = _parse(_read(held.handle, 0), where=path.name, known=known)
        aside = path.with_name(f"{path.name}.torn-{len(lines) + 1}")
        if torn:
            _keep_aside(aside, torn)
            os.ftruncate(held.handle, lines[-1][1] if lines else 0)
        # Whoever wrote the last line may have died before it was on disk; we are about to rely on it.
        os.fsync(held.handle)
        _sync_folder(path.parent)
        if not lines:
            _sync_folder(path.parent.parent)
        journal = cls(path, held, lines, clock)
        # Also one whose note is missing: its process died before it could write it. A run whose very first
        # line was torn has not begun; its record starts with 'opened', not with a note.
        if lines and aside.exists():
            kept = aside.stat().st_size
            journal.append("note", f"{kept} torn bytes were kept aside", data={"torn_bytes": kept})
        return journal

    @property
    def records(self) -> Sequence[Record]:
        return [record for record, _ in self._lines]

    def since(self, seq: int) -> Sequence[Record]:
        """Return the records after line `seq`, also one that an interrupt kept us from noticing."""
        with self._turn:
            self._settle()
        return [record for record, _ in self._lines[seq:]]

    @property
    def head(self) -> str:
        """Return the hash of the last line."""
        return self._lines[-1][0].hash if self._lines else GENESIS

    def append(self, kind: Kind, title: str, *, key: str = "", data: dict[str, Any] | None = None) -> Record:
        """Write one line and return it once it is on disk; `data` is JSON, as `encode` returns it.

        Raises JournalError when it cannot be written; the file is then as it was before, or the message
        says what is left of the line. JournalCorrupt when another hand has changed the file meanwhile.
        """
        with self._turn:
            return self._append(kind, title, key, data or {})

    def _append(self, kind: Kind, title: str, key: str, data: dict[str, Any]) -> Record:
        self._settle()
        self._refuse_other_hands()
        record, line = Record.make(
            seq=len(self._lines) + 1,
            at=self._next_time(),
            kind=kind,
            title=title,
            key=key,
            data=data,
            prev=self.head,
        )
        self._writing = True
        try:
            self._write(line)
        except JournalError:
            self._writing = False
            raise
        except BaseException:
            self._settle()
            raise
        self._lines.append((record, self._size + len(line)))
        self._writing = False
        return record

    def close(self) -> None:
        """Give the journal up; closing twice is fine."""
        self._held.release()

    def _next_time(self) -> str:
        # A clock that is set back must not make the record run backwards.
        now = utc_text(self._clock.now())
        return max(now, self._lines[-1][0].at) if self._lines else now

    @property
    def _size(self) -> int:
        return self._lines[-1][1] if self._lines else 0

    def _refuse_other_hands(self) -> None:
        """Break off when the file is not what we left: what we added would be lost, or not verify."""
        if self._held.handle < 0:
            self._broken = "it is closed"
        if not self._broken:
            found = self._look()
            if found.st_nlink == 0 and not _is_named(self.path, found):
                self._broken = "it was removed or replaced while this process wrote it"
            elif found.st_size != self._size:
                self._broken = f"another hand has changed it ({found.st_size} bytes, not {self._size})"
                raise damaged(f"{self.path.name}:{len(self._lines) + 1}", self._broken)
        if self._broken:
            raise JournalError(f"{self.path} takes no more lines: {self._broken}")

    def _look(self) -> os.stat_result:
        try:
            return os.fstat(self._held.handle)
        except OSError as error:
            raise JournalError(
                f"{self.path} cannot be looked at: {error.strerror}; nothing is lost"
            ) from error

    def _settle(self) -> None:
        """After an interrupt inside `append`: take in a line that is whole, take back half a one."""
        if not self._writing or self._broken or self._held.handle < 0:
            return
        try:
            last = self._lines[-1] if self._lines else None
            lines, half = _parse(_read(self._held.handle, self._size), where=self.path.name, after=last)
            if lines:
                os.fsync(self._held.handle)
                self._lines.extend(lines)
            if half:
                os.ftruncate(self._held.handle, self._size)
        except OSError as error:
            self._broken = f"what an interrupt left in it could not be settled ({error.strerror})"
        self._writing = False

    def _write(self, line: bytes) -> None:
        try:
            _write_all(self._held.handle, line)
        except OSError as error:
            left = self._take_back("whoever opens the journal next keeps it aside")
            raise JournalError(
                f"{self.path}: the line cannot be written ({error.strerror}); {left or 'nothing is lost'}. "
                "Make room or mend the folder, then resume"
            ) from error
        try:
            os.fsync(self._held.handle)
        except OSError as error:
            # After a failed fsync nobody knows what is on disk, and a second one would say "fine".
            left = self._take_back("whoever opens the journal next may find it there")
            self._broken = f"fsync failed ({error.strerror})"
            raise JournalError(
                f"{self.path}: {self._broken}; {left or 'the line was taken back'}, "
                "and nothing more is recorded. Look after the disk, then resume"
            ) from error

    def _take_back(self, otherwise: str) -> str:
        """Take a line back; return what is left of it and what follows from that, nothing when it is gone."""
        try:
            os.ftruncate(self._held.handle, self._size)
        except OSError as error:
            self._broken = f"what was written of it could not be taken back ({error.strerror})"
            return f"{self._broken}: {otherwise}"
        return ""


def _read(handle: int, start: int) -> bytes:
    """Return the file from `start` to where it ends now: one look, so that a writer cannot come between."""
    size = os.fstat(handle).st_size - start
    parts = []
    while size > 0 and (part := os.pread(handle, size, start)):
        parts.append(part)
        start, size = start + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _write_all(handle: int, content: bytes) -> None:
    """Write all of `content`: where a disk takes only a part, the next write says why."""
    left = memoryview(content)
    while left:
        written = os.write(handle, left)
        if not written:
            raise OSError(errno.EIO, "nothing was written")
        left = left[written:]


def _is_named(path: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), found)
    except OSError:
        return False


def _keep_aside(aside: Path, torn: bytes) -> None:
    """Add torn bytes to a file of their own, unless a process that died right after has done so already."""
    handle = os.open(aside, _OPEN | os.O_CLOEXEC, 0o640)
    try:
        if not _read(handle, 0).endswith(torn):
            _write_all(handle, torn)
        os.fsync(handle)
    finally:
        os.close(handle)
    _sync_folder(aside.parent)


def _sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk, where we may open it and its file system has such a call."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES):
            raise
