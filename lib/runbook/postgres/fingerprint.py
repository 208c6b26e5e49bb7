"""Tells what a database holds: per table the number of rows and a checksum that no order of rows changes.

The checksum of a table is the sum, modulo 2**64, of a 64-bit hash of each row. A row's hash mixes the hashes
of its columns' text forms, each seeded with the column's name:

    SELECT count(*), sum(<row_hash>) FROM ONLY orders        -- row_hash() gives the expression

Everything is computed in the server, a range of blocks at a time over several connections, so our memory
does not grow with the database. `hashtextextended` gives the same in every version since 11 (hash partitions
rest on it) and on every machine of the same byte order; `PROBE` is asked of the server to be sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import psycopg
from psycopg import sql
from pydantic import Field

from runbook.errors import StepFailed
from runbook.postgres.sessions import (
    LOCK_TIMEOUT_S,
    STATEMENT_TIMEOUT_S,
    Connect,
    Connection,
    Query,
    export_snapshot,
    in_parallel,
    reading,
    server_errors,
    words,
)
from runbook.step import Step
from runbook.values import Check, Value, shown

MODULUS = 2**64
CHUNK_BYTES = 32 * 2**20
PROBE = -2983589413464878782  # hashtextextended('runbook', 0)
RANGE_SCANS_SINCE = 140000  # before version 14 a condition on ctid reads the whole table
UNREADABLE = ("XX", "58")  # sqlstate classes: corrupted data, input/output errors


class TableFingerprint(Value):
    """What a table holds: `checksum` is a number below 2**64 as decimal text."""

    row_count: int
    checksum: str

    def moved(self, *, rows: int, checksum: int) -> TableFingerprint:
        """Return the fingerprint after a change that added `rows` and moved the sum by `checksum`."""
        return TableFingerprint(
            row_count=self.row_count + rows, checksum=str((int(self.checksum) + checksum) % MODULUS)
        )

    def __str__(self) -> str:
        return f"{shown(self.row_count)} rows, checksum {self.checksum}"


EMPTY = TableFingerprint(row_count=0, checksum="0")


class Truth(Value):
    """Everything a restored database is measured against, as one snapshot showed it.

    `sequences` are the last values given out; `unreadable` names tables the server could not read, with its
    words; `not_covered` what a fingerprint does not reach.
    """

    tables: dict[str, TableFingerprint]
    sequences: dict[str, int] = Field(default_factory=dict)
    descending: tuple[str, ...] = ()
    extensions: dict[str, str] = Field(default_factory=dict)
    roles: tuple[str, ...] = ()
    materialized_views: tuple[str, ...] = ()
    encoding: str = "UTF8"
    server_version: str = ""
    unreadable: dict[str, str] = Field(default_factory=dict)
    not_covered: tuple[str, ...] = ()
    serial: int | None = None

    @property
    def total_rows(self) -> int:
        return sum(table.row_count for table in self.tables.values())

    def rows(self) -> list[tuple[str, str]]:
        named = [
            ("tables", shown(len(self.tables))),
            ("rows", shown(self.total_rows)),
            ("sequences", shown(len(self.sequences))),
            ("extensions", shown(self.extensions)),
            ("server", self.server_version),
        ]
        optional = {"serial": self.serial, "unreadable": self.unreadable, "not covered": self.not_covered}
        return named + [(name, shown(what)) for name, what in optional.items() if what not in (None, (), {})]


@dataclass(frozen=True)
class Table:
    """A table that holds rows itself: ordinary ones and the leaves of partitioned ones."""

    schema: str
    name: str
    columns: tuple[str, ...]
    blocks: int
    size_bytes: int
    in_ranges: bool

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


class Chunk(NamedTuple):
    """A range of a table's blocks; `last` None means to the end, wherever that is by then."""

    table: Table
    first: int
    last: int | None
    size_bytes: int


class Part(NamedTuple):
    """What a chunk came to; `trouble` is the server's words when it could not be read."""

    chunk: Chunk
    rows: int
    checksum: int
    trouble: str | None


def row_hash(columns: Iterable[str], *, of: str = "t") -> Query:
    """Return the SQL expression of a row's 64-bit hash, for the columns of alias `of`."""
    mixed: list[Query] = [
        sql.SQL(
            'coalesce(hashtextextended({}::text COLLATE "C", hashtextextended({name}, 0)), '
            "hashtextextended({name}, 1))"
        ).format(sql.Identifier(of, column), name=sql.Literal(column))
        for column in sorted(columns)
    ]
    return sql.SQL("hashint8extended({}, 0)").format(sql.SQL(" # ").join(mixed or [sql.SQL("0::bigint")]))


def fingerprint(
    step: Step,
    connect: Connect,
    *,
    snapshot: str | None = None,
    jobs: int = 2,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    without_schemas: Sequence[str] = (),
    chunk_bytes: int = CHUNK_BYTES,
    before_chunk: Callable[[int], None] = lambda _size_bytes: None,
) -> Truth:
    """Return what the database holds, all of it under one snapshot (a given, exported one or its own).

    `before_chunk` is called with the bytes that are about to be read, about `chunk_bytes` each time; it may
    wait, or raise to end the reading. Raises StepFailed with the server's words; a table that is damaged
    lands in `unreadable` instead.
    """
    session = partial(
        reading, connect, statement_timeout_s=statement_timeout_s, lock_timeout_s=lock_timeout_s
    )
    with server_errors("the fingerprint of the database failed"), session(snapshot=snapshot) as connection:
        _probe(connection)
        tables = [table for table in tables_of(connection) if table.schema not in without_schemas]
        frame = _frame(connection, without_schemas)
        shared = partial(session, snapshot=snapshot or export_snapshot(connection))
        chunks = [chunk for table in tables for chunk in _chunks(table, chunk_bytes)]

        def count(reader: Connection, chunk: Chunk) -> Part:
            before_chunk(chunk.size_bytes)
            return _count(reader, chunk)

        return _counted(step, chunks, frame, lambda ordered: in_parallel(shared, ordered, count, jobs=jobs))


def _counted(
    step: Step, chunks: list[Chunk], frame: Truth, count: Callable[[list[Chunk]], Iterator[Part]]
) -> Truth:
    """Return `frame` with every table's rows and checksum; large chunks come first, so no core waits long."""
    ordered = sorted(chunks, key=lambda chunk: -chunk.size_bytes)
    found = dict.fromkeys((chunk.table.full_name for chunk in chunks), EMPTY)
    unreadable: dict[str, str] = {}
    total = sum(chunk.size_bytes for chunk in chunks) / 1e6
    with step.progress("reading every table", total=total, unit="MB") as bar:
        for part in count(ordered):
            name = part.chunk.table.full_name
            found[name] = found[name].moved(rows=part.rows, checksum=part.checksum)
            if part.trouble is not None:
                unreadable.setdefault(name, part.trouble)
            bar.add(part.chunk.size_bytes / 1e6)
    return frame.model_copy(update={"tables": dict(sorted(found.items())), "unreadable": unreadable})


def _probe(connection: Connection) -> None:
    """Refuse a server whose hashes are not ours: checksums would never agree."""
    found = connection.execute("SELECT hashtextextended('runbook', 0)").fetchall()[0][0]
    if found != PROBE:
        raise StepFailed(
            f"this server hashes 'runbook' to {found}, expected {PROBE}: its machine has another byte order; "
            "take the fingerprints on machines of one kind"
        )


def _chunks(table: Table, chunk_bytes: int) -> list[Chunk]:
    """Cut a table into ranges of about so many bytes, its out-of-line values counted in."""
    if not table.in_ranges or table.size_bytes <= chunk_bytes:
        return [Chunk(table, 0, None, table.size_bytes)]
    count = max(1, min(table.blocks, -(-table.size_bytes // chunk_bytes)))
    edges = [table.blocks * edge // count for edge in range(count)]
    ends = [*edges[1:], None]
    return [
        Chunk(table, first, last, table.size_bytes // count) for first, last in zip(edges, ends, strict=True)
    ]


def _count(connection: Connection, chunk: Chunk) -> Part:
    """Count and hash one chunk in the server."""
    limits: list[Query] = [sql.SQL("true")]
    if chunk.first:
        limits.append(sql.SQL("ctid >= {}").format(sql.Literal(f"({chunk.first},0)") + sql.SQL("::tid")))
    if chunk.last is not None:
        limits.append(sql.SQL("ctid < {}").format(sql.Literal(f"({chunk.last},0)") + sql.SQL("::tid")))
    query = sql.SQL("SELECT count(*), coalesce(sum({}), 0) FROM ONLY {} AS t WHERE {}").format(
        row_hash(chunk.table.columns), chunk.table.identifier, sql.SQL(" AND ").join(limits)
    )
    try:
        with connection.transaction():  # a savepoint: one bad page does not end the whole reading
            rows, total = connection.execute(query).fetchall()[0]
    except psycopg.Error as error:
        if (error.sqlstate or "")[:2] not in UNREADABLE:
            raise
        return Part(chunk, 0, 0, words(error))
    return Part(chunk, int(rows), int(total), None)


# Members of an extension are left to it: a dump does not carry their rows.
_TABLES = """
SELECT n.nspname, c.relname,
       ARRAY(SELECT attname::text FROM pg_attribute
             WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attname COLLATE "C"),
       pg_relation_size(c.oid) / current_setting('block_size')::int, pg_table_size(c.oid),
       coalesce(m.amname = 'heap', false) AND current_setting('server_version_num')::int >= %(ranges)s
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am m ON m.oid = c.relam
WHERE (c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND n.nspname !~ '^pg_(toast|temp)'
       AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                       AND d.deptype = 'e'))
   OR (c.oid = 'pg_largeobject'::regclass AND EXISTS (SELECT FROM pg_largeobject_metadata)
       AND has_table_privilege('pg_largeobject', 'SELECT'))
ORDER BY 1, 2
"""

_FRAME = """
SELECT (SELECT json_object_agg(extname, extversion) FROM pg_extension),
       (SELECT array_agg(rolname::text ORDER BY rolname) FROM pg_roles WHERE rolname !~ '^pg_'),
       (SELECT array_agg(n.nspname || '.' || c.relname ORDER BY 1) FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm'),
       current_setting('server_encoding'), current_setting('server_version')
"""

_SEQUENCES = """
SELECT n.nspname || '.' || c.relname, s.seqincrement < 0,
       coalesce(pg_sequence_last_value(s.seqrelid), s.seqstart - s.seqincrement)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relpersistence <> 't' AND has_sequence_privilege(s.seqrelid, 'SELECT, USAGE')
ORDER BY 1
"""

_NOT_COVERED = """
SELECT what || n.nspname || '.' || c.relname
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (
    SELECT CASE WHEN c.relkind = 'f' THEN 'foreign table ' WHEN EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
    ) THEN 'table of an extension ' END AS what) AS kind
WHERE c.relkind IN ('r', 'f') AND what IS NOT NULL AND c.oid >= 16384
UNION ALL SELECT 'large objects: no right to read them'
WHERE EXISTS (SELECT FROM pg_largeobject_metadata) AND NOT has_table_privilege('pg_largeobject', 'SELECT')
ORDER BY 1
"""


def tables_of(connection: Connection) -> list[Table]:
    """Return every user table with its columns and size."""
    rows = connection.execute(_TABLES, {"ranges": RANGE_SCANS_SINCE}).fetchall()
    return [Table(schema, name, tuple(columns), *rest) for schema, name, columns, *rest in rows]


def _frame(connection: Connection, without_schemas: Sequence[str]) -> Truth:
    """Return all of the truth but the tables."""
    left_out = tuple(f"{schema}." for schema in without_schemas)
    extensions, roles, views, encoding, version = connection.execute(_FRAME).fetchall()[0]
    sequences = [row for row in connection.execute(_SEQUENCES) if not row[0].startswith(left_out)]
    not_covered = [name for (name,) in connection.execute(_NOT_COVERED)]
    return Truth(
        tables={},
        sequences={name: value for name, _, value in sequences},
        descending=tuple(name for name, descending, _ in sequences if descending),
        extensions=extensions or {},
        roles=tuple(roles or ()),
        materialized_views=tuple(view for view in views or () if not view.startswith(left_out)),
        encoding=encoding,
        server_version=version.split()[0],
        not_covered=(*not_covered, *(f"schema {schema}" for schema in without_schemas)),
    )


def compare(truth: Truth, observed: Truth) -> list[Check]:
    """Return a check per table (rows and checksum), and one each for strange tables and for sequences."""
    checks = [_table_check(name, expected, truth, observed) for name, expected in truth.tables.items()]
    strange = sorted(set(observed.tables) - set(truth.tables))
    checks.append(
        Check.of(
            "no table but the recorded ones", holds=not strange, observed=strange or "none", expected="none"
        )
    )
    if not truth.tables:
        checks.append(
            Check.of("there is something to compare", holds=False, observed=0, expected="1 table or more")
        )
    if truth.sequences:
        checks.append(_sequences_check(truth, observed))
    return checks


def _table_check(name: str, expected: TableFingerprint, truth: Truth, observed: Truth) -> Check:
    title, found = f"{name}: rows and checksum", observed.tables.get(name)
    if name in observed.unreadable:
        return Check.of(title, holds=False, observed=observed.unreadable[name], expected=str(expected))
    if found is None:
        return Check.of(title, holds=False, observed="no such table", expected=str(expected))
    if found.row_count == expected.row_count and truth.encoding != observed.encoding:
        why = (
            f"{found.row_count} rows; checksums of {truth.encoding} and {observed.encoding} text cannot agree"
        )
        return Check.unchecked(title, why=why, expected=str(expected))
    return Check.of(title, holds=found == expected, observed=str(found), expected=str(expected))


def _sequences_check(truth: Truth, observed: Truth) -> Check:
    """A sequence may be further than recorded (it runs outside transactions), never behind."""
    behind = []
    for name, expected in truth.sequences.items():
        found = observed.sequences.get(name)
        sign = -1 if name in truth.descending else 1
        if found is None or found * sign < expected * sign:
            behind.append(f"{name} is at {shown(found)}, recorded was {shown(expected)}")
    return Check.of(
        "sequences at or past their recorded values",
        holds=not behind,
        observed="; ".join(behind) or f"{len(truth.sequences)} sequences",
        expected=f"{len(truth.sequences)} sequences, none behind",
    )
