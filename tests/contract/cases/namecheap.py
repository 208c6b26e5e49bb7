"""Namecheap: nameservers by XML, through the interface of registrars; and a person without any API."""

from datetime import timedelta

import defusedxml.ElementTree
import pytest
import requests

from runbook.errors import Parked
from runbook.providers import registrars
from runbook.providers.registrars import namecheap
from runbook.providers.registrars.manual import Manual
from runbook.sandbox.vendors.namecheap.emulator import CLIENT_IP, FORWARDED, OWN, PARKED, USER
from tests.contract.table import Case, Foreign, Refusal, Vendor

ZONE = "omnihub.dev"
NEW = ("ada.ns.cloudflare.com.", "bob.ns.cloudflare.com.")
OLD = ("ns1.vercel-dns.com.", "ns2.vercel-dns.com.")


def changes(world, zone=ZONE):
    """Count how often a domain's nameservers changed: more than once would be a flap."""
    lines = world.dump()["namecheap"].get("changes", {}).values()
    return len([line for line in lines if line["domain"] == zone])


def switch(step, names=NEW, **more):
    return registrars.apply_nameservers(step, zone=ZONE, nameservers=names, **more)


def expect_switched(handed, world):
    assert (handed.registrar, handed.after) == ("namecheap", NEW)
    assert handed.found == (handed.before == NEW)
    assert changes(world) == 1


def expect_old(found, world):
    assert (found.names, found.own_dns, found.zone) == (OLD, False, "omnihub.dev.")


def expect_found(handed, world):
    assert (handed.found, handed.before, changes(world)) == (True, OLD, 0)


def publish(step):
    switch(step)
    return registrars.read_published(step, zone=ZONE, nameservers=NEW)


def expect_published(found, world):
    assert found.nameservers == NEW
    assert found.delegation.nameservers == NEW
    assert (found.delegation.disagreeing, found.delegation.silent) == ((), ())


def default(step):
    return namecheap.apply_default(step, zone=ZONE)


def expect_default(found, world):
    assert found.own_dns
    assert found.names == tuple(f"{name}." for name in OWN)


def losses(step):
    return namecheap.Namecheap().losses(step, f"{FORWARDED}.")


def expect_losses(found, world):
    assert [(one.what, one.name) for one in found] == [
        ("URL forwarding", "@"),
        ("host record CNAME", "www"),
        ("e-mail forwarding", "@"),
    ]


def expect_hosts(found, world):
    assert (found.email, [one.kind for one in found.hosts]) == ("FWD", ["URL301", "CNAME"])


def expect_all_domains(found, world):
    assert len(found) == len(set(found)) == PARKED + 2
    assert {ZONE, FORWARDED} <= set(found)


def by_hand(step):
    """What a run does with a registrar that has no API: park, and go on once a person has done it."""
    hand = Manual("Namecheap, ap.www.namecheap.com", registrars.network_of(step))
    before = hand.read(step, f"{ZONE}.")
    if before.names != NEW:
        hand.give(step, f"{ZONE}.", NEW, before=before.names)
    return before


def a_person_does_it(world, step):
    with pytest.raises(Parked, match="exactly these 2"):
        by_hand(step)
    assigned = world.play("person-switches-nameservers")
    assert assigned
    world.advance(timedelta(minutes=5))


def switched_by_hand(step):
    before = registrars.read_nameservers(step, zone=ZONE)
    return registrars.read_published(step, zone=ZONE, nameservers=before.names)


def expect_by_hand(found, world):
    assert all(name.endswith(".ns.cloudflare.com.") for name in found.delegation.nameservers)


def hiccup(world, _step):
    world.play("namecheap-hiccup")


def asked(world, command, **more):
    """Ask as a script would that knows nothing of us."""
    who = {"ApiUser": USER, "ApiKey": world.secrets()["namecheap"]["api_key"], "UserName": USER}
    query = {**who, "ClientIp": CLIENT_IP, "Command": f"namecheap.{command}", **more}
    return requests.get(f"{world.url}/namecheap/xml.response", params=query, timeout=5)


def a_script_reads_and_changes(world):
    space = {"n": "http://api.namecheap.com/xml.response"}
    parts = {"SLD": "omnihub", "TLD": "dev"}
    names = "ns1.example.com,ns2.example.com"
    reply = asked(world, "domains.dns.setCustom", **parts, Nameservers=names)
    result = defusedxml.ElementTree.fromstring(reply.content).find(".//n:DomainDNSSetCustomResult", space)
    assert result.attrib == {"Domain": ZONE, "Updated": "true"}
    listed = defusedxml.ElementTree.fromstring(asked(world, "domains.dns.getList", **parts).content)
    assert ",".join(one.text for one in listed.findall(".//n:Nameserver", space)) == names


def the_limit_is_a_405(world):
    statuses = [asked(world, "domains.getList").status_code for _ in range(21)]
    assert statuses == [200] * 20 + [405]
    world.advance(timedelta(minutes=1))
    assert asked(world, "domains.getList").status_code == 200


VENDOR = Vendor(
    name="namecheap",
    specs={"/namecheap": "namecheap"},
    cases=[
        Case(
            "nameservers are read",
            do=lambda step: registrars.read_nameservers(step, zone=ZONE),
            expect=expect_old,
        ),
        Case("nameservers are changed once", do=switch, expect=expect_switched, effect=changes),
        Case(
            "an error that goes away is asked again",
            arrange=hiccup,
            do=switch,
            expect=expect_switched,
            effect=changes,
        ),
        Case(
            "those that stand are not set again",
            do=lambda step: switch(step, OLD),
            expect=expect_found,
            effect=changes,
        ),
        Case("the parent is seen to follow", do=publish, expect=expect_published, effect=changes),
        Case(
            "a person does it by hand",
            arrange=a_person_does_it,
            do=switched_by_hand,
            expect=expect_by_hand,
        ),
        Case(
            "the registrar's own nameservers come back",
            do=default,
            expect=expect_default,
            effect=changes,
        ),
        Case("what custom nameservers switch off is named", do=losses, expect=expect_losses),
        Case(
            "host records are read",
            do=lambda step: namecheap.read_hosts(step, zone=FORWARDED),
            expect=expect_hosts,
        ),
        Case("domains are listed whole", do=namecheap.read_domains, expect=expect_all_domains),
    ],
    refusals=[
        Refusal(
            "a domain that is not ours",
            do=lambda step: namecheap.Namecheap().read(step, "omnihub.example."),
            code="2019166",
        ),
        Refusal(
            "API access that was switched off",
            arrange=lambda world, _step: world.play("namecheap-key-refused"),
            do=lambda step: registrars.read_nameservers(step, zone=ZONE),
            code="1011102",
        ),
        Refusal(
            "host records of a domain with other nameservers",
            do=lambda step: namecheap.read_hosts(step, zone=ZONE),
            code="2030288",
        ),
        Refusal(
            "a nameserver that is no host name",
            do=lambda step: switch(step, ("_x.example.com", "ns.example.com")),
            code="2050900",
        ),
    ],
    foreign=[
        Foreign("a script reads and changes nameservers", a_script_reads_and_changes),
        Foreign("one call too many is a 405", the_limit_is_a_405),
    ],
    let_be={
        f"{fields} unexpected": "the description names two results of five; the vendor's own SDK has these"
        for fields in (
            "'IsPremiumDNS', 'IsUsingFreeDNS' were",
            "'DomainGetListResult', 'Paging' were",
            "'DomainDNSGetHostsResult' was",
            "'DomainDNSSetDefaultResult' was",
        )
    },
)
