"""A backup and its archive come back as a running cluster, at the target and nowhere else."""

import re
import shutil
from pathlib import Path

import pytest

from runbook.errors import StepFailed
from runbook.postgres import proving
from runbook.postgres.backup import check_pages_offline, read_backup
from runbook.postgres.cluster import create_cluster
from runbook.postgres.receiving import finish_segment, start_receiver
from runbook.postgres.restore import phases_of, restore, restore_command, stop_settings
from runbook.postgres.values import Restored, Target
from runbook.postgres.wal import Lsn
from runbook.step import Step

END = Target(kind="end of WAL", sentence="the primary was lost")


def before(lost, **more):
    return Target(kind="before commit", sentence="just before the damage", **more)


@pytest.fixture
def place(scratch, request):
    """A folder for the restored cluster; what runs there is stopped and removed."""
    folder = scratch / f"r-{re.sub(r'[^a-z0-9]', '', request.node.name[5:40])}"
    made = []
    yield folder, made.append
    for restored in made:
        restored.cluster.stop(mode="immediate")
    shutil.rmtree(folder, ignore_errors=True)


def rows(restored):
    with restored.cluster.connect() as connection:
        return connection.execute("SELECT count(*), max(i) FROM t").fetchone()


def test_the_end_of_the_log_brings_every_acknowledged_row(programs, lost, place):
    """RPO 0: what the lost primary had committed is there, from whole segments and the partial one."""
    folder, keep = place
    states, evidence = [], {}
    step = Step(progress_sink=states.append, evidence_sink=evidence.__setitem__)
    restored = restore(programs, lost.backup, folder, target=END, step=step)
    keep(restored)
    assert rows(restored) == (lost.all, lost.all)
    assert Lsn.parse(restored.replayed_to_lsn) >= lost.flushed
    assert restored.last_commit_at > lost.backup.taken_at
    assert restored.timeline == 2
    names = ["read the archive", "copy", "start", "replay", "promote", "first write"]
    assert [phase.name for phase in restored.phases] == names
    assert [phase.name for phase in step.phases] == names
    copying = [state for state in states if state.what == "copying the backup"][-1]
    assert copying.done == copying.total == restored.copied_bytes
    assert b"archive recovery complete" in evidence[f"recovery-{folder.name}.log"]
    assert Restored.model_validate_json(restored.model_dump_json()) == restored
    restored.cluster.stop()
    assert check_pages_offline(programs, restored.cluster).status == "passed"


@pytest.mark.parametrize("by", ["xid", "lsn"])
def test_recovery_stops_just_before_a_commit(programs, lost, place, by):
    """The marked row is not there, all before it are; by transaction id or by position."""
    folder, keep = place
    where = {"xid": lost.commit} if by == "xid" else {"lsn": str(lost.commit_lsn)}
    restored = restore(programs, lost.backup, folder, target=before(lost, **where))
    keep(restored)
    assert rows(restored) == (lost.marked - 1, lost.marked - 1)


def test_the_restored_copy_talks_to_nobody(programs, lost, place):
    """It takes writes, listens on its socket only, archives nothing, waits for nobody, preloads nothing."""
    folder, keep = place
    restored = restore(programs, lost.backup, folder, target=END)
    keep(restored)
    with restored.cluster.connect() as connection:
        assert connection.execute("SELECT pg_is_in_recovery()").fetchone() == (False,)
        connection.execute("INSERT INTO t VALUES (99999, 'written')")
        for name, value in {
            "listen_addresses": "",
            "archive_mode": "off",
            "synchronous_standby_names": "",
            "shared_preload_libraries": "",
            "max_logical_replication_workers": "0",
            "fsync": "on",
        }.items():
            assert connection.execute(f"SHOW {name}").fetchone() == (value,), name
        assert connection.execute("SELECT count(*) FROM pg_replication_slots").fetchone() == (0,)
        left = "SELECT count(*) FROM pg_class WHERE relname = 'runbook_probe'"
        assert connection.execute(left).fetchone() == (0,)


def test_the_source_is_only_read(programs, lost, place):
    """Not a byte, a name or a time of backup and archive changes; nor are they linked to."""

    def state():
        places = [lost.backup.path, lost.backup.wal_archive]
        found = {path: path.lstat() for place in places for path in (place, *place.rglob("*"))}
        return {path: (at.st_size, at.st_mtime_ns, at.st_nlink, at.st_ino) for path, at in found.items()}

    before_it = state()
    folder, keep = place
    restored = restore(programs, lost.backup, folder, target=END)
    keep(restored)
    with restored.cluster.connect() as connection:
        connection.execute("UPDATE t SET filler = ''")
        connection.execute("CHECKPOINT")
    assert state() == before_it


def test_a_gap_is_refused_before_anything_is_copied(programs, copied, place):
    """PostgreSQL would promote what it has; we say which segment is missing."""
    gone = sorted(copied.wal_archive.glob("*[0-9A-F]"))[4]
    gone.unlink()
    folder, _ = place
    with pytest.raises(StepFailed, match=f"a gap: .*{gone.name}"):
        restore(programs, copied, folder, target=END)
    assert not folder.exists()


def test_a_stale_cluster_is_not_accepted(programs, lost, copied, place, monkeypatch):
    """Also where the proof was wrong: replay that ends short of the archive's end fails the restore."""
    monkeypatch.setattr(proving, "end_of_wal", lambda *_, **__: Lsn(lost.flushed + (1 << 20)))
    folder, _ = place
    with pytest.raises(StepFailed, match="the server promoted a stale cluster: replay ended at"):
        restore(programs, copied, folder, target=END)
    assert not (folder / "data" / "postmaster.pid").exists(), "it goes on running"


def test_a_target_that_is_not_in_the_archive_fails_with_the_servers_words(programs, copied, place):
    """Recovery past the last commit is fatal in PostgreSQL; its own line says so."""
    folder, _ = place
    target = Target(kind="before commit", xid=4_000_000, sentence="a transaction that never was")
    with pytest.raises(StepFailed, match="recovery ended before configured recovery target was reached"):
        restore(programs, copied, folder, target=target)


def test_a_target_before_the_backup_fails_with_the_servers_words(programs, lost, place):
    """A backup cannot be brought back to before its own end."""
    folder, _ = place
    target = Target(kind="before commit", lsn=lost.backup.start_lsn, sentence="too early")
    with pytest.raises(
        StepFailed, match=r"stop point is before consistent recovery point|did not stop at its target"
    ):
        restore(programs, lost.backup, folder, target=target)


def test_a_superuser_that_the_backup_lacks_is_told(programs, lost, place):
    """The restored roles are the source's; we connect as one of them."""
    folder, _ = place
    with pytest.raises(StepFailed, match='role "admin" does not exist'):
        restore(programs, lost.backup, folder, target=END, user="admin")


def test_odd_names_do_not_break_recovery(programs, lost, place):
    """Spaces, quotes and percent signs in a path survive the configuration, the shell and PostgreSQL."""
    folder, keep = place
    odd = programs.make_folder(folder) / """it's "50 %p", $HOME"""
    restored = restore(programs, lost.backup, odd, target=END)
    keep(restored)
    assert rows(restored) == (lost.all, lost.all)


def test_a_failed_restore_leaves_nothing_running(programs, copied, place):
    """A server that did not come up is not left behind."""
    folder, _ = place
    (copied.path / "base" / "1" / "1259").unlink()
    (copied.path / "pg_xact" / "0000").unlink()
    target = Target(kind="before commit", xid=4_000_000, sentence="")
    with pytest.raises(StepFailed):
        restore(programs, copied, folder, target=target)
    assert not (folder / "data" / "postmaster.pid").exists()


def test_a_younger_timeline_is_followed(programs, lost, copied, place):
    """After a failover the archive goes on under a new timeline; its end is the newest one's."""
    folder, keep = place
    promoted = restore(programs, lost.backup, folder, target=END)
    keep(promoted)
    archive = copied.wal_archive.with_name("archive-2")
    receiver = start_receiver(programs, promoted.cluster, archive)
    with promoted.cluster.connect() as connection:
        connection.execute(
            "INSERT INTO t SELECT i, 'after the failover' FROM generate_series(20001, 20100) i"
        )
    finish_segment(promoted.cluster, archive)
    promoted.cluster.stop(mode="immediate")
    receiver.stop()
    for path in archive.iterdir():
        shutil.move(path, copied.wal_archive / path.name)
    checks = proving.prove_contiguous(programs, backup=copied, target=END)
    assert {check.status for check in checks} == {"passed"}, checks
    again = restore(programs, copied, folder.with_name(f"{folder.name}-2"), target=END)
    keep(again)
    assert rows(again) == (lost.all + 100, 20100)
    assert again.timeline == 3
    old = END.model_copy(update={"timeline": 1})
    third = restore(programs, copied, folder.with_name(f"{folder.name}-3"), target=old)
    keep(third)
    assert rows(third) == (lost.all, lost.all)


def test_tablespaces_are_restored_to_places_of_their_own(programs, scratch, place):
    """A table in a tablespace comes back, and the source's tablespace is not touched."""
    space = programs.make_folder(scratch / "space")
    source = create_cluster(programs, scratch / "with-space")
    source.start(programs)
    with source.connect() as connection:
        connection.execute(f"CREATE TABLESPACE far LOCATION '{space}'")
        connection.execute("CREATE TABLE t (i int) TABLESPACE far")
        connection.execute("INSERT INTO t VALUES (1), (2)")
    base, tars = scratch / "space-base", scratch / "space-tars"
    moved = f"--tablespace-mapping={space}={scratch / 'space-moved'}"
    options = ("--checkpoint=fast", "--wal-method=fetch", "-d", source.conninfo())
    programs.run("pg_basebackup", "-D", base, "--format=plain", moved, *options)
    programs.run("pg_basebackup", "-D", tars, "--format=tar", *options)
    source.stop(mode="immediate")
    folder, keep = place
    for number, path in enumerate((base, tars)):
        backup = read_backup(programs, path)
        restored = restore(programs, backup, folder.with_name(f"{folder.name}-{number}"), target=END)
        keep(restored)
        assert rows(restored) == (2, 2)
        with restored.cluster.connect() as connection:
            connection.execute("INSERT INTO t VALUES (3)")
            located = "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'far'"
            assert connection.execute(located).fetchone()[0].startswith(str(restored.cluster.folder))
    assert restored.phases[0].name == "unpack"


def test_the_restore_command_is_quoted():
    """What a folder's name holds is neither shell nor PostgreSQL's percent signs."""
    command = restore_command(Path("/a b/it's 5%"))
    assert command == """test -f '/a b/it'"'"'s 5%%/'%f && cp '/a b/it'"'"'s 5%%/'%f %p"""


def test_where_to_stop():
    """A transaction id beyond the first epoch is given as the 32 bits PostgreSQL compares."""
    target = Target(kind="before commit", xid=(3 << 32) + 7, sentence="")
    assert stop_settings(target) == {"recovery_target_xid": "7", "recovery_target_inclusive": "off"}
    assert stop_settings(END) == {}
    with pytest.raises(StepFailed, match="needs its transaction id or its position"):
        stop_settings(Target(kind="before commit", sentence=""))
    with pytest.raises(StepFailed, match="not as dumped"):
        stop_settings(Target(kind="as dumped", sentence=""))


LOG = """
2026-02-20 02:00:00.100 UTC [1] LOG:  starting PostgreSQL 16.4
2026-02-20 02:00:01.000 UTC [2] LOG:  redo starts at 0/2000028
2026-02-20 02:00:03.500 UTC [2] LOG:  redo done at 0/3000028 system usage: CPU
2026-02-20 02:00:03.750 UTC [1] LOG:  database system is ready to accept connections
"""


def test_phases_come_from_the_servers_own_log():
    """They add up to the time that passed; without a redo it is all start."""
    phases = {phase.name: phase.seconds for phase in phases_of(LOG, total_s=4.0)}
    assert phases == pytest.approx({"start": 1.25, "replay": 2.5, "promote": 0.25})
    (phase,) = phases_of("nothing of that", total_s=4.0)
    assert (phase.name, phase.seconds) == ("start", 4.0)
