"""Re-validates what ties tables together: foreign keys by their rows, sequences by the columns they feed.

That a constraint is marked valid in the catalogue says nothing about the rows; they are joined here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from runbook.postgres.sessions import Connection, Query, Session, check_each, words
from runbook.step import Step
from runbook.values import Check, shown


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key as the catalogue has it; `equals` are its comparison operators, one per column."""

    name: str
    table: tuple[str, str]
    columns: tuple[str, ...]
    other: tuple[str, str]
    other_columns: tuple[str, ...]
    equals: tuple[tuple[str, str], ...]
    full: bool
    unchecked: str | None

    @property
    def title(self) -> str:
        here, there = ".".join(self.table), ".".join(self.other)
        return f"foreign key {here} ({', '.join(self.columns)}) → {there} ({', '.join(self.other_columns)})"


# `conenforced` and `conperiod` came with 18; asked for by name they would be unknown before.
_FOREIGN_KEYS = """
SELECT c.conname,
       ARRAY[rn.nspname, r.relname]::text[], ARRAY(
           SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY k(n, i)
           JOIN pg_attribute ON attrelid = c.conrelid AND attnum = n ORDER BY i),
       ARRAY[fn.nspname, f.relname]::text[], ARRAY(
           SELECT attname::text FROM unnest(c.confkey) WITH ORDINALITY k(n, i)
           JOIN pg_attribute ON attrelid = c.confrelid AND attnum = n ORDER BY i),
       ARRAY(SELECT ARRAY[n.nspname, o.oprname]::text[] FROM unnest(c.conpfeqop) WITH ORDINALITY k(op, i)
             JOIN pg_operator o ON o.oid = op JOIN pg_namespace n ON n.oid = o.oprnamespace ORDER BY i),
       c.confmatchtype = 'f',
       CASE WHEN to_jsonb(c) ->> 'conenforced' = 'false' THEN 'it is not enforced'
            WHEN to_jsonb(c) ->> 'conperiod' = 'true' THEN 'it spans periods'
            WHEN NOT c.convalidated THEN 'the source never validated it' END
FROM pg_constraint c
JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
JOIN pg_class f ON f.oid = c.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
WHERE c.contype = 'f' AND c.conparentid = 0
ORDER BY pg_table_size(r.oid) DESC, 1
"""


def check_foreign_keys(step: Step, session: Session, *, jobs: int) -> list[Check]:
    """Return a check per foreign key: the number of rows whose counterpart is missing."""
    with session() as connection:
        keys = [_foreign_key(row) for row in connection.execute(_FOREIGN_KEYS)]
    return check_each(step, session, keys, _check_foreign_key, "validating foreign keys", jobs)


def _foreign_key(row: tuple[Any, ...]) -> ForeignKey:
    name, table, columns, other, other_columns, equals, full, unchecked = row
    return ForeignKey(
        name=name,
        table=(table[0], table[1]),
        columns=tuple(columns),
        other=(other[0], other[1]),
        other_columns=tuple(other_columns),
        equals=tuple((schema, operator) for schema, operator in equals),
        full=full,
        unchecked=unchecked,
    )


def _check_foreign_key(connection: Connection, key: ForeignKey) -> Check:
    expected = "0 rows without their counterpart"
    if key.unchecked is not None:
        return Check.unchecked(key.title, why=key.unchecked, expected=expected)
    try:
        with connection.transaction():
            [(orphans,)] = connection.execute(orphans_query(key)).fetchall()
    except psycopg.Error as error:
        return Check.of(key.title, holds=False, observed=words(error), expected=expected)
    observed = f"{shown(orphans)} rows without their counterpart"
    return Check.of(key.title, holds=orphans == 0, observed=observed, expected=expected)


def orphans_query(key: ForeignKey) -> Query:
    """Return the query that counts the rows a foreign key forbids, as the server does on validating."""
    here = [sql.Identifier("f", column) for column in key.columns]
    pairs = [
        sql.SQL("{} OPERATOR({}.{}) {}").format(
            sql.Identifier("p", other), sql.Identifier(schema), sql.SQL(operator), column
        )
        for other, (schema, operator), column in zip(key.other_columns, key.equals, here, strict=True)
    ]
    whole = sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(column) for column in here)
    query: Query = sql.SQL(
        "SELECT count(*) FROM {} AS f WHERE {} AND NOT EXISTS (SELECT FROM {} AS p WHERE {})"
    ).format(sql.Identifier(*key.table), whole, sql.Identifier(*key.other), sql.SQL(" AND ").join(pairs))
    if not key.full:
        return query
    partly = sql.SQL("SELECT count(*) FROM {} AS f WHERE num_nulls({}) BETWEEN 1 AND {}").format(
        sql.Identifier(*key.table), sql.SQL(", ").join(here), sql.Literal(len(here) - 1)
    )
    return sql.SQL("SELECT ({}) + ({})").format(query, partly)


# Sequences that feed a column: owned by it (serial, identity), or called in its default.
_FED_COLUMNS = """
SELECT DISTINCT sn.nspname::text, s.relname::text, tn.nspname::text, t.relname::text, a.attname::text,
       q.seqincrement < 0
FROM pg_sequence q JOIN pg_class s ON s.oid = q.seqrelid JOIN pg_namespace sn ON sn.oid = s.relnamespace
JOIN LATERAL (
    SELECT d.refobjid AS relation, d.refobjsubid AS number FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objid = s.oid AND d.refclassid = 'pg_class'::regclass
      AND d.deptype IN ('a', 'i')
    UNION SELECT v.adrelid, v.adnum FROM pg_attrdef v JOIN pg_depend d
      ON d.classid = 'pg_attrdef'::regclass AND d.objid = v.oid
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = s.oid) AS fed ON true
JOIN pg_class t ON t.oid = fed.relation JOIN pg_namespace tn ON tn.oid = t.relnamespace
JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = fed.number
WHERE NOT q.seqcycle AND t.relkind IN ('r', 'p') AND t.relpersistence <> 't'
  AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
ORDER BY 1, 2
"""


def check_sequences(step: Step, session: Session, *, jobs: int) -> list[Check]:
    """Return a check per sequence that feeds a column: the next number must not have been given out."""
    with session() as connection:
        fed = [FedColumn(*row) for row in connection.execute(_FED_COLUMNS)]
    return check_each(step, session, fed, _check_sequence, "comparing sequences with their columns", jobs)


@dataclass(frozen=True)
class FedColumn:
    """A column and the sequence its numbers come from."""

    sequence_schema: str
    sequence: str
    schema: str
    table: str
    column: str
    descending: bool


def _check_sequence(connection: Connection, fed: FedColumn) -> Check:
    title = f"sequence {fed.sequence_schema}.{fed.sequence} ahead of {fed.schema}.{fed.table}.{fed.column}"
    query = sql.SQL("SELECT last_value, is_called, (SELECT {}({}) FROM {}) FROM {}").format(
        sql.SQL("min" if fed.descending else "max"),
        sql.Identifier(fed.column),
        sql.Identifier(fed.schema, fed.table),
        sql.Identifier(fed.sequence_schema, fed.sequence),
    )
    try:
        with connection.transaction():
            [(last, called, furthest)] = connection.execute(query).fetchall()
    except psycopg.Error as error:
        return Check.of(title, holds=False, observed=words(error), expected="both readable")
    if furthest is None:
        return Check.of(
            title, holds=True, observed=f"at {shown(last)}, no row", expected="not behind any row"
        )
    sign = -1 if fed.descending else 1
    ahead = last * sign >= furthest * sign if called else last * sign > furthest * sign
    return Check.of(
        title,
        holds=ahead,
        observed=f"at {shown(last)}{'' if called else ' (not called yet)'}",
        expected=f"{shown(int(furthest))} or beyond",
    )
