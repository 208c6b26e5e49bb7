"""Each way of breaking a backup is noticed by the check that is there for it, which names what is wrong."""

import shutil

import pytest

from runbook.errors import StepFailed
from runbook.postgres import proving
from runbook.postgres.backup import check_backup, read_backup
from runbook.postgres.dumpfile import check_dump, read_dump
from runbook.postgres.proving import prove_contiguous
from runbook.postgres.values import Target
from runbook.sandbox.sabotage import KINDS, sabotage
from runbook.step import Step

FILES = "every file of the backup is as it was backed up"
END = Target(kind="end of WAL", sentence="the primary was lost")


def failures(programs, backup, target=END, reach=None):
    """Return what the checks before a restore say against a backup: title and what was observed."""
    again = read_backup(programs, backup.path, wal_archive=backup.wal_archive)
    checks = (
        *check_backup(programs, again),
        *prove_contiguous(programs, backup=again, target=target, reach=reach),
    )
    return {check.title: check.observed for check in checks if check.status == "failed"}


def test_an_unbroken_backup_has_no_failure(programs, lost):
    """What follows is the sabotage's doing."""
    assert failures(programs, lost.backup, reach=lost.flushed) == {}


def test_a_truncated_file(programs, copied):
    """The manifest knows every file's size; a file cut at a page's end shows nowhere else."""
    said = sabotage("truncated file", copied)
    name = said.split()[0]
    found = failures(programs, copied)
    assert set(found) == {FILES}
    assert name in found[FILES]


def test_a_flipped_byte_in_a_heap_page(programs, copied):
    """Found by the file's checksum and by the page's own."""
    said = sabotage("flipped byte in a heap page", copied)
    found = failures(programs, copied)
    assert set(found) == {FILES, "page checksums of the backup"}
    name, block = said.split()[3], said.split("block ")[1].split(",")[0]
    assert f"{name}, block {block}:" in found["page checksums of the backup"]


def test_a_missing_segment_in_the_middle(programs, lost, copied):
    """The gap is found for any target behind it."""
    said = sabotage("missing WAL segment in the middle", copied)
    before = Target(kind="before commit", xid=lost.commit, lsn=str(lost.commit_lsn), sentence="")
    for target in (END, before):
        found = failures(programs, copied, target)
        assert f"missing: {said.split()[2]}" in found[proving.GAPLESS]


def test_a_missing_segment_at_the_end(programs, lost, copied):
    """The log's known reach tells that the archive ends early."""
    said = sabotage("missing WAL segment at the end", copied)
    found = failures(programs, copied, reach=lost.flushed)
    assert said.split()[2].rstrip(",") in found[proving.GAPLESS]
    assert set(found) == {proving.GAPLESS, proving.REACHES}


def test_the_archive_of_another_cluster(programs, copied):
    """The system identifier in the log is not the backup's."""
    sabotage("backup of another cluster", copied)
    found = failures(programs, copied)
    assert set(found) == {proving.OWN}
    assert "of another cluster" in found[proving.OWN]


def test_an_empty_cluster(programs, copied):
    """A sound backup of a server that nobody has written to fails for being empty, and for nothing else."""
    sabotage("empty database", copied, programs=programs)
    assert set(failures(programs, copied)) == {"backup is not empty"}


def test_another_major_version(programs, copied):
    """The version is told, though the manifest finds the changed file too."""
    sabotage("wrong major version", copied)
    found = failures(programs, copied)
    observed = found["backup is of the programs' major version"]
    assert f"PG_VERSION {programs.major - 1}" in observed


@pytest.fixture(scope="module")
def database(running):
    """A database worth dumping."""
    with running.connect() as connection:
        connection.execute("CREATE DATABASE dumped")
    with running.connect(database="dumped") as connection:
        connection.execute("CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i")
    return "dumped"


@pytest.fixture(params=["custom", "directory", "plain"])
def dump(request, programs, running, database, scratch):
    path = scratch / f"dump-{request.param}"
    programs.run(
        "pg_dump",
        f"--format={request.param}",
        f"--file={path}",
        f"--dbname={running.conninfo(database=database)}",
    )
    yield read_dump(path)
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def dump_failures(programs, path):
    """Return what is said against a dump; one that does not even read is refused with the reason."""
    try:
        _, checks = check_dump(Step(), programs, read_dump(path))
    except StepFailed as error:
        return {"refused": str(error)}
    return {check.title: check.observed for check in checks if check.status == "failed"}


def test_a_dump_cut_short(programs, dump):
    """In every format, a dump whose end is missing does not pass."""
    assert dump_failures(programs, dump.path) == {}
    sabotage("dump cut short", dump)
    assert dump_failures(programs, dump.path)


def test_a_dump_of_another_version(programs, dump):
    """In every format, a dump from a version yet to come does not pass."""
    sabotage("wrong major version", dump)
    assert dump_failures(programs, dump.path)


def test_an_empty_dump(programs, dump):
    """In every format, the dump of an empty database does not pass."""
    sabotage("empty database", dump, programs=programs)
    assert dump_failures(programs, dump.path)


def test_a_stale_dump_is_the_older_one(dump, scratch):
    """An older dump takes the newer one's place; only its content tells."""
    older = scratch / "older"
    if dump.path.is_dir():
        shutil.copytree(dump.path, older)
        (older / "toc.dat").write_bytes(b"older")
    else:
        older.write_bytes(b"older")
    sabotage("stale dump", dump, older=older)
    read = dump.path / "toc.dat" if dump.path.is_dir() else dump.path
    assert read.read_bytes() == b"older"
    shutil.rmtree(older) if older.is_dir() else older.unlink()


def test_what_cannot_be_broken_is_told(programs, lost, copied, dump):
    """No sabotage does nothing in silence."""
    for kind, backup in [
        ("something else", copied),
        ("truncated file", dump),
        ("dump cut short", copied),
        ("empty database", copied),
        ("stale dump", dump),
    ]:
        with pytest.raises(StepFailed):
            sabotage(kind, backup)
    assert len(KINDS) == 9
    for path in copied.wal_archive.iterdir():
        path.unlink()
    for kind in ("missing WAL segment in the middle", "missing WAL segment at the end"):
        with pytest.raises(StepFailed, match="needs"):
            sabotage(kind, copied)
    for path in (copied.path / "base").glob("*/1[6-9]*"):
        path.unlink()
    with pytest.raises(StepFailed, match="no table of a user's"):
        sabotage("truncated file", copied)
