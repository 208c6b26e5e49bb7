"""What stands around the changes: DNSSEC, certificates, the two plans and their messages, the conclusion."""

import pytest

from runbook.changes import dns
from runbook.changes.dns.certifying import Certified
from runbook.changes.interface import Applied
from runbook.changes.notices import Tell
from runbook.providers.cloudflare import Certificate

ZONE = "omnihub.dev"
HOSTS = (f"{ZONE}.", f"*.{ZONE}.")


def test_a_ds_at_the_parent_refuses_and_says_who_does_what(world, step):
    """No registrar's API of ours removes it: a person does, and the resumed run looks again."""
    assert dns.not_signed(step, ZONE).holds
    world.world.play("ds-left-at-parent")
    [check] = dns.not_signed(step, ZONE).failed
    assert check.title == "a DS at dev"
    assert "kept for 24 h" in check.observed
    assert "A person switches DNSSEC off at the registrar of omnihub.dev" in check.expected


def test_the_delegation_is_compared_with_what_it_was(world, step):
    """Whoever moved it meanwhile, the run does not call itself harmless."""
    ttls = dns.read_ttls(step, dns.read_zone(step, ZONE))
    assert dns.delegated_as_before(step, ttls).holds
    for change in dns.plan_zone(step, ZONE):
        change.apply(step)
    world.world.play("delegated-to-cloudflare")
    [check] = dns.delegated_as_before(step, ttls).failed
    assert check.expected == "ns1.vercel-dns.com, ns2.vercel-dns.com"


def test_a_zone_that_changed_since_it_was_read_is_not_written(world, step):
    """An approval may take a day: what was signed must still be the whole zone."""
    state = dns.read_zone(step, ZONE)
    assert dns.unchanged(step, state).holds
    world.world.play("record-drift")
    whole, row = dns.unchanged(step, state).failed
    assert whole.observed == "15 of 16"
    assert row.title == "status.omnihub.dev CNAME, values"
    assert "begin anew" in whole.expected


def certified(*, status="active", pack="active", hosts=HOSTS, site=(f"{ZONE}.", f"www.{ZONE}.")):
    packs = [Certificate(id="1", kind="universal", status=pack, hosts=hosts, authority="", expires_at=None)]
    return Certified(zone=f"{ZONE}.", status=status, packs=tuple(packs), site=site)


@pytest.mark.parametrize(
    ("state", "proxied"),
    [
        (certified(), (f"{ZONE}.", f"www.{ZONE}.")),
        (certified(status="pending"), ()),
        (certified(status=None), ()),
        (certified(pack="pending_validation"), ()),
        (certified(hosts=(f"{ZONE}.",)), (f"{ZONE}.",)),
    ],
)
def test_proxied_is_what_a_certificate_serves_in_an_active_zone(state, proxied):
    """Else visitors would meet a proxy without a certificate."""
    assert state.proxied == proxied
    assert ("unproxied" in state.follows) == (not proxied)


def test_before_there_is_a_zone_nothing_is_proxied(step):
    """The site's names are those that the project answers to."""
    found = dns.read_certified(step, ZONE)
    assert (found.status, found.packs, found.proxied) == (None, (), ())
    assert set(found.site) == {f"{ZONE}.", f"www.{ZONE}."}
    assert "15 minutes to 24 hours" in found.follows


def prepared(step):
    """Apply both plans, as the runbook does; return the deadlines, what was planned, and the translation."""
    state = dns.read_zone(step, ZONE)
    ttls = dns.read_ttls(step, state)
    made = dns.translate_zone(step, state)
    first = dns.plan_beginning(step, ZONE)
    for change in first:
        change.apply(step)
    second = dns.plan_filling(step, state, made, ttls)
    results = tuple(change.apply(step) for change in second)
    deadlines = dns.when_caches_let_go(step, ttls, Applied(title="x", results=results))
    return deadlines, [*first, *second], made


def test_both_plans_tell_people_and_the_second_one_last(world, step):
    """The message after the lowering says for how long caches may hold what was before."""
    deadlines, changes, made = prepared(step)
    kinds = [type(change).__name__ for change in changes]
    assert kinds == ["Tell", "CreateZone", "WriteRecords", "LowerTtls", "Tell"]
    begins, ends = world.messages()
    assert "begins" in begins
    assert "old answers are kept for 4 h from now" in ends
    assert all("(run r1)" in text for text in (begins, ends))
    conclusion = dns.conclude(step, made, deadlines)
    assert conclusion.numbers["records"].value == 20
    assert conclusion.numbers["old_ttls_gone_after_s"].value == 14_400
    assert "2026-12-01 01:00 UTC" in conclusion.verdict


def test_a_second_run_has_only_its_messages_to_send(step):
    """What is there is found; the deadlines remember that the TTLs were changed lately."""
    first, _, _ = prepared(step)
    second, changes, _ = prepared(step)
    assert [type(change) for change in changes] == [Tell, Tell]
    assert second.old_ttls_gone_at >= first.counted_from + (first.switch_from - first.counted_from)
