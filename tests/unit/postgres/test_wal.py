"""The log as files: positions, names for any segment size, histories, what a segment's first page says."""

import stat
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import StepFailed
from runbook.postgres.wal import (
    LONG_HEADER,
    Lsn,
    Segment,
    Switch,
    fault_in_segment,
    make_view,
    read_archive,
    read_history,
    segment_name,
)

MB = 1 << 20


@given(st.integers(min_value=0, max_value=(1 << 64) - 1))
def test_a_position_reads_as_it_shows(position):
    """Every position survives being written as text."""
    assert Lsn.parse(str(Lsn(position))) == position


def test_positions_show_as_postgresql_shows_them():
    """Two hexadecimal halves without leading zeros."""
    assert str(Lsn(0x16_B374D848)) == "16/B374D848"
    assert str(Lsn.parse("0/0")) == "0/0"
    for wrong in ("", "0", "0/", "/0", "0/123456789", "g/0", "0/1 "):
        with pytest.raises(ValueError, match="looks like"):
            Lsn.parse(wrong)


@pytest.mark.parametrize(
    ("size_mb", "position", "name"),
    [
        (16, "0/1000000", "000000010000000000000001"),
        (16, "0/FFFFFFFF", "0000000100000000000000FF"),
        (16, "1/0", "000000010000000100000000"),
        (1, "0/FFFFFFFF", "000000010000000000000FFF"),
        (1, "1/0", "000000010000000100000000"),
        (1024, "0/FFFFFFFF", "000000010000000000000003"),
        (1024, "2/40000000", "000000010000000200000001"),
    ],
)
def test_segments_are_named_as_postgresql_names_them(size_mb, position, name):
    """pg_walfile_name() gives these names for these sizes."""
    assert segment_name(1, Lsn.parse(position) // (size_mb * MB), size_mb * MB) == name


@given(
    st.integers(min_value=1, max_value=0xFFFFFFFF),
    st.integers(min_value=0, max_value=1 << 40),
    st.sampled_from([MB << exponent for exponent in range(11)]),
)
def test_an_archive_finds_what_a_name_says(tmp_path_factory, timeline, number, size):
    """Name and number of a segment lead to each other, whatever the segment size."""
    number %= (1 << 64) // size
    folder = tmp_path_factory.mktemp("archive")
    (folder / segment_name(timeline, number, size)).touch()
    assert list(read_archive([folder], segment_bytes=size).segments) == [(timeline, number)]


def test_the_names_are_the_servers_own(running):
    """A running server agrees on names."""
    with running.connect() as connection:
        position, name = connection.execute(
            "SELECT pg_current_wal_insert_lsn()::text, pg_walfile_name(pg_current_wal_insert_lsn())"
        ).fetchone()
    assert segment_name(1, (Lsn.parse(position) - 1) // (16 * MB), 16 * MB) == name


def test_a_whole_segment_counts_before_a_partial_one(tmp_path):
    """Of two files of one segment the whole one is used; a partial one of zeros alone is not begun yet."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    name = segment_name(1, 7, 16 * MB)
    (first / f"{name}.partial").write_bytes(b"log")
    (first / f"{segment_name(1, 8, 16 * MB)}.partial").write_bytes(b"log")
    (first / f"{segment_name(1, 9, 16 * MB)}.partial").write_bytes(bytes(64))
    (second / name).touch()
    (second / "000000010000000000000009.gz").touch()
    (second / "archive_status").mkdir()
    archive = read_archive([first, second], segment_bytes=16 * MB)
    assert {number: segment.partial for (_, number), segment in archive.segments.items()} == {
        7: False,
        8: True,
    }
    assert archive.packed == ("000000010000000000000009.gz",)


def test_a_missing_archive_is_named(tmp_path):
    """A folder that is not there is no empty archive."""
    with pytest.raises(StepFailed, match="cannot be listed"):
        read_archive([tmp_path / "none"], segment_bytes=16 * MB)


HISTORY_3 = "1\t0/5000000\tno recovery target specified\n# a comment\n\n2\t0/9000110\tbefore 2026-02-20\n"


def test_a_history_lists_where_timelines_part(tmp_path):
    """Each line is a parent and the position where it was left; reasons and comments are not read."""
    path = tmp_path / "00000003.history"
    path.write_text(HISTORY_3)
    assert read_history(path) == (Switch(1, Lsn(0x5000000)), Switch(2, Lsn(0x9000110)))
    path.write_text("1\tnowhere\treason\n")
    with pytest.raises(StepFailed, match="a line that is none"):
        read_history(path)


def test_timelines_are_followed_from_the_backups_to_the_newest(tmp_path):
    """Segments before a switch are the parent's, the one with the switch and those after it the child's."""
    (tmp_path / "00000003.history").write_text(HISTORY_3)
    archive = read_archive([tmp_path], segment_bytes=16 * MB)
    assert (archive.newest_timeline(base=1), archive.newest_timeline(base=7)) == (3, 7)
    stretches = archive.stretches(3, base=1)
    assert stretches == [(1, Lsn(0)), (2, Lsn(0x5000000)), (3, Lsn(0x9000110))]
    assert [archive.timeline_at(number, stretches) for number in (4, 5, 8, 9, 10)] == [1, 2, 2, 3, 3]
    assert archive.stretches(3, base=2) == [(2, Lsn(0)), (3, Lsn(0x9000110))]
    with pytest.raises(StepFailed, match="timeline 9 does not descend from the backup's timeline 1"):
        archive.stretches(9, base=1)
    with pytest.raises(StepFailed, match="timeline 3 does not descend from the backup's timeline 5"):
        archive.stretches(3, base=5)


def segment_with(tmp_path, **changes):
    """Make a segment whose first page is right but for `changes`."""
    fields = {
        "magic": 0xD110,
        "info": 2,
        "timeline": 1,
        "address": 7 * MB,
        "rest": 0,
        "system": 42,
        "size": MB,
        "page": 8192,
    }
    path = tmp_path / segment_name(1, 7, MB)
    path.write_bytes(LONG_HEADER.pack(*{**fields, **changes}.values()) + bytes(MB - LONG_HEADER.size))
    return Segment(path, 1, 7)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({}, None),
        ({"magic": 0xD113}, "page magic D113, expected D110"),
        ({"magic": 0}, "page magic 0000, expected D110"),
        ({"system": 43}, "system identifier 43, expected 42: of another cluster"),
        ({"address": 8 * MB}, "it holds the log from 0/800000, its name says 0/700000"),
        ({"timeline": 2}, "it is of timeline 2, its name says 1"),
        ({"size": 16 * MB}, "its first page says segments of 16,777,216 bytes, expected 1,048,576"),
    ],
)
def test_a_segments_first_page_tells_whose_it_is(tmp_path, changes, fault):
    """A file that is not what its name says is told apart, and why."""
    segment = segment_with(tmp_path, **changes)
    said = fault_in_segment(segment, segment_bytes=MB, system_identifier="42", major=15)
    assert said is None if fault is None else said.startswith(fault)


def test_a_segment_of_the_wrong_size_is_named_with_both_sizes(tmp_path):
    """A copy that was interrupted is shorter than a segment."""
    segment = segment_with(tmp_path)
    with segment.path.open("r+b") as file:
        file.truncate(1000)
    said = fault_in_segment(segment, segment_bytes=MB, system_identifier="42", major=15)
    assert said == "1,000 bytes, expected 1,048,576"


def test_real_segments_are_found_right(lost):
    """The header's layout is that of the PostgreSQL at hand."""
    archive = read_archive([lost.backup.wal_archive], segment_bytes=MB)
    system = lost.backup.system_identifier
    whole = [segment for segment in archive.segments.values() if not segment.partial]
    assert whole
    for segment in whole:
        assert (
            fault_in_segment(
                segment, segment_bytes=MB, system_identifier=system, major=int(lost.backup.server_version)
            )
            is None
        )
    assert struct.calcsize("<HHIQI4xQII") == LONG_HEADER.size == 40


def test_a_view_shows_partial_segments_under_their_full_names(programs, scratch, lost, tmp_path):
    """PostgreSQL finds a received partial segment as it looks for it, and the archive is not written to."""
    archive = read_archive([lost.backup.wal_archive], segment_bytes=MB)
    partial = next(segment for segment in archive.segments.values() if segment.partial)
    name = archive.name(1, partial.number)
    view = make_view(programs, {name: partial.path}, scratch / "view")
    assert (view / name).read_bytes() == partial.path.read_bytes()
    hidden = tmp_path / "hidden"
    hidden.write_text("log")
    hidden.chmod(0o600)
    view = make_view(programs, {"a": hidden}, scratch / "copies")
    assert programs.run("/bin/cat", view / "a") == "log"
    assert stat.S_IMODE(view.stat().st_mode) == 0o700
