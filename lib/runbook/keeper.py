"""Makes a scratch folder and guards it: when its owner has ended, ends what runs in it and removes it.

Started by scratch.py as `python -I -S keeper.py …` in a session of its own, with nothing but the
standard library. It makes the folder itself, so that there is none that nobody guards. It holds the read
end of a pipe whose write end only the owner has, so it hears of the owner's death however it came, kill -9
included. What it destroyed goes on record in a receipt.

It reads the time of day and /proc itself: there is no one left to ask when it does its work.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

NOTE = ".scratch.json"  # in the folder: who opened it, when, where the receipt goes
POLITE_S = 4.0  # how long a postmaster may take over an immediate shutdown
SHARED = "/dev/shm/PostgreSQL."  # noqa: S108  # where POSIX shared memory lies
PATIENCE_S = 15.0  # how long the rest may take before what is left is put on record
POLL_S = 0.01
SHM_KEY, SHM_ID, SHM_CREATOR, SHM_ATTACHED = 0, 1, 4, 6  # columns of /proc/sysvipc/shm
PID_FILE_SHM_LINE = 6  # of postmaster.pid: "key id", since PostgreSQL 9
STAT_STARTED = 19  # of /proc/PID/stat behind the program's name
STOP_S = 1.0  # how long a process may take to stand still
IPC_RMID = 0


@dataclass
class Record:
    """What a destruction did; `left` names what could not be removed (empty: all is gone)."""

    folder: str
    reason: str
    opened_at: str
    destroyed_at: str = ""
    files: int = 0
    size_bytes: int = 0
    processes: list[str] = field(default_factory=list)
    shared_memory_segments: int = 0
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Child:
    """A process given into our care; its start time tells it from a later one of the same number."""

    pid: int
    started: str


def started(pid: int) -> str:
    """Return the kernel's start time of a process, or "" when there is none or it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[STAT_STARTED]


def destroy(folder: Path, *, reason: str, spare: set[int], children: list[Child], opened_at: str) -> Record:
    """End every process of the folder, remove its shared memory and the folder; return what was done."""
    record = Record(str(folder), reason, opened_at)
    before = _segments(folder)
    struck = _end_processes(folder, spare | {os.getpid()}, children, record)
    named = {*before, *_segments(folder)}  # a bootstrap server may have come and died in between
    record.shared_memory_segments = _remove_segments(named, struck)
    record.files, record.size_bytes = _measure(folder)
    record.left += _remove(folder)
    record.destroyed_at = datetime.now(UTC).isoformat()
    return record


def write_receipt(record: Record, path: Path) -> None:
    """Put the record on disk whole or not at all; a vanished run folder is no reason to fail."""
    with suppress(OSError):
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        with beside.open("w") as file:
            file.write(json.dumps(asdict(record), indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)


def _data_folders(folder: Path) -> list[Path]:
    return [Path(at) for at, _, files in os.walk(folder) if "postmaster.pid" in files]


def _pid_file(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(errors="replace").splitlines()
    except OSError:
        return []


def _segments(folder: Path) -> list[tuple[int, int]]:
    """Return (key, id) of the System V segment of every postmaster that ran or runs in the folder."""
    found = []
    for data in _data_folders(folder):
        lines = _pid_file(data)
        words = lines[PID_FILE_SHM_LINE].split() if len(lines) > PID_FILE_SHM_LINE else []
        if len(words) == 2 and all(word.lstrip("-").isdigit() for word in words):  # noqa: PLR2004
            found.append((int(words[0]), int(words[1])))
    return found


def _pids() -> list[int]:
    """Return every process there is, or none where the system has no /proc."""
    try:
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return []


def _inside(folder: Path) -> dict[int, str]:
    """Return the processes whose working directory is in the folder: pid and program name."""
    root, found = os.path.realpath(folder), {}
    for pid in _pids():
        with suppress(OSError):
            at = str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)")
            if at == root or at.startswith(root + "/"):
                found[pid] = Path(f"/proc/{pid}/comm").read_text().strip()
    return found


def _postmasters(folder: Path) -> list[int]:
    """Return the live postmasters; the number in a pid file counts only if that process works there."""
    inside, pids = _inside(folder), []
    for data in _data_folders(folder):
        lines = _pid_file(data)
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        if pid in inside:
            pids.append(pid)
    return pids


def _end_processes(folder: Path, spare: set[int], children: list[Child], record: Record) -> set[int]:
    """End what runs in the folder; return the processes that were killed rather than asked to end."""
    polite = _postmasters(folder)
    record.processes += ["postmaster"] * len(polite)
    for pid in polite:
        _signal(pid, signal.SIGQUIT)
    _wait_gone(lambda: [pid for pid in polite if started(pid)], POLITE_S)

    def rest() -> dict[int, str]:
        ours = {child.pid: "adopted child" for child in children if started(child.pid) == child.started}
        found = {**ours, **_inside(folder)}
        return {pid: name for pid, name in found.items() if pid not in spare and started(pid)}

    shared: set[str] = set()
    struck: set[int] = set()

    def strike() -> list[int]:
        found = rest()
        for pid in found:
            shared.update(_hold_still(pid))
            _signal(pid, signal.SIGKILL)
        struck.update(found)
        return list(found)

    record.processes += sorted(rest().values())
    _wait_gone(strike, PATIENCE_S)
    for name in shared:
        Path(name).unlink(missing_ok=True)
    record.left += [f"process {pid} ({name})" for pid, name in rest().items()]
    return struck


def _hold_still(pid: int) -> set[str]:
    """Stop a process, so that it makes nothing more, and return the shared memory files it would leave.

    Our clusters use none; initdb, which cannot be told, starts servers that do.
    """
    _signal(pid, signal.SIGSTOP)
    _wait_gone(lambda: [pid] if _state(pid) not in "TtZX" else [], STOP_S)
    found: set[str] = set()
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        found |= {line.split(maxsplit=5)[5] for line in lines if f" {SHARED}" in line}
    with suppress(OSError):  # made, and not mapped yet
        handles = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        found |= {name for name in handles if name.startswith(SHARED)}
    return {name for name in found if not name.endswith(" (deleted)")}


def _state(pid: int) -> str:
    """Return the state letter of a process; X when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def _wait_gone(remaining: Callable[[], list[int]], limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while remaining() and time.monotonic() < until:
        time.sleep(POLL_S)


def _remove_segments(named: set[tuple[int, int]], struck: set[int]) -> int:
    """Remove the System V segments that are ours and that nobody uses; return how many.

    Ours are those named in a pid file, and those made by a process that we killed: a server killed while
    it starts has made its segment and not written it down yet.
    """
    try:
        lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    except OSError:
        return 0
    rows = [[int(word) for word in line.split()] for line in lines]
    ours = [row for row in rows if (row[SHM_KEY], row[SHM_ID]) in named or row[SHM_CREATOR] in struck]
    idle = [row[SHM_ID] for row in ours if row[SHM_ATTACHED] == 0]
    if not idle:
        return 0
    import ctypes  # noqa: PLC0415  # rarely needed, and dear to load

    return sum(ctypes.CDLL(None).shmctl(ident, IPC_RMID, None) == 0 for ident in idle)


def _measure(folder: Path) -> tuple[int, int]:
    """Return the number of regular files in the folder and their bytes on disk."""
    files = size = 0
    for at, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                found = os.lstat(os.path.join(at, name))  # noqa: PTH118  # thousands of files
                if stat.S_ISREG(found.st_mode):
                    files, size = files + 1, size + found.st_blocks * 512
    return files, size


def _remove(folder: Path) -> list[str]:
    until = time.monotonic() + PATIENCE_S
    while folder.exists() and time.monotonic() < until:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            time.sleep(POLL_S)
    return [str(folder)] if folder.exists() else []


def _watch(pipe: int, owner: int, children: list[Child]) -> str:
    """Return why the folder is to be destroyed, as soon as it is; children are registered meanwhile."""
    poll, pending = select.poll(), b""
    poll.register(pipe, select.POLLIN)
    watched = -1
    with suppress(OSError, AttributeError):  # before Linux 5.3 the pipe alone tells
        watched = os.pidfd_open(owner)
        poll.register(watched, select.POLLIN)
    while True:
        ready = {handle for handle, _ in poll.poll()}
        if pipe not in ready:
            return "its owner ended"
        chunk = os.read(pipe, 65536)
        if not chunk:
            return "its owner ended"
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            if line == b"close":
                return "closed"
            _, pid, began = line.decode().split(" ")
            children.append(Child(int(pid), began))


def make_folder(root: Path, prefix: str, *, receipt: str, opened_at: str) -> Path:
    """Make a private folder that is locked, by us who live as long as it does, before it has its name."""
    name = os.urandom(6).hex()
    unborn = root / f".{prefix}new-{name}"
    unborn.mkdir(mode=0o700)
    lock = os.open(unborn, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    note = {"opened_at": opened_at, "receipt": None if receipt == "-" else receipt}
    (unborn / NOTE).write_text(json.dumps(note))
    folder = root / f"{prefix}{name}"
    unborn.rename(folder)
    return folder


def main(arguments: list[str]) -> None:
    """Guard one folder; arguments: where, its prefix, receipt or "-", pipe, owner's pid, time of opening.

    The first line on stdout is the folder, or "!" and why there is none; the last what was destroyed.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    root, prefix, receipt, pipe, owner, opened_at = arguments
    try:
        folder = make_folder(Path(root), prefix, receipt=receipt, opened_at=opened_at)
    except OSError as error:
        os.write(1, os.fsencode(f"!{error}\n"))
        return
    with suppress(OSError):  # an owner that is dead already: what was made goes at once
        os.write(1, os.fsencode(f"{folder}\n"))
    children: list[Child] = []
    reason = _watch(int(pipe), int(owner), children)
    spare = {int(owner)} if reason == "closed" else set()
    record = destroy(folder, reason=reason, spare=spare, children=children, opened_at=opened_at)
    if receipt != "-":
        write_receipt(record, Path(receipt))
    with suppress(OSError):  # nobody listens any more
        os.write(1, json.dumps(asdict(record)).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
