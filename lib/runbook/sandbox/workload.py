"""Writes to the rehearsal database all the while, in a process of its own, and keeps a ledger of it.

    python -m runbook.sandbox.workload CONNINFO LEDGER RATE      ends on SIGTERM or when the server is gone

What a transaction is stands in transaction.py, what the ledger says in ledger.py.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import psycopg

from runbook.clock import WallClock
from runbook.errors import StepFailed
from runbook.postgres.sessions import words
from runbook.sandbox import ledger as ledgers
from runbook.sandbox.ledger import newest_acknowledged
from runbook.sandbox.transaction import Transactions
from runbook.values import Value

RATE_PER_S = 250.0
STOP_S = 20.0
POLL_S = 0.01
NAP_S = 0.1  # how long the writer may be deaf to SIGTERM between two transactions
TRIED_AGAIN = ("40P01", "40001")  # a deadlock or a conflict with the damage next door
REBUILT = ("42", "0A", "3F")  # sqlstate classes: a table is gone or another one now

_children: dict[int, subprocess.Popen[bytes]] = {}  # writers we started ourselves, to be reaped


class Workload(Value):
    """A running workload: its process and its ledger."""

    pid: int
    ledger: Path
    log: Path
    rate_per_s: float
    started_at: datetime


def start_workload(
    conninfo: str, *, ledger: Path, folder: Path, rate_per_s: float = RATE_PER_S, timeout_s: float = 30.0
) -> Workload:
    """Start the writer in `folder` (it dies with that scratch folder) and return once it has committed.

    `conninfo` holds no password; a passfile named in it does. The writer goes on after the highest serial
    that the database holds. Raises StepFailed with its last words when it does not get going.
    """
    log = folder / "workload.log"
    before = newest_acknowledged(ledger)
    command = [sys.executable, "-I", "-m", "runbook.sandbox.workload", conninfo, str(ledger), str(rate_per_s)]
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env={},
            start_new_session=True,  # a Ctrl-C is answered by us
        )
    _children[child.pid] = child
    now = WallClock().now()
    workload = Workload(pid=child.pid, ledger=ledger, log=log, rate_per_s=rate_per_s, started_at=now)
    wait_for_serial(workload, 1 + (before.serial if before else 0), timeout_s=timeout_s)
    return workload


def wait_for_serial(workload: Workload, serial: int, *, timeout_s: float = 30.0) -> int:
    """Return the newest acknowledged serial once it is `serial` or more.

    Raises StepFailed when the writer ended before, or time is up.
    """
    clock, alive = WallClock(), True
    until = clock.monotonic_s() + timeout_s
    while True:
        newest = newest_acknowledged(workload.ledger)
        if newest is not None and newest.serial >= serial:
            return newest.serial
        if not alive or clock.monotonic_s() > until:
            said = workload.log.read_text(errors="replace")[-2000:].strip()
            raise StepFailed(
                f"the workload {f'took longer than {timeout_s:g} s' if alive else 'ended'} before serial "
                f"{serial}; its newest is {newest.serial if newest else 'none'}; it said: {said or 'nothing'}"
            )
        alive = is_running(workload)
        clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))


def stop_workload(workload: Workload, *, timeout_s: float = STOP_S) -> int | None:
    """End the writer after the transaction it is in; return the newest acknowledged serial.

    One that hangs (a commit that waits for a WAL receiver that is gone) is killed after `timeout_s`.
    """
    clock = WallClock()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_running(workload):
            with suppress(ProcessLookupError):
                os.kill(workload.pid, number)
        until = clock.monotonic_s() + timeout_s
        while is_running(workload) and clock.monotonic_s() < until:
            clock.sleep_until(clock.now() + timedelta(seconds=POLL_S))
    newest = newest_acknowledged(workload.ledger)
    return newest.serial if newest else None


def is_running(workload: Workload) -> bool:
    """Say whether the writer lives; for one started by another process its lock on the ledger tells."""
    child = _children.get(workload.pid)
    if child is not None:
        if child.poll() is None:
            return True
        del _children[workload.pid]
        return False
    with suppress(FileNotFoundError), workload.ledger.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class _Writer:
    """The writer's side: one transaction after the other, at a pace, until told to stop."""

    def __init__(self, connection: psycopg.Connection, ledger: IO[bytes], rate_per_s: float) -> None:
        self._connection, self._ledger, self._rate = connection, ledger, rate_per_s
        self._clock, self._parent, self.stopping = WallClock(), os.getppid(), False
        self._transactions = Transactions(connection)

    def run(self) -> None:
        serial, due_s = self._transactions.next_serial(), self._clock.monotonic_s()
        while self._wait(due_s):
            self._write(serial)
            serial += 1
            # After a stall the pace is kept from now on; what was missed is not caught up in a burst.
            due_s = max(due_s + 1 / self._rate, self._clock.monotonic_s() - 1)

    def _wait(self, due_s: float) -> bool:
        """Wait for the next transaction's time; False when it is time to end."""
        while (left_s := due_s - self._clock.monotonic_s()) > 0 and not self._ends():
            self._clock.sleep_until(self._clock.now() + timedelta(seconds=min(left_s, NAP_S)))
        return not self._ends()

    def _ends(self) -> bool:
        return self.stopping or os.getppid() != self._parent

    def _write(self, serial: int) -> None:
        """Commit one serial, however often it takes; the ledger hears before and after the commit."""
        rebuilt = False
        while not self._ends():
            try:
                xid, tables = self._transactions.begin(serial)
                ledgers.offer(self._ledger, serial=serial, xid=xid, tables=tables)
                committed_at, lsn = self._transactions.commit(xid)
            except psycopg.Error as error:
                code = error.sqlstate or ""
                if self._connection.broken or (
                    code not in TRIED_AGAIN and (rebuilt or code[:2] not in REBUILT)
                ):
                    raise
                self._connection.rollback()
                if code not in TRIED_AGAIN:
                    self._transactions, rebuilt = Transactions(self._connection), True
            else:
                ledgers.acknowledge(self._ledger, serial=serial, committed_at=committed_at, lsn=lsn)
                return


def main(arguments: list[str]) -> int:
    """Write until stopped; 0 when told to stop or the server went away, else a traceback."""
    conninfo, path, rate_per_s = arguments
    with Path(path).open("ab", buffering=0) as ledger:
        fcntl.flock(ledger, fcntl.LOCK_EX)
        try:
            with psycopg.connect(conninfo) as connection:
                writer = _Writer(connection, ledger, float(rate_per_s))
                signal.signal(signal.SIGTERM, lambda *_: setattr(writer, "stopping", True))
                writer.run()
        except psycopg.OperationalError as error:
            sys.stderr.write(f"the server went away: {words(error)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
