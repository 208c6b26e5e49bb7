"""Verifies what is in a restored database, table by table and row by row: that it started proves nothing.

Everything is computed in the server, over several connections; what could not be checked says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from runbook.plan import Freshness, Invariant
from runbook.postgres.amcheck import check_with_amcheck
from runbook.postgres.backup import page_check
from runbook.postgres.fingerprint import Truth, compare, fingerprint
from runbook.postgres.invariants import check_freshness, evaluate
from runbook.postgres.keys import check_foreign_keys, check_sequences
from runbook.postgres.pages import check_pages
from runbook.postgres.sessions import Connect, Connection, Session, check_each, reading, server_errors, words
from runbook.step import Step
from runbook.values import Check, Checks, Value, shown

JOBS = 2
TIMEOUT_S = 1800.0  # of a single statement; a copy of ours is in nobody's way
MEMORY_MB = 128
PAGES = "page checksums"


class Verified(Value):
    """What a restored database holds, and every check that was made of it."""

    observed: Truth
    checks: Checks


def verify_content(
    step: Step,
    connect: Connect,
    *,
    truth: Truth | None,
    invariants: tuple[Invariant, ...] = (),
    freshness: Freshness | None = None,
    now: datetime | None = None,
    data: Path | None = None,
    has_amcheck: bool = False,
    jobs: int = JOBS,
) -> Verified:
    """Return what the restored database of a cluster of ours holds, and the checks of it.

    `truth` is what it should hold, None when nobody knows; then it must at least not be empty. `freshness` is
    judged at `now`. `data` is its data directory, for the checksums of all pages. A check that fails is a row
    of the table; StepFailed is raised only when the server cannot be asked at all.
    """
    session = partial(reading, connect, statement_timeout_s=TIMEOUT_S, work_mem_mb=MEMORY_MB)
    with server_errors("verifying the restored database failed"):
        with step.phase("verify: rows and checksums"):
            observed = fingerprint(step, connect, jobs=jobs, statement_timeout_s=TIMEOUT_S)
            checks = [_not_empty(observed), _readable(observed)]
            checks += compare(truth, observed) if truth is not None else []
        with step.phase("verify: keys and sequences"):
            checks += check_foreign_keys(step, session, jobs=jobs)
            checks += check_sequences(step, session, jobs=jobs)
        with step.phase("verify: invariants and views"):
            checks += [one.check for one in evaluate(connect, invariants, jobs=jobs, timeout_s=TIMEOUT_S)]
            checks += _views(step, session, jobs)
            checks += _surroundings(connect, observed, truth)
            if freshness is not None and now is not None:
                checks.append(check_freshness(connect, freshness, now=now))
        with step.phase("verify: structure (amcheck)"):
            checks += check_with_amcheck(step, connect, available=has_amcheck, jobs=jobs, timeout_s=TIMEOUT_S)
        with step.phase("verify: page checksums"):
            checks.append(_pages(step, connect, data, jobs))
    return Verified(observed=observed, checks=Checks(items=tuple(checks)))


def _not_empty(observed: Truth) -> Check:
    rows = f"{len(observed.tables)} tables with {shown(observed.total_rows)} rows"
    holds = observed.total_rows > 0
    return Check.of(
        "the database is not empty", holds=holds, observed=rows, expected="1 table or more, 1 row or more"
    )


def _readable(observed: Truth) -> Check:
    trouble = "; ".join(f"{table}: {said}" for table, said in observed.unreadable.items())
    total = len(observed.tables)
    return Check.of(
        "every row can be read",
        holds=not trouble,
        observed=trouble or f"{total} tables" + _left_out(observed),
        expected=f"{total} tables",
    )


def _left_out(observed: Truth) -> str:
    return f"; not covered: {', '.join(observed.not_covered)}" if observed.not_covered else ""


_VIEWS = """
SELECT n.nspname, c.relname, c.relkind::text, c.relispopulated
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('m', 'v') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1, 2
"""


def _views(step: Step, session: Session, jobs: int) -> list[Check]:
    """Return a check per materialised view (read through) and one for all plain views (planned)."""
    with session() as connection:
        found = connection.execute(_VIEWS).fetchall()
    stored = [(schema, name, filled) for schema, name, kind, filled in found if kind == "m"]
    plain = [(schema, name) for schema, name, kind, _ in found if kind == "v"]
    checks = check_each(step, session, stored, _stored_view, "reading materialised views", jobs)
    if plain:
        failed = [
            one.observed
            for one in check_each(step, session, plain, _plain_view, "asking views", jobs)
            if one.status == "failed"
        ]
        observed = "; ".join(failed) or f"{len(plain)} of {len(plain)}"
        checks.append(
            Check.of("views answer", holds=not failed, observed=observed, expected=f"all {len(plain)}")
        )
    return checks


def _stored_view(connection: Connection, view: tuple[str, str, bool]) -> Check:
    schema, name, filled = view
    title, expected = f"materialised view {schema}.{name} is readable", "its rows"
    if not filled:
        return Check.unchecked(
            title, why="it is not populated: it was restored WITH NO DATA", expected=expected
        )
    query = sql.SQL("SELECT count(t) FROM {} AS t").format(sql.Identifier(schema, name))
    return _asked(connection, query, title, expected)


def _plain_view(connection: Connection, view: tuple[str, str]) -> Check:
    query = sql.SQL("SELECT count(*) FROM (SELECT * FROM {} LIMIT 0) AS none").format(sql.Identifier(*view))
    return _asked(connection, query, f"view {'.'.join(view)}", "an answer")


def _asked(connection: Connection, query: sql.Composed, title: str, expected: str) -> Check:
    try:
        with connection.transaction():
            [(rows,)] = connection.execute(query).fetchall()
    except psycopg.Error as error:
        return Check.of(title, holds=False, observed=f"{title}: {words(error)}", expected=expected)
    return Check.of(title, holds=True, observed=f"{shown(rows)} rows", expected=expected)


def _surroundings(connect: Connect, observed: Truth, truth: Truth | None) -> list[Check]:
    """Return the checks of what a database leans on: extensions with their libraries, roles, views."""
    checks = [_libraries(connect)]
    if truth is None:
        return checks
    checks.append(_extensions(connect, observed, truth))
    missing = [f"role {role} is missing" for role in truth.roles if role not in observed.roles]
    checks.append(_all_there("roles are there", truth.roles, missing))
    lost = [
        f"{view} is missing" for view in truth.materialized_views if view not in observed.materialized_views
    ]
    checks.append(_all_there("materialised views are there", truth.materialized_views, lost))
    return checks


def _extensions(connect: Connect, observed: Truth, truth: Truth) -> Check:
    """Compare extensions, within a major version also theirs; what this machine lacks is not checked."""
    with reading(connect) as connection:
        have = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    same_major = observed.server_version.split(".")[0] == truth.server_version.split(".")[0]
    absent = [name for name in truth.extensions if name not in observed.extensions]
    wrong = [f"{name} is missing, recorded was {truth.extensions[name]}" for name in absent if name in have]
    wrong += [
        f"{name} is {version}, recorded was {truth.extensions[name]}"
        for name, version in observed.extensions.items()
        if same_major and truth.extensions.get(name, version) != version
    ]
    unknown = [name for name in absent if name not in have]
    if unknown and not wrong:
        why = f"not on this machine: {', '.join(unknown)}"
        return Check.unchecked("extensions are there", why=why, expected=shown(truth.extensions))
    return _all_there("extensions are there", truth.extensions, wrong)


def _all_there(title: str, expected: Sequence[str] | dict[str, str], wrong: list[str]) -> Check:
    names = shown(expected)
    return Check.of(title, holds=not wrong, observed="; ".join(wrong) or names, expected=names)


def _libraries(connect: Connect) -> Check:
    """Load every library that a function of this database lives in: without it its types cannot be read."""
    title, query = (
        "libraries of extensions load",
        (
            "SELECT DISTINCT probin FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang "
            "WHERE l.lanname = 'c' AND probin IS NOT NULL AND p.oid >= 16384 ORDER BY 1"
        ),
    )
    failed = []
    with reading(connect) as connection:
        libraries = [str(name) for (name,) in connection.execute(query)]
        for name in libraries:
            try:
                with connection.transaction():
                    connection.execute(sql.SQL("LOAD {}").format(sql.Literal(name)))
            except psycopg.Error as error:
                failed.append(f"{name}: {words(error)}")
    return Check.of(
        title, holds=not failed, observed="; ".join(failed) or shown(libraries), expected=shown(libraries)
    )


def _pages(step: Step, connect: Connect, data: Path | None, jobs: int) -> Check:
    """Return the check of every page of the whole cluster, as it is on disk after a checkpoint."""
    expected = "every page is what was written"
    with connect() as connection:
        connection.autocommit = True
        [(checksums,)] = connection.execute("SHOW data_checksums").fetchall()
        if checksums != "on":
            return Check.unchecked(
                PAGES, why="the cluster was made without page checksums", expected=expected
            )
        if data is None:
            return Check.unchecked(
                PAGES, why="its data directory cannot be read from here", expected=expected
            )
        connection.execute("CHECKPOINT")
    size_mb = sum(path.stat().st_size for path in (data / "base").rglob("*") if path.is_file()) / 1e6
    with step.progress("checking every page", total=size_mb, unit="MB") as bar:
        return page_check(PAGES, check_pages(data, jobs=jobs, progress=lambda size: bar.add(size / 1e6)))
