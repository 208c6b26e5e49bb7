"""Zone, records and TTLs: convergent, seen in what answers, and put back by their undo."""

from datetime import timedelta

import pytest

from runbook.changes import dns
from runbook.changes.applying import Site, apply_change, undo_change
from runbook.errors import Drifted, OverLimit, StepFailed, VendorUnavailable
from runbook.providers import cloudflare
from runbook.sandbox.world.faults import Fault
from tests.dns_zones import many, rows

ZONE = "omnihub.dev"


@pytest.fixture
def state(step):
    return dns.read_zone(step, ZONE)


@pytest.fixture
def writing(step, state):
    """The writing of the zone's records, with its zone there."""
    cloudflare.apply_zone(step, name=ZONE)
    [change] = dns.plan_records(step, dns.translate_zone(step, state))
    return change


def held(step):
    found = cloudflare.read_zone(step, name=ZONE)
    return {one.key for one in cloudflare.read_records(step, found)}


# The zone


def test_a_zone_is_made_once_and_nobody_is_sent_there(world, step):
    """Where there is one, nothing is to be done; the delegation stays in any case."""
    before = world.delegated_to()
    [change] = dns.plan_zone(step, ZONE)
    assert change.observe(step) == change.before()
    made = change.apply(step)
    assert change.observe(step) == change.after()
    assert change.apply(step) == change.result(step) == made
    assert dns.plan_zone(step, ZONE) == []
    assert world.calls.count("create_zone") == 1
    assert world.delegated_to() == before
    assert not change.has_undo


# The records


def test_records_are_written_as_one_change_and_seen_to_answer(step, writing):
    """Its states are lines of text that tell one set of records from another."""
    assert (writing.before(), writing.observe(step)) == ("no records", "no records")
    written = writing.apply(step)
    assert written.records == 20
    assert writing.observe(step) == writing.after()
    writing.verify(step, written)
    assert writing.after().startswith("20 records, ")


def half_written(step, writing):
    there = cloudflare.read_zone(step, name=ZONE)
    cloudflare.apply_records(step, there, put=writing.records[:7])


def site(step, *states):
    """Return a place to apply or undo a change that is on record with these states, and what it notes."""
    notes = []
    past = [{"state": state} for state in states]
    return Site(step, step.clock, past, lambda state, _data: notes.append(state)), notes


def test_half_written_by_us_it_goes_on_and_nothing_is_doubled(step, writing):
    """More than a batch goes in several; a run may be killed between them."""
    half_written(step, writing)
    assert writing.observe(step) == writing.partly()
    place, notes = site(step, "applying")
    apply_change(writing, place)
    assert notes == ["applying", "applied"]
    assert len(held(step)) == 20


def test_half_written_by_us_it_is_undone_whole(step, writing):
    """A rollback leaves nothing of it, and does not take half of it for nothing."""
    half_written(step, writing)
    place, notes = site(step, "applying")
    assert undo_change(writing, place) == ""
    assert notes == ["undoing", "undone"]
    assert held(step) == set()


def test_half_written_by_somebody_else_is_drift(step, writing):
    """What this run did not begin, it neither goes on with nor undoes."""
    half_written(step, writing)
    place, notes = site(step)
    with pytest.raises(Drifted, match="half-way"):
        apply_change(writing, place)
    assert undo_change(writing, place) == ""
    assert notes == []
    assert len(held(step)) == 7


def test_what_somebody_else_wrote_meanwhile_is_drift(step, writing):
    """Neither the state before nor the one after, so that nothing is applied over it."""
    there = cloudflare.read_zone(step, name=ZONE)
    more = cloudflare.Entry.of(f"x.{ZONE}", "A", "192.0.2.1", ttl_s=300)
    cloudflare.apply_records(step, there, put=[more])
    assert writing.observe(step) not in (writing.before(), writing.partly(), writing.after())


def test_what_stands_at_cloudflare_and_not_at_vercel_is_removed_and_put_back(step, state):
    """The zone is to be the same; the plan says so, and its undo knows what was there."""
    there = cloudflare.apply_zone(step, name=ZONE)
    old = [
        cloudflare.Entry.of(f"old.{ZONE}", "A", "192.0.2.1", ttl_s=300),
        cloudflare.Entry.of(f"www.{ZONE}", "CNAME", "elsewhere.example.", ttl_s=3600),
        cloudflare.Entry.of(f"sip.{ZONE}", "A", "203.0.113.40", ttl_s=3600, comment="ours"),
    ]
    cloudflare.apply_records(step, there, put=old)
    [change] = dns.plan_records(step, dns.translate_zone(step, state))
    assert change.sentence().startswith("write 19 records, change 1, remove 2 in the zone")
    assert change.amounts() == {"records": 22.0}
    change.verify(step, change.apply(step))
    assert change.observe(step) == change.after()
    change.undo(step)
    assert change.observe(step) == change.before()
    assert held(step) == {one.key for one in old}
    assert all(check.status != "failed" for check in change.health(step))


def test_a_comment_at_cloudflare_is_let_be(step, writing):
    """It is no part of what answers."""
    writing.apply(step)
    there = cloudflare.read_zone(step, name=ZONE)
    noted = writing.records[0].model_copy(update={"comment": "see ticket 7"})
    cloudflare.apply_records(step, there, put=[noted])
    assert dns.plan_records(step, dns.translate_zone(step, dns.read_zone(step, ZONE))) == []
    assert writing.observe(step) == writing.after()


@pytest.mark.parametrize("plan", ["free", "pro"])
def test_more_records_than_the_zone_may_hold_are_refused_in_the_plan(world, step, plan):
    """Nothing is written; the message says how many there are, how many it holds, and what to do."""
    most = {"free": 200, "pro": 3_500}[plan]
    world.world.play("cloudflare-pro") if plan == "pro" else None
    cloudflare.apply_zone(step, name=ZONE)
    world.upload(rows(many(most)))
    state = dns.read_zone(step, ZONE)
    with pytest.raises(OverLimit, match=f"is on the plan {plan} and holds {most:,}"):
        dns.plan_records(step, dns.translate_zone(step, state))
    assert "batch_records" not in world.calls


def test_without_a_zone_yet_the_plan_that_is_paid_for_counts(world, step):
    """In mode plan no zone is made: 250 records fit the Pro plan of plan.yaml, 3,501 do not."""
    world.upload(rows(many(250)))
    assert len(dns.plan_records(step, dns.translate_zone(step, dns.read_zone(step, ZONE)))) == 1


def test_nameservers_that_do_not_come_to_answer_stop_it(world, step, writing):
    """A lame nameserver: the records are in the list, and not in what answers."""
    there = cloudflare.read_zone(step, name=ZONE)
    world.internet.break_zone(there.nameservers[0], f"{ZONE}.", "refused")
    began, written = world.now(), writing.apply(step)
    with pytest.raises(StepFailed, match="not all is answered as Vercel's zone says"):
        writing.verify(step, written)
    assert world.now() - began == timedelta(seconds=writing.settles_within_s)


def test_an_outage_of_cloudflares_is_no_half_written_zone(world, step, writing):
    """A batch is all or nothing; the error says when to come back."""
    world.world.set_fault(Fault(name="status", vendor="cloudflare", call="batch_records", times=None))
    with pytest.raises(VendorUnavailable, match="resume not before"):
        writing.apply(step)
    world.world.faults.lift()
    assert writing.observe(step) == writing.before()


# The TTLs


def test_ttls_are_lowered_where_that_lowers_anything_and_seen_at_the_nameservers(world, step, state):
    """Own records above the plan's TTL; Vercel's own and low ones are let be."""
    [change] = dns.plan_ttls(step, state)
    assert {one.ttl_s for one in change.records} == {3600, 14_400}
    assert change.observe(step) == change.before() != change.after()
    lowered = change.apply(step)
    assert change.observe(step) == change.after()
    assert (lowered.records, lowered.ttl_s, lowered.seen_at) == (len(change.records), 300, world.now())
    now = dns.read_zone(step, ZONE)
    assert dns.plan_ttls(step, now) == []
    assert {one.values for one in now.served} == {one.values for one in state.served}
    assert dns.compare(step, now, at="vercel").agrees


def test_some_ttls_lowered_by_us_it_goes_on_with_the_rest(world, step, state):
    """Vercel changes one record at a time; a run may be killed among them."""
    [change] = dns.plan_ttls(step, state)
    world.vercel.records._change(change.records[0].id, {"ttl": 300})
    assert change.observe(step) == change.partly()
    place, notes = site(step, "applying")
    apply_change(change, place)
    assert notes == ["applying", "applied"]
    assert dns.plan_ttls(step, dns.read_zone(step, ZONE)) == []


def test_some_ttls_lowered_by_us_each_is_put_back(world, step, state):
    """A rollback amid the lowering gives back what was lowered."""
    [change] = dns.plan_ttls(step, state)
    world.vercel.records._change(change.records[0].id, {"ttl": 300})
    place, notes = site(step, "applying")
    assert undo_change(change, place) == ""
    assert notes == ["undoing", "undone"]
    assert change.observe(step) == change.before()


@pytest.mark.parametrize("ttl_s", [60, 7200])
def test_a_ttl_that_somebody_else_sets_meanwhile_is_drift(world, step, state, ttl_s):
    """Whatever it is: it is not of this plan's making."""
    [change] = dns.plan_ttls(step, state)
    world.vercel.records._change(change.records[0].id, {"ttl": ttl_s})
    assert change.observe(step) not in (change.before(), change.partly(), change.after())


def test_every_ttl_is_put_back(step, state):
    """The undo knows each one."""
    [change] = dns.plan_ttls(step, state)
    change.apply(step)
    change.undo(step)
    assert change.observe(step) == change.before()
    now = {one.id: one.ttl_s for one in dns.read_zone(step, ZONE).records}
    assert now == {one.id: one.ttl_s for one in state.records}


def test_the_lowering_counts_once_the_nameservers_give_it(world, step, state):
    """A stale nameserver goes on with the old TTL: there is no time from which to count."""
    world.internet.break_zone("ns2.vercel-dns.com.", f"{ZONE}.", "stale")
    [change] = dns.plan_ttls(step, state)
    with pytest.raises(StepFailed, match="do not have the lower TTL at Vercel's nameservers"):
        change.apply(step)


def test_a_nameserver_that_says_nothing_gives_no_lower_ttl(world, step, state):
    """Silence is no proof: who asks it later may get the old TTL."""
    world.internet.break_server("ns2.vercel-dns.com.", mute=True)
    [change] = dns.plan_ttls(step, state)
    with pytest.raises(StepFailed, match="do not have the lower TTL"):
        change.apply(step)


def test_a_zone_of_low_ttls_needs_no_lowering(world, step):
    """Nothing is planned, rather than a change of nothing."""
    world.upload(rows([("www", "A", "203.0.113.7", 300, None)]))
    assert dns.plan_ttls(step, dns.read_zone(step, ZONE)) == []
