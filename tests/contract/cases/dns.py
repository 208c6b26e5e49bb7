"""DNS: two public resolvers over HTTPS; foreign resolvers over UDP, TCP and RFC 8484."""

import base64
import shutil
import subprocess
from pathlib import Path

import dns.message
import dns.resolver
import pytest
import requests

from runbook.plan import load_environment
from runbook.providers.dns import (
    Question,
    read_answers,
    read_delegation,
    read_doh,
    read_servers,
    rehearsal_network,
)
from tests.contract.table import Case, Foreign, Vendor

ROOT = Path(__file__).parents[3]
HOST = "ns1.vercel-dns.com."
ZONE = "omnihub.dev"
ASSIGNED = ("ada.ns.cloudflare.com.", "lee.ns.cloudflare.com.")


def doh(name, kind, which):
    return lambda step: read_doh(step, Question.of(name, kind), which=which)


def expect_address(found, _world):
    assert (found.outcome, len(found.values), found.ttl_s > 0) == ("answer", 1, True)


def expect_nameservers(found, _world):
    assert (found.outcome, len(found.values)) == ("answer", 2)


def expect_none(found, _world):
    assert (found.outcome, found.values, found.ttl_s > 0) == ("nxdomain", (), True)


def everywhere(step):
    network = rehearsal_network(step)
    return read_answers(step, network.resolvers, [Question.of(HOST, "A")])


def expect_agreement(found, _world):
    assert len(found) == 24
    assert len({one.values for one in found}) == 1


def expect_delegated(found, _world):
    assert (found.parent, found.ns.ttl_s) == ("com.", 172_800)
    assert found.nameservers == ("ns1.hosting.example.", "ns2.hosting.example.")


def arrange_new_side(world, _step):
    """Make the zone at Cloudflare, as a script does; the registry still sends everybody to the old side."""
    base = f"{world.url}/cloudflare/client/v4/zones"
    shown = {"Authorization": f"Bearer {world.secrets()['cloudflare']['token']}"}
    account = load_environment(ROOT, "sandbox").vendor("cloudflare").id("account")
    zone = {"name": ZONE, "account": {"id": account}, "type": "full"}
    made = requests.post(base, json=zone, headers=shown, timeout=5).json()["result"]["id"]
    record = {"type": "A", "name": f"new.{ZONE}", "content": "203.0.113.80", "ttl": 300, "proxied": False}
    reply = requests.post(f"{base}/{made}/dns_records", json=record, headers=shown, timeout=5)
    assert reply.json()["success"]


def ask_new_side(step):
    """Ask the nameservers that Cloudflare assigned, each directly, for what the old side does not have."""
    network = rehearsal_network(step)
    delegated = read_delegation(step, network, ZONE).nameservers
    servers = read_servers(step, network, [one for one in ASSIGNED if one not in delegated])
    asked = [one for found in servers.values() for one in found]
    return read_answers(step, asked, [Question.of(f"new.{ZONE}", "A", zone=ZONE)])


def expect_new_side(found, _world):
    assert [one.server.name for one in found] == list(ASSIGNED)
    assert {(one.outcome, one.values, one.ttl_s) for one in found} == {("answer", ("203.0.113.80",), 300)}


def address(world, name="resolver-01"):
    host, _, port = world.addresses()["dns"][name].partition(":")
    return host, int(port)


def dnspython_resolves(world):
    resolver = dns.resolver.Resolver(configure=False)
    host, resolver.port = address(world)
    resolver.nameservers = [host]
    assert resolver.resolve(HOST, "A")[0].address == "192.0.2.4"
    assert len(resolver.resolve("com.", "NS", tcp=True)) == 2
    with pytest.raises(dns.resolver.NXDOMAIN):
        resolver.resolve("nothing.here.", "A")


def bytes_over_https(world):
    url = f"{world.url}/doh/cloudflare/dns-query"
    wire = dns.message.make_query(HOST, "A", id=0).to_wire()
    text = base64.urlsafe_b64encode(wire).decode().rstrip("=")
    as_bytes = {"Accept": "application/dns-message", "Content-Type": "application/dns-message"}
    for reply in (
        requests.get(url, params={"dns": text}, headers=as_bytes, timeout=5),
        requests.post(url, data=wire, headers=as_bytes, timeout=5),
    ):
        assert reply.headers["Content-Type"] == "application/dns-message"
        assert dns.message.from_wire(reply.content).answer[0][0].address == "192.0.2.4"


def dig_asks(world):
    program = shutil.which("dig")
    if program is None:
        pytest.skip("dig is not installed here")
    host, port = address(world)
    for more in ([], ["+tcp"], ["+dnssec"], ["+noedns"]):
        command = [program, f"@{host}", "-p", str(port), "+short", *more, HOST, "A"]
        found = subprocess.run(command, check=True, capture_output=True, text=True)
        assert found.stdout == "192.0.2.4\n"


VENDOR = Vendor(
    name="dns",
    specs={"/doh/google": "dns-over-https", "/doh/cloudflare": "dns-over-https"},
    cases=[
        Case("Google tells an address", do=doh(HOST, "A", "google"), expect=expect_address),
        Case("Cloudflare tells an address", do=doh(HOST, "A", "cloudflare"), expect=expect_address),
        Case("nameservers over HTTPS", do=doh("com.", "NS", "cloudflare"), expect=expect_nameservers),
        Case("no such name is an answer", do=doh("no.such.", "A", "cloudflare"), expect=expect_none),
        Case("all resolvers are asked at once", do=everywhere, expect=expect_agreement),
        Case(
            "a zone answers at its assigned nameservers before the switch",
            arrange=arrange_new_side,
            do=ask_new_side,
            expect=expect_new_side,
        ),
        Case(
            "a delegation is read at the parent",
            do=lambda step: read_delegation(step, rehearsal_network(step), "vercel-dns.com"),
            expect=expect_delegated,
        ),
    ],
    foreign=[
        Foreign("dnspython resolves over UDP and TCP", dnspython_resolves),
        Foreign("messages go over HTTPS by GET and POST", bytes_over_https),
        Foreign("dig asks", dig_asks),
    ],
)
