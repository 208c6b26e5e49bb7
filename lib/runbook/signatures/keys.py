"""Keys that sign: a person's file or agent, CI's from its environment, the sandbox's throw-away ones."""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from runbook import surroundings
from runbook.errors import InputError, StepFailed
from runbook.signatures.armor import read_armor, wire_string
from runbook.signatures.openssh import keygen, last_words

_PRIVATE = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_PRIVATE_MAGIC = b"openssh-key-v1\0"


class Key(Protocol):
    """Something that can sign."""

    def opened(self) -> AbstractContextManager[OpenKey]:
        """Make it ready to sign, for as long as the context lasts."""


@dataclass(frozen=True)
class OpenKey:
    """A key at hand: `path` is what ssh-keygen gets, `name` what messages call it."""

    path: Path
    name: str
    may_prompt: bool

    def public_key(self) -> bytes:
        """Return the public half in SSH wire format, without a passphrase; InputError when there is none."""
        beside = self.path.with_name(f"{self.path.name}.pub")
        for place in (self.path, beside):
            found = _public_part(place.read_bytes()) if place.is_file() else None
            if found is not None:
                return found
        raise InputError(
            f"{self.name} is no key of OpenSSH, and there is no {beside.name} beside it; "
            "name a private key, or the .pub of one that your agent holds"
        )

    def sign(self, content: bytes, *, namespace: str) -> bytes:
        """Return the signature of `content` as ssh-keygen writes it; StepFailed when it gives none."""
        prompts = self.may_prompt and surroundings.has_terminal()
        with tempfile.TemporaryDirectory(prefix="rb-sign-") as folder:
            paper = Path(folder) / "content"
            paper.write_bytes(content)
            done = keygen(
                "-q", "-Y", "sign", "-f", str(self.path), "-n", namespace, str(paper), prompts=prompts
            )
            signature = paper.with_name("content.sig")
            if done.returncode or not signature.is_file():
                said = last_words(done.stderr, instead_of=self.path, name=self.name)
                raise StepFailed(f"{self.name} could not sign: {said}{_advice(said, prompts=prompts)}")
            armor = signature.read_bytes()
        read_armor(armor)
        return armor


def _advice(said: str, *, prompts: bool) -> str:
    if "passphrase" in said and not prompts:
        return (
            ". It has a passphrase, and there is no terminal to ask on: run this on a terminal, "
            "or `ssh-add` the key and name its .pub"
        )
    if "No private key found for public key" in said:
        return ". No agent holds its private half: `ssh-add` it, or name the private key"
    return ""


@dataclass(frozen=True)
class KeyFile:
    """A private key's file, or the `.pub` of a key that an agent or a piece of hardware holds."""

    path: Path

    @contextmanager
    def opened(self) -> Iterator[OpenKey]:
        if not self.path.is_file():
            raise InputError(
                f"there is no key {self.path}; make one with: ssh-keygen -t ed25519 -f {self.path}"
            )
        yield OpenKey(self.path, str(self.path), may_prompt=True)


@dataclass(frozen=True)
class KeyText:
    """A private key that stands in an environment variable, as CI hands it out; it has no passphrase."""

    text: str = field(repr=False)
    name: str = surroundings.SIGNING_KEY_VARIABLE

    @contextmanager
    def opened(self) -> Iterator[OpenKey]:
        with _private_folder() as folder:
            path = folder / "key"
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
                # Secret stores like to take the last newline away, and some add carriage returns.
                file.write("\n".join(line.strip() for line in self.text.strip().splitlines()) + "\n")
            yield OpenKey(path, self.name, may_prompt=False)


@dataclass(frozen=True)
class ThrowAwayKey:
    """A key of the sandbox: made for one signature, its public half listed, its private half destroyed.

    `listing` is the list of signers it is put on, for `namespace` alone, as `principal`.
    """

    listing: Path
    principal: str
    namespace: str

    @contextmanager
    def opened(self) -> Iterator[OpenKey]:
        with _private_folder() as folder:
            path = folder / "key"
            done = keygen("-q", "-t", "ed25519", "-N", "", "-C", self.principal, "-f", str(path))
            if done.returncode:
                said = last_words(done.stderr, instead_of=path, name="it")
                raise StepFailed(f"no throw-away key could be made: {said}")
            public = " ".join(path.with_name("key.pub").read_text(encoding="ascii").split()[:2])
            _add_line(self.listing, f'{self.principal} namespaces="{self.namespace}" {public}\n')
            yield OpenKey(path, "the throw-away key", may_prompt=False)


@contextmanager
def _private_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rb-key-") as folder:  # made 0700
        yield Path(folder)


def _add_line(path: Path, line: str) -> None:
    """Append to a list that other drills append to at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line.encode())


def _public_part(content: bytes) -> bytes | None:
    """Return the public key of a .pub line, or of a private key in OpenSSH's own format."""
    try:
        if content.lstrip().startswith(_PRIVATE):
            lines = content.split(b"-----")[2]
            return _of_private(base64.b64decode(lines, validate=False))
        kind, encoded = content.split()[:2]
        blob = base64.b64decode(encoded, validate=True)
        return blob if wire_string(blob)[0] == kind else None
    except (ValueError, IndexError, binascii.Error):
        return None


def _of_private(blob: bytes) -> bytes:
    if not blob.startswith(_PRIVATE_MAGIC):
        raise ValueError("not OpenSSH's own format")
    rest = blob[len(_PRIVATE_MAGIC) :]
    for _ in ("cipher", "key derivation", "its options"):
        _, rest = wire_string(rest)
    return wire_string(rest[4:])[0]  # after the number of keys, always 1
