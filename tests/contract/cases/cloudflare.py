"""Cloudflare: zones and their activation, records, certificates, settings, WAF and rate limiting rules."""

import warnings
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest
from cloudflare import BadRequestError
from cloudflare import Cloudflare as TheirClient
from octodns.record import Record as TheirRecord
from octodns.zone import Zone as TheirZone
from octodns_cloudflare import CloudflareProvider

from runbook.providers import cloudflare
from runbook.providers.cloudflare import Entry, RateLimit
from runbook.sandbox.vendors.cloudflare.emulator import ACCOUNT
from tests.contract.table import Case, Foreign, Refusal, Vendor

NAME = "omnihub.dev."
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CUSTOM, MANAGED = "http_request_firewall_custom", "http_request_firewall_managed"
LIMIT = RateLimit(
    characteristics=("ip.src", "cf.colo.id"), period_s=10, requests_per_period=50, mitigation_timeout_s=10
)
ENTRIES = (
    Entry.of(NAME, "ALIAS", "cname.vercel-dns.com.", ttl_s=60),
    Entry.of(NAME, "CAA", '0 issue "letsencrypt.org"', ttl_s=300),
    Entry.of(NAME, "MX", "10 mx.example.net.", ttl_s=3600),
    Entry.of(NAME, "TXT", '"v=spf1 include:example.net -all"', ttl_s=300),
    Entry.of(f"www.{NAME}", "CNAME", "cname.vercel-dns.com.", proxied=True, comment="the site"),
    Entry.of(f"api.{NAME}", "A", "203.0.113.7"),
    Entry.of(f"api.{NAME}", "A", "203.0.113.8"),
    Entry.of(f"_sip._tcp.{NAME}", "SRV", "10 5 5060 sip.example.net.", ttl_s=300),
    Entry.of(f"long._domainkey.{NAME}", "TXT", f"v=DKIM1; p={'A' * 400}", ttl_s=300),
    Entry.of(f"*.{NAME}", "A", "203.0.113.9", ttl_s=300),
)
SITE = ENTRIES[4]
MOVED = Entry.of(f"www.{NAME}", "CNAME", "elsewhere.example.net.", ttl_s=300)


# What the vendor holds


def tables(world):
    return world.dump()["cloudflare"]


def zones(world):
    return len(tables(world).get("zones", {}))


def records(world):
    found = tables(world)
    return [doc for name, docs in found.items() if name.startswith("records ") for doc in docs.values()]


def record_count(world):
    return len(records(world))


def changed(world):
    """Count the record sets the nameservers hold that are as the last case wants them."""
    return sum(doc["content"] == "elsewhere.example.net" for doc in records(world))


def rules(world):
    return [rule for doc in tables(world).get("rulesets", {}).values() for rule in doc["rules"]]


def switched_off(world):
    return sum(not rule["enabled"] for rule in rules(world))


def rule_count(world):
    return len(rules(world))


# Arrangements


def their_client(world):
    """A client that is closed on leaving: it would keep its sockets."""
    return closing(
        TheirClient(
            api_token=world.secrets()["cloudflare"]["token"],
            base_url=f"{world.url}/cloudflare/client/v4",
            max_retries=0,
        )
    )


MADE = {}
"""The zone of the case under way: read once, so that a fault hits what the case is about."""


def a_zone(world, step):
    MADE["zone"] = cloudflare.apply_zone(step, name=NAME)


def the_zone(_step):
    return MADE["zone"]


def some_records(world, step):
    a_zone(world, step)
    cloudflare.apply_records(step, the_zone(step), put=ENTRIES)


def many_records(world, step):
    """250 records are two pages."""
    world.play("cloudflare-pro")
    a_zone(world, step)
    more = tuple(Entry.of(f"h{n}.{NAME}", "A", f"203.0.113.{n}", ttl_s=300) for n in range(1, 251))
    cloudflare.apply_records(step, the_zone(step), put=more)


def active(world, step):
    some_records(world, step)
    world.play("delegated-to-cloudflare")
    world.advance(timedelta(minutes=2))


def certified(world, step):
    active(world, step)
    world.advance(HOUR)


def pending_certificate(world, step):
    world.play("pending-certificate")
    certified(world, step)


def a_rule(world, step):
    a_zone(world, step)
    block(step)


def blocks(world, step):
    a_zone(world, step)
    world.play("waf-blocks")


BILLED = {}  # the month whose bill is asked for


def to_come(world, step):
    """Move the world to the eleventh of the next month, and ask for that month's bill."""
    first = (world.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    BILLED["month"] = first.date()
    world.advance_to(first.replace(day=11, hour=5, minute=0, second=0, microsecond=0))


def paid(world, step):
    world.play("cloudflare-pro")
    to_come(world, step)
    a_zone(world, step)


# What runbooks do


def read_bill(step):
    return cloudflare.read_charges(step, month=BILLED["month"])


def expect_bill(charges, world):
    """The plan's price for the month, usage of nine days: the tenth's is told a day late."""
    assert [(one.what, one.cost_usd) for one in charges if one.recurring] == [("Pro Website", 20.0)]
    assert [one.since.day for one in charges if not one.recurring] == list(range(1, 10))
    assert {one.cost_usd for one in charges if not one.recurring} == {0.024}


def expect_nothing_paid(charges, world):
    assert [(one.cost_usd, one.source) for one in charges] == [(0.0, "billed")]


def create(step):
    return cloudflare.apply_zone(step, name=NAME)


def expect_pending(zone, world):
    assert (zone.name, zone.status, zone.plan) == (NAME, "pending", "free")
    assert zone.deleted_at - zone.created_at == 28 * DAY
    assert len(zone.nameservers) == 2
    assert zones(world) == 1


def expect_token(token, world):
    assert (token.status, token.expires_at) == ("active", None)


def expect_zones(found, world):
    assert [zone.name for zone in found] == [NAME]


def check(step):
    return cloudflare.apply_activation_check(step, the_zone(step)).name


def expect_activated_soon(name, world):
    assert name == NAME
    world.advance(timedelta(seconds=35))
    assert [doc["status"] for doc in tables(world)["zones"].values()] == ["active"]


def delegated(world, step):
    a_zone(world, step)
    world.advance(3 * HOUR)  # the scheduled looks are rare by now
    world.play("delegated-to-cloudflare")


def put(step):
    return cloudflare.apply_records(step, the_zone(step), put=ENTRIES)


def expect_put(found, world):
    assert [(one.key, one.ttl_s, one.proxied) for one in found] == [
        (one.key, one.ttl_s, one.proxied) for one in ENTRIES
    ]
    assert record_count(world) == len(ENTRIES)


def replace(step):
    return cloudflare.apply_records(
        step,
        the_zone(step),
        put=(MOVED, ENTRIES[5].model_copy(update={"ttl_s": 60})),
        remove=(SITE, ENTRIES[6]),
    )


def expect_replaced(found, world):
    assert [one.value for one in found] == ["elsewhere.example.net.", "203.0.113.7"]
    assert [doc["ttl"] for doc in records(world) if doc["content"] == "203.0.113.7"] == [60]
    assert record_count(world) == len(ENTRIES) - 1


def read(step):
    return cloudflare.read_records(step, the_zone(step))


def expect_read(found, world):
    assert {one.key for one in found} == {one.key for one in ENTRIES}


def expect_many(found, world):
    assert len({one.id for one in found}) == 250


def put_one(step):
    return cloudflare.apply_record(step, the_zone(step), entry=SITE)


def expect_one(found, world):
    assert (found.value, found.proxied, found.comment) == ("cname.vercel-dns.com.", True, "the site")
    assert record_count(world) == 1


def unproxied_site(world, step):
    a_zone(world, step)
    plain = SITE.model_copy(update={"proxied": False, "ttl_s": 300, "comment": ""})
    cloudflare.apply_record(step, the_zone(step), entry=plain)


def proxied(world):
    return sum(doc.get("proxied", False) for doc in records(world))


def site_id(step):
    zone = the_zone(step)
    (found,) = [one for one in cloudflare.read_records(step, zone) if one.name == SITE.name]
    return zone, found.id


def overwrite(step):
    zone, key = site_id(step)
    return cloudflare.apply_record_overwritten(step, zone, record_id=key, entry=MOVED)


def expect_overwritten(found, world):
    assert (found.value, found.proxied, found.ttl_s) == ("elsewhere.example.net.", False, 300)


def read_one(step):
    zone, key = site_id(step)
    return cloudflare.read_record(step, zone, record_id=key)


def expect_site(found, world):
    assert found.is_as(SITE)


def remove(step):
    """The resume of a removal that was done finds nothing left to remove."""
    zone = the_zone(step)
    mine = [one for one in cloudflare.read_records(step, zone) if one.name == SITE.name]
    for one in mine:
        assert cloudflare.apply_record_removed(step, zone, record_id=one.id)
    return True


def expect_removed(found, world):
    assert not [doc for doc in records(world) if doc["name"] == "www.omnihub.dev"]


def removed(world):
    return -record_count(world)


def export(step):
    return cloudflare.read_export(step, the_zone(step))


def expect_export(found, world):
    assert found.records == cloudflare.record_sets(ENTRIES)
    assert "omnihub.dev.\t60\tIN\tCNAME\tcname.vercel-dns.com." in found.text


def quota(step):
    return cloudflare.read_quota(step, the_zone(step)), setting(step)


def expect_quota(found, world):
    held, ssl = found
    assert (held.records, held.most) == (len(ENTRIES), 200)
    assert (ssl.name, ssl.value, ssl.changed_at) == ("ssl", "full", None)


def certificates(step):
    """Read all packs, and each by itself: the same."""
    zone = the_zone(step)
    found = cloudflare.read_certificates(step, zone)
    assert [cloudflare.read_certificate(step, zone, pack_id=one.id) for one in found] == list(found)
    return found


def expect_serving(found, world):
    (one,) = found
    assert one.is_serving
    assert one.covers(NAME)
    assert one.covers(f"www.{NAME}")
    assert not one.covers(f"a.b.{NAME}")
    assert one.expires_at is not None


def expect_not_serving(found, world):
    (one,) = found
    assert (one.status, one.is_serving, one.expires_at) == ("pending_validation", False, None)


def verification(step):
    return cloudflare.read_verification(step, the_zone(step))


def expect_authorizing(found, world):
    assert [(one.status, one.method) for one in found] == [("authorizing", "txt")]


def setting(step):
    return cloudflare.read_setting(step, the_zone(step), name="ssl")


def make_strict(step):
    return cloudflare.apply_setting(step, the_zone(step), name="ssl", value="strict")


def expect_strict(found, world):
    assert found.value == "strict"
    assert [doc["value"] for doc in tables(world)["settings"].values()] == ["strict"]


def strict(world):
    return len(tables(world).get("settings", {}))


def block(step, **more):
    return cloudflare.apply_rule(
        step,
        the_zone(step),
        phase=CUSTOM,
        ref="omnihub_block_scanners",
        action="block",
        expression='http.request.uri.path contains "/wp-admin"',
        description="No scanners",
        **more,
    )


def expect_block(found, world):
    assert (found.action, found.enabled) == ("block", True)
    assert rule_count(world) == 1


def limit_rate(step):
    return cloudflare.apply_rule(
        step,
        the_zone(step),
        phase="http_ratelimit",
        ref="omnihub_api_rate",
        action="block",
        expression='starts_with(http.request.uri.path, "/api/")',
        rate_limit=LIMIT,
    )


def expect_rate(found, world):
    assert found.rate_limit == LIMIT
    assert rule_count(world) == 1


def read_rules(step, phase=CUSTOM):
    return cloudflare.read_rules(step, the_zone(step), phase=phase)


def expect_rules(found, world):
    assert [(rule.ref, rule.enabled) for rule in found] == [("omnihub_block_scanners", True)]


def read_no_rules(step):
    return read_rules(step, MANAGED)


def expect_no_rules(found, world):
    assert found == ()


def switch_off(step):
    zone = the_zone(step)
    return cloudflare.apply_rule_enabled(
        step, zone, phase=CUSTOM, ref="omnihub_block_scanners", enabled=False
    )


def expect_off(found, world):
    assert (found.enabled, found.description) == (False, "No scanners")
    assert switched_off(world) == 1


def events(step):
    now = step.clock.now()
    return cloudflare.read_firewall_events(step, the_zone(step), since=now - HOUR, until=now)


def expect_events(found, world):
    assert {one.action: one.count for one in found} == {"block": 100, "managed_challenge": 20}


# Somebody else's clients


def sdk_makes_a_zone(world):
    with their_client(world) as client:
        assert client.user.tokens.verify().status == "active"
        zone = client.zones.create(account={"id": ACCOUNT}, name="omnihub.dev", type="full")
        assert (zone.status, len(zone.name_servers)) == ("pending", 2)
        assert [one.id for one in client.zones.list(name="omnihub.dev")] == [zone.id]
        assert client.zones.activation_check.trigger(zone_id=zone.id).id == zone.id
        assert client.zones.get(zone_id=zone.id).plan.legacy_id == "free"
        assert client.zones.settings.get("ssl", zone_id=zone.id).value == "full"
        with pytest.raises(BadRequestError) as refused:
            client.zones.create(account={"id": ACCOUNT}, name="omnihub.dev", type="full")
        assert [error.code for error in refused.value.errors] == [1061]


def sdk_edits_records(world):
    with their_client(world) as client:
        zone = client.zones.create(account={"id": ACCOUNT}, name="omnihub.dev", type="full").id
        api = client.dns.records
        one = api.create(zone_id=zone, name="www", type="A", content="203.0.113.7", ttl=1, proxied=True)
        assert (one.name, one.ttl, one.proxied) == ("www.omnihub.dev", 1, True)
        edited = api.edit(
            one.id, zone_id=zone, name="www", type="A", content="203.0.113.8", ttl=60, proxied=False
        )
        assert (edited.ttl, edited.content) == (60, "203.0.113.8")
        api.update(one.id, zone_id=zone, name="www", type="A", content="203.0.113.9", ttl=120)
        posts = [{"name": "@", "type": "MX", "content": "mx.example.net", "priority": 10, "ttl": 300}]
        done = api.batch(zone_id=zone, deletes=[{"id": one.id}], posts=posts)
        assert (done.deletes[0].id, done.posts[0].name) == (one.id, "omnihub.dev")
        assert [found.type for found in api.list(zone_id=zone)] == ["MX"]
        assert "MX\t10 mx.example.net." in api.export(zone_id=zone)
        assert api.delete(done.posts[0].id, zone_id=zone).id == done.posts[0].id
        assert client.dns.usage.zone.get(zone_id=zone).record_usage == 0


def sdk_sees_certificates_and_rules(world):
    with their_client(world) as client:
        zone = client.zones.create(account={"id": ACCOUNT}, name="omnihub.dev", type="full").id
        client.dns.records.create(
            zone_id=zone, name="www", type="A", content="203.0.113.7", ttl=1, proxied=True
        )
        world.play("delegated-to-cloudflare")
        world.advance(timedelta(minutes=30))
        assert list(client.ssl.certificate_packs.list(zone_id=zone)) == []
        packs = list(client.ssl.certificate_packs.list(zone_id=zone, status="all"))
        assert [pack.status for pack in packs] == ["pending_issuance"]
        assert [one.certificate_status for one in client.ssl.verification.get(zone_id=zone)] == ["issuing"]
        rule = {"action": "block", "expression": "ip.src eq 203.0.113.1", "ref": "theirs"}
        client.rulesets.phases.update(CUSTOM, zone_id=zone, rules=[rule])
        made = client.rulesets.phases.get(CUSTOM, zone_id=zone)
        kept = made.rules[0]
        fields = {"action": "block", "expression": kept.expression, "enabled": False, "ref": kept.ref}
        client.rulesets.rules.edit(kept.id, ruleset_id=made.id, zone_id=zone, **fields)
        edited = client.rulesets.phases.get(CUSTOM, zone_id=zone)
        assert [(one.ref, one.enabled) for one in edited.rules] == [("theirs", False)]


@contextmanager
def octodns(world):
    """A provider of its own for each step: it keeps what it has read. Its own deprecations are not ours."""
    provider = CloudflareProvider(
        "sandbox",
        token=world.secrets()["cloudflare"]["token"],
        account_id=ACCOUNT,
        api_url=f"{world.url}/cloudflare/client/v4",
        pagerules=False,
        retry_period=0,
    )
    with warnings.catch_warnings(), closing(provider._sess):
        warnings.simplefilter("ignore", DeprecationWarning)
        yield provider


def sync(world, zone):
    """Bring a zone to what is wanted; return how many changes that took, and how many are left."""
    with octodns(world) as provider:
        plan = provider.plan(zone)
        provider.apply(plan)
    with octodns(world) as provider:
        left = provider.plan(zone)
    return len(plan.changes), 0 if left is None else len(left.changes)


def octodns_syncs_a_zone(world):
    """It creates the zone, writes every type it knows, sees no difference, changes, and removes."""
    whole = their_zone()
    assert sync(world, whole) == (len(whole.records), 0)
    fewer = TheirZone(NAME, [])
    fewer.add_record(TheirRecord.new(fewer, "www", {"type": "A", "ttl": 600, "value": "203.0.113.44"}))
    assert sync(world, fewer) == (len(whole.records) + 1, 0)
    assert [doc["content"] for doc in records(world)] == ["203.0.113.44"]


LOCATION = {
    "lat_degrees": 52,
    "lat_minutes": 22,
    "lat_seconds": 23.0,
    "lat_direction": "N",
    "long_degrees": 4,
    "long_minutes": 53,
    "long_seconds": 32.0,
    "long_direction": "E",
    "altitude": -2.0,
    "size": 0.0,
    "precision_horz": 10000.0,
    "precision_vert": 10.0,
}
THEIRS = {
    "": [
        {"type": "ALIAS", "ttl": 300, "value": "cname.vercel-dns.com."},
        {"type": "CAA", "ttl": 300, "value": {"flags": 0, "tag": "issue", "value": "letsencrypt.org"}},
        {"type": "MX", "ttl": 300, "value": {"preference": 10, "exchange": "mx.example.net."}},
        {"type": "TXT", "ttl": 300, "values": ["v=spf1 -all", "a" * 400]},
    ],
    "www": [{"type": "CNAME", "ttl": 300, "value": "cname.vercel-dns.com."}],
    "api": [
        {"type": "A", "ttl": 300, "values": ["203.0.113.7", "203.0.113.8"]},
        {"type": "AAAA", "ttl": 300, "value": "2001:db8::7"},
        {
            "type": "HTTPS",
            "ttl": 300,
            "value": {"svcpriority": 1, "targetname": ".", "svcparams": {"alpn": ["h3"]}},
        },
        {"type": "LOC", "ttl": 300, "value": LOCATION},
        {
            "type": "SSHFP",
            "ttl": 300,
            "value": {"algorithm": 1, "fingerprint_type": 1, "fingerprint": "ab" * 20},
        },
    ],
    "_sip._tcp": [
        {
            "type": "SRV",
            "ttl": 300,
            "value": {"priority": 1, "weight": 2, "port": 3, "target": "sip.example.net."},
        }
    ],
    "_443._tcp": [
        {
            "type": "TLSA",
            "ttl": 300,
            "value": {
                "certificate_usage": 3,
                "selector": 1,
                "matching_type": 1,
                "certificate_association_data": "ab" * 32,
            },
        }
    ],
    "naptr": [
        {
            "type": "NAPTR",
            "ttl": 300,
            "value": {
                "order": 10,
                "preference": 20,
                "flags": "U",
                "service": "SIP+D2U",
                "regexp": "!^.*$!sip:a@example.net!",
                "replacement": ".",
            },
        }
    ],
    "sub": [
        {"type": "NS", "ttl": 300, "values": ["ns1.example.net.", "ns2.example.net."]},
        {
            "type": "DS",
            "ttl": 300,
            "value": {"key_tag": 1, "algorithm": 13, "digest_type": 2, "digest": "ab" * 32},
        },
    ],
    "host": [{"type": "PTR", "ttl": 300, "value": "host.example.net."}],
}


def their_zone():
    zone = TheirZone(NAME, [])
    for name, sets in THEIRS.items():
        for data in sets:
            zone.add_record(TheirRecord.new(zone, name, data))
    return zone


LET_BE = {
    # Zones
    "('jump_start' was unexpected)": "octoDNS still sends it when it creates a zone; it is ignored",
    "('status', 'paused', 'type', 'plan' were unexpected)": "a zone's status and plan are missing from the "
    "description of 2024; the vendor's own SDK has them",
    "reply: the body: Unevaluated properties are not allowed ('result' was unexpected)": "the same, told of "
    "what is around it; whatever is wrong inside a result is a finding of its own",
    # Records
    "cloudflare read_usage: ": "newer than the description, which takes it for a record; the SDK has it",
    '"content" is a required property': "types of several fields are sent as data; the API makes content",
    "Request body validation error": "the same, by a second judge; the first one names each field",
    "delete_record: DELETE": "a body without a schema is required; neither the SDK nor octoDNS sends one",
    """{"content":"mx.example.net.",""": "octoDNS ends names with a dot; Cloudflare takes it off",
    "('priority', 'content', 'name', 'type', 'ttl' were unexpected)": "the same MX",
    """{"data":{"name":"omnihub.dev.",""": "the same in an SRV",
    "('data', 'name', 'type', 'ttl' were unexpected)": "the same SRV",
    **{
        f"→ {status}: reply: {wrong}": "a refusal is described as a success and a failure at once"
        for status in (400, 404)
        for wrong in ("success: false is not one of true", "result: null is not ")
    },
    "Tried to write read-only property with 0a11ce": "the account's id in the path is marked as read-only",
    # The rest
    **{
        f'request: the body: "{field}" is a required': "Cloudflare makes it, in the reply"
        for field in ("id", "version")
    },
    "/ssl/certificate_packs → 200: unknown query parameter page": "the SDK pages it",
}

VENDOR = Vendor(
    name="cloudflare",
    specs={"/cloudflare/client/v4": "cloudflare"},
    cases=[
        Case("the token is good", do=cloudflare.read_token, expect=expect_token),
        Case("the bill is read", arrange=paid, do=read_bill, expect=expect_bill),
        Case("nothing is paid for", arrange=to_come, do=read_bill, expect=expect_nothing_paid),
        Case("a zone is created once", do=create, expect=expect_pending, effect=zones),
        Case("zones are listed", arrange=a_zone, do=cloudflare.read_zones, expect=expect_zones),
        Case(
            "a check of the delegation is asked for",
            arrange=delegated,
            do=check,
            expect=expect_activated_soon,
            unproven="the look comes later; a zone's status, read again, proves it",
        ),
        Case("records are put in as a batch", arrange=a_zone, do=put, expect=expect_put, effect=record_count),
        Case(
            "records are replaced in one batch",
            arrange=some_records,
            do=replace,
            expect=expect_replaced,
            effect=changed,
        ),
        Case("records are read", arrange=some_records, do=read, expect=expect_read),
        Case("many records are read whole", arrange=many_records, do=read, expect=expect_many),
        Case("one record is created", arrange=a_zone, do=put_one, expect=expect_one, effect=record_count),
        Case("one record is changed", arrange=unproxied_site, do=put_one, expect=expect_one, effect=proxied),
        Case("one record is read", arrange=some_records, do=read_one, expect=expect_site),
        Case(
            "one record is overwritten",
            arrange=some_records,
            do=overwrite,
            expect=expect_overwritten,
            effect=changed,
        ),
        Case("one record is removed", arrange=some_records, do=remove, expect=expect_removed, effect=removed),
        Case("the zone is exported", arrange=some_records, do=export, expect=expect_export),
        Case("quota and setting are read", arrange=some_records, do=quota, expect=expect_quota),
        Case("the certificate serves", arrange=certified, do=certificates, expect=expect_serving),
        Case(
            "a pending certificate is seen",
            arrange=pending_certificate,
            do=certificates,
            expect=expect_not_serving,
        ),
        Case(
            "its verification is seen",
            arrange=pending_certificate,
            do=verification,
            expect=expect_authorizing,
        ),
        Case("a phase without rules has none", arrange=a_rule, do=read_no_rules, expect=expect_no_rules),
        Case("rules are read", arrange=a_rule, do=read_rules, expect=expect_rules),
        Case("a setting is changed", arrange=a_zone, do=make_strict, expect=expect_strict, effect=strict),
        Case("a WAF rule is made once", arrange=a_zone, do=block, expect=expect_block, effect=rule_count),
        Case(
            "a rate limit is made once", arrange=a_zone, do=limit_rate, expect=expect_rate, effect=rule_count
        ),
        Case("a rule is switched off", arrange=a_rule, do=switch_off, expect=expect_off, effect=switched_off),
        Case("what the WAF did is counted", arrange=blocks, do=events, expect=expect_events),
    ],
    refusals=[
        Refusal(
            "a record beside a CNAME",
            arrange=some_records,
            do=lambda step: cloudflare.apply_record(
                step, the_zone(step), entry=Entry.of(SITE.name, "A", "203.0.113.1")
            ),
            code="81054",
        ),
        Refusal(
            "a CNAME beside an address",
            arrange=some_records,
            do=lambda step: cloudflare.apply_records(
                step, the_zone(step), put=(Entry.of(f"api.{NAME}", "CNAME", "x.example.net."),)
            ),
            code="81053",
        ),
        Refusal(
            "a TTL below a minute on Free",
            arrange=a_zone,
            do=lambda step: cloudflare.apply_records(
                step, the_zone(step), put=(Entry.of(f"api.{NAME}", "A", "203.0.113.1", ttl_s=30),)
            ),
            code="9021",
        ),
        Refusal(
            "more records than the quota",
            arrange=a_zone,
            do=lambda step: cloudflare.apply_records(
                step,
                the_zone(step),
                put=tuple(Entry.of(f"h{n}.{NAME}", "A", "203.0.113.1", ttl_s=60) for n in range(201)),
            ),
            code="81045",
        ),
        Refusal(
            "a record that is not there",
            arrange=a_zone,
            do=lambda step: cloudflare.read_record(step, the_zone(step), record_id="0" * 32),
            code="81044",
        ),
        Refusal(
            "an action of another plan",
            arrange=a_rule,
            do=lambda step: cloudflare.apply_rule(
                step, the_zone(step), phase=CUSTOM, ref="log", action="log", expression="true"
            ),
            code="20000",
        ),
        Refusal(
            "events of a zone that is not ours, inside HTTP 200",
            arrange=a_zone,
            do=lambda step: cloudflare.read_firewall_events(
                step,
                the_zone(step).model_copy(update={"id": "0" * 32}),
                since=step.clock.now() - HOUR,
                until=step.clock.now(),
            ),
            code="",
        ),
    ],
    foreign=[
        Foreign("cloudflare makes a zone", sdk_makes_a_zone),
        Foreign("cloudflare edits records", sdk_edits_records),
        Foreign("cloudflare sees certificates and rules", sdk_sees_certificates_and_rules),
        Foreign("octodns syncs a zone", octodns_syncs_a_zone),
    ],
    let_be=LET_BE,
)
