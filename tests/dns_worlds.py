"""A small DNS for tests: omnihub.dev at Vercel and at Cloudflare, delegated to Vercel, on a virtual clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dns.flags
import dns.message
import dns.rcode

from runbook.clock import VirtualClock
from runbook.sandbox.dns.documents import Memory
from runbook.sandbox.dns.internet import Internet
from runbook.sandbox.dns.zone import Delegation, RecordSet

ZONE = "omnihub.dev."
OLD, NEW = "203.0.113.1", "203.0.113.2"
BEGINS = datetime(2026, 11, 30, tzinfo=UTC)


class SmallWorld:
    """The internet, its clock and store, and the two sides of one zone; `www` tells the sides apart."""

    def __init__(self, *, ns_ttl_s=172_800, own_ns_ttl_s=86_400, ttl_s=60, resolvers=8, begins=BEGINS):
        self.clock = VirtualClock(begins)
        self.store = Memory()
        self.internet = Internet(self.clock.now, resolvers=resolvers, store=self.store)
        self.internet.create()
        self.zones = {}
        for side, address in (("vercel", OLD), ("cloudflare", NEW)):
            zone = self.zones[side] = self.internet.host(side, ZONE)
            zone.put(RecordSet(ZONE, "NS", own_ns_ttl_s, self.servers(side)))
            zone.put(RecordSet(f"www.{ZONE}", "A", ttl_s, (address,)))
        self.internet.delegate(Delegation(ZONE, self.servers("vercel"), ns_ttl_s))

    def servers(self, side):
        return self.internet.hosted(side, ZONE).servers

    def switch(self, side):
        """Let the registry point to a side, as a registrar's API does; its DS stays as it was."""
        found = self.internet.delegation(ZONE)
        self.internet.delegate(replace(found, nameservers=self.servers(side)))

    def pass_s(self, seconds):
        self.clock.advance(timedelta(seconds=seconds))

    def nameserver(self, side, number=0):
        return self.internet.nameservers[self.servers(side)[number]]

    def resolver(self, number):
        return self.internet.resolvers[f"resolver-{number:02d}"]

    def seen(self, number, name=f"www.{ZONE}"):
        """Return the address a resolver gives, or the name of the error."""
        reply = ask(self.resolver(number), name, "A")
        return reply.answer[-1][0].address if reply.answer else dns.rcode.to_text(reply.rcode())


def ask(endpoint, name, rdtype, *, tcp=False, cd=False, **options):
    """Put a question to an endpoint as bytes and return the message that comes back, None for silence."""
    query = dns.message.make_query(name, rdtype, use_edns=0, **options)
    query.flags |= dns.flags.AD | (dns.flags.CD if cd else 0)
    wire = endpoint.handle(query.to_wire(), tcp=tcp)
    if wire is None:
        return None
    reply = dns.message.from_wire(wire)
    assert query.is_response(reply)
    return reply


def records(reply):
    """Return an answer section as {(name, type): sorted values}."""
    return {(r.name.to_text().lower(), r.rdtype.name): sorted(d.to_text() for d in r) for r in reply.answer}
