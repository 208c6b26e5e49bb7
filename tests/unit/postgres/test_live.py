"""Reading a running server: read-only, paced, limited in time, and never through a pooler."""

import socket
import struct
import threading
from datetime import UTC, datetime

import psycopg
import pytest

from runbook.clock import VirtualClock
from runbook.errors import InputError, ProgramFailed, Refused, StepFailed
from runbook.postgres import live as room
from runbook.postgres.cluster import create_cluster
from runbook.postgres.dump import restore_dump
from runbook.postgres.dumpfile import check_dump
from runbook.postgres.fingerprint import compare, fingerprint
from runbook.postgres.live import Limits, Pace, copy_live, open_source
from runbook.step import Step
from tests.databases import execute, make_database, value_of

SECRET = "p:a\\ss word"
SCHEMA = (
    "CREATE TABLE notes (id serial PRIMARY KEY, body text)",
    "INSERT INTO notes (body) SELECT repeat(md5(i::text), 10) FROM generate_series(1, 3000) i",
    "CREATE SCHEMA internal",
    "CREATE TABLE internal.hidden (i int)",
)


@pytest.fixture(scope="module")
def server(programs, scratch):
    """A server on 127.0.0.1 with passwords, and a role that may only read."""
    cluster = create_cluster(programs, scratch / "live", tcp=True)
    cluster.start(programs)
    connect = make_database(cluster, "live", *SCHEMA)
    execute(
        connect,
        f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}' IN ROLE pg_read_all_data",
        "ALTER ROLE reader SET idle_in_transaction_session_timeout = '50ms'",
    )
    yield cluster
    cluster.stop(mode="immediate")


def dsn(server, **more: object) -> str:
    given = {"host": "127.0.0.1", "port": server.port, "user": "reader", "dbname": "live", "password": SECRET}
    return psycopg.conninfo.make_conninfo("", **{**given, **more})


def test_dump_and_truth_are_of_one_instant_and_nothing_is_written(server, programs, scratch, monkeypatch):
    """What is committed between dump and truth is in neither; the source gives out no transaction id."""
    dump = room._dump

    def then_change(*arguments):
        dump(*arguments)
        execute(connect, "DELETE FROM notes WHERE id > 100", "CREATE TABLE later (i int)")

    connect = lambda: server.connect(database="live")  # noqa: E731
    source = open_source(programs, dsn(server))
    next_id = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    before = value_of(connect, next_id)
    copy = copy_live(Step(), programs, source, scratch / "quiet.dump")
    assert value_of(connect, next_id) == before
    monkeypatch.setattr(room, "_dump", then_change)
    copy = copy_live(Step(), programs, source, scratch / "live.dump")
    execute(
        connect, "DROP TABLE later", "INSERT INTO notes SELECT i, 'new' FROM generate_series(101, 3000) i"
    )
    assert copy.truth.tables["public.notes"].row_count == 3000
    assert "public.later" not in copy.truth.tables

    target = create_cluster(programs, scratch / "live target", settings={"fsync": "off"})
    target.start(programs)
    contents, _ = check_dump(Step(), programs, copy.dump)
    result = restore_dump(
        Step(), programs, dump=copy.dump, contents=contents, cluster=target, roles=copy.truth.roles
    )
    checks = compare(copy.truth, fingerprint(Step(), result.restored.cluster.connect))
    target.stop(mode="immediate")
    assert {check.status for check in checks} == {"passed"}
    assert any("reader" in check.observed for check in result.checks)


def test_the_source_cannot_be_written_to(server, programs):
    """Also a superuser's session to a source is read-only."""
    source = open_source(programs, dsn(server, user="postgres", password=password_of(server)))
    with source.connect() as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("CREATE TABLE never (i int)")


def password_of(server) -> str:
    return server.passfile.read_text().rsplit(":", 1)[1].strip()


def test_the_password_stays_in_a_private_file(server, programs):
    """Neither the connection string nor what is shown of the source holds it; the file is 0600."""
    source = open_source(programs, dsn(server))
    assert SECRET not in repr(source)
    passfile = psycopg.conninfo.conninfo_to_dict(source.conninfo)["passfile"]
    [file] = [path for path in programs.scratch.rglob("passfile") if str(path) == passfile]
    assert file.stat().st_mode & 0o777 == 0o600
    separate = open_source(programs, dsn(server, password=None), password=SECRET)
    assert value_of(separate.connect, "SELECT current_user") == "reader"


def test_schemas_can_be_left_out(server, programs, scratch):
    """A schema left out is in neither dump nor truth."""
    source = open_source(programs, dsn(server))
    copy = copy_live(Step(), programs, source, scratch / "without.dump", without_schemas=("internal",))
    listed = programs.run("pg_restore", "--list", copy.dump.path)
    assert "internal" not in listed
    assert set(copy.truth.tables) == {"public.notes"}
    assert copy.truth.not_covered == ("schema internal",)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nonsense", "cannot be read; right would be postgresql://"),
        ("postgresql://reader:very%20secret@", "has no host, dbname"),
        ("host=h user=u", "has no dbname"),
    ],
)
def test_a_connection_string_that_leaves_things_to_chance_is_refused(programs, wrong, message):
    """Host, user and database must be named; the message does not repeat what was given."""
    with pytest.raises(InputError, match=message) as raised:
        open_source(programs, wrong)
    assert "secret" not in str(raised.value)


def test_a_wrong_password_is_told_without_it(server, programs):
    """The server's own words, and not a word of the password."""
    with pytest.raises(Refused, match="password authentication failed") as raised:
        open_source(programs, dsn(server, password="wrong secret"))
    assert "wrong secret" not in str(raised.value)


def test_a_newer_server_is_refused(server, programs, monkeypatch):
    """Programs that are older than the source cannot dump it; both versions are named."""
    older = type(programs)(**{**vars(programs), "major": programs.major - 1, "version": "old"})
    with pytest.raises(Refused, match="the programs here are old"):
        open_source(older, dsn(server))


class Pooler:
    """Stands between client and server as a pooler does: it announces a process id of its own."""

    def __init__(self, port: int) -> None:
        self._to, self._listener = port, socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._to))
        upward = threading.Thread(target=self._pump, args=(client, server, False))
        upward.start()
        self._pump(server, client, True)
        upward.join()
        client.close()
        server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, announce: bool) -> None:
        key_data = b"K" + struct.pack(">I", 12)
        while chunk := source.recv(65536):
            if announce and (at := chunk.find(key_data)) >= 0:
                chunk = chunk[: at + 5] + struct.pack(">I", 4_000_000) + chunk[at + 9 :]
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)


def test_a_pooler_is_refused(server, programs):
    """A process that answers is not the one announced: no snapshot can be shared there."""
    pooler = Pooler(server.port)
    try:
        with pytest.raises(Refused, match="is a connection pooler") as raised:
            open_source(programs, dsn(server, port=pooler.port, sslmode="disable", gssencmode="disable"))
    finally:
        pooler.close()
    assert "Use the direct connection" in str(raised.value)


def test_the_time_limit_ends_it_and_lets_the_snapshot_go(server, programs, scratch):
    """When time is up the step fails saying so, and no session of ours is left in the server."""
    source = open_source(programs, dsn(server), limits=Limits(bytes_per_s=1e5, duration_s=0.3))
    with pytest.raises(StepFailed, match="time limit; the snapshot is let go"):
        copy_live(Step(), programs, source, scratch / "late.dump")
    query = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'reader' AND backend_xmin IS NOT NULL"
    assert value_of(server.connect, query) == 0


def test_a_lock_does_not_keep_us_waiting(server, programs, scratch):
    """A table that someone has locked fails the dump in pg_dump's words, soon."""
    source = open_source(programs, dsn(server), limits=Limits(lock_timeout_s=0.1))
    with server.connect(database="live") as holder, holder.transaction():
        holder.execute("LOCK TABLE notes")
        with pytest.raises(ProgramFailed, match=r"LOCK TABLE public\.notes"):
            copy_live(Step(), programs, source, scratch / "locked.dump")


def test_the_pace_holds_the_rate_and_the_limit():
    """So many bytes per second on average, whatever the sizes of the reads; then the limit."""
    clock = VirtualClock(datetime(2026, 3, 1, tzinfo=UTC))
    pace = Pace(Limits(bytes_per_s=1000, duration_s=10), clock)
    for size in (500, 2500, 1000, 0):
        pace.take(size)
    assert pace.elapsed_s() == 4.0
    pace.take(7000)
    with pytest.raises(StepFailed, match="read for 10 s, its time limit"):
        pace.take(1)
    assert pace.elapsed_s() == 10.0
