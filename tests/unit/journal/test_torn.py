"""Half lines: none is left without a word, what a dying process leaves is kept aside, noted, never lost."""

import errno
import os

import pytest

from runbook.errors import JournalError
from runbook.journal import FileJournal, read_journal
from tests.journals import asides, failing, partly, three_lines, titles, trouble


def test_a_torn_last_line_of_every_length_is_kept_aside_and_noted(path, clock):
    """However far a dying process came with a line: readers see what was before, the next writer goes on."""
    *whole, last = three_lines(path, clock)
    for length in range(1, len(last)):
        torn = last[:length]
        path.write_bytes(b"".join(whole) + torn)
        assert titles(path) == ["first", "second"]
        journal = FileJournal.open(path, clock=clock)
        journal.append("note", "next")
        journal.close()
        assert titles(path) == ["first", "second", f"{length} torn bytes were kept aside", "next"]
        assert asides(path) == {"journal.jsonl.torn-3": torn}
        path.with_name("journal.jsonl.torn-3").unlink()


def test_the_first_line_torn_leaves_an_empty_journal(path, clock):
    """A run killed while its first line was written has begun nothing."""
    first, *_ = three_lines(path, clock)
    path.write_bytes(first[:20])
    assert read_journal(path) == []
    journal = FileJournal.open(path, clock=clock)
    assert journal.records == []
    journal.close()
    assert asides(path) == {"journal.jsonl.torn-1": first[:20]}


def test_zeros_where_a_line_never_reached_the_disk_are_torn_bytes(path, clock):
    """After a power failure a file may be longer than what was written to it."""
    *whole, last = three_lines(path, clock)
    path.write_bytes(b"".join(whole) + last[:40] + bytes(4096))
    FileJournal.open(path, clock=clock).close()
    assert asides(path) == {"journal.jsonl.torn-3": last[:40] + bytes(4096)}


@pytest.mark.parametrize("call", ["ftruncate", "write", "fsync"])
def test_a_process_that_dies_while_it_keeps_torn_bytes_aside_loses_none(path, clock, monkeypatch, call):
    """Wherever it stops, the next one ends what it began: bytes kept once, the note written once."""
    *whole, last = three_lines(path, clock)
    path.write_bytes(b"".join(whole) + last[:40])

    deaths = 0
    while True:
        with monkeypatch.context() as patched:
            failing(patched, call, KeyboardInterrupt(), after=deaths)
            try:
                FileJournal.open(path, clock=clock).close()
                break
            except KeyboardInterrupt:
                deaths += 1
    assert deaths > 0
    FileJournal.open(path, clock=clock).close()
    assert titles(path) == ["first", "second", "40 torn bytes were kept aside"]
    assert asides(path) == {"journal.jsonl.torn-3": last[:40]}


def test_a_note_that_is_torn_itself_is_written_again(path, clock):
    """Killed in the middle of noting torn bytes: both remains are kept, the note is there in the end."""
    *whole, last = three_lines(path, clock)
    path.with_name("journal.jsonl.torn-3").write_bytes(last[:40])
    path.write_bytes(b"".join(whole) + b'{"seq":3,"at":')
    FileJournal.open(path, clock=clock).close()
    assert titles(path) == ["first", "second", "54 torn bytes were kept aside"]
    assert asides(path) == {"journal.jsonl.torn-3": last[:40] + b'{"seq":3,"at":'}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_an_interrupt_in_the_middle_of_a_line_leaves_no_half_one(path, clock, monkeypatch, share):
    """Ctrl-C goes on to the caller, with the file already as it was before."""
    three = b"".join(three_lines(path, clock))
    journal = FileJournal.open(path, clock=clock)
    with monkeypatch.context() as patched:
        partly(patched, share, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            journal.append("note", "interrupted")
    assert path.read_bytes() == three
    assert [record.title for record in journal.since(3)] == []
    journal.append("note", "next")
    journal.close()
    assert titles(path)[3:] == ["next"]


def test_a_line_that_an_interrupt_left_whole_is_synced_before_it_counts(path, clock, monkeypatch):
    """Ctrl-C between write and fsync: the line is taken in only once it is on disk; else nothing is."""
    journal = FileJournal.open(path, clock=clock)
    calls = []

    def interrupted_once(_handle):
        calls.append("fsync")
        if len(calls) == 1:
            raise KeyboardInterrupt
        raise trouble(errno.EIO)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupted_once)
        with pytest.raises(KeyboardInterrupt):
            journal.append("note", "interrupted")
    assert journal.since(0) == []
    with pytest.raises(JournalError, match="what an interrupt left in it could not be settled"):
        journal.append("note", "next")
    journal.close()
