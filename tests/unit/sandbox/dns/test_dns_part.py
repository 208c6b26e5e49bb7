"""The DNS in the world: other parts write into it, it listens, and it survives a kill."""

import asyncio
import base64
import json
from datetime import timedelta

import dns.asyncquery
import dns.message
import pytest

from runbook.sandbox.dns.part import PART
from runbook.sandbox.dns.zone import Delegation, RecordSet
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World
from tests.dns_worlds import NEW, OLD, ZONE

WWW = f"www.{ZONE}"


def make_world(path=None):
    return World(path, kinds=[PART])


def host_both(world):
    net = world.part("dns").internet
    for side, address in (("vercel", OLD), ("cloudflare", NEW)):
        net.host(side, ZONE).put(RecordSet(WWW, "A", 60, (address,)))
    net.delegate(Delegation(ZONE, net.assigned("vercel", ZONE)))
    net.warm(ZONE)
    world.state.save()


def call(world, method, path, query=(), body=b""):
    headers = {"Content-Type": "application/json"}
    answer = world.answer(Call(method, path, list(query), headers, body)).answer
    return answer.status, json.loads(answer.content())


def told(world):
    """Return what each resolver says of www, through the world's own API."""
    status, said = call(world, "GET", "/dns/answers", [("name", WWW)])
    assert status == 200
    return {
        name: one and [one["rcode"], *(record[3] for record in one["records"])] for name, one in said.items()
    }


def test_a_dump_leaves_nothing_unsaved(tmp_path):
    """What the resolvers did in the meantime is written down when somebody looks, and is on disk at once."""
    world = make_world(tmp_path / "world.db")
    host_both(world)
    world.advance(timedelta(hours=50))
    world.status()
    assert world.dump()["dns"]["delegations"]
    assert world.state.unsaved() == []


def test_a_killed_world_is_taken_up_where_it_was(tmp_path):
    """Zones, faults, ports and what resolvers know are on disk before an answer leaves."""
    world = make_world(tmp_path / "world.db")
    host_both(world)
    told(world)
    call(world, "POST", "/dns/faults", body=json.dumps({"server": "resolver-03", "mute": True}).encode())
    net = world.part("dns").internet
    net.delegate(Delegation(ZONE, net.assigned("cloudflare", ZONE)))
    world.state.save()
    again = make_world(tmp_path / "world.db")  # the first is not closed, as after a kill
    for hours in (0, 1, 20, 48):
        world.advance(timedelta(hours=hours))
        again.advance(timedelta(hours=hours))
        assert told(again) == told(world)
    assert told(again)["resolver-03"] is None
    assert told(again)["resolver-01"] == ["NOERROR", NEW]
    assert again.state.unsaved() == []
    again.state.close()
    world.state.close()


def test_a_dump_is_all_there_is():
    """Another world that loads a dump says the same, now and later."""
    world, twin = make_world(), make_world()
    host_both(world)
    told(world)
    twin.part("dns").load(world.part("dns").dump())
    for hours in (0, 1, 50):
        world.advance(timedelta(hours=hours))
        twin.advance(timedelta(hours=hours))
        assert told(twin) == told(world)


def test_a_reset_forgets_zones_and_keeps_ports():
    """In a reset world nobody knows the zone; whoever listens goes on listening where it did."""

    async def scene():
        world = make_world()
        host_both(world)
        part = world.part("dns")
        await part.start()
        before = dict(part.addresses())
        world.reset()
        same = part.addresses() == before
        port = int(before["resolver-01"].partition(":")[2])
        reply = await dns.asyncquery.udp(dns.message.make_query(WWW, "A"), "127.0.0.1", port=port, timeout=5)
        await part.stop()
        return same, reply.rcode().name

    assert asyncio.run(scene()) == (True, "NXDOMAIN")


def test_servers_listen_where_the_addresses_say(tmp_path):
    """By name and by the address the DNS gives; a world started again listens at the same ports."""

    async def scene():
        world = make_world(tmp_path / "world.db")
        host_both(world)
        part = world.part("dns")
        await part.start()
        addresses = part.addresses()
        query = dns.message.make_query("ns1.vercel-dns.com.", "A")
        port = int(addresses["resolver-02"].partition(":")[2])
        found = await dns.asyncquery.udp(query, "127.0.0.1", port=port, timeout=5)
        direct = int(addresses[found.answer[0][0].address].partition(":")[2])
        reply = await dns.asyncquery.udp(
            dns.message.make_query(WWW, "A"), "127.0.0.1", port=direct, timeout=5
        )
        await part.stop()
        again = make_world(tmp_path / "world.db").part("dns")
        await again.start()
        same = again.addresses() == addresses
        await again.stop()
        again.world.state.close()
        world.state.close()
        return reply.answer[0][0].address, same, len(addresses)

    address, same, count = asyncio.run(scene())
    assert (address, same) == (OLD, True)
    assert count == 2 * (24 + 19)


def test_doh_is_answered_by_resolvers_of_the_world():
    """Both vendors' JSON, and bytes by GET and POST."""
    world = make_world()
    host_both(world)
    for path in ("/doh/google/resolve", "/doh/cloudflare/dns-query"):
        status, shown = call(world, "GET", path, [("name", WWW), ("type", "A")])
        assert (status, shown["Answer"][0]["data"]) == (200, OLD)
    query = dns.message.make_query(WWW, "A", id=0).to_wire()
    text = base64.urlsafe_b64encode(query).decode().rstrip("=")
    for asked in (
        Call("POST", "/doh/cloudflare/dns-query", body=query),
        Call("GET", "/doh/cloudflare/dns-query", [("dns", text)]),
    ):
        answer = world.answer(asked).answer
        assert dns.message.from_wire(answer.content()).answer[0][0].address == OLD


def test_a_person_sees_zones_delegations_and_what_resolvers_hold():
    """Who hosts the zone, where the registry points, whom resolvers go by and until when."""
    world = make_world()
    host_both(world)
    net = world.part("dns").internet
    world.advance(timedelta(days=3))
    net.delegate(Delegation(ZONE, net.assigned("cloudflare", ZONE)))
    world.advance(timedelta(hours=24))
    zone = call(world, "GET", "/dns/zones")[1][ZONE]
    assert sorted(zone["hosted"]) == ["cloudflare", "vercel"]
    assert zone["delegation"] == {"servers": list(net.assigned("cloudflare", ZONE)), "ds": []}
    assert len(zone["resolvers"]) == 24
    assert all(0 < one["left_s"] <= 172_800 for one in zone["resolvers"].values())
    assert {one["side"] for one in zone["resolvers"].values()} == {"cloudflare", "vercel"}
    old = sum(one["side"] == "vercel" for one in zone["resolvers"].values())
    lines = world.status()["parts"]["dns"]["zones"]
    assert lines[0].startswith(f"{ZONE} hosted at vercel (serial 3), cloudflare (serial 3); delegated to ")
    assert any(
        line.startswith(f"{ZONE} {old} resolvers go by vercel, at the longest until") for line in lines
    )


@pytest.mark.parametrize(
    ("scenario", "seen"),
    [
        ("lame-delegation", {"NOERROR"}),
        ("stale-nameserver", {"NOERROR"}),
        ("ds-left-at-parent", {"NOERROR", "SERVFAIL"}),
    ],
)
def test_a_scenario_shows_after_the_switch(scenario, seen):
    """Each begins quietly and bites when the delegation has moved to Cloudflare."""
    world = make_world()
    host_both(world)
    net = world.part("dns").internet
    world.play(scenario)
    assert {one[0] for one in told(world).values()} == {"NOERROR"}
    ds = net.delegation(ZONE).ds
    first = net.nameservers[net.assigned("cloudflare", ZONE)[0]]
    net.delegate(Delegation(ZONE, net.assigned("cloudflare", ZONE), ds=ds))
    net.hosted("cloudflare", ZONE).zone.put(RecordSet(WWW, "A", 60, ("203.0.113.99",)))
    world.advance(timedelta(hours=60))
    answers = [tuple(one) for one in told(world).values()]
    assert {one[0] for one in answers} == seen
    if scenario == "stale-nameserver":
        assert {one[1] for one in answers} == {NEW, "203.0.113.99"}
    if scenario == "lame-delegation":
        assert first.faults
        assert {one[1] for one in answers} == {"203.0.113.99"}


def test_faults_of_the_dns_are_set_and_mended_by_a_call():
    """One zone at one server, or a whole server; a wrong name or fault is a bad request."""
    world = make_world()
    host_both(world)

    def fault(**fields):
        return call(world, "POST", "/dns/faults", body=json.dumps(fields).encode())[0]

    for server in ("ns1.vercel-dns.com", "ns2.vercel-dns.com"):
        assert fault(server=server, zone=ZONE, fault="servfail") == 200
    assert {one[0] for one in told(world).values()} == {"SERVFAIL"}
    assert fault(server="ns1.vercel-dns.com", zone=ZONE, fault="none") == 200
    assert {one[0] for one in told(world).values()} == {"NOERROR"}
    assert fault(server="resolver-01", garbled=True, delay_s=0.5) == 200
    assert world.part("dns").internet.resolvers["resolver-01"].delay_s == 0.5
    assert fault(server="ns1.vercel-dns.com", zone=ZONE, fault="broken") == 400
    assert fault(server="ns9.example.", mute=True) == 400
    assert call(world, "GET", "/dns/answers", [("name", "a..b")])[0] == 400


def test_days_pass_at_once():
    """A jump of the clock costs nothing: what busy resolvers did meanwhile is worked out, not simulated."""
    world = make_world()
    host_both(world)
    asked = sum(one.turn for one in world.part("dns").internet.resolvers.values())
    world.advance(timedelta(days=365))
    told(world)
    assert sum(one.turn for one in world.part("dns").internet.resolvers.values()) - asked < 24 * 40
