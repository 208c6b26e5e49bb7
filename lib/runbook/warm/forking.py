"""The process that kernels are forked from: it loads what notebooks import, once, and does nothing else.

    python -m runbook.warm.forking FD

FD is one end of a socket. Each message on it is an order in JSON (`cwd`, `env`, `argv`) that carries three
descriptors: the kernel's stdout, its stderr, and a socket on which its pid and then its exit status are
reported. The end of the order socket, or of a kernel's report, ends what hangs on it; the kernels end with
this process. No Python thread, event loop or zmq context exists before a fork: it is as good as a new
process.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import random
import selectors
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG, prctl(2)
ORDER_BYTES = 1 << 20
DESCRIPTORS = 3
FIRST_FREE = 3  # descriptors after stdin, stdout, stderr
A_PARENT = 1  # ipykernel: there is one, it need not be polled
LAST_WORDS_S = 1.0
NOTEBOOKS_IMPORT = ("runbook.changes", "runbook.charts", "runbook.milestone")


def main() -> None:
    """Load, then fork until the order socket ends."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    here = sys.path[0]
    if here == "" or Path(here) == Path.cwd():
        del sys.path[0]  # as ipykernel_launcher does: a file beside us must not pass for a package
    _load()
    _serve(orders)


def _load() -> None:
    """Import what every kernel needs, without making a thread, a context or a figure."""
    import ipykernel.ipkernel  # noqa: PLC0415
    import ipykernel.kernelapp  # noqa: F401, PLC0415
    import matplotlib.pyplot  # noqa: F401, PLC0415
    import pandas  # noqa: F401, PLC0415

    import runbook.opening  # noqa: F401, PLC0415

    for package in NOTEBOOKS_IMPORT:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()  # pages stay shared: no collection writes into what was there before the fork


def _serve(orders: socket.socket) -> None:
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
                _take(orders, reports, ready)
            elif key.fileobj == woken:
                _drain(woken)
                _report_dead(reports, ready)
            elif key.data in reports:  # whoever asked for this kernel is gone
                os.kill(key.data, signal.SIGKILL)
                ready.unregister(key.fileobj)


def _take(orders: socket.socket, reports: dict[int, socket.socket], ready: selectors.BaseSelector) -> None:
    message, descriptors, _, _ = socket.recv_fds(orders, ORDER_BYTES, DESCRIPTORS)
    if not message:
        os._exit(0)
    stdout, stderr, report = descriptors
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become_kernel(json.loads(message), stdout, stderr, parent)
    os.close(stdout)
    os.close(stderr)
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


def _become_kernel(order: dict[str, Any], stdout: int, stderr: int, parent: int) -> None:
    """Run a kernel in this fork, as a process that was started for it would; never returns."""
    code = 1
    try:
        _settle(order, stdout, stderr, parent)
        from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415

        app: Any = IPKernelApp.instance(parent_handle=A_PARENT)
        app.initialize(order["argv"])
        app.start()
        # What asked for the end still speaks, through a thread that the exit functions are about to stop.
        app.control_thread.join(LAST_WORDS_S)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001  # it goes to the kernel's log
        traceback.print_exc()
    finally:
        try:
            atexit._run_exitfuncs()  # noqa: SLF001  # what a process does at its end, and a fork does not
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _settle(order: dict[str, Any], stdout: int, stderr: int, parent: int) -> None:
    """Leave everything of the process that was forked: session, signals, descriptors, environment, dice."""
    os.setsid()
    ctypes.CDLL(None, use_errno=True).prctl(DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we could hear of it
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for theirs, ours in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(theirs, ours)
    os.closerange(FIRST_FREE, os.sysconf("SC_OPEN_MAX"))
    os.environ.clear()
    os.environ.update(order["env"])
    time.tzset()
    os.chdir(order["cwd"])
    random.seed()
    _settle_libraries()


def _settle_libraries() -> None:
    import matplotlib as mpl  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    np.random.seed()  # the one that is shared by forks
    # As ipykernel sets it for a kernel that loads matplotlib itself.
    backend = os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    mpl.rcParams["backend"] = backend


if __name__ == "__main__":
    main()
