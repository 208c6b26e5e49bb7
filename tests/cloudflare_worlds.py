"""Cloudflare's emulator and the DNS behind it, in memory, asked as its API is asked."""

import json
from dataclasses import replace

import dns.message
import dns.rcode
import dns.rdatatype

from runbook.sandbox.dns.part import PART as DNS
from runbook.sandbox.dns.zone import Delegation
from runbook.sandbox.vendors.cloudflare import PART as CLOUDFLARE
from runbook.sandbox.vendors.cloudflare.emulator import ACCOUNT, BASE
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World

NAME = "omnihub.dev"
ORIGIN = f"{NAME}."


class Api:
    """Cloudflare as a client meets it; `world` is what is behind it."""

    def __init__(self, path=None):
        self.world = World(path, kinds=[DNS, CLOUDFLARE])
        self.internet = self.world.part("dns").internet
        self.headers = {}

    def ask(self, method, path, body=None, *, token=None, **query):
        """Return (status, body) of a call below the API's address."""
        shown = token or self.world.part("cloudflare").secrets()["token"]
        headers = {"Authorization": f"Bearer {shown}", "Content-Type": "application/json"}
        raw = b"" if body is None else json.dumps(body).encode()
        pairs = [(name.replace("__", "."), str(value)) for name, value in query.items()]
        answer = self.world.answer(Call(method, BASE + path, pairs, headers, raw)).answer
        self.headers = answer.headers
        text = answer.content().decode()
        return answer.status, json.loads(text) if text.startswith("{") else text

    def done(self, method, path, body=None, **query):
        """Return the result of a call that succeeds."""
        status, said = self.ask(method, path, body, **query)
        assert status == 200, said
        return said["result"]

    def code(self, method, path, body=None, **query):
        """Return the code of a call that is refused."""
        status, said = self.ask(method, path, body, **query)
        assert status >= 400
        assert said["success"] is False
        return said["errors"][0]["code"]

    def make_zone(self):
        zone = self.done("POST", "/zones", {"name": NAME, "account": {"id": ACCOUNT}})
        return f"/zones/{zone['id']}"

    def delegate(self, servers):
        found = self.internet.delegation(ORIGIN) or Delegation(ORIGIN, ())
        self.internet.delegate(replace(found, nameservers=tuple(f"{server}." for server in servers)))

    def assigned(self, zone):
        return self.done("GET", zone)["name_servers"]

    def answers(self, name, kind, *, server=None):
        """Return what an assigned nameserver says: (TTL, values), or the name of the error.

        What it says of a zone cut's NS is a referral.
        """
        host = server or self.internet.assigned("cloudflare", ORIGIN)[0]
        query = dns.message.make_query(name, kind)
        reply = dns.message.from_wire(self.internet.nameservers[host].handle(query.to_wire()))
        if reply.rcode() != dns.rcode.NOERROR:
            return dns.rcode.to_text(reply.rcode())
        referral = [one for one in reply.authority if kind == "NS" and one.rdtype == dns.rdatatype.NS]
        found = [(one.ttl, sorted(rdata.to_text() for rdata in one)) for one in [*referral, *reply.answer]]
        return found[-1] if found else (None, [])
