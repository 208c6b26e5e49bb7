"""The canary's runbook from end to end: phase upon phase, aborted by hand, with a full disk, in mode plan."""

import errno
import json
import os
from pathlib import Path

import pytest

from runbook import opening
from runbook.account import summarize
from runbook.journal import FileJournal, read_journal
from runbook.sandbox.world.launch import WorldProcess
from tests.canary_projects import (
    CANARY,
    CURRENT,
    NOTEBOOK,
    PARAMETERS,
    canary_project,
    incidents,
    noon,
    shares,
    vercel,
)
from tests.chaos.harness import execute, in_a_process
from tests.runbooks.test_driving import runbook


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Give a project and a running world to all tests of this file."""
    folder = tmp_path_factory.mktemp("canary")
    with WorldProcess(folder / "world") as process:
        yield canary_project(folder / "project"), process.remote, folder / "world"


@pytest.fixture
def world(place, monkeypatch, tmp_path):
    project, remote, folder = place
    monkeypatch.setenv("RUNBOOK_ROOT", str(project))
    monkeypatch.setenv("RUNBOOK_WORLD", str(folder))
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path / "outputs"))
    (tmp_path / "outputs").mkdir()
    monkeypatch.setattr(opening, "_open_runs", {})
    noon(remote)
    return remote


@pytest.fixture
def project(place):
    return place[0]


def cli(project, *args, **more):
    """Call the command line with the environment that this test has."""
    names = ("RUNBOOK_WORLD", "RUNBOOK_OUTPUTS")
    return runbook(project, *args, **{name: os.environ[name] for name in names}, **more)


def run_phase(project, run_id, **params):
    given = {**PARAMETERS, **params}
    flags = [part for name, value in given.items() for part in ("-p", f"{name}={value}")]
    return cli(project, "run", "canary_phase", "--env", "sandbox", "--run-id", run_id, *flags)


def summary(run_id):
    return summarize(read_journal(Path(os.environ["RUNBOOK_OUTPUTS"], run_id, "journal.jsonl")))


def reserved():
    """Return what is reserved for which runbook's next run; messages are nobody else's."""
    files = Path(os.environ["RUNBOOK_OUTPUTS"], ".reservations").rglob("*.json")
    held = [json.loads(file.read_text()) for file in files]
    return {one["resource"]: one["kept_for"] for one in held if "messages" not in one["resource"]}


def test_phases_rest_on_each_other_and_keep_the_project(project, world):
    """The second takes the first one's reservation over, and judges by the same ordinary day."""
    first = run_phase(project, "r1")
    assert first.returncode == 0, first.stdout
    assert reserved() == {"production of omnihub-web at Vercel": "canary_phase"}
    second = run_phase(project, "r2", phase=2, previous="r1")
    assert second.returncode == 0, second.stderr
    assert shares(world) == [0.0, 5.0, 25.0]
    assert vercel(world)["project"].popitem()[1]["auto_assign"] is False
    third = run_phase(project, "r3", phase=3, previous="r1")
    assert third.returncode == 3
    assert "was phase 2 of the same build" in third.stderr + third.stdout
    assert shares(world) == [0.0, 5.0, 25.0]


def test_an_operator_ends_a_canary_that_waits(project, world, monkeypatch):
    """`abort --rollback` on a parked run: everybody has the build before, PagerDuty and Slack are told."""
    world.play("low-traffic")
    monkeypatch.setenv("RUNBOOK_REHEARSED_SIGNATURES", "plans")
    parked = run_phase(project, "r1")  # the day before was ordinary, so it begins
    assert parked.returncode == 75, parked.stdout
    ended = cli(project, "abort", "r1", "--rollback", "--reason", "enough of it")
    assert ended.returncode == 0, ended.stderr
    assert shares(world)[-1] == 0.0
    assert incidents(world) == ["r1/hold", "r1/rollback"]
    assert any("was rolled back" in doc["text"] for doc in world.dump()["slack"]["messages"].values())


def test_a_rollback_needs_no_disk(project, world, capfd):
    """From the decision on nothing can be written: the visitors are back, and somebody is paged."""
    world.play("bad-release")
    write = FileJournal._write

    def full(self, line):
        if any((one.kind, one.title) == ("done", "the canary at its share") for one in self.records):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, line)

    def work():
        FileJournal._write = full
        return execute(project / NOTEBOOK, {**PARAMETERS, "run_id": "r1"})

    in_a_process(work)
    assert "NOT ON RECORD" in capfd.readouterr().err
    assert shares(world)[-1] == 0.0
    assert vercel(world)["project"].popitem()[1]["production"] == CURRENT
    assert incidents(world) == ["r1/rollback"]


def test_mode_plan_shows_everything_and_moves_nobody(project, world):
    """What would be done is on record with its digest; no visitor, no message, no mark."""
    parameters = {**PARAMETERS, "run_id": "r1", "mode": "plan"}
    assert in_a_process(lambda: execute(project / NOTEBOOK, parameters)) == 0
    assert shares(world) == [0.0]
    found = summary("r1")
    assert (found.status, found.mode) == ("done", "plan")
    assert len(world.dump()["slack"]["messages"]) == 1  # the one that every world begins with
    assert CANARY not in str(world.dump()["vercel"].get("releases", {}))
