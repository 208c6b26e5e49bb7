"""A data directory is copied whole but for what a restore must leave out, and never by hard links."""

import errno
import os
import stat

import pytest

from runbook.errors import StepFailed
from runbook.postgres import copying
from runbook.postgres.copying import copy_data, size_of


@pytest.fixture
def source(tmp_path):
    """A folder like a data directory, with what must come along and what must not."""
    data = tmp_path / "source"
    files = {
        "PG_VERSION": b"15\n",
        "base/5/16384": os.urandom(3_000_000),
        "base/5/16385": b"",
        "base/5/pg_internal.init": b"cache",
        "base/pgsql_tmp/1": b"sorting",
        "pg_wal/000000010000000000000001": b"log",
        "pg_wal/archive_status/x.done": b"",
        "pg_replslot/archive/state": b"slot",
        "postmaster.pid": b"1",
        "postgresql.auto.conf": b"archive_command = 'rm -rf /'",
        "standby.signal": b"",
        "pg_xact/0000": b"commits",
    }
    for name, content in files.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_bytes(content)
    space = tmp_path / "space" / "PG_15_202209061" / "5"
    space.mkdir(parents=True)
    (space / "16999").write_bytes(b"in a tablespace")
    (data / "pg_tblspc").mkdir()
    (data / "pg_tblspc" / "16998").symlink_to(tmp_path / "space")
    return data


@pytest.fixture
def target(programs, scratch, request):
    return programs.make_folder(scratch / f"target-{request.node.name[:50]}")


def copy(programs, source, target, **more):
    return copy_data(programs, source, target / "data", tablespaces=target / "tablespaces", **more)


def test_what_comes_along_and_what_does_not(programs, source, target):
    """Content and folders come along; the log, slots, pid file, caches and settings stay behind."""
    told = []
    copied = copy(programs, source, target, told=told.append)
    there = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert there == [
        "data/PG_VERSION",
        "data/base/5/16384",
        "data/base/5/16385",
        "data/pg_xact/0000",
        "tablespaces/16998/PG_15_202209061/5/16999",
    ]
    assert (target / "data/base/5/16384").read_bytes() == (source / "base/5/16384").read_bytes()
    assert list((target / "data/pg_wal").iterdir()) == []
    assert (target / "data/pg_replslot").is_dir()
    assert (copied.files, copied.size_bytes) == (5, 3_000_000 + 3 + 7 + 15)
    assert sum(told) == copied.size_bytes == size_of(source)


def test_tablespaces_lead_to_copies(programs, source, target, tmp_path):
    """A restored cluster must not write where the source's tablespaces are."""
    copy(programs, source, target)
    link = target / "data/pg_tblspc/16998"
    assert link.readlink() == target / "tablespaces/16998"
    (link / "PG_15_202209061/5/16999").write_bytes(b"changed")
    assert (tmp_path / "space/PG_15_202209061/5/16999").read_bytes() == b"in a tablespace"


def test_a_tablespace_of_a_tar_backup_is_put_aside(programs, source, target):
    """Where a map tells that a folder stood elsewhere, it becomes a tablespace of its own again."""
    (source / "pg_tblspc/16998").unlink()
    inside = source / "pg_tblspc/16998/PG_15_202209061"
    inside.mkdir(parents=True)
    (inside / "1").touch()
    (source / "tablespace_map").write_text("16998 /var/lib/elsewhere\n")
    copy(programs, source, target)
    assert (target / "tablespaces/16998/PG_15_202209061/1").exists()
    assert (target / "data/pg_tblspc/16998").is_symlink()
    assert not (target / "data/tablespace_map").exists()


def test_nothing_is_shared_with_the_source(programs, source, target):
    """Copies have their own inodes, one name each, and are private to PostgreSQL's user."""
    copy(programs, source, target)
    for path in target.rglob("*"):
        found = path.lstat()
        assert found.st_uid == (os.geteuid() if programs.run_as is None else programs.run_as)
        if path.is_file():
            assert (found.st_nlink, stat.S_IMODE(found.st_mode)) == (1, 0o600)
        elif not path.is_symlink():
            assert stat.S_IMODE(found.st_mode) == 0o700


@pytest.mark.parametrize(
    ("missing", "way"),
    [
        ([], "reflink"),
        (["reflink"], "copy_file_range"),
        (["reflink", "copy_file_range"], "sendfile"),
        (["reflink", "copy_file_range", "sendfile"], "read and write"),
    ],
)
def test_the_best_way_that_works_is_taken(programs, source, target, monkeypatch, missing, way):
    """A file system without one way falls back to the next, and the content is the same."""

    def refused(*_args):
        raise OSError(errno.EOPNOTSUPP, "not here")

    def shared(handle, _request, source_handle):
        os.pwrite(handle, os.pread(source_handle, 10_000_000, 0), 0)

    monkeypatch.setattr(copying.fcntl, "ioctl", refused if "reflink" in missing else shared)
    if "copy_file_range" in missing:
        monkeypatch.setattr(os, "copy_file_range", refused)
    if "sendfile" in missing:
        monkeypatch.setattr(os, "sendfile", refused)
    copied = copy(programs, source, target, jobs=1)
    assert copied.by == way
    assert (target / "data/base/5/16384").read_bytes() == (source / "base/5/16384").read_bytes()


def test_a_full_disk_is_told(programs, source, target, monkeypatch):
    """A copy that cannot be finished fails; it does not try another way of filling the disk."""

    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(copying.fcntl, "ioctl", full)
    with pytest.raises(StepFailed, match="No space left on device"):
        copy(programs, source, target)


def test_a_link_elsewhere_is_not_followed(programs, source, target):
    """A link that is no tablespace could lead out of the backup."""
    (source / "base" / "link").symlink_to("/etc/passwd")
    with pytest.raises(StepFailed, match="is a link"):
        copy(programs, source, target)
