"""A run's private folder and everything in it die with the process that opened it, however it dies."""

import json
import os
import select
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from runbook import keeper, scratch
from runbook.scratch import Destruction, open_scratch, sweep

PATIENCE_S = 30
OWNER = """
import os, subprocess, sys
from pathlib import Path
from runbook.scratch import open_scratch
scratch = open_scratch(receipt=Path(sys.argv[1]) if sys.argv[1] else None)
(scratch.folder / "data").write_bytes(b"x" * 100_000)
child = subprocess.Popen(["sleep", "600"], cwd=scratch.folder, start_new_session=True)
{more}
print(scratch.folder, child.pid, scratch.keeper_pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path, monkeypatch):
    """Give each test a temporary folder of its own: nothing of another test is swept."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


class Owner:
    """A process that opened a scratch folder: itself, its folder, its child's pid and its keeper's."""

    def __init__(self, process):
        self.process = process
        folder, child, guard = process.stdout.readline().rsplit(maxsplit=2)
        self.folder, self.child, self.guard = Path(folder), int(child), int(guard)
        self._watched = os.pidfd_open(self.guard)

    def end(self, number=signal.SIGKILL, *, group=False):
        """End the process by a signal and return when its keeper has ended too."""
        os.killpg(self.process.pid, number) if group else self.process.send_signal(number)
        self.process.wait(PATIENCE_S)
        ended, _, _ = select.select([self._watched], [], [], PATIENCE_S)
        assert ended, "the keeper did not end"

    def close(self):
        self.process.kill()
        self.process.communicate()
        os.close(self._watched)


@pytest.fixture
def own(tmp_path):
    """Return a function that starts an owner."""
    owners = []

    def start(more="", receipt=None):
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER.format(more=more), str(receipt or "")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        owners.append(Owner(process))
        return owners[-1]

    yield start
    for owner in owners:
        owner.close()


def is_alive(pid):
    return bool(keeper.started(pid))


def test_the_folder_is_private_and_gone_after_closing():
    """Only we may enter a scratch folder, and closing it destroys it and returns the record."""
    with open_scratch() as opened:
        folder = opened.folder
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "data").write_bytes(b"x" * 100_000)
    record = opened.close()
    assert not folder.exists()
    assert (record.reason, record.left, record.folder) == ("closed", (), str(folder))
    assert record.size_bytes >= 100_000
    assert record.destroyed_at >= record.opened_at


@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_everything_dies_with_its_owner(own, tmp_path, number):
    """However the owner ends, its folder and what works in it are gone, and a receipt says so."""
    receipt = tmp_path / "receipt.json"
    owner = own(receipt=receipt)
    owner.end(number)
    assert not owner.folder.exists()
    assert not is_alive(owner.child)
    record = Destruction.model_validate_json(receipt.read_text())
    assert (record.reason, record.processes, record.left) == ("its owner ended", ("sleep",), ())
    assert record.size_bytes >= 100_000


SHARER = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
segment = libc.shmget(0, 4096, 0o1600)
handle = os.open("/dev/shm/PostgreSQL.rb-test-%d" % os.getpid(), os.O_CREAT | os.O_RDWR)
print(segment, "/dev/shm/PostgreSQL.rb-test-%d" % os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.mark.chaos
def test_shared_memory_not_yet_written_down_or_mapped_is_removed_too():
    """A server killed while it starts: its segment is in no pid file, its file is not mapped."""
    with open_scratch() as opened:
        child = subprocess.Popen(
            [sys.executable, "-c", SHARER],
            cwd=opened.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        segment, file = child.stdout.readline().split()
    child.communicate()
    assert opened.close().shared_memory_segments == 1
    assert not Path(file).exists()
    ids = [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    assert segment not in ids


OPENER = """
import sys
from runbook.scratch import open_scratch
print("ready", flush=True)
while True:
    open_scratch()
"""


@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_owner_that_dies_while_it_opens_leaves_nothing(tmp_path, number):
    """Between making a folder and having it guarded there is no moment: the guard makes it."""
    for turn in range(25):
        opener = subprocess.Popen(
            [sys.executable, "-c", OPENER],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        opener.stdout.readline()
        until = time.monotonic() + turn * 0.004
        while time.monotonic() < until:
            os.sched_yield()
        opener.send_signal(number)
        opener.communicate(timeout=PATIENCE_S)
    until = time.monotonic() + PATIENCE_S
    while list(tmp_path.glob("*runbook-*")) and time.monotonic() < until:
        os.sched_yield()
    assert list(tmp_path.glob("*runbook-*")) == []


@pytest.mark.chaos
def test_ctrl_c_ends_the_owner_and_not_its_keeper(own):
    """A signal to the whole foreground group leaves the keeper alive to do its work."""
    owner = own()
    owner.end(signal.SIGINT, group=True)
    assert not owner.folder.exists()
    assert not is_alive(owner.child)


def test_an_orderly_end_without_closing_destroys_before_the_process_is_gone(own):
    """Whoever waits for the owner finds nothing left behind."""
    owner = own()
    owner.process.communicate("", PATIENCE_S)
    assert owner.process.returncode == 0
    assert not owner.folder.exists()
    assert not is_alive(owner.child)


@pytest.mark.chaos
@pytest.mark.parametrize("then", ["signal.pause()", "os.execvp('sleep', ['sleep', '600'])"])
def test_a_forked_child_does_not_keep_the_folder_alive(own, then):
    """A fork inherits the pipe to the keeper; it lets go, or the owner's death would go unnoticed."""
    fork = f"import signal; forked = os.fork()\nif forked == 0:\n    os.chdir('/'); {then}\n"
    owner = own(more=f"{fork}scratch.adopt(forked)")
    owner.end()
    assert not owner.folder.exists()


@pytest.mark.chaos
def test_an_adopted_process_ends_wherever_it_works(own):
    """A process that was given into the keeper's care dies too, though it works elsewhere."""
    owner = own(more="child = subprocess.Popen(['sleep', '600'], cwd='/'); scratch.adopt(child.pid)")
    owner.end()
    assert not is_alive(owner.child)


@pytest.mark.chaos
def test_a_dead_keeper_is_replaced_by_its_owner():
    """When somebody killed the keeper, closing destroys the folder all the same."""
    opened = open_scratch()
    child = subprocess.Popen(["sleep", "600"], cwd=opened.folder)
    os.kill(opened.keeper_pid, signal.SIGKILL)
    record = opened.close()
    child.wait(PATIENCE_S)
    assert not opened.folder.exists()
    assert record.reason == "closed, its keeper was dead"
    assert record.processes == ("sleep",)


@pytest.mark.chaos
def test_what_owner_and_keeper_left_is_swept_by_the_next(own, tmp_path):
    """When both were killed, the next to open a scratch folder destroys theirs and writes their receipt."""
    receipt = tmp_path / "receipt.json"
    owner = own(receipt=receipt)
    os.kill(owner.guard, signal.SIGKILL)
    owner.end()
    assert owner.folder.exists()
    assert is_alive(owner.child)
    with open_scratch():
        assert not owner.folder.exists()
    assert not is_alive(owner.child)
    assert json.loads(receipt.read_text())["reason"] == "swept: owner and keeper were dead"


def test_a_folder_of_a_like_name_that_is_not_ours_is_not_swept(tmp_path):
    """Somebody's own folder may be called so too; ours hold a note from their first moment."""
    (tmp_path / "runbook-notes").mkdir()
    (tmp_path / "runbook-notes" / "mine.txt").write_text("keep me")
    assert sweep() == ()
    assert (tmp_path / "runbook-notes" / "mine.txt").read_text() == "keep me"


def test_a_folder_in_use_is_not_swept(own):
    """Sweeping leaves the folders of living owners alone, our own too."""
    owner = own()
    with open_scratch() as ours:
        assert sweep() == ()
        assert ours.folder.exists()
    assert owner.folder.exists()
    assert is_alive(owner.child)


def test_what_is_not_ours_is_not_swept(tmp_path, monkeypatch):
    """A folder that belongs to another user is left alone, whatever its name."""
    foreign = tmp_path / f"{scratch.PREFIX}foreign"
    foreign.mkdir()
    monkeypatch.setattr(scratch, "_ours", lambda: {foreign.stat().st_uid + 1})
    assert sweep() == ()
    assert foreign.exists()


def test_a_pid_file_cannot_make_us_kill_a_stranger(tmp_path):
    """The number in a postmaster.pid counts only if that process works in the folder."""
    stranger = subprocess.Popen(["sleep", "600"], cwd="/")
    folder = tmp_path / "folder"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "postmaster.pid").write_text(
        f"{stranger.pid}\n{folder}/data\n0\n5432\n\n\n    1    2\n"
    )
    record = keeper.destroy(folder, reason="test", spare=set(), children=[], opened_at="")
    alive = stranger.poll() is None
    stranger.kill()
    stranger.wait(PATIENCE_S)
    assert alive
    assert (record.processes, record.left) == ([], [])
    assert not folder.exists()


def test_a_reused_process_number_is_not_killed(tmp_path):
    """An adopted process is known by its start time too; a later one of the same number is spared."""
    later = subprocess.Popen(["sleep", "600"], cwd="/")
    child = keeper.Child(later.pid, "1")
    keeper.destroy(tmp_path / "none", reason="test", spare=set(), children=[child], opened_at="")
    alive = later.poll() is None
    later.kill()
    later.wait(PATIENCE_S)
    assert alive


def test_a_receipt_that_cannot_be_written_is_no_failure(tmp_path):
    """The run's folder may be gone by then; the destruction happens all the same."""
    with open_scratch(receipt=tmp_path / "gone" / "receipt.json") as opened:
        folder = opened.folder
    assert not folder.exists()


def test_the_temporary_folder_must_be_writable(tmp_path):
    """Where no folder can be made, the error names the place."""
    with pytest.raises(scratch.StepFailed, match="no scratch folder"):
        open_scratch(root=tmp_path / "missing")
