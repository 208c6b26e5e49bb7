"""A migration in a world in memory, whose zone stands at Cloudflare already."""

from datetime import timedelta

import pytest

from runbook.changes import dns
from runbook.changes.delegation.migration import make_migration
from runbook.changes.delegation.switching import delegate
from tests.memory_worlds import memory_world

ZONE = "omnihub.dev"


@pytest.fixture
def world():
    with memory_world() as made:
        yield made


@pytest.fixture
def migration(world):
    """Fill the zone at Cloudflare as the pre-configuration does, and return what is to move."""
    step = world.step()
    state = dns.read_zone(step, ZONE)
    ttls = dns.read_ttls(step, state)
    for change in dns.plan_zone(step, ZONE):
        change.apply(step)
    for change in dns.plan_records(step, dns.translate_zone(step, state)):
        change.apply(step)
    deadlines = dns.read_deadlines(step, ttls)
    return make_migration(step, ZONE, preconfiguration="p1", deadlines=deadlines)


@pytest.fixture
def change(migration):
    return delegate(migration, registrar="namecheap")


@pytest.fixture
def later(world, migration):
    """Let the wait after the pre-configuration be over."""
    world.pass_s((migration.deadlines.switch_from - world.now()) / timedelta(seconds=1))
    return migration
