"""A run's private folder, and everything in it, that die with the process that opened it.

The folder is 0700 under the system's temporary folder. A keeper (keeper.py) destroys it when the
owner closes it or ends in any way; folders whose owner and keeper are both dead are swept by the
next `open_scratch`.
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import pwd
import subprocess
import sys
import tempfile
import threading
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from runbook import keeper
from runbook.clock import WallClock, utc_text
from runbook.errors import StepFailed
from runbook.values import Value

PREFIX = "runbook-"
UNBORN = ".runbook-new-"  # between mkdir and lock; never swept while young
UNBORN_TOO_OLD_S = 3600.0


_open: weakref.WeakSet[Scratch] = weakref.WeakSet()


def _after_fork() -> None:
    """A forked child holds nothing of its parent's folders, or they would outlive the parent."""
    for scratch in _open:
        scratch.disown()


os.register_at_fork(after_in_child=_after_fork)


class Destruction(Value):
    """What the destruction of a scratch folder removed; `left` is empty when nothing remained."""

    folder: str
    reason: str
    opened_at: datetime
    destroyed_at: datetime
    files: int
    size_bytes: int
    processes: tuple[str, ...]
    shared_memory_segments: int
    left: tuple[str, ...]

    @classmethod
    def of(cls, record: keeper.Record) -> Destruction:
        return cls.model_validate_json(json.dumps(asdict(record)))


class Scratch:
    """An open scratch folder; use it as a context manager or call `close()`."""

    def __init__(self, guard: Guard, lock: int, receipt: Path | None, opened_at: str) -> None:
        self.folder, self._receipt, self._opened_at = guard.folder, receipt, opened_at
        self._keeper, self._pipe = guard.keeper, guard.pipe
        self._owner, self._lock = os.getpid(), lock
        self._gone: Destruction | None = None
        self._children: list[keeper.Child] = []
        self._closing = threading.RLock()
        _open.add(self)
        atexit.register(self.close)

    @property
    def keeper_pid(self) -> int:
        return self._keeper.pid

    def adopt(self, pid: int) -> None:
        """Have the keeper end this process too, wherever it works (what works in the folder dies anyway)."""
        child = keeper.Child(pid, keeper.started(pid))
        self._children.append(child)
        with suppress(OSError):  # a dead keeper: close() does it
            os.write(self._pipe, f"child {child.pid} {child.started}\n".encode())

    def close(self) -> Destruction | None:
        """Destroy the folder and all that runs in it; return the record (None in a forked child)."""
        if os.getpid() != self._owner:
            return None
        with self._closing:
            if self._gone is None:
                self._gone = self._ask_keeper() or self._do_it_ourselves()
                self._release()
        return self._gone

    def _ask_keeper(self) -> Destruction | None:
        with suppress(OSError):
            os.write(self._pipe, b"close\n")
        said, _ = self._keeper.communicate()
        return Destruction.model_validate_json(said) if said else None

    def _do_it_ourselves(self) -> Destruction:
        """The keeper is dead, killed by someone: nothing of the folder may outlive us all the same."""
        record = keeper.destroy(
            self.folder,
            reason="closed, its keeper was dead",
            spare=set(),
            children=self._children,
            opened_at=self._opened_at,
        )
        if self._receipt is not None:
            keeper.write_receipt(record, self._receipt)
        return Destruction.of(record)

    def _release(self) -> None:
        atexit.unregister(self.close)
        self.disown()

    def disown(self) -> None:
        """Let go of pipe and lock, at the end or in a forked child."""
        for handle in (self._pipe, self._lock):
            with suppress(OSError):
                if handle >= 0:
                    os.close(handle)
        self._pipe = self._lock = -1

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_scratch(*, receipt: Path | None = None, root: Path | None = None) -> Scratch:
    """Make a private folder that dies with this process; sweeps what dead processes left first.

    `receipt` is where the record of the destruction will be written, by whoever does it; `root` is where
    the folder is made (default: the system's temporary folder).
    Raises StepFailed when the temporary folder cannot be written.
    """
    sweep()
    opened_at = utc_text(WallClock().now())
    where = Path(root or tempfile.gettempdir()).resolve()
    read, pipe = os.pipe()
    try:
        guard = _start_keeper(where, receipt, read, pipe, opened_at)
        lock = os.open(guard.folder, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return Scratch(guard, lock, receipt.resolve() if receipt else None, opened_at)
    except BaseException:  # an interrupt at any point: the keeper hears it and leaves nothing
        os.close(pipe)
        raise
    finally:
        os.close(read)


def sweep() -> tuple[Destruction, ...]:
    """Destroy the folders whose owner and keeper are both dead; return what was destroyed."""
    swept = []
    for root in {Path(tempfile.gettempdir()).resolve(), Path("/tmp").resolve()}:  # noqa: S108  # read only
        for folder in root.glob(f"{UNBORN}*"):
            with suppress(OSError):
                if _is_old(folder):
                    folder.rmdir()
        for folder in root.glob(f"{PREFIX}*"):
            with suppress(OSError):
                if (record := _sweep_one(folder)) is not None:
                    swept.append(Destruction.of(record))
    return tuple(swept)


def _is_old(unborn: Path) -> bool:
    """Say whether a folder of ours was left between its making and its locking; it holds a note at most."""
    found = unborn.lstat()
    if found.st_uid != os.geteuid() or WallClock().now().timestamp() - found.st_mtime < UNBORN_TOO_OLD_S:
        return False
    (unborn / keeper.NOTE).unlink(missing_ok=True)
    return True


def _sweep_one(folder: Path) -> keeper.Record | None:
    """Destroy one folder if it is ours and nobody holds it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(lock)
        if found.st_uid not in _ours():
            return None
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: someone lives there
        if folder.stat().st_ino != found.st_ino or not (folder / keeper.NOTE).is_file():
            return None  # another's folder of a like name: ours have their note before they have their name
        opened_at, receipt = _read_note(folder)
        record = keeper.destroy(
            folder,
            reason="swept: owner and keeper were dead",
            spare={os.getpid()},
            children=[],
            opened_at=opened_at,
        )
        if receipt is not None:
            keeper.write_receipt(record, receipt)
        return record
    finally:
        os.close(lock)


def _ours() -> set[int]:
    """Return the owners of folders we may sweep: ourselves, and for root whom PostgreSQL runs as."""
    ours = {os.geteuid()}
    if os.geteuid() == 0:
        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                ours.add(pwd.getpwnam(name).pw_uid)
    return ours


def _read_note(folder: Path) -> tuple[str, Path | None]:
    """Return when a folder was opened and where its receipt goes; a note by another user is not believed."""
    note = folder / keeper.NOTE
    with suppress(OSError, ValueError, KeyError, TypeError):
        if note.lstat().st_uid == os.geteuid() and not note.is_symlink():
            said = json.loads(note.read_text())
            return str(said["opened_at"]), Path(said["receipt"]) if said["receipt"] else None
    changed = datetime.fromtimestamp(folder.stat().st_ctime, UTC)
    return changed.isoformat(), None


@dataclass(frozen=True)
class Guard:
    """A folder and the process that keeps it, as long as `pipe` is open."""

    folder: Path
    keeper: subprocess.Popen[bytes]
    pipe: int


def _start_keeper(where: Path, receipt: Path | None, read: int, pipe: int, opened_at: str) -> Guard:
    """Start the keeper in a session of its own: Ctrl-C and the end of a terminal are not meant for it."""
    command = [sys.executable, "-I", "-S", keeper.__file__]
    written_to = str(receipt.resolve()) if receipt else "-"
    keeper_process = subprocess.Popen(
        [*command, str(where), PREFIX, written_to, str(read), str(os.getpid()), opened_at],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(read,),
        start_new_session=True,
        cwd="/",
        env={},
    )
    said = keeper_process.stdout.readline() if keeper_process.stdout else b""
    if not said.startswith(b"/"):
        keeper_process.communicate()
        why = os.fsdecode(said).strip("!\n") or "its keeper did not start"
        raise StepFailed(f"no scratch folder could be made in {where}: {why}")
    return Guard(Path(os.fsdecode(said.rstrip(b"\n"))), keeper_process, pipe)
