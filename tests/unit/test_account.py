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
        records.append(Record.make(seq=seq, at=at, kind=kind, title=title, key="k", data=data, prev=prev))
    return records


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
    assert "segment 7 missing" in found.verdict
    assert "missing; expected present" in found.reasons[0]
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
            ("change", "switch the nameservers", {"state": "applying", "in_scratch": in_scratch}),
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
