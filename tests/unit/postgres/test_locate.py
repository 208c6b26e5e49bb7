"""Finding the commit that did it, on a real server with its log; and bisecting when the log cannot tell."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from runbook.errors import NoGo, StepFailed
from runbook.plan import Invariant
from runbook.postgres import locate as room
from runbook.postgres.backup import take_base_backup
from runbook.postgres.cluster import Cluster, create_cluster
from runbook.postgres.history import Change, Commit, History
from runbook.postgres.locate import bisect, locate
from runbook.postgres.receiving import finish_segment, start_receiver, stop_receiver
from runbook.postgres.suspects import _by_mass
from runbook.postgres.values import Backup
from runbook.postgres.wal import Lsn
from runbook.step import Step
from tests.databases import copy_with_bad_page, execute, make_database, value_of

COUNT = Invariant(name="things", sql="SELECT count(*) FROM things", min=90, max=110, table="public.things")
PAINTED = Invariant(
    name="painted", sql="SELECT count(*) FROM things WHERE colour = 'grey'", equals=0, table="public.things"
)
EXISTS = Invariant(
    name="the shed", sql="SELECT to_regnamespace('shed') IS NOT NULL", equals=True, table="shed.tools"
)
DATABASES = (
    "deleted",
    "updated",
    "table dropped",
    "schema dropped",
    "truncated",
    "creeping",
    "no hint",
    "sound",
)
SCHEMA = (
    "CREATE TABLE things (id serial PRIMARY KEY, colour text)",
    "INSERT INTO things (colour) SELECT (ARRAY['red', 'blue'])[1 + i % 2] FROM generate_series(1, 100) i",
    "CREATE SCHEMA shed",
    "CREATE TABLE shed.tools (id serial)",
)
TRAFFIC = (
    "INSERT INTO things (colour) VALUES ('red')",
    "DELETE FROM things WHERE id = (SELECT min(id) FROM things)",
)


@dataclass(frozen=True)
class Primary:
    """A running primary with archive and backup; each damage happens in a database of its own."""

    cluster: Cluster
    archive: Path
    backup: Backup

    def connect_to(self, database: str):
        return lambda: self.cluster.connect(database=database)

    def damage(self, database: str, *statements: str) -> int:
        """Damage a database amid everyday traffic; return the damaging transaction's xid."""
        connect = self.connect_to(database)
        execute(connect, *TRAFFIC)
        with connect() as connection, connection.transaction():
            for statement in statements:
                connection.execute(statement)
            [(xid,)] = connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()
        if value_of(connect, "SELECT to_regclass('things') IS NOT NULL"):
            execute(connect, *TRAFFIC)
        finish_segment(self.cluster, self.archive)
        return xid


@pytest.fixture(scope="module")
def primary(programs, scratch):
    cluster = create_cluster(
        programs, scratch / "located", settings={"track_commit_timestamp": "on"}, wal_segment_mb=1
    )
    cluster.start(programs)
    receiver = start_receiver(programs, cluster, scratch / "located archive")
    for name in DATABASES:
        make_database(cluster, name, *SCHEMA)
    backup = take_base_backup(
        programs, cluster, scratch / "located base", wal_archive=scratch / "located archive"
    )
    yield Primary(cluster, scratch / "located archive", backup)
    stop_receiver(cluster, receiver)
    cluster.stop(mode="immediate")


@pytest.fixture
def find(programs, primary):
    """Locate the damage of one database; the pages are not looked at unless asked to."""

    def run(database: str, *invariants: Invariant, data: Path | None = None, probe=None):
        return locate(
            Step(),
            programs,
            primary.connect_to(database),
            data=data,
            backup=primary.backup,
            invariants=invariants,
            probe=probe,
        )

    return run


@pytest.mark.parametrize(
    ("database", "damage", "invariants", "evidence"),
    [
        (
            "deleted",
            "DELETE FROM things WHERE id % 3 = 0",
            (COUNT,),
            "deleted or updated 33 rows of public.things",
        ),
        ("updated", "UPDATE things SET colour = 'grey'", (COUNT, PAINTED), "deleted or updated 100 rows of"),
        ("table dropped", "DROP TABLE things CASCADE", (COUNT, PAINTED), "dropped"),
        ("schema dropped", "DROP SCHEMA shed CASCADE", (COUNT, EXISTS), "dropped"),
    ],
)
def test_the_commit_that_did_it_is_found_in_the_log(primary, find, database, damage, invariants, evidence):
    """Amid other commits the damaging one is found, with its position, its time and the last good one."""
    xid = primary.damage(database, damage)
    found = find(database, *invariants)
    assert (found.culprit_xid, found.target.kind, found.target.xid) == (xid, "before commit", xid)
    assert found.located_by == "the log"
    assert found.newest_kept_at < found.target.at == found.culprit_at
    assert Lsn.parse(found.newest_kept_lsn) < Lsn.parse(found.target.lsn)
    assert found.given_up == (0 if database == "table dropped" else len(TRAFFIC))
    assert any(evidence in line for line in found.evidence)
    assert any("agrees with the log" in line for line in found.evidence)
    assert invariants[-1].name in found.wrong or invariants[0].name in found.wrong


def test_without_a_hint_every_table_is_suspected(primary, find):
    """An invariant that names no table still leads to the transaction that stands out."""
    xid = primary.damage("no hint", "DELETE FROM things WHERE id > 20")
    assert find("no hint", COUNT.model_copy(update={"table": None})).culprit_xid == xid


def test_what_the_log_cannot_tell_is_bisected(primary, find):
    """Damage in small steps stands out nowhere: restores at midpoints find the commit that broke it."""
    connect, xids = primary.connect_to("creeping"), []
    with connect() as connection:
        for _ in range(20):
            with connection.transaction():
                connection.execute("DELETE FROM things WHERE id = (SELECT min(id) FROM things)")
                xids += connection.execute("SELECT pg_current_xact_id()::text::bigint").fetchall()[0]
    finish_segment(primary.cluster, primary.archive)
    broke, probed = xids[10], []  # 100 things, 90 are allowed: the eleventh deletion breaks it

    def probe(target) -> bool:
        probed.append(target.xid)
        return target.xid <= broke

    found = find("creeping", COUNT, probe=probe)
    assert (found.culprit_xid, found.located_by) == (broke, "bisection")
    assert found.probes == len(probed) <= 10
    unsure = find("creeping", COUNT)
    assert unsure.located_by == "the log, not for certain"


def test_a_truncated_table_is_found_by_its_new_file(primary, find):
    """TRUNCATE deletes no row that the log would show; the table's entry tells who did it."""
    xid = primary.damage("truncated", "TRUNCATE things")
    found = find("truncated", COUNT)
    assert found.culprit_xid == xid
    assert any("gave public.things a new file" in line for line in found.evidence)


def test_without_trace_and_probe_nothing_is_guessed(primary, find):
    """What leaves no trace in the log, and cannot be tried, is an error, no guess."""
    sound = Invariant(name="impossible", sql="SELECT 1", equals=2, table="shed.tools")
    with pytest.raises(StepFailed, match="does not tell which of"):
        find("sound", sound)


def test_nothing_wrong_is_told_as_that(primary, find):
    """A healthy server has no recovery point."""
    with pytest.raises(NoGo, match="nothing is wrong"):
        find("sound", COUNT, EXISTS, data=primary.cluster.data)


def test_a_bad_page_leads_to_the_end_of_the_log(primary, find):
    """No commit wrote it: the page is named with its table, and nothing of the log is given up."""
    with copy_with_bad_page(primary.cluster, "bad page", "sound", "things"):
        finish_segment(primary.cluster, primary.archive)
        on_disk = find("bad page", EXISTS, data=primary.cluster.data)
        read = find("bad page", EXISTS)
        asked = find("bad page", COUNT)
    assert "block 0 of public.things" in on_disk.wrong
    assert "public.things: invalid page in block 0" in read.wrong
    assert "invalid page in block 0" in asked.wrong
    for found in (on_disk, read, asked):
        assert (found.target.kind, found.culprit_xid, found.given_up) == ("end of WAL", None, 0)
        assert found.newest_kept_xid is not None


def test_a_silent_server_is_a_lost_primary(programs, lost):
    """No answer: the end of the log, and the newest commit in it is what can be kept."""

    def connect():
        return psycopg.connect(f"host={lost.primary.socket_folder} dbname=postgres user=postgres")

    found = locate(Step(), programs, connect, data=lost.primary.data, backup=lost.backup, invariants=())
    assert found.wrong == "the primary is lost: the server does not answer"
    assert (found.target.kind, found.given_up) == ("end of WAL", 0)
    assert Lsn.parse(found.newest_kept_lsn) < lost.flushed
    gone = locate(
        Step(), programs, connect, data=lost.primary.folder / "none", backup=lost.backup, invariants=()
    )
    assert gone.wrong.endswith("its data directory is gone")


def commits(count: int) -> History:
    history = History(Lsn(0), Lsn(count))
    for number in range(count):
        history.add(
            Commit(
                number + 100,
                Lsn(1000 + number),
                datetime(2026, 3, 1, 2, number // 60, number % 60, tzinfo=UTC),
            )
        )
    return history


@pytest.mark.parametrize("culprit", [0, 1, 499, 998, 999])
def test_bisection_finds_any_commit_with_few_restores(programs, lost, monkeypatch, culprit):
    """Of a thousand commits the right one is found with eleven restores at most."""
    monkeypatch.setattr(room, "read_history", lambda *_, **__: commits(1000))
    backup = lost.backup.model_copy(update={"stop_lsn": "0/0"})
    found = bisect(
        Step(), programs, backup=backup, wrong="it", probe=lambda target: target.xid <= culprit + 100
    )
    assert found.culprit_xid == culprit + 100
    assert found.given_up == 999 - culprit
    assert found.newest_kept_xid == (culprit + 99 if culprit else None)
    assert found.probes <= 11


def test_bisection_does_not_go_behind_the_backup(programs, lost, monkeypatch):
    """Commits that are in the backup already cannot be undone by it: an older one is needed."""
    monkeypatch.setattr(room, "read_history", lambda *_, **__: commits(100))
    backup = lost.backup.model_copy(update={"stop_lsn": "0/41A"})  # 1050: before commit number 50
    with pytest.raises(StepFailed, match="an older one is needed"):
        bisect(Step(), programs, backup=backup, wrong="it", probe=lambda target: target.xid <= 110)


def test_an_archive_without_later_commits_has_no_culprit(programs, lost, monkeypatch):
    """No commit after the backup: nothing to bisect."""
    monkeypatch.setattr(room, "read_history", lambda *_, **__: commits(0))
    with pytest.raises(StepFailed, match="no commit after the backup"):
        bisect(Step(), programs, backup=lost.backup, wrong="it", probe=lambda _: True)


@pytest.mark.parametrize(
    ("rows", "stands_out"),
    [((100, 1), True), ((100, 11), False), ((9,), False), ((10,), True), ((500, 400), False)],
)
def test_a_transaction_stands_out_tenfold(rows, stands_out):
    """Ten rows or more, and ten times as many as the next: otherwise the three largest are suspected."""
    history = commits(len(rows))
    suspects = _by_mass([Change(count, commit) for count, commit in zip(rows, history, strict=True)], "t")
    assert [suspect.stands_out for suspect in suspects] == ([True] if stands_out else [False] * len(rows))
