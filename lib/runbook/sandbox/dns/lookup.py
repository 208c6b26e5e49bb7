"""What a nameserver says to one question, from the data of one zone (RFC 1034 §4.3.2, RFC 4592, RFC 2308)."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import dns.rdatatype
from dns.edns import EDECode
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

from runbook.sandbox.dns.zone import ALIAS, Zone

CHAIN = 8  # CNAMEs followed within one zone
KEPT = 10_000  # replies kept for each zone; random names must not fill the memory


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it came; `recurse` and `unchecked` are the flags RD and CD."""

    name: Name
    rdtype: RdataType
    recurse: bool = False
    unchecked: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer before it is bytes.

    `authoritative` is the flag AA, `authentic` AD, `said` an extended error (RFC 8914). `lasting` says that
    the same question gets the same bytes until the server's stamp changes.
    """

    rcode: Rcode = Rcode.NOERROR
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    authoritative: bool = False
    authentic: bool = False
    said: tuple[EDECode, str] | None = None
    lasting: bool = True

    @property
    def referral(self) -> RRset | None:
        """Return the NS set of the zone cut that this reply points to, None when it is no referral."""
        if self.rcode is not Rcode.NOERROR or self.answer or self.authoritative:
            return None
        return next((one for one in self.authority if one.rdtype == RdataType.NS), None)


Flatten = Callable[[Name, RdataType], RRset | None]


def lookup(zone: Zone, name: Name, rdtype: RdataType, *, flatten: Flatten) -> Reply:
    """Return the reply of `zone` for a name in it; `flatten` finds the addresses of an ALIAS.

    What follows from the zone alone is worked out once: each of its servers is asked by many resolvers.
    """
    key = (zone.serial, name.labels, rdtype)
    known: Reply | None = zone.told.get(key)
    if known is not None:
        return known
    flattened = False

    def flattening(target: Name, kind: RdataType) -> RRset | None:
        nonlocal flattened
        flattened = True
        return flatten(target, kind)

    reply = _looked_up(zone, name, rdtype, flattening)
    if not flattened and len(zone.told) < KEPT:
        zone.told[key] = reply
    return reply


def _looked_up(zone: Zone, name: Name, rdtype: RdataType, flatten: Flatten) -> Reply:
    answer: list[RRset] = []
    for _ in range(CHAIN):
        cut = zone.cut_above(name)
        if cut is not None and not (name == cut and rdtype == RdataType.DS):
            return Reply(answer=tuple(answer), authoritative=True) if answer else _referral(zone, cut)
        found, exists = _at(zone, name, rdtype, flatten)
        if found is None:
            return _negative(zone, answer, Rcode.NOERROR if exists else Rcode.NXDOMAIN)
        answer.append(found)
        if found.rdtype != RdataType.CNAME or rdtype == RdataType.CNAME:
            return Reply(answer=tuple(answer), authoritative=True)
        name = found[0].target.canonicalize()
        if not name.is_subdomain(zone.name) or any(one.name == name for one in answer):
            break
    return Reply(answer=tuple(answer), authoritative=True)


def _at(zone: Zone, name: Name, rdtype: RdataType, flatten: Flatten) -> tuple[RRset | None, bool]:
    """Return the records that answer at `name`, and whether the name exists at all."""
    if name == zone.name and rdtype == RdataType.SOA:
        return zone.start_of_authority(), True
    owner = name
    node = zone.node(name)
    if node is None:
        owner = _wildcard(zone, name)
        node = zone.node(owner)
        if node is None:
            return None, False
    kind = dns.rdatatype.to_text(rdtype)
    if "CNAME" in node:
        found: RRset | None = zone.records(owner, "CNAME")
    elif kind in node:
        found = zone.records(owner, kind)
    elif ALIAS in node and rdtype in (RdataType.A, RdataType.AAAA):
        found = _flattened(zone.records(owner, ALIAS), rdtype, flatten)
    else:
        found = None
    if found is not None and found.name != name:
        found = _at_name(name, found.ttl, found)
    return found, True


def _wildcard(zone: Zone, name: Name) -> Name:
    """Return the wildcard below the closest encloser of a name that does not exist."""
    encloser = name.parent()
    while zone.node(encloser) is None and encloser != zone.name:
        encloser = encloser.parent()
    return Name((b"*", *encloser.labels))


def _flattened(alias: RRset, rdtype: RdataType, flatten: Flatten) -> RRset | None:
    found = flatten(alias[0].target.canonicalize(), rdtype)
    if found is None:
        return None
    return _at_name(alias.name, min(alias.ttl, found.ttl), found)


def _at_name(name: Name, ttl_s: int, records: RRset) -> RRset:
    copied = copy(records)
    copied.name, copied.ttl = name, ttl_s
    return copied


def _negative(zone: Zone, answer: list[RRset], rcode: Rcode) -> Reply:
    soa = zone.start_of_authority(min(zone.soa.ttl_s, zone.soa.minimum_s))
    return Reply(rcode=rcode, answer=tuple(answer), authority=(soa,), authoritative=True)


def _referral(zone: Zone, cut: Name) -> Reply:
    node = zone.node(cut) or {}
    authority = [zone.records(cut, kind) for kind in ("NS", "DS") if kind in node]
    glue = []
    for host in (one.target for one in authority[0]):
        at_host = zone.node(host) or {} if host.is_subdomain(zone.name) else {}
        glue += [zone.records(host, kind) for kind in ("A", "AAAA") if kind in at_host]
    return Reply(authority=tuple(authority), additional=tuple(glue))
