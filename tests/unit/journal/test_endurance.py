"""What a journal lives through: full and failing disks, forbidden folders, clocks set back, long lines."""

import errno
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from runbook.clock import VirtualClock
from runbook.errors import JournalError
from runbook.journal import FileJournal, file, read_journal
from tests.journals import asides, failing, partly, three_lines, titles, trouble

NOBODY = 65534


# Full disks

FILL = """\
journal = FileJournal.open(path, clock=WallClock())
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, unlimited[1]))
try:
    while True:
        say(journal.append('note', 'x' * (len(journal.records) * 37 % 900)).seq)
except JournalError as error:
    say(error)
try:
    journal.append('note', 'x' * 900)
except JournalError as error:
    say(error)
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
say(journal.append('note', 'room again').seq)
"""


def test_a_disk_that_fills_up_loses_nothing_that_was_acknowledged(path, clock, start):
    """A real limit in a real process: each line said to be there is, no half one, and later it goes on."""
    filler = start(FILL, path)
    *acknowledged, first, second, more = filler.stdout.read().splitlines()
    assert filler.wait() == 0
    for said in (first, second):
        assert "the line cannot be written (File too large); nothing is lost. Make room" in said
    records = read_journal(path)
    assert [str(record.seq) for record in records] == [*acknowledged, more]
    assert records[-1].title == "room again"
    assert path.read_bytes().endswith(b"}\n")
    FileJournal.open(path, clock=clock).close()
    assert asides(path) == {}


def test_half_a_line_on_a_full_disk_is_taken_back(path, clock, monkeypatch):
    """What fitted of a line is cut off again; the reason is the system's, not a guess."""
    three = b"".join(three_lines(path, clock))
    journal = FileJournal.open(path, clock=clock)
    with monkeypatch.context() as patched:
        partly(patched, 0.5, trouble(errno.ENOSPC))
        with pytest.raises(JournalError, match=r"No space left on device\); nothing is lost"):
            journal.append("note", "fourth")
    assert path.read_bytes() == three
    journal.append("note", "fourth")
    journal.close()


def test_half_a_line_that_cannot_be_taken_back_is_told(path, clock, monkeypatch):
    """No half line is left behind without a word: the error says so, and the next opener keeps it aside."""
    three = b"".join(three_lines(path, clock))
    journal = FileJournal.open(path, clock=clock)
    with monkeypatch.context() as patched:
        partly(patched, 0.5, trouble(errno.ENOSPC))
        failing(patched, "ftruncate", trouble(errno.EIO))
        told = r"could not be taken back \(.*\): whoever opens the journal next keeps it aside"
        with pytest.raises(JournalError, match=told):
            journal.append("note", "fourth")
    with pytest.raises(JournalError, match="takes no more lines: what was written of it"):
        journal.append("note", "fifth")
    journal.close()
    half = path.read_bytes().removeprefix(three)
    assert half
    FileJournal.open(path, clock=clock).close()
    assert asides(path) == {"journal.jsonl.torn-4": half}


def test_a_line_neither_synced_nor_taken_back_is_told(path, clock, monkeypatch):
    """When a disk refuses everything, the error says that the line may be found there."""
    journal = FileJournal.open(path, clock=clock)
    with monkeypatch.context() as patched:
        failing(patched, "fsync", trouble(errno.EIO))
        failing(patched, "ftruncate", trouble(errno.EIO))
        with pytest.raises(
            JournalError, match="whoever opens the journal next may find it there, and nothing"
        ):
            journal.append("note", "in doubt")
    journal.close()
    assert titles(path) == ["in doubt"]


def test_a_file_that_cannot_be_looked_at_is_named(path, clock, monkeypatch):
    """A stale handle of a network file system is an error of the record, and nothing is written."""
    journal = FileJournal.open(path, clock=clock)
    with monkeypatch.context() as patched:
        failing(patched, "fstat", trouble(errno.ESTALE))
        with pytest.raises(JournalError, match="cannot be looked at: Stale file handle; nothing is lost"):
            journal.append("note", "x")
    journal.append("note", "y")
    journal.close()
    assert titles(path) == ["y"]


def test_a_write_that_takes_a_part_at_a_time_is_carried_on(path, clock, monkeypatch):
    """A system that writes less than it is given is given the rest."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: real(handle, content[:7]))
    three_lines(path, clock)
    assert titles(path) == ["first", "second", "thïrd"]


# Folders and disks that refuse

REFUSED = """\
os.setgroups([]); os.setresgid(*[{nobody}] * 3); os.setresuid(*[{nobody}] * 3)
try:
    FileJournal.open(path, clock=WallClock()).append('note', 'x')
    say('written')
except JournalError as error:
    say(error)
say([record.title for record in read_journal(path)] if path.exists() else 'nothing')
"""


@pytest.fixture
def public(clock):
    """Return a journal of three lines where anybody may look: not below a folder of root's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    path = folder / "journal.jsonl"
    three_lines(path, clock)
    path.chmod(0o644)
    yield path
    folder.chmod(0o755)
    shutil.rmtree(folder)


def refused(start, path):
    """Return what a process without rights here says when it opens the journal, and what it can read."""
    drop = REFUSED.format(nobody=NOBODY)
    process = start(drop if os.getuid() == 0 else drop.partition("\n")[2], path)
    said, read = process.stdout.read().splitlines()
    assert process.wait() == 0
    return said, read


def test_a_folder_that_cannot_be_written_is_named(public, start):
    """A new journal is refused with path and reason, and nothing is begun."""
    public.unlink()
    public.parent.chmod(0o555)
    said, read = refused(start, public)
    assert said == f"{public} cannot be opened: Permission denied"
    assert read == "nothing"


def test_a_journal_that_cannot_be_written_can_still_be_read(public, start):
    """Whoever may only look at a run sees its record, and cannot add to it."""
    public.chmod(0o444)
    said, read = refused(start, public)
    assert said == f"{public} cannot be opened: Permission denied"
    assert read == "['first', 'second', 'thïrd']"


def test_torn_bytes_that_cannot_be_kept_aside_stay_where_they_are(public, start):
    """In a folder that takes no new file nothing is cut off a journal."""
    with public.open("ab") as journal:
        journal.write(b'{"seq":4')
    before = public.read_bytes()
    public.chmod(0o666)
    public.parent.chmod(0o555)
    said, read = refused(start, public)
    assert said == f"{public} cannot be taken up: Permission denied; nothing is lost"
    assert read == "['first', 'second', 'thïrd']"
    assert public.read_bytes() == before


def test_a_disk_turned_read_only_is_told_and_nothing_changes(path, clock, monkeypatch):
    """What was on record stays on record; with the disk mended the same journal goes on."""
    three_lines(path, clock)
    journal = FileJournal.open(path, clock=clock)
    with monkeypatch.context() as patched:
        failing(patched, "write", trouble(errno.EROFS))
        with pytest.raises(JournalError, match=r"Read-only file system\); nothing is lost"):
            journal.append("note", "fourth")
    journal.append("note", "fourth")
    journal.close()
    assert titles(path) == ["first", "second", "thïrd", "fourth"]


def test_a_line_whose_fsync_failed_is_not_on_record(path, clock, monkeypatch):
    """The caller is told, the line is taken back, this process adds no other; a new one begins afresh."""
    three = b"".join(three_lines(path, clock))
    journal = FileJournal.open(path, clock=clock)
    with monkeypatch.context() as patched:
        failing(patched, "fsync", trouble(errno.EIO))
        with pytest.raises(
            JournalError, match=r"fsync failed \(.*\); the line was taken back, and nothing more"
        ):
            journal.append("note", "fourth")
    with pytest.raises(JournalError, match="takes no more lines: fsync failed"):
        journal.append("note", "fifth")
    journal.close()
    assert path.read_bytes() == three
    reopened = FileJournal.open(path, clock=clock)
    reopened.append("note", "fourth")
    reopened.close()


@pytest.mark.parametrize("failing_fsync", [0, 1, 2])
def test_a_journal_that_cannot_be_synced_is_not_opened(path, clock, monkeypatch, failing_fsync):
    """Its lines, its folder's entry and the folder's own must be on disk before anything relies on them."""
    with monkeypatch.context() as patched:
        failing(patched, "fsync", trouble(errno.EIO), after=failing_fsync)
        with pytest.raises(JournalError, match=r"cannot be taken up: Input/output error; nothing is lost"):
            FileJournal.open(path, clock=clock)
    FileJournal.open(path, clock=clock).close()


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES])
def test_a_folder_that_cannot_be_synced_by_its_nature_is_no_error(path, clock, monkeypatch, number):
    """Some network file systems have no fsync of a folder, and some folders may not be read."""
    for call in ("fsync", "open"):
        with monkeypatch.context() as patched:
            failing(patched, call, trouble(number))
            file._sync_folder(path.parent)


# Durability, clocks, long lines


def test_everything_is_on_disk_before_it_counts(path, clock, monkeypatch):
    """A new journal syncs itself, its folder and the one above; a line is synced once, after its write."""
    real_fsync, real_write, calls = os.fsync, os.write, []

    def fsync(handle):
        calls.append(("fsync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        real_fsync(handle)

    def write(handle, content):
        calls.append(("write", str(Path(f"/proc/self/fd/{handle}").readlink())))
        return real_write(handle, content)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "write", write)
    journal = FileJournal.open(path, clock=clock)
    assert {place for _, place in calls} == {str(path), str(path.parent), str(path.parent.parent)}
    calls.clear()
    journal.append("note", "x")
    assert calls == [("write", str(path)), ("fsync", str(path))]
    journal.close()
    calls.clear()
    FileJournal.open(path, clock=clock).close()
    assert ("fsync", str(path)) in calls  # the last line may be whole and not yet on disk


def test_times_do_not_run_backwards_across_processes(path, clock):
    """A machine whose clock was set back goes on from the last time on record."""
    clock.advance(timedelta(days=1))
    three_lines(path, clock)
    journal = FileJournal.open(path, clock=VirtualClock(clock.now() - timedelta(days=400)))
    journal.append("note", "by an earlier clock")
    journal.close()
    times = [record.at for record in read_journal(path)]
    assert times == sorted(times)
    assert times[-1] == times[-2]


def test_the_same_process_closes_and_reopens(path, clock):
    """A closed journal takes no lines and says so; opened again it goes on where it was."""
    three_lines(path, clock)
    for _ in range(3):
        journal = FileJournal.open(path, clock=clock)
        journal.append("note", "again")
        journal.close()
        journal.close()
        with pytest.raises(JournalError, match="takes no more lines: it is closed"):
            journal.append("note", "after closing")
    assert [record.seq for record in read_journal(path)] == list(range(1, 7))


def test_lines_of_five_megabytes(path, clock):
    """Large results are lines like any other: written whole, read back equal, torn anywhere kept aside."""
    text, table = "é" * 2_500_000, [{"name": f"host-{n}", "ttl_s": n, "none": None} for n in range(100_000)]
    journal = FileJournal.open(path, clock=clock)
    journal.append("done", "text", data={"result": text})
    journal.append("done", "table", data={"result": table})
    journal.append("note", "after")
    journal.close()
    assert path.stat().st_size > 9_000_000
    first, second, third = read_journal(path)
    assert first.data["result"] == text
    assert second.data["result"] == table
    assert third.title == "after"
    with path.open("rb+") as content:
        content.truncate(7_000_000)
    reopened = FileJournal.open(path, clock=clock)
    assert [record.title for record in reopened.records][:1] == ["text"]
    (kept,) = asides(path).values()
    assert kept.startswith(b'{"seq":2')
    assert len(kept) == reopened.records[1].data["torn_bytes"]
    reopened.close()
