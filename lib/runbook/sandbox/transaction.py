"""One transaction of the workload: what it writes for a serial number, and what that changes, row by row.

It is a single statement (omnihub/workload.sql), so it costs one exchange with the server; steps whose tables
were dropped are left out. All it writes follows from the serial, but for the times.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files

from psycopg import sql

from runbook.errors import StepFailed
from runbook.postgres.fingerprint import row_hash
from runbook.postgres.sessions import SETTINGS, Connection, Query
from runbook.sandbox.ledger import Delta

BLOB_EVERY = 50
BLOB_BYTES = 100_000
STEP = re.compile(r"^-- step: (\w+) (adds|changes|removes) (\S+)(?: needs (.+))?\n", re.MULTILINE)
DELTAS = {
    "adds": "SELECT {table} AS name, 1 AS rows, after::numeric AS moved FROM {step}",
    "changes": "SELECT {table}, 0, after::numeric - before FROM {step}",
    "removes": "SELECT {table}, -1, -before::numeric FROM {step}",
}
COLUMNS = (
    "SELECT n.nspname || '.' || c.relname, array_agg(a.attname::text) FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid "
    "WHERE n.nspname = 'public' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped GROUP BY 1"
)


@dataclass(frozen=True)
class WriteStep:
    """A step of the transaction: a CTE that returns the hashes of the rows it touched."""

    name: str
    does: str
    table: str
    needs: frozenset[str]
    statement: str


@cache
def steps() -> tuple[WriteStep, ...]:
    """Return the steps of workload.sql in their order."""
    text = files("runbook.sandbox.omnihub").joinpath("workload.sql").read_text(encoding="utf-8")
    _, *parts = STEP.split(text)
    rows = zip(*(parts[place::5] for place in range(5)), strict=True)
    return tuple(
        WriteStep(name, does, table, frozenset((needs or "").split()), statement)
        for name, does, table, needs, statement in rows
    )


class Transactions:
    """Makes the transactions over one connection, from the tables that are there now."""

    def __init__(self, connection: Connection) -> None:
        """Raises StepFailed when the table of serials is gone: there is nothing left to count with."""
        self._connection = connection
        connection.autocommit = True
        for name, value in SETTINGS:
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        columns: dict[str, list[str]] = dict(connection.execute(COLUMNS).fetchall())
        if "public.workload_serials" not in columns:
            raise StepFailed("public.workload_serials is gone: the workload cannot go on")
        self._statement = _statement(columns).as_bytes(connection)
        self._workspaces = 1
        if "public.workspaces" in columns:
            self._workspaces = (
                connection.execute("SELECT max(id) FROM public.workspaces").fetchall()[0][0] or 1
            )
        self._tracked = connection.execute("SHOW track_commit_timestamp").fetchall()[0][0] == "on"
        connection.autocommit = False

    def next_serial(self) -> int:
        """Return the serial after the highest that the database holds."""
        highest = self._connection.execute("SELECT max(serial) FROM public.workload_serials").fetchall()[0][0]
        self._connection.commit()
        return int(highest or 0) + 1

    def begin(self, serial: int) -> tuple[int, dict[str, Delta]]:
        """Do all of a serial's writing but the commit; return its xid and what it changes by table."""
        preview = _preview(serial) if serial % BLOB_EVERY == 0 else None
        given = {"serial": serial, "workspaces": self._workspaces, "preview": preview}
        rows = self._connection.execute(self._statement, given, prepare=True).fetchall()
        changed = {name: Delta(row_count=added, checksum=int(moved)) for name, added, moved, _ in rows}
        return int(rows[0][3]) % 2**32, changed

    def commit(self, xid: int) -> tuple[datetime, str]:
        """Commit; return the time of the commit and a position in the WAL just after it."""
        self._connection.commit()
        when = (
            "pg_xact_commit_timestamp(%s::text::xid)"
            if self._tracked
            else "clock_timestamp() + %s * '0'::interval"
        )
        query = sql.SQL("SELECT {}, pg_current_wal_insert_lsn()::text").format(sql.SQL(when))
        [(committed_at, lsn)] = self._connection.execute(query, (xid,)).fetchall()
        self._connection.commit()
        return committed_at, lsn


def _preview(serial: int) -> bytes:
    """Return about 100 kB that do not compress, the same for the same serial."""
    return hashlib.shake_256(str(serial).encode()).digest(BLOB_BYTES)


def _statement(columns: dict[str, list[str]]) -> Query:
    """Return the transaction as one statement that yields (table, rows added, hash sum moved, xid)."""
    possible = [step for step in steps() if {step.table, *step.needs} <= set(columns)]
    written = []
    for step in possible:
        hashes = {alias: row_hash(columns[step.table], of=alias) for alias in ("new", "old")}
        written.append(
            sql.SQL("{} AS ({})").format(sql.Identifier(step.name), sql.SQL(step.statement).format(**hashes))
        )
    deltas = [
        sql.SQL(DELTAS[step.does]).format(table=sql.Literal(step.table), step=sql.Identifier(step.name))
        for step in sorted(possible, key=lambda step: step.does)  # "adds" comes first: it names the columns
    ]
    return sql.SQL(
        "WITH {} SELECT name, sum(rows)::int, sum(moved), pg_current_xact_id()::text "
        "FROM ({}) AS deltas GROUP BY name"
    ).format(sql.SQL(", ").join(written), sql.SQL(" UNION ALL ").join(deltas))
