"""One process executes a run: the others are told who does, and its death lets them in."""

import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest

from runbook.errors import JournalError, RunBusy
from runbook.journal import FileJournal, driving, is_held, lock, read_journal

HOLD = "journal = FileJournal.open(path, clock=WallClock())\nsay('open')\nsys.stdin.read()\n"


def test_a_second_opener_is_told_which_process_is_in_the_way(path, clock, start):
    """Process number, program and account; and what to type. When that process is killed, it may."""
    holder = start(HOLD, path)
    assert holder.stdout.readline() == "open\n"
    assert is_held(path)
    words = Path(f"/proc/{holder.pid}/cmdline").read_bytes().decode().split("\0")
    who = rf"another process \(pid {holder.pid}, {Path(words[0]).name}, started by \w+\)"
    with pytest.raises(
        RunBusy, match=rf"run-1 is being executed by {who}; see it with: runbook status run-1"
    ):
        FileJournal.open(path, clock=clock)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert not is_held(path)
    FileJournal.open(path, clock=clock).close()


def test_the_same_process_is_told_that_it_holds_the_run_itself(path, clock):
    """A run opened twice in one process is no other process."""
    first = FileJournal.open(path, clock=clock)
    with pytest.raises(RunBusy, match=rf"being executed by this very process \(pid {os.getpid()}\)"):
        FileJournal.open(path, clock=clock)
    first.close()


def test_a_driven_run_is_held_and_its_driver_named(path, clock):
    """Who drives a run's kernel holds its folder, before there is a journal and after it is closed."""
    FileJournal.open(path, clock=clock).close()
    with driving(path.parent, clock=clock):
        assert is_held(path)
        with (
            pytest.raises(RunBusy, match="the run run-1 is being executed"),
            driving(path.parent, clock=clock),
        ):
            pass
    assert not is_held(path)


def test_where_nobody_tells_who_holds_it_nothing_is_made_up(path, clock, monkeypatch, tmp_path):
    """Without /proc/locks, or with a process that has ended, it is another process and no more."""
    first = FileJournal.open(path, clock=clock)
    inode, device = path.stat().st_ino, path.stat().st_dev
    place = f"{os.major(device):02x}:{os.minor(device):02x}:{inode}"
    for table in (
        None,
        "",
        "1: FLOCK\n2: FLOCK  ADVISORY  WRITE none\n",
        f"1: FLOCK  ADVISORY  WRITE 4194305 {place} 0 EOF\n",  # above the highest number there is
        f"1: FLOCK  ADVISORY  WRITE 0 {place} 0 EOF\n",  # of another container
        f"1: -> FLOCK  ADVISORY  WRITE {os.getpid()} {place} 0 EOF\n",  # it waits
        f"1: FLOCK  ADVISORY  READ {os.getpid()} {place} 0 EOF\n",
        f"1: POSIX  ADVISORY  WRITE {os.getpid()} {place} 0 EOF\n",
        f"1: FLOCK  ADVISORY  WRITE {os.getpid()} 00:01:{inode + 1} 0 EOF\n",
    ):
        locks = tmp_path / "locks"
        locks.unlink(missing_ok=True)
        if table is not None:
            locks.write_text(table)
        monkeypatch.setattr(lock, "LOCKS", locks)
        with pytest.raises(RunBusy, match="executed by another process; see it"):
            FileJournal.open(path, clock=clock)
    first.close()


def test_a_file_system_that_shows_another_device_is_seen_through(path, clock, monkeypatch, tmp_path):
    """btrfs and overlays name another device in /proc/locks; whoever has the file open is the one."""
    first = FileJournal.open(path, clock=clock)
    locks = tmp_path / "locks"
    locks.write_text(f"1: FLOCK  ADVISORY  WRITE {os.getpid()} 00:fe:{path.stat().st_ino} 0 EOF\n")
    monkeypatch.setattr(lock, "LOCKS", locks)
    with pytest.raises(RunBusy, match=rf"this very process \(pid {os.getpid()}\)"):
        FileJournal.open(path, clock=clock)
    first.close()


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (
            ["/usr/bin/python3.12", "-m", "ipykernel_launcher", "-f", "kernel.json"],
            "python3.12 -m ipykernel_launcher",
        ),
        (["/srv/venv/bin/python", "/srv/venv/bin/runbook", "run", "dns", "-p", "token=s3cret"], "runbook"),
        (["python", "-X", "dev", "-c", "print('s3cret')"], "python"),
        (["python", "-i"], "python"),
        (["/usr/bin/vim", "s3cret"], "vim"),
        ([""], "a program without a name"),
    ],
)
def test_of_a_command_line_only_the_program_is_told(words, program):
    """Arguments may hold secrets: none is shown."""
    assert lock._program([*words, ""]) == program


def test_a_file_system_without_locks_is_no_busy_run(path, clock, monkeypatch):
    """What cannot be locked is told as that, with the system's reason."""

    def refuse(_handle, _kind):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(JournalError, match=r"cannot be locked \(No locks available\)") as caught:
        FileJournal.open(path, clock=clock)
    assert not isinstance(caught.value, RunBusy)


def test_what_is_not_there_is_named(tmp_path, clock):
    """Asking for, or driving, a run whose folder is gone is an error of the record, with its path."""
    with pytest.raises(JournalError, match=r"gone/journal\.jsonl cannot be read: No such file"):
        is_held(tmp_path / "gone" / "journal.jsonl")
    with (
        pytest.raises(JournalError, match="gone cannot be opened: No such file"),
        driving(tmp_path / "gone", clock=clock),
    ):
        pass


CONTEND = """\
for _ in range(8):
    while True:
        try:
            journal = FileJournal.open(path, clock=WallClock())
            break
        except RunBusy:
            pass
    held = path.with_name('held')
    handle = os.open(held, os.O_CREAT | os.O_EXCL)  # fails when another one is inside as well
    os.close(handle)
    journal.append('note', f'by {os.getpid()}')
    held.unlink()
    journal.close()
"""


def test_openers_at_once_take_turns(path, start):
    """Four processes open, write and close over and over: never two at a time, no line lost, one chain."""
    contenders = [start(CONTEND, path) for _ in range(4)]
    assert [process.wait() for process in contenders] == [0] * 4
    titles = [record.title for record in read_journal(path)]
    assert sorted(titles) == sorted(f"by {process.pid}" for process in contenders for _ in range(8))


FORK = """\
journal = FileJournal.open(path, clock=WallClock())
journal.append('note', 'by the parent')
child = os.fork()
if not child:
    try:
        journal.append('note', 'by the child')
    except JournalError as error:
        say(error)
    say(os.getpid())
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


def test_a_forked_child_does_not_keep_the_run_locked(path, clock, start):
    """The lock ends with the process that took it, though a child of it lives on; the child cannot write."""
    parent = start(FORK, path)
    assert "takes no more lines: it is closed" in parent.stdout.readline()
    child = int(parent.stdout.readline())
    assert is_held(path)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    os.kill(child, 0)  # it is there still
    FileJournal.open(path, clock=clock).close()
    assert [record.title for record in read_journal(path)] == ["by the parent"]
