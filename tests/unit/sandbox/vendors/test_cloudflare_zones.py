"""Cloudflare's emulator: the life of a zone, its certificate, its limits, on the virtual clock."""

from datetime import timedelta

import pytest

from runbook.sandbox.vendors.cloudflare.zones import EDGE
from tests.cloudflare_worlds import NAME, ORIGIN, Api

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ELSEWHERE = ("ns1.vercel-dns.com", "ns2.vercel-dns.com")
SITE = {"name": "www", "type": "A", "content": "203.0.113.7", "proxied": True}


@pytest.fixture
def api():
    api = Api()
    api.delegate(ELSEWHERE)
    return api


def status(api, zone):
    return api.done("GET", zone)["status"]


def activated(api):
    zone = api.make_zone()
    api.delegate(api.assigned(zone))
    api.world.advance(MINUTE)
    assert status(api, zone) == "active"
    return zone


def test_a_new_zone_is_pending_and_answered_at_its_nameservers(api):
    """Nothing of the delegation is touched; both nameservers answer, and what is proxied is not yet."""
    zone = api.make_zone()
    api.done("POST", f"{zone}/dns_records", SITE)
    assert status(api, zone) == "pending"
    assert api.internet.delegation(ORIGIN).nameservers == tuple(f"{one}." for one in ELSEWHERE)
    for server in api.assigned(zone):
        assert api.answers(f"www.{NAME}", "A", server=f"{server}.") == (300, ["203.0.113.7"])


def test_a_zone_becomes_active_when_the_registry_names_exactly_its_nameservers(api):
    """One of two, or one too many, is not enough; the first look comes after a minute."""
    zone = api.make_zone()
    servers = api.assigned(zone)
    for wrong in (servers[:1], [*servers, ELSEWHERE[0]]):
        api.delegate(wrong)
        api.world.advance(2 * MINUTE)
        assert status(api, zone) == "pending"
    api.delegate(servers)
    assert status(api, zone) == "pending"
    api.world.advance(HOUR)
    found = api.done("GET", zone)
    assert found["status"] == "active"
    assert found["activated_on"] is not None


def test_a_proxied_name_is_answered_with_the_edge_once_the_zone_is_active(api):
    """A and AAAA, for 300 s, whatever the record is; others at the name are not shown any more."""
    zone = activated(api)
    api.done("POST", f"{zone}/dns_records", SITE)
    api.done("POST", f"{zone}/dns_records", {**SITE, "content": "203.0.113.8", "proxied": False, "ttl": 60})
    for kind, addresses in EDGE.items():
        assert api.answers(f"www.{NAME}", kind) == (300, sorted(addresses))


def test_a_check_can_be_asked_for_once_in_a_while(api):
    """Once an hour on Free, every five minutes on a paid plan; it is made a little later."""
    zone = api.make_zone()
    api.world.advance(2 * HOUR)
    api.delegate(api.assigned(zone))
    api.done("PUT", f"{zone}/activation_check")
    assert status(api, zone) == "pending"
    assert api.code("PUT", f"{zone}/activation_check") == 1224
    api.world.advance(30 * timedelta(seconds=1))
    assert status(api, zone) == "active"
    api.world.advance(6 * MINUTE)
    assert api.code("PUT", f"{zone}/activation_check") == 1224
    api.world.play("cloudflare-pro")
    api.done("PUT", f"{zone}/activation_check")


def test_a_pending_free_zone_is_deleted_after_28_days_and_comes_back_with_other_nameservers(api):
    """Deleted it is still answered for a week, then refused."""
    zone = api.make_zone()
    old = api.assigned(zone)
    api.done("POST", f"{zone}/dns_records", SITE)
    api.world.advance(28 * DAY - MINUTE)
    assert status(api, zone) == "pending"
    api.world.advance(2 * MINUTE)
    assert api.code("GET", zone) == 7003
    assert api.done("GET", "/zones") == []
    first = f"{old[0]}."
    assert api.answers(f"www.{NAME}", "A", server=first) == (300, ["203.0.113.7"])
    api.world.advance(7 * DAY)
    assert api.answers(f"www.{NAME}", "A", server=first) == "REFUSED"
    assert not set(api.assigned(api.make_zone())) & set(old)


def test_a_pending_paid_zone_stays(api):
    """Only Free zones are deleted for being pending."""
    api.world.play("cloudflare-pro")
    zone = api.make_zone()
    api.world.advance(60 * DAY)
    assert status(api, zone) == "pending"


def test_an_active_zone_whose_delegation_leaves_is_moved_and_then_deleted(api):
    """Not at the first look, and back at once when the delegation returns; a week moved is the end of it."""
    zone = activated(api)
    servers = api.assigned(zone)
    api.delegate(ELSEWHERE)
    api.world.advance(HOUR)
    assert status(api, zone) == "active"
    api.world.advance(DAY)
    assert status(api, zone) == "moved"
    api.delegate(servers)
    api.world.advance(DAY)
    assert status(api, zone) == "active"
    api.world.advance(8 * DAY)
    assert status(api, zone) == "active"
    api.delegate(ELSEWHERE)
    api.world.advance(9 * DAY)
    assert api.code("GET", zone) == 7003


def test_a_name_is_a_zone_once(api):
    """The second one is refused, also while the first is pending; another account's id is, too."""
    zone = api.make_zone()
    account = api.done("GET", zone)["account"]
    assert api.code("POST", "/zones", {"name": NAME.upper(), "account": account}) == 1061
    assert api.code("POST", "/zones", {"name": "other.dev", "account": {"id": "0" * 32}}) == 1068


def test_universal_ssl_follows_activation(api):
    """None while pending; then by stages, active after 40 minutes; without status=all only active ones."""
    zone = activated(api)
    path = f"{zone}/ssl/certificate_packs"
    assert api.done("GET", path, status="all") == []  # nothing is proxied
    api.done("POST", f"{zone}/dns_records", SITE)
    seen = []
    for _ in range(9):
        (pack,) = api.done("GET", path, status="all")
        seen.append(pack["status"])
        assert len(api.done("GET", path)) == (pack["status"] == "active")
        api.world.advance(5 * MINUTE)
    assert list(dict.fromkeys(seen)) == [
        "initializing",
        "pending_validation",
        "pending_issuance",
        "pending_deployment",
        "active",
    ]
    assert seen.count("active") == 1


def test_a_certificate_may_never_come(api):
    """In that scenario validation has no end."""
    api.world.play("pending-certificate")
    zone = activated(api)
    api.done("POST", f"{zone}/dns_records", SITE)
    api.world.advance(3 * DAY)
    (found,) = api.done("GET", f"{zone}/ssl/verification")
    assert (found["certificate_status"], found["verification_status"]) == ("authorizing", False)


def test_one_call_too_many_blocks_all_for_five_minutes(api):
    """1,200 calls in 5 minutes, told in headers; over it everything is refused until the time is up."""
    for number in range(1, 1201):
        status, _ = api.ask("GET", "/zones")
        assert status == 200
        assert api.headers["Ratelimit"] == f'"default";r={1200 - number};t=300'
    assert api.headers["Ratelimit-Policy"] == '"default";q=1200;w=300'
    for left_s in (300, 180):
        status, said = api.ask("GET", "/zones")
        assert (status, said["errors"][0]["code"], api.headers["Retry-After"]) == (429, 971, str(left_s))
        api.world.advance(2 * MINUTE)
    api.world.advance(MINUTE)
    assert api.ask("GET", "/zones")[0] == 200


def test_a_wrong_token_is_told_apart():
    """401 at the check of tokens, 403 elsewhere."""
    api = Api()
    assert api.ask("GET", "/user/tokens/verify", token="wrong")[0] == 401
    assert api.ask("GET", "/zones", token="wrong")[0] == 403
    assert api.done("GET", "/user/tokens/verify")["status"] == "active"


def test_a_killed_world_is_taken_up_where_it_was(tmp_path):
    """Zones, records, what is due and what the nameservers answer are on disk before a reply leaves."""
    path = tmp_path / "world.db"
    api = Api(path)
    zone = api.make_zone()
    api.done("POST", f"{zone}/dns_records", SITE)
    api.delegate(api.assigned(zone))
    api.world.state.save()
    again = Api(path)  # the first was never closed
    again.world.advance(MINUTE)
    assert status(again, zone) == "active"
    assert again.answers(f"www.{NAME}", "A") == (300, sorted(EDGE["A"]))
    assert again.world.state.unsaved() == []
    for one in (api, again):
        one.world.state.close()
