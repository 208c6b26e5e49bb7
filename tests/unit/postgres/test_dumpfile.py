"""What a dump says of itself, and that one cut short, empty or too new is refused by name."""

import gzip
import tarfile
from datetime import UTC, datetime

import pytest

from runbook.errors import StepFailed
from runbook.postgres.dumpfile import check_dump, extensions_in, lines_of, read_dump, roles_in
from runbook.step import Step
from tests.databases import make_database

SCHEMA = (
    "CREATE TABLE notes (id int PRIMARY KEY, body text)",
    "INSERT INTO notes SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 2000) i",
    r"INSERT INTO notes VALUES (0, E'CREATE ROLE intruder;\n\\.\nCREATE EXTENSION sneaky;')",
)
FORMATS = ("custom", "directory", "tar", "plain")


@pytest.fixture(scope="module")
def dumps(origin, programs, scratch):
    """A dump of one database in every format, and of the whole cluster."""
    make_database(origin, "dumped", *SCHEMA)
    folder = programs.make_folder(scratch / "dumps")
    for format_ in FORMATS:
        arguments = (f"--format={format_}", f"--file={folder / format_}")
        programs.run("pg_dump", *arguments, f"--dbname={origin.conninfo(database='dumped')}")
    programs.run("pg_dumpall", f"--file={folder / 'cluster'}", f"--dbname={origin.conninfo()}")
    (folder / "packed.sql.gz").write_bytes(gzip.compress((folder / "plain").read_bytes(), 1))
    return folder


def statuses(programs, path) -> dict[str, str]:
    _, checks = check_dump(Step(), programs, read_dump(path))
    return {check.title: check.status for check in checks}


WHOLE = {
    "dump's version can be restored here": "passed",
    "dump is whole": "passed",
    "dump is not empty": "passed",
}


@pytest.mark.parametrize("name", [*FORMATS, "cluster", "packed.sql.gz"])
def test_every_format_is_read(dumps, programs, origin, name):
    """Format, version, time and size come from the file itself; a whole one passes."""
    dump = read_dump(dumps / name)
    assert dump.format == {"packed.sql.gz": "plain"}.get(name, name)
    assert dump.server_version == origin.version
    assert abs((dump.taken_at - datetime.now(UTC)).total_seconds()) < 3600
    assert dump.size_bytes > 1000
    assert statuses(programs, dumps / name) == WHOLE


@pytest.mark.parametrize("name", ["custom", "tar", "plain", "cluster", "packed.sql.gz"])
@pytest.mark.parametrize("kept", [0.5, 0.98])
def test_a_dump_cut_short_is_caught(dumps, programs, scratch, name, kept):
    """Half of it, or all but its last bytes: not whole, though its head reads well."""
    content = (dumps / name).read_bytes()
    cut = scratch / f"cut {kept} {name}"
    cut.write_bytes(content[: int(len(content) * kept) - 8])
    programs.own(cut)
    assert statuses(programs, cut)["dump is whole"] == "failed"


def test_a_directory_without_one_file_is_caught(dumps, programs, scratch):
    """A directory dump that lost a table's file is not whole."""
    dump = read_dump(dumps / "directory")
    [data] = [file for file in dump.path.iterdir() if file.name != "toc.dat"]
    kept = data.rename(scratch / data.name)
    found = statuses(programs, dump.path)["dump is whole"]
    kept.rename(data)
    assert found == "failed"


def test_a_dump_without_tables_is_empty(origin, programs, scratch):
    """A dump of nothing is no backup."""
    make_database(origin, "nothing", "CREATE VIEW v AS SELECT 1 AS one")
    for format_ in ("custom", "plain"):
        path = scratch / f"nothing {format_}"
        arguments = (f"--format={format_}", f"--file={path}")
        programs.run("pg_dump", *arguments, f"--dbname={origin.conninfo(database='nothing')}")
        assert statuses(programs, path) == WHOLE | {"dump is not empty": "failed"}


def test_a_newer_dump_is_refused_by_name(dumps, programs):
    """A dump of a newer major version is told with both versions, and nothing else is tried."""
    newer = read_dump(dumps / "custom").model_copy(update={"server_version": f"{programs.major + 1}.2"})
    contents, [check] = check_dump(Step(), programs, newer)
    assert check.status == "failed"
    assert check.observed == (
        f"dumped from PostgreSQL {programs.major + 1}.2, this is PostgreSQL {programs.version}"
    )
    assert contents.tables == 0


def test_a_dump_that_only_root_may_read_is_read(dumps, programs, scratch):
    """A private file is shown to the programs as a copy, which is gone afterwards."""
    private = scratch / "private"
    private.write_bytes((dumps / "custom").read_bytes())
    private.chmod(0o600)
    before = set(scratch.iterdir())
    assert statuses(programs, private) == WHOLE
    assert set(scratch.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text", b"just text", "is no dump of PostgreSQL: it begins with b'just text'"),
        ("nothing", b"", "is no dump of PostgreSQL"),
        ("head", b"PGDMP\x01\x0e\x00\x04\x08\x01\x00\x01", "it ends in its header"),
        ("packed", gzip.compress(b"PGDMP\x01\x0e", mtime=0), "unpack it with gunzip first"),
        ("torn", gzip.compress(b"-- PostgreSQL database dump\n" * 99, mtime=0)[:12], "it begins with b''"),
    ],
)
def test_what_is_no_dump_is_told(scratch, name, content, message):
    """Anything else is refused, saying what it looks like."""
    (scratch / f"no dump {name}").write_bytes(content)
    with pytest.raises(StepFailed, match=message):
        read_dump(scratch / f"no dump {name}")


def test_a_missing_dump_and_a_strange_folder_are_told(scratch, programs):
    """A path with nothing there, a folder without a table of contents, a tar of something else."""
    programs.make_folder(scratch / "no folder dump")
    with tarfile.open(scratch / "other.tar", "w") as tar:
        tar.add(__file__, "toc.txt")
    for name, message in (
        ("not there", "is not there"),
        ("no folder dump", "toc.dat"),
        ("other.tar", "no dump that can be read"),
    ):
        with pytest.raises(StepFailed, match=message):
            read_dump(scratch / name)


def test_rows_of_data_are_not_read_as_statements(dumps, programs):
    """What looks like a statement inside a row changes nothing."""
    contents, _ = check_dump(Step(), programs, read_dump(dumps / "plain"))
    assert contents.extensions == ()
    assert contents.own_roles == ()


def test_copy_data_ends_at_its_mark():
    """Rows are data up to the end mark, also with Windows line ends."""
    text = [b"COPY public.t (a) FROM stdin;\r\n", b"CREATE ROLE x;\r\n", b"\\.\r\n", b"SELECT 1;\r\n"]
    assert [is_data for _, is_data in lines_of(iter(text))] == [False, True, False, False]


def test_names_are_found_however_they_are_written():
    """Owners, grantees, policies and default privileges name roles; PUBLIC and pg_* do not count."""
    text = '''
ALTER TABLE public.a OWNER TO app;
ALTER FUNCTION public.f(integer) OWNER TO "Odd ""role""";
GRANT SELECT ON TABLE public.a TO reader WITH GRANT OPTION;
GRANT ALL ON SCHEMA public TO PUBLIC;
REVOKE ALL ON TABLE public.a FROM former;
ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES TO viewer;
CREATE POLICY p ON public.a TO tenant USING (true);
GRANT SELECT ON TABLE public.a TO pg_monitor;
CREATE EXTENSION IF NOT EXISTS pgcrypto WITH SCHEMA extensions;
CREATE EXTENSION IF NOT EXISTS "uuid-ossp";
'''
    assert roles_in(text) == ('Odd "role"', "app", "former", "maker", "reader", "tenant", "viewer")
    assert extensions_in(text) == ("pgcrypto", "uuid-ossp")
