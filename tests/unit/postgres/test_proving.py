"""An archive is proven to lead from the backup to the target before any recovery relies on it."""

import shutil

import pytest

from runbook.errors import StepFailed
from runbook.postgres import proving
from runbook.postgres.proving import end_of_wal, prove_contiguous
from runbook.postgres.values import Target
from runbook.postgres.wal import Lsn, segment_name
from runbook.values import Checks

END = Target(kind="end of WAL", sentence="the primary was lost")
MB = 1 << 20


def before(lost, **more):
    values = {"xid": lost.commit, "lsn": str(lost.commit_lsn), **more}
    return Target(kind="before commit", sentence="just before the damage", **values)


def by_title(checks):
    return {check.title: check for check in checks}


def segments(backup):
    return sorted(backup.wal_archive.glob("*[0-9A-F]"))


def test_a_whole_archive_is_proven(programs, lost):
    """Every segment is there, the cluster's own, whole, readable to its last record."""
    for target in (END, before(lost)):
        checks = Checks(
            items=prove_contiguous(programs, backup=lost.backup, target=target, reach=lost.flushed)
        )
        assert {check.status for check in checks} == {"passed"}, checks
        assert len(checks.items) == 5


def test_the_end_of_the_log_is_what_the_primary_had_flushed(programs, lost):
    """The received partial segment brings the log up to the last acknowledged commit."""
    assert end_of_wal(programs, backup=lost.backup) >= lost.flushed


def test_a_segment_missing_in_the_middle_is_named(programs, lost, copied):
    """A gap is found whatever the target lies behind it, and what cannot be read is not called read."""
    gone = segments(copied)[4]
    gone.unlink()
    for target in (END, before(lost)):
        checks = by_title(prove_contiguous(programs, backup=copied, target=target))
        assert checks[proving.GAPLESS].status == "failed"
        assert f"missing: {gone.name}" in checks[proving.GAPLESS].observed
        assert checks[proving.READS].status == "not checked"
        assert checks[proving.REACHES].status == "not checked"
    with pytest.raises(StepFailed, match=f"a gap: .*{gone.name}"):
        end_of_wal(programs, backup=copied)


def test_a_segment_missing_before_the_target_is_named(programs, lost, copied):
    """When the archive ends early, the segment that holds the target is what is missing."""
    wanted = segment_name(1, lost.commit_lsn // MB, MB)
    for path in segments(copied):
        if path.name >= wanted:
            path.unlink()
    checks = by_title(prove_contiguous(programs, backup=copied, target=before(lost)))
    assert f"missing: {wanted}" in checks[proving.GAPLESS].observed
    assert checks[proving.REACHES].status == "failed"
    assert wanted in checks[proving.REACHES].observed


def test_without_a_target_an_early_end_shows_by_what_the_log_must_reach(programs, lost, copied):
    """An archive that just ends looks whole; only knowing how far the log had come tells that it is not."""
    for path in (*copied.wal_archive.glob("*.partial"), segments(copied)[-1]):
        path.unlink()
    assert not Checks(items=prove_contiguous(programs, backup=copied, target=END)).failed
    checks = by_title(prove_contiguous(programs, backup=copied, target=END, reach=lost.flushed))
    assert checks[proving.GAPLESS].status == "failed"
    assert checks[proving.REACHES].status == "failed"


def test_a_damaged_record_is_found(programs, lost, copied):
    """A flipped bit in the log breaks a record's checksum, which is damage and not the log's end."""
    path = segments(copied)[3]
    with path.open("r+b") as file:
        file.seek(300_000)
        byte = file.read(1)[0]
        file.seek(300_000)
        file.write(bytes([byte ^ 1]))
    for target in (END, before(lost)):
        checks = by_title(prove_contiguous(programs, backup=copied, target=target))
        assert checks[proving.READS].status == "failed"
        assert "checksum" in checks[proving.READS].observed
    assert (
        by_title(prove_contiguous(programs, backup=copied, target=before(lost)))[proving.REACHES].status
        == "failed"
    )


def test_a_short_segment_is_found(programs, copied):
    """A segment that is shorter than the others is named with its size."""
    path = segments(copied)[3]
    with path.open("r+b") as file:
        file.truncate(500_000)
    checks = by_title(prove_contiguous(programs, backup=copied, target=END))
    assert checks[proving.WHOLE].status == "failed"
    assert f"{path.name}: 500,000 bytes" in checks[proving.WHOLE].observed


def test_an_archive_of_another_cluster_is_told(programs, copied):
    """The system identifier of the log must be the backup's."""
    foreign = copied.model_copy(update={"system_identifier": "123"})
    checks = by_title(prove_contiguous(programs, backup=foreign, target=END))
    assert checks[proving.OWN].status == "failed"
    assert "of another cluster" in checks[proving.OWN].observed
    assert checks[proving.WHOLE].status == "passed"


def test_compressed_segments_are_named(programs, copied):
    """What was compressed by an archive tool is not missing; it has to be unpacked."""
    path = segments(copied)[3]
    path.rename(path.with_name(f"{path.name}.zst"))
    observed = by_title(prove_contiguous(programs, backup=copied, target=END))[proving.GAPLESS].observed
    assert f"compressed ones are not read ({path.name}.zst" in observed


def test_a_target_without_a_position_is_not_called_reached(programs, lost):
    """A transaction whose place in the log is unknown cannot be proven to be there."""
    checks = by_title(prove_contiguous(programs, backup=lost.backup, target=before(lost, lsn=None)))
    assert checks[proving.REACHES].status == "not checked"


def test_a_backup_that_does_not_say_where_it_starts_proves_nothing(programs, lost):
    """Without a start nothing can be proven, and the check says so."""
    backup = lost.backup.model_copy(update={"start_lsn": None})
    (check,) = prove_contiguous(programs, backup=backup, target=END)
    assert check.status == "not checked"


def test_a_timeline_that_is_not_the_backups_is_refused(programs, lost):
    """A target on a timeline of another history fails with the reason."""
    target = END.model_copy(update={"timeline": 5})
    (check,) = prove_contiguous(programs, backup=lost.backup, target=target)
    assert check.status == "failed"
    assert "timeline 5 does not descend from the backup's timeline 1" in check.observed


def test_the_log_inside_a_backup_counts(programs, copied):
    """A backup taken with its log needs no archive."""
    inside = copied.path / "pg_wal"
    for path in copied.wal_archive.iterdir():
        shutil.move(path, inside / path.name)
    alone = copied.model_copy(update={"wal_archive": None})
    checks = Checks(items=prove_contiguous(programs, backup=alone, target=END))
    assert not checks.failed
    assert end_of_wal(programs, backup=alone) > Lsn.parse(copied.start_lsn)
