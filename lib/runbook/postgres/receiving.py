"""Keeps a WAL archive that has every acknowledged commit: pg_receivewal as a synchronous standby.

The primary answers a commit only when the receiver has flushed it, so what the archive lacks nobody was
told is safe: RPO 0. A replication slot keeps the primary from dropping what was not received yet. Files
are fsynced and never overwritten; the one being received is called .partial.
"""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from runbook.errors import StepFailed
from runbook.postgres.cluster import Cluster
from runbook.postgres.programs import Programs
from runbook.postgres.wal import Lsn, segment_name

NAME = "runbook_archive"  # of the slot and of the synchronous standby
POLL_S = 0.005
PATIENCE_S = 30.0


_children: list[subprocess.Popen[bytes]] = []  # kept, so that one whose Receiver was let go is reaped


class Receiver:
    """A running pg_receivewal; `stop()` it before its primary stops in an orderly way."""

    def __init__(self, archive: Path, log: Path, child: subprocess.Popen[bytes]) -> None:
        self.archive, self.log, self._child = archive, log, child
        _children[:] = [*(one for one in _children if one.poll() is None), child]

    @property
    def alive(self) -> bool:
        return self._child.poll() is None

    def stop(self) -> None:
        """End the receiver and wait for it; also reaps one that ended with its primary."""
        if self.alive:
            self._child.send_signal(signal.SIGINT)
        try:
            self._child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired as error:
            self._child.kill()
            self._child.wait()
            raise StepFailed(f"pg_receivewal did not end within {PATIENCE_S:g} s: {self.said()}") from error

    def said(self) -> str:
        """Return the last words of the receiver's log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-5:]) or "it said nothing"


def start_receiver(programs: Programs, cluster: Cluster, archive: Path) -> Receiver:
    """Begin to archive a running cluster's log into a new folder, and make its commits wait for it.

    Returns when the primary counts the receiver as its synchronous standby. Raises StepFailed when it does
    not come up; commits then do not wait for it.
    """
    programs.make_folder(archive)
    log = programs.own_file(archive.with_name(f"{archive.name}.log"))
    with cluster.connect() as connection:
        connection.execute("SELECT pg_create_physical_replication_slot(%s, true)", [NAME])
        child = programs.spawn(
            "pg_receivewal",
            *("-D", archive),
            *(f"--slot={NAME}", "--synchronous", "--no-loop"),
            f"--dbname={cluster.conninfo(application_name=NAME)}",
            log=log,
        )
        receiver = Receiver(archive, log, child)
        try:
            _await(connection, receiver, "state = 'streaming'")
            _set_synchronous(connection, NAME)
            _await(connection, receiver, "sync_state = 'sync'")
        except BaseException:
            _set_synchronous(connection, "")
            receiver.stop()
            raise
    return receiver


def stop_receiver(cluster: Cluster, receiver: Receiver) -> None:
    """End archiving in an orderly way: commits of the running primary no longer wait."""
    with cluster.connect() as connection:
        _set_synchronous(connection, "")
    receiver.stop()


def finish_segment(cluster: Cluster, archive: Path, *, after: Lsn | None = None) -> Lsn:
    """Close the current segment and wait until the archive has it whole; return where the log stood.

    Everything before the returned position is then in whole segments. With `after`, the log must have gone
    beyond that position first (a commit of someone else's), or StepFailed tells that it has not.
    """
    with cluster.connect() as connection:
        row = connection.execute(
            "SELECT pg_current_wal_insert_lsn()::text, pg_switch_wal()::text, timeline_id,"
            " (SELECT setting::bigint FROM pg_settings WHERE name = 'wal_segment_size')"
            " FROM pg_control_checkpoint()"
        ).fetchone()
    if row is None:
        raise StepFailed("the server does not say where its log stands")
    stood, switched, timeline, segment_bytes = Lsn.parse(row[0]), Lsn.parse(row[1]), int(row[2]), int(row[3])
    if after is not None and stood <= after:
        raise StepFailed(f"the log stands at {stood} and has not gone beyond {after} yet")
    name = segment_name(timeline, (switched - 1) // segment_bytes, segment_bytes)
    deadline = time.monotonic() + PATIENCE_S
    while not (archive / name).exists():
        if time.monotonic() > deadline:
            raise StepFailed(f"the segment {name} did not arrive in {archive} within {PATIENCE_S:g} s")
        time.sleep(POLL_S)
    return stood


def _set_synchronous(connection: psycopg.Connection, names: str) -> None:
    statement = sql.SQL("ALTER SYSTEM SET synchronous_standby_names = {}").format(sql.Literal(names))
    connection.execute(statement)
    connection.execute("SELECT pg_reload_conf()")


def _await(connection: psycopg.Connection, receiver: Receiver, condition: str) -> None:
    """Wait until the primary's view of the receiver meets a condition."""
    question = sql.SQL("SELECT 1 FROM pg_stat_replication WHERE application_name = {} AND ").format(
        sql.Literal(NAME)
    ) + sql.SQL(condition)
    deadline = time.monotonic() + PATIENCE_S
    while connection.execute(question).fetchone() is None:
        if not receiver.alive:
            raise StepFailed(f"pg_receivewal ended: {receiver.said()}")
        if time.monotonic() > deadline:
            raise StepFailed(f"pg_receivewal: not {condition} within {PATIENCE_S:g} s: {receiver.said()}")
        time.sleep(POLL_S)
