"""Fills a database with OmniHub-like data, the same for the same size and seed on any PostgreSQL from 15 on.

The rows come from the server itself (SQL set-returning functions; schema.sql, rows.sql, keys.sql), so
nothing travels and filling runs at the server's own speed.
"""

from __future__ import annotations

import re
from functools import cache, partial
from importlib.resources import files
from typing import NamedTuple

from runbook.errors import InputError
from runbook.postgres.sessions import Connect, Connection, in_parallel, server_errors
from runbook.step import Step
from runbook.values import Value

EMERGENCY_CONTROL_ID = "00000000-0000-0000-0000-000000000001"
LARGEST_MB = 100_000
CHUNK_MB = 16
# Rows per MB of tables with their indexes; measured, so that `size_mb` comes out within a few per cent.
WORKSPACES_PER_MB, SEATS = 8, 20
ROWS_PER_MB = {
    "public.users": 120,
    "public.workspaces": WORKSPACES_PER_MB,
    "public.workspace_members": WORKSPACES_PER_MB * SEATS,
    "public.orders": 600,
    "public.events": 1800,
    "public.blobs": 48,
    "billing.invoices": 400,
}
SINGLE_ROWS = ("public.emergency_controls", "public.workload_serials")
BYTES_PER_ROW = {
    "public.users": 310,
    "public.workspaces": 550,
    "public.workspace_members": 120,
    "public.orders": 365,
    "public.events": 215,
    "public.blobs": 5700,
    "billing.invoices": 290,
}
AFTER = "public.workspaces"  # carries counts of the orders, so it is filled once those are in


class Seeded(Value):
    """What was filled in: `rows_by_table` by full name."""

    size_mb: int
    seed: int
    database_bytes: int
    rows_by_table: dict[str, int]


class Chunk(NamedTuple):
    """Rows `first` to `last` of a table."""

    table: str
    first: int
    last: int


def row_counts(size_mb: int) -> dict[str, int]:
    """Return how many rows each table gets for a size in MB."""
    return {table: per_mb * size_mb for table, per_mb in ROWS_PER_MB.items()} | dict.fromkeys(SINGLE_ROWS, 1)


def fill(step: Step, connect: Connect, *, size_mb: int = 50, seed: int = 1, jobs: int = 2) -> Seeded:
    """Create OmniHub's tables in an empty database and fill them; `size_mb` is their size with indexes.

    Raises InputError for a size out of bounds, StepFailed with the server's words.
    """
    if not 1 <= size_mb <= LARGEST_MB:
        raise InputError(f"size_mb is {size_mb}; right would be 1 to {LARGEST_MB}")
    counts = row_counts(size_mb)
    insert = partial(_insert, counts=counts, seed=seed)
    with server_errors("filling the rehearsal database failed"), connect() as connection:
        connection.autocommit = True
        connection.execute(_file("schema.sql"))
        with step.progress("filling OmniHub", total=size_mb, unit="MB") as bar:
            for stage in (sorted(set(counts) - {AFTER}), [AFTER]):
                chunks = [chunk for table in stage for chunk in _chunks(table, counts[table])]
                for chunk in in_parallel(partial(_loading, connect), chunks, insert, jobs=jobs):
                    bar.add(_size_mb(chunk))
        _build_keys(step, connection)
        size = connection.execute("SELECT pg_database_size(current_database())").fetchall()[0][0]
    return Seeded(size_mb=size_mb, seed=seed, database_bytes=size, rows_by_table=counts)


def _loading(connect: Connect) -> Connection:
    """Open a session for inserting; nothing hangs on the durability of a single commit here."""
    connection = connect()
    connection.autocommit = True
    connection.execute("SET synchronous_commit = off")
    return connection


def _insert(connection: Connection, chunk: Chunk, *, counts: dict[str, int], seed: int) -> Chunk:
    totals = {table.partition(".")[2]: count for table, count in counts.items()}
    connection.execute(
        _rows_of()[chunk.table], {**totals, "seed": seed, "first": chunk.first, "last": chunk.last}
    )
    return chunk


def _chunks(table: str, count: int) -> list[Chunk]:
    """Cut a table's row numbers, from 1 on, into pieces of about CHUNK_MB."""
    size = max(1, CHUNK_MB * 1_000_000 // BYTES_PER_ROW.get(table, CHUNK_MB * 1_000_000))
    return [Chunk(table, first, min(first + size - 1, count)) for first in range(1, count + 1, size)]


def _size_mb(chunk: Chunk) -> float:
    return (chunk.last - chunk.first + 1) * BYTES_PER_ROW.get(chunk.table, 0) / 1e6


def _build_keys(step: Step, connection: Connection) -> None:
    """Build keys, indexes and views, then leave every page as it will stay (frozen, hint bits set)."""
    connection.execute("SET maintenance_work_mem = '256MB'")
    connection.execute("SET default_statistics_target = 10")  # a small sample plans these queries as well
    statements = [*_statements("keys.sql"), *(f"VACUUM (FREEZE, ANALYZE) {table}" for table in row_counts(1))]
    with step.progress("building keys and indexes", total=len(statements), unit="statements") as bar:
        for statement in statements:
            connection.execute(statement)
            bar.add(1)


@cache
def _rows_of() -> dict[str, str]:
    """Return the statement that inserts a table's rows, by table."""
    _, *parts = re.split(r"^-- table: (\S+)\n", _file("rows.sql"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _statements(name: str) -> list[str]:
    return [statement for statement in _file(name).split(";\n") if statement.strip()]


@cache
def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
