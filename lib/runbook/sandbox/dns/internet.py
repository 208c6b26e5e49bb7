"""The whole DNS of the sandbox: who hosts which zone, who delegates to whom, and the resolvers over it.

    internet = Internet(clock.now)
    internet.create()
    zone = internet.host("vercel", "omnihub.dev.")          # a Zone to write into
    servers = internet.hosted("vercel", "omnihub.dev.").servers
    internet.delegate(Delegation("omnihub.dev.", servers))  # what a registrar does
    internet.warm("omnihub.dev.")                           # as if users had asked for days
    new = internet.host("cloudflare", "omnihub.dev.")       # the same name, answered elsewhere

A vendor's emulator holds the `Zone` of its side and writes record sets into it; a registrar's emulator calls
`delegation` and `delegate`. Registries' zones and the addresses of nameservers appear by themselves. Every
change is written to the store at once, what resolvers learn at `keep_caches`.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import dns.dnssec
import dns.name
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

from runbook.sandbox.dns import documents
from runbook.sandbox.dns.behaviour import Behaviour, behaviours
from runbook.sandbox.dns.documents import Memory, Store, Tables
from runbook.sandbox.dns.nameserver import Fault, Nameserver
from runbook.sandbox.dns.resolver import Resolver, Surroundings
from runbook.sandbox.dns.sides import SIDES, Side
from runbook.sandbox.dns.wire import Endpoint
from runbook.sandbox.dns.zone import Delegation, RecordSet, Touched, Zone, to_name

RESOLVERS = 24
HOST_TTL_S = 86_400
KEY_TTL_S = 3_600
ADDRESSES = 254  # of a documentation block


@dataclass
class Hosted:
    """A zone at one side: its data and the nameservers it was given."""

    side: str
    zone: Zone
    servers: tuple[str, ...]


@dataclass
class Estate:
    """A side with what it hosts; `turns` counts how often a zone of that name was made there."""

    side: Side
    zones: dict[str, Hosted] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)


class Internet:
    """All servers and zones; empty until `create` or `load`.

    `now` is the sandbox's clock; the seed decides which of a zone's servers a resolver asks.
    """

    def __init__(
        self,
        now: Callable[[], datetime],
        *,
        seed: str = "",
        resolvers: int = RESOLVERS,
        store: Store | None = None,
    ) -> None:
        self.revision = 0
        self.nameservers: dict[str, Nameserver] = {}
        self.resolvers: dict[str, Resolver] = {}
        self._now, self._seed = now, seed
        self._store: Store = Memory() if store is None else store
        self._estates: dict[str, Estate] = {side.name: Estate(side) for side in SIDES}
        self._registries: set[Name] = {dns.name.root}
        self._flattening: set[Name] = set()
        self._flat: dict[tuple[Name, RdataType], RRset | None] = {}
        self._flat_at = (0, 0)
        root = tuple(map(to_name, self._estates["root"].side.nameservers))
        self._around = Surroundings(self.now_s, root, self._find, self._registries.__contains__)
        self._plain = Resolver("", "", behaviour=Behaviour(max_ttl_s=0), surroundings=self._around)
        for side in SIDES:
            for name in side.nameservers:
                self._add_nameserver(name)
        for number, behaviour in enumerate(behaviours(resolvers), start=1):
            self.add_resolver(f"resolver-{number:02d}", behaviour)

    def endpoints(self) -> Iterator[Endpoint]:
        """Return every server that can listen."""
        yield from self.nameservers.values()
        yield from self.resolvers.values()

    def now_s(self) -> int:
        """Return the sandbox's time in whole seconds since 1970."""
        return int(self._now().timestamp())

    def create(self) -> None:
        """Make the DNS of a new world: the root, and the zones in which the nameservers' names live."""
        self.host("root", ".")
        for server in self.nameservers.values():
            self.put_host(server.name, server.address)
            documents.put_nameserver(self._store, server)
        self.keep_caches()

    def load(self, tables: Tables) -> None:
        """Become what the documents in `tables` say; nothing when there are none."""
        self.revision += 1
        for estate in self._estates.values():
            estate.zones, estate.turns = {}, {}
        for server in self.nameservers.values():
            server.zones.clear()
            documents.get_nameserver(server, tables.get("nameservers", {}).get(server.name, {}))
        for side, zone, servers in documents.zones_of(tables):
            self._attach(Hosted(side, zone, servers))
        for key, doc in tables.get("turns", {}).items():
            side, origin = key.split(" ")
            self._estates[side].turns[origin] = doc["turns"]
        found = tables.get("resolvers", {})
        for name in found.keys() - self.resolvers:
            self.add_resolver(name, Behaviour())
        for name, resolver in self.resolvers.items():
            documents.get_resolver(resolver, found.get(name, {}))
        documents.get_caches(self.resolvers, tables)

    def catch_up(self) -> None:
        """Let every resolver have done what its users made it do until now."""
        now_s = self.now_s()
        for resolver in self.resolvers.values():
            resolver.catch_up(now_s)

    def keep_caches(self) -> None:
        """Write down what resolvers learnt or forgot."""
        for resolver in self.resolvers.values():
            if resolver.cache.touched or resolver.turn != resolver.turn_on_record:
                documents.put_resolver(self._store, resolver)

    def host(self, side: str, origin: str) -> Zone:
        """Make a zone at a side, with its SOA and NS; ValueError when the side has it already."""
        estate, origin = self._estates[side], to_name(origin).to_text()
        if origin in estate.zones:
            raise ValueError(f"{side} hosts {origin} already")
        turn = estate.turns.get(origin, 0)
        servers = estate.side.assign(origin, turn=turn)
        hosted = Hosted(side, Zone(origin, soa=estate.side.soa(servers)), servers)
        self._changing()
        self._attach(hosted)
        estate.turns[origin] = turn + 1
        self._store.put("turns", f"{side} {origin}", {"turns": turn + 1})
        hosted.zone.put(RecordSet(origin, "NS", estate.side.ns_ttl_s, servers))
        for name in servers:
            self.nameservers[name].hear_last_of(hosted.zone.name)
            documents.put_nameserver(self._store, self.nameservers[name])
        return hosted.zone

    def hosted(self, side: str, origin: str) -> Hosted | None:
        """Return a side's zone of that name with its nameservers, None when it has none."""
        return self._estates[side].zones.get(to_name(origin).to_text())

    def origins(self, side: str) -> list[str]:
        """Return the names of the zones a side hosts."""
        return list(self._estates[side].zones)

    def assigned(self, side: str, origin: str) -> tuple[str, ...]:
        """Return the nameservers a side gives a zone: those it has, or those it would get."""
        hosted, estate = self.hosted(side, origin), self._estates[side]
        name = to_name(origin).to_text()
        return hosted.servers if hosted else estate.side.assign(name, turn=estate.turns.get(name, 0))

    def drop(self, side: str, origin: str) -> None:
        """Delete a zone at a side; its servers refuse from now on. Fine when it is not there."""
        found = self.hosted(side, origin)
        if found is None:
            return
        self._changing()
        with found.zone.change():
            for one in found.zone.record_sets():
                found.zone.remove(one.name, one.type)
        del self._estates[side].zones[found.zone.origin]
        self._store.drop("zones", f"{side} {found.zone.origin}")
        for name in found.servers:
            self.nameservers[name].drop_zone(origin)
            documents.put_nameserver(self._store, self.nameservers[name])

    def delegate(self, delegation: Delegation) -> None:
        """Write a delegation into the registry's zone: effective there at once."""
        self._registry(to_name(delegation.zone)).delegate(delegation)

    def delegation(self, zone: str) -> Delegation | None:
        """Return what the registry says of a zone, None when it is not delegated."""
        parent = to_name(zone).parent()
        registry = self.hosted("root" if parent == dns.name.root else "registry", parent.to_text())
        return registry.zone.delegation(zone) if registry is not None else None

    def put_host(self, name: str, *addresses: str) -> None:
        """Give a host name addresses (IPv4, IPv6), in a zone made for it when nobody hosts one."""
        home = self._home_of(to_name(name))
        for kind, mark in (("A", "."), ("AAAA", ":")):
            if found := tuple(one for one in addresses if mark in one):
                home.put(RecordSet(name, kind, HOST_TTL_S, found))

    def add_resolver(self, name: str, behaviour: Behaviour) -> Resolver:
        """Add a caching resolver that knows nothing yet."""
        address = _address("198.51.100", len(self.resolvers))
        resolver = Resolver(name, address, behaviour=behaviour, surroundings=self._around, seed=self._seed)
        self.resolvers[name] = resolver
        return resolver

    def warm(self, zone: str, *, spread_s: int | None = None) -> None:
        """Let every resolver know a zone's delegation since a random time, within its TTL or `spread_s`.

        For a world that is being made: nothing may have changed within that time.
        """
        found = self.delegation(zone)
        if found is None:
            raise ValueError(f"{zone} is not delegated")
        spread_s = found.ns_ttl_s if spread_s is None else spread_s
        for resolver in self.resolvers.values():
            chance = random.Random(f"{self._seed} {resolver.name} {found.zone}")  # noqa: S311  # no secret
            resolver.learn(to_name(zone), age_s=chance.randrange(spread_s) if spread_s else 0)
        self.keep_caches()

    def sign(self, side: str, origin: str) -> None:
        """Put a key into a side's zone and its DS into the registry, as a signed zone has them."""
        hosted, found = self.hosted(side, origin), self.delegation(origin)
        if hosted is None or found is None:
            raise ValueError(f"{origin} is not hosted at {side}, or not delegated")
        zone = hosted.zone
        key = base64.b64encode(hashlib.sha256(f"{side} {zone.origin}".encode()).digest()).decode()
        zone.put(RecordSet(zone.origin, "DNSKEY", KEY_TTL_S, (f"257 3 15 {key}",)))
        ds = dns.dnssec.make_ds(zone.name, zone.records(zone.name, "DNSKEY")[0], "SHA256")
        self.delegate(replace(found, ds=(ds.to_text(),)))

    def break_zone(self, server: str, origin: str, fault: Fault) -> None:
        """Let a zone fail at one nameserver, see `Nameserver.break_zone`."""
        with self._at(server) as broken:
            broken.break_zone(origin, fault)

    def mend_zone(self, server: str, origin: str) -> None:
        """Let a zone be served at a nameserver as it should."""
        with self._at(server) as mended:
            mended.mend_zone(origin)

    def break_server(
        self, server: str, *, mute: bool = False, garbled: bool = False, delay_s: float = 0.0
    ) -> None:
        """Let a nameserver or a resolver say nothing, or bytes that are no message, or all of it late."""
        with self._at(server) as broken:
            broken.mute, broken.garbled, broken.delay_s = mute, garbled, delay_s

    @contextmanager
    def _at(self, server: str) -> Iterator[Any]:
        """Let something about a server change, and write it down."""
        found: Endpoint | None = self.resolvers.get(server) or self.nameservers.get(to_name(server).to_text())
        if found is None:
            raise ValueError(f"there is no DNS server {server}")
        self._changing()
        found.forget_replies()
        yield found
        if isinstance(found, Nameserver):
            documents.put_nameserver(self._store, found)
        elif isinstance(found, Resolver):
            documents.put_resolver(self._store, found)

    def _changing(self) -> None:
        """Let the world change now: resolvers catch up with it as it was, kept replies are void."""
        self.catch_up()
        self.revision += 1
        for resolver in self.resolvers.values():
            resolver.stirred_s = self.now_s()

    def _attach(self, hosted: Hosted) -> None:
        """Serve a zone at its nameservers and hear of its changes."""
        zone, side = hosted.zone, hosted.side

        def changed(touched: Touched) -> None:
            documents.put_zone(self._store, side, zone, hosted.servers)
            for name, kind, _ in touched:
                documents.put_record(self._store, side, zone, name, kind)
            self.keep_caches()

        zone.about_to_change, zone.changed = self._changing, changed
        self._estates[side].zones[zone.origin] = hosted
        for name in hosted.servers:
            self.nameservers[name].zones[zone.name] = zone
        if side == "registry":
            self._registries.add(zone.name)

    def _add_nameserver(self, name: str) -> None:
        address = _address("192.0.2", len(self.nameservers))
        self.nameservers[name] = Nameserver(
            name, address, revision=lambda: self.revision, flatten=self._flatten
        )

    def _registry(self, zone: Name) -> Zone:
        """Return the zone above a name, made and delegated when it is not there yet."""
        parent = zone.parent()
        side = "root" if parent == dns.name.root else "registry"
        found = self.hosted(side, parent.to_text())
        if found is not None:
            return found.zone
        made = self.host(side, parent.to_text())
        servers = self._estates[side].zones[made.origin].servers
        self._estates["root"].zones["."].zone.delegate(Delegation(made.origin, servers))
        return made

    def _home_of(self, host: Name) -> Zone:
        """Return the zone a host name belongs to."""
        origin = Name(host.labels[-3:]).to_text()
        found = self.hosted("hosting", origin)
        if found is not None:
            return found.zone
        zone = self.host("hosting", origin)
        self.delegate(Delegation(origin, self._estates["hosting"].zones[origin].servers))
        return zone

    def _find(self, name: Name) -> Nameserver | None:
        return self.nameservers.get(name.to_text())

    def _flatten(self, name: Name, rdtype: RdataType) -> RRset | None:
        """Return the addresses of an alias' target; none of one that leads back to itself.

        What was found holds for the second, as long as nothing changes.
        """
        if name in self._flattening:
            return None
        if self._flat_at != (at := (self.now_s(), self.revision)):
            self._flat, self._flat_at = {}, at
        key = (name, rdtype)
        if key not in self._flat:
            self._flattening.add(name)
            try:
                found = self._plain.authoritative(name, rdtype)
            finally:
                self._flattening.remove(name)
            self._flat[key] = found.records if found is not None else None
        return self._flat[key]


def _address(block: str, taken: int) -> str:
    if taken >= ADDRESSES:
        raise ValueError(f"the block {block}.0/24 has no address left")
    return f"{block}.{taken + 1}"
