"""A run in the sandbox meets the rehearsal world that RUNBOOK_WORLD names: its clock, vendors and secrets."""

from datetime import timedelta

import pytest

from runbook import opening
from runbook.clock import WallClock
from runbook.errors import InputError
from runbook.journal import read_journal
from runbook.sandbox.world.launch import WorldProcess
from tests.project import OPEN, make_project


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project", cells=[OPEN])
    file = folder / "params/sandbox/environment.yaml"
    gates = "{approvals: rehearsed, inline_wait_s: 100000}"
    file.write_text(file.read_text().replace("{approvals: rehearsed}", gates))
    monkeypatch.setenv("RUNBOOK_ROOT", str(folder))
    monkeypatch.setattr(opening, "_open_runs", {})
    return folder


@pytest.fixture
def world(tmp_path, monkeypatch):
    with WorldProcess(tmp_path / "world") as process:
        monkeypatch.setenv("RUNBOOK_WORLD", str(tmp_path / "world"))
        yield process.remote


def open_toy():
    return opening.open_run("toy", environment="sandbox", run_id="r1", params={"x": 1})


def channels(step):
    rehearsal = step.rehearsal()
    return sorted(rehearsal.secrets)


def test_a_run_goes_by_the_worlds_clock(project, world):
    """Waiting moves the world on, and its times stand in the record."""
    before = world.now()
    run = open_toy()
    run.wait("a day", until=before + timedelta(hours=20))
    assert world.now() >= before + timedelta(hours=20)
    lines = read_journal(project / "outputs/r1/journal.jsonl")
    assert lines[-1].at >= before.isoformat()[:19]


def test_a_step_meets_the_worlds_vendors(project, world):
    """Their addresses and made-up secrets come from the world, none from the environment's files."""
    assert "slack" in open_toy().read("vendors", channels)


def test_without_a_world_a_step_that_needs_one_says_how_to_start_it(project, monkeypatch):
    """And the clock is the wall's: a drill on a real PostgreSQL needs no world."""
    monkeypatch.delenv("RUNBOOK_WORLD", raising=False)
    assert isinstance(opening.clock_of("sandbox"), WallClock)
    with pytest.raises(InputError, match="runbook sandbox up"):
        open_toy().read("vendors", channels)
