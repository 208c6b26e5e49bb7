"""`runbook sandbox …`: a world left running for a person, played with, and gone without a trace."""

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runbook.commands_sandbox import FOLDER, app, duration
from runbook.errors import InputError
from runbook.sandbox.world.launch import end_world, find_world

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """The commands in a project of their own; whatever runs after the test is ended."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path))

    def run(*words):
        result = CliRunner().invoke(app, list(words))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    yield run
    end_world(tmp_path / FOLDER)


@pytest.fixture
def up(sandbox):
    sandbox("up")
    return sandbox


def test_up_prints_addresses_and_stays(sandbox, tmp_path):
    """Where each vendor and the DNS are; a second `up` finds the same world."""
    said = sandbox("up")
    url = find_world(tmp_path / FOLDER).url
    assert f"the sandbox is at {url}" in said
    for words in (f"{url}/slack", f"{url}/pagerduty", "resolver-01 127.0.0.1:", "runbook sandbox down"):
        assert words in said
    assert url in sandbox("up")


def test_no_made_up_secret_is_shown_unasked(sandbox, tmp_path):
    """They are in --json, for a program; the lines for a person do without."""
    said, whole = sandbox("up"), json.loads(sandbox("up", "--json"))
    secrets = [value for named in whole["secrets"].values() for value in named.values()]
    assert len(secrets) >= 4
    assert [one for one in secrets if one in said] == []


def test_advance_moves_the_clock(up):
    """In words or as JSON; several units in one."""
    before = json.loads(up("status", "--json"))["now"]
    assert "in the sandbox" in up("advance", "2h")
    assert up("advance", "1d12h", "--json")
    after = json.loads(up("status", "--json"))["now"]
    assert (before[:19], after[:19]) == ("2026-11-30T01:00:00", "2026-12-01T15:00:00")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("0.5h", timedelta(minutes=30)),
        ("1d12h", timedelta(hours=36)),
    ],
)
def test_a_length_of_time_is_read(text, length):
    """Numbers with s, m, h or d."""
    assert duration(text) == length


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "2h3", "-2h", "2w", "2h "])
def test_what_is_no_length_of_time_is_said(text):
    """With what would be right."""
    with pytest.raises(InputError, match="90s, 15m, 2h, 3d or 1d12h"):
        duration(text)


def test_status_shows_what_it_holds(up):
    """Zones, messages, incidents, faults, requests."""
    said = up("status")
    for words in ("dns", "pagerduty", "slack", "it began at 2026-11-30T01:00:00Z"):
        assert words in said


def test_a_scenario_is_played(up):
    """By its name, and seen in what the world holds; another name is told what would be right."""
    held = "omnihub.dev: ns1.vercel-dns.com"
    assert held in up("status")
    assert held not in up("scenario", "person-switches-nameservers")
    with pytest.raises(InputError, match="right would be on-call-gap"):
        up("scenario", "on-call-gab")


def test_faults_are_set_and_lifted(up):
    """One at a time, listed; `none` lifts all; an unknown one is told which there are."""
    said = up("fault", "rate-limited", "--vendor", "slack", "--times", "3")
    assert "rate-limited on slack *, 3 times" in said
    assert "cut on * *, any number of times" in up("fault", "cut", "--times", "0")
    assert "fault: cut on * *" in up("status")
    assert up("fault", "none") == ""
    with pytest.raises(InputError, match="status, status-after"):
        up("fault", "gremlins")


def test_down_keeps_its_state_when_told(up, tmp_path):
    """`--keep`, then `up` again: the clock is where it was. Without, the folder is gone."""
    up("advance", "3d")
    assert "its state is kept" in up("down", "--keep")
    assert "it is 2026-12-03T01:00:00Z there" in up("up")
    assert up("down") == "the sandbox has ended\n"
    assert not (tmp_path / FOLDER).exists()
    assert up("down") == "no sandbox was running\n"


@pytest.mark.parametrize("words", [["status"], ["advance", "2h"], ["scenario", "x"], ["fault", "cut"]])
def test_without_a_sandbox_it_says_how_to_start_one(sandbox, words):
    """Nothing is started behind a person's back."""
    with pytest.raises(InputError, match="start it with: runbook sandbox up"):
        sandbox(*words)


def test_the_command_line_ends_with_exit_code_two(sandbox):
    """What was typed wrongly: no trace of Python, and the code that scripts go by."""
    command = [sys.executable, "-m", "runbook.cli", "sandbox", "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "runbook sandbox up" in done.stderr
    assert "Traceback" not in done.stderr


def test_up_with_postgres_has_a_database(sandbox):
    """By its own word; a sandbox that runs without is not given one behind a person's back."""
    assert "omnihub 127.0.0.1:" in sandbox("up", "--postgres")
    assert "omnihub, PostgreSQL" in sandbox("status")
    sandbox("down")
    sandbox("up")
    with pytest.raises(InputError, match="runs without PostgreSQL"):
        sandbox("up", "--postgres")
