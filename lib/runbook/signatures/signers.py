"""Whether a signature counts: made by a key that is listed, for this purpose, valid then, of this content.

ssh-keygen gives every verdict. When it says no, it is asked again with less and less, to tell why.
"""

from __future__ import annotations

import base64
import binascii
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from runbook.errors import SignatureRefused, UnknownName
from runbook.signatures.armor import fingerprint, read_armor, wire_string
from runbook.signatures.openssh import keygen
from runbook.values import Value

ALLOWED, REVOKED = "allowed_signers", "revoked_keys"
_ENVIRONMENT = re.compile(r"[a-z][a-z0-9_]*")
_FIELD = re.compile(r'(?:"[^"]*"|[^\s"])+')


class SignedBy(Value):
    """A signature that counts: whose it is, and the key's fingerprint."""

    principal: str
    fingerprint: str


@dataclass(frozen=True)
class Signers:
    """A list of those whose signatures count, in the form of ssh-keygen(1), ALLOWED SIGNERS.

    `revoked` holds keys that never count, a public key a line or a KRL. `rehearsed` says that the list is
    the sandbox's: its keys prove that nothing changed since, not who signed.
    """

    allowed: Path
    revoked: Path | None = None
    rehearsed: bool = False

    @property
    def name(self) -> str:
        return f"{self.allowed.parent.name}/{self.allowed.name}"

    def principals_of(self, public_key: bytes) -> list[str]:
        """Return the principals a key is listed for, in the order of the list."""
        if not self.allowed.is_file():
            return []
        lines = self.allowed.read_text(encoding="utf-8", errors="replace").splitlines()
        return list(dict.fromkeys(name for line in lines for name in _principals(line, public_key)))

    def check(
        self, content: bytes, armor: bytes, *, namespace: str, at: datetime, principal: str = ""
    ) -> SignedBy:
        """Return whose signature `armor` is, as things stood `at` that time; only `principal`'s when given.

        Raises SignatureRefused: malformed, of other content, for another purpose, by a key that is not
        listed, not for this purpose, not valid then, or revoked.
        """
        said = read_armor(armor)
        key = fingerprint(said.public_key)
        if said.namespace != namespace:
            raise SignatureRefused("namespace", f"it was made for {said.namespace!r}, not for {namespace!r}")
        listed = self.principals_of(said.public_key)
        asked = [name for name in listed if name == principal] if principal else listed
        with tempfile.TemporaryDirectory(prefix="rb-check-") as folder:
            paper = Path(folder) / "signature"
            paper.write_bytes(armor)
            question = _Question(self, content, paper, namespace, at)
            for name in asked:
                if question.holds_for(name, revoked=self.revoked):
                    return SignedBy(principal=name, fingerprint=key)
            raise question.refusal(key, asked, principal)


@dataclass(frozen=True)
class _Question:
    """One signature put before ssh-keygen."""

    signers: Signers
    content: bytes
    paper: Path
    namespace: str
    at: datetime

    def holds_for(self, principal: str, *, revoked: Path | None) -> bool:
        return self._verify(principal, revoked)[0]

    def refusal(self, key: str, asked: list[str], principal: str) -> SignatureRefused:
        """Return why it does not count."""
        name = self.signers.name
        if keygen("-Y", "check-novalidate", *self._common(), content=self.content).returncode:
            return SignatureRefused("content", f"it is a signature by {key}, but not of this content")
        if not asked:
            whom = f" for {principal}" if principal else ""
            return SignatureRefused("foreign", f"it was made with {key}, which {name} does not list{whom}")
        holds, said = self._verify(asked[0], None)
        who = f"{asked[0]} ({key})"
        if holds:
            return SignatureRefused("revoked", f"the key of {who} is revoked, or {REVOKED} cannot be read")
        if "not permitted" in said:
            return SignatureRefused("namespace", f"{name} does not let {who} sign for {self.namespace!r}")
        if "expired" in said or "not yet valid" in said:
            moment = f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            return SignatureRefused("expired", f"by {name} the key of {who} was not valid at {moment}")
        return SignatureRefused(
            "foreign", f"{name} does not accept {who}: {said or 'ssh-keygen gave no reason'}"
        )

    def _verify(self, principal: str, revoked: Path | None) -> tuple[bool, str]:
        at = f"verify-time={self.at.astimezone(UTC):%Y%m%d%H%M%S}"  # OpenSSH's programs run in UTC
        options = ["-f", str(self.signers.allowed), "-I", principal, "-O", at]
        options += ["-r", str(revoked)] if revoked else []
        done = keygen("-Y", "verify", *self._common(), *options, content=self.content)
        return done.returncode == 0, "; ".join(done.stderr.decode("utf-8", "replace").splitlines())

    def _common(self) -> tuple[str, ...]:
        return "-n", self.namespace, "-s", str(self.paper)


def signers_of(root: Path, outputs: Path, environment: str) -> Signers:
    """Return whose signatures count in an environment: from params/, for the sandbox from outputs/.signers.

    Both lie outside every run's folder. A list that is not there lists nobody. Raises UnknownName for what
    is no environment's name: it may stand in a record that somebody else wrote.
    """
    if not _ENVIRONMENT.fullmatch(environment):
        raise UnknownName(f"{environment!r} is no environment's name; they are the folders of params/")
    if environment == "sandbox":
        return Signers(sandbox_listing(outputs), rehearsed=True)
    folder = root / "params" / environment
    return with_revoked(folder / ALLOWED)


def with_revoked(allowed: Path) -> Signers:
    """Return the signers of a list, with the revoked keys that lie beside it, if any do."""
    revoked = allowed.with_name(REVOKED)
    return Signers(allowed, revoked if revoked.exists() else None)


def sandbox_listing(outputs: Path) -> Path:
    """Return where the public halves of the sandbox's throw-away keys are listed."""
    return outputs / ".signers" / "sandbox"


def _principals(line: str, public_key: bytes) -> list[str]:
    """Return the principals of one line of a list if it lists the key: `principals [options] type key`."""
    fields = _FIELD.findall(line)
    if not fields or fields[0].startswith("#"):
        return []
    for kind, encoded in pairwise(fields):
        try:
            blob = base64.b64decode(encoded, validate=True)
            if blob == public_key and wire_string(blob)[0] == kind.encode():
                return [name for name in fields[0].strip('"').split(",") if name]
        except (ValueError, binascii.Error):
            continue
    return []
