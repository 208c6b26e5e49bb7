"""Signing: with a file, an agent, CI's variable, a throw-away key; never waiting for what cannot come."""

import fcntl
import os
import pty
import subprocess
import sys
import tempfile
import termios
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runbook import surroundings
from runbook.errors import InputError, StepFailed
from runbook.signatures import SEAL, KeyFile, KeyText, Signers, ThrowAwayKey, openssh
from tests.keys import Agent, allow, listed, make_key

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sign(key, content=b"content"):
    with key.opened() as pen:
        return pen.sign(content, namespace=SEAL)


def counts(armor, path, tmp_path):
    signers = Signers(allow(tmp_path / "signers", listed(path, "ada@x")))
    return signers.check(b"content", armor, namespace=SEAL, at=NOW).principal == "ada@x"


@pytest.mark.parametrize(("kind", "options"), [("ed25519", ()), ("ecdsa", ()), ("rsa", ("-b", "2048"))])
def test_each_kind_of_key_signs(tmp_path, kind, options):
    """Whatever OpenSSH signs with, we read."""
    path = make_key(tmp_path, "ada", kind=kind, options=options)
    assert counts(sign(KeyFile(path)), path, tmp_path)


def test_the_public_half_is_read_from_a_private_key_alone(tmp_path):
    """Also from one with a passphrase, which is not asked for."""
    path = make_key(tmp_path, "ada", passphrase="long enough")
    with KeyFile(path).opened() as pen:
        from_private = pen.public_key()
    with KeyFile(path.with_name("ada.pub")).opened() as pen:
        assert pen.public_key() == from_private
    path.with_name("ada.pub").unlink()
    with KeyFile(path).opened() as pen:
        assert pen.public_key() == from_private


def test_an_old_key_needs_its_public_half_beside_it(tmp_path):
    """PEM hides it; the message says what to name instead."""
    path = make_key(tmp_path, "ada", kind="rsa", options=("-b", "2048", "-m", "PEM"))
    assert counts(sign(KeyFile(path)), path, tmp_path)
    path.with_name("ada.pub").unlink()
    with KeyFile(path).opened() as pen, pytest.raises(InputError, match=r"no ada\.pub beside it"):
        pen.public_key()


def test_a_key_that_is_not_there_is_an_input_error(tmp_path):
    """With the command that makes one."""
    with pytest.raises(InputError, match="ssh-keygen -t ed25519"):
        sign(KeyFile(tmp_path / "none"))


def test_an_agent_signs_for_a_public_half(tmp_path, monkeypatch):
    """The private half is nowhere but in the agent."""
    path = make_key(tmp_path, "ada")
    with Agent(tmp_path) as agent:
        agent.add(path)
        path.unlink()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.socket))
        assert counts(sign(KeyFile(path.with_name("ada.pub"))), path, tmp_path)


def test_a_public_half_that_no_agent_knows_is_told(tmp_path, monkeypatch):
    """The way out is in the message."""
    path = make_key(tmp_path, "ada")
    path.unlink()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(StepFailed, match="No agent holds its private half"):
        sign(KeyFile(path.with_name("ada.pub")))


def test_a_passphrase_without_a_terminal_fails_at_once(tmp_path, monkeypatch):
    """No prompt that nobody sees, not through a graphical helper either; the message says what to do."""
    path = make_key(tmp_path, "ada", passphrase="long enough")
    helper = tmp_path / "askpass"
    helper.write_text("#!/bin/sh\necho 'long enough'\n")
    helper.chmod(0o755)
    monkeypatch.setenv("SSH_ASKPASS", str(helper))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    monkeypatch.setattr(surroundings, "has_terminal", lambda: False)
    with pytest.raises(StepFailed, match="no terminal to ask on"):
        sign(KeyFile(path))


ASKED = """
import sys
from pathlib import Path
from runbook.signatures import SEAL, KeyFile
with KeyFile(Path(sys.argv[1])).opened() as pen:
    Path(sys.argv[2]).write_bytes(pen.sign(b"content", namespace=SEAL))
"""


def test_a_passphrase_is_asked_for_on_a_terminal(tmp_path):
    """A person at a terminal is asked, types, and has signed."""
    path, out = make_key(tmp_path, "ada", passphrase="long enough"), tmp_path / "out"
    ours, theirs = pty.openpty()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("SSH", "DISPLAY"))
    }
    process = subprocess.Popen(
        [sys.executable, "-c", ASKED, str(path), str(out)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # our terminal is its own
    )
    os.close(theirs)
    said = b""
    while b"passphrase" not in said:
        said += os.read(ours, 1000)
    os.write(ours, b"long enough\n")
    assert process.wait() == 0
    os.close(ours)
    assert counts(out.read_bytes(), path, tmp_path)


def test_an_unprotected_key_is_refused_with_its_reason(tmp_path):
    """ssh-keygen's own words come through in one line."""
    path = make_key(tmp_path, "ada")
    path.chmod(0o644)
    with pytest.raises(StepFailed, match="too open") as caught:
        sign(KeyFile(path))
    assert "\n" not in str(caught.value)
    assert "@@" not in str(caught.value)


@pytest.mark.parametrize("change", [str.strip, lambda t: t.replace("\n", "\r\n"), lambda t: f"\n{t}\n\n"])
def test_a_key_from_a_variable_signs_however_it_was_stored(tmp_path, monkeypatch, change):
    """A secret store's newlines do no harm; nothing of the key is left on disk."""
    path = make_key(tmp_path / "keys", "ada")
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert counts(sign(KeyText(change(path.read_text()))), path, tmp_path)
    assert list(place.iterdir()) == []


def test_a_key_in_use_is_its_owners_alone(tmp_path):
    """0600 in a folder of 0700, for as long as it is open."""
    path = make_key(tmp_path, "ada")
    with KeyText(path.read_text()).opened() as pen:
        assert pen.path.stat().st_mode & 0o777 == 0o600
        assert pen.path.parent.stat().st_mode & 0o777 == 0o700
    assert not pen.path.exists()


def test_a_broken_variable_is_named_and_not_shown(tmp_path):
    """The variable's name stands in the message; its value and where it was put do not."""
    text = "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END OPENSSH PRIVATE KEY-----"
    with pytest.raises(StepFailed, match="RUNBOOK_SIGNING_KEY could not sign") as caught:
        sign(KeyText(text))
    assert "c2VjcmV0" not in str(caught.value)
    assert tempfile.gettempdir() not in str(caught.value)
    assert "c2VjcmV0" not in repr(KeyText(text))


def test_a_throw_away_key_is_listed_and_gone(tmp_path):
    """Its public half is on the list for one purpose; its private half is nowhere."""
    listing = tmp_path / "outputs/.signers/sandbox"
    key = ThrowAwayKey(listing, "rehearsed", SEAL)
    with key.opened() as pen:
        armor, private = pen.sign(b"content", namespace=SEAL), pen.path
    assert not private.exists()
    signers = Signers(listing, rehearsed=True)
    assert signers.check(b"content", armor, namespace=SEAL, at=NOW).principal == "rehearsed"
    sign(key)
    assert [line.split()[0] for line in listing.read_text().splitlines()] == ["rehearsed", "rehearsed"]


def test_the_signing_key_reaches_no_kernel_and_no_program(monkeypatch, tmp_path):
    """RUNBOOK_SIGNING_KEY stays in the process that seals; a kernel that has it can forget it."""
    monkeypatch.setenv("RUNBOOK_SIGNING_KEY", "private")
    monkeypatch.setenv("RUNBOOK_SIGNING_KEY_FILE", "~/key")
    assert surroundings.signing_key_text() == "private"
    assert surroundings.signing_key_file() == Path("~/key").expanduser()
    kernel = surroundings.kernel_environment(root=tmp_path, outputs=tmp_path, replay=False)
    given = [kernel, *(surroundings.ssh_environment(prompts=asked) for asked in (True, False))]
    assert all("RUNBOOK_SIGNING_KEY" not in environment for environment in given)
    surroundings.forget_signing_key()
    assert surroundings.signing_key_text() == ""


@pytest.fixture
def fresh_program():
    openssh._program.cache_clear()
    yield
    openssh._program.cache_clear()


def test_a_missing_ssh_keygen_is_said(tmp_path, monkeypatch, fresh_program):
    """What to install, not a stack trace."""
    path = make_key(tmp_path, "ada")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepFailed, match="install OpenSSH"):
        sign(KeyFile(path))


def test_an_old_openssh_is_said(tmp_path, monkeypatch, fresh_program):
    """Before 8.8 the list cannot say how long a key is valid."""
    for name in ("ssh", "ssh-keygen"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'OpenSSH_8.4p1 Debian-5' >&2\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "key").write_text("k")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(StepFailed, match=r"OpenSSH 8\.4 .* 8\.8 or newer"):
        sign(KeyFile(tmp_path / "key"))


def test_a_program_that_does_not_answer_is_given_up(tmp_path, monkeypatch, fresh_program):
    """An agent that waits for a person who is not there: an error, no hang."""
    path = make_key(tmp_path, "ada")
    (tmp_path / "ssh-keygen").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(openssh, "UNATTENDED_S", 0.2)
    monkeypatch.setattr(openssh, "_version", lambda: None)
    monkeypatch.setattr(surroundings, "has_terminal", lambda: False)
    with pytest.raises(StepFailed, match="no answer within"):
        sign(KeyFile(path))
