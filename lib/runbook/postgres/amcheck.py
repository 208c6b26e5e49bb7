"""Checks tables and indexes from the inside, through PostgreSQL's own amcheck; without it: not checked.

A B-tree is checked for its order, and that every row of its table is found in it (heapallindexed). Tables are
checked tuple by tuple, their out-of-line values included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg
from psycopg import sql

from runbook.postgres.sessions import Connect, Connection, in_parallel, words
from runbook.step import Step
from runbook.values import Check

SCHEMA = "runbook_amcheck"
SHOWN = 5
UNIQUE_SINCE, GIN_SINCE = 170000, 180000  # versions since when amcheck can check that
CHUNK_BLOCKS = 8192
INDEXES, TABLES = "indexes hold every row, in order (amcheck)", "tables are sound, tuple by tuple (amcheck)"
EXPECTED = "no complaint"


@dataclass(frozen=True)
class Item:
    """An index to check, or a range of a table's blocks."""

    oid: int
    name: str
    kind: str
    size_bytes: int
    first: int = 0
    last: int = 0


def check_with_amcheck(
    step: Step, connect: Connect, *, available: bool, jobs: int, timeout_s: float
) -> list[Check]:
    """Return the checks of all tables and indexes, made by amcheck in a schema that is dropped again.

    So `connect` must lead to a cluster of ours, never to a source. `available` tells whether the server
    brings amcheck at all.
    """
    try:
        with connect() as connection:
            connection.autocommit = True
            there = _schema(connection)
            if there is None and available:
                _create(connection)
            schema = there or (SCHEMA if available else None)
            if schema is None:
                return _unchecked("this PostgreSQL comes without amcheck")
            try:
                return _check_all(step, connect, connection, schema, jobs, timeout_s)
            finally:
                if there is None:
                    with suppress(psycopg.Error):  # it went down under the checking, which they tell
                        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(SCHEMA)))
    except psycopg.Error as error:
        return _unchecked(f"amcheck could not be used: {words(error)}")


def _unchecked(why: str) -> list[Check]:
    return [Check.unchecked(title, why=why, expected=EXPECTED) for title in (INDEXES, TABLES)]


def _schema(connection: Connection) -> str | None:
    query = (
        "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace "
        "WHERE extname = 'amcheck'"
    )
    rows = connection.execute(query).fetchall()
    return str(rows[0][0]) if rows else None


def _create(connection: Connection) -> None:
    """Create the extension; as a replica would, so that no event trigger of the restored database runs."""
    connection.execute("SET session_replication_role = replica")
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(SCHEMA)))
    connection.execute(sql.SQL("CREATE EXTENSION amcheck SCHEMA {}").format(sql.Identifier(SCHEMA)))


_ITEMS = """
SELECT c.oid, n.nspname || '.' || c.relname,
       CASE WHEN c.relkind <> 'i' THEN 'table' WHEN i.indisvalid AND i.indisready THEN m.amname
            ELSE m.amname || ' (invalid)' END,
       pg_relation_size(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam
LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relkind IN ('i', 'r', 'm', 't') AND (c.relkind = 'i' OR m.amname = 'heap') AND c.relpersistence = 'p'
  AND n.nspname <> %s
"""


def _check_all(
    step: Step, connect: Connect, connection: Connection, schema: str, jobs: int, timeout_s: float
) -> list[Check]:
    version = connection.info.server_version
    queries = _queries(schema, version)
    found = [Item(*row) for row in connection.execute(_ITEMS, (SCHEMA,)).fetchall()]
    items = sorted((part for item in found for part in _parts(item)), key=lambda item: -item.size_bytes)
    known = [item for item in items if item.kind in queries]
    complaints: dict[str, list[str]] = {INDEXES: [], TABLES: []}

    def check(session: Connection, item: Item) -> tuple[Item, str | None]:
        return item, _complaint(session, queries[item.kind], item)

    total = sum(item.size_bytes for item in known) / 1e6
    with step.progress("checking tables and indexes (amcheck)", total=total, unit="MB") as bar:
        for item, complaint in in_parallel(lambda: _looking(connect, timeout_s), known, check, jobs=jobs):
            if complaint is not None:
                complaints[TABLES if item.kind == "table" else INDEXES].append(f"{item.name}: {complaint}")
            bar.add(item.size_bytes / 1e6)
    counts = {
        title: len({item.oid for item in known if (item.kind == "table") == (title == TABLES)})
        for title in complaints
    }
    return [
        *(_check(title, counts[title], said) for title, said in complaints.items()),
        *_others(items, queries),
    ]


def _parts(item: Item) -> Iterator[Item]:
    """Cut a large table into ranges of blocks; an index is checked whole."""
    blocks = item.size_bytes // 8192
    if item.kind != "table":
        yield item
    for first in range(0, blocks if item.kind == "table" else 0, CHUNK_BLOCKS):
        last = min(first + CHUNK_BLOCKS, blocks) - 1
        yield Item(item.oid, item.name, item.kind, (last - first + 1) * 8192, first, last)


def _queries(schema: str, version: int) -> dict[str, sql.Composed]:
    """Return the query of each kind of relation that this amcheck can check; it returns complaints."""
    unique = ", true" if version >= UNIQUE_SINCE else ""
    texts = {
        "btree": f"SELECT NULL::text WHERE {{schema}}.bt_index_check(%(oid)s, true{unique}) IS NULL",
        "table": "SELECT format('block %%s, tuple %%s: %%s', blkno, offnum, msg) FROM {schema}.verify_heapam("
        "%(oid)s, check_toast => true, startblock => %(first)s, endblock => %(last)s) LIMIT 3",
    }
    if version >= GIN_SINCE:
        texts["gin"] = "SELECT NULL::text WHERE {schema}.gin_index_check(%(oid)s) IS NULL"
    return {kind: sql.SQL(text).format(schema=sql.Identifier(schema)) for kind, text in texts.items()}


@contextmanager
def _looking(connect: Connect, timeout_s: float) -> Iterator[Connection]:
    """Open a session of single statements: amcheck refuses some indexes within a longer snapshot."""
    with connect() as connection:
        connection.autocommit = True
        settings = {"search_path": "pg_catalog", "statement_timeout": f"{timeout_s * 1000:.0f}ms"}
        for name, value in (settings | {"maintenance_work_mem": "64MB"}).items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))
        yield connection


def _complaint(connection: Connection, query: sql.Composed, item: Item) -> str | None:
    try:
        rows = connection.execute(query, {"oid": item.oid, "first": item.first, "last": item.last}).fetchall()
    except psycopg.Error as error:
        with suppress(psycopg.Error):
            connection.rollback()
        return words(error)
    return "; ".join(row[0] for row in rows if row[0]) or None


def _check(title: str, count: int, complaints: list[str]) -> Check:
    more = f"; and {len(complaints) - SHOWN} more" if len(complaints) > SHOWN else ""
    observed = "; ".join(sorted(complaints)[:SHOWN]) + more if complaints else f"{EXPECTED} about {count:,}"
    return Check.of(title, holds=not complaints, observed=observed, expected=EXPECTED)


def _others(items: list[Item], queries: dict[str, sql.Composed]) -> list[Check]:
    """Return what amcheck has no check for, and what is marked invalid."""
    invalid = sorted(item.name for item in items if item.kind.endswith("(invalid)"))
    others = sorted({item.kind for item in items} - set(queries))
    names = sorted(
        f"{item.name} ({item.kind})" for item in items if item.kind in others and item.name not in invalid
    )
    checks = [
        Check.of("no index is marked invalid", holds=not invalid, observed=invalid or "none", expected="none")
    ]
    if names:
        why = f"amcheck of this version has no check for: {', '.join(names[:SHOWN])}"
        checks.append(Check.unchecked("indexes of other kinds", why=why, expected=EXPECTED))
    return checks
