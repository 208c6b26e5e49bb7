"""Which parked runs go on by themselves: those whose time has come, each once, and no copy of one."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from runbook import ending, opening
from runbook.clock import FileClock
from runbook.driving import Driver
from runbook.due import due_runs, is_due
from runbook.errors import InputError, Parked
from tests import verbs

START = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)
UNTIL = START + timedelta(hours=5)


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = verbs.begin_project(tmp_path, monkeypatch, at=START)
    monkeypatch.setattr(opening, "_open_runs", {})
    return folder


@pytest.fixture
def clock(tmp_path):
    return FileClock(tmp_path / "clock")


def park(run_id="r1"):
    opening._open_runs.clear()
    run = opening.open_run("verbs", environment="sandbox", run_id=run_id)
    with pytest.raises(Parked):
        run.wait("a while", until=UNTIL)
    run.leave()


def test_a_run_is_due_from_its_time_on(project, clock):
    """Not before, and the longest parked first."""
    park("r2")
    clock.sleep_until(START + timedelta(hours=1))
    park("r1")
    assert due_runs(project) == []
    clock.sleep_until(UNTIL)
    assert due_runs(project) == ["r2", "r1"]


def test_what_was_ended_since_it_was_listed_is_due_no_more(project, clock):
    """A look may take hours over the runs before: whoever is quicker, or aborts, is not overruled."""
    park()
    clock.sleep_until(UNTIL)
    assert is_due(project, "r1")
    ending.abort(project, "r1", reason="stop it", rollback=False)
    assert not is_due(project, "r1")


def test_a_run_that_is_over_is_not_driven(project):
    """Between a look and the lock somebody may end it: its record gets no further line."""
    park()
    begin = opening.beginning_of(project / "outputs/r1")
    ending.abort(project, "r1", reason="stop it", rollback=False)
    before = (project / "outputs/r1/journal.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"r1 is over.*runbook status r1"):
        Driver(project).run(begin)
    assert (project / "outputs/r1/journal.jsonl").read_bytes() == before


def test_a_copy_of_a_run_is_no_run(project, clock):
    """`cp -a r1 r1.bak`: it is never due, and what is typed at it does nothing to r1."""
    park()
    shutil.copytree(project / "outputs/r1", project / "outputs/r1.bak")
    clock.sleep_until(UNTIL)
    assert due_runs(project) == ["r1"]
    before = (project / "outputs/r1.bak/journal.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"record of r1: it is a copy"):
        ending.abort(project, "r1.bak", reason="tidy up", rollback=True)
    assert (project / "outputs/r1.bak/journal.jsonl").read_bytes() == before
