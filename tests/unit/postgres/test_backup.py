"""A base backup is read for what it says of itself, and checked before anything relies on it."""

import shutil
import tarfile
from datetime import timedelta

import pytest

from runbook.errors import StepFailed
from runbook.postgres import backup as module
from runbook.postgres.backup import check_backup, check_pages_offline, read_backup, take_base_backup
from runbook.postgres.cluster import create_cluster
from runbook.postgres.control import read_control
from runbook.postgres.wal import Lsn
from runbook.step import Step
from runbook.values import Checks

VERSION = "backup is of the programs' major version"
CONTROL = "control file reads"
MANIFEST = "backup_manifest is as it was written"
FILES = "every file of the backup is as it was backed up"
PAGES = "page checksums of the backup"
CONTENT = "backup is not empty"


def checked(programs, backup):
    return {check.title: check for check in check_backup(programs, backup)}


def test_a_backup_says_what_it_is(programs, lost):
    """System identifier, version, positions and timeline come from its own files."""
    backup = lost.backup
    assert (backup.kind, backup.format, backup.timeline) == ("base", "plain", 1)
    assert backup.server_version == str(programs.major)
    assert backup.system_identifier == read_control(programs, lost.primary.data).system_identifier
    assert Lsn.parse(backup.start_lsn) < Lsn.parse(backup.stop_lsn) < lost.flushed
    assert backup.wal_segment_bytes == 1 << 20
    assert backup.size_bytes > 10_000_000


def test_a_backup_is_taken_with_progress_and_a_time(programs, running, scratch):
    """Taking one shows progress to its full size and returns what was read back from it."""
    states = []
    step = Step(progress_sink=states.append)
    backup = take_base_backup(programs, running, scratch / "taken", wal="stream", step=step)
    assert states[-1].finished
    assert states[-1].done == backup.size_bytes
    assert list((backup.path / "pg_wal").glob("0*"))
    assert abs(backup.taken_at - step.clock.now()) < timedelta(minutes=5)


def test_an_untouched_backup_passes_every_check(programs, lost):
    """Nothing is left unchecked where the cluster has checksums and the backup a manifest."""
    step = Step()
    checks = check_backup(programs, lost.backup, step=step)
    assert {check.status for check in checks} == {"passed"}
    assert {check.title for check in checks} == {VERSION, CONTROL, MANIFEST, FILES, PAGES, CONTENT}
    assert [phase.name for phase in step.phases] == ["check the backup's files", "check the backup's pages"]


def test_a_backup_of_another_major_version_is_told(programs, copied):
    """The version in PG_VERSION must be the programs', and what cannot be read then is not checked."""
    (copied.path / "PG_VERSION").write_text("14\n")
    backup = read_backup(programs, copied.path)
    assert backup.server_version == "14"
    checks = checked(programs, backup)
    assert checks[VERSION].status == "failed"
    assert "PG_VERSION 14" in checks[VERSION].observed
    assert checks[CONTROL].status == checks[PAGES].status == "not checked"


def test_a_control_file_of_another_version_is_told(programs, copied):
    """PG_VERSION alone does not make a version: the control file has its own."""
    path = copied.path / "global" / "pg_control"
    content = bytearray(path.read_bytes())
    other = next(catalog for major, catalog in module.CATALOGS.items() if major != programs.major)
    content[12:16] = other.to_bytes(4, "little")
    path.write_bytes(content)
    check = checked(programs, copied)[VERSION]
    assert check.status == "failed"
    assert f"catalog {other}" in check.observed


def test_a_damaged_control_file_is_told(programs, copied):
    """A control file whose checksum is wrong is not believed."""
    path = copied.path / "global" / "pg_control"
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    checks = checked(programs, copied)
    assert checks[CONTROL].status == "failed"
    assert "damaged" in checks[CONTROL].observed
    assert checks[FILES].status == "failed"
    with pytest.raises(StepFailed, match="is damaged"):
        read_control(programs, copied.path)


def test_a_flipped_bit_is_found_twice(programs, copied):
    """File and page checksums each name the damaged file; the page check its block."""
    path = max((copied.path / "base").glob("*/1[6-9]*"), key=lambda one: one.stat().st_size)
    content = bytearray(path.read_bytes())
    content[5 * 8192 + 5000] ^= 1
    path.write_bytes(content)
    checks = checked(programs, copied)
    name = str(path.relative_to(copied.path))
    assert checks[FILES].status == checks[PAGES].status == "failed"
    assert name in checks[FILES].observed
    assert f"{name}, block 5" in checks[PAGES].observed


def test_without_a_manifest_files_are_not_called_checked(programs, copied):
    """What could not be checked reads not checked."""
    (copied.path / "backup_manifest").unlink()
    checks = checked(programs, read_backup(programs, copied.path))
    assert checks[FILES].status == checks[MANIFEST].status == "not checked"
    assert checks[PAGES].status == "passed"


def test_an_unreadable_manifest_fails(programs, copied):
    """A manifest that was cut off fails, and what it lists is not checked."""
    path = copied.path / "backup_manifest"
    path.write_text(path.read_text()[:5000])
    checks = {check.title: check for check in check_backup(programs, copied)}
    assert checks[MANIFEST].status == "failed"
    assert checks[FILES].status == "not checked"


def test_a_backup_of_a_new_cluster_is_empty(programs, scratch):
    """A backup without any table of a user's fails: it is the backup of the wrong server."""
    fresh = create_cluster(programs, scratch / "fresh", checksums=False)
    fresh.start(programs)
    backup = take_base_backup(programs, fresh, scratch / "fresh-base", wal="stream")
    fresh.stop(mode="immediate")
    checks = checked(programs, backup)
    assert checks[CONTENT].status == "failed"
    assert checks[FILES].status == "passed"
    assert checks[PAGES].status == "not checked"
    assert "no data checksums" in checks[PAGES].observed


def test_what_is_no_base_backup_is_told(programs, copied, tmp_path):
    """A missing path, an empty folder and a raw copy of a running server are no base backups."""
    with pytest.raises(StepFailed, match="there is no base backup at"):
        read_backup(programs, tmp_path / "none")
    with pytest.raises(StepFailed, match="there is no base backup at"):
        read_backup(programs, tmp_path)
    (copied.path / "backup_label").unlink()
    with pytest.raises(StepFailed, match="it has no backup_label"):
        read_backup(programs, copied.path)


def test_a_copy_of_a_stopped_cluster_is_a_backup(programs, scratch):
    """A cluster that was shut down cleanly needs no backup_label."""
    cluster = create_cluster(programs, scratch / "stopped")
    cluster.start(programs)
    cluster.stop()
    backup = read_backup(programs, cluster.data)
    assert backup.start_lsn == backup.stop_lsn == read_control(programs, cluster.data).redo_lsn
    assert check_pages_offline(programs, cluster).status == "passed"


def test_bad_pages_of_a_stopped_cluster_are_found_by_pg_checksums(programs, scratch):
    """PostgreSQL's own program judges a restored cluster once it is stopped."""
    cluster = create_cluster(programs, scratch / "spoilt")
    path = cluster.data / "global" / "1260"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    check = check_pages_offline(programs, cluster)
    assert check.status == "failed"
    assert "1260" in check.observed
    without = create_cluster(programs, scratch / "unchecked", checksums=False)
    assert check_pages_offline(programs, without).status == "not checked"


def test_an_incremental_backup_is_refused(programs, copied):
    """It is no whole backup; the error names the program that makes one of it."""
    label = copied.path / "backup_label"
    label.write_text(label.read_text() + "INCREMENTAL FROM LSN: 0/2000028\n")
    with pytest.raises(StepFailed, match="pg_combinebackup"):
        read_backup(programs, copied.path)


def packed(backup, folder, suffix):
    """Pack a backup the way pg_basebackup --format=tar does."""
    folder.mkdir()
    with tarfile.open(folder / f"base.tar{suffix}", "w:gz" if suffix else "w") as tar:
        for path in sorted(backup.path.iterdir()):
            if path.name not in ("backup_manifest", "pg_wal"):
                tar.add(path, path.name)
    with tarfile.open(folder / f"pg_wal.tar{suffix}", "w:gz" if suffix else "w") as tar:
        for path in sorted(backup.wal_archive.iterdir()):
            tar.add(path, path.name)
    shutil.copy(backup.path / "backup_manifest", folder)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_tar_archives_are_unpacked(programs, lost, tmp_path, suffix):
    """A folder of tars becomes a data directory with its log; how long it took is on record."""
    backup = read_backup(programs, packed(lost.backup, tmp_path / "tars", suffix))
    assert (backup.format, backup.start_lsn) == ("tar", lost.backup.start_lsn)
    assert backup.path.is_relative_to(programs.scratch)
    assert backup.unpacked_s > 0
    assert not Checks(items=check_backup(programs, backup)).failed
    assert len(list((backup.path / "pg_wal").glob("0*"))) > 3
    shutil.rmtree(backup.path)


def test_a_damaged_archive_is_told(programs, lost, tmp_path):
    """An archive that was cut short does not pass for a backup."""
    folder = packed(lost.backup, tmp_path / "tars", ".gz")
    path = folder / "base.tar.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = set(programs.scratch.iterdir())
    with pytest.raises(StepFailed, match=r"base.tar.gz cannot be unpacked, it is damaged or cut short"):
        read_backup(programs, folder)
    assert set(programs.scratch.iterdir()) == before


def test_a_single_archive_will_do(programs, lost, tmp_path):
    """A user may hand over one archive under any name."""
    folder = packed(lost.backup, tmp_path / "tars", "")
    (folder / "base.tar").rename(tmp_path / "monday.tar")
    backup = read_backup(programs, tmp_path / "monday.tar", wal_archive=lost.backup.wal_archive)
    assert backup.system_identifier == lost.backup.system_identifier
    shutil.rmtree(backup.path)


def test_a_packing_that_is_not_read_is_named(programs, tmp_path):
    """Not a riddle about PG_VERSION: the error says what to do with a .tar.zst."""
    (tmp_path / "base.tar.zst").touch()
    with pytest.raises(StepFailed, match=r"pack it as .tar.gz"):
        read_backup(programs, tmp_path)
    (tmp_path / "base.tar.zst").rename(tmp_path / "readme")
    with pytest.raises(StepFailed, match=r"neither a data directory"):
        read_backup(programs, tmp_path)


def test_links_out_of_an_archive_are_not_followed(programs, lost, tmp_path):
    """An archive cannot make us write outside its folder."""
    archive = tmp_path / "base.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(lost.backup.path / "PG_VERSION", "PG_VERSION")
        link = tarfile.TarInfo("pg_tblspc/16999")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "elsewhere")
        tar.addfile(link)
        tar.add(lost.backup.path / "PG_VERSION", "../outside")
    with pytest.raises(StepFailed, match="outside"):
        read_backup(programs, archive)
    assert not (tmp_path / "outside").exists()
