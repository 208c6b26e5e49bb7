"""What is in the sandbox's DNS as plain JSON documents, in tables by key, and back.

| table | key | document |
|---|---|---|
| zones | side origin | servers, soa, serial |
| turns | side origin | how often a zone of that name was made there |
| records | side origin name type | ttl_s, values |
| nameservers | name | faults, the copies of stale zones, delay |
| resolvers | name | behaviour, faults, delay, turn |
| delegations | resolver zone | servers, since_s, until_s |
| answers | resolver name type (`*`: the name does not exist) | records, soa, rcode, until_s, authentic |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from typing import Any, Protocol

import dns.rdatatype
import dns.rrset
from dns.name import Name
from dns.rcode import Rcode
from dns.rrset import RRset

from runbook.sandbox.dns.behaviour import Behaviour
from runbook.sandbox.dns.cache import Cache, Held, Kept, Key
from runbook.sandbox.dns.nameserver import Nameserver
from runbook.sandbox.dns.resolver import Resolver
from runbook.sandbox.dns.wire import Endpoint
from runbook.sandbox.dns.zone import RecordSet, Soa, Zone, to_name

Doc = dict[str, Any]
Tables = Mapping[str, Mapping[str, Doc]]
NAME_IS_NOT = "*"


class Store(Protocol):
    """Where documents are kept."""

    def put(self, table: str, key: str, doc: Doc) -> None: ...
    def drop(self, table: str, key: str) -> None: ...


class Memory:
    """A store that is a dict of dicts; what a test or a dump reads."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Doc]] = {}

    def put(self, table: str, key: str, doc: Doc) -> None:
        self.tables.setdefault(table, {})[key] = doc

    def drop(self, table: str, key: str) -> None:
        self.tables.setdefault(table, {}).pop(key, None)


def put_zone(store: Store, side: str, zone: Zone, servers: Iterable[str]) -> None:
    """Write what a zone is, apart from its records."""
    doc = {"servers": list(servers), "soa": asdict(zone.soa), "serial": zone.serial}
    store.put("zones", f"{side} {zone.origin}", doc)


def put_record(store: Store, side: str, zone: Zone, name: Name, kind: str) -> None:
    """Write what stands in a zone at a name and type, or that nothing does any more."""
    key = f"{side} {zone.origin} {name} {kind}"
    found = zone.get(name.to_text(), kind)
    if found is None:
        store.drop("records", key)
    else:
        store.put("records", key, {"ttl_s": found.ttl_s, "values": list(found.values)})


def zones_of(tables: Tables) -> list[tuple[str, Zone, tuple[str, ...]]]:
    """Return the zones in `tables`: side, zone, nameservers."""
    found: dict[str, tuple[str, Zone, tuple[str, ...]]] = {}
    for key, doc in tables.get("zones", {}).items():
        side, origin = key.split(" ")
        found[key] = side, Zone(origin, soa=Soa(**doc["soa"])), tuple(doc["servers"])
    for key, doc in tables.get("records", {}).items():
        side, origin, name, kind = key.split(" ")
        found[f"{side} {origin}"][1].put(RecordSet(name, kind, doc["ttl_s"], tuple(doc["values"])))
    for key, doc in tables.get("zones", {}).items():
        found[key][1].serial = doc["serial"]
    return list(found.values())


def put_nameserver(store: Store, server: Nameserver) -> None:
    """Write what is wrong with a nameserver."""
    memory = Memory()
    for zone in server.copies.values():
        put_zone(memory, "copy", zone, ())
        for one in zone.record_sets():
            put_record(memory, "copy", zone, to_name(one.name), one.type)
    faults = {name.to_text(): fault for name, fault in server.faults.items()}
    store.put("nameservers", server.name, {**_wrong(server), "faults": faults, "copies": memory.tables})


def get_nameserver(server: Nameserver, doc: Doc) -> None:
    """Let a nameserver be as its document says."""
    _get_wrong(server, doc)
    server.faults = {to_name(name): fault for name, fault in doc.get("faults", {}).items()}
    server.copies = {zone.name: zone for _, zone, _ in zones_of(doc.get("copies", {}))}


def put_resolver(store: Store, resolver: Resolver) -> None:
    """Write what a resolver is and what it learnt or forgot since the last time."""
    doc = {**_wrong(resolver), "behaviour": _as_doc(resolver.behaviour), "turn": resolver.turn}
    store.put("resolvers", resolver.name, doc)
    cache = resolver.cache
    for key in cache.touched:
        if isinstance(key, Name):
            _put_delegation(store, resolver.name, key, cache.delegations.get(key))
        else:
            _put_answer(store, resolver.name, key, cache.answers.get(key))
    cache.touched.clear()
    resolver.turn_on_record = resolver.turn


@cache
def _as_doc(behaviour: Behaviour) -> Doc:
    return asdict(behaviour)


def get_resolver(resolver: Resolver, doc: Doc) -> None:
    """Let a resolver be as its document says; it knows nothing yet, see `get_caches`."""
    _get_wrong(resolver, doc)
    if "behaviour" in doc:
        resolver.behaviour = Behaviour(**doc["behaviour"])
    resolver.turn = resolver.turn_on_record = doc.get("turn", 0)
    resolver.cache = Cache()
    resolver.forget_replies()


def get_caches(resolvers: Mapping[str, Resolver], tables: Tables) -> None:
    """Let resolvers know what is in `tables`."""
    for path, doc in tables.get("delegations", {}).items():
        resolver, zone = path.split(" ")
        held = Held(tuple(map(to_name, doc["servers"])), doc["since_s"], doc["until_s"])
        resolvers[resolver].cache.hold(to_name(zone), held)
    for path, doc in tables.get("answers", {}).items():
        resolver, name, kind = path.split(" ")
        rdtype = None if kind == NAME_IS_NOT else dns.rdatatype.from_text(kind)
        kept = Kept(
            _get_records(doc["records"]),
            _get_records(doc["soa"]),
            Rcode(doc["rcode"]),
            doc["until_s"],
            doc["authentic"],
        )
        resolvers[resolver].cache.keep(to_name(name), rdtype, kept)
    for one in resolvers.values():
        one.cache.touched.clear()


def _wrong(server: Endpoint) -> Doc:
    return {"mute": server.mute, "garbled": server.garbled, "delay_s": server.delay_s}


def _get_wrong(server: Endpoint, doc: Doc) -> None:
    server.mute, server.garbled = doc.get("mute", False), doc.get("garbled", False)
    server.delay_s = doc.get("delay_s", 0.0)


def _put_delegation(store: Store, resolver: str, zone: Name, held: Held | None) -> None:
    key = f"{resolver} {zone}"
    if held is None:
        store.drop("delegations", key)
        return
    servers = [one.to_text() for one in held.servers]
    store.put("delegations", key, {"servers": servers, "since_s": held.since_s, "until_s": held.until_s})


def _put_answer(store: Store, resolver: str, key: Key, kept: Kept | None) -> None:
    name, rdtype = key
    path = f"{resolver} {name} {NAME_IS_NOT if rdtype is None else dns.rdatatype.to_text(rdtype)}"
    if kept is None:
        store.drop("answers", path)
        return
    doc = {"rcode": int(kept.rcode), "until_s": kept.until_s, "authentic": kept.authentic}
    store.put("answers", path, {"records": _records(kept.records), "soa": _records(kept.soa), **doc})


def _records(records: RRset | None) -> list[Any] | None:
    if records is None:
        return None
    kind = dns.rdatatype.to_text(records.rdtype)
    return [records.name.to_text(), records.ttl, kind, [rdata.to_text() for rdata in records]]


def _get_records(data: list[Any] | None) -> RRset | None:
    if data is None:
        return None
    name, ttl_s, kind, values = data
    return dns.rrset.from_text_list(to_name(name), ttl_s, "IN", kind, values)
