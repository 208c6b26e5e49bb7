"""Both sides are held against Vercel's zone as it is now; whatever is otherwise is named, where and how."""

from dataclasses import replace

import pytest

from runbook.changes import dns
from runbook.changes.dns import parity as parity_module
from runbook.errors import StepFailed
from runbook.providers import cloudflare
from runbook.sandbox.dns.zone import RecordSet

ZONE = "omnihub.dev"


def fill(step):
    state = dns.read_zone(step, ZONE)
    there = cloudflare.apply_zone(step, name=ZONE)
    cloudflare.apply_records(step, there, put=dns.translate_zone(step, state).entries)
    return state, there


def served(world, side):
    return world.internet.hosted(side, f"{ZONE}.").zone


def found(parity):
    return {(one.name, one.type, one.kind) for one in parity.disagreements}


def test_vercels_nameservers_answer_as_its_api_says(step):
    """A new world agrees with itself: every type, the wildcards, and nothing that should not be there."""
    parity = dns.compare(step, dns.read_zone(step, ZONE), at="vercel")
    assert parity.agrees, parity.disagreements
    assert sum(parity.asked.values()) == 16
    assert parity.absent > 20
    assert [name.split(".", 1)[1] for name in parity.probes] == ["omnihub.dev.", "preview.omnihub.dev."]
    assert dns.parity_checks(parity).holds


def test_cloudflares_nameservers_answer_as_vercels_zone_says(world, step):
    """After the records are written; the whole comparison is kept as evidence, a line for every question."""
    state, _ = fill(step)
    parity = dns.compare(step, state, at="cloudflare")
    assert parity.agrees, parity.disagreements
    kept = step.evidence_sink["parity-cloudflare.txt"].splitlines()
    assert len(kept) == 1 + 16 + 2 + parity.absent
    assert all(line.startswith("as expected\t") for line in kept[1:])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (RecordSet(f"sip.{ZONE}.", "A", 300, ("203.0.113.99",)), ("sip.omnihub.dev.", "A", "values")),
        (RecordSet(f"sip.{ZONE}.", "A", 7200, ("203.0.113.40",)), ("sip.omnihub.dev.", "A", "ttl")),
        (RecordSet(f"sip.{ZONE}.", "TXT", 300, ('"more"',)), ("sip.omnihub.dev.", "TXT", "extra")),
        (RecordSet(f"{ZONE}.", "ALIAS", 300, ("mx1.mail.example.",)), ("omnihub.dev.", "ALIAS", "missing")),
        (
            RecordSet(f"*.{ZONE}.", "CNAME", 60, ("elsewhere.example.",)),
            ("*.omnihub.dev.", "CNAME", "values"),
        ),
    ],
)
def test_one_wrong_record_at_cloudflares_nameservers_is_named(world, step, change, expected):
    """Another value, a longer TTL, a record too many, an alias to somewhere else, a wrong wildcard."""
    state, _ = fill(step)
    served(world, "cloudflare").put(change)
    parity = dns.compare(step, state, at="cloudflare")
    assert expected in found(parity)
    assert not dns.parity_checks(parity).holds
    assert {one.name for one in parity.disagreements} - {expected[0]} <= set(parity.probes)


def test_a_missing_record_at_one_of_two_nameservers_names_that_one(world, step):
    """One stale nameserver is enough to refuse; the table says which of them it is."""
    state, there = fill(step)
    world.internet.break_zone(there.nameservers[0], f"{ZONE}.", "stale")
    served(world, "cloudflare").put(RecordSet(f"www.{ZONE}.", "CNAME", 60, ("elsewhere.example.",)))
    parity = dns.compare(step, state, at="cloudflare")
    [wrong] = parity.disagreements
    assert (wrong.name, wrong.at) == (f"www.{ZONE}.", (there.nameservers[1],))


def test_a_nameserver_that_does_not_answer_is_no_agreement(world, step):
    """Lame or silent: it is asked once for the zone, and not for every record of it."""
    state, there = fill(step)
    world.internet.break_zone(there.nameservers[0], f"{ZONE}.", "refused")
    world.internet.break_server(there.nameservers[1], mute=True)
    before = world.internet.nameservers[there.nameservers[1]].queries
    parity = dns.compare(step, state, at="cloudflare")
    assert [(one.at, one.kind, one.observed) for one in parity.disagreements] == [
        ((there.nameservers[0],), "no answer", "refused"),
        ((there.nameservers[1],), "no answer", "timeout"),
    ]
    assert world.internet.nameservers[there.nameservers[1]].queries == before + 1
    assert {check.status for check in dns.parity_checks(parity)} == {"failed"}


def test_a_row_does_not_pass_while_a_nameserver_was_not_asked(world, step):
    """Two of two alike at the one nameserver that answers is not what was wanted."""
    state, there = fill(step)
    world.internet.break_zone(there.nameservers[0], f"{ZONE}.", "refused")
    checks = dns.parity_checks(dns.compare(step, state, at="cloudflare"))
    row = next(check for check in checks if check.title == "A at Cloudflare")
    assert (row.status, row.expected) == ("failed", "2 at each of 2 nameservers")
    assert row.observed == "2 of 2 alike where it could be asked: not at 1 nameservers"


def test_the_zone_as_it_is_now_counts_not_as_it_was(world, step):
    """A record that was changed at Vercel after it was copied is drift, and stops whoever asks."""
    fill(step)
    world.world.play("record-drift")
    checks = dns.answers_alike(step, ZONE, at="cloudflare")
    assert [check.title for check in checks.failed if "status" in check.title] == [
        "status.omnihub.dev CNAME, values"
    ] * 2
    assert "Cloudflare's API" in " ".join(check.observed for check in checks.failed)


def test_a_stale_nameserver_of_vercels_disagrees_with_its_api(world, step):
    """Nobody knows then which of the two is meant."""
    world.internet.break_zone("ns1.vercel-dns.com.", f"{ZONE}.", "stale")
    world.world.play("record-drift")
    parity = dns.compare(step, dns.read_zone(step, ZONE), at="vercel")
    assert found(parity) == {("status.omnihub.dev.", "CNAME", "values")}
    assert parity.disagreements[0].at == ("ns1.vercel-dns.com.",)


def test_a_record_in_cloudflares_list_that_is_not_at_vercel_is_too_much(step):
    """Also one at a name that nobody would ask for."""
    state, there = fill(step)
    more = cloudflare.Entry.of(f"forgotten.{ZONE}", "A", "192.0.2.1", ttl_s=300)
    cloudflare.apply_records(step, there, put=[more])
    parity = dns.compare(step, state, at="cloudflare")
    assert ("forgotten.omnihub.dev.", "A", "extra") in found(parity)


def test_further_issuers_beside_a_zones_caa_are_cloudflares_own(world, step):
    """Cloudflare adds authorities to the answer; one of ours missing is still wrong."""
    state, _ = fill(step)
    ours = served(world, "cloudflare").get(f"{ZONE}.", "CAA").values
    more = RecordSet(f"{ZONE}.", "CAA", 60, (*ours, '0 issue "ssl.com"', '0 issuewild "ssl.com"'))
    served(world, "cloudflare").put(more)
    assert dns.compare(step, state, at="cloudflare").agrees
    served(world, "cloudflare").put(replace(more, values=more.values[1:]))
    assert found(dns.compare(step, state, at="cloudflare")) == {("omnihub.dev.", "CAA", "values")}


def test_an_alias_may_be_answered_with_any_address_of_its_target(world, step):
    """Both sides flatten it for themselves; what resolvers know of the target, or Vercel says, will do."""
    state, _ = fill(step)
    served(world, "cloudflare").remove(f"{ZONE}.", "ALIAS")
    served(world, "cloudflare").put(RecordSet(f"{ZONE}.", "A", 60, ("203.0.113.61",)))
    assert dns.compare(step, state, at="cloudflare").agrees


def test_a_zone_that_is_too_large_for_absent_types_says_so(step, monkeypatch):
    """The check reads not checked, never passed."""
    monkeypatch.setattr(parity_module, "ABSENT_AT_MOST", 5)
    parity = dns.compare(step, dns.read_zone(step, ZONE), at="vercel")
    assert parity.absent == 0
    statuses = {check.title: check.status for check in dns.parity_checks(parity)}
    assert statuses["types that a name should not have"] == "not checked"


def test_without_a_zone_at_cloudflare_the_error_says_what_makes_one(step):
    """The migration asks the same question."""
    with pytest.raises(StepFailed, match="runbook run dns_preconfiguration"):
        dns.compare(step, dns.read_zone(step, ZONE), at="cloudflare")
