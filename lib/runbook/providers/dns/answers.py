"""What was asked of whom, and what came back: typed, with every way to fail told apart."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from ipaddress import ip_address
from typing import Any, Literal

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from dns.edns import EDEOption
from dns.message import Message
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset
from pydantic import Field

from runbook.errors import InputError, StepFailed
from runbook.providers.dns.records import RecordSet, absolute, normal_rdata, parse_name
from runbook.values import Value

PORT = 53

Outcome = Literal[
    "answer",
    "nodata",
    "nxdomain",
    "referral",
    "lame",
    "servfail",
    "refused",
    "timeout",
    "unreachable",
    "malformed",
    "other",
]
"""answer: records, or an alias that leads out of the zone; nodata: the name has none of that type; referral:
ask the nameservers in `authority`; lame: asked as the zone's nameserver, it answers without authority;
unreachable: the network or the port says no; malformed: what came is no message; other: see `rcode`."""

SILENCE: tuple[Outcome, ...] = ("timeout", "unreachable", "malformed")


class Server(Value):
    """A nameserver or resolver; `name` is how people call it."""

    name: str
    host: str
    port: int = Field(default=PORT, ge=1, le=65_535)

    @classmethod
    def parse(cls, text: str, *, name: str = "") -> Server:
        """Return a server from `8.8.8.8`, `127.0.0.1:5300`, `2001:db8::1` or `[2001:db8::1]:5300`."""
        host, _, port = text.rpartition(":")
        is_bare_v6 = text.count(":") > 1 and not text.startswith("[")
        if is_bare_v6 or not host or text.endswith("]"):
            host, port = text, str(PORT)
        try:
            address = ip_address(host.strip("[]"))
            return cls(name=name or text, host=str(address), port=int(port))
        except ValueError as error:
            raise InputError(
                f"{text!r} is no DNS server; right would be 8.8.8.8, 127.0.0.1:5300 or [2001:db8::1]:53"
            ) from error

    def in_a_line(self) -> str:
        where = self.host if self.port == PORT else f"{self.host} port {self.port}"
        return self.name if self.name == self.host else f"{self.name} ({where})"


class Question(Value):
    """A name and a type; `zone` is set when the server is asked as a nameserver of that zone."""

    name: str
    type: str
    zone: str | None = None

    @classmethod
    def of(cls, name: str, kind: str, *, zone: str | None = None) -> Question:
        """Return the question in normal form; InputError when there is no such name or type."""
        try:
            dns.rdatatype.from_text(kind)
            return cls(name=absolute(name), type=kind.upper(), zone=zone and absolute(zone))
        except (dns.rdatatype.UnknownRdatatype, ValueError) as error:
            raise InputError(f"there is nothing to ask for {name} {kind}: {error}") from error


class Answer(Value):
    """What one server said to one question.

    `records` is the answer section (aliases first), `ttl_s` in it what is left at a resolver, the whole at a
    nameserver. `said` are the server's own explanations (RFC 8914), `trouble` ours. `latency_ms` is that of
    the last attempt, None when nothing came.
    """

    server: Server
    question: Question
    outcome: Outcome
    asked_at: datetime
    rcode: str | None = None
    records: tuple[RecordSet, ...] = ()
    authority: tuple[RecordSet, ...] = ()
    additional: tuple[RecordSet, ...] = ()
    authoritative: bool = False
    authentic: bool = False
    over_tcp: bool = False
    said: tuple[str, ...] = ()
    trouble: str = ""
    latency_ms: float | None = None
    attempts: int = 1

    @property
    def found(self) -> RecordSet | None:
        """Return the records that were asked for, under whatever name the aliases led to."""
        return next((one for one in self.records if one.type == self.question.type), None)

    @property
    def values(self) -> tuple[str, ...]:
        """Return the values that were asked for, none when there are none."""
        return () if self.found is None else self.found.values

    @property
    def ttl_s(self) -> int | None:
        """Return how long this answer may be kept: the least TTL along the way, or the negative TTL."""
        ttls = [one.ttl_s for one in self.records if one.ttl_s is not None]
        if self.outcome in ("nodata", "nxdomain"):
            ttls += [one.ttl_s for one in self.authority if one.type == "SOA" and one.ttl_s is not None]
        return min(ttls, default=None)

    @property
    def is_silent(self) -> bool:
        """Say whether nothing usable came: no evidence for or against anything."""
        return self.outcome in SILENCE

    def require(self) -> Answer:
        """Return it when it is an answer or says that there is none; StepFailed tells what came instead."""
        if self.outcome in ("answer", "nodata", "nxdomain"):
            return self
        raise StepFailed(
            f"{self.in_a_line()}; expected an answer. See that the server is reachable, then resume"
        )

    def in_a_line(self) -> str:
        what = " | ".join(self.values) or self.outcome
        why = "; ".join([*self.said, *([self.trouble] if self.trouble else [])])
        return f"{self.server.in_a_line()}: {self.question.name} {self.question.type}: {what}" + (
            f" ({why})" if why else ""
        )


@dataclass
class Received:
    """A message as it was read; nothing of it changes, and what it says is worked out once."""

    message: Message
    _outcomes: dict[Question, Outcome] = field(default_factory=dict)

    @cached_property
    def says(self) -> dict[str, Any]:
        """Return the fields of an answer that the message alone decides; its sections in normal form."""
        told = self.message
        return {
            "rcode": dns.rcode.to_text(told.rcode()),
            "records": record_sets(told.answer),
            "authority": record_sets(told.authority),
            "additional": record_sets(told.additional),
            "authoritative": bool(told.flags & dns.flags.AA),
            "authentic": bool(told.flags & dns.flags.AD),
            "said": tuple(map(_explained, (one for one in told.options if isinstance(one, EDEOption)))),
        }

    @cached_property
    def asked(self) -> bytes | None:
        """Return the question that it answers, as on the wire; None when it is no reply.

        Empty is what a server sends that could not read the question, and says so.
        """
        told = self.message
        if not told.flags & dns.flags.QR:
            return None
        parts = [
            (one.name.to_wire() or b"") + struct.pack("!HH", one.rdtype, one.rdclass) for one in told.question
        ]
        return b"".join(parts) if parts or told.rcode() else None

    def outcome(self, question: Question) -> Outcome:
        """Return what it is for a question."""
        known = self._outcomes.get(question)
        if known is None:
            known = self._outcomes[question] = outcome_of(self.message, question)
        return known


@lru_cache(maxsize=4096)
def received(wire: bytes) -> Received:
    """Read a message, its ID left out: a nameserver that is asked again says the same, byte for byte.

    Raises what dnspython does for bytes that are no message.
    """
    return Received(dns.message.from_wire(bytes(2) + wire))


def answer_of(
    told: Received,
    server: Server,
    question: Question,
    *,
    asked_at: datetime,
    latency_ms: float,
    attempts: int = 1,
    over_tcp: bool = False,
) -> Answer:
    """Return a message as an answer, judged."""
    return Answer(
        server=server,
        question=question,
        outcome=told.outcome(question),
        asked_at=asked_at,
        **told.says,
        over_tcp=over_tcp,
        latency_ms=latency_ms,
        attempts=attempts,
    )


def outcome_of(message: Message, question: Question) -> Outcome:
    """Judge a message: by its RCODE, then by what it holds, then by whether it had the right to say so."""
    match message.rcode():
        case Rcode.SERVFAIL:
            return "servfail"
        case Rcode.REFUSED:
            return "refused"
        case Rcode.NXDOMAIN:
            outcome: Outcome = "nxdomain"
        case Rcode.NOERROR:
            outcome = _by_content(message, question)
        case _:
            return "other"
    lacks_authority = question.zone is not None and not message.flags & dns.flags.AA
    return "lame" if lacks_authority and outcome != "referral" else outcome


def _by_content(message: Message, question: Question) -> Outcome:
    rdtype = dns.rdatatype.from_text(question.type)
    kinds = {one.rdtype for one in message.answer}
    has_soa = any(one.rdtype == RdataType.SOA for one in message.authority)
    if rdtype in kinds or (RdataType.CNAME in kinds and not has_soa):
        return "answer"
    cuts = [one.name for one in message.authority if one.rdtype == RdataType.NS]
    if cuts and not has_soa and not kinds and not message.flags & dns.flags.AA:
        above = parse_name(question.zone or ".")
        is_below = cuts[0] != above and cuts[0].is_subdomain(above)
        return "referral" if is_below else "lame"
    return "nodata"


def record_sets(section: list[RRset]) -> tuple[RecordSet, ...]:
    """Return a section of a message in normal form, in its order; no signatures, no options."""
    return tuple(
        RecordSet(
            name=one.name.canonicalize().to_text(),
            type=dns.rdatatype.to_text(one.rdtype),
            ttl_s=one.ttl,
            values=tuple(sorted({normal_rdata(rdata) for rdata in one})),
        )
        for one in section
        if one.rdtype not in (RdataType.RRSIG, RdataType.OPT)
    )


def _explained(option: EDEOption) -> str:
    code = option.code.name.replace("_", " ").lower() if hasattr(option.code, "name") else str(option.code)
    return f"{code}: {option.text}" if option.text else code
