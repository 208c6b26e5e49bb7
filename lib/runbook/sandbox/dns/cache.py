"""What a resolver remembers: answers, "there is none", and who answers for a zone; by the second."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

Key = tuple[Name, RdataType | None]
NEVER_S = 2**63
MOST = 100_000  # entries; beyond, those that have run out go first


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer (`records`), or that there is none (the zone's `soa`), good until `until_s`."""

    records: RRset | None
    soa: RRset | None
    rcode: Rcode
    until_s: int
    authentic: bool = False

    def aged(self, now_s: int) -> Kept:
        """Return it with the TTL that is left, never below 0."""
        left_s = max(0, self.until_s - now_s)
        return replace(self, records=_with_ttl(self.records, left_s), soa=_with_ttl(self.soa, left_s))


@dataclass(frozen=True, slots=True)
class Held:
    """Who answers for a zone (host names), since when and until when."""

    servers: tuple[Name, ...]
    since_s: int
    until_s: int


class Cache:
    """Answers by name and type (NXDOMAIN by name alone, type None), delegations by zone.

    `soonest_s` is when the first delegation or DS runs out; nothing of them has before. `touched` collects
    what changed since somebody emptied it: answers and delegations, by their keys.
    """

    def __init__(self) -> None:
        self.answers: dict[Key, Kept] = {}
        self.delegations: dict[Name, Held] = {}
        self.soonest_s = NEVER_S
        self.touched: dict[Key | Name, None] = {}

    def answer(self, name: Name, rdtype: RdataType, now_s: int, *, stale_s: int = 0) -> Kept | None:
        """Return what is known of that name and type: the records, its CNAME, or that there is none."""
        for key in (rdtype, RdataType.CNAME, None):
            kept = self.answers.get((name, key))
            if kept is not None and kept.until_s + stale_s > now_s:
                return kept
        return None

    def keep(self, name: Name, rdtype: RdataType | None, kept: Kept) -> None:
        """Remember an answer; that a name exists ends that it does not."""
        if len(self.answers) >= MOST:
            self._make_room(kept.until_s)
        if rdtype is not None and (name, None) in self.answers:
            self._forget((name, None))
        self.answers[name, rdtype] = kept
        self.touched[name, rdtype] = None
        if rdtype == RdataType.DS:
            self.soonest_s = min(self.soonest_s, kept.until_s)

    def hold(self, zone: Name, held: Held) -> None:
        """Remember who answers for a zone."""
        self.delegations[zone] = held
        self.touched[zone] = None
        self.soonest_s = min(self.soonest_s, held.until_s)

    def zone_above(self, name: Name, now_s: int) -> tuple[Name, Held] | None:
        """Return the closest zone at or above `name` whose servers are known, with them."""
        while name.labels != (b"",):
            held = self.delegations.get(name)
            if held is not None and held.until_s > now_s:
                return name, held
            name = name.parent()
        return None

    def take_run_out(self, now_s: int) -> list[tuple[int, Name, RdataType]]:
        """Take out the delegations (NS) and DS that have run out: when, whose, which; in order of time."""
        over = [
            (held.until_s, zone, RdataType.NS)
            for zone, held in self.delegations.items()
            if held.until_s <= now_s
        ]
        over += [
            (kept.until_s, name, rdtype)
            for (name, rdtype), kept in self.answers.items()
            if rdtype == RdataType.DS and kept.until_s <= now_s
        ]
        for _, name, rdtype in over:
            if rdtype == RdataType.NS:
                del self.delegations[name]
                self.touched[name] = None
            else:
                self._forget((name, rdtype))
        ends = [held.until_s for held in self.delegations.values()]
        ends += [kept.until_s for (_, rdtype), kept in self.answers.items() if rdtype == RdataType.DS]
        self.soonest_s = min(ends, default=NEVER_S)
        return sorted(over, key=lambda one: (one[0], len(one[1].labels)))

    def _make_room(self, now_s: int) -> None:
        over = [key for key, kept in self.answers.items() if kept.until_s <= now_s]
        for key in over or list(self.answers):
            self._forget(key)

    def _forget(self, key: Key) -> None:
        del self.answers[key]
        self.touched[key] = None


def _with_ttl(records: RRset | None, ttl_s: int) -> RRset | None:
    if records is None:
        return None
    copied = copy(records)  # no record is hashed again, as it is where a set is made anew
    copied.ttl = ttl_s
    return copied
