"""Damages the rehearsal database in the middle of its workload; who looks for the damage is not told of it.

rows deleted           a third of public.events, committed
updated without WHERE  every order becomes cancelled, committed
table dropped          public.orders with all that hangs on it, committed
schema dropped         billing with all that is in it, committed
page overwritten       half a page of billing.invoices, on disk, behind the server's back: no commit, no WAL
primary lost           the server stopped at once and its data directory gone
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

import psycopg

from runbook.clock import WallClock
from runbook.errors import InputError, StepFailed
from runbook.postgres.cluster import Cluster
from runbook.postgres.sessions import server_errors
from runbook.sandbox.ledger import newest_acknowledged
from runbook.sandbox.workload import Workload, stop_workload, wait_for_serial
from runbook.step import Step
from runbook.values import Value, shown

DamageKind = Literal[
    "rows deleted",
    "updated without WHERE",
    "table dropped",
    "schema dropped",
    "page overwritten",
    "primary lost",
]
SERIALS_AFTER = 20  # good commits that follow the damage, to be given up knowingly
SERIALS_AFTER_S = 120.0
ATTEMPTS = 5  # a deadlock with the workload is no reason to give up
STATEMENTS = {
    "rows deleted": ("public.events", "DELETE FROM public.events WHERE id % 3 = 0"),
    "updated without WHERE": ("public.orders", "UPDATE public.orders SET status = 'cancelled'"),
    "table dropped": ("public.orders", "DROP TABLE public.orders CASCADE"),
    "schema dropped": ("billing", "DROP SCHEMA billing CASCADE"),
}
OVERWRITTEN = "billing.invoices"  # seeded, frozen, touched by nobody: nothing heals the page


class Damage(Value):
    """What was done, and when: for the record and for the tests, never for who has to find it.

    `before` is the newest serial acknowledged before it, `after` the newest of all when the writing ended.
    """

    kind: DamageKind
    sentence: str
    at: datetime
    before: int
    after: int
    xid: int | None = None
    block: int | None = None

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("done", self.sentence),
            ("at", shown(self.at)),
            ("acknowledged before", f"serial {self.before}"),
            ("acknowledged after", f"up to serial {self.after}"),
        ]


def do_damage(step: Step, kind: DamageKind, *, cluster: Cluster, workload: Workload) -> Damage:
    """Damage the running database, let the workload go on for some serials where it can, and end it.

    Raises InputError for an unknown kind, StepFailed when the damage could not be done.
    """
    if kind not in get_args(DamageKind):
        raise InputError(
            f"no damage is called {kind!r}; right would be one of: {', '.join(get_args(DamageKind))}"
        )
    if kind == "primary lost":
        return _lose(cluster, workload)
    before = _newest(workload)
    with server_errors(f"the damage ({kind}) could not be done"):
        if kind == "page overwritten":
            at, sentence, facts = _overwrite_page(cluster)
        else:
            at, sentence, facts = _execute(kind, cluster)
    newest = _write_on(step, workload)
    return Damage(kind=kind, sentence=sentence, at=at, before=before, after=newest, **facts)


def _newest(workload: Workload) -> int:
    newest = newest_acknowledged(workload.ledger)
    return newest.serial if newest else 0


def _write_on(step: Step, workload: Workload) -> int:
    """Let some more serials be committed, then end the workload; return the newest."""
    wanted = _newest(workload) + SERIALS_AFTER
    with step.progress("writing on after the damage", total=SERIALS_AFTER, unit="transactions"):
        wait_for_serial(workload, wanted, timeout_s=SERIALS_AFTER_S)
    return stop_workload(workload) or 0


def _execute(kind: str, cluster: Cluster) -> tuple[datetime, str, dict[str, Any]]:
    """Commit a damaging statement; return when, what, and its xid."""
    table, statement = STATEMENTS[kind]
    with cluster.connect(autocommit=False) as connection:
        touched = _retrying(connection, lambda: connection.execute(statement).rowcount)
        [(xid,)] = connection.execute("SELECT pg_current_xact_id()::xid::text::bigint").fetchall()
        connection.commit()
        at = WallClock().now()
    rows = f" ({touched:,} rows)" if touched > 0 else ""
    return at, f"{kind}: {statement}{rows}, committed as transaction {xid}, on {table}", {"xid": xid}


def _retrying(connection: psycopg.Connection, action: Callable[[], int]) -> int:
    for _ in range(ATTEMPTS):
        try:
            return action()
        except psycopg.errors.DeadlockDetected:
            connection.rollback()
    raise StepFailed(f"the damage met a deadlock with the workload {ATTEMPTS} times")


def _overwrite_page(cluster: Cluster) -> tuple[datetime, str, dict[str, Any]]:
    """Overwrite the second half of a page in the middle of a table's file, under the running server.

    What the server has in memory of it stays whole and clean, so it never writes the page again: as with a
    disk that lies, nobody notices until the page is read from disk.
    """
    with cluster.connect() as connection:
        checksums, size, path = connection.execute(
            "SELECT current_setting('data_checksums'), current_setting('block_size')::int, "
            "pg_relation_filepath(%s)",
            (OVERWRITTEN,),
        ).fetchall()[0]
        if checksums != "on":
            raise StepFailed("this cluster has no page checksums: an overwritten page could not be found")
        connection.execute("CHECKPOINT")
    file = cluster.data / path
    block = file.stat().st_size // size // 2
    with file.open("r+b") as pages:
        pages.seek(block * size + size // 2)
        pages.write(b"\xde\xad\xbe\xef" * (size // 8))
    at = WallClock().now()
    return at, f"page overwritten: half of block {block} of {OVERWRITTEN}, file {path}", {"block": block}


def _lose(cluster: Cluster, workload: Workload) -> Damage:
    """Stop the server without ceremony and remove its data directory."""
    cluster.stop(mode="immediate")
    at = WallClock().now()
    _remove(cluster.data)
    newest = stop_workload(workload) or 0
    sentence = "primary lost: stopped at once, its data directory is gone"
    return Damage(kind="primary lost", sentence=sentence, at=at, before=newest, after=newest)


def _remove(data: Path) -> None:
    shutil.rmtree(data)
