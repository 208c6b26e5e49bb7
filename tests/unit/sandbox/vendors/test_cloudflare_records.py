"""Cloudflare's emulator: what becomes of records, what may not stand together, and rules by plan."""

import pytest

from tests.cloudflare_worlds import NAME, Api

HOST = f"www.{NAME}"


@pytest.fixture
def api():
    return Api()


@pytest.fixture
def zone(api):
    return api.make_zone()


def post(api, zone, **fields):
    return api.done("POST", f"{zone}/dns_records", fields)


def put_in(api, zone, *records):
    for record in records:
        post(api, zone, **record)


A = {"name": "www", "type": "A", "content": "203.0.113.7", "ttl": 60}
CNAME = {"name": "www", "type": "CNAME", "content": "target.example.net", "ttl": 60}
TXT = {"name": "www", "type": "TXT", "content": '"text"', "ttl": 60}
NS = {"name": "www", "type": "NS", "content": "ns1.example.net", "ttl": 60}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("@", NAME),
        (NAME, NAME),
        (f"{NAME}.", NAME),
        ("www", HOST),
        ("WWW.Omnihub.DEV", HOST),
        ("mail.example.net", f"mail.example.net.{NAME}"),
        ("*.eu", f"*.eu.{NAME}"),
        ("_dmarc", f"_dmarc.{NAME}"),
        ("bücher", f"xn--bcher-kva.{NAME}"),
    ],
)
def test_a_name_is_made_whole(api, zone, name, kept):
    """Whatever does not end with the zone's name is put below it, as the API does."""
    assert post(api, zone, **{**A, "name": name})["name"] == kept
    assert api.answers(kept, "A") == (60, ["203.0.113.7"])


@pytest.mark.parametrize(
    ("record", "kept", "served"),
    [
        ({"type": "A", "content": "203.0.113.7"}, "203.0.113.7", "203.0.113.7"),
        ({"type": "AAAA", "content": "2001:DB8:0::1"}, "2001:db8::1", "2001:db8::1"),
        (
            {"type": "MX", "content": "MX.example.net.", "priority": 10},
            "mx.example.net",
            "10 mx.example.net.",
        ),
        ({"type": "TXT", "content": "v=spf1 -all"}, "v=spf1 -all", '"v=spf1 -all"'),
        ({"type": "TXT", "content": '"a" "b"'}, '"a" "b"', '"a" "b"'),
        (
            {"type": "TXT", "content": f'"{"a" * 300}"'},
            f'"{"a" * 255}" "{"a" * 45}"',
            f'"{"a" * 255}" "{"a" * 45}"',
        ),
        (
            {"type": "CAA", "data": {"flags": 0, "tag": "issue", "value": "pki.goog"}},
            '0 issue "pki.goog"',
            '0 issue "pki.goog"',
        ),
        (
            {"type": "SRV", "data": {"priority": 1, "weight": 2, "port": 3, "target": "sip.example.net."}},
            "2 3 sip.example.net",
            "1 2 3 sip.example.net.",
        ),
        (
            {"type": "HTTPS", "data": {"priority": 1, "target": ".", "value": 'alpn="h3,h2"'}},
            '1 . alpn="h3,h2"',
            '1 . alpn="h3,h2"',
        ),
        (
            {"type": "URI", "priority": 1, "data": {"weight": 2, "target": "https://example.net/"}},
            '2 "https://example.net/"',
            '1 2 "https://example.net/"',
        ),
    ],
)
def test_a_record_is_kept_in_normal_form_and_served(api, zone, record, kept, served):
    """`content` without the last dot, TXT as it was sent; the nameservers answer with proper rdata."""
    made = post(api, zone, name="www", ttl=120, **record)
    assert made["content"] == kept
    assert api.done("GET", f"{zone}/dns_records/{made['id']}")["content"] == kept
    assert api.answers(HOST, record["type"]) == (120, [served])


def test_automatic_is_300_seconds(api, zone):
    """TTL 1 and no TTL are the same: 300 s at the nameservers, 1 in the API."""
    made = post(api, zone, name="www", type="A", content="203.0.113.7")
    assert (made["ttl"], made["proxied"], made["proxiable"]) == (1, False, True)
    assert api.answers(HOST, "A") == (300, ["203.0.113.7"])


def test_a_cname_at_the_apex_is_flattened(api, zone):
    """The nameservers answer with the target's addresses, beside the apex's other records."""
    api.internet.put_host("cname.vercel-dns.com.", "203.0.113.76")
    put_in(api, zone, {**CNAME, "name": "@", "content": "cname.vercel-dns.com"}, {**TXT, "name": "@"})
    assert api.answers(NAME, "A") == (60, ["203.0.113.76"])
    assert api.answers(NAME, "CNAME") == (None, [])
    assert api.answers(NAME, "TXT") == (60, ['"text"'])
    assert sorted(f"{one}." for one in api.assigned(zone)) == api.answers(NAME, "NS")[1]


@pytest.mark.parametrize(
    ("held", "new", "code"),
    [
        ([A], CNAME, 81053),
        ([CNAME], {**CNAME, "content": "other.example.net"}, 81053),
        ([CNAME], A, 81054),
        ([CNAME], {**A, "type": "AAAA", "content": "2001:db8::1"}, 81054),
        ([TXT], NS, 81055),
        ([NS], A, 81056),
        ([A], A, 81058),
        ([A], {**A, "ttl": 300}, 81057),
        ([TXT], {**TXT, "content": "text"}, 81058),
        ([], {**A, "ttl": 59}, 9021),
        ([], {**A, "ttl": 86_401}, 9021),
        ([], {**A, "content": "1.1"}, 9005),
        ([], {**A, "type": "AAAA"}, 9006),
        ([], {**TXT, "proxied": True}, 9041),
        ([], {**TXT, "content": '"open'}, 1004),
        ([], {**A, "type": "SPF"}, 1004),
        ([], {**A, "name": "a..b"}, 9000),
        ([], {"name": "www", "type": "CAA", "content": '0 issue "pki.goog"'}, 9101),
        ([], {"name": "www", "type": "MX", "content": "mx.example.net"}, 9101),
    ],
)
def test_what_cannot_be_is_refused(api, zone, held, new, code):
    """With Cloudflare's code, and nothing is changed by it."""
    put_in(api, zone, *held)
    before = api.world.dump()
    assert api.code("POST", f"{zone}/dns_records", new) == code
    after = api.world.dump()
    for dumped in (before, after):
        del dumped["cloudflare"]["meta"]
    assert before == after


def test_a_cname_may_stand_beside_a_text(api, zone):
    """Unlike other nameservers Cloudflare takes that; it can only be answered flattened."""
    api.internet.put_host("target.example.net.", "203.0.113.76")
    put_in(api, zone, CNAME, TXT)
    assert api.answers(HOST, "A") == (60, ["203.0.113.76"])
    assert api.answers(HOST, "TXT") == (60, ['"text"'])


def test_a_batch_deletes_before_it_makes(api, zone):
    """Deletes, patches, puts, posts: an A becomes a CNAME in one go, with one new serial."""
    keys = [post(api, zone, **{**A, "content": f"203.0.113.{n}"})["id"] for n in (1, 2)]
    other = post(api, zone, **{**TXT, "name": "txt"})["id"]
    serial = api.internet.hosted("cloudflare", NAME).zone.serial
    done = api.done(
        "POST",
        f"{zone}/dns_records/batch",
        {"posts": [CNAME], "patches": [{"id": other, "ttl": 600}], "deletes": [{"id": key} for key in keys]},
    )
    assert [one["id"] for one in done["deletes"]] == keys
    assert api.answers(HOST, "CNAME") == (60, ["target.example.net."])
    assert api.answers(f"txt.{NAME}", "TXT") == (600, ['"text"'])
    assert api.internet.hosted("cloudflare", NAME).zone.serial == serial + 1


def test_a_batch_is_all_or_nothing(api, zone):
    """The first error comes back, and not even what went before it is done."""
    key = post(api, zone, **A)["id"]
    batch = {"deletes": [{"id": key}], "posts": [TXT, {**A, "ttl": 1_000_000}]}
    assert api.code("POST", f"{zone}/dns_records/batch", batch) == 9021
    assert [one["id"] for one in api.done("GET", f"{zone}/dns_records")] == [key]
    assert api.answers(HOST, "TXT") == (None, [])
    batch = {"deletes": [{"id": "0" * 32}]}
    assert api.code("POST", f"{zone}/dns_records/batch", batch) == 81044


def many(count):
    return [{**A, "name": f"h{number}"} for number in range(count)]


def test_batch_and_quota_go_by_plan(api, zone):
    """200 each on Free; 3,500 records on Pro; Enterprise has no limit by zone, and a batch of 3,500."""
    batch = f"{zone}/dns_records/batch"
    assert api.code("POST", batch, {"posts": many(201)}) == 1004
    api.done("POST", batch, {"posts": many(200)})
    assert api.done("GET", f"{zone}/dns_records/usage") == {"record_quota": 200, "record_usage": 200}
    assert api.code("POST", f"{zone}/dns_records", TXT) == 81045
    api.world.play("cloudflare-pro")
    assert api.code("POST", batch, {"posts": many(3501)}) == 1004
    api.done("POST", f"{zone}/dns_records", TXT)
    api.world.play("cloudflare-enterprise")
    assert api.done("GET", f"{zone}/dns_records/usage")["record_quota"] is None
    assert post(api, zone, **{**A, "name": "fast", "ttl": 30})["ttl"] == 30


def test_a_put_overwrites_and_a_patch_leaves_the_rest(api, zone):
    """PUT sets what is not given to its default; PATCH does not."""
    key = post(api, zone, **A, comment="mine")["id"]
    path = f"{zone}/dns_records/{key}"
    assert api.done("PATCH", path, {"content": "203.0.113.8"})["comment"] == "mine"
    assert api.answers(HOST, "A") == (60, ["203.0.113.8"])
    made = api.done("PUT", path, {"name": "www", "type": "CNAME", "content": "target.example.net"})
    assert (made["id"], made["comment"], made["ttl"]) == (key, None, 1)
    assert api.answers(HOST, "CNAME") == (300, ["target.example.net."])


def test_records_are_found_by_page_and_filter(api, zone):
    """Pages of any size hold each record once; filters narrow, `match=any` widens."""
    api.done("POST", f"{zone}/dns_records/batch", {"posts": [*many(7), TXT]})
    path = f"{zone}/dns_records"
    pages = [api.ask("GET", path, page=n, per_page=3)[1] for n in (1, 2, 3, 4)]
    assert [page["result_info"]["count"] for page in pages] == [3, 3, 2, 0]
    assert {page["result_info"]["total_count"] for page in pages} == {8}
    assert len({one["id"] for page in pages for one in page["result"]}) == 8
    assert [one["type"] for one in api.done("GET", path, name="www")] == ["TXT"]
    assert len(api.done("GET", path, type="A")) == 7
    assert len(api.done("GET", path, type="TXT", name=f"h1.{NAME}", match="any")) == 2
    assert len(api.done("GET", path, search="h1")) == 1


def test_a_zone_is_exported_as_bind(api, zone):
    """With TTL 1 for automatic, and the tag that says what is proxied."""
    put_in(api, zone, {**A, "proxied": True}, {**CNAME, "name": "@"})
    _, text = api.ask("GET", f"{zone}/dns_records/export")
    assert f"{HOST}.\t1\tIN\tA\t203.0.113.7 ; cf_tags=cf-proxied:true" in text
    assert f"{NAME}.\t60\tIN\tCNAME\ttarget.example.net. ; cf_tags=cf-proxied:false" in text
    assert text.count("\tIN\tNS\t") == 2


RULE = {"action": "block", "expression": "true", "ref": "mine"}
LIMIT = {"characteristics": ["ip.src", "cf.colo.id"], "period": 10, "requests_per_period": 5}
LIMITED = {**RULE, "ratelimit": {**LIMIT, "mitigation_timeout": 10}}


def entrypoint(zone, phase="http_request_firewall_custom"):
    return f"{zone}/rulesets/phases/{phase}/entrypoint"


def test_a_rule_is_patched_whole(api, zone):
    """No ruleset is a 404; a PATCH needs action and expression, what else it leaves out is default."""
    assert api.code("GET", entrypoint(zone)) == 10003
    made = api.done("PUT", entrypoint(zone), {"rules": [{**RULE, "description": "why", "enabled": False}]})
    rule = f"{zone}/rulesets/{made['id']}/rules/{made['rules'][0]['id']}"
    assert api.code("PATCH", rule, {"enabled": True}) == 20000
    (changed,) = api.done("PATCH", rule, RULE)["rules"]
    assert (changed["enabled"], changed["description"], changed["version"]) == (True, "", "2")
    api.done("POST", f"{zone}/rulesets/{made['id']}/rules", {**RULE, "ref": "second"})
    assert [one["ref"] for one in api.done("DELETE", rule)["rules"]] == ["second"]


@pytest.mark.parametrize(
    ("plan", "phase", "rules", "allowed"),
    [
        ("free", "http_request_firewall_custom", [{**RULE, "action": "log"}], False),
        ("enterprise", "http_request_firewall_custom", [{**RULE, "action": "log"}], True),
        ("free", "http_ratelimit", [LIMITED], True),
        ("free", "http_ratelimit", [LIMITED, {**LIMITED, "ref": "other"}], False),
        ("pro", "http_ratelimit", [LIMITED, {**LIMITED, "ref": "other"}], True),
        ("free", "http_ratelimit", [{**RULE, "ratelimit": {**LIMIT, "period": 60}}], False),
        ("pro", "http_ratelimit", [{**RULE, "ratelimit": {**LIMIT, "period": 60}}], True),
        ("pro", "http_ratelimit", [{**RULE, "ratelimit": {**LIMIT, "period": 50}}], False),
        ("pro", "http_ratelimit", [{**RULE, "ratelimit": {**LIMIT, "characteristics": ["ip.src"]}}], False),
    ],
)
def test_rules_go_by_plan(api, zone, plan, phase, rules, allowed):
    """`log` is Enterprise's; how many rate limits, how long their period, is the plan's."""
    if plan != "free":
        api.world.play(f"cloudflare-{plan}")
    status, _ = api.ask("PUT", entrypoint(zone, phase), {"rules": rules})
    assert (status == 200) == allowed


def test_graphql_says_its_errors_with_http_200(api):
    """A zone that is not ours is refused inside a 200."""
    asked = {"query": "{ firewallEventsAdaptive { action } }", "variables": {"zone": "0" * 32}}
    status, said = api.ask("POST", "/graphql", asked)
    assert (status, said["data"], len(said["errors"])) == (200, None, 1)
