"""Sessions that only read, and many of them at work on one list of tasks."""

import threading

import psycopg
import pytest

from runbook.errors import StepFailed
from runbook.postgres.sessions import in_parallel, reading, server_errors, words


def test_a_reading_session_cannot_write(running):
    """Whatever is tried in it, nothing is written."""
    with reading(running.connect) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE never (i int)")


def test_limits_are_set_in_the_server(running):
    """Timeouts, search path and zone hold for every statement of a session."""
    with reading(running.connect, statement_timeout_s=1.5, lock_timeout_s=0.25, work_mem_mb=7) as connection:
        names = ("statement_timeout", "lock_timeout", "work_mem", "search_path", "timezone")
        found = [connection.execute(f"SHOW {name}").fetchall()[0][0] for name in names]
    assert found == ["1500ms", "250ms", "7MB", "pg_catalog", "UTC"]


def test_tasks_are_shared_out(running):
    """Every task is done once, by no more sessions than allowed."""
    sessions = set()

    def work(connection, task):
        sessions.add(id(connection))
        return connection.execute("SELECT %s::int * 2", (task,)).fetchall()[0][0]

    results = list(in_parallel(lambda: reading(running.connect), range(20), work, jobs=3))
    assert sorted(results) == [task * 2 for task in range(20)]
    assert len(sessions) <= 3


def test_no_task_is_no_work(running):
    """An empty list yields nothing."""
    assert list(in_parallel(lambda: reading(running.connect), [], lambda *_: 1, jobs=2)) == []


def test_one_failure_cancels_the_statements_of_the_others(running):
    """A failing task does not leave a long statement running in the server."""
    sleeping = threading.Event()

    def work(connection, task):
        if task == "sleep":
            sleeping.set()
            connection.execute("SELECT pg_sleep(600)")
        sleeping.wait(10)
        raise StepFailed("one of them failed")

    with pytest.raises(StepFailed, match="one of them failed"):
        list(in_parallel(lambda: reading(running.connect), ["sleep", "fail"], work, jobs=2))
    with running.connect() as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%'"
        assert connection.execute(query).fetchall() == [(0,)]


def test_the_servers_words_come_with_its_code(running):
    """An error is told in one line, what was being done first."""
    expected = pytest.raises(StepFailed, match=r"^counting failed: division by zero \(22012\)$")
    with expected as raised, server_errors("counting failed"), running.connect() as connection:
        connection.execute("SELECT 1 / 0")
    assert words(raised.value.__cause__) == "division by zero (22012)"
