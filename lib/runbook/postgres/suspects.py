"""Names the commits that may have broken an invariant, from the server's catalogue and the log's history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import psycopg

from runbook.postgres.history import Change, Commit, Drop, History
from runbook.postgres.invariants import Finding
from runbook.postgres.sessions import Connect, Connection, reading
from runbook.postgres.wal import Lsn

MASS = 10  # a transaction stands out with ten rows or more, and ten times as many as the next one
FIRST_USER_FILE = 16384  # files of smaller numbers are the system's own
NO_SUCH_OBJECT = ("42P01", "3F000", "42883", "42704")  # sqlstates: relation, schema, function, type


class Suspect(NamedTuple):
    """A commit that may have done it, why, and whether nothing else comes near it."""

    commit: Commit
    sentence: str
    stands_out: bool


class Place(NamedTuple):
    """Where the log speaks of a table, and which transaction last changed its entry in the catalogue."""

    relation: str
    entry_xid: int


class Places(NamedTuple):
    """Where a database is in the log: `prefix` of its relations' names, the file of pg_class, its tables.

    A table is None when it is not there any more.
    """

    prefix: str
    catalogue: str
    tables: dict[str, Place | None]


def places_of(connect: Connect, tables: Iterable[str]) -> Places:
    """Ask the server where the log speaks of these tables (schema.name)."""
    query = (
        "SELECT d.oid::text, coalesce(nullif(c.reltablespace, 0), d.dattablespace)::text, "
        "pg_relation_filenode(c.oid)::text, c.xmin::text FROM pg_database d "
        "LEFT JOIN pg_class c ON c.oid = to_regclass(%s) WHERE d.datname = current_database()"
    )
    with reading(connect) as connection:
        database, space, catalogue, _ = connection.execute(query, ("pg_class",)).fetchall()[0]
        found: dict[str, Place | None] = {}
        for table in tables:
            [(_, where, file, xid)] = connection.execute(query, (table,)).fetchall()
            found[table] = Place(f"{where}/{database}/{file}", int(xid)) if file is not None else None
    return Places(f"/{database}/", f"{space}/{database}/{catalogue}", found)


def commit_time(connect: Connect, commit: Commit) -> str | None:
    """Return what the server's own commit timestamps say of a commit; None when it keeps none."""
    with reading(connect) as connection:
        try:
            [(at,)] = connection.execute(
                "SELECT pg_xact_commit_timestamp(%s::text::xid)", (commit.xid,)
            ).fetchall()
        except psycopg.Error:
            return None
    agrees = "agrees with the log" if at == commit.at else f"differs from the log's {commit.at}"
    return f"the server's commit timestamp of transaction {commit.xid}, {at}, {agrees}"


def suspects_of(
    history: History, places: Places, failed: tuple[Finding, ...], *, after: Lsn
) -> list[Suspect]:
    """Return who may have done it, the likeliest first; commits before `after` are in the backup already."""
    found: dict[Commit, Suspect] = {}
    for one in failed:
        gone = one.sqlstate in NO_SUCH_OBJECT or (one.table is not None and places.tables[one.table] is None)
        suspects = [] if gone else _changers(history, places, one.table, after)
        if gone or one.table is None:
            suspects += _droppers(history, places, after)
        for suspect in suspects:
            known = found.get(suspect.commit)
            if known is None or suspect.stands_out > known.stands_out:
                found[suspect.commit] = suspect
    outstanding = [suspect for suspect in found.values() if suspect.stands_out]
    return sorted(outstanding or found.values(), key=lambda suspect: suspect.commit.lsn)


def _droppers(history: History, places: Places, after: Lsn) -> list[Suspect]:
    drops = [
        drop
        for drop in history.drops
        if drop.relations
        and drop.commit.lsn >= after
        and any(places.prefix in f"/{file}" for file in drop.files)
    ]
    return [Suspect(drop.commit, _drop_sentence(drop), len(drops) == 1) for drop in drops]


def _drop_sentence(drop: Drop) -> str:
    return f"{drop.commit} dropped {drop.relations} tables, indexes and the like ({len(drop.files)} files)"


def _changers(history: History, places: Places, table: str | None, after: Lsn) -> list[Suspect]:
    """Return who changed most of a table, or of any table when there is no hint."""
    place = places.tables[table] if table is not None else None
    if table is not None and place is not None:
        relations = {place.relation: table}
    else:
        relations = {
            name: f"file {name}"
            for name in history.largest
            if places.prefix in name and int(name.rpartition("/")[2]) >= FIRST_USER_FILE
        }
    suspects: list[Suspect] = []
    for relation, name in relations.items():
        changes = [change for change in history.largest.get(relation, []) if change.commit.lsn >= after]
        suspects += _by_mass(changes, name)
    if table is not None and place is not None and not any(suspect.stands_out for suspect in suspects):
        suspects += _rewriters(history, place, table, after)
    return suspects


def _rewriters(history: History, place: Place, table: str, after: Lsn) -> list[Suspect]:
    """Return who gave a table a new file: what went before is not in the log of the new one."""
    return [
        Suspect(
            drop.commit, f"{drop.commit} gave {table} a new file (TRUNCATE or a rewrite)", stands_out=True
        )
        for drop in history.drops
        if drop.commit.xid == place.entry_xid and not drop.relations and drop.commit.lsn >= after
    ]


def _by_mass(changes: list[Change], table: str) -> list[Suspect]:
    """Return the one that stands out, or else the three largest."""
    if not changes:
        return []
    runner_up = changes[1].rows if len(changes) > 1 else 0
    first = changes[0]
    stands_out = first.rows >= MASS and first.rows >= MASS * runner_up
    chosen = changes[:1] if stands_out else changes[:3]
    return [
        Suspect(
            change.commit,
            f"{change.commit} deleted or updated {change.rows:,} rows of {table}"
            + (f", the next largest {runner_up:,}" if stands_out else ""),
            stands_out,
        )
        for change in chosen
    ]


def relation_of(connection: Connection, file: str) -> str | None:
    """Return the name of the relation that a file below the data directory belongs to."""
    node = file.rpartition("/")[2].split(".")[0].split("_")[0]
    rows = connection.execute(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE pg_relation_filenode(c.oid) = %s::text::oid",
        (node,),
    ).fetchall()
    return str(rows[0][0]) if rows else None
