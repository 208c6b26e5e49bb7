"""A zone as its owner holds it: record sets, SOA and delegations; vendor emulators write, nameservers read.

    zone = Zone("omnihub.dev.", soa=Soa("ns1.vercel-dns.com.", "hostmaster.vercel.com."))
    zone.put(RecordSet("www.omnihub.dev.", "CNAME", 60, ("cname.vercel-dns.com.",)))
    with zone.change():              # all or nothing, one new serial
        zone.remove("www.omnihub.dev.", "CNAME")
        zone.put(RecordSet("www.omnihub.dev.", "A", 300, ("203.0.113.7",)))

Names are absolute. Values are rdata in zone-file form (RFC 1035 §5.1; TXT quoted, strings of at most 255
bytes), names in them absolute. The type `ALIAS` is ours: the server answers A and AAAA of its target, as
Vercel's ALIAS and Cloudflare's flattened apex CNAME do. A zone cut is an NS record set below the apex, with
its DS beside it; `delegate` writes both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

ALIAS = "ALIAS"
MAX_TTL_S = 2**31 - 1  # RFC 2181 §8
TXT_BYTES = 255


@dataclass(frozen=True, slots=True)
class RecordSet:
    """All records of one name and type; they share a TTL (RFC 2181 §5.2)."""

    name: str
    type: str
    ttl_s: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Soa:
    """The start of authority; `minimum_s` is how long "there is no such record" is cached (RFC 2308)."""

    primary: str
    mailbox: str
    refresh_s: int = 10_000
    retry_s: int = 2_400
    expire_s: int = 604_800
    minimum_s: int = 1_800
    ttl_s: int = 1_800

    def text(self, serial: int) -> str:
        times = f"{self.refresh_s} {self.retry_s} {self.expire_s} {self.minimum_s}"
        return f"{self.primary} {self.mailbox} {serial} {times}"


@dataclass(frozen=True, slots=True)
class Delegation:
    """What a parent zone says of a child: its nameservers and, when it is signed, its DS.

    48 h and 24 h are what .com answers with; another registry's figures go in here.
    """

    zone: str
    nameservers: tuple[str, ...]
    ns_ttl_s: int = 172_800
    ds: tuple[str, ...] = ()
    ds_ttl_s: int = 86_400


def to_name(text: str) -> Name:
    """Return an absolute, lower-case name; ValueError says what is wrong with `text`."""
    try:
        name = dns.name.from_text(text, dns.name.root, idna_codec=dns.name.IDNA_2008_Practical)
    except dns.exception.DNSException as error:
        raise ValueError(f"{text!r} is no domain name: {error}") from error
    return name.canonicalize()


def txt_value(content: str | bytes) -> str:
    """Return text as a TXT value: UTF-8, cut into quoted strings of at most 255 bytes."""
    raw = content.encode() if isinstance(content, str) else content
    parts = [raw[at : at + TXT_BYTES] for at in range(0, len(raw), TXT_BYTES)] or [b""]
    return " ".join(f'"{"".join(map(_escaped, part))}"' for part in parts)


def _escaped(byte: int) -> str:
    if byte in b'"\\':
        return f"\\{chr(byte)}"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03d}"  # noqa: PLR2004  # printable ASCII


def _records(name: Name, record_set: RecordSet) -> RRset:
    """Return the records as they go on the wire; ValueError names the value that is none."""
    kind = "CNAME" if record_set.type == ALIAS else record_set.type
    try:
        rdtype = dns.rdatatype.from_text(kind)
    except (dns.rdatatype.UnknownRdatatype, ValueError) as error:
        raise ValueError(f"{record_set.type!r} is no record type") from error
    if not dns.rdatatype.is_metatype(rdtype) and record_set.values:
        return dns.rrset.from_rdata_list(
            name, record_set.ttl_s, [_rdata(rdtype, value, record_set) for value in record_set.values]
        )
    raise ValueError(f"{record_set.name} {record_set.type}: no such record set can be in a zone")


def _rdata(rdtype: RdataType, value: str, record_set: RecordSet) -> dns.rdata.Rdata:
    try:
        return dns.rdata.from_text(
            dns.rdataclass.IN,
            rdtype,
            value,
            origin=dns.name.root,
            relativize=False,
            idna_codec=dns.name.IDNA_2008_Practical,
        )
    except (dns.exception.DNSException, ValueError) as error:
        where = f"{record_set.name} {record_set.type}"
        raise ValueError(f"{where}: {value!r} is no value of that type: {error}") from error


Node = dict[str, RecordSet]
Touched = list[tuple[Name, str, RecordSet | None]]  # name, type, what stood there before


def _nobody() -> None:
    """Hear that a change begins: nobody serves the zone yet."""


def _nothing(_touched: Touched) -> None:
    """Hear what changed: nobody serves the zone yet."""


class Zone:
    """One zone's data. `serial` rises with every change; its listeners hear before and after each."""

    def __init__(self, origin: str, *, soa: Soa, serial: int = 1) -> None:
        self.name = to_name(origin)
        self.origin = self.name.to_text()
        self.soa, self.serial = soa, serial
        self.about_to_change: Callable[[], None] = _nobody
        self.changed: Callable[[Touched], None] = _nothing
        self._nodes: dict[Name, Node] = {}
        self._below: Counter[Name] = Counter()  # how many names with records each ancestor has under it
        self._cuts: set[Name] = set()
        self._wire: dict[tuple[Name, str], RRset] = {}
        self._starts: dict[tuple[int, int], RRset] = {}  # of this serial; every "there is none" shows one
        self.told: dict[tuple[int, tuple[bytes, ...], RdataType], Any] = {}  # what lookup.py found here
        self._undo: Touched | None = None

    @contextmanager
    def change(self) -> Iterator[None]:
        """Make several changes one: a single new serial, and none of them when one raises."""
        if self._undo is not None:
            yield
            return
        self.about_to_change()
        done: Touched = []
        self._undo = done
        try:
            yield
        except BaseException:
            self._undo = None
            for name, kind, old in reversed(done):
                self._set(name, kind, old)
            raise
        self._undo = None
        self.serial = (self.serial + bool(done)) % 2**32
        self.changed(done)

    def put(self, record_set: RecordSet) -> None:
        """Write a record set, in place of one of its name and type. ValueError when a zone cannot hold it."""
        name = to_name(record_set.name)
        if not name.is_subdomain(self.name):
            raise ValueError(f"{record_set.name} is not in the zone {self.origin}")
        if not 0 <= record_set.ttl_s <= MAX_TTL_S:
            raise ValueError(f"{record_set.name}: a TTL is 0 to {MAX_TTL_S} s, not {record_set.ttl_s}")
        kind = record_set.type.upper()
        values = tuple(rdata.to_text() for rdata in _records(name, record_set))
        others = self._nodes.get(name, {}).keys() - {kind}
        if kind == "SOA" or (others and (kind == "CNAME" or "CNAME" in others)):
            have = "its SOA already" if kind == "SOA" else ", ".join(sorted(others))
            raise ValueError(f"{record_set.name}: {kind} cannot stand beside {have}")
        with self.change():
            self._set(name, kind, RecordSet(name.to_text(), kind, record_set.ttl_s, values))

    def remove(self, name: str, kind: str) -> None:
        """Take a record set out; KeyError when it is not there."""
        key = to_name(name)
        if kind.upper() not in self._nodes.get(key, {}):
            raise KeyError(f"{name} {kind} is not in the zone {self.origin}")
        with self.change():
            self._set(key, kind.upper(), None)

    def get(self, name: str, kind: str) -> RecordSet | None:
        """Return the record set of that name and type, or None."""
        return self._nodes.get(to_name(name), {}).get(kind.upper())

    def record_sets(self) -> list[RecordSet]:
        """Return all record sets but the SOA, by name and type."""
        names = sorted(self._nodes)
        return [self._nodes[name][kind] for name in names for kind in sorted(self._nodes[name])]

    def delegate(self, delegation: Delegation) -> None:
        """Write a zone cut: NS, and DS or none."""
        child = delegation
        with self.change():
            self.put(RecordSet(child.zone, "NS", child.ns_ttl_s, child.nameservers))
            if child.ds:
                self.put(RecordSet(child.zone, "DS", child.ds_ttl_s, child.ds))
            elif self.get(child.zone, "DS"):
                self.remove(child.zone, "DS")

    def delegation(self, zone: str) -> Delegation | None:
        """Return what this parent says of `zone`, None when it is not delegated here."""
        ns, ds = self.get(zone, "NS"), self.get(zone, "DS")
        if ns is None:
            return None
        keys = {"ds": ds.values, "ds_ttl_s": ds.ttl_s} if ds else {}
        return Delegation(ns.name, ns.values, ns.ttl_s, **keys)  # type: ignore[arg-type]  # two kinds of field

    def node(self, name: Name) -> Node | None:
        """Return what stands at `name`: an empty node where only names below exist, None where nothing is."""
        node = self._nodes.get(name)
        return {} if node is None and (self._below[name] or name == self.name) else node

    def cut_above(self, name: Name) -> Name | None:
        """Return the highest zone cut at or above `name`, below the apex."""
        found = None
        while self._cuts and name != self.name:
            found = name if name in self._cuts else found
            name = name.parent()
        return found

    def records(self, name: Name, kind: str) -> RRset:
        """Return the records of an existing record set as they go on the wire."""
        key = (name, kind)
        if key not in self._wire:
            self._wire[key] = _records(name, self._nodes[name][kind])
        return self._wire[key]

    def start_of_authority(self, ttl_s: int | None = None) -> RRset:
        """Return the SOA record; for "there is none" its TTL is `ttl_s`."""
        ttl_s = self.soa.ttl_s if ttl_s is None else ttl_s
        if (self.serial, ttl_s) not in self._starts:
            text = self.soa.text(self.serial)
            self._starts = {(self.serial, ttl_s): dns.rrset.from_text(self.name, ttl_s, "IN", "SOA", text)}
        return self._starts[self.serial, ttl_s]

    def copy(self) -> Zone:
        """Return the zone as it stands, apart from what becomes of this one."""
        twin = Zone(self.origin, soa=self.soa)
        with twin.change():
            for record_set in self.record_sets():
                twin.put(record_set)
        twin.serial = self.serial
        return twin

    def _set(self, name: Name, kind: str, new: RecordSet | None) -> None:
        node = self._nodes.setdefault(name, {})
        if not node:
            self._count(name, 1)
        old = node.pop(kind, None)
        if new is not None:
            node[kind] = new
        if not node:
            del self._nodes[name]
            self._count(name, -1)
        if kind == "NS" and name != self.name:
            (self._cuts.add if new else self._cuts.discard)(name)
        self._wire.pop((name, kind), None)
        self.told.clear()
        if self._undo is not None:
            self._undo.append((name, kind, old))

    def _count(self, name: Name, by: int) -> None:
        while name != self.name:
            name = name.parent()
            self._below[name] += by
