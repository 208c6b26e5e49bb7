"""Database sessions that only read: fixed text forms, limits, one snapshot for many connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg import sql

from runbook.errors import StepFailed
from runbook.step import Step
from runbook.values import Check

Connection: TypeAlias = psycopg.Connection[Any]
Connect: TypeAlias = Callable[[], Connection]
Session: TypeAlias = Callable[[], AbstractContextManager[Connection]]
Query: TypeAlias = sql.SQL | sql.Composed

Task = TypeVar("Task")
Result = TypeVar("Result")

STATEMENT_TIMEOUT_S = 600.0
LOCK_TIMEOUT_S = 5.0
CANCEL_TIMEOUT_S = 5.0

# What a value's text form, a plan or what is seen of a table depends on. `row_security = off` makes a hidden
# row an error instead of a wrong count; `search_path` keeps a source's own functions out of our queries.
SETTINGS: tuple[tuple[str, str], ...] = (
    ("search_path", "pg_catalog"),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, YMD"),
    ("timezone", "UTC"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("row_security", "off"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
)


@contextmanager
def reading(
    connect: Connect,
    *,
    snapshot: str | None = None,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
    work_mem_mb: int = 32,
    own_search_path: bool = False,
) -> Iterator[Connection]:
    """Open a session in one read-only REPEATABLE READ transaction, optionally in an exported snapshot.

    `own_search_path` keeps the database's: for queries that its own people wrote.
    """
    with connect() as connection:
        connection.autocommit = True
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if snapshot is not None:
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        limits = {
            "statement_timeout": f"{statement_timeout_s * 1000:.0f}ms",
            "lock_timeout": f"{lock_timeout_s * 1000:.0f}ms",
            "work_mem": f"{work_mem_mb}MB",
        }
        for name, value in (*SETTINGS, *limits.items()):
            if name != "search_path" or not own_search_path:
                connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        try:
            yield connection
        finally:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")


def export_snapshot(connection: Connection) -> str:
    """Return the name under which other sessions may see exactly what this transaction sees."""
    return str(connection.execute("SELECT pg_catalog.pg_export_snapshot()").fetchall()[0][0])


def in_parallel(
    session: Session, tasks: Iterable[Task], work: Callable[[Connection, Task], Result], *, jobs: int
) -> Iterator[Result]:
    """Yield what `work` returns for each task as it comes, over at most `jobs` sessions of their own.

    When one fails, or the caller stops early or is interrupted, running statements are cancelled.
    """
    pending = list(tasks)
    idle: SimpleQueue[Connection] = SimpleQueue()

    def one(task: Task) -> Result:
        connection = idle.get()
        try:
            return work(connection, task)
        finally:
            idle.put(connection)

    with ExitStack() as stack:
        connections = [stack.enter_context(session()) for _ in range(max(1, min(jobs, len(pending))))]
        for connection in connections:
            idle.put(connection)
        pool = stack.enter_context(ThreadPoolExecutor(len(connections), thread_name_prefix="reader"))
        futures: list[Future[Result]] = [pool.submit(one, task) for task in pending]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for connection in connections:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=CANCEL_TIMEOUT_S)
            raise


def check_each(
    step: Step,
    session: Session,
    items: Sequence[Task],
    check: Callable[[Connection, Task], Check],
    what: str,
    jobs: int,
) -> list[Check]:
    """Return the check of every item, in the items' order, made over several sessions with a bar."""
    if not items:
        return []
    numbered, found = list(enumerate(items)), {}
    with step.progress(what, total=len(items)) as bar:
        for number, one in in_parallel(
            session, numbered, lambda c, item: (item[0], check(c, item[1])), jobs=jobs
        ):
            found[number] = one
            bar.add(1)
    return [found[number] for number, _ in numbered]


def words(error: psycopg.Error) -> str:
    """Return what the server said, on one line, with its code."""
    said = " ".join((error.diag.message_primary or str(error)).split())
    return f"{said} ({error.sqlstate})" if error.sqlstate else said


@contextmanager
def server_errors(doing: str) -> Iterator[None]:
    """Turn an error of the server or of the connection into StepFailed saying what was being done."""
    try:
        yield
    except psycopg.Error as error:
        raise StepFailed(f"{doing}: {words(error)}") from error
