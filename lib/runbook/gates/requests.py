"""What is asked for in an approval, and what a signer says to it: canonical JSON, bound by digests."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, JsonValue, PlainSerializer

from runbook.clock import utc_text
from runbook.values import Value, html_table, in_one_line, shown

Says = Literal["approve", "break glass", "review"]
Instant = Annotated[
    AwareDatetime,
    AfterValidator(lambda when: when.astimezone(UTC)),
    PlainSerializer(utc_text, when_used="json"),
]
OF_THE_MOMENT = frozenset({"journal_head", "requested_at", "expires_at"})
DIGITS = 12


def canonical(data: dict[str, Any]) -> bytes:
    """Return JSON data in the one form it is signed in: sorted, a line for each item, a last newline."""
    return (json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode()


class ChangeLine(Value):
    """One change as a person signs it: states as text, `observed` as it was when it was asked for."""

    sentence: str
    resource: str
    before: str
    after: str
    observed: str
    touches: str
    way_back: str


class Request(Value):
    """What is to be signed: the plan and all it was worked out from, for one run, for a limited time.

    `requester` is the account that opened the run; `plan_digest` is the SHA-256 of the plan's changes,
    `journal_head` the hash of the journal's last line when it was asked for.
    """

    format: Literal[1] = 1
    kind: Literal["plan", "decision"]
    run_id: str
    runbook: str
    environment: str
    mode: Literal["plan", "apply"]
    requester: str
    params: dict[str, JsonValue]
    title: str
    plan_digest: str
    changes: tuple[ChangeLine, ...]
    journal_head: str
    requested_at: Instant
    expires_at: Instant
    any_of: tuple[str, ...]
    signatures_at_least: int

    def content(self) -> bytes:
        """Return the bytes that evidence/ holds and that every signer's statement names by their SHA-256."""
        return canonical(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the content, in hex."""
        return hashlib.sha256(self.content()).hexdigest()

    @property
    def file_name(self) -> str:
        """Return the name of its file in evidence/."""
        return f"approval-{self.digest[:DIGITS]}.json"

    def statement_name(self, role: str, says: Says) -> str:
        """Return the name of the file in evidence/ that holds what a role says to it."""
        kind = "" if says == "approve" else f".{says.replace(' ', '-')}"
        return f"approval-{self.digest[:DIGITS]}.{role}{kind}.json"

    def says_the_same(self, other: Request) -> bool:
        """Return whether nothing differs but the moment at which it was asked for."""
        drop = set(OF_THE_MOMENT)
        return self.model_dump(exclude=drop) == other.model_dump(exclude=drop)

    def rows(self) -> list[tuple[str, str]]:
        """Return all that is signed, each change in full; what others wrote cannot steer a terminal."""
        wanted = f"{self.signatures_at_least} of {', '.join(self.any_of)}"
        about = [
            ("asked", f"{self.title} ({self.kind}), digest {self.plan_digest[:DIGITS]}"),
            ("run", f"{self.run_id}: {self.runbook}, {self.environment}, mode {self.mode}"),
            ("opened by", self.requester),
            ("parameters", shown(self.params)),
            ("asked at", f"{shown(self.requested_at)}, to be used until {shown(self.expires_at)}"),
            ("signatures", wanted),
        ]
        told = (row for number, line in enumerate(self.changes, start=1) for row in _told(number, line))
        return [(name, in_one_line(text)) for name, text in (*about, *told)]

    def _repr_html_(self) -> str:
        return html_table(self.rows())


def _told(number: int, line: ChangeLine) -> list[tuple[str, str]]:
    return [
        (f"change {number}", line.sentence),
        ("  of", line.resource or "–"),
        ("  from", line.before or "–"),
        ("  to", line.after or "–"),
        ("  there now", line.observed),
        ("  touches", line.touches),
        ("  way back", line.way_back),
    ]


class Statement(Value):
    """What one person says to a request, in one role; this is what they sign."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    format: Literal[1] = 1
    request_sha256: str
    run_id: str
    plan_digest: str
    role: str = Field(alias="as")
    principal: str
    says: Says
    reason: str = ""
    signed_at: Instant

    def content(self) -> bytes:
        """Return the bytes that are signed."""
        return canonical(self.model_dump(mode="json", by_alias=True))


class Signature(Value):
    """A statement that counts: who said it, as what, by which key."""

    role: str
    principal: str
    fingerprint: str
    signed_at: datetime
    says: Says = "approve"
    reason: str = ""


class Approval(Value):
    """The result of `run.approve`: what was asked for, and the signatures under it."""

    request: Request
    signatures: tuple[Signature, ...]

    @property
    def break_glass(self) -> str:
        """Return the reason of an emergency, nothing when the approval is an ordinary one."""
        return next((sign.reason for sign in self.signatures if sign.says == "break glass"), "")

    def rows(self) -> list[tuple[str, str]]:
        until = shown(self.request.expires_at)
        signed = [(sign.role.replace("_", " "), _signed(sign)) for sign in self.signatures]
        return [("approved", f"{self.request.title}, to be used until {until}"), *signed]

    def in_a_line(self) -> str:
        return ", ".join(f"{sign.role.replace('_', ' ')} {_signed(sign)}" for sign in self.signatures)


def _signed(sign: Signature) -> str:
    alone = f", BREAK GLASS: {sign.reason}" if sign.says == "break glass" else ""
    return f"{sign.principal} at {sign.signed_at:%Y-%m-%d %H:%M:%S} UTC with {sign.fingerprint}{alone}"
