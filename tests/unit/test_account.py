"""From journal lines to the account of a run: statuses, verdicts, exit codes."""

import pytest

from runbook.account import summarize
from runbook.errors import JournalCorrupt
from runbook.journal import GENESIS, Record, encode
from runbook.summary import Conclusion, Number
from runbook.values import Check, Checks

FAILED = Check.of("segment 7", holds=False, observed="missing", expected="present")
OPENED = {
    "run_id": "r1",
    "runbook": "toy",
    "environment": "sandbox",
    "mode": "apply",
    "params": {"n": 1},
    "opened_by": "ada",
    "versions": {"Python": "3.11"},
}


def journal(*lines, opened=OPENED):
    """Return records from (kind, title, data)."""
    records = []
    for seq, (kind, title, data) in enumerate([("opened", "toy", opened), *lines], start=1):
        at = f"2026-01-01T00:00:{seq:02d}.000000Z"
        prev = records[-1].hash if records else GENESIS
        record, _ = Record.make(seq=seq, at=at, kind=kind, title=title, key="k", data=data, prev=prev)
        records.append(record)
    return records


def change_data(step, state, *, in_scratch=False):
    return {"step": step, "number": 1, "state": state, "in_scratch": in_scratch, "resource": "zone a"}


def ended(verb="read", seconds=0.5, **more):
    return {"verb": verb, "seconds": seconds, "phases": [], "result": None, **more}


def test_a_finished_run_is_done_with_its_conclusion():
    """Verdict and numbers are those that finish was given."""
    number = Number(title="RTO", value=2.0, unit="s", limit=3600)
    conclusion = Conclusion(verdict="Restored.", numbers={"rto_s": number}, versions={"PostgreSQL": "16"})
    found = summarize(
        journal(
            ("started", "a", {"verb": "read"}),
            ("done", "a", ended()),
            ("finished", "finish", {"conclusion": encode(conclusion)}),
        )
    )
    assert (found.status, found.exit_code, found.verdict) == ("done", 0, "Restored.")
    assert found.numbers["rto_s"] == number
    assert found.versions == {"Python": "3.11", "PostgreSQL": "16"}
    assert found.wall_s == 3


def test_a_failed_check_is_a_no_go_that_names_what_failed():
    """Exit 3; observed and expected stand among the reasons and in the checks."""
    table = encode(Checks(items=(FAILED,)))
    failed = ended("check", message="segment 7 missing", exit_code=3, error="CheckFailed") | {"result": table}
    found = summarize(journal(("started", "archive", {"verb": "check"}), ("failed", "archive", failed)))
    assert (found.status, found.exit_code) == ("no-go", 3)
    assert found.verdict == "No-go at “archive”: 1 of 1 checks failed: segment 7."
    assert found.reasons == ("segment 7: observed missing; expected present",)
    assert found.checks[0].step == "archive"


def test_a_step_tried_again_counts_its_attempts():
    """The last attempt speaks; the first stays on record."""
    failed = ended(message="no", exit_code=1, error="StepFailed")
    found = summarize(
        journal(
            ("started", "a", {"verb": "read"}),
            ("failed", "a", failed),
            ("started", "a", {"verb": "read"}),
            ("done", "a", ended()),
            ("finished", "finish", {"conclusion": None}),
        )
    )
    assert found.status == "done"
    assert [(step.status, step.attempts) for step in found.steps] == [("done", 2)]


@pytest.mark.parametrize(
    ("in_scratch", "status", "code"), [(False, "left in between", 4), (True, "failed", 1)]
)
def test_an_effect_nobody_saw_end_needs_a_person_unless_it_died_with_its_scratch(in_scratch, status, code):
    """A kill in the middle of a change is left in between; in a scratch folder nothing is left."""
    found = summarize(
        journal(
            ("started", "switch: apply", {"verb": "apply"}),
            (
                "change",
                "switch the nameservers",
                change_data("switch: apply", "applying", in_scratch=in_scratch),
            ),
            ("ended", "the kernel died", {"how": "kernel died", "message": "killed", "exit_code": 1}),
        )
    )
    assert (found.status, found.exit_code) == (status, code)


def test_a_run_that_is_being_executed_is_running():
    """Only the lock tells running from died."""
    lines = journal(("started", "a", {"verb": "read"}))
    assert summarize(lines, alive=True).status == "running"
    dead = summarize(lines)
    assert (dead.status, dead.exit_code, dead.steps[0].status) == ("failed", 1, "unknown")


def test_mode_plan_says_that_nothing_was_changed():
    """Skipped steps are listed with their reason; the verdict does not claim more."""
    found = summarize(
        journal(
            ("skipped", "a: apply", {"verb": "apply", "why": "mode plan changes nothing"}),
            ("finished", "finish", {"conclusion": None}),
            opened=OPENED | {"mode": "plan"},
        )
    )
    assert found.verdict == "Planned only: nothing was changed."
    assert [(step.status, step.message) for step in found.steps] == [("skipped", "mode plan changes nothing")]


def test_what_was_not_checked_is_said_beside_the_verdict():
    """Not checked never hides behind a green verdict."""
    table = Checks(items=(Check.unchecked("indexes", why="no amcheck", expected="sound"),))
    found = summarize(
        journal(
            ("started", "c", {"verb": "check"}),
            ("done", "c", ended("check") | {"result": encode(table)}),
            ("finished", "finish", {"conclusion": None}),
        )
    )
    assert found.reasons == ("not checked: indexes (no amcheck)",)


def test_what_is_no_journal_of_a_run_is_refused():
    """An empty file or a headless one is not an account."""
    with pytest.raises(JournalCorrupt):
        summarize([])
    with pytest.raises(JournalCorrupt):
        summarize(journal(("note", "x", {}))[1:])


def change(state, *, title="move the zone", step="move: apply"):
    return ("change", title, change_data(step, state))


def test_a_step_that_stopped_between_its_changes_stays_in_between_whatever_follows():
    """One applied, the next raised, another step went well after it: exit 4, and what was applied is told."""
    failed = ended("apply", message="Cloudflare answers 500", exit_code=1, error="StepFailed")
    found = summarize(
        journal(
            ("started", "move: apply", {"verb": "apply"}),
            change("applying"),
            change("applied"),
            ("failed", "move: apply", failed),
            ("started", "look", {"verb": "read"}),
            ("done", "look", ended()),
        )
    )
    assert (found.status, found.exit_code) == ("left in between", 4)
    assert "move the zone: applied" in found.reasons
    assert "Cloudflare answers 500" in found.reasons[-1]


def test_a_step_that_was_mended_is_not_in_between_any_more():
    """The same step done at its second attempt clears what the first left."""
    found = summarize(
        journal(
            ("started", "move: apply", {"verb": "apply"}),
            change("applying"),
            ("started", "move: apply", {"verb": "apply"}),
            change("found"),
            ("done", "move: apply", ended("apply")),
            ("finished", "finish", {"conclusion": None}),
        )
    )
    assert found.status == "done"


def test_work_that_is_done_again_takes_its_old_checks_with_it():
    """A green table of a database that no longer exists is not shown."""
    table = encode(Checks(items=(Check.of("x", holds=True, observed=1, expected=1),)))
    found = summarize(
        journal(
            ("started", "make", {"verb": "read"}),
            ("done", "make", ended()),
            ("started", "c", {"verb": "check"}),
            ("done", "c", ended("check") | {"result": table}),
            ("note", "again", {"redo_from": "make"}),
            ("started", "make", {"verb": "read"}),
            ("failed", "make", ended(message="no", exit_code=1, error="StepFailed")),
        )
    )
    assert found.checks == ()
    assert [(step.title, step.attempts) for step in found.steps] == [("make", 2)]


def test_a_notebook_that_raised_after_finish_is_not_done():
    """The driver saw an exception: exit 1, not a green report."""
    found = summarize(
        journal(
            ("finished", "finish", {"conclusion": None}),
            ("ended", "the kernel raised", {"how": "raised", "message": "NameError: x", "exit_code": 1}),
        )
    )
    assert (found.status, found.exit_code) == ("failed", 1)
    assert "NameError" in found.verdict


def test_bad_input_after_something_was_applied_does_not_promise_that_nothing_ran():
    """Exit 2 says nothing ran; once an apply began it is 1."""
    wrong = ended("read", message="no", exit_code=2, error="InputError")
    early = summarize(journal(("started", "a", {"verb": "read"}), ("failed", "a", wrong)))
    late = summarize(
        journal(
            ("started", "x: apply", {"verb": "apply"}),
            ("done", "x: apply", ended("apply")),
            ("started", "a", {"verb": "read"}),
            ("failed", "a", wrong),
        )
    )
    assert (early.exit_code, late.exit_code) == (2, 1)


def test_a_run_without_finish_says_so():
    """The kernel went through, but nobody called finish."""
    found = summarize(
        journal(
            ("started", "a", {"verb": "read"}),
            ("done", "a", ended()),
            ("ended", "the kernel completed", {"how": "completed", "message": "", "exit_code": 0}),
        )
    )
    assert (found.status, found.exit_code) == ("failed", 1)
    assert "run.finish()" in found.verdict
