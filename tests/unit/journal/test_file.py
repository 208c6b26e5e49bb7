"""The journal's file: durable, one writer, whole lines only."""

import errno
import os
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from runbook.clock import VirtualClock
from runbook.errors import JournalCorrupt, JournalError, RunBusy
from runbook.journal import FileJournal, is_held, read_journal

START = datetime(2026, 1, 1, 2, tzinfo=UTC)


def test_lines_written_are_lines_read(path, clock):
    """What was appended is there for another reader at once, in order, chained."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("opened", "x", data={"run_id": "r"})
    clock.advance(timedelta(seconds=1))
    journal.append("note", "y")
    assert [record.title for record in read_journal(path)] == ["x", "y"]
    assert read_journal(path)[1].prev == read_journal(path)[0].hash
    journal.close()


def test_one_process_at_a_time(path, clock):
    """A second opener is told who is in the way; after close it may."""
    first = FileJournal.open(path, clock=clock)
    assert is_held(path)
    with pytest.raises(RunBusy, match="being executed"):
        FileJournal.open(path, clock=clock)
    first.close()
    assert not is_held(path)
    FileJournal.open(path, clock=clock).close()


def test_the_lock_dies_with_its_process(path):
    """A killed executor leaves no lock behind."""
    code = (
        "import os, pathlib, sys\n"
        "from runbook.clock import WallClock\nfrom runbook.journal import FileJournal\n"
        "FileJournal.open(pathlib.Path(sys.argv[1]), clock=WallClock()).append('note', 'x')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    assert not is_held(path)
    assert len(read_journal(path)) == 1


def test_torn_bytes_are_kept_aside_and_noted(path, clock):
    """Half a line at the end is moved to a file beside the journal, and the next writer says so."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("note", "whole")
    journal.close()
    with path.open("ab") as file:
        file.write(b'{"seq":2,"at":"20')
    assert [record.title for record in read_journal(path)] == ["whole"]
    reopened = FileJournal.open(path, clock=clock)
    assert reopened.records[-1].data == {"torn_bytes": 17}
    assert path.with_name("journal.jsonl.torn-2").read_bytes() == b'{"seq":2,"at":"20'
    reopened.close()


def test_a_clock_set_back_does_not_turn_the_record_round(path, clock):
    """Times on record never decrease."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("note", "late")
    journal._clock = VirtualClock(START - timedelta(hours=1))
    journal.append("note", "earlier by the clock")
    times = [record.at for record in read_journal(path)]
    assert times == sorted(times)
    journal.close()


def test_a_full_disk_loses_nothing_and_says_so(path, clock):
    """A line that does not fit is taken back whole; with room again the journal goes on."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("note", "first")
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        with pytest.raises(JournalError, match="nothing is lost"):
            journal.append("note", "does not fit")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == before
    journal.append("note", "fits")
    assert [record.title for record in read_journal(path)] == ["first", "fits"]
    journal.close()


def test_after_a_failed_fsync_nothing_more_is_recorded(path, clock, monkeypatch):
    """When nobody knows what is on disk, no later line may pretend to know."""
    journal = FileJournal.open(path, clock=clock)

    def refuse(_handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(JournalError, match="fsync failed"):
        journal.append("note", "x")
    monkeypatch.undo()
    with pytest.raises(JournalError, match="takes no more lines"):
        journal.append("note", "y")
    journal.close()


@pytest.mark.parametrize(("call", "kept"), [("write", False), ("fsync", True)])
def test_an_interrupt_inside_an_append_keeps_the_chain(path, clock, monkeypatch, call, kept):
    """Ctrl-C before the line is written loses it, after it keeps it; either way the next line follows."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("note", "first")

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, call, interrupt)
        with pytest.raises(KeyboardInterrupt):
            journal.append("note", "interrupted")
    journal.append("note", "next")
    titles = ["first", "interrupted", "next"] if kept else ["first", "next"]
    assert [record.title for record in read_journal(path)] == titles
    assert [record.title for record in journal.records] == titles
    journal.close()


@pytest.mark.parametrize("damage", ["flip", "drop", "swap"])
def test_a_damaged_journal_is_refused_by_line(path, clock, damage):
    """One changed byte, one dropped line, two swapped lines: the reader names the place."""
    journal = FileJournal.open(path, clock=clock)
    for number in range(4):
        journal.append("note", f"line {number}")
    journal.close()
    lines = path.read_bytes().splitlines(keepends=True)
    if damage == "flip":
        lines[1] = lines[1].replace(b"line 1", b"line 7")
    elif damage == "drop":
        del lines[1]
    else:
        lines[1], lines[2] = lines[2], lines[1]
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalCorrupt, match=r"journal\.jsonl:\d"):
        read_journal(path)


def test_a_journal_that_cannot_be_read_is_named(tmp_path):
    """The error names the file and the system's reason."""
    with pytest.raises(JournalError, match=r"absent\.jsonl cannot be read"):
        read_journal(tmp_path / "absent.jsonl")


def test_what_was_read_a_moment_ago_is_verified_but_not_decoded_again(path, clock):
    """Known records are taken where their lines are as they were; what came since is read, damage found."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("note", "first")
    journal.append("note", "second")
    known = read_journal(path)
    journal.append("note", "since")
    journal.close()
    reopened = FileJournal.open(path, clock=clock, known=known)
    assert [record.title for record in reopened.records] == ["first", "second", "since"]
    assert [one is other for one, other in zip(reopened.records, known, strict=False)] == [True, True]
    reopened.close()
    path.write_bytes(path.read_bytes().replace(b"first", b"fjrst"))
    with pytest.raises(JournalCorrupt, match=r"journal\.jsonl:1: its content does not match"):
        FileJournal.open(path, clock=clock, known=known)


def test_known_records_of_another_journal_are_not_believed(path, clock, tmp_path):
    """What the file holds counts, not what somebody remembers; a file that is shorter now is shorter."""
    other = FileJournal.open(tmp_path / "other.jsonl", clock=clock)
    for number in range(3):
        other.append("note", f"other {number}")
    other.close()
    mine = FileJournal.open(path, clock=clock)
    mine.append("note", "mine")
    mine.close()
    reopened = FileJournal.open(path, clock=clock, known=other.records)
    assert [record.title for record in reopened.records] == ["mine"]
    reopened.close()
