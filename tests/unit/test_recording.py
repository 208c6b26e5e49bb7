"""One record, several hands: what an open kernel may add to a run that others went on with, or ended."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook import ending, opening
from runbook.clock import FileClock
from runbook.errors import OutOfOrder, Parked, StepFailed
from runbook.journal import FileJournal, read_journal
from runbook.seals import SUMS, write_sums
from tests import verbs
from tests.notebooks import write_notebook

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


def open_verbs(**options):
    return opening.open_run("verbs", **({"environment": "sandbox", "run_id": "r1"} | options))


def park(run):
    with pytest.raises(Parked):
        run.wait("a while", until=UNTIL)
    return run


def kinds(project):
    return [line.kind for line in read_journal(project / "outputs/r1/journal.jsonl")]


def move(run):
    run.apply(run.plan("move", verbs.plan_undoable, run.read("records", verbs.read_records)))


def test_a_kernel_left_open_does_not_go_on_with_a_run_that_was_aborted(project, clock):
    """Parked here, aborted there: no step is added, nothing reaches the world, and the refusal says why."""
    run = park(open_verbs())
    ending.abort(project, "r1", reason="stop it", rollback=False)
    clock.sleep_until(UNTIL)
    before = kinds(project)
    for attempt in (lambda: run.wait("a while", until=UNTIL), lambda: move(run), run.rollback):
        with pytest.raises(StepFailed, match=r"run r1 is over.*runbook (status r1|abort r1 --rollback)"):
            attempt()
    assert run.finish().status == "no-go"
    assert kinds(project) == before
    assert verbs.calls() == []


def test_a_kernel_left_open_does_not_end_a_run_twice(project, clock):
    """Parked here, finished there: finish shows what it came to and writes nothing."""
    run = park(open_verbs())
    opening._open_runs.clear()
    clock.sleep_until(UNTIL)
    other = open_verbs()
    other.wait("a while", until=UNTIL)
    other.finish()
    assert run.finish().status == "done"
    assert kinds(project).count("finished") == 1


def test_a_kernel_that_goes_on_after_another_hand_says_so(project, clock):
    """A driver took it up in between and saw it park: that word no longer holds once the kernel goes on."""
    run = park(open_verbs())
    data = {"how": "raised", "error": "Parked", "message": "", "times": {}, "exit_code": 75}
    journal = FileJournal.open(project / "outputs/r1/journal.jsonl", clock=clock)
    journal.append("ended", "the notebook's execution: raised", data=data)
    journal.close()
    clock.sleep_until(UNTIL)
    run.wait("a while", until=UNTIL)
    assert run.finish().status == "done"
    assert kinds(project).count("resumed") == 1


def test_a_kernel_that_goes_on_after_a_seal_names_it(project, clock):
    """Parked, sealed, taken up by the same kernel: the seal is kept, and the record names it."""
    run = park(open_verbs())
    write_sums(project / "outputs/r1")
    clock.sleep_until(UNTIL)
    run.wait("a while", until=UNTIL)
    assert run.finish().predecessor
    assert (project / "outputs/r1/evidence/seals/1" / SUMS).is_file()


def test_a_kernel_that_nobody_interrupted_says_nothing_of_it(project, clock):
    """Parked and gone on with, by one process: no line but those of its steps."""
    run = park(open_verbs())
    clock.sleep_until(UNTIL)
    run.wait("a while", until=UNTIL)
    assert "resumed" not in kinds(project)


def test_an_end_that_skips_steps_is_refused(project):
    """What the notebook holds and the record does not is named; nothing is closed."""
    cells = [verbs.CELLS[0], *verbs.CELLS[1:3], "run.finish()"]
    write_notebook(project / "notebooks/drills/verbs.ipynb", *cells, parameters=verbs.PARAMETERS)
    run = open_verbs()
    records = run.read("records", verbs.read_records)
    with pytest.raises(OutOfOrder, match="“the TTL is known” is not on record"):
        run.finish()
    run.check("the TTL is known", verbs.ttl_is_known, records)
    assert run.finish().status == "done"
