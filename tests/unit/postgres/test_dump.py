"""Restoring a dump: all of it arrives, and what could not is named."""

import gzip

import pytest

from runbook.postgres.cluster import create_cluster
from runbook.postgres.dump import _unwanted, _without, restore_dump
from runbook.postgres.dumpfile import check_dump, read_dump
from runbook.postgres.fingerprint import compare, fingerprint
from runbook.step import Step
from tests.databases import make_database, value_of

SCHEMA = (
    "CREATE TABLE notes (id serial PRIMARY KEY, body text, tags text[])",
    "INSERT INTO notes (body, tags) SELECT md5(i::text), ARRAY['a', NULL] FROM generate_series(1, 3000) i",
    r"INSERT INTO notes (body) VALUES (E'ALTER ROLE postgres NOSUPERUSER;\nCREATE DATABASE trap;')",
    "CREATE INDEX ON notes (body)",
    "CREATE MATERIALIZED VIEW lengths AS SELECT length(body), count(*) FROM notes GROUP BY 1",
    "SELECT lo_from_bytea(0, 'a large object')",
    "DO $$ BEGIN CREATE ROLE keeper NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$",
    "ALTER TABLE notes OWNER TO keeper",
)
FORMATS = ("custom", "directory", "tar", "plain")


@pytest.fixture(scope="module")
def source(origin):
    return make_database(origin, "to dump", *SCHEMA)


@pytest.fixture(scope="module")
def target(programs, scratch):
    """An empty cluster to restore into; each test gets its database afresh."""
    cluster = create_cluster(programs, scratch / "dump target", settings={"fsync": "off"})
    cluster.start(programs)
    yield cluster
    cluster.stop(mode="immediate")


@pytest.fixture
def empty(target):
    yield target
    with target.connect() as connection:
        names = "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres', 'template0', 'template1')"
        for (name,) in connection.execute(names).fetchall():
            connection.execute(f'DROP DATABASE "{name}"')
        connection.execute("DROP ROLE IF EXISTS keeper, reader")


def dumped(programs, origin, path, database: str, *options: str):
    programs.run("pg_dump", f"--file={path}", *options, f"--dbname={origin.conninfo(database=database)}")
    return read_dump(path)


def restored(programs, dump, cluster, **more):
    contents, checks = check_dump(Step(), programs, dump)
    assert not [check for check in checks if check.status == "failed"]
    return restore_dump(Step(), programs, dump=dump, contents=contents, cluster=cluster, **more)


def by_title(checks) -> dict[str, tuple[str, str]]:
    return {check.title: (check.status, check.observed) for check in checks}


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_comes_back_whole(origin, programs, source, scratch, empty, format_):
    """Rows, sequences, large objects are as they were; the owner that was lacking is created and named."""
    dump = dumped(programs, origin, scratch / f"whole {format_}", "to dump", f"--format={format_}")
    result = restored(programs, dump, empty)
    here = result.restored.cluster
    assert here.database == "restored"
    checks = compare(fingerprint(Step(), source), fingerprint(Step(), here.connect))
    assert {check.status for check in checks} == {"passed"}
    assert by_title(result.checks) == {
        "restored without a complaint": ("passed", "none"),
        "roles of the source": ("not checked", "not in the dump; created without rights: keeper"),
    }
    assert value_of(here.connect, "SELECT tableowner FROM pg_tables WHERE tablename = 'notes'") == "keeper"
    assert value_of(here.connect, "SELECT reltuples::int FROM pg_class WHERE relname = 'notes'") == 3001
    assert [phase.name for phase in result.restored.phases] == [
        "restore: roles and database",
        "restore: the dump",
        "restore: statistics",
    ]


def test_a_clusters_dump_comes_back_without_changing_its_superuser(origin, programs, source, scratch, empty):
    """pg_dumpall's text, gzipped: the databases are made anew, the rights of the restoring role stay."""
    text = programs.run("pg_dumpall", f"--dbname={origin.conninfo()}")
    text = text.replace("ALTER ROLE postgres WITH SUPERUSER", "ALTER ROLE postgres WITH NOSUPERUSER")
    (scratch / "all.sql.gz").write_bytes(gzip.compress(text.encode(), 1))
    result = restored(programs, read_dump(scratch / "all.sql.gz"), empty)
    here = result.restored.cluster.model_copy(update={"database": "to dump"})
    assert fingerprint(Step(), here.connect).tables == fingerprint(Step(), source).tables
    assert value_of(here.connect, "SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'") is True
    checks = by_title(result.checks)
    assert checks["restored without a complaint"] == ("passed", "none")
    assert "the rights of role postgres" in checks["everything in the dump was restored"][1]


@pytest.mark.parametrize("format_", ["custom", "plain"])
def test_complaints_are_not_passed_over(origin, programs, scratch, empty, format_):
    """A statement that fails is a failed check with the server's words; the rest is restored all the same."""
    make_database(
        origin,
        f"faulty {format_}",
        "CREATE TABLE good AS SELECT 1 AS i",
        "CREATE FUNCTION checked(i int) RETURNS bool IMMUTABLE LANGUAGE plpgsql "
        "AS $$ BEGIN RETURN true; END $$",
        "CREATE TABLE bad (i int CHECK (checked(i)))",
        "INSERT INTO bad VALUES (1)",
        "CREATE OR REPLACE FUNCTION checked(i int) RETURNS bool IMMUTABLE LANGUAGE plpgsql "
        "AS $$ BEGIN RETURN EXISTS (SELECT FROM public.nowhere); END $$",
    )
    dump = dumped(programs, origin, scratch / f"faulty {format_}", f"faulty {format_}", f"--format={format_}")
    result = restored(programs, dump, empty)
    status, observed = by_title(result.checks)["restored without a complaint"]
    assert status == "failed"
    assert 'relation "public.nowhere" does not exist' in observed
    assert value_of(result.restored.cluster.connect, "SELECT count(*) FROM good") == 1
    assert value_of(result.restored.cluster.connect, "SELECT count(*) FROM bad") == 0


def test_roles_of_the_source_are_created_and_named(origin, programs, source, scratch, empty):
    """Roles that nothing in the dump belongs to are created too when the caller knows of them."""
    dump = dumped(programs, origin, scratch / "roles", "to dump", "--format=custom")
    result = restored(programs, dump, empty, roles=("reader", "postgres"))
    assert by_title(result.checks)["roles of the source"][1].endswith("keeper, reader")
    assert value_of(empty.connect, "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'reader'") is False


def test_extensions_this_machine_lacks_are_named(origin, programs, source, scratch, empty):
    """An extension that is not here is left out by name; it is no complaint, and never silence."""
    text = (
        "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.1\n"
        "CREATE EXTENSION IF NOT EXISTS no_such_thing WITH SCHEMA public;\n"
        "COMMENT ON EXTENSION no_such_thing IS 'gone';\n"
        "CREATE SUBSCRIPTION s CONNECTION 'host=elsewhere' PUBLICATION p WITH (connect = false);\n"
        "CREATE TABLE public.t (i int);\n\nCOPY public.t (i) FROM stdin;\n1\n\\.\n\n"
        "--\n-- PostgreSQL database dump complete\n--\n"
    )
    (scratch / "lacking.sql").write_text(text)
    result = restored(programs, read_dump(scratch / "lacking.sql"), empty)
    assert by_title(result.checks) == {
        "restored without a complaint": ("passed", "none"),
        "extensions of the dump are on this machine": (
            "not checked",
            "not here, so not restored: no_such_thing",
        ),
        "everything in the dump was restored": ("not checked", "left out on purpose: subscriptions"),
    }
    assert value_of(result.restored.cluster.connect, "SELECT count(*) FROM t") == 1


def test_an_archive_is_restored_without_what_is_not_here():
    """From a table of contents go the missing extensions with their comments, and subscriptions; no more."""
    entries = [
        "; Archive created at 2026-03-01 00:00:00 UTC",
        "2; 3079 16385 EXTENSION - pgcrypto ",
        "3; 3079 16386 EXTENSION - citext ",
        "3450; 0 0 COMMENT - EXTENSION pgcrypto ",
        "3451; 0 0 COMMENT - EXTENSION citext ",
        "215; 1259 20241 TABLE public pgcrypto postgres",
        "3452; 0 0 COMMENT public TABLE pgcrypto postgres",
        "9; 6100 20999 SUBSCRIPTION - s postgres",
    ]
    kept, left_out = _without(entries, ("pgcrypto",))
    assert kept == [entries[0], entries[2], entries[4], entries[5], entries[6]]
    assert left_out == ("subscription s",)


def test_a_quoted_extension_is_left_out_too(origin, scratch):
    """An extension whose name needs quotes is recognised in a plain dump."""
    (scratch / "quoted.sql").write_text("-- PostgreSQL database dump\n")
    starts = _unwanted(read_dump(scratch / "quoted.sql"), origin, ("uuid-ossp",))
    assert b'CREATE EXTENSION IF NOT EXISTS "uuid-ossp" ' in starts
