"""The whole DNS of the sandbox: who hosts which zone, who delegates to whom, and the resolvers over it.

    internet = Internet(clock.now)
    zone = internet.host("vercel", "omnihub.dev.")             # a Zone to write into
    internet.delegate(Delegation("omnihub.dev.", zone_servers))  # what a registrar does
    internet.warm("omnihub.dev.")                              # as if users had asked for days
    new = internet.host("cloudflare", "omnihub.dev.")          # the same name, answered elsewhere

A vendor's emulator holds the `Zone` of its side and writes record sets into it; a registrar's emulator calls
`delegation` and `delegate`. Registries' zones and the addresses of nameservers appear by themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import dns.name
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

from runbook.sandbox.dns.behaviour import Behaviour, behaviours
from runbook.sandbox.dns.nameserver import Nameserver
from runbook.sandbox.dns.resolver import Resolver, Surroundings
from runbook.sandbox.dns.sides import SIDES, Side
from runbook.sandbox.dns.zone import Delegation, RecordSet, Zone, to_name

RESOLVERS = 24
HOST_TTL_S = 86_400
HOSTS = 254  # addresses of a documentation block


@dataclass
class Hosted:
    """A zone at one side: its data and the nameservers it was given."""

    zone: Zone
    servers: tuple[str, ...]


@dataclass
class Estate:
    """A side with what it hosts; `turns` counts how often a zone of that name was made there."""

    side: Side
    zones: dict[str, Hosted] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)


class Internet:
    """All servers and zones. `now` is the sandbox's clock; the seed decides which server a resolver asks."""

    def __init__(self, now: Callable[[], datetime], *, seed: int = 0, resolvers: int = RESOLVERS) -> None:
        self._now, self._seed = now, seed
        self.revision = 0
        self.nameservers: dict[str, Nameserver] = {}
        self.resolvers: dict[str, Resolver] = {}
        self._estates: dict[str, Estate] = {}
        self._registries: set[Name] = {dns.name.root}
        self._around = Surroundings(self.now_s, self._root, self._find, self._registries.__contains__)
        self._plain = Resolver("", "", behaviour=Behaviour(max_ttl_s=0), surroundings=self._around, seed=seed)
        self.host_sides(SIDES)
        for number, behaviour in enumerate(behaviours(resolvers), start=1):
            self.add_resolver(f"resolver-{number:02d}", behaviour)

    def now_s(self) -> int:
        """Return the sandbox's time in whole seconds since 1970."""
        return int(self._now().timestamp())

    def changing(self) -> None:
        """Let the world change now: resolvers catch up with the world as it was, kept replies are void."""
        now_s = self.now_s()
        for resolver in self.resolvers.values():
            resolver.catch_up(now_s)
        self.revision += 1

    def host_sides(self, sides: Iterable[Side]) -> None:
        """Set sides up: their nameservers, and the zones those names live in."""
        new = list(sides)
        for side in new:
            self._estates[side.name] = Estate(side)
            for name in side.nameservers:
                self._add_nameserver(name)
        for side in new:
            if side.name == "root":
                self.host("root", ".")
            for name in side.nameservers:
                self.put_host(name, self.nameservers[name].address)

    def host(self, side: str, origin: str) -> Zone:
        """Make an empty zone at a side, with its SOA and NS; ValueError when the side has it already."""
        estate, origin = self._estates[side], to_name(origin).to_text()
        if origin in estate.zones:
            raise ValueError(f"{side} hosts {origin} already")
        turn = estate.turns.get(origin, 0)
        servers = estate.side.assign(origin, turn=turn)
        zone = Zone(origin, soa=estate.side.soa(servers))
        zone.put(RecordSet(origin, "NS", estate.side.ns_ttl_s, servers))
        self._attach(estate, Hosted(zone, servers))
        estate.turns[origin] = turn + 1
        return zone

    def hosted(self, side: str, origin: str) -> Hosted | None:
        """Return a side's zone of that name with its nameservers, None when it has none."""
        return self._estates[side].zones.get(to_name(origin).to_text())

    def drop(self, side: str, origin: str) -> None:
        """Delete a zone at a side; its servers refuse from now on. Fine when it is not there."""
        found = self._estates[side].zones.pop(to_name(origin).to_text(), None)
        if found is not None:
            self.changing()
            for name in found.servers:
                self.nameservers[name].drop_zone(origin)

    def delegate(self, delegation: Delegation) -> None:
        """Write a delegation into the registry's zone: effective there at once."""
        self._registry(to_name(delegation.zone)).delegate(delegation)

    def delegation(self, zone: str) -> Delegation | None:
        """Return what the registry says of a zone, None when it is not delegated."""
        return self._registry(to_name(zone)).delegation(zone)

    def put_host(self, name: str, *addresses: str) -> None:
        """Give a host name addresses (IPv4, IPv6), in a zone made for it when nobody hosts one."""
        hosted = self._home_of(to_name(name))
        for kind, found in (
            ("A", [one for one in addresses if ":" not in one]),
            ("AAAA", [one for one in addresses if ":" in one]),
        ):
            if found:
                hosted.put(RecordSet(name, kind, HOST_TTL_S, tuple(found)))

    def add_resolver(self, name: str, behaviour: Behaviour) -> Resolver:
        """Add a caching resolver that knows nothing yet."""
        address = _address("198.51.100", len(self.resolvers))
        resolver = Resolver(name, address, behaviour=behaviour, surroundings=self._around, seed=self._seed)
        self.resolvers[name] = resolver
        return resolver

    def warm(self, zone: str, *, spread_s: int | None = None) -> None:
        """Let every resolver know a zone's delegation since a random time, within its TTL or `spread_s`."""
        found = self.delegation(zone)
        if found is None:
            raise ValueError(f"{zone} is not delegated")
        spread_s = found.ns_ttl_s if spread_s is None else spread_s
        for resolver in self.resolvers.values():
            chance = random.Random(f"{self._seed} {resolver.name} {found.zone}")  # noqa: S311  # no secret
            resolver.learn(to_name(zone), age_s=chance.randrange(spread_s) if spread_s else 0)

    def break_zone(self, server: str, origin: str, fault: Any) -> None:
        """Let a zone fail at one nameserver, see `Nameserver.break_zone`."""
        self.changing()
        self.nameservers[to_name(server).to_text()].break_zone(origin, fault)

    def mend_zone(self, server: str, origin: str) -> None:
        """Let a zone be served at a nameserver as it should."""
        self.changing()
        self.nameservers[to_name(server).to_text()].mend_zone(origin)

    def dump(self) -> dict[str, Any]:
        """Return all of it as JSON data."""
        estates = {
            name: {
                "turns": estate.turns,
                "zones": [[list(one.servers), one.zone.dump()] for one in estate.zones.values()],
            }
            for name, estate in self._estates.items()
        }
        resolvers = [[one.name, one.behaviour.dump(), one.dump()] for one in self.resolvers.values()]
        nameservers = {one.name: one.dump() for one in self.nameservers.values()}
        return {"estates": estates, "nameservers": nameservers, "resolvers": resolvers}

    def load(self, data: dict[str, Any]) -> None:
        """Become what `dump` described; sides and nameservers are those of this version."""
        self.revision += 1
        self.resolvers = {}
        for server in self.nameservers.values():
            server.zones.clear()
        for name, held in data["estates"].items():
            estate = self._estates[name]
            estate.zones, estate.turns = {}, dict(held["turns"])
            for servers, zone in held["zones"]:
                self._attach(estate, Hosted(Zone.load(zone), tuple(servers)))
        for name, state in data["nameservers"].items():
            self.nameservers[name].load(state)
        for name, behaviour, state in data["resolvers"]:
            self.add_resolver(name, Behaviour(**behaviour)).load(state)

    def _attach(self, estate: Estate, hosted: Hosted) -> None:
        self.changing()
        hosted.zone.about_to_change = self.changing
        estate.zones[hosted.zone.origin] = hosted
        for name in hosted.servers:
            self.nameservers[name].zones[hosted.zone.name] = hosted.zone
        if estate.side.name == "registry":
            self._registries.add(hosted.zone.name)

    def _add_nameserver(self, name: str) -> None:
        address = _address("192.0.2", len(self.nameservers))
        self.nameservers[name] = Nameserver(
            name, address, revision=lambda: self.revision, flatten=self._flatten
        )

    def _registry(self, zone: Name) -> Zone:
        """Return the zone above a name, made and delegated when it is not there yet."""
        parent = zone.parent()
        origin = parent.to_text()
        side = "root" if parent == dns.name.root else "registry"
        found = self._estates[side].zones.get(origin)
        if found is not None:
            return found.zone
        made = self.host(side, origin)
        root = self._estates["root"].zones["."].zone
        root.delegate(Delegation(origin, self._estates[side].zones[origin].servers))
        return made

    def _home_of(self, name: Name) -> Zone:
        """Return the zone a host name belongs to."""
        zones = self._estates["hosting"].zones
        above = name
        while above != dns.name.root:
            if above.to_text() in zones:
                return zones[above.to_text()].zone
            above = above.parent()
        origin = Name(name.labels[-3:]).to_text()
        zone = self.host("hosting", origin)
        self.delegate(Delegation(origin, zones[origin].servers))
        return zone

    def _root(self) -> tuple[Name, ...]:
        return tuple(map(to_name, self._estates["root"].side.nameservers))

    def _find(self, name: Name) -> Nameserver | None:
        return self.nameservers.get(name.to_text())

    def _flatten(self, name: Name, rdtype: RdataType) -> RRset | None:
        found = self._plain.authoritative(name, rdtype)
        return found.records if found is not None else None


def _address(block: str, taken: int) -> str:
    if taken >= HOSTS:
        raise ValueError(f"the block {block}.0/24 has no address left")
    return f"{block}.{taken + 1}"
