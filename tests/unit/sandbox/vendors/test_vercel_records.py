"""Vercel's records in the sandbox: what is refused, what is served, where its listing misleads."""

import json
from datetime import timedelta

import pytest

from runbook.sandbox.vendors.vercel.desk import TEAM
from runbook.sandbox.vendors.vercel.domains import DOMAIN
from runbook.sandbox.vendors.vercel.zonefile import EDGE, OWN, SYSTEM
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World

RECORDS = f"/v4/domains/{DOMAIN}/records"
NEW = f"/v2/domains/{DOMAIN}/records"
UPLOAD = f"/domains/{DOMAIN}/zone-file"


@pytest.fixture
def world():
    return World(None)


def ask(world, method, path, body=None, *, query=(), team=TEAM, token=None, mount="/vercel"):
    """Return status, data and headers of a call."""
    token = world.secrets()["vercel"]["token"] if token is None else token
    whole = [*query, *([("teamId", team)] if team else [])]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sent = b"" if body is None else json.dumps(body).encode()
    answer = world.answer(Call(method, mount + path, whole, headers, sent)).answer
    return answer.status, json.loads(answer.content() or b"null"), answer.headers


def create(world, name, kind, value, **more):
    status, data, _ = ask(world, "POST", NEW, {"name": name, "type": kind, "value": value, **more})
    assert status == 200, data
    return data["uid"]


def code(reply):
    return reply[0], reply[1]["error"]["code"]


def answered(world, name, kind):
    zone = world.part("dns").internet.hosted("vercel", DOMAIN).zone
    found = zone.get(f"{name}.{DOMAIN}" if name else DOMAIN, kind)
    return found and (found.ttl_s, *found.values)


def listed(world, **query):
    status, data, _ = ask(world, "GET", RECORDS, query=list(query.items()))
    assert status == 200
    return data["records"], data["pagination"]


def test_without_the_team_there_is_nothing(world):
    """A call without teamId looks into a personal account: an empty list is no empty zone."""
    assert ask(world, "GET", RECORDS, team="")[:2] == (
        200,
        {"records": [], "pagination": {"count": 0, "next": None, "prev": None}},
    )
    assert code(ask(world, "GET", f"/v5/domains/{DOMAIN}", team="")) == (404, "not_found")
    assert code(ask(world, "GET", RECORDS, team="team_of_another")) == (403, "forbidden")
    assert code(ask(world, "GET", RECORDS, token="wrong")) == (403, "forbidden")
    assert ask(world, "GET", RECORDS, team="", query=[("slug", "omnihub")])[1]["records"]


def test_creations_and_updates_have_limits_of_their_own(world):
    """100 creations an hour without Retry-After, 50 updates a minute with it; reads are not counted."""
    for number in range(100):
        key = create(world, f"h{number}", "A", "203.0.113.9")
    status, data, headers = ask(world, "POST", NEW, {"name": "more", "type": "A", "value": "203.0.113.9"})
    assert (status, data["error"]["code"], "Retry-After" in headers) == (429, "rate_limited", False)
    reset_s = int(headers["X-RateLimit-Reset"])
    assert reset_s == (world.clock.now() + timedelta(hours=1)).timestamp()
    patch = f"/v1/domains/records/{key}"
    for number in range(50):
        assert ask(world, "PATCH", patch, {"ttl": 60 + number})[0] == 200
    status, _, headers = ask(world, "PATCH", patch, {"ttl": 999})
    assert (status, headers["Retry-After"], headers["X-RateLimit-Remaining"]) == (429, "60", "0")
    assert ask(world, "GET", RECORDS)[0] == 200
    world.advance(timedelta(minutes=1))
    assert ask(world, "PATCH", patch, {"ttl": 999})[0] == 200
    world.advance(timedelta(hours=1))
    create(world, "more", "A", "203.0.113.9")


def test_what_is_accepted_is_answered(world):
    """The API and the nameservers are one: created, changed, renamed, removed."""
    key = create(world, "shop", "A", "203.0.113.9", ttl=120)
    create(world, "shop", "A", "203.0.113.10", ttl=600)
    assert answered(world, "shop", "A") == (120, "203.0.113.9", "203.0.113.10")
    ask(world, "PATCH", f"/v1/domains/records/{key}", {"name": "store", "value": "203.0.113.11"})
    assert answered(world, "shop", "A") == (600, "203.0.113.10")
    assert answered(world, "store", "A") == (120, "203.0.113.11")
    assert ask(world, "DELETE", f"{NEW}/{key}")[0] == 200
    assert answered(world, "store", "A") is None
    assert code(ask(world, "DELETE", f"{NEW}/{key}")) == (404, "not_found")


def test_an_own_address_puts_out_the_systems(world):
    """At the apex an own A stands instead of Vercel's ALIAS, which the listing still shows."""
    assert answered(world, "", "ALIAS") == (60, EDGE)
    key = create(world, "", "A", "203.0.113.9")
    assert answered(world, "", "ALIAS") is None
    assert answered(world, "", "A") == (60, "203.0.113.9")
    assert "ALIAS" in {one["type"] for one in listed(world, limit="100")[0]}
    ask(world, "DELETE", f"{NEW}/{key}")
    assert answered(world, "", "ALIAS") == (60, EDGE)


def test_caa_records_stand_together(world):
    """The system's CAA stays beside own ones, and the same one is answered once."""
    create(world, "", "CAA", '0 issue "letsencrypt.org"')
    values = answered(world, "", "CAA")[1:]
    assert sorted(values) == [
        '0 iodef "mailto:security@omnihub.dev"',
        '0 issue "letsencrypt.org"',
        '0 issue "pki.goog"',
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "a", "type": "A", "value": "203.0.113.9", "ttl": 59}, (400, "bad_request")),
        ({"name": "a", "type": "A", "value": "no address"}, (400, "bad_request")),
        ({"name": "a", "type": "PTR", "value": "x"}, (400, "bad_request")),
        ({"name": "a", "type": "SRV", "value": "1 2 x."}, (400, "bad_request")),
        ({"name": "a", "type": "MX", "value": "mx.example."}, (400, "bad_request")),
        ({"name": "", "type": "NS", "value": "ns1.example."}, (400, "bad_request")),
        ({"name": "sip", "type": "CNAME", "value": "a.example."}, (400, "bad_request")),
        ({"name": "", "type": "CNAME", "value": "a.example."}, (400, "bad_request")),
        ({"name": "sip", "type": "A", "value": "203.0.113.40"}, (409, "record_already_exists")),
        ({"name": "", "type": "CAA", "value": '0 issue "x.org; accounturi=y"'}, (400, "invalid_value")),
    ],
)
def test_a_refused_record_changes_nothing(world, body, expected):
    """Neither the listing nor what is answered differs after a refusal."""
    before = world.part("vercel").records.of(DOMAIN), answered(world, "sip", "A")
    assert code(ask(world, "POST", NEW, body)) == expected
    assert (world.part("vercel").records.of(DOMAIN), answered(world, "sip", "A")) == before


def test_the_reply_to_a_change_calls_the_type_otherwise(world):
    """`type` says that it is a record, `recordType` which."""
    key = create(world, "shop", "A", "203.0.113.9")
    data = ask(world, "PATCH", f"/v1/domains/records/{key}", {"ttl": 300})[1]
    assert (data["type"], data["recordType"], data["ttl"]) == ("record", "A", 300)


def test_pages_by_the_last_time_lose_records_of_one_millisecond(world):
    """Who asks on from the time told loses those that a zone file brought in the same millisecond."""
    total = len(OWN) + len(SYSTEM)
    first, pagination = listed(world, limit="5")
    rest, _ = listed(world, limit="100", until=str(pagination["next"]))
    assert len(first) + len(rest) < total
    rest, _ = listed(world, limit="100", until=str(pagination["next"] + 1))
    assert len({one["id"] for one in (*first, *rest)}) == total


def test_a_zone_file_comes_whole_or_not_at_all(world):
    """An upload with one bad record brings none and drops none; a good one may replace all own records."""
    row = {"name": "up", "type": "MX", "value": "mx.example.", "mxPriority": 5, "ttl": 300}
    bad = {"name": "", "type": "NS", "value": "ns1.example.", "ttl": 300}
    reply = ask(world, "POST", UPLOAD, {"records": [row, bad], "instead": True}, mount="/vercel-console")
    assert code(reply) == (400, "bad_request")
    assert answered(world, "up", "MX") is None
    assert answered(world, "sip", "A")
    reply = ask(world, "POST", UPLOAD, {"records": [row], "instead": True}, mount="/vercel-console")
    assert reply[:2] == (200, {"records": 1})
    assert answered(world, "up", "MX") == (300, "5 mx.example.")
    assert answered(world, "sip", "A") is None
    assert answered(world, "", "ALIAS") == (60, EDGE)


def test_somebody_drifts_a_record(world):
    """What is answered changes without any call of ours."""
    before = answered(world, "status", "CNAME")
    world.play("record-drift")
    assert answered(world, "status", "CNAME") != before


def test_new_nameservers_reach_the_registry_half_a_minute_later(world):
    """The registrar's yes is its book's; it refuses without the envelope of the rest of the API."""
    path = f"/v1/registrar/domains/{DOMAIN}/nameservers"
    internet = world.part("dns").internet
    assert ask(world, "PATCH", path, {"nameservers": ["ada.ns.cloudflare.com"]})[0] == 204
    assert internet.delegation(DOMAIN).nameservers == ("ns1.vercel-dns.com.", "ns2.vercel-dns.com.")
    domain = ask(world, "GET", f"/v5/domains/{DOMAIN}")[1]["domain"]
    assert (domain["customNameservers"], domain["serviceType"]) == (["ada.ns.cloudflare.com"], "zeit.world")
    world.advance(timedelta(seconds=30))
    assert internet.delegation(DOMAIN).nameservers == ("ada.ns.cloudflare.com.",)
    assert ask(world, "GET", f"/v5/domains/{DOMAIN}")[1]["domain"]["serviceType"] == "external"
    status, data, _ = ask(world, "PATCH", path.replace(DOMAIN, "example.com"), {"nameservers": []})
    assert (status, data["code"]) == (404, "domain_not_found")
    assert ask(world, "PATCH", path, {"nameservers": "ada"})[0] == 400
