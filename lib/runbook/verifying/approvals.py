"""Approvals on record against what was signed: requests, statements, signatures, the plans they are for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from runbook.errors import ApprovalRefused
from runbook.gates.asked import UNREADABLE, Asked, asked_for, at_of
from runbook.gates.requests import Approval, Signature
from runbook.gates.statements import EVIDENCE, Paper, read_papers, require_bound
from runbook.journal import Record
from runbook.outline import title_of
from runbook.plan import Person
from runbook.signatures import Signers
from runbook.verifying.sealed import JOURNAL, Sealed

OF_A_RUN: Final = ("run_id", "runbook", "environment", "mode", "params")


def wrong_approvals(sealed: Sealed, signers: Signers | None) -> Iterator[str]:
    """Return what is wrong with the approvals of a run, a line each."""
    try:
        asked = asked_for(sealed.records)
    except UNREADABLE as error:
        yield f"{JOURNAL}: an approval on record cannot be read ({type(error).__name__}: {error})"
        return
    for one in asked:
        yield from _wrong_request(sealed, one)
        yield from _wrong_statements(sealed, one, signers)
    yield from _strangers(sealed, asked)
    yield from _unapproved(sealed, asked)


def _wrong_request(sealed: Sealed, asked: Asked) -> Iterator[str]:
    """Return in what a request does not fit the run it stands in."""
    request, opened = asked.request, sealed.opened
    path = sealed.folder / asked.name
    where = f"{JOURNAL}:{asked.record.seq}"
    if not path.is_file() or path.read_bytes() != request.content():
        yield f"{asked.name}: not what {where} says was asked for"
    told: dict[str, object] = {name: getattr(request, name) for name in OF_A_RUN}
    told["opened_by"] = request.requester
    for name, value in told.items():
        if opened.get(name) != value:
            had = opened.get(name)
            yield f"{where}: what was asked for is of another run: {name} is {value!r}, not {had!r}"
    earlier = sealed.records[: asked.record.seq - 1]
    if request.journal_head not in {record.hash for record in earlier}:
        yield f"{where}: what was asked for stands on a journal that this one does not go back to"
    if request.kind == "plan" and request.plan_digest not in _plan_digests(earlier, request.title):
        yield f"{where}: the plan “{request.title}” on record is another than {request.plan_digest[:12]}"
    if asked.approval is not None and asked.approval.request != request:
        yield f"{where}: what was approved is not what was asked for"


def _plan_digests(records: tuple[Record, ...], title: str) -> set[str]:
    """Return the digests of the plans of a title, as `Plan.digest` has them, from their recorded form."""
    done = [r for r in records if r.kind == "done" and r.title == title and r.data.get("verb") == "plan"]
    try:
        changes = [record.data["result"]["of"]["fields"]["changes"] for record in done]
    except (KeyError, TypeError):
        return set()
    texts = [json.dumps(c, ensure_ascii=False, sort_keys=True, separators=(",", ":")) for c in changes]
    return {hashlib.sha256(text.encode()).hexdigest() for text in texts}


def _wrong_statements(sealed: Sealed, asked: Asked, signers: Signers | None) -> Iterator[str]:
    """Return which signature does not count as on record, and which statement is of something else."""
    papers = {paper.name: paper for paper in read_papers(sealed.folder, asked.request)}
    for name, paper in papers.items():
        try:
            require_bound(name, paper.statement(), asked.request)
        except ApprovalRefused as error:
            yield f"{EVIDENCE}/{error}"
    if asked.answer is None:
        return
    if signers is None:
        yield f"{asked.name}: its signatures are not checked: name who may sign with --signers FILE"
        return
    found = {name: _read(paper, asked, signers, asked.at) for name, paper in papers.items()}
    if asked.approval is not None:
        yield from _wrong_counted(found, asked, asked.approval)
    valid = [sign for sign in found.values() if isinstance(sign, Signature)]
    ordinary = [sign for sign in valid if sign.says == "approve"]
    alone = any(sign.says == "break glass" for sign in valid)
    needed = asked.request.signatures_at_least
    if not alone and len({sign.principal for sign in ordinary}) < needed:
        yield f"{asked.name}: the run went on with {len(ordinary)} signatures that count, of {needed}"


def _wrong_counted(
    found: dict[str, Signature | ApprovalRefused], asked: Asked, approval: Approval
) -> Iterator[str]:
    """Return which of the signatures that the journal counts does not count, or says something else."""
    for sign in approval.signatures:
        name = asked.request.statement_name(sign.role, sign.says)
        there = found.get(name)
        if there is None:
            yield f"{EVIDENCE}/{name}: missing; the journal counts this signature of {sign.principal}"
        elif isinstance(there, ApprovalRefused):
            yield f"{EVIDENCE}/{there}"
        elif there != sign:
            yield f"{EVIDENCE}/{name}: it says something else than the journal counted"


def _read(paper: Paper, asked: Asked, signers: Signers, at: datetime) -> Signature | ApprovalRefused:
    """Return the signature if it counts as things stood at a time, else why it does not."""
    try:
        return paper.signature(asked.request, signers, now=at)
    except ApprovalRefused as error:
        return error


def _counts(paper: Paper, asked: Asked, signers: Signers, at: datetime) -> Signature | None:
    found = _read(paper, asked, signers, at)
    return found if isinstance(found, Signature) else None


def wrong_reviews(sealed: Sealed, signers: Signers | None) -> Iterator[str]:
    """Return which review on record is not signed, or is by the one who broke the glass."""
    try:
        asked = {one.request.digest: one for one in asked_for(sealed.records)}
    except UNREADABLE:
        return  # told already
    for record in sealed.records:
        if record.kind != "reviewed":
            continue
        where = f"{JOURNAL}:{record.seq}"
        one = asked.get(str(record.data.get("request_digest")))
        if one is None or one.approval is None or not one.approval.break_glass:
            yield f"{where}: reviews an emergency that is not on record"
        elif signers is not None:
            papers = [p for p in read_papers(sealed.folder, one.request) if p.name.endswith(".review.json")]
            at = at_of(record)
            signed = {sign.principal for p in papers if (sign := _counts(p, one, signers, at))}
            broke = {sign.principal for sign in one.approval.signatures if sign.says == "break glass"}
            if not signed - broke:
                yield f"{where}: no signature of another person stands under this review"


def _strangers(sealed: Sealed, asked: list[Asked]) -> Iterator[str]:
    """Return the files of approvals that nobody in this run asked for."""
    known = {one.request.file_name.removesuffix(".json") for one in asked}
    for path in sorted((sealed.folder / EVIDENCE).glob("approval-*")):
        if path.name.partition(".")[0] not in known:
            yield f"{EVIDENCE}/{path.name}: nothing in this run asked for it{_of_run(path.read_bytes())}"
        elif path.suffix == ".sig" and not path.with_suffix("").is_file():
            yield f"{EVIDENCE}/{path.name}: a signature without what it signs"


def _of_run(content: bytes) -> str:
    try:
        return f"; it is of the run {json.loads(content)['run_id']}"
    except (ValueError, KeyError, TypeError):
        return ""


def _unapproved(sealed: Sealed, asked: list[Asked]) -> Iterator[str]:
    """Return the plans that changed something, outside the sandbox, without an approval on record."""
    if sealed.environment == "sandbox":
        return
    approved = {title_of("apply", one.request.title) for one in asked if one.approval is not None}
    changed = {
        r.data["step"]: r.seq for r in sealed.records if r.kind == "change" and not r.data["in_scratch"]
    }
    for step, seq in changed.items():
        if step not in approved:
            yield f"{JOURNAL}:{seq}: “{step}” changed things, and no approval of it is on record"


def late_files(sealed: Sealed, signers: Signers | None) -> frozenset[str]:
    """Return the signatures that a parked run got after it was sealed, as far as they count.

    They are signed themselves, and sealed when the run goes on; anything else that was added is wrong.
    """
    if signers is None or sealed.summary is None or sealed.summary.status != "parked":
        return frozenset()
    try:
        waiting = [one for one in asked_for(sealed.records) if one.answer is None][-1:]
        found = [(one, paper) for one in waiting for paper in read_papers(sealed.folder, one.request)]
        counting = [paper.name for one, paper in found if _counts(paper, one, signers, _said_at(paper))]
    except (*UNREADABLE, ApprovalRefused):
        return frozenset()
    return frozenset(f"{EVIDENCE}/{name}{end}" for name in counting for end in ("", ".sig"))


def _said_at(paper: Paper) -> datetime:
    return paper.statement().signed_at


def approval_remarks(sealed: Sealed, people: Iterable[Person] | None) -> Iterator[str]:
    """Return who approved what, and what is worth a look: emergencies, roles that a signer lacks today."""
    try:
        asked = [one for one in asked_for(sealed.records) if one.approval is not None]
    except UNREADABLE:
        return
    reviews = {r.data.get("request_digest"): r.data for r in sealed.records if r.kind == "reviewed"}
    roles = None if people is None else {person.principal: person.roles for person in people}
    for one in asked:
        approval = one.approval
        assert approval is not None  # noqa: S101  # chosen above
        review = reviews.get(one.request.digest)
        looked = f"reviewed by {review['by']}: {review['says']}" if review else "nobody has reviewed it"
        emergency = f" ({looked})" if approval.break_glass else ""
        yield f"approved: {one.request.title}: {approval.in_a_line()}{emergency}"
        if roles is None:
            continue
        for sign in approval.signatures:
            if sign.role not in roles.get(sign.principal, ()):
                yield (
                    f"{sign.principal} signed as {sign.role}, which environment.yaml of {sealed.environment} "
                    "does not give them today; whether it did then is in its history"
                )
