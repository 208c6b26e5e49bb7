"""Signers' statements in a run's evidence/: read, bound to their request, their signatures checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from runbook.errors import ApprovalRefused, SignatureRefused
from runbook.gates.requests import DIGITS, Request, Signature, Statement
from runbook.signatures import APPROVAL, Signers
from runbook.values import shown

EVIDENCE = "evidence"
CLOCKS_DIFFER = timedelta(minutes=2)
"""How far a signer's clock may be from that of the run."""


@dataclass(frozen=True)
class Paper:
    """A statement as it lies in evidence/: the file's name, its bytes, its signature's bytes if any."""

    name: str
    content: bytes
    armor: bytes | None

    def statement(self) -> Statement:
        """Return what it says; ApprovalRefused when that is not what a signer would have written."""
        try:
            found = Statement.model_validate_json(self.content)
        except ValidationError as error:
            raise ApprovalRefused(f"{self.name}: no statement of a signer can be read in it") from error
        if found.content() != self.content:
            raise ApprovalRefused(f"{self.name}: not in the form in which a statement is signed")
        return found

    def signature(self, request: Request, signers: Signers, *, now: datetime) -> Signature:
        """Return the signature if it is one, for this request, in time, by a key that counts then and `now`.

        Whether the signer may say so is not asked here. Raises ApprovalRefused.
        """
        said = self.statement()
        require_bound(self.name, said, request)
        require_in_time(self.name, said, request, now=now)
        if self.armor is None:
            raise ApprovalRefused(f"{self.name}: there is no signature {self.name}.sig beside it")
        moments = {said.signed_at: None, max(now, said.signed_at): None}
        try:
            for at in moments:
                by = signers.check(
                    self.content, self.armor, namespace=APPROVAL, at=at, principal=said.principal
                )
        except SignatureRefused as error:
            raise ApprovalRefused(f"{self.name}.sig: {error}") from error
        return Signature(
            role=said.role,
            principal=by.principal,
            fingerprint=by.fingerprint,
            signed_at=said.signed_at,
            says=said.says,
            reason=said.reason,
        )


def read_papers(folder: Path, request: Request) -> list[Paper]:
    """Return the statements to a request that lie in a run's evidence/, reviews too, by name."""
    found = sorted((folder / EVIDENCE).glob(f"approval-{request.digest[:DIGITS]}.*.json"))
    return [read_paper(path) for path in found]


def read_paper(path: Path) -> Paper:
    """Return one statement with its signature; a link counts as nothing at all."""
    return Paper(path.name, _plain(path) or b"", _plain(path.with_name(f"{path.name}.sig")))


def _plain(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def require_bound(name: str, said: Statement, request: Request) -> None:
    """Raise ApprovalRefused unless a statement is about this request and lies where its role belongs."""
    if said.run_id != request.run_id:
        raise ApprovalRefused(f"{name}: it is for another run, {said.run_id}")
    if said.plan_digest != request.plan_digest:
        raise ApprovalRefused(
            f"{name}: it is for another plan, {said.plan_digest[:DIGITS]} and not "
            f"{request.plan_digest[:DIGITS]}"
        )
    if said.request_sha256 != request.digest:
        raise ApprovalRefused(
            f"{name}: it is for another request, {said.request_sha256[:DIGITS]} and not "
            f"{request.digest[:DIGITS]}: sign what is asked for now"
        )
    if name != request.statement_name(said.role, said.says):
        raise ApprovalRefused(f"{name}: its file is named for another role than it speaks for, {said.role}")


def require_in_time(name: str, said: Statement, request: Request, *, now: datetime) -> None:
    """Raise ApprovalRefused unless a statement was made after it was asked for, before its expiry and `now`.

    A review comes afterwards and has no expiry.
    """
    expires = said.says != "review"
    if expires and now > request.expires_at:
        raise ApprovalRefused(
            f"{name}: the approval expired at {shown(request.expires_at)}; "
            f"to ask anew: runbook resume {request.run_id}"
        )
    if said.signed_at < request.requested_at - CLOCKS_DIFFER:
        raise ApprovalRefused(
            f"{name}: signed at {shown(said.signed_at)}, before it was asked for at "
            f"{shown(request.requested_at)}"
        )
    if expires and said.signed_at > request.expires_at:
        raise ApprovalRefused(
            f"{name}: signed at {shown(said.signed_at)}, after it expired at {shown(request.expires_at)}"
        )
    if said.signed_at > now + CLOCKS_DIFFER:
        raise ApprovalRefused(f"{name}: signed at {shown(said.signed_at)}, which is yet to come")
