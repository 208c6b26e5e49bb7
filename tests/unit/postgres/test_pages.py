"""Every page's checksum is checked, on a backup and on a running cluster, and a wrong one is named."""

import os

import pytest

from runbook.postgres.pages import PAGE_BYTES, PAGES_PER_READ, check_pages, relation_files
from runbook.postgres.wal import Lsn


def table_file(backup):
    """Return the file of the largest table."""
    return max((backup.path / "base").glob("*/1[6-9][0-9][0-9][0-9]"), key=lambda path: path.stat().st_size)


def overwrite(path, at, content):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def test_the_pages_of_a_backup_are_right(lost):
    """A backup that nobody touched has no fault; PostgreSQL wrote the checksums, we computed them."""
    report = check_pages(lost.backup.path, until=Lsn.parse(lost.backup.start_lsn))
    assert report.faults == ()
    assert report.pages == sum(path.stat().st_size // PAGE_BYTES for path in relation_files(lost.backup.path))
    assert report.pages > 2 * PAGES_PER_READ


@pytest.mark.parametrize("at", [0, 24, 4000, PAGE_BYTES - 1])
def test_one_flipped_byte_is_found_and_named(copied, at):
    """File and block of a damaged page are told, wherever in the page the damage is."""
    path, block = table_file(copied), 7
    content = path.read_bytes()
    where = block * PAGE_BYTES + at
    overwrite(path, where, bytes([content[where] ^ 1]))
    (fault,) = check_pages(copied.path).faults
    assert (fault.file, fault.block) == (str(path.relative_to(copied.path)), block)
    assert "its content gives" in fault.fault


def test_a_page_in_the_wrong_place_is_found(copied):
    """A page carries its number in its checksum: a whole page written elsewhere is damage."""
    path = table_file(copied)
    overwrite(path, 3 * PAGE_BYTES, path.read_bytes()[4 * PAGE_BYTES : 5 * PAGE_BYTES])
    assert [fault.block for fault in check_pages(copied.path).faults] == [3]


def test_a_page_with_its_header_wiped_is_found(copied):
    """A page of zeros is a page never used; zeros in the header alone are damage."""
    path = table_file(copied)
    overwrite(path, 2 * PAGE_BYTES, bytes(24))
    (fault,) = check_pages(copied.path).faults
    assert (fault.block, fault.fault) == (2, "its header is zero and its body is not")
    overwrite(path, 2 * PAGE_BYTES, bytes(PAGE_BYTES))
    assert check_pages(copied.path).faults == ()


def test_a_file_cut_within_a_page_is_found(copied):
    """A relation consists of whole pages."""
    path = table_file(copied)
    os.truncate(path, 5 * PAGE_BYTES + 100)
    (fault,) = check_pages(copied.path).faults
    assert fault.fault == "41,060 bytes, which is no whole number of pages"


def test_pages_changed_during_the_backup_are_left_out(copied):
    """A page newer than the backup's start may be torn in the copy; recovery replaces it from the log."""
    path = table_file(copied)
    overwrite(path, 7 * PAGE_BYTES + 4000, b"torn")
    overwrite(path, 7 * PAGE_BYTES, b"\xff\xff\xff\x7f\xff\xff\xff\xff")
    report = check_pages(copied.path, until=Lsn.parse(copied.start_lsn))
    assert (report.newer, report.faults) == (1, ())
    assert len(check_pages(copied.path).faults) == 1


def test_the_parts_of_a_large_relation_go_on_counting(copied):
    """The second file of a relation begins where the first one, of 1 GB, ends."""
    path = table_file(copied)
    path.rename(path.with_name(f"{path.name}.1"))
    report = check_pages(copied.path)
    assert len(report.faults) == path.with_name(f"{path.name}.1").stat().st_size // PAGE_BYTES
    assert report.faults[0].block == 131072


def test_temporary_files_and_foreign_ones_have_no_pages(tmp_path):
    """Only relations' files are looked at."""
    base = tmp_path / "base" / "5"
    (base / "pgsql_tmp").mkdir(parents=True)
    (tmp_path / "global").mkdir()
    for name in ("16384", "16384_fsm", "16384_vm", "16384.1", "16385_init"):
        (base / name).touch()
    for name in ("PG_VERSION", "pg_filenode.map", "pg_internal.init.123", "t3_16384", "pgsql_tmp/1"):
        (base / name).touch()
    names = [path.name for path in relation_files(tmp_path)]
    assert names == ["16384", "16384.1", "16384_fsm", "16384_vm", "16385_init"]


def test_a_running_cluster_can_be_looked_at(running):
    """Tables that come and go meanwhile are no fault; progress adds up to all bytes."""
    told = []
    with running.connect() as connection:
        connection.execute("CREATE TABLE pages AS SELECT repeat('x', 500) FROM generate_series(1, 20000)")
        connection.execute("CHECKPOINT")
    report = check_pages(running.data, progress=told.append, jobs=1)
    assert report.faults == ()
    assert sum(told) == report.pages * PAGE_BYTES
