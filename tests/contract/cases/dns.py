"""DNS: two public resolvers over HTTPS; foreign resolvers over UDP, TCP and RFC 8484."""

import base64
import shutil
import subprocess

import dns.message
import dns.resolver
import pytest
import requests

from runbook.providers.dns import Question, read_answers, read_delegation, read_doh, rehearsal_network
from tests.contract.table import Case, Foreign, Vendor

HOST = "ns1.vercel-dns.com."


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
