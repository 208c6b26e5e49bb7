"""The gate of approvals: who may say yes to what is asked for, how it is signed, and when that is enough."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from runbook.errors import ApprovalRefused
from runbook.files import write_atomically
from runbook.gates.requests import (
    OF_THE_MOMENT,
    Approval,
    ChangeLine,
    Request,
    Says,
    Signature,
    Statement,
)
from runbook.gates.statements import EVIDENCE, Paper, read_papers, require_in_time
from runbook.plan import Gates, Person, SignatureRule
from runbook.signatures import APPROVAL, Key, OpenKey, Signers, ThrowAwayKey, fingerprint, signers_of
from runbook.values import shown

__all__ = [
    "Approval",
    "ChangeLine",
    "Context",
    "Request",
    "Signature",
    "Signers",
    "Standing",
    "Statement",
    "collect",
    "rehearse",
    "review_due_at",
    "review_of",
    "sign_request",
    "sign_review",
    "signers_of",
    "still_holds",
    "write_request",
]


@dataclass(frozen=True)
class Context:
    """Against what signatures are held: people, rules and keys, as they are `now`."""

    people: tuple[Person, ...]
    gates: Gates
    rule: SignatureRule
    signers: Signers
    now: datetime

    @property
    def rehearsed(self) -> bool:
        return self.gates.approvals == "rehearsed"

    def person(self, principal: str) -> Person | None:
        """Return who a principal is; in a rehearsal each role has somebody who holds it and nothing else."""
        if self.rehearsed:
            roles = {_rehearsed(role): role for role in self.rule.any_of}
            role = roles.get(principal)
            return Person(principal=principal, roles=(role,)) if role else None
        return next((person for person in self.people if person.principal == principal), None)


@dataclass(frozen=True)
class Standing:
    """How an approval stands: what counts, what does not and why, whose signature may still come."""

    valid: tuple[Signature, ...]
    refusals: tuple[str, ...]
    missing: tuple[str, ...]
    enough: bool


def write_request(folder: Path, request: Request) -> Path:
    """Write what is to be signed into a run's evidence/ and return its path."""
    path = folder / EVIDENCE / request.file_name
    path.parent.mkdir(mode=0o755, exist_ok=True)
    write_atomically(path, request.content())
    return path


def collect(folder: Path, request: Request, context: Context) -> Standing:
    """Return how the approval of a request stands, from the statements in the run's evidence/."""
    papers = (paper for paper in read_papers(folder, request) if not _is_review(paper.name))
    return _standing(papers, request, context)


def _standing(papers: Iterable[Paper], request: Request, context: Context) -> Standing:
    signed: list[tuple[str, Signature]] = []
    refusals: list[str] = []
    for paper in papers:
        try:
            signature = paper.signature(request, context.signers, now=context.now)
            _require_entitled(paper.name, paper.statement(), request, context)
            signed.append((paper.name, signature))
        except ApprovalRefused as error:
            refusals.append(str(error))
    valid: list[Signature] = []
    for name, signature in sorted(signed, key=lambda pair: pair[1].signed_at):
        before = next((other for other in valid if _same_person(other, signature)), None)
        if before is None or "break glass" in (before.says, signature.says):
            valid.append(signature)
        else:
            refusals.append(
                f"{name}: {signature.principal} has signed already, as {before.role}; it takes another person"
            )
    ordinary = [signature.role for signature in valid if signature.says == "approve"]
    alone = any(signature.says == "break glass" for signature in valid)
    enough = alone or len(ordinary) >= context.rule.signatures_at_least
    missing = () if enough else tuple(role for role in context.rule.any_of if role not in ordinary)
    valid.sort(key=lambda signature: (signature.signed_at, signature.role))
    return Standing(tuple(valid), tuple(refusals), missing, enough)


def _same_person(one: Signature, other: Signature) -> bool:
    return one.principal == other.principal or one.fingerprint == other.fingerprint


def _is_review(name: str) -> bool:
    return name.endswith(".review.json")


# Who may


def _require_entitled(name: str, said: Statement, request: Request, context: Context) -> None:
    """Raise ApprovalRefused unless the signer may say this, in this role, of this request."""
    file = f"params/{request.environment}/environment.yaml"
    person = context.person(said.principal)
    if person is None:
        raise ApprovalRefused(
            f"{name}: {said.principal} is nobody in {file}; add them under `people`, with their roles"
        )
    counting = _roles_that_count(name, said, context)
    if said.role not in counting:
        raise ApprovalRefused(f"{name}: signed as {said.role}; what counts is {' or '.join(counting)}")
    if said.role not in person.roles:
        holds = ", ".join(person.roles) or "no role"
        raise ApprovalRefused(f"{name}: {said.principal} holds {holds} in {file}, not {said.role}")
    if said.says != "break glass":
        _require_another(name, said, person, request, context)


def _roles_that_count(name: str, said: Statement, context: Context) -> tuple[str, ...]:
    glass = context.gates.break_glass
    if said.says == "approve":
        return context.rule.any_of
    if glass is None:
        raise ApprovalRefused(f"{name}: no one may break the glass here; `gates.break_glass` is null")
    if not said.reason.strip():
        raise ApprovalRefused(f"{name}: {said.says!r} needs a reason; give one with --reason")
    both = (*context.rule.any_of, *glass.roles)
    return glass.roles if said.says == "break glass" else tuple(dict.fromkeys(both))


def _require_another(name: str, said: Statement, person: Person, request: Request, context: Context) -> None:
    """Raise ApprovalRefused when who signs is, or may be, who opened the run."""
    if context.gates.requester_may_approve or context.rehearsed:
        return
    account = request.requester
    if account in person.accounts:
        raise ApprovalRefused(
            f"{name}: {said.principal} opened this run (as {account}); it takes another person's signature"
        )
    if not any(account in other.accounts for other in context.people):
        raise ApprovalRefused(
            f"{name}: the run was opened by the account {account}, and nobody knows that this is not "
            f"{said.principal}; add it in params/{request.environment}/environment.yaml to `accounts` of the "
            "person whose it is (one without roles, for a machine's)"
        )


# Signing


def sign_request(
    folder: Path,
    request: Request,
    context: Context,
    *,
    role: str,
    key: Key,
    says: Says = "approve",
    reason: str = "",
) -> Standing:
    """Sign a request in a role and return how its approval then stands.

    The statement is held against every rule before it is left in evidence/; one that would not count
    raises ApprovalRefused, and nothing is left. `folder` is the run's.
    """
    _require_asked(folder, request)
    _require_unsigned(collect(folder, request, context), role, says)
    paper = _signed_paper(request, context, role=role, key=key, says=says, reason=reason)
    others = [other for other in read_papers(folder, request) if other.name != paper.name]
    papers = [*(other for other in others if not _is_review(other.name)), paper]
    standing = _standing(papers, request, context)
    refusal = next((words for words in standing.refusals if words.startswith(paper.name)), "")
    if refusal:
        raise ApprovalRefused(refusal)
    _leave(folder, paper)
    return standing


def _require_asked(folder: Path, request: Request) -> None:
    path = folder / EVIDENCE / request.file_name
    if not path.is_file() or path.read_bytes() != request.content():
        raise ApprovalRefused(
            f"{EVIDENCE}/{request.file_name} is not what the journal says is asked for; nothing was signed"
        )


def _require_unsigned(standing: Standing, role: str, says: Says) -> None:
    before = next((other for other in standing.valid if (other.role, other.says) == (role, says)), None)
    if before is not None:
        raise ApprovalRefused(f"{role} has signed already: {before.principal} at {shown(before.signed_at)}")


def _signed_paper(
    request: Request, context: Context, *, role: str, key: Key, says: Says, reason: str
) -> Paper:
    name = request.statement_name(role, says)
    with key.opened() as pen:
        statement = Statement(
            request_sha256=request.digest,
            run_id=request.run_id,
            plan_digest=request.plan_digest,
            role=role,
            principal=_principal_of(pen, role, context),
            says=says,
            reason=reason,
            signed_at=context.now,
        )
        # Before a passphrase or a touch is asked for: what would be refused anyway.
        require_in_time(name, statement, request, now=context.now)
        _require_entitled(name, statement, request, context)
        content = statement.content()
        return Paper(name, content, pen.sign(content, namespace=APPROVAL))


def _principal_of(pen: OpenKey, role: str, context: Context) -> str:
    """Return which of the principals a key is listed for signs: one who holds the role, if there is one."""
    public = pen.public_key()
    listed = context.signers.principals_of(public)
    if not listed:
        raise ApprovalRefused(
            f"{pen.name} is the key {fingerprint(public)}, which {context.signers.name} does not list; "
            "whoever answers for that file adds its public half there"
        )
    people = {name: context.person(name) for name in listed}
    return next((name for name, person in people.items() if person and role in person.roles), listed[0])


def _leave(folder: Path, paper: Paper) -> None:
    """Put statement and signature into evidence/: the signature first, for alone it says nothing."""
    path = folder / EVIDENCE / paper.name
    signature = path.with_name(f"{path.name}.sig")
    try:
        write_atomically(signature, paper.armor or b"")
        write_atomically(path, paper.content)
    except BaseException:
        signature.unlink(missing_ok=True)
        raise


def rehearse(folder: Path, request: Request, context: Context, signed: str = "yes") -> Standing:
    """Let the sandbox's throw-away keys sign for as many roles as it takes, the way people do.

    `signed` is "yes", "no" (nobody does), "plans" (nobody decides to go on where a run holds), or "another
    plan": what is signed is not what is asked for.
    """
    if not (context.rehearsed and context.signers.rehearsed):
        raise ApprovalRefused("only the sandbox signs for people; these are signatures of people")
    standing = collect(folder, request, context)
    if signed == "no" or (signed, request.kind) == ("plans", "decision"):
        return standing
    for role in standing.missing[: context.rule.signatures_at_least - len(standing.valid)]:
        key = ThrowAwayKey(context.signers.allowed, _rehearsed(role), APPROVAL)
        if signed == "another plan":
            _sign_another(folder, request, context, role=role, key=key)
        else:
            standing = sign_request(folder, request, context, role=role, key=key)
    return standing


def _sign_another(folder: Path, request: Request, context: Context, *, role: str, key: Key) -> None:
    """Leave a signature, true in itself, for a plan that nobody asks for, where the right one would lie."""
    other = request.model_copy(update={"plan_digest": hashlib.sha256(b"another plan").hexdigest()})
    paper = _signed_paper(other, context, role=role, key=key, says="approve", reason="")
    _leave(folder, replace(paper, name=request.statement_name(role, "approve")))


def _rehearsed(role: str) -> str:
    return f"rehearsed-{role}"


# Afterwards


def still_holds(request: Request, now_request: Request, *, now: datetime) -> None:
    """Raise ApprovalRefused naming the first thing in which what was signed and what is now differ.

    `now_request` is worked out anew, in full; only the moment of asking may differ.
    """
    if now > request.expires_at:
        raise ApprovalRefused(
            f"the approval expired at {shown(request.expires_at)}; it is {shown(now)}, and nothing was done. "
            f"Ask anew: run the cell of run.approve(plan) again, or: runbook resume {request.run_id}"
        )
    signed, fresh = request.changes, now_request.changes
    if [line.sentence for line in signed] != [line.sentence for line in fresh]:
        raise ApprovalRefused(
            f"{len(signed)} changes were signed, and now it would be others: "
            f"{'; '.join(line.sentence for line in fresh) or 'none'}"
        )
    for was, line in zip(signed, fresh, strict=True):
        for name in ("resource", "observed", "before", "after", "touches", "way_back"):
            _require_same(
                f"{name.replace('_', ' ')} of “{was.sentence}”", getattr(was, name), getattr(line, name)
            )
    for name in Request.model_fields:
        if name not in OF_THE_MOMENT and name != "changes":
            _require_same(name.replace("_", " "), getattr(request, name), getattr(now_request, name))


def _require_same(what: str, signed: object, fresh: object) -> None:
    if signed != fresh:
        raise ApprovalRefused(
            f"what was approved is not what would be done: {what}: "
            f"signed was {shown(signed)}, now it is {shown(fresh)}"
        )


def review_due_at(approval: Approval, gates: Gates) -> datetime | None:
    """Return by when somebody else looks at a break-glass approval; None when it is an ordinary one."""
    broken = next((sign for sign in approval.signatures if sign.says == "break glass"), None)
    if broken is None or gates.break_glass is None:
        return None
    return broken.signed_at + timedelta(hours=gates.break_glass.review_within_h)


def sign_review(
    folder: Path, request: Request, context: Context, *, broken: Signature, role: str, key: Key, reason: str
) -> Signature:
    """Sign that a break-glass approval was looked at afterwards, by another person than `broken`'s.

    `reason` says what they found. Raises ApprovalRefused, with nothing left in evidence/.
    """
    paper = _signed_paper(request, context, role=role, key=key, says="review", reason=reason)
    signature = _review(paper, request, context, broken)
    _leave(folder, paper)
    return signature


def review_of(folder: Path, request: Request, context: Context, *, broken: Signature) -> Signature | None:
    """Return the review of a break-glass approval if one counts; one that does not raises ApprovalRefused."""
    papers = [paper for paper in read_papers(folder, request) if _is_review(paper.name)]
    return _review(papers[0], request, context, broken) if papers else None


def _review(paper: Paper, request: Request, context: Context, broken: Signature) -> Signature:
    signature = paper.signature(request, context.signers, now=context.now)
    _require_entitled(paper.name, paper.statement(), request, context)
    if _same_person(signature, broken):
        raise ApprovalRefused(
            f"{paper.name}: {signature.principal} broke the glass; it takes another person to look at it"
        )
    return signature
