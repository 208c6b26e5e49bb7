"""The process that others are forked from: it loads what they import, once, and does nothing else.

    python -m runbook.warm.forking FD WHAT

WHAT is a module beside this one, `kernel`, `notebook` or `world`: what is to be loaded, and what a fork
becomes. FD is one end of a socket. Each message on it is an order in JSON (`cwd`, `env`, `argv`) that carries
four descriptors: stdin, stdout, stderr, and a socket on which the fork's pid and then its exit status are
reported. The end of the order socket, or of a fork's report, ends what hangs on it; the forks end with this
process. No Python thread, event loop or zmq context exists before a fork: it is as good as a new process.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import random
import selectors
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Protocol

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, prctl(2)
ORDER_BYTES = 1 << 20
DESCRIPTORS = 4
FIRST_FREE = 3  # descriptors after stdin, stdout, stderr


class What(Protocol):
    """What a fork becomes."""

    def load(self) -> None:
        """Import what it needs, without making a thread, a context or an event loop."""

    def become(self, argv: list[str]) -> int:
        """Be it, in a fork, until it ends; return the exit code."""


def main() -> None:
    """Load, then fork until the order socket ends."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    here = sys.path[0]
    if here == "" or Path(here) == Path.cwd():
        del sys.path[0]  # as ipykernel_launcher does: a file beside us must not pass for a package
    what: Any = importlib.import_module(f"runbook.warm.{sys.argv[2]}")
    what.load()
    gc.collect()
    gc.freeze()  # pages stay shared: no collection writes into what was there before the fork
    _serve(orders, what)


def _serve(orders: socket.socket, what: What) -> None:
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    reports: dict[int, socket.socket] = {}
    ready = selectors.DefaultSelector()
    ready.register(orders, selectors.EVENT_READ)
    ready.register(woken, selectors.EVENT_READ)
    while True:
        for key, _ in ready.select():
            if key.fileobj is orders:
                _take(orders, what, reports, ready)
            elif key.fileobj == woken:
                _drain(woken)
                _report_dead(reports, ready)
            elif key.data in reports:  # whoever asked for this fork is gone
                os.kill(key.data, signal.SIGKILL)
                ready.unregister(key.fileobj)


def _take(
    orders: socket.socket, what: What, reports: dict[int, socket.socket], ready: selectors.BaseSelector
) -> None:
    message, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, DESCRIPTORS)
    if not message:
        os._exit(0)
    *streams, report = descriptors
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(what, json.loads(message), streams, parent)
    for stream in streams:
        os.close(stream)
    reports[pid] = socket.socket(fileno=report)
    _tell(reports[pid], pid)
    ready.register(reports[pid], selectors.EVENT_READ, pid)


def _report_dead(reports: dict[int, socket.socket], ready: selectors.BaseSelector) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        report = reports.pop(pid)
        if report.fileno() in ready.get_map():
            ready.unregister(report)
        _tell(report, os.waitstatus_to_exitcode(status))
        report.close()


def _tell(report: socket.socket, number: int) -> None:
    try:
        report.send(str(number).encode())
    except OSError:
        return  # nobody listens any more


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        return


def _become(what: What, order: dict[str, Any], streams: list[int], parent: int) -> None:
    """Be what was ordered in this fork, as a process that was started for it would; never returns."""
    code = 1
    try:
        _settle(order, streams, parent)
        code = what.become(order["argv"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  # it goes to the fork's stderr
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()  # noqa: SLF001  # what a process does at its end, and a fork does not
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _settle(order: dict[str, Any], streams: list[int], parent: int) -> None:
    """Leave everything of the process that was forked: session, signals, descriptors, environment, dice."""
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could hear of it
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for ours, theirs in enumerate(streams):
        os.dup2(theirs, ours)
    os.closerange(FIRST_FREE, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    os.chdir(order["cwd"])
    random.seed()


if __name__ == "__main__":
    main()
