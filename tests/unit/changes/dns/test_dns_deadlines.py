"""Deadlines follow from TTLs that were observed, counted from the lowering that was seen."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.changes import dns
from runbook.changes.dns.deadlines import held
from runbook.errors import StepFailed
from runbook.providers.dns import Delegation, RecordSet
from runbook.sandbox.dns.zone import Delegation as Parent

ZONE = "omnihub.dev"
READ = datetime(2026, 11, 30, 1, tzinfo=UTC)
SEEN = READ + timedelta(hours=1)
DAY_S = 86_400


def ttls(*records, ns_ttl_s=DAY_S, parent_s=2 * DAY_S, ds_s=None):
    ns = RecordSet(name=f"{ZONE}.", type="NS", ttl_s=parent_s, values=("ns1.vercel-dns.com.",))
    ds = None if ds_s is None else RecordSet(name=f"{ZONE}.", type="DS", ttl_s=ds_s, values=("1 15 2 AB",))
    delegation = Delegation(zone=f"{ZONE}.", parent="dev.", ns=ns, ds=ds, ds_negative_ttl_s=None)
    return dns.Ttls(zone=f"{ZONE}.", read_at=READ, records=records, ns_ttl_s=ns_ttl_s, delegation=delegation)


def seen(ttl_s, *, ours=True, changed_at=None, name="www"):
    return dns.SeenTtl(name=f"{name}.{ZONE}.", type="A", ttl_s=ttl_s, ours=ours, changed_at=changed_at)


def lowered(at=SEEN):
    return dns.Lowered(zone=f"{ZONE}.", records=1, ttl_s=300, seen_at=at)


def test_the_longest_old_ttl_counts_from_the_lowering_that_was_seen(step):
    """Not from when the TTLs were read, and not from when the change was asked for."""
    found = dns.read_deadlines(step, ttls(seen(3600), seen(14_400, name="status")), lowered())
    assert found.old_ttls_gone_at == SEEN + timedelta(seconds=14_400)
    assert [one.after_s for one in found.records] == [300, 300]


def test_the_switch_waits_for_the_plans_day_where_that_is_longer(step):
    """And for the caches where they are: a TTL of two days is two days."""
    short = dns.read_deadlines(step, ttls(seen(3600)), lowered())
    assert short.switch_from == SEEN + timedelta(hours=24)
    long = dns.read_deadlines(step, ttls(seen(2 * DAY_S)), lowered())
    assert long.switch_from == long.old_ttls_gone_at == SEEN + timedelta(days=2)


@pytest.mark.parametrize(("parent_s", "own_s"), [(172_800, 86_400), (3_600, 86_400), (900, 900)])
def test_a_delegation_is_kept_by_the_longer_of_parent_and_child(step, parent_s, own_s):
    """Resolvers go by the one or the other; the longest record comes after it."""
    found = dns.read_deadlines(step, ttls(seen(3600), ns_ttl_s=own_s, parent_s=parent_s), lowered())
    assert found.delegation_ttl_s == max(parent_s, own_s)
    assert found.all_gone_at(SEEN) == SEEN + timedelta(seconds=max(parent_s, own_s) + 300)


def test_records_of_vercels_own_keep_their_ttl(step):
    """Nobody can lower them, so the last cache lets go later."""
    found = dns.read_deadlines(step, ttls(seen(1800, ours=False)), lowered())
    assert found.longest_record_s == 1800


def test_a_short_ttl_is_not_made_longer(step):
    """60 s stays 60 s."""
    assert dns.read_deadlines(step, ttls(seen(60)), lowered()).longest_record_s == 60


def test_without_anything_to_lower_the_ttls_count_from_when_they_were_read(step):
    """Nothing was above the plan's TTL, for all the nameservers say."""
    found = dns.read_deadlines(step, ttls(seen(300)), None)
    assert found.counted_from == READ
    assert found.old_ttls_gone_at == READ + timedelta(seconds=300)


def test_a_record_changed_lately_may_have_had_any_ttl_before(step):
    """A second run, an hour after one that lowered 4 h to 300 s, must not call caches empty in 5 minutes."""
    an_hour_ago = READ - timedelta(hours=1)
    found = dns.read_deadlines(step, ttls(seen(300, changed_at=an_hour_ago)), None)
    assert found.old_ttls_gone_at == an_hour_ago + timedelta(hours=24)


@pytest.mark.parametrize("hours_ago", [24, 25, 2400])
def test_a_record_changed_longer_ago_than_the_plan_waits_counts_by_its_ttl(hours_ago):
    """What it said before is gone by the plan's own measure."""
    changed = READ - timedelta(hours=hours_ago)
    [one] = held(ttls(seen(300, changed_at=changed)), counted_from=READ, most_s=300, waits_s=DAY_S)
    assert one.gone_at == READ + timedelta(seconds=300)


def test_an_old_ds_is_waited_for_too(step):
    """It was there when the TTLs were read and is gone since; caches keep it for its TTL."""
    found = dns.read_deadlines(step, ttls(seen(60), ds_s=DAY_S), lowered())
    assert found.ds_gone_at == found.old_ttls_gone_at == SEEN + timedelta(seconds=DAY_S)


def test_ttls_are_those_that_nameservers_and_parent_give(world, step):
    """Of a new world: records up to 4 h, the parent 2 days, the zone's own NS a day, no DS."""
    found = dns.read_ttls(step, dns.read_zone(step, ZONE))
    assert found.longest_s == 14_400
    assert (found.delegation.ns.ttl_s, found.ns_ttl_s, found.delegation.ds) == (172_800, 86_400, None)
    by_name = {(one.name, one.type): one for one in found.records}
    assert by_name[f"*.{ZONE}.", "CNAME"].ours is False
    assert by_name[f"{ZONE}.", "ALIAS"].ttl_s == 60
    changed = world.now() - by_name[f"status.{ZONE}.", "CNAME"].changed_at
    assert timedelta(days=89) < changed < timedelta(days=91)


def test_a_zone_that_is_sent_elsewhere_is_not_ours_to_move(world, step):
    """Only what Vercel answers to the world can be moved away from there."""
    world.internet.delegate(Parent(f"{ZONE}.", ("ns1.hosting.example.", "ns2.hosting.example.")))
    with pytest.raises(StepFailed, match=r"delegated to ns1\.hosting\.example"):
        dns.read_ttls(step, dns.read_zone(step, ZONE))


def test_what_is_shown_groups_sets_that_are_let_go_of_together(step):
    """Sixteen rows of the same time would hide the one that counts."""
    records = [seen(3600, name=f"n{number}") for number in range(9)]
    found = dns.read_deadlines(step, ttls(*records, seen(14_400, name="status")), lowered())
    assert [row[0] for row in found.table()] == [f"status.{ZONE} A", "9 record sets"]
    assert "status.omnihub.dev A" in repr(found)
