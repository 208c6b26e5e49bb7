"""Vercel: a zone's records, a project's builds, rolling releases, rollback and promote."""

from datetime import timedelta

import pytest
import requests

from runbook.errors import VendorUnavailable
from runbook.providers import vercel
from runbook.providers.vercel.api import open_api
from runbook.sandbox.vendors.vercel.deployments import CURRENT, OLD, OLDER, PREVIEW, STAGED
from runbook.sandbox.vendors.vercel.desk import TEAM
from runbook.sandbox.vendors.vercel.domains import DOMAIN, ELSEWHERE
from runbook.sandbox.vendors.vercel.projects import PROJECT
from runbook.sandbox.vendors.vercel.zonefile import OWN, SYSTEM
from tests.contract.table import Case, Refusal, Vendor

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
PERCENTS = (5, 25, 50, 100)
SPLIT = 95  # so many newer records that a page ends amid those of the zone file
CLOUDFLARE = ("ada.ns.cloudflare.com.", "bob.ns.cloudflare.com.")
NEW_RECORDS = (
    ("_acme-challenge", "TXT", '"' + "k" * 255 + '" "' + "l" * 45 + ' \\"quoted\\""'),
    ("mail", "MX", "5 mx.mail.example."),
    ("_xmpp._tcp", "SRV", "0 5 5222 xmpp.omnihub.dev."),
    ("shop", "HTTPS", '1 shop.example. alpn="h2,h3"'),
    ("shop", "ALIAS", "shop.example."),
    ("münchen2", "AAAA", "2001:DB8:0::7"),
)


def kept(world, table):
    return world.dump()["vercel"].get(table, {})


def the_project(world):
    return kept(world, "project")[PROJECT]


def served_by(world):
    """Return the newest row of the traffic table as (current, canary, percent)."""
    row = list(kept(world, "traffic").values())[-1]
    return row["current"], row["canary"], row["canary_percent"]


def turns(world):
    """Count how often traffic was split anew."""
    return len(kept(world, "traffic"))


def settled_turns(world):
    """Count it when all that is under way has come to its end."""
    world.advance(10 * MINUTE)
    return turns(world)


def post(world, path, json, method="POST"):
    token = world.secrets()["vercel"]["token"]
    reply = requests.request(
        method,
        f"{world.url}/vercel{path}",
        params={"teamId": TEAM},
        json=json,
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    assert reply.ok, reply.text
    return reply


# The bill

BILLED = {}  # the month whose bill is asked for


def to_come(world, day, hour):
    """Move the world to a day of the next month, and ask for that month's bill."""
    first = (world.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    BILLED["month"] = first.date()
    world.advance_to(first.replace(day=day, hour=hour, minute=0, second=0, microsecond=0))


def read_bill(step):
    """Return the prices, and what each day cost; how many rows that takes differs from month to month."""
    days, prices = {}, []
    for one in vercel.read_charges(step, month=BILLED["month"]):
        if one.recurring:
            prices.append((one.what, one.cost_usd, str(one.since.day)))
        else:
            days[one.since.day] = days.get(one.since.day, 0) + one.cost_usd
    return {"prices": prices, "days": days}


def expect_bill(bill, world):
    """The seat once, a day's usage and the credit that takes it back; the tenth is told at six only."""
    assert bill["prices"] == [("Pro", 20, "4")]
    assert list(bill["days"]) == list(range(1, 10))
    assert sum(bill["days"].values()) == pytest.approx(0, abs=1e-4)


def arrange_gap_in_bill(world, step):
    to_come(world, 3, 5)
    world.play("charges-missing")
    world.play("usage-surge")
    world.advance(timedelta(days=8))


def expect_gap_in_bill(bill, world):
    assert list(bill["days"]) == [1, 2, *range(4, 10)]
    assert bill["days"][9] > 1  # the credit is used up


# Records


def arrange_many(world, step):
    for number in range(SPLIT):
        body = {"name": f"host{number}", "type": "A", "value": "203.0.113.9"}
        post(world, f"/v2/domains/{DOMAIN}/records", body)


def read(step):
    return vercel.read_records(step, domain=DOMAIN)


def expect_whole(found, world):
    assert len(found) == len({one.id for one in found}) == SPLIT + len(OWN) + len(SYSTEM)
    assert [one.type for one in found if one.system] == ["CNAME", "ALIAS", "CAA"]
    by_key = {(one.name, one.type, one.value) for one in found}
    assert (f"{DOMAIN}.", "MX", "10 mx1.mail.example.") in by_key
    assert (f"_sip._tcp.{DOMAIN}.", "SRV", f"10 5 5061 sip.{DOMAIN}.") in by_key
    assert (f"{DOMAIN}.", "HTTPS", '1 . alpn="h2"') in by_key
    (dkim,) = (one.value for one in found if "_domainkey" in one.name)
    assert dkim.count('"') == 4


def lower(step):
    records = read(step)
    return vercel.apply_ttls(step, domain=DOMAIN, ttls_s=vercel.above(records, 300))


def expect_lowered(found, world):
    own = [doc for doc in kept(world, "records").values() if not doc["system"]]
    assert max(doc["ttl"] for doc in own) == 300
    assert sorted({doc["ttl"] for doc in own}) == [60, 300]


def retimed(world):
    return sum(doc["updated"] != doc["created"] for doc in kept(world, "records").values())


def create(step):
    return tuple(
        vercel.apply_record(step, domain=DOMAIN, name=name, kind=kind, value=value, ttl_s=120)
        for name, kind, value in NEW_RECORDS
    )


def expect_created(found, world):
    assert [(one.type, one.ttl_s, one.system) for one in found] == [
        (k, 120, False) for _, k, _ in NEW_RECORDS
    ]
    assert [one.value for one in found][:3] == [value for _, _, value in NEW_RECORDS][:3]
    assert found[-1].name == f"xn--mnchen2-n2a.{DOMAIN}."
    docs = {(doc["name"], doc["type"]): doc for doc in kept(world, "records").values()}
    assert docs["mail", "MX"]["priority"] == 5
    assert docs["_acme-challenge", "TXT"]["value"] == "k" * 255 + "l" * 45 + ' "quoted"'


def records(world):
    return len(kept(world, "records"))


def remove(step):
    gone = [one.id for one in read(step) if one.name == f"status.{DOMAIN}."]
    return [vercel.apply_removal(step, domain=DOMAIN, record_id=key) for key in gone or ["rec_0"]]


def expect_removed(_found, world):
    assert records(world) == len(OWN) + len(SYSTEM) - 1


def of_the_system(step):
    return next(one.id for one in read(step) if one.system and one.type == "CAA")


def change_type(step):
    with open_api(step) as api:
        key = next(one.id for one in read(step) if one.type == "MX")
        api.send("update_record", "PATCH", f"/v1/domains/records/{key}", json={"type": "TXT"}, once=False)


# Domains


def expect_domains(found, world):
    ours = next(one for one in found if one.name == DOMAIN)
    assert (ours.bought_here, ours.service) == (True, "zeit.world")
    assert ours.nameservers == ours.intended == ("ns1.vercel-dns.com.", "ns2.vercel-dns.com.")
    assert not next(one for one in found if one.name == ELSEWHERE).bought_here


def read_around(step):
    """Everything else there is to read of domains."""
    return (
        vercel.read_domain(step, domain=DOMAIN),
        vercel.read_leading(step, name=DOMAIN),
        vercel.read_leading(step, name=f"www.{DOMAIN}"),
        vercel.read_leading(step, name=f"sip.{DOMAIN}"),
        vercel.read_project_domains(step),
        vercel.read_project_domain(step, name=DOMAIN),
    )


def expect_around(found, world):
    domain, apex, www, sip, names, one = found
    assert (domain.name, domain.custom) == (DOMAIN, ())
    assert [each.configured_by for each in (apex, www, sip)] == ["A", "CNAME", None]
    assert (apex.misconfigured, sip.misconfigured) == (False, True)
    assert (apex.recommended_ipv4, apex.recommended_cname) == (("203.0.113.21",), "cname.vercel-dns.com.")
    assert {each.name: each.redirect for each in names} == {DOMAIN: "", f"www.{DOMAIN}": DOMAIN}
    assert one.verified


def switch(step):
    return vercel.apply_nameservers(step, domain=DOMAIN, nameservers=CLOUDFLARE)


def expect_switched(found, world):
    assert found.custom == CLOUDFLARE
    world.advance(MINUTE)
    assert delegated(world) == list(CLOUDFLARE)


def delegated(world):
    key = next(
        key for key in world.dump()["dns"]["records"] if key.endswith(f" {DOMAIN}. NS") and "registry" in key
    )
    return world.dump()["dns"]["records"][key]["values"]


def book(world):
    return len(kept(world, "domains")[DOMAIN]["custom"])


def arrange_switched(world, step):
    switch(step)
    world.advance(MINUTE)


def switch_back(step):
    return vercel.apply_nameservers(step, domain=DOMAIN, nameservers=())


def expect_back(found, world):
    assert found.custom == ()
    world.advance(MINUTE)
    assert delegated(world) == ["ns1.vercel-dns.com.", "ns2.vercel-dns.com."]


# Project and builds


def expect_project(found, world):
    assert (found.production, found.assigns_domains, found.move) == (CURRENT, True, None)


def hold(step):
    return vercel.apply_auto_assign(step, on=False)


def expect_held(found, world):
    assert not found.assigns_domains
    assert the_project(world)["auto_assign"] is False


def held(world):
    return int(not the_project(world)["auto_assign"])


def long_ago(step):
    return step.clock.now() - 60 * DAY


def read_builds(step):
    return (
        vercel.read_deployments(step, since=long_ago(step)),
        vercel.read_deployments(step, since=long_ago(step), target="preview"),
        vercel.read_rollback_candidates(step, since=long_ago(step)),
        vercel.read_deployment(step, deployment=CURRENT),
    )


def expect_builds(found, world):
    production, previews, candidates, one = found
    assert [each.id for each in production] == [STAGED, CURRENT, OLD, OLDER]
    assert [each.seen for each in production] == ["STAGED", "PROMOTED", "PROMOTED", "PROMOTED"]
    assert [each.id for each in previews] == [PREVIEW]
    assert [each.id for each in candidates] == [OLD, OLDER]
    assert (one.state, one.meta["version"]) == ("READY", "v7.9.1")


def build(step, key="run-1/build"):
    return vercel.apply_deployment(
        step, key=key, since=step.clock.now() - DAY, sha="a" * 40, ref="main", target="preview"
    )


def expect_begun(found, world):
    assert found.meta["runbookKey"] == "run-1/build"
    assert found.meta["githubCommitSha"] == "a" * 40


def builds(world):
    return len(kept(world, "deployments"))


def rebuild(step):
    since = step.clock.now() - DAY
    begun = vercel.apply_rebuild(step, key="run-1/rebuild", since=since, deployment=PREVIEW)
    return vercel.read_build(step, deployment=begun.id)


def expect_rebuilt(found, world):
    assert (found.target, found.state, found.meta["version"]) == ("production", "READY", "v8.0.0-rc.1")


def begin_and_cancel(step):
    return vercel.apply_cancel(step, deployment=build(step).id)


def expect_cancelled(found, world):
    assert found.state == "CANCELED"
    world.advance(2 * HOUR)
    assert list(kept(world, "deployments").values())[-1]["state"] == "CANCELED"


# Rolling releases


def stages(step):
    return vercel.apply_stages(step, percents=PERCENTS)


def expect_stages(found, world):
    assert found == vercel.Stages(percents=(5.0, 25.0, 50.0, 100.0), by_hand=True)
    assert the_project(world)["skew_s"] > 0


def configured(world):
    return int(the_project(world)["config"] is not None)


def arrange_stages(world, step):
    stages(step)


def stages_off(step):
    vercel.apply_stages_off(step)
    return vercel.read_stages(step)


def expect_off(found, world):
    assert found is None


def start(step):
    return vercel.apply_release_start(step, canary=STAGED)


def expect_started(found, world):
    assert (found.state, found.stage, found.percent, found.by_hand) == ("ACTIVE", 0, 5.0, True)
    assert (found.current, found.canary, found.queued) == (CURRENT, STAGED, "")
    assert served_by(world) == (CURRENT, STAGED, 5.0)


def arrange_started(world, step):
    stages(step)
    start(step)


def go_on(step):
    return vercel.apply_stage(step, canary=STAGED, stage=1)


def expect_second(found, world):
    assert (found.stage, found.percent) == (1, 25.0)
    assert served_by(world) == (CURRENT, STAGED, 25.0)


def complete(step):
    return vercel.apply_release_complete(step, canary=STAGED)


def expect_complete(found, world):
    assert (found.state, found.percent) == ("COMPLETE", 100.0)
    assert served_by(world) == (STAGED, None, 0.0)


def arrange_automatic(world, step):
    body = {
        "enabled": True,
        "advancementType": "automatic",
        "stages": [
            {"targetPercentage": 10, "duration": 5},
            {"targetPercentage": 50, "duration": 10},
            {"targetPercentage": 100},
        ],
    }
    post(world, f"/v1/projects/{PROJECT}/rolling-release/config", body, method="PATCH")
    start(step)
    world.advance(6 * MINUTE)


def expect_advanced(found, world):
    assert (found.stage, found.percent, found.by_hand) == (1, 50.0, False)
    world.advance(10 * MINUTE)
    assert served_by(world) == (STAGED, None, 0.0)


def arrange_foreign(world, step):
    stages(step)
    start(step)
    world.play("foreign-release")
    world.advance(2 * HOUR)


def expect_queued(found, world):
    assert (found.canary, found.active) == (STAGED, True)
    assert found.queued not in ("", STAGED)


# Rollback and promote


def back(step, to=CURRENT):
    return vercel.apply_rollback(step, to=to, reason="error rate over 1 %")


def expect_aborted(found, world):
    assert (found.percent, found.assigns_domains) == (100.0, False)
    assert found.came_from == ("" if found.found else STAGED)
    assert found.took_s < 300
    assert served_by(world) == (CURRENT, None, 0.0)
    assert [doc["state"] for doc in kept(world, "releases").values()] == ["ABORTED"]
    assert kept(world, "deployments")[STAGED]["substate"] == "STAGED"


def back_further(step):
    return back(step, to=OLD)


def expect_rolled_back(found, world):
    assert (found.to, found.percent) == (OLD, 100.0)
    assert found.came_from == ("" if found.found else CURRENT)
    assert served_by(world) == (OLD, None, 0.0)


def arrange_older_proof(world, step):
    """A rollback to the same deployment that went well, and was undone since."""
    back(step, to=OLD)
    world.advance(HOUR)
    vercel.apply_promotion(step, to=CURRENT)
    world.advance(HOUR)


def again_if_failed(move):
    """What a person does whose move has failed: look at what it says, and resume."""

    def do(step):
        try:
            return move(step)
        except VendorUnavailable as error:
            if error.code != "failed" or DOMAIN not in str(error):
                raise
            return move(step)

    return do


def arrange_rolled_back(world, step):
    back(step, to=OLD)


def arrange_rolled_back_to_fail(world, step):
    back(step, to=OLD)
    world.play("promote-fails")


def undo(step):
    return vercel.apply_promotion(step, to=CURRENT)


def expect_undone(found, world):
    assert (found.percent, found.assigns_domains) == (100.0, True)
    assert served_by(world) == (CURRENT, None, 0.0)


def arrange_rolled_back_with_stages(world, step):
    back(step, to=OLD)
    stages(step)


def expect_rolling(found, world):
    assert (found.percent, found.assigns_domains) == (5.0, False)
    assert served_by(world) == (OLD, CURRENT, 5.0)


def arrange_promoted_by_another(world, step):
    arrange_started(world, step)
    world.play("foreign-promote")
    world.advance(2 * HOUR)


def preview_promoted(step):
    vercel.apply_promotion(step, to=PREVIEW)


CASES = [
    Case(
        "the bill is read",
        arrange=lambda world, _step: to_come(world, 11, 5),
        do=read_bill,
        expect=expect_bill,
    ),
    Case("the bill lacks a day", arrange=arrange_gap_in_bill, do=read_bill, expect=expect_gap_in_bill),
    Case(
        "a bill of nothing yet",
        arrange=lambda world, _step: to_come(world, 1, 5),
        do=lambda step: vercel.read_charges(step, month=BILLED["month"]),
        expect=lambda charges, _world: (
            [(one.source, one.cost_usd) for one in charges if not one.recurring] == [("unknown", None)]
        ),
    ),
    Case("a zone is read whole, page by page", arrange=arrange_many, do=read, expect=expect_whole),
    Case("TTLs are lowered", do=lower, expect=expect_lowered, effect=retimed),
    Case("records of many kinds are created", do=create, expect=expect_created, effect=records),
    Case("a record is removed", do=remove, expect=expect_removed, effect=records),
    Case("domains are listed", do=vercel.read_domains, expect=expect_domains),
    Case("a domain leads to Vercel", do=read_around, expect=expect_around),
    Case("nameservers are given", do=switch, expect=expect_switched, effect=book),
    Case(
        "nameservers are given back",
        arrange=arrange_switched,
        do=switch_back,
        expect=expect_back,
        effect=book,
    ),
    Case("a project is read", do=vercel.read_project, expect=expect_project),
    Case("builds are held", do=hold, expect=expect_held, effect=held),
    Case("deployments are read", do=read_builds, expect=expect_builds),
    Case("a commit is built once", do=build, expect=expect_begun, effect=builds),
    Case("a preview is built again for production", do=rebuild, expect=expect_rebuilt, effect=builds),
    Case(
        "a build is cancelled",
        arrange=lambda world, _step: world.play("build-slow"),
        do=begin_and_cancel,
        expect=expect_cancelled,
        effect=builds,
    ),
    Case(
        "the plan allows rolling releases",
        do=vercel.read_release_slots,
        expect=lambda found, _world: found.slots == 1 and found.reason == "available_slots",
    ),
    Case("stages are set", do=stages, expect=expect_stages, effect=configured),
    Case(
        "stages are turned off", arrange=arrange_stages, do=stages_off, expect=expect_off, effect=configured
    ),
    Case("a release begins", arrange=arrange_stages, do=start, expect=expect_started, effect=turns),
    Case("a release goes on", arrange=arrange_started, do=go_on, expect=expect_second, effect=turns),
    Case("a release is complete", arrange=arrange_started, do=complete, expect=expect_complete, effect=turns),
    Case(
        "a release advances by itself",
        arrange=arrange_automatic,
        do=vercel.read_release,
        expect=expect_advanced,
    ),
    Case(
        "a foreign build waits for its release",
        arrange=arrange_foreign,
        do=vercel.read_release,
        expect=expect_queued,
    ),
    Case(
        "a rollback ends a release",
        arrange=arrange_started,
        do=back,
        expect=expect_aborted,
        effect=settled_turns,
    ),
    Case(
        "a rollback leads to an earlier build",
        do=back_further,
        expect=expect_rolled_back,
        effect=settled_turns,
    ),
    Case(
        "an older rollback proves nothing",
        arrange=arrange_older_proof,
        do=back_further,
        expect=expect_rolled_back,
        effect=settled_turns,
    ),
    Case(
        "a rollback fails and is asked for again",
        arrange=lambda world, _step: world.play("rollback-fails"),
        do=again_if_failed(back_further),
        expect=expect_rolled_back,
        effect=settled_turns,
    ),
    Case(
        "a promote fails and is asked for again",
        arrange=arrange_rolled_back_to_fail,
        do=again_if_failed(undo),
        expect=expect_undone,
        effect=settled_turns,
    ),
    Case(
        "a promote undoes a rollback",
        arrange=arrange_rolled_back,
        do=undo,
        expect=expect_undone,
        effect=settled_turns,
    ),
    Case(
        "a promote begins a release where they are on",
        arrange=arrange_rolled_back_with_stages,
        do=undo,
        expect=expect_rolling,
        effect=settled_turns,
    ),
]

REFUSALS = [
    Refusal(
        "records of a domain of somebody else",
        do=lambda step: vercel.read_records(step, domain="example.com"),
        code="not_found",
    ),
    Refusal(
        "a change of a system record",
        do=lambda step: vercel.apply_ttls(step, domain=DOMAIN, ttls_s={of_the_system(step): 300}),
        code="forbidden",
    ),
    Refusal(
        "the removal of a system record",
        do=lambda step: vercel.apply_removal(step, domain=DOMAIN, record_id=of_the_system(step)),
        code="forbidden",
    ),
    Refusal("another type for a record", do=change_type, code="bad_request"),
    Refusal(
        "a CNAME beside other records",
        do=lambda step: vercel.apply_record(
            step, domain=DOMAIN, name="sip", kind="CNAME", value="a.example."
        ),
        code="bad_request",
    ),
    Refusal(
        "nameservers at the apex of a zone",
        do=lambda step: vercel.apply_record(step, domain=DOMAIN, name="", kind="NS", value="ns1.example."),
        code="bad_request",
    ),
    Refusal(
        "a CAA parameter",
        do=lambda step: vercel.apply_record(
            step,
            domain=DOMAIN,
            name="",
            kind="CAA",
            value='0 issue "letsencrypt.org; validationmethods=dns-01"',
        ),
        code="invalid_value",
    ),
    Refusal(
        "nameservers of a domain bought elsewhere",
        do=lambda step: vercel.apply_nameservers(step, domain=ELSEWHERE, nameservers=CLOUDFLARE),
        code="domain_not_registered",
    ),
    Refusal(
        "rolling releases on the Hobby plan",
        arrange=lambda world, _step: world.play("hobby-plan"),
        do=stages,
        code="forbidden",
    ),
    Refusal(
        "a rollback by two on the Hobby plan",
        arrange=lambda world, _step: world.play("hobby-plan"),
        do=lambda step: back(step, to=OLDER),
        code="not_a_rollback_candidate",
    ),
    Refusal(
        "a rollback to what never served",
        do=lambda step: back(step, to=STAGED),
        code="not_a_rollback_candidate",
    ),
    Refusal(
        "a release while somebody else's is under way",
        arrange=lambda world, _step: world.play("release-under-way"),
        do=start,
        code="foreign_release",
    ),
    Refusal(
        "a stage of somebody else's release",
        arrange=lambda world, _step: world.play("release-under-way"),
        do=go_on,
        code="foreign_release",
    ),
    Refusal("a release where they are off", do=start, code="bad_request"),
    Refusal(
        "a stage that is not the next",
        arrange=arrange_started,
        do=lambda step: vercel.apply_stage(step, canary=STAGED, stage=2),
        code="other_stage",
    ),
    Refusal(
        "a stage after somebody promoted the canary",
        arrange=arrange_promoted_by_another,
        do=go_on,
        code="no_release",
    ),
    Refusal(
        "a promote during a release",
        arrange=arrange_started,
        do=lambda step: vercel.apply_promotion(step, to=STAGED),
        code="release_active",
    ),
    Refusal("the promotion of a preview", do=preview_promoted, code="bad_request"),
    Refusal(
        "the cancelling of what is built",
        do=lambda step: vercel.apply_cancel(step, deployment=CURRENT),
        code="bad_request",
    ),
    Refusal(
        "a build that fails",
        arrange=lambda world, _step: world.play("build-fails"),
        do=lambda step: vercel.read_build(step, deployment=build(step).id),
        code="ERROR",
    ),
]

VENDOR = Vendor(name="vercel", specs={"/vercel": "vercel"}, cases=CASES, refusals=REFUSALS)
