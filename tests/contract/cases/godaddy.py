"""GoDaddy: nameservers by JSON, through the interface of registrars."""

from datetime import timedelta

import requests

from runbook.providers import registrars
from runbook.providers.registrars import godaddy
from runbook.sandbox.vendors.godaddy.emulator import OURS, PROTECTED
from tests.contract.table import Case, Foreign, Refusal, Vendor

NEW = ("ada.ns.cloudflare.com.", "bob.ns.cloudflare.com.")
OLD = ("ns1.vercel-dns.com.", "ns2.vercel-dns.com.")


def changes(world):
    return len(world.dump()["godaddy"].get("changes", {}))


def switch(step, names=NEW, **more):
    return registrars.apply_nameservers(step, zone=OURS, nameservers=names, **more)


def expect_switched(handed, world):
    assert (handed.registrar, handed.after) == ("godaddy", NEW)
    assert handed.found == (handed.before == NEW)
    assert changes(world) == 1


def read(step):
    return registrars.read_nameservers(step, zone=OURS)


def expect_old(found, world):
    assert (found.names, found.own_dns, found.registrar) == (OLD, False, "godaddy")


def publish(step):
    switch(step)
    return registrars.read_published(step, zone=OURS, nameservers=NEW)


def expect_published(found, world):
    assert found.delegation.nameservers == NEW


def there_and_back(step):
    switch(step)
    return switch(step, OLD)


def expect_back(handed, world):
    assert handed.after == OLD


def expect_domains(found, world):
    assert found == (OURS, PROTECTED)


def use_up(world, _step):
    """Leave no call of a minute: the client must read from the body how long to wait."""
    statuses = [asked(world, "GET", f"/v1/domains/{OURS}").status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]


def asked(world, method, path, **more):
    """Ask as a script would that knows nothing of us."""
    key, secret = (world.secrets()["godaddy"][name] for name in ("key", "secret"))
    headers = {"Authorization": f"sso-key {key}:{secret}"}
    return requests.request(method, f"{world.url}/godaddy{path}", headers=headers, timeout=5, **more)


def a_script_reads_and_changes(world):
    names = ["ns1.example.com", "ns2.example.com"]
    path = f"/v1/domains/{OURS}"
    reply = asked(world, "PATCH", path, json={"nameServers": names})
    assert (reply.status_code, reply.content) == (200, b"")
    assert asked(world, "GET", path).json()["nameServers"] != names
    world.advance(timedelta(minutes=1))
    assert asked(world, "GET", path).json()["nameServers"] == names
    listed = asked(world, "GET", "/v1/domains", params={"includes": "nameServers", "limit": 1}).json()
    assert [(one["domain"], one["nameServers"]) for one in listed] == [(OURS, names)]
    after = asked(world, "GET", "/v1/domains", params={"marker": OURS}).json()
    assert [one["domain"] for one in after] == [PROTECTED]


def wrong_nameservers_are_refused(world):
    path = f"/v1/domains/{OURS}"
    for names, code in (
        (["ns1.example.com"], "MISSING_NAME_SERVER"),
        (["ns1.example.com.", "ns2.example.com."], "FAILED_NAME_SERVER_VALIDATION"),
    ):
        reply = asked(world, "PATCH", path, json={"nameServers": names})
        assert (reply.status_code, reply.json()["code"]) == (422, code)
    assert changes(world) == 0


VENDOR = Vendor(
    name="godaddy",
    specs={"/godaddy": "godaddy"},
    cases=[
        Case("nameservers are read", do=read, expect=expect_old),
        Case("a used up limit is waited for", arrange=use_up, do=read, expect=expect_old),
        Case("nameservers are changed once", do=switch, expect=expect_switched, effect=changes),
        Case("the parent is seen to follow", do=publish, expect=expect_published, effect=changes),
        Case("a change is taken back", do=there_and_back, expect=expect_back),
        Case("domains are listed", do=godaddy.read_domains, expect=expect_domains),
    ],
    refusals=[
        Refusal(
            "a domain that is not ours",
            do=lambda step: godaddy.GoDaddy().read(step, "omnihub.example."),
            code="UNKNOWN_DOMAIN",
        ),
        Refusal(
            "an account without API access",
            arrange=lambda world, _step: world.play("godaddy-no-api-access"),
            do=read,
            code="ACCESS_DENIED",
        ),
        Refusal(
            "a protected domain",
            arrange=lambda world, _step: world.play("godaddy-protected"),
            do=switch,
            code="INELIGIBLE_DOMAIN",
        ),
        Refusal(
            "a nameserver that is no host name",
            do=lambda step: switch(step, ("_x.example.com", "ns.example.com")),
            code="FAILED_NAME_SERVER_VALIDATION",
        ),
    ],
    foreign=[
        Foreign("a script reads and changes nameservers", a_script_reads_and_changes),
        Foreign("nameservers that will not do are refused", wrong_nameservers_are_refused),
    ],
)
