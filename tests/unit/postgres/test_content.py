"""Verifying content: a sound database passes, and each way to be wrong fails by name."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.plan import Freshness, Invariant
from runbook.postgres import content as room
from runbook.postgres.content import verify_content
from runbook.postgres.fingerprint import Truth, fingerprint
from runbook.step import Step
from tests.databases import copy_with_bad_page, execute, make_database

SCHEMA = (
    "CREATE TABLE users (id int PRIMARY KEY, email text UNIQUE)",
    "CREATE TABLE orders (id serial PRIMARY KEY, user_id int REFERENCES users, tags text[], at timestamptz)",
    "CREATE INDEX orders_tags ON orders USING gin (tags)",
    "CREATE TABLE pairs (a int, b int, PRIMARY KEY (a, b))",
    "CREATE TABLE refs (a int, b int, FOREIGN KEY (a, b) REFERENCES pairs MATCH FULL)",
    "CREATE TABLE loose (a int, b int, FOREIGN KEY (a, b) REFERENCES pairs)",
    "CREATE TABLE countdown (id int GENERATED ALWAYS AS IDENTITY (INCREMENT -1) PRIMARY KEY)",
    "CREATE SEQUENCE tickets",
    "CREATE TABLE queue (ticket bigint DEFAULT nextval('tickets'))",
    "INSERT INTO users SELECT i, 'user' || i FROM generate_series(1, 200) i",
    "INSERT INTO orders (user_id, tags, at) SELECT 1 + i % 200, ARRAY['t'], "
    "timestamptz '2026-03-01 00:00:00+00' FROM generate_series(1, 500) i",
    "INSERT INTO pairs VALUES (1, 1)",
    "INSERT INTO refs VALUES (1, 1), (NULL, NULL)",
    "INSERT INTO loose VALUES (1, 1), (NULL, 7)",
    "INSERT INTO countdown DEFAULT VALUES",
    "INSERT INTO queue SELECT FROM generate_series(1, 3)",
    "CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM orders",
    "CREATE VIEW newest AS SELECT max(at) FROM orders",
    "CREATE TABLE spare AS SELECT 1 AS i",
    "CREATE FOREIGN DATA WRAPPER w",
    "CREATE SERVER s FOREIGN DATA WRAPPER w",
    "CREATE FOREIGN TABLE far (i int) SERVER s",
)
NOW = datetime(2026, 3, 1, 0, 1, tzinfo=UTC)
FRESH = Freshness(sql="SELECT max(at) FROM orders", max_age_s=300)
INVARIANTS = (Invariant(name="orders per user", sql="SELECT count(*) / 200.0 FROM orders", min=2, max=3),)


@pytest.fixture(scope="module")
def truth(running) -> Truth:
    return fingerprint(Step(), make_database(running, "sound content", *SCHEMA))


@pytest.fixture
def broken(running, truth, request):
    """A copy of the sound database in which statements were run as if nobody looked."""
    number = iter(range(9))

    def make(*statements: str):
        name = f"broken {abs(hash(request.node.name))} {next(number)}"
        execute(running.connect, f'CREATE DATABASE "{name}" TEMPLATE "sound content"')
        connect = lambda: running.connect(database=name)  # noqa: E731
        with connect() as connection:
            connection.execute("SET session_replication_role = replica")
            for statement in statements:
                connection.execute(statement)
        return connect

    return make


def verified(connect, truth, programs, **more):
    given = {"invariants": INVARIANTS, "freshness": FRESH, "now": NOW} | more
    return verify_content(Step(), connect, truth=truth, has_amcheck=programs.has_amcheck, **given).checks


def failed(checks) -> dict[str, str]:
    return {check.title: check.observed for check in checks.failed}


def test_a_sound_database_passes_and_what_was_not_checked_says_so(running, truth, programs):
    """Every check passes; what amcheck cannot look into, or is not there for, is not checked."""
    step = Step()
    found = verify_content(
        step,
        lambda: running.connect(database="sound content"),
        truth=truth,
        invariants=INVARIANTS,
        freshness=FRESH,
        now=NOW,
        data=running.data,
        has_amcheck=programs.has_amcheck,
    )
    assert failed(found.checks) == {}
    assert found.checks.holds
    assert found.observed.tables == truth.tables
    unchecked = {check.title for check in found.checks if check.status == "not checked"}
    blind = {"indexes of other kinds"} if programs.major < 18 else set()
    without = {"indexes hold every row, in order (amcheck)", "tables are sound, tuple by tuple (amcheck)"}
    assert unchecked == (blind if programs.has_amcheck else without)
    titles = [check.title for check in found.checks]
    assert sum(title.startswith("foreign key") for title in titles) == 3
    assert sum(title.startswith("sequence") and " ahead of " in title for title in titles) == 3
    assert [phase.name.partition(":")[0] for phase in step.phases] == ["verify"] * len(step.phases)


FAULTS = {
    "DELETE FROM users WHERE id = 7": (
        "foreign key public.orders (user_id) → public.users (id)",
        "3 rows without their counterpart",
    ),
    "INSERT INTO refs VALUES (1, NULL)": (
        "foreign key public.refs (a, b) → public.pairs (a, b)",
        "1 rows without their counterpart",
    ),
    "INSERT INTO loose VALUES (2, 2)": (
        "foreign key public.loose (a, b) → public.pairs (a, b)",
        "1 rows without their counterpart",
    ),
    "SELECT setval('orders_id_seq', 499)": (
        "sequence public.orders_id_seq ahead of public.orders.id",
        "at 499",
    ),
    "SELECT setval('tickets', 3, false)": (
        "sequence public.tickets ahead of public.queue.ticket",
        "at 3 (not called yet)",
    ),
    "ALTER TABLE countdown ALTER id SET MAXVALUE 5 RESTART WITH 5": (
        "sequence public.countdown_id_seq ahead of public.countdown.id",
        "at 5 (not called yet)",
    ),
    "DROP MATERIALIZED VIEW totals": ("materialised views are there", "public.totals is missing"),
    "DROP TABLE spare": ("public.spare: rows and checksum", "no such table"),
    "CREATE TABLE strange (i int)": ("no table but the recorded ones", "public.strange"),
    "CREATE VIEW leaning AS SELECT * FROM far": (
        "views answer",
        'view public.leaning: foreign-data wrapper "w" has no handler (55000)',
    ),
}


def test_each_fault_is_named(broken, truth, programs):
    """Whatever is wrong fails under its own name, with what was observed, and nothing else does."""
    found = failed(verified(broken(*FAULTS), truth, programs))
    touched = {f"public.{name}: rows and checksum" for name in ("users", "refs", "loose")}
    sequences = "sequences at or past their recorded values"
    expected = dict(FAULTS.values())
    assert {title: found.get(title) for title in expected} == expected
    assert set(found) == {*expected, *touched, sequences}


def test_invariants_and_age_are_part_of_it(broken, truth, programs):
    """A broken invariant and a database without its newest rows fail."""
    found = failed(verified(broken("DELETE FROM orders"), truth, programs))
    assert found["invariant: orders per user"] == "0"
    assert found["age of the newest row"] == "no row"


def test_an_empty_database_fails(running, programs, truth):
    """A restore that succeeded with nothing in it is no restore, with or without a truth to compare."""
    connect = make_database(running, "empty content", "CREATE TABLE orders (id int)")
    alone = failed(verify_content(Step(), connect, truth=None, has_amcheck=programs.has_amcheck).checks)
    assert alone == {"the database is not empty": "1 tables with 0 rows"}
    assert len(failed(verified(connect, truth, programs))) > len(truth.tables)


def test_a_stale_database_fails(running, truth, programs):
    """Right in itself but old: the age of the newest row tells."""
    later = NOW + timedelta(hours=2)
    checks = verified(lambda: running.connect(database="sound content"), truth, programs, now=later)
    assert list(failed(checks)) == ["age of the newest row"]


def test_an_index_that_lacks_a_row_is_found(broken, truth, programs):
    """A row that its index does not know is invisible to queries; amcheck finds it, or did not look."""
    connect = broken(
        "CREATE FUNCTION folded(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower(t)'",
        "CREATE INDEX users_folded ON users (folded(email))",
        "CREATE OR REPLACE FUNCTION folded(t text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper(t)'",
    )
    checks = {check.title: check for check in verified(connect, truth, programs)}
    check = checks["indexes hold every row, in order (amcheck)"]
    if programs.has_amcheck:
        assert check.status == "failed"
        assert "public.users_folded: " in check.observed
    else:
        assert check.status == "not checked"


def test_amcheck_leaves_nothing_behind(running, truth, programs, broken):
    """The extension is gone again, also where event triggers watch."""
    connect = broken(
        "CREATE FUNCTION no() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL here'; END $$",
        "CREATE EVENT TRIGGER no ON ddl_command_start EXECUTE FUNCTION no()",
    )
    statuses = {check.title: check.status for check in verified(connect, truth, programs)}
    expected = "passed" if programs.has_amcheck else "not checked"
    assert statuses["tables are sound, tuple by tuple (amcheck)"] == expected
    with connect() as connection:
        query = "SELECT count(*) FROM pg_namespace WHERE nspname = 'runbook_amcheck'"
        assert connection.execute(query).fetchall() == [(0,)]


def test_a_bad_page_is_found_by_reading_and_on_disk(running, truth, programs):
    """A page that was overwritten fails as unreadable rows, as a wrong table, and by its checksum."""
    with copy_with_bad_page(running, "bad content", "sound content", "orders"):
        connect = lambda: running.connect(database="bad content")  # noqa: E731
        found = failed(verified(connect, truth, programs, data=running.data))
    assert "invalid page in block 0" in found["every row can be read"]
    assert "invalid page in block 0" in found["public.orders: rows and checksum"]
    assert "block 0: its checksum is" in found["page checksums"]


def test_what_cannot_be_checked_never_passes(broken, truth, programs):
    """An unpopulated view, a key never validated, an extension not on this machine: not checked."""
    connect = broken(
        "CREATE MATERIALIZED VIEW hollow AS SELECT 1 AS one WITH NO DATA",
        "ALTER TABLE queue ADD FOREIGN KEY (ticket) REFERENCES orders (id) NOT VALID",
    )
    wider = truth.model_copy(update={"extensions": truth.extensions | {"no_such_extension": "1.0"}})
    checks = {check.title: check for check in verified(connect, wider, programs)}
    assert checks["page checksums"].observed == "its data directory cannot be read from here"
    assert "WITH NO DATA" in checks["materialised view public.hollow is readable"].observed
    assert "never validated" in checks["foreign key public.queue (ticket) → public.orders (id)"].observed
    assert checks["extensions are there"].observed == "not on this machine: no_such_extension"
    titles = (
        "page checksums",
        "materialised view public.hollow is readable",
        "foreign key public.queue (ticket) → public.orders (id)",
        "extensions are there",
    )
    assert {checks[title].status for title in titles} == {"not checked"}


def test_missing_roles_and_changed_extensions_fail(broken, truth, programs):
    """A role or an extension's version that is not as recorded is named."""
    other = truth.model_copy(
        update={"roles": (*truth.roles, "nobody here"), "extensions": {"plpgsql": "0.9"}}
    )
    found = failed(verified(broken(), other, programs))
    assert found["roles are there"] == "role nobody here is missing"
    assert found["extensions are there"] == "plpgsql is 1.0, recorded was 0.9"


def test_the_checks_use_every_session_allowed(running, truth, programs, monkeypatch):
    """As many sessions as jobs are opened for the reading, no more."""
    seen = []
    monkeypatch.setattr(room, "fingerprint", lambda *_, jobs, **__: seen.append(jobs) or truth)
    verified(lambda: running.connect(database="sound content"), truth, programs, jobs=3)
    assert seen == [3]
