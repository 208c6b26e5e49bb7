"""The verbs that change things: gates before the first effect, each effect once, the way back."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from runbook import opening
from runbook.changes.interface import Plan
from runbook.clock import FileClock
from runbook.errors import (
    ApprovalRefused,
    Drifted,
    InputError,
    LeftInBetween,
    NoGo,
    OutOfOrder,
    OverLimit,
    Parked,
    ReplayMismatch,
    Reserved,
    RunBusy,
    StepFailed,
)
from runbook.journal import read_journal
from tests import verbs
from tests.project import make_project

START = datetime(2026, 1, 1, 1, 0, tzinfo=UTC)


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


def again(run, **options):
    """Open the same run as another process would, after the first is gone."""
    run.leave()
    opening._open_runs.clear()
    return open_verbs(**options)


def gates(project, text, *, environment="sandbox"):
    """Give an environment other gates."""
    file = project / "params" / environment / "environment.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("gates:")]
    file.write_text("\n".join([*lines, f"gates: {{approvals: rehearsed, {text}}}"]) + "\n")


def lines(project, kind=None):
    found = read_journal(project / "outputs/r1/journal.jsonl")
    return [line for line in found if kind in (None, line.kind)]


def states(project):
    return [(line.title, line.data["state"]) for line in lines(project, "change")]


def planned(run):
    return run.plan("move", verbs.plan_move, run.read("records", verbs.read_records))


def test_each_change_is_observed_applied_and_verified_once(project):
    """Four changes of three classes: each reaches the world once, with its state on record."""
    run = open_verbs()
    run.apply(planned(run))
    assert [line["what"] for line in verbs.calls()] == ["set ttl 300", "set traffic 5", "incident", "message"]
    assert [state for _, state in states(project)] == ["applying", "applied"] * 4
    summary = run.summary()
    assert {line.status for line in summary.changes} == {"applied"}


def test_what_is_in_place_already_is_found_not_applied(project):
    """Observing tells it; nothing reaches the world, and a rollback will leave it alone."""
    run = open_verbs()
    plan = planned(run)
    verbs.put("ttl", "300")
    run.apply(plan)
    assert states(project)[0] == ("set ttl to 300", "found")
    run.rollback()
    assert verbs.state() == {"ttl": "300", "traffic": "0"}


def test_drift_before_the_first_effect_stops_everything(project):
    """Neither from nor to: nothing is applied, the message says what was seen and expected."""
    run = open_verbs()
    plan = planned(run)
    verbs.put("ttl", "77")
    with pytest.raises(Drifted, match=r"ttl 77.*ttl 3600.*ttl 300"):
        run.apply(plan)
    assert verbs.calls() == []
    run.leave()
    assert run.summary().exit_code == 3


def test_drift_in_the_middle_leaves_in_between(project):
    """The first change is applied, the second has drifted: a person is needed, and both are named."""
    run = open_verbs()
    plan = planned(run)
    verbs.put("traffic", "50")
    with pytest.raises(Drifted):
        run.apply(plan)
    run.leave()
    summary = run.summary()
    assert (summary.status, summary.exit_code) == ("left in between", 4)
    assert any("set ttl to 300: applied" in reason for reason in summary.reasons)


def test_an_effect_that_does_not_settle_is_not_done(project, monkeypatch):
    """Accepted and not there: after the change's time it fails, in doubt, and resuming looks first."""
    run = open_verbs()
    plan = planned(run)
    monkeypatch.setattr(verbs, "put", lambda *_: None)
    with pytest.raises(StepFailed, match="still 'ttl 3600'"):
        run.apply(plan)
    run.leave()
    assert run.summary().status == "left in between"
    monkeypatch.undo()
    monkeypatch.setenv("RUNBOOK_ROOT", str(project))
    verbs.put("ttl", "300")  # it came late
    run = again(run)
    run.apply(planned(run))
    assert states(project)[1:3] == [("set ttl to 300", "applied"), ("set traffic to 5", "applying")]


def test_a_keyed_effect_in_doubt_is_sent_again_with_the_same_key(project, monkeypatch):
    """Killed between effect and record: the vendor sees one incident, by its key."""
    run = open_verbs()
    plan = planned(run)
    with monkeypatch.context() as patched:
        patched.setattr(verbs, "happened", lambda: _die_after("incident"))
        with pytest.raises(KeyboardInterrupt):
            run.apply(plan)
    run = again(run)
    run.apply(planned(run))
    keys = [line["key"] for line in verbs.calls("incident")]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert len(verbs.calls("set")) == 2


def _die_after(what):
    if verbs.calls()[-1]["what"].startswith(what):
        raise KeyboardInterrupt


def test_a_message_in_doubt_is_said_again_and_says_so(project, monkeypatch):
    """At least once: the second one is marked as a possible repetition."""
    run = open_verbs()
    plan = planned(run)
    with monkeypatch.context() as patched:
        patched.setattr(verbs, "happened", lambda: _die_after("message"))
        with pytest.raises(KeyboardInterrupt):
            run.apply(plan)
    run = again(run)
    run.apply(planned(run))
    assert [line["repeated"] for line in verbs.calls("message")] == [False, True]


@pytest.mark.parametrize(("answer", "orders"), [("took effect", 1), ("try again", 2)])
def test_what_only_a_person_can_tell_asks_one(project, monkeypatch, answer, orders):
    """In doubt, it is not applied a second time until somebody has looked and said what holds."""
    run = open_verbs()
    with monkeypatch.context() as patched:
        patched.setattr(verbs, "happened", lambda: _die_after("order"))
        with pytest.raises(KeyboardInterrupt):
            run.apply(run.plan("order", verbs.plan_order))
    run = again(run)
    with pytest.raises(LeftInBetween, match=r"resume r1 --took-effect.*--try-again"):
        run.apply(run.plan("order", verbs.plan_order))
    assert len(verbs.calls("order")) == 1
    monkeypatch.setenv("RUNBOOK_ANSWER", answer)
    run = again(run)
    run.apply(run.plan("order", verbs.plan_order))
    assert len(verbs.calls("order")) == orders
    assert lines(project, "resumed")[-1].data["answer"] == answer


def test_a_plan_over_its_limit_raises(project):
    """The blast radius is what the environment allows, by what changes count."""
    gates(project, "limits: {values: 1}")
    run = open_verbs()
    with pytest.raises(OverLimit, match="2 values, at most 1"):
        planned(run)


def test_another_plan_under_a_begun_apply_is_refused(project, monkeypatch):
    """Half of one plan and half of another is what nobody approved."""
    run = open_verbs()
    plan = planned(run)
    verbs.put("traffic", "50")
    with pytest.raises(Drifted):
        run.apply(plan)
    other = Plan(title="move", changes=plan.changes[:1])
    with pytest.raises(ReplayMismatch, match="another plan"):
        run.apply(other)


@pytest.mark.parametrize("title", ["move", "made by hand"])
def test_only_a_plan_on_record_is_applied(project, title):
    """Part of a plan, or one made by hand, could not be undone: a rollback reads the plan from the record."""
    run = open_verbs()
    plan = planned(run)
    with pytest.raises(InputError, match=f"“{title}” is not on record as a plan with these changes"):
        run.apply(Plan(title=title, changes=plan.changes[1:]))
    assert verbs.calls() == []
    run.apply(plan)
    assert len(verbs.calls()) == 4


def test_a_rollback_undoes_newest_first_and_names_what_stays(project):
    """What has no undo was said to have none: it stays, and is named; the rest is undone and verified."""
    run = open_verbs()
    run.apply(planned(run))
    result = run.rollback()
    assert result.stays == ("post a message (no undo: what was said was said)",)
    assert verbs.state() == {"ttl": "3600", "traffic": "0"}
    assert [line["what"] for line in verbs.calls()][4:] == ["resolve", "undo traffic 0", "undo ttl 3600"]
    run.leave()
    summary = run.summary()
    assert (summary.status, summary.exit_code) == ("no-go", 3)
    assert [line.status for line in summary.changes] == ["undone", "undone", "undone", "stays"]


def test_a_run_that_was_rolled_back_waits_for_nothing(project):
    """What was applied is no longer there: waiting for it, or watching it, is refused."""
    run = open_verbs()
    run.apply(undoable(run))
    run.rollback()
    with pytest.raises(NoGo, match="was rolled back"):
        run.wait("a moment", until=START)


def test_a_rollback_in_mode_plan_is_skipped(project):
    """Nothing was applied, so there is nothing to undo: exit 0."""
    run = open_verbs(mode="plan")
    undoable(run)
    run.rollback()
    run.rollback()
    assert run.finish().exit_code == 0


def moved(step, records):
    return verbs.plan_move(step, records)[:3]


def undoable(run):
    return run.plan("move", moved, run.read("records", verbs.read_records))


def test_a_rollback_goes_on_past_a_failing_undo(project, monkeypatch):
    """One undo fails: the others are made all the same, and it is reported with its reason."""
    run = open_verbs()
    run.apply(undoable(run))
    with monkeypatch.context() as patched:
        patched.setattr(verbs.OpenIncident, "undo", _refuse)
        with pytest.raises(LeftInBetween, match="the pager is down"):
            run.rollback()
    assert verbs.state() == {"ttl": "3600", "traffic": "0"}
    result = run.rollback()
    assert result.left == ()
    run.leave()
    assert (run.summary().status, run.summary().exit_code) == ("no-go", 3)


def _refuse(_self, _step):
    raise StepFailed("the pager is down")


def test_a_rollback_does_not_touch_what_somebody_else_has_changed_since(project):
    """A third state is not of our making: it is left, and named with what it was before."""
    run = open_verbs()
    run.apply(undoable(run))
    verbs.put("traffic", "100")
    with pytest.raises(LeftInBetween, match=r"traffic 100.*left as it is"):
        run.rollback()
    assert verbs.state()["traffic"] == "100"
    assert verbs.state()["ttl"] == "3600"


def test_a_rollback_needs_no_writable_journal(project, monkeypatch, capsys):
    """The disk is full: it goes on, says what it does on stderr, and the record says later what it lacks."""
    run = open_verbs()
    run.apply(undoable(run))
    real = run._recorder._journal.append

    def full(*_args, **_kwargs):
        raise opening.JournalError("no space left on device")

    monkeypatch.setattr(run._recorder._journal, "append", full)
    run.rollback()
    assert verbs.state() == {"ttl": "3600", "traffic": "0"}
    assert "NOT ON RECORD" in capsys.readouterr().err
    monkeypatch.setattr(run._recorder._journal, "append", real)
    run.rollback()
    run.leave()
    assert run.summary().lost_lines > 0


def test_a_short_wait_is_held_and_a_long_one_parks(project, clock):
    """Held: time passes in the step. Parked: the process may end, and nobody holds the run meanwhile."""
    run = open_verbs()
    records = run.read("records", verbs.read_records)
    assert run.wait("a moment", until=START + timedelta(seconds=30)).until == START + timedelta(seconds=30)
    with pytest.raises(Parked, match="2026-01-01 02:00:00"):
        run.wait("an hour", until=verbs.in_an_hour(records))
    summary = run.summary()
    assert summary.waits_until == START + timedelta(hours=1)
    clock.sleep_until(START + timedelta(hours=1))
    assert run.wait("an hour", until=verbs.in_an_hour(records)).seen_at == START + timedelta(hours=1)


def test_a_parked_run_may_be_taken_up_by_another_process(project, clock):
    """Parked in JupyterLab, resumed by cron: the kernel gets what the other process recorded."""
    run = open_verbs()
    records = run.read("records", verbs.read_records)
    with pytest.raises(Parked):
        run.wait("an hour", until=verbs.in_an_hour(records))
    opening._open_runs.clear()
    other = open_verbs()
    clock.sleep_until(START + timedelta(hours=1))
    other.read("records", verbs.read_records)
    other.wait("an hour", until=verbs.in_an_hour(records))
    with pytest.raises(RunBusy):
        run.read("more", verbs.read_records)
    assert run.wait("an hour", until=verbs.in_an_hour(records)).seen_at == START + timedelta(hours=1)
    other.leave()
    assert run.read("more", verbs.read_records).ttl == "3600"


def test_a_watch_looks_until_its_end_and_keeps_its_looks(project):
    """Every look is on record; a gap in which nobody looked stands in the verdict."""
    gates(project, "inline_wait_s: 3600")
    run = open_verbs()
    seen = run.watch("canary", verbs.look, until=START + timedelta(hours=1), every_s=600, max_look_gap_s=500)
    assert (seen.decision, seen.looks) == ("proceed", 7)
    assert len(seen.gaps_s) == 6
    assert len(lines(project, "looked")) == 7


def test_a_watch_parks_between_its_looks_and_goes_on(project, clock):
    """Looks on record are not repeated when the run is taken up again."""
    run = open_verbs()
    with pytest.raises(Parked):
        run.watch("canary", verbs.look, until=START + timedelta(hours=1), every_s=1800)
    clock.sleep_until(START + timedelta(minutes=30))
    run = again(run)
    with pytest.raises(Parked):
        run.watch("canary", verbs.look, until=START + timedelta(hours=1), every_s=1800)
    clock.sleep_until(START + timedelta(hours=1))
    run = again(run)
    assert run.watch("canary", verbs.look, until=START + timedelta(hours=1), every_s=1800).looks == 3


def test_a_verdict_to_roll_back_undoes_and_ends_the_run(project):
    """The watch ends early, everything is undone, NoGo is raised, and nobody takes the run up again."""
    gates(project, "inline_wait_s: 3600")
    run = open_verbs()
    run.apply(undoable(run))
    seen = run.watch("canary", verbs.look, until=START + timedelta(hours=9), every_s=600, verdict="rollback")
    assert seen.looks == 2
    with pytest.raises(NoGo, match="2 looks, rollback"):
        run.decide(seen)
    assert verbs.state() == {"ttl": "3600", "traffic": "0"}
    summary = run.summary()
    assert (summary.status, summary.exit_code, summary.terminal) == ("no-go", 3, True)
    shown = again(run)
    shown.apply(undoable(shown))
    again_seen = shown.watch(
        "canary", verbs.look, until=START + timedelta(hours=9), every_s=600, verdict="rollback"
    )
    with pytest.raises(NoGo):
        shown.decide(again_seen)


def test_skipping_ahead_names_the_missing_step(project):
    """In JupyterLab any cell may be run; a step whose predecessor is missing is not."""
    project = make_project(
        project.parent / "whole", cells=verbs.CELLS, parameters=verbs.PARAMETERS, name="verbs"
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RUNBOOK_ROOT", str(project))
        run = open_verbs()
        with pytest.raises(OutOfOrder, match="“records”"):
            run.plan("move", moved, verbs.Records(ttl="1", read_at=START))
        records = run.read("records", verbs.read_records)
        with pytest.raises(OutOfOrder, match="the TTL is known"):
            run.plan("move", moved, records)


def edited(project, cells):
    notebook = project / "notebooks/drills/verbs.ipynb"
    notebook.unlink()
    from tests.notebooks import write_notebook  # noqa: PLC0415

    write_notebook(notebook, *cells, parameters=verbs.PARAMETERS)


def test_a_notebook_edited_after_its_record_goes_on_and_says_so(project):
    """New steps behind the recorded ones are fine; that it was edited is on record."""
    run = open_verbs()
    run.read("records", verbs.read_records)
    edited(project, [*verbs.CELLS[:2], 'run.read("more", verbs.read_records)'])
    run = again(run)
    run.read("records", verbs.read_records)
    run.read("more", verbs.read_records)
    assert [line.title for line in lines(project, "note")] == ["the notebook was edited"]
    assert run.summary().edits == 1


@pytest.mark.parametrize("put", ["in front", "away"])
def test_a_notebook_that_parts_from_its_record_is_refused(project, put):
    """A step put before a recorded one, or a recorded one taken out: ReplayMismatch names it."""
    new = 'run.read("new", verbs.read_records)'
    edited(project, verbs.CELLS[:3])
    run = open_verbs()
    records = run.read("records", verbs.read_records)
    run.check("the TTL is known", verbs.ttl_is_known, records)
    cells = [verbs.CELLS[0], new, *verbs.CELLS[1:3]] if put == "in front" else [*verbs.CELLS[:2], new]
    edited(project, cells)
    run = again(run)
    if put == "away":
        run.read("records", verbs.read_records)
    named = "the TTL is known" if put == "away" else "records|the TTL is known"
    with pytest.raises(ReplayMismatch, match=named):
        run.read("new", verbs.read_records)


def test_what_is_changed_is_held_until_the_run_is_over(project, monkeypatch):
    """A second run is refused with the first one's name; after finish it may go on."""
    monkeypatch.setenv("RUNBOOK_WORLD", "shared")
    run = open_verbs()
    run.apply(undoable(run))
    opening._open_runs.clear()
    other = open_verbs(run_id="r2")
    plan = undoable(other)
    with pytest.raises(Reserved, match=r"held by the run r1 .*runbook release"):
        other.apply(plan)
    run.finish()
    other.apply(plan)


def test_a_resource_may_be_kept_for_the_next_run_of_a_runbook(project, monkeypatch):
    """Through all phases of a canary: only the next phase takes it over."""
    monkeypatch.setenv("RUNBOOK_WORLD", "shared")
    run = open_verbs()
    run.apply(undoable(run))
    run.finish(keep_for="verbs")
    (held,) = {(r.run_id, r.kept_for) for r in run._reservations.held()}
    assert held == ("r1", "verbs")
    opening._open_runs.clear()
    other = open_verbs(run_id="r2")
    other.apply(undoable(other))
    assert {r.run_id for r in other._reservations.held()} == {"r2"}


def test_a_death_in_the_middle_of_finish_frees_nothing_that_is_kept(project, monkeypatch):
    """Killed right after the run is over: what the next phase needs is kept for it already."""
    monkeypatch.setenv("RUNBOOK_WORLD", "shared")
    run = open_verbs()
    run.apply(undoable(run))
    with monkeypatch.context() as patched:
        patched.setattr(run._recorder, "write_summary", _die)
        with pytest.raises(KeyboardInterrupt):
            run.finish(keep_for="canary_phase")
    assert lines(project)[-1].kind == "finished"
    assert {held.kept_for for held in run._reservations.held()} == {"canary_phase"}


def _die():
    raise KeyboardInterrupt


def test_what_is_kept_for_a_runbook_is_refused_to_others_by_name(project, monkeypatch):
    """The run that held it is over: nobody is told to let it end, and the command is as a shell takes it."""
    monkeypatch.setenv("RUNBOOK_WORLD", "shared")
    run = open_verbs()
    run.apply(undoable(run))
    run.finish(keep_for="canary_phase")
    opening._open_runs.clear()
    other = open_verbs(run_id="r2")
    with pytest.raises(Reserved, match=r"keeps it for the next run of canary_phase.*release 'value ttl'"):
        other.apply(undoable(other))


def test_a_reservation_that_goes_while_it_is_read_is_none(project, monkeypatch):
    """Another run gives one back between the look into the folder and the file: no run falls over it."""
    monkeypatch.setenv("RUNBOOK_WORLD", "shared")
    run = open_verbs()
    run.apply(undoable(run))
    (project / "outputs/.reservations/sandbox/shared/gone.json").symlink_to("nowhere")
    assert len(run._reservations.held()) == 3
    assert run.finish().status == "done"


def test_what_is_changed_after_a_rollback_is_named(project):
    """Rolled back, and then something new was applied: the account does not hide what is in place."""
    run = open_verbs()
    records = run.read("records", verbs.read_records)
    run.apply(run.plan("move", moved, records))
    run.rollback()
    run.apply(run.plan("tell", verbs.plan_order))
    summary = run.finish()
    assert "in place: order a certificate" in summary.reasons


def test_a_window_parks_the_apply_until_it_opens(project, clock):
    """01:00: the plan's low-traffic window opens at 02:00; what was approved waits for it."""
    gates(project, "windows: {verbs: low traffic}")
    run = open_verbs()
    plan = undoable(run)
    with pytest.raises(Parked, match="02:00 UTC: the window “low traffic”"):
        run.apply(plan)
    assert verbs.calls() == []
    clock.sleep_until(START + timedelta(hours=1))
    run.apply(plan)
    assert len(verbs.calls()) == 3


def test_a_freeze_holds_up_everything_but_a_rollback(project, clock):
    """Nothing is changed before it is over; the way back is never held up."""
    run = open_verbs()
    run.apply(undoable(run))
    gates(
        project,
        'freezes: [{says: holidays, starts_at: "2026-01-01T00:00:00Z", ends_at: "2026-01-05T00:00:00Z"}]',
    )
    run = again(run)
    run.apply(undoable(run))
    run.rollback()
    assert verbs.state()["ttl"] == "3600"
    opening._open_runs.clear()
    other = open_verbs(run_id="r2")
    with pytest.raises(Parked, match="2026-01-05 00:00 UTC: the freeze “holidays”"):
        other.apply(undoable(other))


def test_an_apply_needs_an_approval_where_people_sign(project):
    """In production nothing is applied without; the message says how the notebook asks."""
    run = open_verbs(environment="production", mode="apply")
    with pytest.raises(ApprovalRefused, match=r"run\.approve\(plan\)"):
        run.apply(undoable(run))
    assert verbs.calls() == []


def test_mode_plan_skips_every_verb_that_acts(project):
    """A dry run reads, checks and plans; the rest says that it was skipped."""
    run = open_verbs(mode="plan")
    plan = undoable(run)
    run.approve(plan)
    run.apply(plan)
    run.wait("an hour", until=START + timedelta(hours=1))
    seen = run.watch("canary", verbs.look, until=START + timedelta(hours=1))
    run.decide(seen)
    summary = run.finish()
    assert [step.status for step in summary.steps][-5:] == ["skipped"] * 5
    assert verbs.calls() == []


def test_an_older_drill_is_marked_abandoned(project):
    """In the sandbox a new run of the same drill takes the place of an unfinished one."""
    first = open_verbs(run_id="")
    first.read("records", verbs.read_records)
    first.leave()
    opening._open_runs.clear()
    open_verbs(run_id="")
    found = json.loads((project / "outputs" / first.run_id / "journal.jsonl").read_text().splitlines()[-1])
    assert (found["kind"], found["data"]["abandoned"]) == ("aborted", True)


def test_a_rollback_that_died_in_its_middle_needs_a_person(project, monkeypatch):
    """Something is undone and something is not: exit 4, until the rollback has been taken up and ended."""
    run = open_verbs()
    run.apply(undoable(run))
    with monkeypatch.context() as patched:
        patched.setattr(verbs, "happened", lambda: _die_after("undo traffic"))
        with pytest.raises(KeyboardInterrupt):
            run.rollback()
    run.leave()
    summary = run.summary()
    assert (summary.status, summary.exit_code) == ("left in between", 4)
    assert any("set ttl to 300: applied" in reason for reason in summary.reasons)
