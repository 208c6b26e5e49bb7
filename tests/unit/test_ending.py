"""Ending a run by hand and freeing what it holds: also when what surrounds it is broken."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook import ending, opening
from runbook.clock import FileClock, utc_text
from runbook.errors import InputError, LeftInBetween, StepFailed
from runbook.handover import handover
from runbook.journal import read_journal
from tests import verbs

START = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)
NOTEBOOK = "notebooks/drills/verbs.ipynb"


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = verbs.begin_project(tmp_path, monkeypatch, at=START)
    monkeypatch.setenv("RUNBOOK_WORLD", "shared")
    monkeypatch.setattr(opening, "_open_runs", {})
    return folder


def applied(plan=verbs.plan_undoable):
    run = opening.open_run("verbs", environment="sandbox", run_id="r1")
    run.apply(run.plan("move", plan, run.read("records", verbs.read_records)))
    return run


def lines(project):
    return read_journal(project / "outputs/r1/journal.jsonl")


@pytest.mark.parametrize("broken", ["params/plan.yaml", NOTEBOOK])
def test_the_way_back_needs_neither_plan_nor_notebook(project, broken):
    """At 02:00 one has an error in it, or is gone: what was applied is undone all the same."""
    applied().leave()
    (project / broken).unlink()
    summary = ending.abort(project, "r1", reason="stop it", rollback=True)
    assert {change.status for change in summary.changes} == {"undone"}
    assert verbs.state() == {"ttl": "3600", "traffic": "0"}


def test_a_run_that_was_done_can_be_undone_and_is_over_twice_at_most(project):
    """After finish too; a second time nothing is left to be done, and without rollback it is refused."""
    applied().finish()
    for _ in range(2):
        ending.abort(project, "r1", reason="stop it", rollback=True)
        assert len(verbs.calls()) == 6
    with pytest.raises(InputError, match="is over already"):
        ending.abort(project, "r1", reason="stop it", rollback=False)


def _refuse(_self, _step):
    raise StepFailed("the pager is down")


def test_what_cannot_be_undone_now_can_be_left(project, monkeypatch):
    """An undo fails: the rollback needs a person, who is told both ways on, and the second ends it."""
    applied(verbs.plan_move).leave()
    monkeypatch.setattr(verbs.OpenIncident, "undo", _refuse)
    with pytest.raises(LeftInBetween, match=r"--rollback --reason …, or leave it as it is: runbook abort r1"):
        ending.abort(project, "r1", reason="stop it", rollback=True)
    found = opening.summarize(lines(project))
    assert "runbook abort r1 --reason …" in [command.type for command in handover(found).next]
    assert ending.abort(project, "r1", reason="it was said", rollback=False).terminal


def test_a_release_is_on_record_at_the_runs_own_time(project, tmp_path):
    """The note stands in the run's record, by the clock of its environment."""
    applied().leave()
    FileClock(tmp_path / "clock").sleep_until(START + timedelta(hours=1))
    ending.release(project, "value ttl", environment="", reason="nobody works there")
    note = lines(project)[-1]
    assert (note.kind, note.data["reason"]) == ("note", "nobody works there")
    assert note.at == utc_text(START + timedelta(hours=1))


def test_a_release_under_a_run_that_works_is_told(project, capsys):
    """Its record is held by its process: who frees the resource is told that the run does not know."""
    run = applied()
    ending.release(project, "value ttl", environment="", reason="nobody works there")
    assert "the run that held it does not know: the run r1 is being executed" in capsys.readouterr().err
    assert lines(project)[-1].kind == "done"
    run.leave()
