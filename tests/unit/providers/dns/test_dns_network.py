"""Which resolvers, where nameservers are, what the parent says, and whether a zone's DS fits."""

import socket

import pytest

from runbook.errors import InputError, StepFailed
from runbook.providers.dns import (
    Network,
    Question,
    find_parent,
    read_answers,
    read_delegation,
    read_proof,
    read_security,
    read_servers,
)
from runbook.sandbox.dns.zone import Delegation as Written
from runbook.sandbox.dns.zone import RecordSet
from tests.dns_servers import served
from tests.dns_worlds import ZONE


@pytest.fixture
def there():
    with served(resolvers=3) as there:
        yield there


def test_nameservers_are_found_through_the_dns_and_reached_by_their_routes(there):
    """The names' addresses are asked for; where the sandbox listens is a detour that production has not."""
    found = read_servers(there.step, there.network, ["NS1.vercel-dns.com", "ns9.vercel-dns.com."])
    assert list(found) == ["ns1.vercel-dns.com.", "ns9.vercel-dns.com."]
    (server,) = found["ns1.vercel-dns.com."]
    assert server.port == there.world.internet.nameservers["ns1.vercel-dns.com."].port
    assert found["ns9.vercel-dns.com."] == []
    routed = Network.of(["1.1.1.1"], routes={"ns9.vercel-dns.com": "127.0.0.1:5353"})
    assert read_servers(there.step, routed, ["ns9.vercel-dns.com."])["ns9.vercel-dns.com."][0].port == 5353


def test_ipv6_addresses_count_where_ipv6_is_there(there):
    """Both kinds of address are asked for only when both can be reached."""
    there.world.internet.put_host("ns7.example.", "192.0.2.1", "2001:db8::7")
    with_both = there.network.model_copy(update={"ipv6": True})
    hosts = [one.host for one in read_servers(there.step, with_both, ["ns7.example."])["ns7.example."]]
    assert hosts == ["127.0.0.1", "2001:db8::7"]
    assert len(read_servers(there.step, there.network, ["ns7.example."])["ns7.example."]) == 1


def test_one_resolver_that_fails_is_no_failure_all_are(there):
    """The first that answers is believed; when none does, the error names what each of them said."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    network = Network.of(["resolver-01", "resolver-02"], routes={**there.routes, "resolver-01": nobody})
    for server in there.world.internet.nameservers:
        there.world.internet.break_zone(server, "vercel-dns.com.", "servfail")
    with pytest.raises(
        StepFailed, match=r"no resolver answers: resolver-01 .*unreach.*resolver-02 .*servfail"
    ):
        read_servers(there.step, network, ["ns1.vercel-dns.com."])
    for server in there.world.internet.nameservers:
        there.world.internet.mend_zone(server, "vercel-dns.com.")
    assert read_servers(there.step, network, ["ns1.vercel-dns.com."])["ns1.vercel-dns.com."]


def test_a_network_needs_a_resolver():
    """None at all, or one that is no address and has no route, is the caller's mistake."""
    with pytest.raises(InputError, match="no resolver to ask"):
        Network.of([])
    with pytest.raises(InputError, match="is no DNS server"):
        Network.of(["resolver-01"])


@pytest.mark.parametrize(
    ("zone", "parent"), [(ZONE, "dev."), ("shop.co.uk", "co.uk."), ("dev", "."), (f"a.b.{ZONE}", ZONE)]
)
def test_the_parent_is_the_closest_zone_above(there, zone, parent):
    """Also where a registry's zone has two labels, and where a name lies deep in its zone."""
    there.world.internet.delegate(Written("shop.co.uk.", ("ns1.vercel-dns.com.",)))
    assert find_parent(there.step, there.network, zone)[0] == parent


def test_the_root_has_no_parent(there):
    """Asking for it is the caller's mistake."""
    with pytest.raises(InputError, match="root has no parent"):
        read_delegation(there.step, there.network, ".")


def test_a_delegation_is_read_at_the_parent_with_the_parents_ttls(there):
    """Whatever is left in resolvers' caches, and whatever TTL the zone gives its own NS set."""
    ds = ("12345 13 2 " + "ab" * 32,)
    there.world.internet.delegate(Written(ZONE, there.world.servers("vercel"), 172_800, ds, 86_400))
    there.world.pass_s(1_000)
    found = read_delegation(there.step, there.network, "omnihub.dev")
    assert (found.zone, found.parent, found.nameservers) == (ZONE, "dev.", there.world.servers("vercel"))
    assert (found.ns.ttl_s, found.ds.values, found.ds.ttl_s, found.ds_negative_ttl_s) == (
        172_800,
        ds,
        86_400,
        None,
    )
    assert (found.disagreeing, found.silent) == ((), ())


def test_without_a_ds_the_negative_ttl_is_told(there):
    """How long "there is no DS" is kept decides when a new one is believed."""
    found = read_delegation(there.step, there.network, ZONE)
    assert found.ds is None
    assert found.ds_negative_ttl_s == there.world.internet.hosted("registry", "dev.").zone.soa.minimum_s


def test_parents_servers_that_differ_or_say_nothing_are_named(there):
    """A change on its way through the registry shows; so does a server that fails."""
    there.world.internet.break_zone("b.gtld-servers.net.", "dev.", "stale")
    there.world.switch("cloudflare")
    found = read_delegation(there.step, there.network, ZONE)
    assert found.nameservers == tuple(sorted(there.world.servers("cloudflare")))
    assert (found.disagreeing, found.silent) == (("b.gtld-servers.net.",), ())
    there.world.internet.break_zone("b.gtld-servers.net.", "dev.", "servfail")
    found = read_delegation(there.step, there.network, ZONE)
    assert (found.disagreeing, found.silent) == ((), ("b.gtld-servers.net.",))
    there.world.internet.break_zone("a.gtld-servers.net.", "dev.", "lame")
    with pytest.raises(
        StepFailed, match=r"not delegated by dev\., or nobody there answers: .*lame.*servfail"
    ):
        read_delegation(there.step, there.network, ZONE)


def test_a_name_that_is_no_zone_is_not_delegated(there):
    """A host name within a zone has no delegation of its own."""
    with pytest.raises(StepFailed, match="not delegated"):
        read_delegation(there.step, there.network, f"www.{ZONE}")


def test_what_dnssec_amounts_to(there):
    """Unsigned, signed, broken by a DS left behind, keys that nobody vouches for."""

    def state(*hosts):
        delegation = read_delegation(there.step, there.network, ZONE)
        return read_security(there.step, there.network, delegation, nameservers=hosts).state

    assert state() == "unsigned"
    there.world.internet.sign("vercel", ZONE)
    assert state() == "signed"
    assert state(*there.world.servers("cloudflare")) == "broken"
    there.world.switch("cloudflare")
    assert state() == "broken"
    there.world.internet.delegate(Written(ZONE, there.world.servers("vercel")))
    assert state() == "island"


def test_the_worst_of_a_zones_servers_counts(there):
    """One nameserver of two without the key breaks the zone for those who ask it; a silent one is named."""
    there.world.internet.break_zone(there.world.servers("vercel")[0], ZONE, "stale")
    there.world.internet.sign("vercel", ZONE)
    delegation = read_delegation(there.step, there.network, ZONE)
    assert read_security(there.step, there.network, delegation).state == "broken"
    there.world.internet.break_zone(there.world.servers("vercel")[0], ZONE, "servfail")
    found = read_security(there.step, there.network, delegation)
    assert (found.state, found.silent) == ("signed", (there.world.servers("vercel")[0],))
    there.world.internet.break_zone(there.world.servers("vercel")[1], ZONE, "servfail")
    with pytest.raises(
        StepFailed, match=r"none of ns1\.vercel-dns\.com\., ns2\.vercel-dns\.com\. tells the keys"
    ):
        read_security(there.step, there.network, delegation)


def test_resolvers_prove_what_they_can_and_fail_what_is_broken(there):
    """AD at those who validate, none at those who do not; after a bad switch SERVFAIL at the former."""
    there.world.internet.sign("vercel", ZONE)
    before = read_proof(there.step, there.network, f"www.{ZONE}", "A")
    assert [one.authentic for one in before] == [True, True, False]
    there.world.switch("cloudflare")
    there.world.pass_s(172_800)
    after = read_proof(there.step, there.network, f"www.{ZONE}", "A")
    assert [one.outcome for one in after] == ["servfail", "servfail", "answer"]


def test_a_zone_of_every_type_reads_back_as_it_was_written(there):
    """What the sandbox serves and what the client reads are the same record sets."""
    zone = there.world.zones["vercel"]
    written = [
        (ZONE, "MX", ("10 mx1.example.", "20 mx2.example.")),
        (ZONE, "CAA", ('0 issue "letsencrypt.org"',)),
        (ZONE, "TXT", ('"v=spf1 -all"',)),
        (f"_sip._tcp.{ZONE}", "SRV", ("1 2 5060 sip.example.",)),
        (f"xn--bcher-kva.{ZONE}", "AAAA", ("2001:db8::1",)),
        (f"*.apps.{ZONE}", "CNAME", ("cname.vercel-dns.com.",)),
        (f"svc.{ZONE}", "HTTPS", ('1 . alpn="h3,h2"',)),
    ]
    for name, kind, values in written:
        zone.put(RecordSet(name, kind, 300, values))
    servers = [there.server(there.world.nameserver("vercel"))]
    answers = read_answers(
        there.step, servers, [Question.of(name, kind, zone=ZONE) for name, kind, _ in written]
    )
    assert [(one.found.name, one.found.type, one.values, one.ttl_s) for one in answers] == [
        (*each, 300) for each in written
    ]
