"""DNS over HTTPS: the vendors' JSON with its differences, and RFC 8484's bytes."""

import base64
import json

import dns.message
import pytest

from runbook.sandbox.dns.doh import answer_json, answer_wire
from runbook.sandbox.dns.zone import RecordSet, txt_value
from tests.dns_worlds import OLD, ZONE, SmallWorld


@pytest.fixture
def world():
    world = SmallWorld(resolvers=2)
    world.zones["vercel"].put(RecordSet(f"long.{ZONE}", "TXT", 60, (txt_value("x" * 300),)))
    return world


def read(response):
    assert response.status == 200
    return json.loads(response.body)


@pytest.mark.parametrize("vendor", ["google", "cloudflare"])
def test_an_answer_has_the_shape_both_vendors_document(world, vendor):
    """Status is the RCODE, types are numbers, names end in a dot, TTL is what is left."""
    answer_json(world.resolver(1), vendor, {"name": f"www.{ZONE}"})
    world.pass_s(10)
    shown = read(answer_json(world.resolver(1), vendor, {"name": f"www.{ZONE}", "type": "a"}))
    comment = shown.pop("Comment", None)
    assert comment == ("Response from 198.51.100.1." if vendor == "google" else None)
    assert shown == {
        "Status": 0,
        "TC": False,
        "RD": True,
        "RA": True,
        "AD": False,
        "CD": False,
        "Question": [{"name": f"www.{ZONE}", "type": 1}],
        "Answer": [{"name": f"www.{ZONE}", "type": 1, "TTL": 50, "data": OLD}],
    }


def test_the_vendors_write_text_differently(world):
    """Google joins a TXT's strings, Cloudflare keeps them quoted."""
    ask = {"name": f"long.{ZONE}", "type": "16"}
    google = read(answer_json(world.resolver(1), "google", ask))["Answer"][0]["data"]
    cloudflare = read(answer_json(world.resolver(1), "cloudflare", ask))["Answer"][0]["data"]
    assert google == "x" * 300
    assert cloudflare == f'"{"x" * 255}" "{"x" * 45}"'


def test_no_answer_has_no_answer_field_and_its_soa(world):
    """NXDOMAIN and no data are Status and Authority, inside HTTP 200."""
    for name, kind, status in ((f"missing.{ZONE}", "A", 3), (f"www.{ZONE}", "MX", 0)):
        shown = read(answer_json(world.resolver(1), "cloudflare", {"name": name, "type": kind}))
        assert (shown["Status"], "Answer" in shown, shown["Authority"][0]["type"]) == (status, False, 6)


def test_servfail_comes_with_a_comment(world):
    """Why there is no answer: text at Google, a list at Cloudflare."""
    for server in world.servers("vercel"):
        world.internet.break_zone(server, ZONE, "refused")
    google = read(answer_json(world.resolver(1), "google", {"name": f"www.{ZONE}"}))
    cloudflare = read(answer_json(world.resolver(1), "cloudflare", {"name": f"www.{ZONE}"}))
    assert (google["Status"], cloudflare["Status"]) == (2, 2)
    assert google["Comment"].startswith("no server of the zone gives an answer; Response from")
    assert cloudflare["Comment"] == ["no server of the zone gives an answer"]


def test_checking_can_be_switched_off(world):
    """`cd` asks for what validation would withhold; AD tells what was proven."""
    world.internet.sign("vercel", ZONE)
    assert read(answer_json(world.resolver(1), "google", {"name": f"www.{ZONE}", "do": "1"}))["AD"]
    world.zones["vercel"].remove(ZONE, "DNSKEY")
    world.pass_s(60)
    assert read(answer_json(world.resolver(1), "google", {"name": f"www.{ZONE}"}))["Status"] == 2
    unchecked = read(answer_json(world.resolver(1), "google", {"name": f"www.{ZONE}", "cd": "true"}))
    assert (unchecked["Status"], unchecked["CD"], unchecked["Answer"][0]["data"]) == (0, True, OLD)


@pytest.mark.parametrize(
    "query",
    [{}, {"name": ""}, {"name": "a..b"}, {"name": ZONE, "type": "BOGUS"}, {"name": ZONE, "cd": "2"}],
)
def test_an_invalid_question_is_a_bad_request(world, query):
    """HTTP 400 with a sentence under `error`."""
    response = answer_json(world.resolver(1), "cloudflare", query)
    assert (response.status, list(json.loads(response.body))) == (400, ["error"])


def test_bytes_go_in_and_out_as_base64url_or_as_they_are(world):
    """`?dns=` without padding, or the message itself; what is neither is a bad request."""
    query = dns.message.make_query(f"www.{ZONE}", "A", id=0).to_wire()
    text = base64.urlsafe_b64encode(query).decode().rstrip("=")
    for form in (query, text):
        response = answer_wire(world.resolver(1), form)
        assert (response.status, response.content_type) == (200, "application/dns-message")
        assert dns.message.from_wire(response.body).answer[0][0].address == OLD
    for junk in (b"", b"junk", "not base64!", "AAAA"):
        assert answer_wire(world.resolver(1), junk).status == 400
