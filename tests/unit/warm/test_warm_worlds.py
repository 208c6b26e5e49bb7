"""Rehearsal worlds that are forked are as those that start cold, and end with whoever had them started."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from runbook import warm
from runbook.errors import StepFailed
from runbook.sandbox.world.launch import WorldProcess, find_world, spawn
from runbook.warm import asking, spawn_world
from tests.runbooks.machine import wait_until

OWNER = """\
import sys
from pathlib import Path
from runbook.sandbox.world.launch import WorldProcess
from runbook.warm import spawn_world
world = WorldProcess(Path(sys.argv[1]), spawn=spawn_world)
print(world.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module", autouse=True)
def cooled_down():
    yield
    warm.cool_down()


def is_alive(pid):
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def status_of(pid, name):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{name}:"))


def test_it_is_forked_and_shows_what_a_cold_one_shows(tmp_path):
    """Same parts, secrets and zones; it is a child of the forking process and leads its own session."""
    with WorldProcess(tmp_path / "cold", spawn=spawn) as cold:
        expected = (cold.remote.secrets(), cold.remote.dump().keys(), cold.remote.status()["parts"].keys())
    with WorldProcess(tmp_path / "warm", spawn=spawn_world) as forked:
        remote = forked.remote
        assert (remote.secrets(), remote.dump().keys(), remote.status()["parts"].keys()) == expected
        assert status_of(forked.pid, "PPid") == str(asking.the_forking("world")._process.pid)
        assert os.getsid(forked.pid) == forked.pid
    assert not is_alive(forked.pid)
    assert (tmp_path / "warm/log").read_bytes() == b""
    assert find_world(tmp_path / "warm") is None


def test_it_goes_on_where_it_was(tmp_path):
    """Killed, then started again: the same address and state."""
    with WorldProcess(tmp_path, spawn=spawn_world) as world:
        world.remote.set_fault("status", vendor="slack", times=2)
        before = (world.url, world.remote.dump())
        world.kill()
        assert not is_alive(world.pid)
    with WorldProcess(tmp_path, spawn=spawn_world) as world:
        assert (world.url, world.remote.dump()) == before


def test_its_last_words_are_told(tmp_path):
    """A second one in the same folder is refused as a cold one is, with its exit code."""
    with (
        WorldProcess(tmp_path, spawn=spawn_world) as world,
        pytest.raises(StepFailed, match=r"exit code 75.*another process holds its folder"),
    ):
        WorldProcess(tmp_path, spawn=spawn_world)
    assert not is_alive(world.pid)


def test_it_ends_when_its_owner_is_killed(tmp_path):
    """No world is left of a driver that died without a word."""
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    owner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    assert is_alive(pid)
    owner.kill()
    owner.communicate()
    wait_until(lambda: not is_alive(pid))
    assert not is_alive(pid)


def test_it_ends_with_the_forking_process_and_the_next_is_forked_by_another(tmp_path):
    """Nobody could tell how it ended; its folder is free, and another world starts there."""
    with WorldProcess(tmp_path, spawn=spawn_world) as world:
        os.kill(asking.the_forking("world")._process.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(world.pid))
        assert not is_alive(world.pid)
    with WorldProcess(tmp_path, spawn=spawn_world) as again:
        assert again.url == world.url


def test_where_there_can_be_no_fork_it_starts_cold(tmp_path, monkeypatch):
    """On another system than Linux, say."""
    monkeypatch.delattr(os, "pidfd_open")
    with WorldProcess(tmp_path, spawn=spawn_world) as world:
        assert status_of(world.pid, "PPid") == str(os.getpid())
        assert world.remote.health() == {"bugs": [], "unsaved": []}
