"""A world as a process: up, killed, up again where it was, and gone with nothing left."""

import json
import urllib.request
from datetime import timedelta

import pytest

from runbook.errors import InputError, StepFailed
from runbook.sandbox.world.launch import WorldProcess, end_world, find_world, leave_running
from runbook.sandbox.world.remote import RemoteWorld, SandboxClock


def post(remote, text):
    """Post to Slack with nothing but the standard library."""
    token = remote.secrets()["slack"]["token"]
    request = urllib.request.Request(  # noqa: S310
        f"{remote.url}/slack/api/chat.postMessage",
        data=json.dumps({"channel": "C0DEPLOYS0", "text": text}).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as reply:  # noqa: S310
        return json.load(reply)


def test_a_killed_world_is_where_it_was(tmp_path):
    """kill -9 after a reply: the same address, state, clock, secrets and requests seen."""
    with WorldProcess(tmp_path) as world:
        assert post(world.remote, "one")["ok"]
        world.remote.advance(timedelta(hours=5))
        world.remote.set_fault("status", vendor="slack", times=2)
        before = (world.url, world.remote.status(), world.remote.dump(), world.remote.secrets())
        world.kill()
    with WorldProcess(tmp_path) as world:
        assert (world.url, world.remote.status(), world.remote.dump(), world.remote.secrets()) == before
        assert world.remote.health() == {"bugs": [], "unsaved": []}


def test_a_large_body_comes_in_and_the_log_stays_empty(tmp_path):
    """A batch of records may be larger than the megabyte that aiohttp takes unless it is told."""
    with WorldProcess(tmp_path) as world:
        assert post(world.remote, "x" * 2_000_000)["error"] == "msg_too_long"
    assert (tmp_path / "log").read_bytes() == b""


def test_up_and_down_leave_nothing(tmp_path):
    """`up` twice is one world; `down` removes its folder, or keeps it when told."""
    folder = tmp_path / "sandbox"
    first = leave_running(folder)
    assert leave_running(folder).url == first.url
    assert end_world(folder, keep=True)
    assert (folder / "state.db").is_file()
    leave_running(folder)
    assert end_world(folder)
    assert not folder.exists()
    assert find_world(folder) is None
    assert not end_world(folder)


def test_a_folder_has_one_world(tmp_path):
    """A second process in the same folder is refused, and the first goes on."""
    with WorldProcess(tmp_path) as world:
        with pytest.raises(StepFailed, match="another process holds its folder"):
            WorldProcess(tmp_path)
        assert world.remote.now()


def test_a_sandbox_clock_moves_the_world(tmp_path):
    """Waiting for a time brings it about; a time gone by is no wait."""
    with WorldProcess(tmp_path) as world:
        clock = SandboxClock(world.remote)
        began = clock.now()
        clock.sleep_until(began + timedelta(days=2))
        clock.sleep_until(began)
        assert clock.now() - began == timedelta(days=2)
        assert clock.monotonic_s() - began.timestamp() == 2 * 86400


def test_a_sandbox_clock_shows_what_the_world_does(tmp_path):
    """Whoever moves the world, a run's clock shows it; also when it was killed and is up again."""
    with WorldProcess(tmp_path) as world:
        clock = SandboxClock(world.remote)
        assert clock.now() == world.remote.now()
        assert world.remote.advance(timedelta(hours=3)) == clock.now()
        world.kill()
        assert clock.now()
        with pytest.raises(StepFailed, match="does not answer"):
            clock.sleep_until(clock.now() + timedelta(hours=1))
    with WorldProcess(tmp_path) as world:
        assert clock.now() == world.remote.now()
        assert world.remote.advance(timedelta(hours=3)) == clock.now()
    end_world(tmp_path)
    with pytest.raises(StepFailed, match="does not answer"):
        clock.now()


def test_what_is_asked_wrongly_is_refused(tmp_path):
    """Each refusal says what would be right; nobody answering is said too."""
    with WorldProcess(tmp_path) as world:
        remote = world.remote
        with pytest.raises(InputError, match="status, status-after"):
            remote.set_fault("gremlins")
        with pytest.raises(InputError, match="backwards"):
            remote.advance(timedelta(hours=-1))
        with pytest.raises(InputError, match="right would be"):
            remote.play("no such thing")
    with pytest.raises(StepFailed, match="does not answer"):
        RemoteWorld(world.url, tmp_path).now()
