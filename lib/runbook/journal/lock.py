"""The lock of a run: one process executes it, one drives its kernel; their death releases it.

Locks are the kernel's own (flock) on the journal and on the run's folder, so nothing is left behind that a
person would have to remove. Where Linux tells who holds one, the refusal says so.
"""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from weakref import WeakSet

from runbook.clock import Clock
from runbook.errors import JournalError, RunBusy

LOCKS = Path("/proc/locks")
TRIES = 5
PAUSE = timedelta(milliseconds=40)


def is_held(path: Path) -> bool:
    """Return whether a process is executing the run of this journal, or driving its kernel, now."""
    return any(_is_locked(place) for place in (path, path.parent))


def _is_locked(place: Path) -> bool:
    try:
        handle = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise JournalError(f"{place} cannot be read: {error.strerror}") from error
    try:
        return not _try(handle, fcntl.LOCK_SH, place)
    finally:
        os.close(handle)


class Held:
    """A file or folder that this process alone has locked, until `release` or its death.

    A child that is forked off does not inherit it: else it would keep the run locked when its parent dies.
    """

    def __init__(self, handle: int) -> None:
        self.handle = handle
        _all_held.add(self)

    def release(self) -> None:
        """Give it up; doing so twice is fine."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


_all_held: WeakSet[Held] = WeakSet()


def _let_go_in_child() -> None:
    for held in list(_all_held):
        held.release()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def driving(folder: Path, *, clock: Clock) -> Iterator[None]:
    """Hold a run's folder for the process that drives its kernel, from before its start until it is sealed.

    Raises RunBusy when another process does.
    """
    held = hold(folder, os.O_RDONLY | os.O_DIRECTORY, clock)
    try:
        yield
    finally:
        held.release()


def hold(path: Path, flags: int, clock: Clock) -> Held:
    """Open `path` and lock it for this process alone.

    Raises RunBusy naming the run and, where it can be known, who holds it.
    """
    try:
        held = Held(os.open(path, flags | os.O_CLOEXEC, 0o640))
    except OSError as error:
        raise JournalError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        _lock(held.handle, path, clock)
    except BaseException:
        held.release()
        raise
    return held


def _lock(handle: int, path: Path, clock: Clock) -> None:
    # Somebody asking `is_held` holds it for a moment; that is not yet another executor.
    for _ in range(TRIES):
        if _try(handle, fcntl.LOCK_EX, path):
            return
        clock.sleep_until(clock.now() + PAUSE)
    name = path.name if path.is_dir() else path.parent.name
    raise RunBusy(
        f"the run {name} is being executed by {_holder(handle)}; see it with: runbook status {name}"
    )


def _try(handle: int, kind: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise JournalError(
            f"{path} cannot be locked ({error.strerror}); a run needs a file system that can lock files"
        ) from error
    return True


def _holder(handle: int) -> str:
    """Return who holds the lock in words; only that it is another process where nothing more can be known."""
    for pid in _lockers(handle):
        if pid == os.getpid():
            return f"this very process (pid {pid})"
        if known := _process(pid):
            return f"another process ({known})"
    return "another process"


def _lockers(handle: int) -> list[int]:
    """Return the processes that Linux names as holders of an exclusive lock on what `handle` has open."""
    ours, found = os.fstat(handle), []
    with suppress(OSError, ValueError, IndexError):  # no such file here, or not as we know it
        for words in map(str.split, LOCKS.read_text(encoding="ascii").splitlines()):
            if words[1] != "FLOCK" or words[3] != "WRITE":  # 7: FLOCK ADVISORY WRITE 1234 fe:00:262190 0 EOF
                continue
            pid, (major, minor, inode) = int(words[4]), words[5].split(":")
            device = os.makedev(int(major, 16), int(minor, 16))
            # btrfs and overlays show another device there than stat does; the process itself can tell.
            if int(inode) == ours.st_ino and (device == ours.st_dev or _has_open(pid, ours)):
                found.append(pid)
    return found


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(entry.stat(), wanted):
                    return True
    return False


def _process(pid: int) -> str:
    """Return a process's number, program and account; of its arguments nothing, they may hold anything."""
    place = Path(f"/proc/{pid}")
    try:
        words = place.joinpath("cmdline").read_bytes().decode(errors="replace").split("\0")
        account = place.stat().st_uid
    except OSError:
        return ""
    with suppress(KeyError):
        return f"pid {pid}, {_program(words)}, started by {pwd.getpwuid(account).pw_name}"
    return f"pid {pid}, {_program(words)}, started by uid {account}"


def _program(words: list[str]) -> str:
    """Return what a command line runs: the program, or the module or script that Python was given."""
    program = Path(words[0]).name or "a program without a name"
    if not program.startswith("python"):
        return program
    for before, word in pairwise(words):
        if before == "-m":
            return f"{program} -m {word}"
        if word == "-c":
            break
        if word and not word.startswith("-") and before not in ("-X", "-W"):
            return Path(word).name
    return program
