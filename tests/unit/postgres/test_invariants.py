"""Invariants: what they expect, and what they say when the database does not agree."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from runbook.plan import Freshness, Invariant
from runbook.postgres.invariants import check_freshness, evaluate
from tests.databases import make_database, value_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def connect(running):
    return make_database(
        running,
        "invariants",
        "CREATE TABLE orders (id int, placed timestamptz)",
        "INSERT INTO orders SELECT i, timestamptz '2026-02-28 23:59:00+00' - i * interval '1 day' "
        "FROM generate_series(0, 9) i",
    )


def check_of(connect, sql: str, **expected: object):
    [finding] = evaluate(connect, (Invariant(name="it", sql=sql, **expected),))
    return finding.check


@pytest.mark.parametrize(
    ("sql", "expected", "status"),
    [
        ("SELECT count(*) FROM orders", {"min": 10, "max": 10}, "passed"),
        ("SELECT count(*) FROM orders", {"min": 11}, "failed"),
        ("SELECT count(*) FROM orders", {"max": 9}, "failed"),
        ("SELECT 0.5::numeric", {"min": 0.5, "max": 0.5}, "passed"),
        ("SELECT true", {"equals": True}, "passed"),
        ("SELECT 1", {"equals": True}, "failed"),
        ("SELECT 'on'::text", {"equals": "on"}, "passed"),
        ("SELECT 'NaN'::float8", {"min": 0}, "failed"),
        ("SELECT NULL::int", {"max": 5}, "failed"),
        ("SELECT 'seven'::text", {"min": 0}, "failed"),
    ],
)
def test_a_value_is_held_against_its_expectation(connect, sql, expected, status):
    """Bands include their edges; a truth value, a text or nothing is no number."""
    assert check_of(connect, sql, **expected).status == status


def test_a_failing_invariant_tells_both_sides(connect):
    """Observed and expected are both in the check."""
    check = check_of(connect, "SELECT count(*) * 1000 FROM orders", min=1, max=5000)
    assert (check.observed, check.expected) == ("10,000", "1 to 5,000")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT count(*) FROM gone", 'relation "gone" does not exist (42P01)'),
        ("SELECT id FROM orders", "the query must return one row with one value"),
        ("SELECT 1, 2", "the query must return one row with one value"),
        ("SELECT id FROM orders WHERE false", "the query must return one row with one value"),
        (
            "WITH gone AS (DELETE FROM orders RETURNING 1) SELECT count(*) FROM gone",
            "cannot execute SELECT in a read-only transaction (25006)",
        ),
        ("SELECT pg_sleep(60)", "canceling statement due to statement timeout (57014)"),
    ],
)
def test_an_unanswered_invariant_fails_with_the_servers_words(connect, sql, words):
    """A table that is gone, a query that writes, never ends or answers with more than a value: failed."""
    [finding] = evaluate(connect, (Invariant(name="it", sql=sql, equals=1),), timeout_s=0.3)
    assert (finding.check.status, finding.check.observed) == ("failed", words)
    assert value_of(connect, "SELECT count(*) FROM orders") == 10


def test_invariants_keep_their_order_and_hints(connect):
    """Findings come in the order of the invariants, also when asked in parallel, with hint and code."""
    invariants = tuple(
        Invariant(name=str(n), sql=f"SELECT {n}" if n % 3 else "SELECT nothing", equals=n, table=f"t.n{n}")
        for n in range(9)
    )
    findings = evaluate(connect, invariants, jobs=3)
    assert [finding.table for finding in findings] == [f"t.n{n}" for n in range(9)]
    assert [finding.sqlstate for finding in findings if finding.failed] == ["42703"] * 3


@pytest.mark.parametrize(
    "expected", [{}, {"min": 1, "equals": 1}, {"max": 1, "equals": True}, {"min": 2, "max": 1}]
)
def test_an_expectation_is_a_band_or_a_value(expected):
    """Neither, both, or a band without room is no expectation."""
    with pytest.raises(ValidationError):
        Invariant(name="it", sql="SELECT 1", **expected)


def test_numbers_compare_across_types():
    """The server's numeric equals a plain number."""
    assert Invariant(name="it", sql="SELECT 1", equals=2).holds(Decimal("2.0"))


@pytest.mark.parametrize(
    ("sql", "max_age_s", "status", "observed"),
    [
        ("SELECT max(placed) FROM orders", 60, "passed", "60 s (from 2026-02-28T23:59:00+00:00)"),
        ("SELECT max(placed) FROM orders", 59, "failed", "60 s (from 2026-02-28T23:59:00+00:00)"),
        ("SELECT max(placed) FROM orders WHERE false", 60, "failed", "no row"),
        ("SELECT 'yesterday'::text", 60, "failed", "'yesterday', which is no timestamp with time zone"),
        ("SELECT max(placed) FROM gone", 60, "failed", 'relation "gone" does not exist (42P01)'),
    ],
)
def test_the_age_of_the_newest_row(connect, sql, max_age_s, status, observed):
    """A row older than allowed, no row, or no time at all: the backup is stale or not what it should be."""
    check = check_freshness(connect, Freshness(sql=sql, max_age_s=max_age_s), now=NOW)
    assert (check.status, check.observed) == (status, observed)


def test_a_row_from_the_future_is_fresh(connect):
    """Clocks differ a little; a newest row ahead of ours is not stale."""
    freshness = Freshness(sql="SELECT max(placed) FROM orders", max_age_s=1)
    assert check_freshness(connect, freshness, now=NOW - timedelta(hours=1)).status == "passed"
