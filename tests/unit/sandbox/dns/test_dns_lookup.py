"""What a nameserver says, by the rules of the DNS."""

import dns.flags
import pytest
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from runbook.sandbox.dns.lookup import Question
from runbook.sandbox.dns.zone import RecordSet, to_name
from tests.dns_worlds import NEW, OLD, ZONE, SmallWorld, ask, records

WWW = Question(to_name(f"www.{ZONE}"), RdataType.A)


@pytest.fixture(scope="module")
def world():
    world = SmallWorld()
    world.internet.put_host("cname.vercel-dns.com.", "203.0.113.9", "2001:db8::9")
    zone = world.zones["vercel"]
    for name, kind, values in (
        (ZONE, "ALIAS", ("cname.vercel-dns.com.",)),
        (ZONE, "MX", ("10 mx1.example.", "20 mx2.example.")),
        (ZONE, "CAA", ('0 issue "letsencrypt.org"',)),
        (f"*.apps.{ZONE}", "A", ("203.0.113.7",)),
        (f"here.apps.{ZONE}", "TXT", ('"here"',)),
        (f"deep.er.apps.{ZONE}", "TXT", ('"deeper"',)),
        (f"one.{ZONE}", "CNAME", (f"two.{ZONE}",)),
        (f"two.{ZONE}", "CNAME", (f"www.{ZONE}",)),
        (f"off.{ZONE}", "CNAME", ("elsewhere.example.",)),
        (f"nowhere.{ZONE}", "CNAME", (f"missing.{ZONE}",)),
        (f"round.{ZONE}", "CNAME", (f"round.{ZONE}",)),
        (f"_sip._tcp.{ZONE}", "SRV", ("1 2 5060 sip.example.",)),
        (f"sub.{ZONE}", "NS", (f"ns.sub.{ZONE}", "ns.other.example.")),
        (f"ns.sub.{ZONE}", "A", ("203.0.113.53",)),
    ):
        zone.put(RecordSet(name, kind, 300, values))
    return world


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "answer"),
    [
        (f"www.{ZONE}", "A", "NOERROR", {(f"www.{ZONE}", "A"): [OLD]}),
        ("WWW.OmniHub.DEV.", "A", "NOERROR", {(f"www.{ZONE}", "A"): [OLD]}),
        (f"www.{ZONE}", "AAAA", "NOERROR", {}),
        (f"missing.{ZONE}", "A", "NXDOMAIN", {}),
        (ZONE, "A", "NOERROR", {(ZONE, "A"): ["203.0.113.9"]}),
        (ZONE, "AAAA", "NOERROR", {(ZONE, "AAAA"): ["2001:db8::9"]}),
        (ZONE, "TXT", "NOERROR", {}),
        (ZONE, "MX", "NOERROR", {(ZONE, "MX"): ["10 mx1.example.", "20 mx2.example."]}),
        (ZONE, "CAA", "NOERROR", {(ZONE, "CAA"): ['0 issue "letsencrypt.org"']}),
        (f"x.apps.{ZONE}", "A", "NOERROR", {(f"x.apps.{ZONE}", "A"): ["203.0.113.7"]}),
        (f"x.y.apps.{ZONE}", "A", "NOERROR", {(f"x.y.apps.{ZONE}", "A"): ["203.0.113.7"]}),
        (f"x.apps.{ZONE}", "TXT", "NOERROR", {}),
        (f"here.apps.{ZONE}", "A", "NOERROR", {}),
        (f"er.apps.{ZONE}", "A", "NOERROR", {}),
        (f"x.er.apps.{ZONE}", "A", "NXDOMAIN", {}),
        (f"*.apps.{ZONE}", "A", "NOERROR", {(f"*.apps.{ZONE}", "A"): ["203.0.113.7"]}),
        (f"_sip._tcp.{ZONE}", "SRV", "NOERROR", {(f"_sip._tcp.{ZONE}", "SRV"): ["1 2 5060 sip.example."]}),
        (f"_tcp.{ZONE}", "SRV", "NOERROR", {}),
        (f"one.{ZONE}", "CNAME", "NOERROR", {(f"one.{ZONE}", "CNAME"): [f"two.{ZONE}"]}),
        (
            f"one.{ZONE}",
            "A",
            "NOERROR",
            {
                (f"one.{ZONE}", "CNAME"): [f"two.{ZONE}"],
                (f"two.{ZONE}", "CNAME"): [f"www.{ZONE}"],
                (f"www.{ZONE}", "A"): [OLD],
            },
        ),
        (f"off.{ZONE}", "A", "NOERROR", {(f"off.{ZONE}", "CNAME"): ["elsewhere.example."]}),
        (f"nowhere.{ZONE}", "A", "NXDOMAIN", {(f"nowhere.{ZONE}", "CNAME"): [f"missing.{ZONE}"]}),
        (f"round.{ZONE}", "A", "NOERROR", {(f"round.{ZONE}", "CNAME"): [f"round.{ZONE}"]}),
        ("example.org.", "A", "REFUSED", {}),
    ],
)
def test_each_kind_of_question_gets_its_answer(world, name, kind, rcode, answer):
    """Answer, no data, no name, alias, wildcard, empty non-terminal, apex alias, and not ours."""
    reply = ask(world.nameserver("vercel"), name, kind)
    assert (reply.rcode().name, records(reply)) == (rcode, answer)
    assert bool(reply.flags & dns.flags.AA) == (rcode != "REFUSED")
    assert [one.rdtype.name for one in reply.authority] == (
        ["SOA"] if (rcode != "REFUSED" and not answer) or rcode == "NXDOMAIN" else []
    )


def test_there_is_none_lasts_as_long_as_the_soa_says(world):
    """The SOA beside a negative answer carries the lesser of its TTL and its minimum (RFC 2308 §3)."""
    reply = ask(world.nameserver("vercel"), f"missing.{ZONE}", "A")
    assert reply.authority[0].ttl == min(world.zones["vercel"].soa.ttl_s, world.zones["vercel"].soa.minimum_s)


@pytest.mark.parametrize("name", [f"sub.{ZONE}", f"a.b.sub.{ZONE}", f"ns.sub.{ZONE}"])
def test_below_a_cut_the_parent_only_points_on(world, name):
    """A referral has no answer and no authority, but NS and glue, and no glue from elsewhere."""
    reply = ask(world.nameserver("vercel"), name, "A")
    assert (reply.rcode(), reply.answer, reply.flags & dns.flags.AA) == (Rcode.NOERROR, [], 0)
    assert [(one.name.to_text(), one.rdtype.name) for one in reply.authority] == [(f"sub.{ZONE}", "NS")]
    assert [one.name.to_text() for one in reply.additional] == [f"ns.sub.{ZONE}"]


def test_the_registry_points_to_the_zone_and_knows_its_ds(world):
    """DS is asked of the parent, with authority; anything else there is a referral with the parent's TTL."""
    registry = world.internet.nameservers["a.gtld-servers.net."]
    referral = ask(registry, f"www.{ZONE}", "A")
    assert (referral.authority[0].name.to_text(), referral.authority[0].ttl) == (ZONE, 172_800)
    no_ds = ask(registry, ZONE, "DS")
    assert no_ds.flags & dns.flags.AA
    assert no_ds.authority[0].rdtype.name == "SOA"
    assert no_ds.authority[0].name.to_text() == "dev."


def test_an_alias_has_the_lesser_ttl_and_follows_its_target():
    """An apex alias answers with what its target has at that moment."""
    world = SmallWorld()
    world.internet.put_host("cname.vercel-dns.com.", OLD)
    zone = world.zones["vercel"]
    zone.put(RecordSet(ZONE, "ALIAS", 60, ("cname.vercel-dns.com.",)))
    before = ask(world.nameserver("vercel"), ZONE, "A").answer[0]
    world.internet.put_host("cname.vercel-dns.com.", NEW)
    zone.put(RecordSet(ZONE, "ALIAS", 100_000, ("cname.vercel-dns.com.",)))
    after = ask(world.nameserver("vercel"), ZONE, "A").answer[0]
    assert (before[0].address, before.ttl) == (OLD, 60)
    assert (after[0].address, after.ttl) == (NEW, 86_400)


def test_an_alias_follows_aliases_and_may_lead_nowhere():
    """The target's own aliases are followed; one that is not there, or not answered for, is no data."""
    world = SmallWorld()
    zone, other = world.zones["vercel"], world.zones["cloudflare"]
    world.internet.put_host("end.example.", NEW)
    zone.put(RecordSet(f"step.{ZONE}", "CNAME", 60, ("end.example.",)))
    seen = []
    for target in (f"step.{ZONE}", f"missing.{ZONE}", f"round.{ZONE}", "nowhere.example."):
        zone.put(RecordSet(f"round.{ZONE}", "CNAME", 60, (f"round.{ZONE}",)))
        other.put(RecordSet(ZONE, "ALIAS", 60, (target,)))
        reply = ask(world.nameserver("cloudflare"), ZONE, "A")
        seen.append((reply.rcode().name, [one[0].address for one in reply.answer]))
    assert seen == [("NOERROR", [NEW]), ("NOERROR", []), ("NOERROR", []), ("NOERROR", [])]


def test_five_thousand_records_are_all_answered():
    """A zone of 5,000 record sets answers each of them, and nothing more."""
    world = SmallWorld()
    zone = world.zones["cloudflare"]
    with zone.change():
        for number in range(5_000):
            zone.put(
                RecordSet(f"host-{number}.{ZONE}", "A", 300, (f"198.18.{number // 250}.{number % 250}",))
            )
    server = world.nameserver("cloudflare")
    for number in range(5_000):
        reply = ask(server, f"host-{number}.{ZONE}", "A")
        assert reply.answer[0][0].address == f"198.18.{number // 250}.{number % 250}"
    assert ask(server, f"host-5000.{ZONE}", "A").rcode() == Rcode.NXDOMAIN
    assert zone.serial == 1 + 4  # NS twice, www, and the 5,000 in one change


def test_what_was_told_during_a_change_that_failed_is_not_told_again():
    """A reply is worked out once for a zone as it stands; none of a state that never came to be is kept."""
    world = SmallWorld()
    zone, server = world.zones["vercel"], world.nameserver("vercel")

    def fail():
        with zone.change():
            zone.put(RecordSet(f"www.{ZONE}", "A", 60, (NEW,)))
            assert server.reply(WWW).answer[0][0].address == NEW
            raise RuntimeError("it does not come to be")

    assert server.reply(WWW).answer[0][0].address == OLD
    with pytest.raises(RuntimeError, match="come to be"):
        fail()
    assert server.reply(WWW).answer[0][0].address == OLD
    zone.put(RecordSet(f"www.{ZONE}", "A", 60, (NEW,)))
    assert server.reply(WWW).answer[0][0].address == NEW


def test_an_alias_is_followed_anew_when_its_target_moves():
    """The zone with the ALIAS does not change by that, and yet it answers otherwise."""
    world = SmallWorld()
    world.internet.put_host("cname.vercel-dns.com.", "203.0.113.9")
    world.zones["vercel"].put(RecordSet(ZONE, "ALIAS", 300, ("cname.vercel-dns.com.",)))
    server = world.nameserver("vercel")
    assert records(ask(server, ZONE, "A")) == {(ZONE, "A"): ["203.0.113.9"]}
    world.internet.put_host("cname.vercel-dns.com.", "203.0.113.10")
    assert records(ask(server, ZONE, "A")) == {(ZONE, "A"): ["203.0.113.10"]}
