"""One interface over every registrar: told, seen in its book, proven at the parent, and taken back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.errors import InputError, Parked
from runbook.plan.environment import Domain
from runbook.providers import registrars
from runbook.sandbox.vendors.vercel.domains import ELSEWHERE

ZONE = "omnihub.dev"
NEW = ("ada.ns.cloudflare.com.", "lee.ns.cloudflare.com.")
OLD = ("ns1.vercel-dns.com.", "ns2.vercel-dns.com.")


def registered(step, registrar, *, zone=ZONE, at=None):
    """Return the step in an environment where a domain has that registrar."""
    domain = Domain(registrar=registrar, registered_at=at)
    environment = step.environment().model_copy(update={"domains": {zone: domain}})
    return replace(step, environment=lambda: environment)


@pytest.mark.parametrize(
    ("registrar", "scenario"),
    [("namecheap", ""), ("godaddy", "registered-at-godaddy"), ("vercel", "")],
)
def test_there_and_back(world, step, registrar, scenario):
    """The same words for each; what stands already is not asked for again."""
    if scenario:
        world.play(scenario)
    step = registered(step, registrar)
    assert registrars.read_nameservers(step, zone=ZONE).names == OLD
    for before, after in ((OLD, NEW), (NEW, OLD)):
        handed = registrars.apply_nameservers(step, zone=ZONE, nameservers=after)
        assert (handed.registrar, handed.before, handed.after, handed.found) == (
            registrar,
            before,
            after,
            False,
        )
        assert registrars.apply_nameservers(step, zone=ZONE, nameservers=after).found
        proof = registrars.read_published(step, zone=ZONE, nameservers=after)
        assert proof.delegation.nameservers == after


def test_by_a_person(world, step):
    """Parked with the instructions, until somebody has done it; and the same for the way back."""
    step = registered(step, "manual", at="Namecheap, account omnihub")
    assert registrars.read_losses(step, zone=ZONE) == ()
    for scenario, after in (("person-switches-nameservers", NEW), ("person-reverts-nameservers", OLD)):
        for _ in range(2):
            with pytest.raises(Parked, match="Log in at Namecheap, account omnihub"):
                registrars.apply_nameservers(step, zone=ZONE, nameservers=after)
        world.play(scenario)
        world.advance(timedelta(minutes=15))
        assert registrars.apply_nameservers(step, zone=ZONE, nameservers=after).found


def test_a_domain_bought_elsewhere_is_not_asked_of_vercel(step):
    """Vercel shows it, and cannot change it: the mistake is in environment.yaml, and is said so."""
    step = registered(step, "vercel", zone=ELSEWHERE)
    with pytest.raises(InputError, match="was not bought at Vercel"):
        registrars.apply_nameservers(step, zone=ELSEWHERE, nameservers=NEW)
