"""Bytes in, bytes out: the same for every DNS server of the sandbox, and quick where a question comes again.

A reply is kept as bytes under the query's bytes (all but its ID) until the server's stamp changes: the data's
revision for a nameserver, the clock's second for a resolver. A resolver's that differs from an earlier one in
nothing but the TTLs, as the same answer from the memory of another does, is not put together again.
Whatever arrives, the server goes on: what is no query is dropped, what cannot be read gets FORMERR, what we
do not do gets NOTIMP, REFUSED or BADVERS.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.opcode import Opcode
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

from runbook.sandbox.dns.lookup import Question, Reply

HEADER_BYTES = 12
UDP_BYTES = 512  # a client without EDNS, RFC 1035 §4.2.1
OUR_UDP_BYTES = 1232  # no fragments, DNS Flag Day 2020
TCP_BYTES = 65_535
KEPT = 20_000  # replies kept as bytes; random names must not fill the memory
QR = 0x80
POINTER = 0xC0  # in place of a name's next length: the rest stands elsewhere, RFC 1035 §4.1.4
TRANSFERS = (RdataType.AXFR, RdataType.IXFR)


class Endpoint(ABC):
    """A DNS server as the wire sees it.

    `name` is its host name, `address` what the DNS says of it; `port` is where it listens on 127.0.0.1, 0
    when it does not. `delay_s` is how long each reply is held back, in real time. `mute` and `garbled` are
    faults of the whole server: it says nothing, or bytes that are no message.
    """

    recursive: ClassVar[bool] = False

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address
        self.port = 0
        self.delay_s = 0.0
        self.mute = self.garbled = False
        self.queries = 0
        self._stamp = -1
        self._kept: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})

    @abstractmethod
    def reply(self, question: Question) -> Reply | None:
        """Return what the server says, None when it says nothing."""

    @abstractmethod
    def stamp(self) -> int:
        """Return a number that changes when a question may get another reply than before."""

    def forget_replies(self) -> None:
        """Drop every reply kept as bytes."""
        for kept in self._kept:
            kept.clear()

    def handle(self, wire: bytes, *, tcp: bool = False) -> bytes | None:
        """Return the bytes that answer `wire`, None for silence."""
        self.queries += 1
        if self.mute:
            return None
        stamp = self.stamp()
        if stamp != self._stamp:
            self.forget_replies()
            self._stamp = stamp
        kept = self._kept[tcp]
        known = kept.get(wire[2:])
        if known is None:
            known, lasting = self._answer(wire, tcp=tcp)
            if known is None:
                return None
            if lasting and len(kept) < KEPT:
                kept[wire[2:]] = known
        return wire[:2] + (known[:7] if self.garbled else known)

    def _answer(self, wire: bytes, *, tcp: bool) -> tuple[bytes | None, bool]:
        """Return the reply without its ID, and whether it may be kept."""
        if len(wire) < HEADER_BYTES or wire[2] & QR:
            return None, False
        try:
            query, asked = _read(wire[2:])
        except (dns.exception.DNSException, ValueError):
            return _bare(wire, Rcode.FORMERR), False
        reply = asked if isinstance(asked, Reply) else self.reply(asked)
        if reply is None:
            return None, False
        if not self.recursive:  # its TTLs are always the same
            return self._bytes(query, reply, tcp=tcp)[2:], reply.lasting
        records = [*reply.answer, *reply.authority, *reply.additional]
        shape = (wire[2:], tcp, _shape(reply), *map(_identity, records))
        drawn = _drawn.get(shape)
        if drawn is None:
            drawn = _drawing(self._bytes(query, reply, tcp=tcp), records)
            if len(_drawn) >= KEPT:
                _drawn.clear()
            _drawn[shape] = drawn
        return drawn.with_ttls(one.ttl for one in records for _ in one)[2:], reply.lasting

    def _bytes(self, query: Message, reply: Reply, *, tcp: bool) -> bytes:
        response = dns.message.Message(query.id)
        response.flags = dns.flags.QR | query.flags & (dns.flags.RD | dns.flags.CD)
        response.flags |= dns.flags.RA if self.recursive else 0
        response.set_opcode(query.opcode())
        response.question = list(query.question)
        response.answer = list(reply.answer)
        response.authority = list(reply.authority)
        response.additional = list(reply.additional)
        response.flags |= dns.flags.AA if reply.authoritative else 0
        wants_to_know = query.flags & dns.flags.AD or query.ednsflags & dns.flags.DO  # RFC 6840 §5.7
        response.flags |= dns.flags.AD if reply.authentic and wants_to_know else 0
        if query.edns >= 0:
            said: list[dns.edns.Option] = [dns.edns.EDEOption(*reply.said)] if reply.said else []
            response.use_edns(0, query.ednsflags & dns.flags.DO, OUR_UDP_BYTES, options=said)
        response.set_rcode(reply.rcode)  # after use_edns, which would take its upper bits away
        limit = TCP_BYTES if tcp else min(max(query.payload, UDP_BYTES), OUR_UDP_BYTES)
        try:
            return response.to_wire(max_size=limit, want_shuffle=False)
        except dns.exception.TooBig:
            response.answer, response.authority, response.additional = [], [], []
            response.flags |= dns.flags.TC
            return response.to_wire(max_size=limit, want_shuffle=False)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A response as bytes, and where in it the TTLs stand.

    `records` are held because they are known again by their identity, which must not become another's.
    """

    wire: bytes
    ttls: tuple[int, ...]
    records: list[RRset]

    def with_ttls(self, ttls: Iterable[int]) -> bytes:
        """Return the bytes with these TTLs; one that was cut short has no records, and takes none."""
        drawn = bytearray(self.wire)
        for place, ttl in zip(self.ttls, ttls, strict=False):
            struct.pack_into("!I", drawn, place, ttl)
        return bytes(drawn)


_drawn: dict[Hashable, _Drawn] = {}


def _shape(reply: Reply) -> Hashable:
    """Return what a response shows of a reply besides its records."""
    counts = (len(reply.answer), len(reply.authority))
    return (reply.rcode, reply.authoritative, reply.authentic, reply.said, counts)


def _identity(records: RRset) -> Hashable:
    """Return what tells a record set from others, whatever its TTL."""
    return (records.name.labels, *map(id, records))


def _drawing(wire: bytes, records: list[RRset]) -> _Drawn:
    """Find the TTLs in a message; the record that EDNS adds has none."""
    questions, *sections = struct.unpack_from("!HHHH", wire, 4)
    at = HEADER_BYTES
    for _ in range(questions):
        at = _after_name(wire, at) + 4
    ttls = []
    for _ in range(sum(sections)):
        at = _after_name(wire, at)
        kind, length = struct.unpack_from("!H6xH", wire, at)
        ttls += [at + 4] if kind != RdataType.OPT else []
        at += 10 + length
    return _Drawn(wire, tuple(ttls), records)


def _after_name(wire: bytes, at: int) -> int:
    while 0 < wire[at] < POINTER:
        at += wire[at] + 1
    return at + (2 if wire[at] else 1)


@lru_cache(maxsize=1024)
def _read(rest: bytes) -> tuple[Message, Question | Reply]:
    """Return a query, all but its ID, and what it asks, or the refusal of it; many servers get the same."""
    query = dns.message.from_wire(b"\0\0" + rest)
    return query, _declined(query) or _question(query)


def _bare(wire: bytes, rcode: Rcode) -> bytes:
    """Return a header that says `rcode` to a query that could not be read, without its ID."""
    flags = 0x8000 | (wire[2] & 0x79) << 8 | rcode
    return struct.pack("!HHHHH", flags, 0, 0, 0, 0)


def _declined(query: Message) -> Reply | None:
    """Return the refusal of what no server of ours does, None for an ordinary question."""
    if query.opcode() != Opcode.QUERY:
        return Reply(Rcode.NOTIMP)
    if len(query.question) != 1:
        return Reply(Rcode.FORMERR)
    if query.edns > 0:
        return Reply(Rcode.BADVERS)
    asked = query.question[0]
    if asked.rdclass != dns.rdataclass.IN or asked.rdtype in TRANSFERS:
        return Reply(Rcode.REFUSED)
    if asked.rdtype == RdataType.ANY:
        return Reply(answer=(_minimal_any(asked),))
    return Reply(Rcode.FORMERR) if dns.rdatatype.is_metatype(asked.rdtype) else None


def _minimal_any(asked: RRset) -> RRset:
    """Return what both vendors say to ANY (RFC 8482 §4.2)."""
    return dns.rrset.from_text(asked.name, 3789, "IN", "HINFO", '"RFC8482" ""')


def _question(query: Message) -> Question:
    asked = query.question[0]
    return Question(
        asked.name.canonicalize(),
        asked.rdtype,
        recurse=bool(query.flags & dns.flags.RD),
        unchecked=bool(query.flags & dns.flags.CD),
    )
