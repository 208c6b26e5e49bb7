"""What a journal lives through: torn lines, full disks, folders nobody may write, kills, failing disks."""

import errno
import os
import shutil
import signal
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from runbook.clock import VirtualClock
from runbook.errors import JournalError
from runbook.journal import FileJournal, file, read_journal

NOBODY = 65534


def titles(path):
    return [record.title for record in read_journal(path)]


def asides(path):
    return {place.name: place.read_bytes() for place in path.parent.glob("*.torn-*")}


def three_lines(path, clock):
    """Write a journal of three lines and return their bytes."""
    journal = FileJournal.open(path, clock=clock)
    for word in ("first", "second", "thïrd"):
        journal.append("note", word, data={"of": [1, "x"]})
    journal.close()
    return path.read_bytes().splitlines(keepends=True)


def failing(monkeypatch, call, ending, *, after=0):
    """Let `os.<call>` raise `ending` once, after it has succeeded `after` times."""
    real, calls = getattr(os, call), []

    def stand_in(*arguments):
        calls.append(arguments)
        if len(calls) == after + 1:
            raise ending
        return real(*arguments)

    monkeypatch.setattr(os, call, stand_in)


def trouble(number):
    return OSError(number, os.strerror(number))


# Torn lines


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
    assert [record.data for record in journal.records] == [{"torn_bytes": 20}]
    journal.close()


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


def partly(monkeypatch, share, ending):
    """Let the next `os.write` write only a share of what it is given, and the one after that fail."""
    real, calls = os.write, []

    def stand_in(handle, content):
        calls.append(handle)
        if share and len(calls) == 1:
            return real(handle, content[: int(len(content) * share)])
        raise ending

    monkeypatch.setattr(os, "write", stand_in)


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


def test_a_write_that_takes_a_part_at_a_time_is_carried_on(path, clock, monkeypatch):
    """A system that writes less than it is given is given the rest."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: real(handle, content[:7]))
    three_lines(path, clock)
    assert titles(path) == ["first", "second", "thïrd"]


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


# Processes

WRITE = """\
journal = FileJournal.open(path, clock=WallClock())
for number in range(int(sys.stdin.readline())):
    size = 10 ** (number % 6)
    say(journal.append('note', 'x' * size, data={'size': size}).seq)
"""


def write(start, path, count):
    process = start(WRITE, path)
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return process


def test_a_reader_beside_a_writer_sees_whole_lines_only(path, clock, start):
    """Every look at a journal that grows shows all that was acknowledged, and nothing half."""
    writer, looks = write(start, path, 200), [0]
    for acknowledged in writer.stdout:
        records = read_journal(path)
        assert all(len(record.title) == record.data["size"] for record in records)
        assert len(records) >= max(int(acknowledged), looks[-1])
        looks.append(len(records))
    assert (writer.wait(), looks[-1]) == (0, 200)


@pytest.mark.parametrize("lines", [1, 2, 5, 8, 13, 21])
def test_a_killed_writer_has_lost_nothing_that_it_acknowledged(path, clock, start, lines):
    """kill -9 at any moment: what was returned is on record, and the next process goes on."""
    writer = write(start, path, 1_000_000)
    for _ in range(lines):
        acknowledged = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(read_journal(path)) >= acknowledged == lines
    journal = FileJournal.open(path, clock=clock)
    assert journal.append("note", "next").seq > lines
    journal.close()
    assert titles(path)[-1] == "next"
