"""The registrars' emulators: their book at once, the registry's zone later, never a DS lost."""

from dataclasses import replace
from datetime import timedelta

import pytest

from runbook.sandbox.dns.part import Dns
from runbook.sandbox.dns.zone import to_name
from runbook.sandbox.registrar import BY_HAND, MAIN
from runbook.sandbox.vendors.godaddy.emulator import OURS, GoDaddy
from runbook.sandbox.vendors.namecheap.emulator import Namecheap
from runbook.sandbox.world.world import World

NEW = ("ns1.example.com", "ns2.example.com")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def world():
    return World(None, kinds=[Dns, GoDaddy, Namecheap])


def delegated(world, domain=MAIN):
    found = world.part("dns").internet.delegation(domain)
    return tuple(name.rstrip(".") for name in found.nameservers)


def test_the_registry_hears_of_it_later(world):
    """Namecheap's book at once, the parent zone two minutes on."""
    old = delegated(world)
    assert world.part("namecheap").give(MAIN, NEW)
    assert world.part("namecheap").table("domains")[MAIN]["nameservers"] == list(NEW)
    world.advance(2 * MINUTE - timedelta(seconds=1))
    assert delegated(world) == old
    world.advance(timedelta(seconds=1))
    assert delegated(world) == NEW


def test_a_book_may_lag_too(world):
    """GoDaddy shows the old ones for half a minute, and does not take the same ones for a change."""
    part = world.part("godaddy")
    shown = part.table("domains")[OURS]["nameservers"]
    assert part.give(OURS, NEW)
    assert not part.give(OURS, reversed(NEW))
    assert part.table("domains")[OURS]["nameservers"] == shown
    world.advance(MINUTE)
    assert part.table("domains")[OURS]["nameservers"] == list(NEW)


def test_changes_arrive_in_their_order(world):
    """There and back within a minute ends where the last one said."""
    part, old = world.part("namecheap"), delegated(world)
    part.give(MAIN, NEW)
    world.advance(MINUTE)
    part.give(MAIN, old)
    world.advance(MINUTE)
    assert delegated(world) == NEW
    world.advance(MINUTE)
    assert delegated(world) == old


def test_a_ds_at_the_parent_stays(world):
    """A registrar's API changes nameservers; the key of the old side is left there, to cut everybody off."""
    internet = world.part("dns").internet
    ds = ("12345 15 2 " + "ab" * 32,)
    internet.delegate(replace(internet.delegation(MAIN), ds=ds))
    world.part("namecheap").give(MAIN, NEW)
    world.advance(5 * MINUTE)
    assert delegated(world) == NEW
    assert internet.delegation(MAIN).ds == ds


@pytest.mark.parametrize(("scenario", "side"), [*zip(BY_HAND, ("cloudflare", "vercel"), strict=True)])
def test_a_person_can_do_it_too(world, scenario, side):
    """What the manual registrar is rehearsed with, wherever the domain is registered."""
    for moved in (False, True):
        if moved:
            world.play("registered-at-godaddy")
        world.play("person-switches-nameservers")
        world.play(scenario)
        world.advance(15 * MINUTE)
        assert list(delegated(world)) == world.part("namecheap").servers(side)


def test_a_domain_has_one_registrar(world):
    """Moved to GoDaddy, it is not at Namecheap any more, and its delegation stays as it was."""
    old = delegated(world)
    world.play("registered-at-godaddy")
    world.play("registered-at-godaddy")
    assert MAIN not in world.part("namecheap").table("domains")
    assert MAIN in world.part("godaddy").table("domains")
    world.advance(15 * MINUTE)
    assert delegated(world) == old


def test_a_restart_forgets_no_change_on_its_way(tmp_path):
    """Killed between book and registry, the registry still hears of it."""
    path = tmp_path / "state.db"
    world = World(path, kinds=[Dns, Namecheap])
    world.part("namecheap").give(MAIN, NEW)
    world.state.save()
    again = World(path, kinds=[Dns, Namecheap])
    again.advance(2 * MINUTE)
    assert delegated(again) == NEW
    for one in (world, again):
        one.state.close()


def test_a_new_world_has_known_the_domain_for_long(world):
    """Every resolver's users have asked for it: a switch must wait for caches from its first second on."""
    internet = world.part("dns").internet
    held = [one.cache.delegations[to_name(MAIN)] for one in internet.resolvers.values()]
    left = {one.until_s - internet.now_s() for one in held}
    assert len(left) > 10
    assert 0 < min(left) <= max(left) <= 172_800
