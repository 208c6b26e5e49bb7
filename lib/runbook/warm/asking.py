"""Starts the forking process of this one, and asks it for kernels."""

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
from typing import Final

from runbook import surroundings

DIED: Final = -int(signal.SIGKILL)


class Forked:
    """A forked kernel as `subprocess.Popen` would show it, since it is no child of ours."""

    stdin = stdout = stderr = None

    def __init__(self, report: socket.socket) -> None:
        """Wait for its pid; raises OSError when there will be none."""
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
                raise subprocess.TimeoutExpired("a kernel", timeout or 0.0) from error
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
    """The forking process of this one; it ends when we do, however that comes."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.environment = {**surroundings.bare_environment(), "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runbook.warm.forking", str(theirs.fileno())],
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

    def fork(self, argv: list[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int) -> Forked:
        """Return a kernel; raises OSError when it cannot be had."""
        order = json.dumps({"argv": argv, "cwd": cwd, "env": dict(env)}).encode()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs, self._lock:
                socket.send_fds(self._orders, [order], [stdout, stderr, theirs.fileno()])
            return Forked(ours)
        except BaseException:
            ours.close()
            raise

    def close(self) -> None:
        """End it, and the kernels that it forked."""
        self._orders.close()
        self._process.kill()
        self._process.wait()


_forking: list[Forking] = []
_lock = threading.Lock()


def warm_up() -> None:
    """Begin to load, so that it is done when the first kernel is wanted."""
    the_forking()


def cool_down() -> None:
    """End the forking process of this one, if there is one."""
    with _lock:
        while _forking:
            _forking.pop().close()


def the_forking() -> Forking | None:
    """Return the forking process of this one, started if need be; None where there can be none."""
    if not hasattr(os, "pidfd_open") or not hasattr(signal, "pidfd_send_signal"):
        return None  # no Linux
    with _lock:
        while _forking and not _forking[0].alive:
            _forking.pop().close()
        if not _forking:
            _forking.append(Forking())
            atexit.register(cool_down)
        return _forking[0]
