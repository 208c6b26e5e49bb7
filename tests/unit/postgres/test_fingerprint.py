"""What a fingerprint sees, what it does not mind, and how a difference is told."""

import pytest

from runbook.errors import StepFailed
from runbook.postgres import fingerprint as room
from runbook.postgres.fingerprint import TableFingerprint, Truth, compare, fingerprint
from runbook.step import Step
from tests.databases import copy_with_bad_page, execute, make_database, value_of

ROWS = "INSERT INTO t SELECT i, 'name ' || i, i / 7.0 FROM generate_series(1, 1000) i"
TABLE = "CREATE TABLE t (id int, name text, share float8)"
GOLDEN = """
CREATE TABLE golden (n int, big bigint, name text, share float8, price numeric, at timestamptz, took interval,
                     raw bytea, document jsonb, tags text[], id uuid, yes bool, nothing text);
INSERT INTO golden VALUES
    (1, -9223372036854775808, 'Zürich ''quoted"', 0.1, 1.10, '2026-01-02 03:04:05.678901+00',
     '1 mon 2 days 03:04:05', '\\xdeadbeef', '{"b": [1, null], "a": 1.0}', '{a,"b c",NULL}',
     '00000000-0000-0000-0000-000000000001', true, NULL),
    (2, 0, '', 'NaN', 'NaN', 'infinity', '-1 year', '', '[]', '{}',
     'ffffffff-ffff-ffff-ffff-ffffffffffff', false, '')
"""


@pytest.fixture(scope="module")
def base(running):
    return make_database(running, "fingerprint", TABLE, ROWS)


def checksum(connect, table="public.t") -> str:
    return fingerprint(Step(), connect).tables[table].checksum


def changed(connect, *statements: str) -> str:
    """Return the checksum after statements that are undone again."""
    before = checksum(connect)
    execute(connect, "CREATE TABLE kept AS SELECT * FROM t", *statements)
    after = checksum(connect)
    execute(connect, "TRUNCATE t", "INSERT INTO t SELECT * FROM kept", "DROP TABLE kept")
    assert checksum(connect) == before
    return after


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t SET name = 'name 1 ' WHERE id = 1",
        "UPDATE t SET name = NULL WHERE id = 1",
        "UPDATE t SET share = share + 1e-12 WHERE id = 1",
        "DELETE FROM t WHERE id = 1000",
        "INSERT INTO t SELECT * FROM t WHERE id = 1",
        "UPDATE t SET name = 'name ' || 3 - id WHERE id < 3",  # two rows exchange a value
    ],
)
def test_every_change_of_a_value_changes_the_checksum(base, statement):
    """A value changed, lost, doubled or exchanged between rows is seen."""
    assert changed(base, statement) != checksum(base)


@pytest.mark.parametrize(
    "statements",
    [
        ("DELETE FROM t", "INSERT INTO t SELECT * FROM kept ORDER BY id DESC"),
        ("UPDATE t SET id = id",),
        ("ALTER TABLE t ADD other int", "ALTER TABLE t DROP other"),
    ],
)
def test_the_order_of_rows_and_where_they_lie_do_not_matter(base, statements):
    """Rows written in another order or anew, or with a dropped column behind them, are the same rows."""
    assert changed(base, *statements) == checksum(base)


def test_null_and_the_empty_text_differ(running):
    """NULL in one column is neither the empty text nor NULL in the other."""
    make = "CREATE TABLE {} AS SELECT {}::text AS a, {}::text AS b"
    cases = {"x": ("NULL", "''"), "y": ("''", "NULL"), "z": ("NULL", "NULL"), "w": ("''", "''")}
    connect = make_database(running, "nulls", *(make.format(name, *values) for name, values in cases.items()))
    sums = {table.checksum for table in fingerprint(Step(), connect).tables.values()}
    assert len(sums) == len(cases)


def test_settings_of_database_and_role_do_not_matter(running, base):
    """The text form of values is fixed, whatever the database's own settings are."""
    plain = make_database(running, "plain settings", GOLDEN)
    odd = make_database(running, "odd settings", GOLDEN)
    settings = {
        "timezone": "'Asia/Tokyo'",
        "datestyle": "'German'",
        "intervalstyle": "'iso_8601'",
        "extra_float_digits": "0",
        "bytea_output": "'escape'",
        "search_path": "''",
    }
    execute(
        base, *(f'ALTER DATABASE "odd settings" SET {name} = {value}' for name, value in settings.items())
    )
    assert value_of(odd, "SHOW timezone") == "Asia/Tokyo"
    assert checksum(odd, "public.golden") == checksum(plain, "public.golden")


def test_the_checksum_is_the_same_on_every_version(running):
    """A known table has a known checksum, so truths of different servers can be compared."""
    connect = make_database(running, "golden", GOLDEN)
    expected = TableFingerprint(row_count=2, checksum="17296460708894217579")
    assert fingerprint(Step(), connect).tables["public.golden"] == expected


def test_a_server_that_hashes_otherwise_is_refused(base, monkeypatch):
    """Checksums of a machine of another byte order would never agree; that is said instead."""
    monkeypatch.setattr(room, "PROBE", 1)
    with pytest.raises(StepFailed, match="byte order"):
        fingerprint(Step(), base)


def test_chunks_of_any_size_give_the_same(base):
    """A table read in one piece, or block by block over three sessions, is the same table."""
    pieces = []
    whole = fingerprint(Step(), base, jobs=1)
    cut = fingerprint(Step(), base, jobs=3, chunk_bytes=8192, before_chunk=pieces.append)
    assert cut == whole
    assert len(pieces) > 5


def test_a_caller_may_end_the_reading(base):
    """What `before_chunk` raises ends the reading and arrives unchanged."""

    def stop(_size_bytes: int) -> None:
        raise StepFailed("time is up")

    with pytest.raises(StepFailed, match="time is up"):
        fingerprint(Step(), base, before_chunk=stop)


def test_every_kind_of_table_is_covered_or_named(running):
    """Partitions, generated columns and odd names are counted; foreign data and views are not tables."""
    connect = make_database(
        running,
        "kinds",
        'CREATE SCHEMA "Odd schema"',
        'CREATE TABLE "Odd schema"."odd.table" ("a b" int, twice int GENERATED ALWAYS AS ("a b" * 2) STORED)',
        'INSERT INTO "Odd schema"."odd.table" VALUES (1), (2)',
        "CREATE TABLE parted (i int) PARTITION BY RANGE (i)",
        "CREATE TABLE low PARTITION OF parted FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE high PARTITION OF parted FOR VALUES FROM (10) TO (20)",
        "INSERT INTO parted SELECT generate_series(0, 14)",
        "CREATE TABLE nothing ()",
        "INSERT INTO nothing DEFAULT VALUES",
        "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one",
        "CREATE VIEW v AS SELECT 1 AS one",
        "SELECT lo_from_bytea(0, 'large')",
        "CREATE FOREIGN DATA WRAPPER w",
        "CREATE SERVER s FOREIGN DATA WRAPPER w",
        "CREATE FOREIGN TABLE far (i int) SERVER s",
    )
    truth = fingerprint(Step(), connect)
    counts = {name: table.row_count for name, table in truth.tables.items()}
    assert counts == {
        "Odd schema.odd.table": 2,
        "public.low": 10,
        "public.high": 5,
        "public.nothing": 1,
        "pg_catalog.pg_largeobject": 1,
    }
    assert truth.materialized_views == ("public.mv",)
    assert truth.not_covered == ("foreign table public.far",)


def test_schemas_can_be_left_out_and_that_is_said(running):
    """A schema left out leaves no table, sequence or view behind, and is named."""
    connect = make_database(
        running,
        "left out",
        "CREATE SCHEMA audit",
        "CREATE TABLE audit.log (id serial)",
        "CREATE TABLE kept (id serial)",
        "CREATE MATERIALIZED VIEW audit.mv AS SELECT 1 AS one",
    )
    truth = fingerprint(Step(), connect, without_schemas=("audit",))
    assert set(truth.tables) == {"public.kept"}
    assert set(truth.sequences) == {"public.kept_id_seq"}
    assert truth.materialized_views == ()
    assert truth.not_covered == ("schema audit",)


def test_sequences_are_recorded_also_when_never_called(running):
    """A sequence is recorded by the last value it gave out."""
    connect = make_database(
        running,
        "sequences",
        "CREATE SEQUENCE up",
        "CREATE SEQUENCE down INCREMENT -1",
        "CREATE SEQUENCE fresh START 100",
        "SELECT nextval('up'), nextval('up'), nextval('down')",
    )
    truth = fingerprint(Step(), connect)
    assert truth.sequences == {"public.up": 2, "public.down": -1, "public.fresh": 99}
    assert truth.descending == ("public.down",)


def test_one_snapshot_holds_for_all_sessions(running):
    """What is committed after the snapshot was exported is not seen."""
    connect = make_database(running, "snapshot", TABLE, ROWS)
    with connect() as holder:
        holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        snapshot = holder.execute("SELECT pg_export_snapshot()").fetchall()[0][0]
        execute(connect, "DELETE FROM t", "CREATE TABLE later (i int)")
        truth = fingerprint(Step(), connect, snapshot=snapshot)
    assert truth.tables["public.t"].row_count == 1000
    assert fingerprint(Step(), connect).tables["public.t"].row_count == 0


def test_an_unreadable_table_is_named_and_the_others_are_read(running):
    """A bad page does not end the reading: its table carries the server's words."""
    make_database(running, "whole", TABLE, ROWS, "CREATE TABLE other AS SELECT 1 AS i")
    with copy_with_bad_page(running, "broken", "whole", "t"):
        truth = fingerprint(Step(), lambda: running.connect(database="broken"))
    assert list(truth.unreadable) == ["public.t"]
    assert "invalid page in block 0" in truth.unreadable["public.t"]
    assert truth.tables["public.other"].row_count == 1
    whole = fingerprint(Step(), lambda: running.connect(database="whole"))
    failed = {check.title: check.observed for check in compare(whole, truth) if check.status == "failed"}
    assert "invalid page" in failed["public.t: rows and checksum"]


def test_a_lock_that_is_held_too_long_is_told_in_the_servers_words(running):
    """A waiting statement ends with the lock timeout, not never."""
    connect = make_database(running, "locked", TABLE)
    with connect() as holder, holder.transaction():
        holder.execute("LOCK TABLE t")
        with pytest.raises(StepFailed, match="lock timeout"):
            fingerprint(Step(), connect, lock_timeout_s=0.05)


A, B = TableFingerprint(row_count=3, checksum="17"), TableFingerprint(row_count=3, checksum="18")


def failures(truth: Truth, observed: Truth) -> dict[str, tuple[str, str]]:
    return {
        check.title: (check.observed, check.expected)
        for check in compare(truth, observed)
        if check.status == "failed"
    }


def test_a_difference_names_table_and_both_sides():
    """A wrong, a missing and a strange table are each told with what was expected."""
    truth = Truth(tables={"public.a": A, "public.b": A, "public.c": A})
    observed = Truth(tables={"public.a": A, "public.b": B, "public.d": A})
    assert failures(truth, observed) == {
        "public.b: rows and checksum": ("3 rows, checksum 18", "3 rows, checksum 17"),
        "public.c: rows and checksum": ("no such table", "3 rows, checksum 17"),
        "no table but the recorded ones": ("public.d", "none"),
    }


def test_an_empty_truth_proves_nothing():
    """Comparing with nothing fails: an empty database must not pass as right."""
    assert "there is something to compare" in failures(Truth(tables={}), Truth(tables={}))


def test_a_sequence_may_be_ahead_but_not_behind():
    """Sequences run outside transactions: further is right, behind or gone is not."""
    truth = Truth(tables={"t": A}, sequences={"up": 10, "down": -10, "gone": 1}, descending=("down",))
    ahead = Truth(tables={"t": A}, sequences={"up": 42, "down": -42, "gone": 1})
    behind = Truth(tables={"t": A}, sequences={"up": 9, "down": -9})
    assert failures(truth, ahead) == {}
    [(observed, _)] = failures(truth, behind).values()
    assert (
        observed
        == "up is at 9, recorded was 10; down is at -9, recorded was -10; gone is at –, recorded was 1"
    )


def test_texts_of_different_encodings_are_not_compared():
    """Checksums of different encodings cannot agree: not checked, never passed."""
    checks = compare(Truth(tables={"t": A}), Truth(tables={"t": A}, encoding="LATIN1"))
    assert [check.status for check in checks if check.title.startswith("t:")] == ["not checked"]


def test_a_fingerprint_moves_modulo_2_to_the_64():
    """Adding and taking away the same rows leads back, across the edge."""
    there = A.moved(rows=2, checksum=-100)
    assert there == TableFingerprint(row_count=5, checksum=str(2**64 - 83))
    assert there.moved(rows=-2, checksum=100) == A
