"""Caching resolvers: what they say follows from TTLs and the virtual clock, second by second."""

from dataclasses import dataclass

import dns.edns
import dns.flags
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.sandbox.dns.behaviour import Behaviour, behaviours
from runbook.sandbox.dns.zone import Delegation, RecordSet, to_name
from tests.dns_worlds import NEW, OLD, ZONE, SmallWorld, ask

WWW = f"www.{ZONE}"
ADDRESS = {"vercel": OLD, "cloudflare": NEW}


def world_with(behaviour, **numbers):
    """Return a world whose only resolver, number 1, behaves so."""
    world = SmallWorld(resolvers=1, **numbers)
    world.resolver(1).behaviour = behaviour
    return world


@dataclass
class Model:
    """What a resolver must say, worked out apart: one delegation and one record, each with its end."""

    ns_ttl_s: int  # of what this resolver goes by, caps applied
    ttl_s: int
    busy: bool
    side: str = "vercel"  # what the registry says now
    now: int = 0
    held: str = "vercel"
    held_until: int = 0
    record: str = ""
    record_until: int = 0

    def fetch(self, at):
        self.held, self.held_until = self.side, at + self.ns_ttl_s

    def pass_s(self, seconds):
        self.now += seconds
        while self.busy and self.held_until <= self.now:
            self.fetch(self.held_until)

    def seen(self):
        if self.record_until > self.now:
            return self.record
        if self.held_until <= self.now:
            self.fetch(self.now)
        self.record, self.record_until = ADDRESS[self.held], self.now + self.ttl_s
        return self.record


STEPS = st.lists(
    st.tuples(st.integers(0, 4_000), st.sampled_from(["ask", "ask", "switch", "back"])),
    min_size=4,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(
    ns_ttl_s=st.integers(1, 5_000),
    own_ns_ttl_s=st.integers(1, 5_000),
    ttl_s=st.integers(0, 600),
    centricity=st.sampled_from(["parent", "child"]),
    limits=st.tuples(st.integers(0, 300), st.integers(301, 6_000)),
    busy=st.booleans(),
    age=st.integers(0, 20_000),
    steps=STEPS,
)
def test_a_switch_shows_exactly_when_ttls_say(
    ns_ttl_s, own_ns_ttl_s, ttl_s, centricity, limits, busy, age, steps
):
    """Whatever the TTLs, the age of what is known and the moments of asking: there, and back again.

    Parent-centric resolvers go by the parent's TTL, child-centric ones by the zone's own; busy ones fetch
    again in the second it runs out, the others when somebody asks.
    """
    low, high = limits
    behaviour = Behaviour(centricity, min_ttl_s=low, max_ttl_s=high, validates=False, busy=busy)
    world = world_with(behaviour, ns_ttl_s=ns_ttl_s, own_ns_ttl_s=own_ns_ttl_s, ttl_s=ttl_s)
    clamp = lambda seconds: min(max(seconds, low), high)  # noqa: E731
    model = Model(clamp(ns_ttl_s if centricity == "parent" else own_ns_ttl_s), clamp(ttl_s), busy, now=-age)
    world.resolver(1).learn(to_name(ZONE), age_s=age)
    model.fetch(-age)
    model.pass_s(age)
    for seconds, step in steps:
        world.pass_s(seconds)
        model.pass_s(seconds)
        if step == "ask":
            assert world.seen(1) == model.seen()
        else:
            model.side = {"switch": "cloudflare", "back": "vercel"}[step]
            world.switch(model.side)


@settings(max_examples=40, deadline=None)
@given(
    ns_ttl_s=st.integers(60, 200_000),
    own_ns_ttl_s=st.integers(60, 200_000),
    ttl_s=st.integers(0, 400),
    asked_before=st.integers(0, 500),
)
def test_nobody_sees_the_old_side_after_the_deadline(ns_ttl_s, own_ns_ttl_s, ttl_s, asked_before):
    """The longer of parent's and zone's NS TTL, then the longest record: every kind has let go."""
    world = SmallWorld(ns_ttl_s=ns_ttl_s, own_ns_ttl_s=own_ns_ttl_s, ttl_s=ttl_s)
    world.internet.warm(ZONE)
    world.pass_s(asked_before)
    world.switch("cloudflare")
    world.pass_s(max(ns_ttl_s, own_ns_ttl_s) - 1)
    for number in range(1, 9):
        assert world.seen(number) in (OLD, NEW)
    world.pass_s(1)
    raised = max(one.min_ttl_s for one in behaviours(8))
    world.pass_s(max(ttl_s, raised))
    assert {world.seen(number) for number in range(1, 9)} == {NEW}


def test_one_second_decides():
    """At a second before the delegation runs out the old side answers, in that second the new one."""
    world = world_with(Behaviour(), ns_ttl_s=172_800, ttl_s=0)
    world.resolver(1).learn(to_name(ZONE), age_s=0)
    world.pass_s(1)
    world.switch("cloudflare")
    world.pass_s(172_798)
    assert world.seen(1) == OLD
    world.pass_s(1)
    assert world.seen(1) == NEW


def test_a_busy_resolver_fetched_the_old_side_just_before_the_switch():
    """Its users never stop asking, so the delegation it holds at the switch may be only seconds old."""
    for busy, after_an_hour in ((True, OLD), (False, NEW)):
        world = world_with(Behaviour(busy=busy), ns_ttl_s=7_200, ttl_s=0)
        world.resolver(1).learn(to_name(ZONE), age_s=7_100)
        world.pass_s(200)  # it ran out 100 s ago
        world.switch("cloudflare")
        world.pass_s(3_600)
        assert world.seen(1) == after_an_hour


def test_ttls_count_down_and_start_anew():
    """What is left is shown; a new fetch shows the whole TTL again."""
    world = world_with(Behaviour(), ttl_s=300)
    left = []
    for _ in range(4):
        left.append(ask(world.resolver(1), WWW, "A").answer[0].ttl)
        world.pass_s(110)
    assert left == [300, 190, 80, 300]


@pytest.mark.parametrize(("name", "rcode"), [(f"new.{ZONE}", "NXDOMAIN"), (WWW, "NOERROR")])
def test_there_is_none_is_remembered_for_the_soas_minimum(name, rcode):
    """A name or type that was missing appears when the negative TTL is over (RFC 2308)."""
    world = world_with(Behaviour())
    minimum_s = world.zones["vercel"].soa.minimum_s
    first = ask(world.resolver(1), name, "TXT")
    assert (first.rcode().name, first.authority[0].ttl) == (rcode, minimum_s)
    world.zones["vercel"].put(RecordSet(name, "TXT", 60, ('"now"',)))
    world.pass_s(minimum_s - 1)
    late = ask(world.resolver(1), name, "TXT")
    assert (late.rcode().name, late.answer, late.authority[0].ttl) == (rcode, [], 1)
    world.pass_s(1)
    assert ask(world.resolver(1), name, "TXT").answer


def test_an_alias_is_followed_across_zones_each_with_its_ttl():
    """Each link of a chain ages by itself."""
    world = world_with(Behaviour())
    world.internet.put_host("cname.vercel-dns.com.", "203.0.113.9")
    world.zones["vercel"].put(RecordSet(f"app.{ZONE}", "CNAME", 100, ("cname.vercel-dns.com.",)))
    ask(world.resolver(1), f"app.{ZONE}", "A")
    world.pass_s(40)
    reply = ask(world.resolver(1), f"app.{ZONE}", "A")
    assert [one.ttl for one in reply.answer] == [60, 86_360]
    assert reply.answer[1][0].address == "203.0.113.9"


def test_aliases_in_a_circle_end_in_servfail():
    """A loop of aliases is an error, not an endless search."""
    world = world_with(Behaviour())
    world.zones["vercel"].put(RecordSet(f"a.{ZONE}", "CNAME", 60, (f"b.{ZONE}",)))
    world.zones["vercel"].put(RecordSet(f"b.{ZONE}", "CNAME", 60, (f"a.{ZONE}",)))
    assert ask(world.resolver(1), f"a.{ZONE}", "A").rcode().name == "SERVFAIL"


@pytest.mark.parametrize("fault", ["refused", "lame", "servfail", "silent"])
def test_one_broken_server_of_two_is_passed_over_two_are_an_error(fault):
    """A resolver tries the next server; with none left it says SERVFAIL."""
    world = world_with(Behaviour(), ttl_s=0)
    first, second = world.servers("vercel")
    world.internet.break_zone(first, ZONE, fault)
    assert {world.seen(1) for _ in range(20)} == {OLD}
    world.internet.break_zone(second, ZONE, fault)
    assert world.seen(1) == "SERVFAIL"
    world.internet.mend_zone(second, ZONE)
    assert world.seen(1) == OLD


def test_a_lame_delegation_bites_as_caches_let_go():
    """Nameservers that do not know the zone: old answers until the delegation runs out, then errors."""
    world = world_with(Behaviour(), ns_ttl_s=3_600, ttl_s=0)
    world.resolver(1).learn(to_name(ZONE), age_s=0)
    world.internet.drop("cloudflare", ZONE)
    world.internet.delegate(Delegation(ZONE, ("ada.ns.cloudflare.com.", "bob.ns.cloudflare.com."), 3_600))
    world.pass_s(3_599)
    assert world.seen(1) == OLD
    world.pass_s(1)
    assert world.seen(1) == "SERVFAIL"
    world.switch("vercel")
    world.pass_s(3_600)
    assert world.seen(1) == OLD


def test_of_two_servers_one_stale_gives_both_answers():
    """Which one a resolver asks takes turns, so some users see old data and some new."""
    world = world_with(Behaviour(), ttl_s=0)
    world.internet.break_zone(world.servers("vercel")[0], ZONE, "stale")
    world.zones["vercel"].put(RecordSet(WWW, "A", 0, ("203.0.113.77",)))
    assert {world.seen(1) for _ in range(40)} == {OLD, "203.0.113.77"}
    world.internet.mend_zone(world.servers("vercel")[0], ZONE)
    assert {world.seen(1) for _ in range(40)} == {"203.0.113.77"}


def test_stale_answers_bridge_an_outage_for_as_long_as_they_may():
    """With serve-stale an old answer is given for 30 s at a time while nobody answers (RFC 8767)."""
    world = world_with(Behaviour(stale_s=1_000), ttl_s=60)
    assert world.seen(1) == OLD
    for server in world.servers("vercel"):
        world.internet.break_zone(server, ZONE, "silent")
    world.pass_s(60)
    reply = ask(world.resolver(1), WWW, "A")
    assert (reply.answer[0].ttl, reply.answer[0][0].address) == (30, OLD)
    assert [one.code for one in reply.options] == [dns.edns.EDECode.STALE_ANSWER]
    world.pass_s(999)
    assert world.seen(1) == OLD
    world.pass_s(1)
    assert world.seen(1) == "SERVFAIL"


def test_a_ds_left_at_the_parent_breaks_an_unsigned_zone_for_those_who_validate():
    """Signed at the old side only: validating resolvers say SERVFAIL after the switch, others answer.

    CD asks for the answer all the same; AD told the answer was proven while it was.
    """
    world = SmallWorld(resolvers=2, ns_ttl_s=3_600, ttl_s=0)
    world.resolver(1).behaviour, world.resolver(2).behaviour = Behaviour(), Behaviour(validates=False)
    world.internet.sign("vercel", ZONE)
    proven = ask(world.resolver(1), WWW, "A")
    assert (proven.answer[0][0].address, bool(proven.flags & dns.flags.AD)) == (OLD, True)
    assert not ask(world.resolver(2), WWW, "A").flags & dns.flags.AD
    world.switch("cloudflare")
    world.pass_s(3_600)
    broken = ask(world.resolver(1), WWW, "A")
    assert broken.rcode().name == "SERVFAIL"
    assert [one.code for one in broken.options] == [dns.edns.EDECode.DNSKEY_MISSING]
    assert ask(world.resolver(1), WWW, "A", cd=True).answer[0][0].address == NEW
    assert world.seen(2) == NEW


def test_a_ds_taken_away_is_believed_until_its_ttl_is_over():
    """Removing the DS heals validating resolvers when what they know of it has run out, not before."""
    world = world_with(Behaviour(), ns_ttl_s=3_600, ttl_s=0)
    world.internet.sign("vercel", ZONE)
    assert world.seen(1) == OLD  # and now it knows the DS
    world.pass_s(100)
    found = world.internet.delegation(ZONE)
    world.internet.delegate(Delegation(ZONE, world.servers("cloudflare"), 3_600))
    world.pass_s(found.ds_ttl_s - 101)
    assert world.seen(1) == "SERVFAIL"
    world.pass_s(1)
    assert world.seen(1) == NEW


def test_a_ds_that_appears_is_believed_when_there_is_none_has_run_out():
    """That there was no DS is remembered for the registry's negative TTL."""
    world = world_with(Behaviour(), ttl_s=0)
    assert world.seen(1) == OLD
    world.internet.delegate(Delegation(ZONE, world.servers("vercel"), ds=("1 13 2 " + "ab" * 32,)))
    negative_s = world.internet.hosted("registry", "dev.").zone.soa.minimum_s
    world.pass_s(negative_s - 1)
    assert world.seen(1) == OLD
    world.pass_s(1)
    assert world.seen(1) == "SERVFAIL"


@pytest.mark.parametrize("ns_ttl_s", [0, 3_600])
def test_a_digest_nobody_can_make_proves_nothing(ns_ttl_s):
    """A DS of an unknown kind beside none that fits: SERVFAIL; beside one that fits: proven, at any TTL."""
    world = world_with(Behaviour(), ns_ttl_s=ns_ttl_s, ttl_s=0)
    world.internet.sign("vercel", ZONE)
    fits = world.internet.delegation(ZONE).ds
    odd = ("1 13 250 " + "ab" * 32,)
    for ds, rcode in ((fits + odd, "NOERROR"), (odd, "SERVFAIL")):
        world.internet.delegate(Delegation(ZONE, world.servers("vercel"), ns_ttl_s, ds))
        world.resolver(1).flush()
        assert ask(world.resolver(1), WWW, "A").rcode().name == rcode


def test_a_zone_below_is_as_safe_as_the_one_above_lets_it_be():
    """Without a DS of its own it is plain below a signed zone, and lost below a broken one."""
    world = world_with(Behaviour(), ttl_s=0)
    below = world.internet.host("cloudflare", f"sub.{ZONE}")
    below.put(RecordSet(f"www.sub.{ZONE}", "A", 0, (NEW,)))
    world.zones["vercel"].delegate(
        Delegation(f"sub.{ZONE}", world.internet.assigned("cloudflare", f"sub.{ZONE}"))
    )
    world.internet.sign("vercel", ZONE)
    plain = ask(world.resolver(1), f"www.sub.{ZONE}", "A")
    assert (plain.answer[0][0].address, plain.flags & dns.flags.AD) == (NEW, 0)
    world.zones["vercel"].remove(ZONE, "DNSKEY")
    world.resolver(1).flush()
    assert ask(world.resolver(1), f"www.sub.{ZONE}", "A").rcode().name == "SERVFAIL"


def test_the_ns_set_of_a_child_centric_resolver_ends_with_what_it_goes_by():
    """It goes by the zone's own NS set, and shows that set with the TTL it goes by."""
    world = world_with(Behaviour("child"), ns_ttl_s=172_800, own_ns_ttl_s=5_000)
    world.seen(1)
    world.pass_s(12_000)
    assert ask(world.resolver(1), ZONE, "NS").answer[0].ttl == 3_000  # fetched twice meanwhile
    world.pass_s(2_999)
    world.switch("cloudflare")
    last = ask(world.resolver(1), ZONE, "NS").answer[0]
    assert (last.ttl, sorted(one.target.to_text() for one in last)) == (1, sorted(world.servers("vercel")))
    world.pass_s(1 + 5_000)  # busy: in the second after the switch it asked the registry
    first = ask(world.resolver(1), ZONE, "NS").answer[0]
    assert sorted(one.target.to_text() for one in first) == sorted(world.servers("cloudflare"))


def test_without_recursion_desired_nothing_is_told():
    """A resolver is not asked what it knows, only to find out."""
    world = world_with(Behaviour())
    query = dns.message.make_query(WWW, "A", flags=0)
    assert dns.message.from_wire(world.resolver(1).handle(query.to_wire())).rcode().name == "REFUSED"


def test_flushing_forgets():
    """An operator's flush makes the next question go to the registry."""
    world = world_with(Behaviour(), ttl_s=3_600)
    assert world.seen(1) == OLD
    world.switch("cloudflare")
    assert world.seen(1) == OLD
    world.resolver(1).flush()
    assert world.seen(1) == NEW


def test_memory_is_bounded(monkeypatch):
    """Names made up by the million push out what has run out first, and never stay for ever."""
    monkeypatch.setattr("runbook.sandbox.dns.cache.MOST", 50)
    world = world_with(Behaviour())
    for number in range(300):
        ask(world.resolver(1), f"made-up-{number}.{ZONE}", "A")
    assert len(world.resolver(1).cache.answers) <= 51
