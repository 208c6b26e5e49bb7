"""Asks a database the invariants that params give: what each returned, and whether that is right."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from runbook.plan import Freshness, Invariant
from runbook.postgres.sessions import Connect, Connection, in_parallel, reading, words
from runbook.values import Check, Value, shown

TIMEOUT_S = 60.0


class Finding(Value):
    """What an invariant came to: the check, its hint of a table, and the server's code if it was an error."""

    check: Check
    table: str | None = None
    sqlstate: str | None = None

    @property
    def failed(self) -> bool:
        return self.check.status == "failed"


def evaluate(
    connect: Connect, invariants: tuple[Invariant, ...], *, jobs: int = 1, timeout_s: float = TIMEOUT_S
) -> tuple[Finding, ...]:
    """Ask the database every invariant, in their order, each in a read-only transaction of its own.

    An error of the server (the table is gone, it took too long) is a failed invariant with its words.
    """
    session = partial(reading, connect, statement_timeout_s=timeout_s, own_search_path=True)
    numbered = list(enumerate(invariants))
    found = dict(
        in_parallel(session, numbered, lambda connection, one: (one[0], _ask(connection, one[1])), jobs=jobs)
    )
    return tuple(found[number] for number, _ in numbered)


def check_freshness(
    connect: Connect, freshness: Freshness, *, now: datetime, timeout_s: float = TIMEOUT_S
) -> Check:
    """Compare the newest row's age at `now` with the greatest age allowed."""
    title, expected = "age of the newest row", f"{shown(freshness.max_age_s)} s or less"
    with reading(connect, statement_timeout_s=timeout_s, own_search_path=True) as connection:
        try:
            value = _value(connection, freshness.sql)
        except _Unanswered as error:
            return Check.of(title, holds=False, observed=error, expected=expected)
    if not isinstance(value, datetime) or value.tzinfo is None:
        observed = "no row" if value is None else f"{value!r}, which is no timestamp with time zone"
        return Check.of(title, holds=False, observed=observed, expected=expected)
    age = now - value
    return Check.of(
        title,
        holds=age <= timedelta(seconds=freshness.max_age_s),
        observed=f"{shown(age.total_seconds())} s (from {value.isoformat(timespec='seconds')})",
        expected=expected,
    )


class _Unanswered(Exception):
    """The query gave no single value; the message says why."""

    def __init__(self, why: str, sqlstate: str | None = None) -> None:
        self.sqlstate = sqlstate
        super().__init__(why)


def _ask(connection: Connection, invariant: Invariant) -> Finding:
    title = f"invariant: {invariant.name}"
    try:
        value = _value(connection, invariant.sql)
    except _Unanswered as error:
        check = Check.of(title, holds=False, observed=error, expected=invariant.expected)
        return Finding(check=check, table=invariant.table, sqlstate=error.sqlstate)
    observed = float(value) if isinstance(value, Decimal) else "no value" if value is None else value
    check = Check.of(title, holds=invariant.holds(value), observed=observed, expected=invariant.expected)
    return Finding(check=check, table=invariant.table)


def _value(connection: Connection, query: str) -> Any:
    """Return the one value of a query; a savepoint keeps the session usable when it fails."""
    try:
        with connection.transaction(), connection.cursor() as cursor:
            # The text comes from the user's parameter files; the transaction is read-only.
            cursor.execute(sql.SQL(query))
            rows = cursor.fetchmany(2) if cursor.description else []
    except psycopg.Error as error:
        raise _Unanswered(words(error), error.sqlstate) from error
    if len(rows) != 1 or len(rows[0]) != 1:
        raise _Unanswered("the query must return one row with one value")
    return rows[0][0]
