"""A caching resolver: asks from the root downwards, and remembers for as long as the TTLs say.

Time is the sandbox's clock in whole seconds: something fetched at second t with a TTL of n is good until, and
not in, second t + n. Between two changes of the world the data stands still, so what busy resolvers fetched
meanwhile is worked out when it matters: at the next question, and just before each change (`catch_up`).

Simplified: nameservers are asked in this process, not through packets, and found by their host names; DNSSEC
is checked down to the zone's key (DS against DNSKEY, RFC 4035 §5.2), not to each record's signature. The root
and the registries' zones count as signed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import dns.dnssec
import dns.exception
import dns.name
from dns.edns import EDECode
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

from runbook.sandbox.dns.behaviour import Behaviour
from runbook.sandbox.dns.cache import NEVER_S, Cache, Held, Kept, Key
from runbook.sandbox.dns.lookup import Question, Reply
from runbook.sandbox.dns.wire import Endpoint

CHAIN = 12  # CNAMEs followed
DEPTH = 24  # referrals followed
STALE_TTL_S = 30  # RFC 8767 §4
STALE = (EDECode.STALE_ANSWER, "the zone's servers do not answer")
UNREACHABLE = (EDECode.NO_REACHABLE_AUTHORITY, "no server of the zone gives an answer")
NO_KEY = (EDECode.DNSKEY_MISSING, "no key of the zone fits the DS at its parent")
LOOP = (EDECode.OTHER, "the aliases do not end")
Security = Literal["secure", "insecure", "bogus"]


class Asked(Protocol):
    """What a resolver needs of a nameserver."""

    @property
    def mute(self) -> bool: ...
    def reply(self, question: Question) -> Reply | None: ...


@dataclass(frozen=True)
class Surroundings:
    """What a resolver knows beforehand: the time, the root's servers, how a host is found, what is signed."""

    now_s: Callable[[], int]
    root: tuple[Name, ...]
    find: Callable[[Name], Asked | None]
    is_registry: Callable[[Name], bool]


@dataclass(frozen=True, slots=True)
class _Failed:
    """Why there is no answer: an extended error for the client."""

    said: tuple[EDECode, str]


class Resolver(Endpoint):
    """One caching resolver, its users' only view of the DNS."""

    recursive = True

    def __init__(
        self, name: str, address: str, *, behaviour: Behaviour, surroundings: Surroundings, seed: str = ""
    ) -> None:
        super().__init__(name, address)
        self.behaviour = behaviour
        self.cache = Cache()
        self.turn = self.turn_on_record = 0  # questions it asked; they decide which server is asked next
        self.asked: set[Key] = set()  # what its users ask in every second
        self.stirred_s = 0  # since when nothing has changed for it: its zones' data, whom it asks
        self._around, self._seed = surroundings, seed

    def stamp(self) -> int:
        return self._around.now_s()

    def reply(self, question: Question) -> Reply | None:
        if not question.recurse:
            return Reply(Rcode.REFUSED)
        now_s = self._around.now_s()
        self.catch_up(now_s)
        name, authentic, lasting, said = question.name, True, True, None
        records: list[RRset] = []
        for _ in range(CHAIN):
            found, stale = self._find(name, question, now_s)
            if isinstance(found, _Failed):
                return Reply(Rcode.SERVFAIL, said=found.said, lasting=False)
            said = STALE if stale else said
            lasting = lasting and found.until_s > now_s
            aged = replace(found, until_s=now_s + STALE_TTL_S).aged(now_s) if stale else found.aged(now_s)
            authentic = authentic and found.authentic
            if aged.records is None:
                authority = (aged.soa,) if aged.soa is not None else ()
                return Reply(
                    found.rcode, tuple(records), authority, authentic=authentic, said=said, lasting=lasting
                )
            records.append(aged.records)
            if aged.records.rdtype != RdataType.CNAME or question.rdtype == RdataType.CNAME:
                return Reply(answer=tuple(records), authentic=authentic, said=said, lasting=lasting)
            name = aged.records[0].target.canonicalize()
        return Reply(Rcode.SERVFAIL, said=LOOP, lasting=False)

    def catch_up(self, now_s: int) -> None:
        """Do what a busy resolver did until now: fetch each delegation and DS when it ran out.

        What its users ask all the time (`asked`) was fetched anew as often as it ran out; as long as nothing
        has changed for it that brought the same again.
        """
        for key in self.asked & self.cache.answers.keys():
            self._age(key, now_s)
        if self.cache.soonest_s > now_s:
            return
        before = self.cache.delegations.copy()
        for until_s, zone, rdtype in self.cache.take_run_out(now_s):
            if self.behaviour.busy:
                self._fetch_again(zone, rdtype, until_s, now_s)
            held = self.cache.delegations.get(zone)
            if rdtype == RdataType.NS and (held is None or held.servers != before[zone].servers):
                self.stirred_s = max(self.stirred_s, until_s)

    def unsettled_s(self) -> int:
        """Return when the next thing from before the last change runs out: another may come then."""
        answers, delegations = self.cache.answers, self.cache.delegations
        signers = {key for key in answers if key[1] == RdataType.DS}
        old = [
            key for key in (self.asked | signers) & answers.keys() if self._fetched_s(key) <= self.stirred_s
        ]
        ends = [answers[key].until_s for key in old]
        ends += [held.until_s for held in delegations.values() if held.since_s <= self.stirred_s]
        return min(ends, default=NEVER_S)

    def _fetched_s(self, key: Key) -> int:
        return self.cache.answers[key].until_s - self._period_s(key)

    def _period_s(self, key: Key) -> int:
        kept = self.cache.answers[key]
        if kept.records is not None:
            return self.behaviour.kept_for_s(kept.records.ttl)
        ttl_s = min(kept.soa.ttl, kept.soa[0].minimum) if kept.soa is not None else 0
        return self.behaviour.kept_for_s(ttl_s, negative=True)

    def _age(self, key: Key, now_s: int) -> None:
        """Let an answer have been renewed whenever it ran out before now, if that brought nothing new."""
        kept, period_s = self.cache.answers[key], self._period_s(key)
        if kept.until_s < now_s and self._fetched_s(key) > self.stirred_s and period_s:
            until_s = now_s + (kept.until_s - now_s) % period_s
            self.cache.keep(*key, replace(kept, until_s=until_s))

    def learn(self, origin: Name, *, age_s: int) -> None:
        """Know a zone's delegation as one who fetched it `age_s` seconds ago; nothing has changed since."""
        now_s = self._around.now_s()
        then_s = now_s - age_s
        self._walk(origin, RdataType.SOA, then_s)
        if self.behaviour.validates:
            self._security(origin, then_s)
        self.catch_up(now_s)

    def flush(self) -> None:
        """Forget everything, as an operator can."""
        known: list[Key | Name] = [*self.cache.answers, *self.cache.delegations]
        self.cache = Cache()
        self.cache.touched.update(dict.fromkeys(known))
        self.forget_replies()

    def authoritative(self, name: Name, rdtype: RdataType) -> Kept | None:
        """Return what the zones' own servers say, aliases followed; None when they do not answer."""
        now_s = self._around.now_s()
        for _ in range(CHAIN):
            found = self._fetch(name, rdtype, now_s)
            if isinstance(found, _Failed):
                return None
            if found.records is None or found.records.rdtype != RdataType.CNAME:
                return found
            name = found.records[0].target.canonicalize()
        return None

    def _find(self, name: Name, question: Question, now_s: int) -> tuple[Kept | _Failed, bool]:
        """Return the answer, from memory or from the zone's servers, and whether it has run out."""
        kept = self.cache.answer(name, question.rdtype, now_s)
        if kept is not None:
            return kept, False
        found = self._fetch(name, question.rdtype, now_s, unchecked=question.unchecked)
        if isinstance(found, _Failed) and found.said == UNREACHABLE:
            stale = self.cache.answer(name, question.rdtype, now_s, stale_s=self.behaviour.stale_s)
            if stale is not None:
                return stale, True
        return found, False

    def _fetch(self, name: Name, rdtype: RdataType, now_s: int, *, unchecked: bool = False) -> Kept | _Failed:
        """Return what the zone's servers say, checked, and remember it."""
        reached = self._walk(name, rdtype, now_s)
        if reached is None:
            return _Failed(UNREACHABLE)
        zone, reply = reached
        return self._keep(zone, name, rdtype, reply, now_s, unchecked=unchecked)

    def _walk(self, name: Name, rdtype: RdataType, now_s: int) -> tuple[Name, Reply] | None:
        """Ask the servers of the closest zone known and follow their referrals, remembering who answers."""
        start = name.parent() if rdtype == RdataType.DS and name != dns.name.root else name
        zone, servers = dns.name.root, self._around.root
        known = self.cache.zone_above(start, now_s)
        if known is not None:
            zone, servers = known[0], known[1].servers
        for _ in range(DEPTH):
            reply = self._ask(zone, servers, name, rdtype)
            if reply is None:
                return None
            cut = reply.referral
            if cut is None:
                return zone, reply
            zone, servers = cut.name, self._hold(cut, now_s)
        return None

    def _ask(self, zone: Name, servers: tuple[Name, ...], name: Name, rdtype: RdataType) -> Reply | None:
        """Return the first usable reply; a server that fails, refuses or is lame gives way to the next."""
        self.turn += 1
        for server in sorted(servers, key=self._rank):
            asked = self._around.find(server)
            reply = None if asked is None or asked.mute else asked.reply(Question(name, rdtype))
            if reply is None or reply.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
                continue
            cut = reply.referral
            if reply.authoritative or (cut is not None and _leads_down(cut.name, zone, name)):
                return reply
        return None

    def _rank(self, server: Name) -> int:
        """Take turns among a zone's servers, in an order that only the seed and the turn decide."""
        return zlib.crc32(f"{self._seed} {self.name} {self.turn} ".encode() + b".".join(server.labels))

    def _hold(self, cut: RRset, now_s: int) -> tuple[Name, ...]:
        """Remember who answers for a zone: by its parent, or as a child-centric resolver by itself."""
        zone, records, own = cut.name, cut, None
        if self.behaviour.centricity == "child":
            own = self._ask(zone, _targets(cut), zone, RdataType.NS)
            if own is not None and own.answer and own.answer[0].rdtype == RdataType.NS:
                records = own.answer[0]
        until_s = now_s + self.behaviour.kept_for_s(records.ttl)
        if until_s > now_s:
            self.cache.hold(zone, Held(_targets(records), now_s, until_s))
            if own is not None and records is not cut:
                self._keep(zone, zone, RdataType.NS, own, now_s)
        return _targets(records)

    def _keep(
        self, zone: Name, name: Name, rdtype: RdataType, reply: Reply, now_s: int, *, unchecked: bool = False
    ) -> Kept | _Failed:
        """Check and remember one step of an answer: records, an alias, or that there is none."""
        security = self._security(zone, now_s) if self.behaviour.validates else "insecure"
        if security == "bogus" and not unchecked:
            return _Failed(NO_KEY)
        authentic = security == "secure"
        if reply.answer and reply.answer[0].name == name:
            records = reply.answer[0]
            until_s = now_s + self.behaviour.kept_for_s(records.ttl)
            kept = Kept(records, None, Rcode.NOERROR, until_s, authentic)
            key: RdataType | None = records.rdtype
        else:
            soa = next((one for one in reply.authority if one.rdtype == RdataType.SOA), None)
            ttl_s = min(soa.ttl, soa[0].minimum) if soa is not None else 0
            until_s = now_s + self.behaviour.kept_for_s(ttl_s, negative=True)
            kept = Kept(None, soa, reply.rcode, until_s, authentic)
            key = None if reply.rcode == Rcode.NXDOMAIN else rdtype
        if until_s > now_s and security != "bogus":
            self.cache.keep(name, key, kept)
        return kept

    def _security(self, zone: Name, now_s: int) -> Security:
        """Say what the chain of DS and DNSKEY from a registry's zone down to `zone` proves."""
        if self._around.is_registry(zone):
            return "secure"
        known = self.cache.zone_above(zone.parent(), now_s)
        above = self._security(known[0], now_s) if known is not None else "secure"
        if above != "secure":
            return above
        signers = self.cache.answer(zone, RdataType.DS, now_s) or self._fetch(zone, RdataType.DS, now_s)
        if isinstance(signers, _Failed):
            return "bogus"
        if signers.records is None or signers.records.rdtype != RdataType.DS:
            return "insecure"
        return "secure" if self._fits(zone, signers, now_s) else "bogus"

    def _fits(self, zone: Name, signers: Kept, now_s: int) -> bool:
        """Say whether a key of the zone is one its parent vouches for."""
        reached = self._walk(zone, RdataType.DNSKEY, now_s)
        keys = list(reached[1].answer[0]) if reached is not None and reached[1].answer else []
        return any(_matches(zone, ds, key) for ds in signers.records or () for key in keys)

    def _fetch_again(self, zone: Name, rdtype: RdataType, then_s: int, now_s: int) -> None:
        """Fetch at `then_s` what ran out there, and every time it ran out since: the world stood still."""
        if rdtype == RdataType.DS:
            found = self._fetch(zone, RdataType.DS, then_s)
            if not isinstance(found, _Failed) and found.until_s > then_s:
                self.cache.keep(zone, RdataType.DS, _renewed(found, then_s, now_s))
            return
        self._walk(zone, RdataType.SOA, then_s)
        held = self.cache.delegations.get(zone)
        if held is None:
            return
        until_s = _next_end(then_s, held.until_s - then_s, now_s)
        self.cache.hold(zone, Held(held.servers, until_s - (held.until_s - then_s), until_s))
        own = self.cache.answers.get((zone, RdataType.NS))
        if own is not None and own.until_s == held.until_s:
            self.cache.keep(zone, RdataType.NS, replace(own, until_s=until_s))


def _leads_down(cut: Name, zone: Name, name: Name) -> bool:
    return cut != zone and cut.is_subdomain(zone) and name.is_subdomain(cut)


def _targets(records: RRset) -> tuple[Name, ...]:
    return tuple(one.target.canonicalize() for one in records)


def _renewed(kept: Kept, then_s: int, now_s: int) -> Kept:
    return replace(kept, until_s=_next_end(then_s, kept.until_s - then_s, now_s))


def _next_end(then_s: int, ttl_s: int, now_s: int) -> int:
    """Return when something runs out that was fetched at `then_s` and whenever it ran out until now."""
    return then_s + ttl_s * ((now_s - then_s) // ttl_s + 1)


def _matches(zone: Name, ds: Any, key: Any) -> bool:
    try:
        return bool(dns.dnssec.make_ds(zone, key, ds.digest_type, validating=True) == ds)
    except (dns.exception.DNSException, ValueError):
        return False
