"""Real PostgreSQL for these tests: one scratch folder and one set of programs for all of them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from runbook.postgres.backup import read_backup, take_base_backup
from runbook.postgres.cluster import Cluster, create_cluster
from runbook.postgres.programs import Programs, find_programs
from runbook.postgres.receiving import finish_segment, start_receiver
from runbook.postgres.values import Backup
from runbook.postgres.wal import Lsn
from runbook.scratch import open_scratch


@pytest.fixture(scope="session")
def scratch():
    """A folder that dies with the tests."""
    with open_scratch() as opened:
        yield opened.folder


@pytest.fixture(scope="session")
def programs(scratch) -> Programs:
    return find_programs(scratch=scratch)


@pytest.fixture(scope="session")
def running(programs, scratch):
    """A running, empty cluster; tests use tables and databases of their own."""
    cluster = create_cluster(programs, scratch / "running")
    cluster.start(programs)
    yield cluster
    cluster.stop(mode="immediate")


@dataclass(frozen=True)
class Lost:
    """A backup and archive of a primary that was lost, and what was in it at which point.

    Rows 1 to 2000 are in the backup, 2001 to `whole` in whole segments, `all` when it was lost: the rest is
    in the partial segment. `commit` is the transaction that wrote row `marked`, `commit_lsn` lies just
    before its commit record.
    """

    backup: Backup
    primary: Cluster
    flushed: Lsn
    marked: int
    commit: int
    commit_lsn: Lsn
    whole: int
    all: int


INSERT = "INSERT INTO t SELECT i, repeat(md5(i::text), 8) FROM generate_series(%s::int, %s::int) i"


@pytest.fixture(scope="session")
def lost(programs, scratch) -> Lost:
    """Made once; tests that break something take a copy."""
    # Small segments make a long archive of little data.
    primary = create_cluster(programs, scratch / "primary", wal_segment_mb=1)
    primary.start(programs)
    archive = scratch / "archive"
    receiver = start_receiver(programs, primary, archive)
    with primary.connect() as connection:
        connection.execute("CREATE TABLE t (i int PRIMARY KEY, filler text)")
        connection.execute(INSERT, [1, 2000])
        backup = take_base_backup(programs, primary, scratch / "base", wal_archive=archive)
        connection.execute(INSERT, [2001, 9000])
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES (9001, 'marked')")
            row = connection.execute(
                "SELECT pg_current_xact_id()::text, pg_current_wal_insert_lsn()::text"
            ).fetchone()
        connection.execute(INSERT, [9002, 9500])
        finish_segment(primary, archive)
        connection.execute(INSERT, [9501, 9600])
        flushed = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()[0]
    primary.stop(mode="immediate")
    receiver.stop()
    return Lost(
        backup=backup,
        primary=primary,
        flushed=Lsn.parse(flushed),
        marked=9001,
        commit=int(row[0]),
        commit_lsn=Lsn.parse(row[1]),
        whole=9500,
        all=9600,
    )


@pytest.fixture
def copied(lost, programs, scratch, request):
    """A copy of the lost primary's backup and archive, free to be broken."""
    place = programs.make_folder(scratch / f"copy-{request.node.name.replace('/', ' ')[:60]}")
    for source in (lost.backup.path, lost.backup.wal_archive):
        _copy_tree(source, place / source.name, programs)
    yield read_backup(programs, place / "base", wal_archive=place / "archive")
    shutil.rmtree(place)


def _copy_tree(source: Path, target: Path, programs: Programs) -> None:
    shutil.copytree(source, target, symlinks=True)
    for place in (target, *target.rglob("*")):
        programs.own(place)
