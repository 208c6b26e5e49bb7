"""What is read out of the log: commits in their order, and who changed how much of which table."""

from datetime import UTC, datetime

import pytest

from runbook.errors import StepFailed
from runbook.postgres.history import LARGEST_KEPT, Commit, History, _Reader, read_history
from runbook.postgres.wal import Lsn
from runbook.step import Step

CATALOGUE = "1663/5/1259"
AT = "2026-03-01 02:00:00.000001"
# As PostgreSQL 15 and, from 16 on, the newer ones write them.
FORMS = {
    15: "desc: DELETE off 1 flags 0x00 KEYS_UPDATED , blkref #0: rel {} blk 0",
    16: "desc: DELETE xmax: 799, off: 1, infobits: [KEYS_UPDATED], flags: 0x00, blkref #0: rel {} blk 0 FPW",
}


def heap(xid: int, what: str, relation: str = "1663/5/20000") -> str:
    return (
        f"rmgr: Heap        len (rec/tot):     54/    54, tx: {xid:>10}, lsn: 0/365C3F60, prev 0/365C3F28, "
        f"desc: {what} off 1 flags 0x00, blkref #0: rel {relation} blk 0"
    )


def ended(xid: int, lsn: str, what: str = f"COMMIT {AT} UTC") -> str:
    return (
        f"rmgr: Transaction len (rec/tot):     34/    34, tx: {xid:>10}, lsn: {lsn}, prev 0/1, desc: {what}"
    )


def history_of(*lines: str) -> History:
    reader = _Reader(History(Lsn(1), Lsn(1)), CATALOGUE)
    for line in lines:
        reader.take(line.encode() + b"\n")
    return reader.finish()


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_both_forms_of_a_record_are_understood(form):
    """The relation is found whatever the version calls a record's details."""
    line = f"rmgr: Heap len (rec/tot): 54/54, tx: 7, lsn: 0/10, prev 0/8, {form.format('1663/5/20000')}"
    assert history_of(line, ended(7, "0/20")).largest["1663/5/20000"][0].rows == 1


def test_commits_stand_in_the_order_of_the_log():
    """A commit is its xid, the start of its record and its time; xids may be out of order."""
    history = history_of(ended(9, "0/10"), ended(8, "1/A0"))
    at = datetime(2026, 3, 1, 2, 0, 0, 1, tzinfo=UTC)
    assert list(history) == [Commit(9, Lsn(0x10), at), Commit(8, Lsn(0x1000000A0), at)]
    assert history.place_of(history[1]) == 1
    assert history.ends == Lsn(0x1000000A0)


def test_only_what_was_committed_counts():
    """Deletes and updates count, inserts and aborted work do not; of an open transaction nothing is said."""
    history = history_of(
        *(heap(5, what) for what in ("DELETE", "UPDATE", "HOT_UPDATE", "INSERT", "LOCK")),
        ended(5, "0/10"),
        heap(6, "DELETE"),
        ended(6, "0/20", f"ABORT {AT} UTC"),
        heap(7, "DELETE"),
    )
    assert [(change.rows, change.commit.xid) for change in history.largest["1663/5/20000"]] == [(3, 5)]


def test_subtransactions_and_prepared_transactions_belong_to_their_commit():
    """What a savepoint did is its transaction's; a prepared one is committed under its own xid."""
    history = history_of(
        heap(11, "DELETE"),
        heap(12, "DELETE"),
        ended(10, "0/10", f"COMMIT {AT} UTC; subxacts: 11 12"),
        heap(20, "DELETE"),
        ended(0, "0/20", f"COMMIT_PREPARED 20: {AT} UTC"),
    )
    assert [(change.rows, change.commit.xid) for change in history.largest["1663/5/20000"]] == [
        (2, 10),
        (1, 20),
    ]


def test_a_drop_is_a_commit_that_leaves_fewer_relations():
    """A refreshed view lets go of files but of no relation; a temporary table is nothing."""
    rels = (
        f"COMMIT {AT} UTC; rels: base/5/20000 base/5/20001; dropped stats: 2/5/20001; inval msgs: catcache 1"
    )
    history = history_of(
        *(heap(1, "DELETE", CATALOGUE) for _ in range(2)),
        ended(1, "0/10", rels),
        heap(2, "INSERT", CATALOGUE),
        heap(2, "DELETE", CATALOGUE),
        ended(2, "0/20", rels),
        heap(3, "DELETE", CATALOGUE),
        ended(3, "0/30", f"COMMIT {AT} UTC; rels: base/5/t3_20000"),
    )
    drop, rewrite = history.drops
    assert (rewrite.commit.xid, rewrite.relations) == (2, 0)
    assert (drop.commit.xid, drop.relations, drop.files) == (1, 2, ("base/5/20000", "base/5/20001"))


def test_only_the_largest_changes_are_kept():
    """However long the log, a table's list stays short, largest first."""
    lines = [
        line
        for xid in range(1, 51)
        for line in (*[heap(xid, "DELETE")] * (xid % 10), ended(xid, f"0/{xid:X}"))
    ]
    kept = history_of(*lines).largest["1663/5/20000"]
    assert [change.rows for change in kept] == [9, 9, 9, 9, 9, 8, 8, 8]
    assert len(kept) == LARGEST_KEPT


def test_a_commit_in_an_unknown_form_is_an_error():
    """A form we do not understand must not be passed over: it might be the one."""
    with pytest.raises(StepFailed, match="unknown here"):
        history_of(ended(1, "0/10", "COMMIT on Sunday"))


def test_a_real_archive_is_read_to_its_end(lost, programs):
    """Every commit after the backup is there in order, also those of the segment that was never finished."""
    history = read_history(Step(), programs, lost.backup, catalogue_file=CATALOGUE)
    commits = list(history)
    assert [commit.lsn for commit in commits] == sorted(commit.lsn for commit in commits)
    marked = next(commit for commit in commits if commit.xid == lost.commit)
    assert marked.lsn == lost.commit_lsn
    assert commits[-1].lsn < lost.flushed
    assert history.begins == Lsn.parse(lost.backup.start_lsn)


def test_an_archive_without_the_backups_start_is_told(lost, programs, copied):
    """Without the segment in which the backup starts nothing can be searched."""
    for segment in copied.wal_archive.iterdir():
        segment.unlink()
    with pytest.raises(StepFailed, match="does not hold the segment with"):
        read_history(Step(), programs, copied, catalogue_file=CATALOGUE)
