"""A run's verbs: each step on record before it returns, none done twice, refusals told."""

import json
import os

import pytest

from runbook import opening
from runbook.errors import (
    CheckFailed,
    InputError,
    JournalError,
    ParamsError,
    ReplayMismatch,
    RunBusy,
    StepFailed,
    UnfinishedRun,
)
from runbook.journal import read_journal
from runbook.summary import Conclusion
from runbook.values import Check
from tests import toy
from tests.project import OPEN, make_project

SECRET = 's3cr3t "quoted" \\ s3cr3t'


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = make_project(tmp_path / "project", cells=[OPEN])
    monkeypatch.setenv("RUNBOOK_ROOT", str(folder))
    monkeypatch.delenv("TOY_TOKEN", raising=False)
    monkeypatch.setattr(opening, "_open_runs", {})
    return folder


def open_toy(**options):
    given = {"environment": "sandbox", "run_id": "r1", "params": {"x": 1}} | options
    return opening.open_run("toy", **given)


def again(run, **options):
    """Open the same run as another process would, after the first is gone."""
    run._recorder.close()
    opening._open_runs.clear()
    return open_toy(**options)


def steps(run):
    number = run.read("the number", toy.read_number, 1)
    run.check("the number is right", toy.check_number, number)
    applied = run.apply(run.plan("write the number", toy.plan_write, number))
    return run.finish(run.read("what came of it", toy.conclude, applied))


def lines(project, run_id="r1"):
    return read_journal(project / "outputs" / run_id / "journal.jsonl")


def test_a_whole_run_leaves_its_record(project):
    """Every step is started and done on record; summary.json says what finish returned."""
    summary = steps(open_toy())
    assert (summary.status, summary.verdict) == ("done", "Wrote 1.")
    kinds = [record.kind for record in lines(project)]
    assert kinds.count("started") == kinds.count("done") == 5
    assert kinds[-1] == "finished"
    written = json.loads((project / "outputs/r1/summary.json").read_text())
    assert written["numbers"]["written"]["value"] == 1
    assert (project / "outputs/r1/evidence/number.txt").read_text() == "x is 1"


def test_a_finished_step_is_returned_not_repeated(project):
    """Another process takes the run up: recorded results come back equal, the world is not touched again."""
    run = open_toy()
    number = run.read("the number", toy.read_number, 1)
    applied = run.apply(run.plan("write the number", toy.plan_write, number))
    resumed = again(run)
    assert resumed.apply(resumed.plan("write the number", toy.plan_write, number)) == applied
    assert (project / "world.txt").read_text() == "1\n"
    assert sum(record.title == "write 1 to world.txt" for record in lines(project)) == 2


def test_an_effect_whose_record_was_lost_is_observed_not_doubled(project):
    """Applied, then killed before the record: the next attempt finds it there."""
    run = open_toy()
    plan = run.plan("write the number", toy.plan_write, 1)
    (project / "world.txt").write_text("1\n")
    run.apply(plan)
    assert (project / "world.txt").read_text() == "1\n"
    assert [r.data["state"] for r in lines(project) if r.kind == "change"] == ["found"]


def test_a_failed_check_refuses_is_tried_again_and_stays_on_record(project):
    """The message names observed and expected and the way on; mended, the same step passes."""
    run = open_toy(params={"x": 99})
    with pytest.raises(CheckFailed, match="too large: 99, expected at most 10") as caught:
        run.check("the number is right", toy.check_number, 99)
    assert "runbook resume r1" in caught.value.__notes__[0]
    summary = json.loads((project / "outputs/r1/summary.json").read_text())
    assert (summary["status"], summary["exit_code"]) == ("no-go", 3)
    assert summary["checks"][0]["observed"] == "99"
    with pytest.raises(CheckFailed):
        run.check("the number is right", toy.check_number, 99)
    assert [record.kind for record in lines(project)].count("failed") == 2


def test_a_check_that_looked_at_nothing_does_not_pass(project):
    """An empty table is a fault of the check, not a success."""
    with pytest.raises(CheckFailed, match="looked at nothing"):
        open_toy().check("nothing", lambda _step: [])


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_step_holds_open_is_let_go_at_its_end(project, fails):
    """However a step ends, no connection of it stays open."""
    closed = []

    class Line:
        def close(self):
            closed.append(self)

    def hold(step):
        step.held[Line] = Line()
        if fails:
            raise StepFailed("no")
        return len(closed)

    run = open_toy()
    if fails:
        with pytest.raises(StepFailed):
            run.read("held", hold)
    else:
        assert run.read("held", hold) == 0
    assert len(closed) == 1


def test_an_exception_in_a_step_is_on_record_and_goes_on(project):
    """The caller gets the exception itself; the record has its kind and message."""

    def fall_over(_step):
        raise OSError("the cable is out")

    with pytest.raises(OSError, match="cable"):
        open_toy().read("look", fall_over)
    failed = lines(project)[-1]
    assert (failed.kind, failed.data["error"], failed.data["message"]) == (
        "failed",
        "OSError",
        "the cable is out",
    )


def test_other_inputs_for_a_recorded_step_are_a_mismatch(project):
    """A step that has run keeps its inputs."""
    run = open_toy()
    run.read("the number", toy.read_number, 1)
    with pytest.raises(ReplayMismatch, match="the number"):
        again(run).read("the number", toy.read_number, 2)


def test_a_title_names_one_piece_of_work(project):
    """Two different steps under one title are refused; the same cell run twice is the same step."""
    run = open_toy()
    run.read("the number", toy.read_number, 1)
    assert run.read("the number", toy.read_number, 1) == 1
    with pytest.raises(ReplayMismatch, match="a title names one step"):
        run.check("the number", toy.check_number, 1)


def test_what_cannot_be_recorded_is_refused_before_anything_runs(project):
    """Inputs without a stable form would make every replay a mismatch."""
    with pytest.raises(InputError, match="cannot be recorded"):
        open_toy().read("x", toy.read_number, object())
    assert [record.kind for record in lines(project)] == ["opened"]


def test_mode_plan_changes_nothing_and_skips_what_depends_on_it(project):
    """Outside the sandbox a run is dry unless told otherwise, and says so."""
    summary = steps(open_toy(environment="production"))
    assert summary.verdict == "Planned only: nothing was changed."
    assert [step.status for step in summary.steps] == ["done", "done", "done", "skipped", "skipped"]
    assert not (project / "world.txt").exists()


def test_a_run_keeps_what_it_was_opened_with(project):
    """Another mode or other parameters under the same run_id are refused."""
    run = open_toy()
    for options in ({"mode": "plan"}, {"params": {"x": 2}}, {"environment": "production", "mode": "apply"}):
        with pytest.raises(ReplayMismatch):
            again(run, **options)


def test_a_run_taken_up_without_a_mode_keeps_its_own(project):
    """In production the default is to plan: who goes on with a run that applies need not say so again."""
    run = open_toy(environment="production", mode="apply")
    again_run = again(run, environment="production")
    assert again_run.opened["mode"] == "apply"


def test_two_processes_cannot_execute_one_run(project):
    """The second is told that it is being executed."""
    open_toy()
    opening._open_runs.clear()
    with pytest.raises(RunBusy, match="r1"):
        open_toy()


def test_the_same_kernel_gets_the_same_run(project):
    """Running the first cell again opens nothing new."""
    assert open_toy(run_id="") is open_toy(run_id="")
    assert len(list((project / "outputs").iterdir())) == 1


def test_an_unfinished_run_is_named_outside_the_sandbox(project):
    """A second run with the same parameters would do the same work twice."""
    run = open_toy(environment="production", run_id="toy-production-1")
    run._recorder.close()
    opening._open_runs.clear()
    with pytest.raises(UnfinishedRun, match="runbook resume toy-production-1"):
        open_toy(environment="production", run_id="")


def test_a_finished_run_is_only_shown(project):
    """Opened again, its steps come from the record, a new one is refused, and the journal is untouched."""
    run = open_toy()
    steps(run)
    before = (project / "outputs/r1/journal.jsonl").read_bytes()
    shown = again(run)
    assert steps(shown).verdict == "Wrote 1."
    with pytest.raises(StepFailed, match="did not come to"):
        shown.read("something new", toy.read_number, 1)
    assert (project / "outputs/r1/journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("run_id", ["../escape", "a/b", ".hidden", "x" * 200, "a b"])
def test_a_run_id_is_a_plain_name(project, run_id):
    """A run stays inside outputs/."""
    with pytest.raises(InputError):
        open_toy(run_id=run_id)
    assert not (project / "outputs").exists()


def test_wrong_parameters_touch_nothing_and_list_every_problem(project):
    """All problems at once, before a folder is made."""
    with pytest.raises(ParamsError) as caught:
        open_toy(params={"x": "many", "y": 2})
    assert {problem.key for problem in caught.value.problems} == {"x", "y"}
    assert not (project / "outputs").exists()


def test_a_secret_never_reaches_the_record(project, monkeypatch):
    """In a result it is refused, in an error and in evidence it is masked."""
    monkeypatch.setenv("TOY_TOKEN", "s3cr3t-s3cr3t")
    run = open_toy()
    with pytest.raises(StepFailed, match="TOY_TOKEN"):
        run.read("leak", lambda _step: "the token is s3cr3t-s3cr3t")

    def complain(step):
        step.evidence("reply.txt", "token=s3cr3t-s3cr3t")
        raise StepFailed("refused s3cr3t-s3cr3t")

    with pytest.raises(StepFailed):
        run.read("complain", complain)
    everything = b"".join(path.read_bytes() for path in (project / "outputs").rglob("*") if path.is_file())
    assert b"s3cr3t-s3cr3t" not in everything
    assert b"[TOY_TOKEN]" in everything


def test_work_in_a_lost_scratch_is_done_again(project):
    """What was made in a scratch folder is gone with its process; from there on the work is repeated."""
    made = []  # outside the record, to see how often the work is really done

    def make(step):
        made.append(step.scratch())
        return str(len(made))

    run = open_toy()
    run.read("before", toy.read_number, 1)
    assert run.read("make", make) == "1"
    run._scratch.close()
    resumed = again(run)
    resumed.read("before", toy.read_number, 1)
    assert resumed.read("make", make) == "2"
    resumed._scratch.close()
    notes = [record.title for record in lines(project) if "redo_from" in record.data]
    assert notes == ["done again from “make” on: its scratch folder is gone"]


def test_a_run_with_a_failed_step_cannot_be_finished(project):
    """In a notebook the next cell can be run after a failure; the record must not turn green by it."""
    run = open_toy(params={"x": 99})
    with pytest.raises(CheckFailed):
        run.check("the number is right", toy.check_number, 99)
    with pytest.raises(StepFailed, match="the number is right"):
        run.finish()
    assert lines(project)[-1].kind == "failed"


def test_a_failed_step_may_be_tried_with_other_inputs(project):
    """A mended argument in the same kernel is the same step's next attempt."""
    run = open_toy()
    with pytest.raises(CheckFailed):
        run.check("the number is right", toy.check_number, 99)
    assert run.check("the number is right", toy.check_number, 1).holds


def test_after_finish_nothing_more_is_recorded_in_the_same_kernel(project):
    """finish closes the journal: what is on record is shown, anything else refused."""
    run = open_toy()
    steps(run)
    assert run.read("the number", toy.read_number, 1) == 1
    with pytest.raises(StepFailed, match="is over"):
        run.read("something new", toy.read_number, 1)
    assert lines(project)[-1].kind == "finished"


def test_the_same_name_with_other_parameters_is_another_run(project):
    """In one kernel too: who asks for plan does not get a run that applies."""
    open_toy()
    for options in ({"params": {"x": 2}}, {"mode": "plan"}):
        with pytest.raises(ReplayMismatch):
            open_toy(**options)


def test_who_took_a_run_up_is_on_record(project):
    """The second process's account and versions stand where it began."""
    run = open_toy()
    run.read("the number", toy.read_number, 1)
    again(run)
    assert [record.kind for record in lines(project)][-1] == "resumed"


def test_an_interrupt_after_the_result_is_on_record_does_not_fail_the_step(project, monkeypatch):
    """Ctrl-C in the instant after `done` was written: the step is done, and nothing says otherwise."""
    run = open_toy()
    real = os.fsync

    def interrupt_after_done(handle):
        real(handle)
        if b'"kind":"done"' in (project / "outputs/r1/journal.jsonl").read_bytes():
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", interrupt_after_done)
        with pytest.raises(KeyboardInterrupt):
            run.read("the number", toy.read_number, 1)
    assert [record.kind for record in lines(project)] == ["opened", "started", "done"]
    assert run.read("the number", toy.read_number, 1) == 1


def test_a_failure_that_cannot_be_recorded_is_told_all_the_same(project, monkeypatch):
    """A full disk must not hide what went wrong."""
    run = open_toy()

    def fall_over(_step):
        monkeypatch.setattr(run._recorder, "append", refuse)
        raise StepFailed("the replica lags 40 minutes")

    def refuse(*_args, **_kwargs):
        raise JournalError("the disk is full")

    with pytest.raises(StepFailed, match="40 minutes") as caught:
        run.read("look", fall_over)
    assert "the disk is full" in caught.value.__notes__[0]


def test_a_run_in_scratch_changes_nothing_outside(project):
    """Its steps may be done again; an effect outside would be doubled."""
    run = open_toy()
    run.read("make", lambda step: str(step.scratch()))
    with pytest.raises(InputError, match="nothing outside"):
        run.apply(run.plan("write the number", toy.plan_write, 1))
    run._scratch.close()


LEAKS = {
    "conclusion": lambda run: run.finish(Conclusion(verdict=f"done with {SECRET}")),
    "checks": lambda run: run.check("c", lambda _: Check.of("x", holds=False, observed=SECRET, expected="-")),
    "title": lambda run: run.read(f"look at {SECRET}", toy.read_number, 1),
    "sentence": lambda run: run.apply(run.plan("p", lambda _: Secretive(number=1))),
}


@pytest.mark.parametrize("where", LEAKS)
def test_a_secret_reaches_the_record_by_no_way(project, monkeypatch, where):
    """A conclusion, a check's row, a title or a change's sentence: refused or masked, never written."""
    monkeypatch.setenv("TOY_TOKEN", SECRET)
    run = open_toy()
    with pytest.raises((StepFailed, CheckFailed)):
        LEAKS[where](run)
    everything = b"".join(path.read_bytes() for path in (project / "outputs").rglob("*") if path.is_file())
    assert SECRET.encode() not in everything
    assert json.dumps(SECRET)[1:-1].encode() not in everything


class Secretive(toy.WriteNumber):
    def sentence(self):
        return f"write with {SECRET}"


def test_the_evidence_of_every_attempt_is_kept(project):
    """A step tried again does not write over what the attempt before had seen."""
    run = open_toy()

    def look(step):
        step.evidence("reply.txt", "first half")
        step.evidence("reply.txt", f"attempt {len(lines(project))}")
        raise StepFailed("no")

    for _ in range(3):
        with pytest.raises(StepFailed):
            run.read("look", look)
    folder = project / "outputs/r1/evidence"
    assert {path.name for path in folder.iterdir()} == {"reply.txt", "reply.txt.1", "reply.txt.2"}
    assert len({path.read_text() for path in folder.iterdir()}) == 3
