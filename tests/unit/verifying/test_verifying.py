"""Checking a sealed run: what an untouched one says of itself, and what is wrong beyond changed bytes."""

import json
import shutil

import pytest

from runbook import approving, opening
from runbook.clock import WallClock
from runbook.errors import Parked
from runbook.files import write_atomically
from runbook.gates import approvals
from runbook.gates.watching import Verdict
from runbook.journal import FileJournal, encode
from runbook.sealing import seal, sealing_key
from runbook.seals import SIGNATURE, SUMS, keep_predecessor, write_sums
from runbook.signatures import SEAL, Signers
from runbook.verifying import verify
from tests import toy
from tests.signed_runs import Office


@pytest.fixture
def office(tmp_path, monkeypatch):
    made = Office(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(made.root))
    return made


def sign_sums(office, who="ci", run_id="r1"):
    """Write the sums anew and sign them, as somebody with a listed key could."""
    write_sums(office.folder(run_id))
    with office.key(who).opened() as pen:
        armor = pen.sign((office.folder(run_id) / SUMS).read_bytes(), namespace=SEAL)
    write_atomically(office.folder(run_id) / SIGNATURE, armor)


def add_line(office, kind, title, data, run_id="r1"):
    journal = FileJournal.open(office.folder(run_id) / "journal.jsonl", clock=WallClock())
    try:
        return journal.append(kind, title, data=data)
    finally:
        journal.close()


def test_a_signed_run_says_by_whom_and_since_when(office):
    """Principal and fingerprint from the list, the time from the journal; who approved."""
    office.whole()
    found = office.verify()
    assert (found.wrong, found.seal, found.signed_by, found.verdict) == ((), "signed", "ci@x", "Wrote 1.")
    assert found.sentence().startswith("signed by ci@x (SHA256:")
    assert found.remarks[0].startswith("approved: write the number: tech lead ada@x at 20")


def test_an_unsigned_run_says_what_that_is_worth(office):
    """Nothing is wrong with it, and nothing is proven."""
    office.whole()
    (office.folder() / SIGNATURE).unlink()
    office.seal(who=None)
    found = office.verify()
    assert (found.holds, found.seal) == (True, "unsigned")
    assert "could have written all of them anew" in found.sentence()


def test_a_rehearsal_says_that_who_is_not_proven(office, monkeypatch):
    """The sandbox's throw-away key stands on the sandbox's own list, outside the run."""
    run = office.open(environment="sandbox")
    plan = run.plan("write the number", toy.plan_write, 1)
    run.approve(plan)
    run.apply(plan)
    run.finish()
    shutil.copy(office.root / "notebooks/drills/toy.ipynb", office.folder() / "notebook.ipynb")
    seal(office.folder(), key=sealing_key("sandbox", office.root / "outputs"))
    found = office.verify()
    assert (found.wrong, found.seal, found.signed_by) == ((), "rehearsed", "sandbox")
    assert "nothing changed since" in found.sentence()
    assert "who is not proven" in found.sentence()
    assert not list(office.folder().rglob(".signers"))


def test_a_run_that_is_not_sealed_says_how_to_seal_it(office):
    """Neither good nor tampered with."""
    office.ask()._recorder.close()
    (line,) = office.verify().wrong
    assert line == "SHA256SUMS: missing; the run is not sealed: runbook seal r1"


def test_a_folder_of_something_else_is_told(tmp_path):
    """No journal, no sums."""
    found = verify(tmp_path, signers=lambda _: None)
    assert len(found.wrong) == 2


def test_a_signature_that_was_taken_away_is_missed(office):
    """The summary says that there was one."""
    office.whole()
    (office.folder() / SIGNATURE).unlink()
    assert "SHA256SUMS.sig: missing; the summary says that the run was signed" in office.verify().wrong


def test_a_signature_that_came_later_counts_and_is_told(office):
    """Sealed without a key, signed by hand afterwards."""
    office.whole()
    office.seal(who=None)
    with office.key("ci").opened() as pen:
        armor = pen.sign((office.folder() / SUMS).read_bytes(), namespace=SEAL)
    (office.folder() / SIGNATURE).write_bytes(armor)
    found = office.verify()
    assert (found.holds, found.seal) == (True, "signed")
    assert "it was sealed unsigned, and signed afterwards" in found.remarks


def test_the_environment_in_a_record_leads_to_no_other_list(office, tmp_path):
    """A run that calls its environment a path gets no signers from there."""
    office.whole()
    asked = []
    verify(office.folder(), signers=lambda name: asked.append(name) or Signers(tmp_path / "none"))
    assert asked == ["production"]
    found = approving.verify(str(hostile(office)), start=office.root)
    assert (found.seal, found.holds) == ("not checked", False)


def hostile(office):
    """Make a run that was signed by Eve, with her list inside, and says where to look for it."""
    folder = office.root / "outputs/hostile"
    (folder / "evidence").mkdir(parents=True)
    (folder / "evidence/allowed_signers").write_text(office.line("eve"))
    journal = FileJournal.open(folder / "journal.jsonl", clock=WallClock())
    said = {
        "run_id": "hostile",
        "runbook": "toy",
        "environment": "../outputs/hostile/evidence",
        "mode": "apply",
    }
    journal.append("opened", "toy", data=said | {"params": {}, "opened_by": "eve", "versions": {}})
    journal.close()
    shutil.copy(office.root / "notebooks/drills/toy.ipynb", folder / "notebook.ipynb")
    seal(folder, key=office.key("eve"))
    return folder


def test_a_hostile_folder_cannot_steer_the_terminal(office):
    """Names of files are others' text: escapes and line ends are shown by their numbers."""
    office.whole()
    (office.folder() / "evidence/a\x1b[2J\n✓ r1: all is well").write_text("x")
    wrong = office.verify().wrong
    assert any("a⟨U+001B⟩[2J⟨U+000A⟩✓ r1" in line for line in wrong)
    assert not any("\x1b" in line or "\n" in line for line in wrong)


# Parked runs


def test_a_signature_that_a_parked_run_got_is_no_tampering(office):
    """Signed after the seal, counts, will be sealed: a remark, not a fault."""
    office.ask()._recorder.close()
    office.seal()
    assert office.verify().holds
    office.approve()
    found = office.verify()
    assert (found.wrong, found.seal) == ((), "signed")
    assert sum("signed after the run was parked" in line for line in found.remarks) == 2


def test_anything_else_that_a_parked_run_got_is(office):
    """A statement that does not count, or any other file."""
    office.ask()._recorder.close()
    office.seal()
    office.approve()
    statement = next((office.folder() / "evidence").glob("approval-*.tech_lead.json"))
    statement.write_text(statement.read_text().replace("ada@x", "bob@x"))
    (office.folder() / "evidence/note.txt").write_text("psst")
    wrong = office.verify().wrong
    assert [line for line in wrong if "added after sealing" in line and "note.txt" in line]
    assert [line for line in wrong if "added after sealing" in line and statement.name in line]


# Seals before


def test_a_run_that_was_parked_names_the_seal_it_had(office):
    """The journal's line names it, the folder keeps it, its signature counts as of then."""
    office.whole()
    assert (office.folder() / "evidence/seals/1" / SIGNATURE).exists()
    assert office.verify().holds


def test_a_seal_before_may_be_unsigned_and_is_told(office):
    """Stepped through in Lab without a key, finished by CI with one."""
    office.ask()._recorder.close()
    office.seal(who=None)
    office.approve()
    office.go_on()
    office.seal()
    found = office.verify()
    assert found.holds
    assert "evidence/seals/1: the seal before was unsigned" in found.remarks


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (shutil.rmtree, "which is not kept in evidence/seals"),
        (lambda kept: kept.rename(kept.with_name("2")), "evidence/seals/2: stands where seal 1 belongs"),
        (
            lambda kept: (kept / SUMS).write_bytes(b""),
            "the journal it seals is no beginning of journal.jsonl",
        ),
        (
            lambda kept: (kept / SIGNATURE).write_bytes(b""),
            "evidence/seals/1/SHA256SUMS.sig: this is no signature",
        ),
    ],
)
def test_a_seal_before_that_was_tampered_with_is_found_under_a_good_seal(office, change, says):
    """Even when somebody with a listed key seals the whole again."""
    office.whole()
    change(office.folder() / "evidence/seals/1")
    sign_sums(office)
    found = office.verify()
    assert found.seal == "signed"
    assert any(says in line for line in found.wrong), found.wrong


def test_a_seal_by_a_stranger_in_the_past_is_found(office):
    """The seal before was signed by a key that nobody lists."""
    office.ask()._recorder.close()
    office.seal(who="eve")
    office.approve()
    office.go_on()
    office.seal()
    assert any("evidence/seals/1/SHA256SUMS.sig: it was made with" in line for line in office.verify().wrong)


def test_seals_of_another_run_are_no_predecessors(office):
    """A beginning of this journal is what they must seal."""
    office.whole()
    office.whole("r2")
    shutil.rmtree(office.folder() / "evidence/seals/1")
    shutil.copytree(office.folder("r2") / "evidence/seals/1", office.folder() / "evidence/seals/1")
    sign_sums(office)
    wrong = office.verify().wrong
    assert any("no beginning of journal.jsonl" in line for line in wrong)
    assert any("which is not kept" in line for line in wrong)


def test_seals_are_in_their_order(office):
    """A later one seals no less than an earlier one."""
    office.whole()
    keep_predecessor(office.folder())
    first, second = (office.folder() / "evidence/seals" / n for n in ("1", "2"))
    first.rename(first.with_name("3"))
    second.rename(first)
    first.with_name("3").rename(second)
    sign_sums(office)
    assert any("seals less of the journal than the seal before it" in line for line in office.verify().wrong)


# Record


def test_a_summary_that_says_something_else_is_found_under_a_good_seal(office):
    """With the fields in which it differs."""
    office.whole()
    path = office.folder() / "summary.json"
    path.write_text(path.read_text().replace('"verdict": "Wrote 1."', '"verdict": "Wrote 2."'))
    sign_sums(office)
    wrong = office.verify().wrong
    assert "summary.json: verdict: not what the journal says" in wrong
    assert any("report.html: its run-verdict is 'Wrote 1.'" in line for line in wrong)


def test_a_report_of_an_earlier_state_is_found_under_a_good_seal(office):
    """The journal went on and the report did not."""
    office.whole()
    report = (office.folder() / "report.html").read_bytes()
    add_line(office, "note", "one more thing", {})
    office.seal()
    assert office.verify().holds
    (office.folder() / "report.html").write_bytes(report)
    sign_sums(office)
    assert any("report.html: its journal-head is" in line for line in office.verify().wrong)


def test_bytes_after_the_journals_last_line_are_found(office):
    """Torn bytes are no part of a sealed journal."""
    office.whole()
    with (office.folder() / "journal.jsonl").open("a") as file:
        file.write("torn")
    sign_sums(office)
    assert any(line.startswith("journal.jsonl") for line in office.verify().wrong)


def test_a_journal_that_is_no_runs_is_found(office):
    """A valid chain of lines that mean nothing."""
    office.whole()
    path = office.folder() / "journal.jsonl"
    path.unlink()
    add_line(office, "note", "hello", {})
    sign_sums(office)
    assert any("begins with the line 'opened'" in line for line in office.verify().wrong)


def test_a_scratch_folder_that_nobody_destroyed_is_told(office):
    """It may still hold data."""
    office.whole()
    add_line(office, "note", "a scratch folder was opened", {"scratch": "/scratch/runbook-abc"})
    office.seal()
    found = office.verify()
    assert found.holds
    assert any("runbook-abc is not on record as destroyed" in line for line in found.remarks)


# Approvals


def test_an_approval_of_another_plan_is_found_under_a_good_seal(office):
    """What was asked for names a plan that is not the one on record."""
    run = office.ask()
    asked = [line for line in run._recorder.lines() if line.kind == "asked"][-1]
    run._recorder.close()
    request = approving.waiting_request(office.root, "r1").model_copy(update={"plan_digest": "e" * 64})
    add_line(office, "asked", asked.title, {"request": encode(request)})
    approvals.write_request(office.folder(), request)
    office.seal()
    assert any("the plan “write the number” on record is another" in line for line in office.verify().wrong)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"requester": "mallory"}, "opened_by is 'mallory'"),
        ({"params": {"x": 2}}, "params is {'x': 2}"),
        ({"journal_head": "0" * 64}, "a journal that this one does not go back to"),
    ],
)
def test_a_request_that_does_not_fit_its_run_is_found(office, changes, says):
    """Run, requester, params, the journal it stands on."""
    run = office.ask()
    run._recorder.close()
    request = approving.waiting_request(office.root, "r1").model_copy(update=changes)
    add_line(office, "asked", "write the number: approval", {"request": encode(request)})
    approvals.write_request(office.folder(), request)
    office.seal()
    assert any(says in line for line in office.verify().wrong)


def test_an_approval_that_cannot_be_read_is_found(office):
    """A line that no version of ours wrote."""
    office.ask()._recorder.close()
    add_line(
        office, "asked", "x", {"request": {"$": "value", "of": {"class": "runbook.none:X", "fields": {}}}}
    )
    office.seal()
    assert any("an approval on record cannot be read" in line for line in office.verify().wrong)


def test_effects_without_an_approval_are_found(office):
    """Outside the sandbox nothing is changed without one; a record that says so is wrong."""
    office.ask()._recorder.close()
    data = {"step": "write the number: apply", "number": 1, "in_scratch": False, "state": "applying"}
    add_line(office, "change", "write 1 to world.txt", data | {"resource": "x", "effect": "convergent"})
    office.seal()
    assert any("changed things, and no approval of it is on record" in line for line in office.verify().wrong)


def test_a_signature_that_the_journal_counts_must_be_there(office):
    """The statement was taken out and the run sealed again."""
    office.whole()
    next((office.folder() / "evidence").glob("approval-*.tech_lead.json")).unlink()
    sign_sums(office)
    wrong = office.verify().wrong
    assert any("missing; the journal counts this signature of ada@x" in line for line in wrong)
    assert any("a signature without what it signs" in line for line in wrong)
    assert any("went on with 0 signatures that count, of 1" in line for line in wrong)


def test_a_role_that_a_signer_lacks_today_is_a_remark(office):
    """People change their jobs; what they were then stands in git."""
    office.whole()
    office.configure(people=[{"principal": "ada@x", "roles": ["devops"]}])
    found = office.verify()
    assert found.holds
    assert any("ada@x signed as tech_lead, which environment.yaml of production" in r for r in found.remarks)


def test_a_review_without_a_signature_is_found(office):
    """A line alone is no review, nor is one of what never was an emergency."""
    office.ask()._recorder.close()
    office.approve(break_glass=True, reason="down")
    office.go_on()
    digest = next(line.request_digest for line in office.open().summary().approvals)
    add_line(office, "reviewed", "x", {"request_digest": digest, "by": "bob@x", "says": "fine"})
    add_line(office, "reviewed", "x", {"request_digest": "f" * 64, "by": "bob@x", "says": "fine"})
    office.seal()
    wrong = office.verify().wrong
    assert any("no signature of another person stands under this review" in line for line in wrong)
    assert any("reviews an emergency that is not on record" in line for line in wrong)


def test_the_verdict_is_data(office):
    """For a program: every field, JSON."""
    office.whole()
    data = json.loads(office.verify().model_dump_json())
    assert (data["seal"], data["wrong"], data["run_id"]) == ("signed", [], "r1")


def test_a_decision_is_held_like_a_plan(office):
    """A person's word to go on, asked for and signed, verified with the rest."""
    now = WallClock().now()
    verdict = Verdict(
        title="canary", decision="hold", reasons=("little data",), looks=1, began_at=now, ended_at=now
    )
    run = office.open()
    with pytest.raises(Parked):
        run.decide(verdict)
    run._recorder.close()
    office.approve()
    opening._open_runs.clear()
    run = office.open()
    run.decide(verdict)
    run.finish()
    office.seal()
    found = office.verify()
    assert found.wrong == ()
    next((office.folder() / "evidence").glob("approval-*.tech_lead.json")).write_text("{}")
    sign_sums(office)
    assert any("of 1" in line for line in office.verify().wrong)
