"""The site behind the sandbox's DNS: who serves which host at which address, and when nobody does."""

from datetime import timedelta

import pytest

from runbook.sandbox.site import CLOUDFLARE, VERCEL
from runbook.sandbox.world.world import World

HOST = "www.omnihub.dev"
EDGE = CLOUDFLARE["A"][0]


@pytest.fixture
def world():
    return World(None)


def active(world, *, proxied=True):
    """Have an active zone at Cloudflare with www in it."""
    cloudflare = world.part("cloudflare")
    zone = cloudflare.zones._made("omnihub.dev")
    sheet = cloudflare._records._sheet(zone)
    sheet.post(
        {"type": "CNAME", "name": HOST, "content": "cname.vercel-dns.com", "ttl": 300, "proxied": proxied}
    )
    cloudflare._records._commit(zone, sheet)
    world.play("delegated-to-cloudflare")
    world.advance(timedelta(minutes=2))


def served(world, address, host=HOST):
    page = world.part("site").visit(address, host)
    return None if page is None else page.status


@pytest.mark.parametrize(("host", "status"), [(HOST, 200), ("omnihub.dev", 200), ("other.example", 404)])
def test_vercels_edge_knows_the_projects_hosts(world, host, status):
    """At each of its addresses, whoever's nameservers led there."""
    assert {served(world, address, host) for address in VERCEL} == {status}


def test_cloudflares_edge_refuses_what_is_not_proxied_there(world):
    """A pending zone proxies nothing; an unproxied record leads past the edge."""
    assert served(world, EDGE) == 403
    active(world, proxied=False)
    assert served(world, EDGE) == 403


def test_proxied_without_a_certificate_no_connection_comes_about(world):
    """Universal SSL comes a while after activation; until then every handshake fails."""
    active(world)
    assert served(world, EDGE) is None
    world.advance(timedelta(hours=1))
    assert served(world, EDGE) == 200


def test_an_edge_that_cannot_reach_the_origin_says_525(world):
    """Half an hour after the zone is active, when that scenario is played."""
    world.play("site-fails-at-cloudflare")
    active(world, proxied=False)
    assert served(world, EDGE) == 403
    world.advance(timedelta(hours=1))
    assert served(world, EDGE) == 525


def test_an_address_of_nobodys_leads_nowhere(world):
    """No connection, as with a record that points astray."""
    assert served(world, "203.0.113.99") is None
