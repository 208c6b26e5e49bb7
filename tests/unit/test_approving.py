"""What people do to a run from outside: sign what it asks for, review an emergency, verify the record."""

import shutil
from datetime import timedelta

import pytest

from runbook import approving, opening, surroundings
from runbook.clock import FileClock, WallClock, utc_text
from runbook.errors import ApprovalRefused, InputError, Parked, RunBusy, UnknownName
from runbook.gates.approvals import Approval
from runbook.journal import FileJournal, decode, read_journal
from runbook.sealing import seal, sealing_key
from tests import toy
from tests.keys import public
from tests.signed_runs import GATES, Office


@pytest.fixture
def office(tmp_path, monkeypatch):
    made = Office(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(made.root))
    monkeypatch.delenv("TOY_TOKEN", raising=False)
    monkeypatch.delenv("RUNBOOK_SIGNING_KEY_FILE", raising=False)
    return made


def approval_of(office, run_id="r1"):
    lines = read_journal(office.folder(run_id) / "journal.jsonl")
    done = [line for line in lines if line.kind == "done" and line.data["verb"] == "approve"]
    return decode(done[-1].data["result"])


def test_a_parked_run_goes_on_once_it_is_signed(office):
    """Asked, shown, signed with a role as one types it, taken up again, applied; all on record."""
    office.ask()._recorder.close()
    request = approving.waiting_request(office.root, "r1")
    assert (request.title, request.requester) == ("write the number", surroundings.who())
    assert office.approve(role="tech-lead").enough
    office.go_on()
    assert toy.written() == ["1"]
    approval = approval_of(office)
    assert isinstance(approval, Approval)
    assert [sign.principal for sign in approval.signatures] == ["ada@x"]
    assert approval.request == request


def test_a_run_that_waits_for_nobody_is_not_signed(office):
    """Before it asks, and after it went on."""
    office.open()._recorder.close()
    with pytest.raises(InputError, match="waits for no signature"):
        office.approve()
    office.ask()._recorder.close()
    office.approve()
    office.go_on()
    with pytest.raises(InputError, match="waits for no signature"):
        office.approve(who="bob", role="cto")


def test_names_that_are_not_there_are_told(office):
    """No such run, no such role, no key."""
    with pytest.raises(UnknownName, match="no run 'r9'"):
        office.approve(run_id="r9")
    office.ask()._recorder.close()
    with pytest.raises(UnknownName, match="no role 'boss'; it has tech_lead, cto"):
        office.approve(role="boss")
    with pytest.raises(InputError, match="--key FILE"):
        approving.approve(office.root, "r1", role="cto", key=None)


def test_the_key_may_be_named_once_and_for_all(office, monkeypatch):
    """RUNBOOK_SIGNING_KEY_FILE stands in for --key."""
    office.ask()._recorder.close()
    monkeypatch.setenv("RUNBOOK_SIGNING_KEY_FILE", str(office.keys["bob"]))
    assert approving.approve(office.root, "r1", role="cto", key=None).enough


def test_a_reason_holds_no_secret(office, monkeypatch):
    """What a person types is written down for good."""
    office.configure(gates=GATES)
    office.ask()._recorder.close()
    monkeypatch.setenv("TOY_TOKEN", "hunter2hunter2")
    with pytest.raises(InputError, match="TOY_TOKEN") as caught:
        office.approve(break_glass=True, reason="the token is hunter2hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_change_of_ground_after_the_signature_asks_anew(office):
    """What was signed is no longer so when the run is taken up: it parks again, and says what to sign."""
    office.ask()._recorder.close()
    office.approve()
    toy.WORLD().write_text("1\n")
    run = office.ask()
    assert approving.waiting_request(office.root, "r1").changes[0].observed == "1 is there"
    run._recorder.close()


def emergency(office, who="ada"):
    office.ask()._recorder.close()
    office.approve(who=who, break_glass=True, reason="checkout is down")
    office.go_on()
    office.seal()


def test_what_a_kernel_shows_of_a_wait_for_signatures_says_how_to_sign(office):
    """Under JupyterLab and papermill the exception is all there is: it names both commands."""
    run = office.open()
    plan = run.plan("write the number", toy.plan_write, run.read("the number", toy.read_number, 1))
    with pytest.raises(Parked) as parked:
        run.approve(plan)
    assert (
        "runbook approve r1 --as tech-lead --key FILE; then: runbook resume r1" in parked.value.__notes__[0]
    )


def approved(office):
    """Return a run in an open kernel that has its approval on record, and the plan."""
    run = office.ask()
    office.approve()
    plan = run.plan("write the number", toy.plan_write, run.read("the number", toy.read_number, 1))
    run.approve(plan)
    return run, plan


def test_a_kernel_that_is_open_for_long_passes_the_gates_as_they_are_now(office):
    """A freeze, or the end of somebody's role, holds for a kernel that was opened before."""
    run, plan = approved(office)
    freeze = {"says": "incident", "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}
    office.configure(gates=GATES | {"freezes": [freeze]})
    with pytest.raises(Parked, match="the freeze “incident”"):
        run.apply(plan)
    office.configure(gates=GATES, people=[one for one in office.people() if one["principal"] != "ada@x"])
    with pytest.raises(ApprovalRefused, match="ada@x is nobody"):
        run.apply(plan)
    assert toy.written() == []


def test_an_approval_that_expired_unused_is_asked_for_anew(office, tmp_path, monkeypatch):
    """Approved, then held up past its expiry: the run asks again, is signed again, and goes on."""
    clock = FileClock(tmp_path / "clock")
    (tmp_path / "clock").write_text(utc_text(WallClock().now()))
    for module in (opening, approving):
        monkeypatch.setattr(module, "clock_of", lambda _environment: clock)
    run, _ = approved(office)
    run.leave()
    clock.sleep_until(clock.now() + timedelta(hours=25))
    with pytest.raises(Parked, match="waits for the signature"):
        office.go_on()
    assert toy.written() == []
    opening._open_runs["r1"].leave()
    office.approve()
    office.go_on()
    assert toy.written() == ["1"]
    office.seal()
    assert office.verify().wrong == ()


def test_an_approval_that_expires_under_an_open_kernel_says_how_to_ask_anew(office, tmp_path, monkeypatch):
    """The cell of the apply is refused with what to type, and the cell before it asks again."""
    clock = FileClock(tmp_path / "clock")
    (tmp_path / "clock").write_text(utc_text(WallClock().now()))
    for module in (opening, approving):
        monkeypatch.setattr(module, "clock_of", lambda _environment: clock)
    run, plan = approved(office)
    clock.sleep_until(clock.now() + timedelta(hours=25))
    with pytest.raises(ApprovalRefused, match=r"expired.*run\.approve\(plan\) again, or: runbook resume r1"):
        run.apply(plan)
    with pytest.raises(Parked):
        run.approve(plan)
    office.approve()
    run.approve(plan)
    run.apply(plan)
    assert toy.written() == ["1"]


def test_an_emergency_is_reviewed_on_record(office):
    """Broken by one, looked at by another, in the journal and under a signature; once."""
    emergency(office)
    assert approval_of(office).break_glass == "checkout is down"
    with pytest.raises(ApprovalRefused, match="takes another person"):
        approving.review(office.root, "r1", role="tech_lead", key=office.keys["ada"], reason="fine")
    approving.review(office.root, "r1", role="cto", key=office.keys["bob"], reason="it was right")
    office.seal()
    last = read_journal(office.folder() / "journal.jsonl")[-1]
    assert (last.kind, last.data["by"], last.data["says"]) == ("reviewed", "bob@x", "it was right")
    found = office.verify()
    assert found.holds
    assert any("BREAK GLASS: checkout is down (reviewed by bob@x: it was right)" in r for r in found.remarks)
    with pytest.raises(InputError, match="reviewed already"):
        approving.review(office.root, "r1", role="cto", key=office.keys["bob"], reason="again")


def test_an_ordinary_approval_is_not_reviewed(office):
    """There is nothing to look at afterwards."""
    office.whole()
    with pytest.raises(InputError, match="nobody broke the glass"):
        approving.review(office.root, "r1", role="cto", key=office.keys["bob"], reason="fine")


def test_a_review_waits_until_nobody_executes_the_run(office):
    """The journal has one writer."""
    emergency(office)
    journal = FileJournal.open(office.folder() / "journal.jsonl", clock=WallClock())
    try:
        with pytest.raises(RunBusy):
            approving.review(office.root, "r1", role="cto", key=office.keys["bob"], reason="fine")
    finally:
        journal.close()


# Verify


def test_verify_takes_a_run_or_a_folder(office, tmp_path, monkeypatch):
    """By its id in the project; by its folder, moved elsewhere, with the project's list."""
    folder = office.whole()
    assert approving.verify("r1", start=office.root).holds
    moved = folder.rename(tmp_path / "downloaded")
    found = approving.verify(str(moved), start=office.root)
    assert (found.holds, found.run_id, found.signed_by) == (True, "r1", "ci@x")
    with pytest.raises(UnknownName):
        approving.verify("r1", start=office.root)


def test_verify_needs_no_project(office, tmp_path, monkeypatch):
    """A folder and a list of signers are enough; without a list a signature proves nothing."""
    folder = office.whole().rename(tmp_path / "downloaded")
    listing = office.root / "params/production/allowed_signers"
    listing.rename(tmp_path / "signers")
    monkeypatch.delenv("RUNBOOK_ROOT")
    found = approving.verify(str(folder), start=tmp_path, signers=tmp_path / "signers")
    assert (found.holds, found.signed_by) == (True, "ci@x")
    unknown = approving.verify(str(folder), start=tmp_path)
    assert (unknown.holds, unknown.seal) == (False, "not checked")
    assert "SHA256SUMS.sig: not checked: name who may sign with --signers FILE" in unknown.wrong
    with pytest.raises(InputError, match="no project"):
        approving.verify("r1", start=tmp_path)


def test_nothing_in_the_runs_folder_is_trusted(office, tmp_path, monkeypatch):
    """A list, or a whole project, that came with the run says nothing about it."""
    folder = office.whole()
    (folder / "allowed_signers").write_text(office.line("eve"))
    with pytest.raises(InputError, match="in the run's own folder"):
        approving.verify("r1", start=office.root, signers=folder / "allowed_signers")
    monkeypatch.delenv("RUNBOOK_ROOT")
    (folder / "notebooks").mkdir()
    (folder / "params/production").mkdir(parents=True)
    (folder / "params/plan.yaml").write_text("")
    with pytest.raises(InputError, match="in the run's own folder"):
        approving.verify(str(folder), start=folder)


def test_a_list_that_is_not_there_is_an_input_error(office):
    """Mistyped, not silently empty."""
    office.whole()
    with pytest.raises(InputError, match="no list of signers"):
        approving.verify("r1", start=office.root, signers=office.root / "none")


def test_another_runs_record_in_this_runs_folder_is_told(office):
    """r2's folder was replaced by r1's, whole and signed."""
    office.whole().rename(office.folder("r2"))
    found = office.verify("r2")
    assert found.wrong == ("journal.jsonl:1: this is the record of r1, in the folder of r2",)


def test_a_rehearsals_list_named_by_hand_proves_no_more(office, tmp_path):
    """An artefact of a nightly drill, checked elsewhere with the list that came with it."""
    run = office.open(environment="sandbox")
    run.finish()
    shutil.copy(office.root / "notebooks/drills/toy.ipynb", office.folder() / "notebook.ipynb")
    seal(office.folder(), key=sealing_key("sandbox", office.root / "outputs"))
    listing = (office.root / "outputs/.signers/sandbox").rename(tmp_path / "signers")
    assert not office.verify().holds
    found = office.verify(signers=listing)
    assert (found.holds, found.seal) == (True, "rehearsed")


def test_revoked_keys_beside_the_list_are_asked(office, tmp_path):
    """Weeks later the sealing key is known to be stolen: what it signed counts no more."""
    office.whole()
    (office.root / "params/production/revoked_keys").write_text(f"{public(office.keys['ci'])}\n")
    found = office.verify()
    assert found.seal == "not checked"
    assert any("SHA256SUMS.sig" in line and "revoked" in line for line in found.wrong)
