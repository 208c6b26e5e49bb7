"""Sealing: signed with the key that is at hand, truthfully unsigned without; no signature is lost."""

import json
import shutil
import subprocess

import pytest

from runbook import sealing, surroundings
from runbook.sealing import seal, sealing_key, why_unsigned
from runbook.seals import SIGNATURE, SUMS, kept_seals
from runbook.signatures import KeyFile, KeyText, OpenKey, ThrowAwayKey
from tests.keys import Agent, make_key
from tests.signed_runs import Office


@pytest.fixture
def office(tmp_path, monkeypatch):
    made = Office(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(made.root))
    return made


@pytest.fixture
def run(office):
    """A parked run with a notebook, not sealed yet."""
    office.ask()._recorder.close()
    shutil.copy(office.root / "notebooks/drills/toy.ipynb", office.folder() / "notebook.ipynb")
    return office.folder()


def summary_of(run):
    return json.loads((run / "summary.json").read_text())


def test_a_signed_seal_checks_with_the_two_stock_tools(office, run):
    """sha256sum takes the sums, ssh-keygen their signature; the summary says signed."""
    assert seal(run, key=office.key("ci")).signature == "signed"
    assert summary_of(run)["signature"] == "signed"
    assert subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=run, check=False).returncode == 0
    command = ["ssh-keygen", "-Y", "verify", "-n", "runbook-seal", "-I", "ci@x", "-s", run / SIGNATURE]
    done = subprocess.run(
        [*command, "-f", office.root / "params/production/allowed_signers"],
        input=(run / SUMS).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0
    assert "signed" in (run / "report.html").read_text()


def test_without_a_key_a_run_is_unsigned_and_says_so(run):
    """No signature, no excuse: nobody was to sign."""
    assert seal(run).signature == "unsigned"
    assert not (run / SIGNATURE).exists()
    assert why_unsigned(run) == ""


def test_a_key_that_does_not_sign_leaves_an_unsigned_run_that_tells_why(office, run):
    """The reason stands in the run, under its sums; the next good key does away with it."""
    summary = seal(run, key=KeyFile(office.root / "no such key"))
    assert summary.signature == summary_of(run)["signature"] == "unsigned"
    assert "there is no key" in why_unsigned(run)
    assert b"evidence/unsigned.txt" in (run / SUMS).read_bytes()
    assert subprocess.run(["sha256sum", "-c", "--quiet", SUMS], cwd=run, check=False).returncode == 0
    seal(run, key=office.key("ci"))
    assert why_unsigned(run) == ""
    assert b"unsigned.txt" not in (run / SUMS).read_bytes()


def test_a_disk_that_is_full_for_the_signature_alone_leaves_an_unsigned_run(office, run, monkeypatch):
    """Whatever keeps the signature from being written, the seal stays true."""
    real = sealing.write_atomically

    def full(path, content):
        if path.name == SIGNATURE:
            raise OSError(28, "no space left")
        real(path, content)

    monkeypatch.setattr(sealing, "write_atomically", full)
    assert seal(run, key=office.key("ci")).signature == "unsigned"
    assert "no space left" in why_unsigned(run)


def test_an_interrupted_signature_leaves_an_unsigned_run(office, run, monkeypatch):
    """Ctrl-C at the passphrase: the run does not call itself signed, and the interrupt goes on."""

    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(OpenKey, "sign", interrupted)
    with pytest.raises(KeyboardInterrupt):
        seal(run, key=office.key("ci"))
    assert summary_of(run)["signature"] == "unsigned"
    assert why_unsigned(run) == "signing was interrupted"


def test_a_signed_seal_is_kept_when_another_takes_its_place(office, run):
    """Sealed again, even without a key: what was signed before is still there."""
    seal(run, key=office.key("ci"))
    before = (run / SUMS).read_bytes(), (run / SIGNATURE).read_bytes()
    seal(run)
    (kept,) = kept_seals(run)
    assert ((kept / SUMS).read_bytes(), (kept / SIGNATURE).read_bytes()) == before
    assert office.verify().holds
    assert office.verify().seal == "unsigned"


def test_an_agent_seals_too(office, run, tmp_path, monkeypatch):
    """RUNBOOK_SIGNING_KEY_FILE may name a public half whose private one is elsewhere."""
    path = make_key(tmp_path / "agent", "ci2")
    office.allow(office.line("ci").replace("ci@x", "old@x"))
    with Agent(tmp_path) as agent:
        agent.add(path)
        path.unlink()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.socket))
        monkeypatch.setenv("RUNBOOK_SIGNING_KEY_FILE", str(path.with_name("ci2.pub")))
        assert seal(run, key=sealing_key("production", tmp_path)).signature == "signed"


def test_which_key_seals_where(tmp_path, monkeypatch):
    """The sandbox makes its own; elsewhere a person's file goes before CI's variable; else there is none."""
    for name in ("RUNBOOK_SIGNING_KEY", "RUNBOOK_SIGNING_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert sealing_key("production", tmp_path) is None
    monkeypatch.setenv("RUNBOOK_SIGNING_KEY", "content")
    assert sealing_key("production", tmp_path) == KeyText("content")
    monkeypatch.setenv("RUNBOOK_SIGNING_KEY_FILE", "/k")
    assert isinstance(sealing_key("production", tmp_path), KeyFile)
    assert isinstance(sealing_key("sandbox", tmp_path), ThrowAwayKey)


def test_a_key_from_cis_variable_seals_and_stands_nowhere(office, run, monkeypatch):
    """Not a line of it in any file of the run."""
    text = office.keys["ci"].read_text()
    monkeypatch.setenv("RUNBOOK_SIGNING_KEY", text)
    monkeypatch.delenv("RUNBOOK_SIGNING_KEY_FILE", raising=False)
    assert seal(run, key=sealing_key("production", office.root / "outputs")).signature == "signed"
    lines = [line.encode() for line in text.splitlines()[1:-1]]
    files = [path.read_bytes() for path in run.rglob("*") if path.is_file()]
    assert not any(line in content for line in lines for content in files)
    assert surroundings.signing_key_text() == text
