"""What stops a switch in its hour: each condition by itself, with what was seen and what would be right."""

from datetime import timedelta

import pytest

from runbook.changes.delegation import preflight
from runbook.changes.delegation.migration import probe_name
from runbook.changes.delegation.propagation import side_of
from runbook.changes.delegation.service import service_well
from runbook.providers.dns import Question, ask
from runbook.providers.registrars import network_of
from runbook.sandbox.world.faults import Fault


def failed(checks):
    return [check.title for check in checks if check.status == "failed"]


@pytest.mark.parametrize(
    "check",
    [
        preflight.prepared_well,
        preflight.old_ttls_gone,
        preflight.parent_ready,
        preflight.zone_ready,
        preflight.registrar_ready,
        preflight.people_ready,
        service_well,
    ],
)
def test_a_well_prepared_migration_passes_every_check(world, later, check):
    """In the hour of the switch, a day after the pre-configuration."""
    assert failed(check(world.step(), later)) == []


def test_a_record_that_cannot_be_relied_on_stops_it(world, migration):
    """Unsealed, of another zone, not done: each problem is named."""
    bad = migration.model_copy(update={"problems": ("it is unsigned",)})
    [check] = preflight.prepared_well(world.step(), bad)
    assert check.status == "failed"
    assert "unsigned" in check.observed


def test_old_ttls_stop_it_until_the_second_they_are_gone(world, migration):
    """And the check says from when on the run may be resumed."""
    [old, _] = preflight.old_ttls_gone(world.step(), migration)
    assert old.status == "failed"
    assert f"{migration.deadlines.old_ttls_gone_at:%H:%M}" in old.expected
    world.pass_s((migration.deadlines.old_ttls_gone_at - world.now()) / timedelta(seconds=1))
    [old, wait] = preflight.old_ttls_gone(world.step(), migration)
    assert (old.status, wait.status) == ("passed", "failed")


def test_a_ds_at_the_parent_stops_it(world, later):
    """Whoever validates would see SERVFAIL after the switch."""
    world.world.play("ds-left-at-parent")
    assert failed(preflight.parent_ready(world.step(), later)) == ["a DS at dev"]


def test_a_delegation_that_is_not_as_it_was_stops_it(world, later):
    """Somebody has switched already."""
    world.world.play("delegated-to-cloudflare")
    assert failed(preflight.parent_ready(world.step(), later)) == ["omnihub.dev is delegated to Vercel"]


def test_a_gap_on_call_until_the_last_cache_has_let_go_stops_it(world, later):
    """Not only now: twelve hours of the second day are looked at, too."""
    world.world.play("on-call-gap")
    [title] = failed(preflight.people_ready(world.step(), later))
    assert title.startswith("on call, level")


def test_a_zone_that_cloudflare_is_about_to_delete_stops_it(world, migration):
    """A pending zone on Free lives for 28 days: two days before its end nothing is switched to it."""
    world.pass_s(27 * 86_400)
    assert failed(preflight.zone_ready(world.step(), migration)) == ["the zone is not about to be deleted"]


def test_a_proxied_name_without_a_certificate_stops_it(world, later):
    """It would fail in every browser the moment the zone is active."""
    cloudflare = world.cloudflare
    [zone] = cloudflare.zones.all()
    cloudflare._records.meddle(zone, "www.omnihub.dev", proxied=True)
    assert failed(preflight.zone_ready(world.step(), later)) == ["no name is proxied without a certificate"]


@pytest.mark.parametrize(("name", "side"), [("old", "old"), ("new", "new")])
def test_who_says_that_a_name_does_not_exist_is_told_by_its_soa(world, migration, name, side):
    """At the nameservers of either side, below a name that exists, so that no wildcard answers."""
    step = world.step()
    servers = getattr(migration, name).nameservers
    network = network_of(step)
    question = Question.of(probe_name(step, migration), "A")
    [answer] = ask([(network.server(servers[0], servers[0]), question)], clock=step.clock)
    assert answer.outcome == "nxdomain"
    assert side_of(migration, answer)[0] == side


@pytest.mark.parametrize(
    ("scenario", "seen"), [("outage", "of requests failed"), ("metrics-lost", "not known")]
)
def test_a_site_that_fails_or_that_nobody_counts_stops_it(world, later, scenario, seen):
    """What fails already must not be laid at the switch's door, and what cannot be seen not be risked."""
    world.world.play(scenario)
    world.pass_s(600)
    [check] = service_well(world.step(), later)
    assert check.status == "failed"
    assert seen in check.observed


def test_a_datadog_that_does_not_answer_stops_it_too(world, later):
    """And the step says what was wrong with it, instead of failing."""
    world.world.set_fault(Fault(name="status", vendor="datadog", status=503, times=None))
    step = world.step()
    [check] = service_well(step, later)
    assert (check.status, check.observed[:9]) == ("failed", "not known")
