"""Who hosts what, who delegates to whom, and that all of it comes back from its documents."""

import json

import pytest

from runbook.sandbox.dns.internet import Internet
from runbook.sandbox.dns.zone import Delegation, RecordSet
from tests.dns_worlds import NEW, OLD, ZONE, SmallWorld, ask, records


def test_each_zone_gets_two_of_cloudflares_nameservers():
    """Two different ones, the same for a zone each time, spread over the pool."""
    world = SmallWorld()
    pairs = [world.internet.assigned("cloudflare", f"zone-{number}.dev.") for number in range(200)]
    assert all(len(set(pair)) == 2 for pair in pairs)
    assert len(set(pairs)) == 12
    assert pairs == [world.internet.assigned("cloudflare", f"zone-{number}.dev.") for number in range(200)]


def test_a_zone_deleted_and_made_anew_gets_other_nameservers():
    """As at Cloudflare; the old ones refuse, and Vercel's stay the same two."""
    world = SmallWorld()
    before = world.servers("cloudflare")
    world.internet.drop("cloudflare", ZONE)
    assert ask(world.internet.nameservers[before[0]], f"www.{ZONE}", "A").rcode().name == "REFUSED"
    assert world.internet.hosted("cloudflare", ZONE) is None
    world.internet.host("cloudflare", ZONE)
    assert not set(world.servers("cloudflare")) & set(before)
    world.internet.drop("vercel", ZONE)
    world.internet.host("vercel", ZONE)
    assert world.servers("vercel") == ("ns1.vercel-dns.com.", "ns2.vercel-dns.com.")


def test_a_side_hosts_a_name_once():
    """Making a zone that is there is the vendor's to refuse; here it is an error."""
    with pytest.raises(ValueError, match=r"hosts omnihub\.dev\. already"):
        SmallWorld().internet.host("vercel", "OmniHub.dev")


def test_both_sides_answer_for_one_name_each_with_its_own_data():
    """Before a switch the assigned nameservers can be asked directly."""
    world = SmallWorld()
    assert ask(world.nameserver("vercel"), f"www.{ZONE}", "A").answer[0][0].address == OLD
    assert ask(world.nameserver("cloudflare", 1), f"www.{ZONE}", "A").answer[0][0].address == NEW
    assert world.seen(1) == OLD


def test_registries_and_addresses_of_nameservers_appear_by_themselves():
    """From the root a client finds the registry, the zone's servers and their addresses."""
    world = SmallWorld()
    world.internet.delegate(Delegation("shop.co.uk.", ("ns1.vercel-dns.com.",)))
    assert world.internet.delegation("shop.co.uk.").nameservers == ("ns1.vercel-dns.com.",)
    for name in ("dev.", "co.uk.", "com."):
        assert ask(world.resolver(1), name, "NS").answer
    for server in world.internet.nameservers.values():
        reply = ask(world.resolver(1), server.name, "A")
        assert records(reply) == {(server.name, "A"): [server.address]}
    assert world.internet.delegation("unknown.zz.") is None
    assert world.internet.delegation("dev.").ns_ttl_s == 172_800


def test_warm_resolvers_let_go_one_after_the_other():
    """As if users had asked for days: their delegations run out at different times, the last within 48 h."""
    world = SmallWorld(resolvers=24, ttl_s=0)
    world.internet.warm(ZONE)
    world.switch("cloudflare")
    shares = []
    for _ in range(49):
        shares.append(sum(world.seen(number) == NEW for number in range(1, 25)))
        world.pass_s(3_600)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 24)
    assert len(set(shares)) > 8
    with pytest.raises(ValueError, match="not delegated"):
        world.internet.warm("unknown.zz.")


def make_a_history(world):
    """Let a bit of everything happen."""
    net = world.internet
    net.put_host("cname.vercel-dns.com.", "203.0.113.9", "2001:db8::9")
    world.zones["vercel"].put(RecordSet(ZONE, "ALIAS", 60, ("cname.vercel-dns.com.",)))
    world.zones["vercel"].put(RecordSet(f"bücher.{ZONE}", "TXT", 60, (r'"a\"b" "\195\188"',)))
    net.sign("vercel", ZONE)
    net.warm(ZONE)
    world.pass_s(500)
    for number in range(1, 9):
        world.seen(number)
        world.seen(number, f"missing-{number}.{ZONE}")
        ask(world.resolver(number), ZONE, "NS")
    net.break_zone(world.servers("cloudflare")[0], ZONE, "stale")
    net.break_zone(world.servers("vercel")[1], ZONE, "lame")
    net.break_server("resolver-03", mute=True)
    net.break_server("ns1.vercel-dns.com.", delay_s=0.25)
    net.host("cloudflare", "gone.dev.")
    net.drop("cloudflare", "gone.dev.")
    world.zones["cloudflare"].put(RecordSet(f"www.{ZONE}", "A", 60, ("203.0.113.55",)))
    world.switch("cloudflare")
    net.keep_caches()


def answers(internet):
    """Return what every server says to a number of questions."""
    questions = [(ZONE, "A"), (f"www.{ZONE}", "A"), (f"new.{ZONE}", "A"), (f"bücher.{ZONE}", "TXT")]
    questions += [(ZONE, "NS"), (ZONE, "DS")]
    replies = [ask(endpoint, *question) for endpoint in internet.endpoints() for question in questions]
    return [None if reply is None else reply.to_text().split("\n", 1)[1] for reply in replies]


def test_all_of_it_comes_back_from_its_documents():
    """Killed and loaded again, the DNS goes on as if nothing had been: data, faults, caches, turns."""
    world = SmallWorld()
    make_a_history(world)
    twin = Internet(world.clock.now, resolvers=8)
    twin.load(json.loads(json.dumps(world.store.tables)))
    for seconds in (0, 30, 0, 1_000, 100_000):
        world.pass_s(seconds)
        assert answers(twin) == answers(world.internet)
    assert twin.assigned("cloudflare", "gone.dev.") == world.internet.assigned("cloudflare", "gone.dev.")


def test_loading_nothing_makes_it_empty_and_whole():
    """A reset forgets zones, faults and caches; then the root is made anew."""
    world = SmallWorld()
    make_a_history(world)
    world.internet.load({})
    assert world.internet.origins("vercel") == []
    world.internet.create()
    assert ask(world.resolver(3), ZONE, "A").rcode().name == "NXDOMAIN"
    assert ask(world.internet.nameservers["ns1.vercel-dns.com."], ZONE, "A").rcode().name == "REFUSED"


def test_only_zones_that_are_delegated_and_hosted_can_be_signed():
    """Signing needs a key in the zone and a DS at its parent."""
    with pytest.raises(ValueError, match="not hosted at vercel, or not delegated"):
        SmallWorld().internet.sign("vercel", "other.dev.")


def test_a_fault_can_be_set_before_its_zone_comes():
    """A lame server is lame from the zone's first day; a stale one knows the zone as it was made."""
    for fault, rcode in (("refused", "REFUSED"), ("stale", "NXDOMAIN")):
        world = SmallWorld()
        first, second = world.internet.assigned("cloudflare", "late.dev.")
        world.internet.break_zone(first, "late.dev.", fault)
        zone = world.internet.host("cloudflare", "late.dev.")
        zone.put(RecordSet("www.late.dev.", "A", 60, (NEW,)))
        for twin in (world.internet, Internet(world.clock.now, resolvers=8)):
            twin.load(json.loads(json.dumps(world.store.tables)))
            assert ask(twin.nameservers[first], "www.late.dev.", "A").rcode().name == rcode
            assert ask(twin.nameservers[second], "www.late.dev.", "A").answer
    with pytest.raises(ValueError, match="cannot be 'broken'"):
        world.internet.break_zone(first, "late.dev.", "broken")


def test_an_alias_that_leads_back_to_itself_has_no_addresses():
    """By itself or around a corner: it is answered, with nothing, and nothing hangs."""
    world = SmallWorld()
    zone = world.zones["vercel"]
    zone.put(RecordSet(ZONE, "ALIAS", 60, (f"a.{ZONE}",)))
    zone.put(RecordSet(f"a.{ZONE}", "ALIAS", 60, (ZONE,)))
    zone.put(RecordSet(f"b.{ZONE}", "ALIAS", 60, (f"b.{ZONE}",)))
    for name in (ZONE, f"a.{ZONE}", f"b.{ZONE}"):
        assert not ask(world.resolver(1), name, "A").answer
