"""Starts a world in a folder, finds one that runs, and ends it with nothing left behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Protocol, TypeVar

from runbook import surroundings
from runbook.errors import StepFailed
from runbook.sandbox.world.remote import RemoteWorld

DOCUMENT: Final = "world.json"  # in a world's folder: where it is to be reached, written as it begins
_LAST_LINES: Final = 5
_LETS_GO_S: Final = 15.0

P = TypeVar("P", bound="Process")


class Process(Protocol):
    """As much of a `subprocess.Popen` as a world's is asked for."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    @property
    def pid(self) -> int: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


Spawn = Callable[[list[str], IO[bytes]], Process]
"""Starts `python -m runbook.sandbox.world` with these arguments, a pipe to and from it, and that stderr."""


def spawn(arguments: list[str], stderr: IO[bytes], *, owned: bool = True) -> subprocess.Popen[bytes]:
    """Start a world's process; one that is not `owned` gets no standard input that could end."""
    return subprocess.Popen(
        [sys.executable, "-m", "runbook.sandbox.world", *arguments],
        stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,  # Ctrl-C in our terminal is not meant for it
    )


class WorldProcess:
    """A world that ends with us: `close()`, or our own end, however it comes. A context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        wire: Path | None = None,
        postgres: bool = False,
        valkey: bool = False,
        spawn: Spawn = spawn,
    ) -> None:
        """Start it; raises StepFailed with its last words when it does not come up."""
        self.folder = folder
        options = ["--owned", *_engines(postgres=postgres, valkey=valkey)]
        self._process: Process = _started(folder, wire, options, spawn)
        self.remote = RemoteWorld(_url_of(folder, self._process), folder)

    @property
    def url(self) -> str:
        return self.remote.url

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it as a crash would; its folder can be started again."""
        self._process.kill()
        self._process.wait()
        self._close_pipes()

    def close(self) -> None:
        """End it; the folder stays."""
        self._process.terminate()
        try:
            self._process.wait(_LETS_GO_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close_pipes()

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> WorldProcess:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()


def leave_running(
    folder: Path, *, wire: Path | None = None, postgres: bool = False, valkey: bool = False
) -> RemoteWorld:
    """Return the world of `folder`, started in the background unless it runs already, as it is then."""
    if (running := find_world(folder)) is not None:
        return running
    options = _engines(postgres=postgres, valkey=valkey)
    process = _started(folder, wire, options, partial(spawn, owned=False))
    remote = RemoteWorld(_url_of(folder, process), folder)
    if process.stdout is not None:
        process.stdout.close()
    process.returncode = 0  # it is meant to outlive us: no warning that it does
    return remote


def find_world(folder: Path) -> RemoteWorld | None:
    """Return the world that runs in `folder`, or None."""
    if not _is_held(folder):
        return None
    try:
        return RemoteWorld(str(json.loads((folder / DOCUMENT).read_text())["url"]), folder)
    except (OSError, ValueError, KeyError):
        return None


def end_world(folder: Path, *, keep: bool = False) -> bool:
    """End the world of `folder` and remove the folder, unless told to keep it; return whether one ran."""
    running = find_world(folder)
    if running is not None:
        running.stop()
        _wait_until_let_go(folder)
    if not keep and (folder / "lock").is_file():
        shutil.rmtree(folder)
    return running is not None


def _engines(*, postgres: bool, valkey: bool) -> list[str]:
    return [*(["--postgres"] if postgres else []), *(["--valkey"] if valkey else [])]


def _started(
    folder: Path, wire: Path | None, options: list[str], spawn: Callable[[list[str], IO[bytes]], P]
) -> P:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    recorded = wire or surroundings.wire()
    options += ["--wire", str(recorded)] if recorded else []
    with (folder / "log").open("ab") as log:
        return spawn([str(folder), *options], log)


def _url_of(folder: Path, process: Process) -> str:
    line = process.stdout.readline() if process.stdout is not None else b""
    if not line:
        returncode = process.wait()
        for left in (process.stdin, process.stdout):
            if left is not None:
                left.close()
        words = (folder / "log").read_text(errors="replace").splitlines()[-_LAST_LINES:]
        held = (
            "another process holds its folder" if _is_held(folder) else "; ".join(words) or "it said nothing"
        )
        raise StepFailed(
            f"the sandbox in {folder} did not come up (exit code {returncode}): {held}. "
            "See what runs: runbook sandbox status"
        )
    return str(json.loads(line)["url"])


def _is_held(folder: Path) -> bool:
    try:
        handle = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


def _wait_until_let_go(folder: Path) -> None:
    """Wait for the process to release its lock; the kernel wakes us, nobody polls."""
    with suppress(OSError):
        handle = os.open(folder / "lock", os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        finally:
            os.close(handle)
