"""Signatures on the sums: of this seal, and of those that came before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from runbook.errors import SignatureRefused
from runbook.gates.asked import at_of
from runbook.seals import SEALS, SIGNATURE, SUMS, kept_seals, read_sums, sha256_of
from runbook.signatures import SEAL, SignedBy, Signers
from runbook.verifying.sealed import JOURNAL, Sealed
from runbook.verifying.verdict import SealState


@dataclass
class SealFound:
    """What the signature on the sums is worth."""

    state: SealState
    by: SignedBy | None = None
    wrong: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def find_seal(sealed: Sealed, signers: Signers | None) -> SealFound:
    """Return whether the sums are signed, by whom, and what is wrong with that."""
    path = sealed.folder / SIGNATURE
    says_signed = sealed.summary is not None and sealed.summary.signature == "signed"
    if not path.is_file():
        gone = [f"{SIGNATURE}: missing; the summary says that the run was signed"] if says_signed else []
        return SealFound("unsigned", wrong=gone)
    if signers is None:
        return SealFound(
            "not checked", wrong=[f"{SIGNATURE}: not checked: name who may sign with --signers FILE"]
        )
    if sealed.last_at is None:
        return SealFound("not checked", wrong=[f"{SIGNATURE}: not checked: the journal does not say when"])
    try:
        by = signers.check(sealed.sums, path.read_bytes(), namespace=SEAL, at=sealed.last_at)
    except SignatureRefused as error:
        return SealFound("not checked", wrong=[f"{SIGNATURE}: {error}"])
    later = [] if says_signed else ["it was sealed unsigned, and signed afterwards"]
    return SealFound("rehearsed" if signers.rehearsed else "signed", by, remarks=later)


def wrong_predecessors(sealed: Sealed, signers: Signers | None) -> Iterator[str]:
    """Return what is wrong with the seals that were kept when the run was taken up again.

    Each seals a beginning of this journal, each no shorter than the one before; the journal's lines name
    them by the SHA-256 of their sums; where one is signed, the signature counts as of its last line.
    """
    lengths = _sealed_lengths(sealed)
    prefixes, before = sealed.prefixes(), 0
    for number, place in enumerate(kept_seals(sealed.folder), start=1):
        name = f"{SEALS}/{place.name}"
        if place.name != str(number):
            yield f"{name}: stands where seal {number} belongs"
        length = prefixes.get(_journal_sum(place), 0)
        if not length or length > len(sealed.records):
            yield f"{name}/{SUMS}: the journal it seals is no beginning of {JOURNAL}"
            continue
        if length < before:
            yield f"{name}/{SUMS}: it seals less of the journal than the seal before it"
        before = length
        yield from _wrong_signature(sealed, place, signers, length)
    for record in sealed.records:
        named = record.data.get("predecessor")
        if named and lengths.get(named, record.seq) >= record.seq:
            yield f"{JOURNAL}:{record.seq}: it names the seal {named[:12]}, which is not kept in {SEALS}"


def predecessor_remarks(sealed: Sealed) -> Iterator[str]:
    """Return which of the seals before was unsigned."""
    for place in kept_seals(sealed.folder):
        if not (place / SIGNATURE).is_file():
            yield f"{SEALS}/{place.name}: the seal before was unsigned"


def _sealed_lengths(sealed: Sealed) -> dict[str, int]:
    """Return how many lines of the journal each kept seal seals, by the SHA-256 of its sums."""
    prefixes = sealed.prefixes()
    kept = {sha256_of(place / SUMS): _journal_sum(place) for place in kept_seals(sealed.folder)}
    return {digest: prefixes[journal] for digest, journal in kept.items() if journal in prefixes}


def _journal_sum(place: Path) -> str:
    try:
        return read_sums((place / SUMS).read_bytes()).get(JOURNAL, "")
    except ValueError:
        return ""


def _wrong_signature(sealed: Sealed, place: Path, signers: Signers | None, length: int) -> Iterator[str]:
    path = place / SIGNATURE
    if not path.is_file() or signers is None:
        return
    content, at = (place / SUMS).read_bytes(), at_of(sealed.records[length - 1])
    try:
        signers.check(content, path.read_bytes(), namespace=SEAL, at=at)
    except SignatureRefused as error:
        yield f"{SEALS}/{place.name}/{SIGNATURE}: {error}"
