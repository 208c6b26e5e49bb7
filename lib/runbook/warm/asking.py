"""Starts the forking processes of this one, and asks them for kernels and worlds."""

from __future__ import annotations

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import IO, Final, Literal

from runbook import surroundings

DIED: Final = -int(signal.SIGKILL)
What = Literal["kernel", "notebook", "world"]


class Forked:
    """A fork as `subprocess.Popen` would show it, since it is no child of ours."""

    stderr = None

    def __init__(self, report: socket.socket) -> None:
        """Wait for its pid; raises OSError when there will be none."""
        self.stdin: IO[bytes] | None = None
        self.stdout: IO[bytes] | None = None
        self._report = report
        said = report.recv(32)
        if not said:
            raise OSError("the forking process ended")
        self.pid = int(said)
        self._handle = os.pidfd_open(self.pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return its exit status as Popen does, None while it runs."""
        return self._look(socket.MSG_DONTWAIT)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._report.settimeout(timeout)
            try:
                self._look(0)
            except TimeoutError as error:
                self._report.settimeout(None)
                raise subprocess.TimeoutExpired("a fork", timeout or 0.0) from error
        return self.returncode or 0

    def _look(self, flags: int) -> int | None:
        if self.returncode is None:
            try:
                said = self._report.recv(32, flags)
            except BlockingIOError:
                return None
            self.returncode = int(said) if said else DIED  # killed with the process that forked it
            self._report.close()
            os.close(self._handle)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forking:
    """A forking process of this one; it ends when we do, however that comes."""

    def __init__(self, what: What = "kernel") -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.environment = {**surroundings.bare_environment(), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runbook.warm.forking", str(theirs.fileno()), what],
                pass_fds=[theirs.fileno()],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C in our terminal is not meant for it
            )
        self._lock = threading.Lock()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def fork(
        self, argv: list[str], *, cwd: str, env: Mapping[str, str], streams: tuple[int, int, int]
    ) -> Forked:
        """Return a fork with these for stdin, stdout and stderr; raises OSError when it cannot be had."""
        order = json.dumps({"argv": argv, "cwd": cwd, "env": dict(env)}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, self._lock:
                socket.send_fds(self._orders, [order], [*streams, theirs.fileno()])
            return Forked(ours)
        except BaseException:
            ours.close()
            raise

    def close(self) -> None:
        """End it, and the kernels that it forked."""
        self._orders.close()
        self._process.kill()
        self._process.wait()


_forking: dict[What, Forking] = {}
_lock = threading.Lock()


def warm_up(*whats: What) -> None:
    """Begin to load what is needed, so that it is done when the first is wanted.

    That of a "kernel" is quickly there, for one run; for many, "notebook" has all that notebooks import.
    """
    for what in whats:
        the_forking(what)


def cool_down() -> None:
    """End the forking processes of this one, if there are any."""
    with _lock:
        while _forking:
            _forking.popitem()[1].close()


def kernels_forking() -> Forking | None:
    """Return what kernels are to be forked from: with all that notebooks import, where that was warmed up."""
    return the_forking("notebook" if "notebook" in _forking else "kernel")


def the_forking(what: What = "kernel") -> Forking | None:
    """Return a forking process of this one, started if need be; None where there can be none."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return None  # no Linux
    with _lock:
        if what in _forking and not _forking[what].alive:
            _forking.pop(what).close()
        if what not in _forking:
            atexit.register(cool_down)
            _forking[what] = Forking(what)
        return _forking[what]
