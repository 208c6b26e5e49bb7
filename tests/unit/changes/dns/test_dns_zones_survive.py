"""Zones of every record type survive the way from Vercel to Cloudflare: nothing lost, nothing altered."""

from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, assume, given, settings

from runbook.changes import dns
from runbook.changes.dns.translating import TTL_LEAST_S, TTL_MOST_S, translate
from runbook.providers import cloudflare
from runbook.providers.cloudflare.wire import Raw, body_of, record_of
from runbook.providers.dns import RecordSet, gather, normal_value, txt_value
from runbook.providers.dns.records import ALIAS, absolute
from runbook.sandbox.vendors.cloudflare.content import checked
from tests.dns_zones import DOMAIN, NASTY, many, rows, zones
from tests.memory_worlds import memory_world

ZONE = f"{DOMAIN}."
LOWERED_S = 300
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def sets_of(listed):
    """Return listed records in normal form, by this test's own reading of Vercel's fields."""
    found = []
    for name, kind, value, ttl_s, priority in listed:
        dotted = value if value.endswith(".") else f"{value}."
        spelled = {
            "TXT": lambda value=value: txt_value(value),
            "MX": lambda dotted=dotted, priority=priority: normal_value("MX", f"{priority} {dotted}"),
            "SRV": lambda dotted=dotted, priority=priority: normal_value("SRV", f"{priority} {dotted}"),
            "HTTPS": lambda value=value, priority=priority: normal_value("HTTPS", f"{priority} {value}"),
        }
        plain = dotted if kind in (ALIAS, "CNAME", "NS") else value
        normal = spelled.get(kind, lambda plain=plain, kind=kind: normal_value(kind, plain))()
        found.append(RecordSet(name=absolute(name, zone=ZONE), type=kind, ttl_s=ttl_s, values=(normal,)))
    return gather(found)


def expected_of(sets):
    """Return what must be at Cloudflare: the same, with an alias below the apex a CNAME, and its TTL low."""
    found = []
    for one in sets:
        kind = "CNAME" if one.type == ALIAS and one.name != ZONE else one.type
        ttl_s = max(TTL_LEAST_S, min(TTL_MOST_S, one.ttl_s, LOWERED_S))
        found.append(replace_set(one, kind, ttl_s))
    return gather(found)


def replace_set(one, kind, ttl_s):
    return one.model_copy(update={"type": kind, "ttl_s": ttl_s})


def as_the_emulator_keeps_it(entry):
    kept = checked(body_of(entry), DOMAIN, least_ttl_s=60)
    return record_of(Raw.model_validate({**kept, "id": "x"}), ZONE)


def survives_as_values(listed):
    """The pure way: sets to entries to bodies, by Cloudflare's rules to content, and read back."""
    sets = sets_of(listed)
    made = translate(sets, zone=ZONE, ttl_s=LOWERED_S)
    back = [as_the_emulator_keeps_it(entry) for entry in made.entries]
    assert [one.key for one in back] == [one.key for one in made.entries]
    left = {(one.name, one.type) for one in made.left}
    carried = [one for one in sets if one.key not in left]
    assert cloudflare.record_sets(back) == expected_of(carried)
    return made


@given(listed=zones())
@FEW
def test_any_zone_survives_as_values(listed):
    """Every record is an entry that reads back as itself, or is named as one that cannot be."""
    survives_as_values(listed)


@pytest.mark.exhaustive
@given(listed=zones(names=40))
@MANY
def test_any_larger_zone_survives_as_values(listed):
    """The same for many more and larger zones."""
    survives_as_values(listed)


def test_everything_nasty_survives_as_values():
    """Written by hand: nothing of it is refused."""
    assert survives_as_values(NASTY).left == ()


def survives_in_a_world(listed):
    """The whole way: Vercel's API and nameservers, plan, batches, Cloudflare's API and nameservers."""
    with memory_world() as world:
        world.world.play("cloudflare-enterprise")
        world.upload(rows(listed))
        step = world.step()
        state = dns.read_zone(step, DOMAIN)
        answered = dns.compare(step, state, at="vercel")
        assert answered.agrees, answered.disagreements
        made = dns.translate_zone(step, state)
        for plan, subject in ((dns.plan_zone, DOMAIN), (dns.plan_records, made)):
            for change in plan(step, subject):
                change.apply(step)
        there = cloudflare.read_zone(step, name=DOMAIN)
        left = {(one.name, one.type) for one in made.left}
        carried = [one for one in state.served if one.key not in left]
        held = cloudflare.record_sets(cloudflare.read_records(step, there))
        assert held == expected_of(carried)
        found = dns.compare(step, state, at="cloudflare")
        assert {
            (one.name, one.type) for one in found.disagreements if one.at == ("Cloudflare's API",)
        } == left
        if not left:
            assert found.agrees, found.disagreements
            assert dns.plan_records(step, made) == []
        return made


def survives_if_any_zone_can_hold_it(listed):
    try:
        survives_in_a_world(listed)
    except ValueError as error:
        assume("cannot stand beside" not in str(error))  # so Vercel does not hold it either
        raise


@given(listed=zones())
@settings(FEW, max_examples=15)
def test_any_zone_survives_in_a_world(listed):
    """What Cloudflare's nameservers answer is what Vercel's zone says, record for record."""
    survives_if_any_zone_can_hold_it(listed)


@pytest.mark.exhaustive
@given(listed=zones(names=60))
@settings(MANY, max_examples=100)
def test_any_larger_zone_survives_in_a_world(listed):
    """The same for many more and larger zones."""
    survives_if_any_zone_can_hold_it(listed)


def test_everything_nasty_survives_in_a_world():
    """Written by hand, through the emulators and their nameservers."""
    assert survives_in_a_world(NASTY).left == ()


@pytest.mark.parametrize(
    "count",
    [
        1,
        250,
        pytest.param(1_000, marks=pytest.mark.exhaustive),
        pytest.param(5_000, marks=pytest.mark.exhaustive),
    ],
)
def test_zones_of_any_size_survive(count):
    """One record, more than a Free zone's batch, and up to 5,000."""
    made = survives_in_a_world(many(count))
    assert made.left == ()
    assert len(made.entries) == count + 3


def test_a_zone_is_read_at_the_time_of_the_world():
    """The time stands in the record; what was read later is told apart."""
    with memory_world() as world:
        state = dns.read_zone(world.step(), DOMAIN)
    assert state.read_at == datetime(2026, 11, 30, 1, tzinfo=UTC)
