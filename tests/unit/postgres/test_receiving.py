"""The archive has every acknowledged commit: the primary waits for the receiver before it answers."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runbook.errors import StepFailed
from runbook.postgres import receiving
from runbook.postgres.cluster import create_cluster
from runbook.postgres.receiving import finish_segment, start_receiver, stop_receiver
from runbook.postgres.wal import Lsn


@pytest.fixture
def primary(programs, scratch, request):
    cluster = create_cluster(programs, scratch / f"p-{request.node.name[5:25]}", wal_segment_mb=1)
    cluster.start(programs)
    yield cluster
    cluster.stop(mode="immediate")


def one(cluster, question):
    with cluster.connect() as connection:
        return connection.execute(question).fetchone()[0]


def test_commits_wait_for_the_archive(programs, scratch, primary):
    """While the receiver does not run, a commit is not answered; once archiving is over it is."""
    receiver = start_receiver(programs, primary, scratch / "archive-waits")
    assert one(primary, "SELECT sync_state FROM pg_stat_replication") == "sync"
    notices = []
    with ThreadPoolExecutor(1) as pool, primary.connect() as connection:
        connection.add_notice_handler(lambda diagnostic: notices.append(diagnostic.message_primary))
        receiver._child.send_signal(signal.SIGSTOP)
        committing = pool.submit(connection.execute, "CREATE TABLE t (i int)")
        waiting = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        deadline = time.monotonic() + 30
        while one(primary, waiting) == 0:
            assert not committing.done(), "the commit did not wait"
            assert time.monotonic() < deadline
        committing.result(30)
        receiver._child.send_signal(signal.SIGCONT)
    assert any("canceling wait for synchronous replication" in notice for notice in notices)
    stop_receiver(primary, receiver)
    assert not receiver.alive
    with primary.connect() as connection:
        connection.execute("INSERT INTO t VALUES (1)")


def test_an_acknowledged_commit_is_in_the_archive(programs, scratch, primary):
    """What was committed is in the received files at that moment, whole segment or not."""
    receiver = start_receiver(programs, primary, scratch / "archive-has")
    with primary.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 'find me in the log' AS words")
        assert any(b"find me in the log" in path.read_bytes() for path in receiver.archive.iterdir())
    primary.stop(mode="immediate")
    receiver.stop()
    assert "server closed the connection" in receiver.said()


def test_a_segment_is_finished_and_arrives(programs, scratch, primary):
    """After finishing, all that had been written lies in whole segments."""
    receiver = start_receiver(programs, primary, scratch / "archive-whole")
    with primary.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 'find me too' AS words")
    before = Lsn.parse(one(primary, "SELECT pg_current_wal_insert_lsn()::text"))
    assert finish_segment(primary, receiver.archive) >= before
    whole = [path for path in receiver.archive.iterdir() if path.suffix != ".partial"]
    assert any(b"find me too" in path.read_bytes() for path in whole)
    finish_segment(primary, receiver.archive)  # nothing new: the last one is there already
    with pytest.raises(StepFailed, match="has not gone beyond"):
        finish_segment(primary, receiver.archive, after=Lsn(1 << 40))
    stop_receiver(primary, receiver)


def test_a_segment_that_does_not_arrive_is_told(programs, scratch, primary, monkeypatch):
    """Waiting for a segment has an end, and the error names it."""
    monkeypatch.setattr(receiving, "PATIENCE_S", 0.1)
    nobody = programs.make_folder(scratch / "archive-nobody")
    with pytest.raises(StepFailed, match=r"[0-9A-F]{24} did not arrive"):
        finish_segment(primary, nobody)


def test_a_receiver_that_cannot_work_leaves_commits_free(programs, scratch, primary):
    """When archiving cannot begin, the error says why and no commit hangs."""
    receiver = start_receiver(programs, primary, scratch / "archive-first")
    with pytest.raises(Exception, match=r"already exists"):
        start_receiver(programs, primary, scratch / "archive-second")
    stop_receiver(primary, receiver)
    with primary.connect() as connection:
        connection.execute("SELECT pg_drop_replication_slot('runbook_archive')")
        connection.execute("ALTER SYSTEM SET max_wal_senders = 0")
    primary.stop()
    primary.start(programs)
    with pytest.raises(StepFailed, match="pg_receivewal ended"):
        start_receiver(programs, primary, scratch / "archive-third")
    with primary.connect() as connection:
        connection.execute("CREATE TABLE free (i int)")
