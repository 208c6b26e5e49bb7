"""Every record of Vercel's is carried over, or named with the reason why it cannot be; none is dropped."""

import pytest

from runbook.changes import dns
from runbook.providers.dns import record_set

ZONE = "omnihub.dev."


def made(*sets, ttl_s=300, proxied=()):
    return dns.translate(sets, zone=ZONE, ttl_s=ttl_s, proxied=frozenset(proxied))


def one(name, kind, *values, ttl_s=3600):
    return record_set(name, kind, values, ttl_s=ttl_s, zone=ZONE)


@pytest.mark.parametrize(
    ("sets", "why"),
    [
        ([one("@", "NS", "ns1.elsewhere.example.")], "each side's own"),
        ([one("@", "CNAME", "elsewhere.example.")], "CNAME at the apex"),
        ([one("www", "ALIAS", "a.example."), one("www", "TXT", '"x"')], "an alias beside TXT"),
        ([one("www", "CNAME", "a.example."), one("www", "MX", "10 mx.example.")], "an alias beside MX"),
        ([one("www", "CNAME", "a.example.", "b.example.")], "several aliases"),
        ([one("sub", "NS", "ns.example."), one("sub", "TXT", '"x"')], "another zone begins here"),
        ([one("@", "LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m")], "type LOC"),
        ([one(r"a\.b", "A", "192.0.2.1")], "a name with characters"),
        ([one("big", "TXT", " ".join(['"' + "x" * 255 + '"'] * 17))], "a record of"),
        ([one("many", "TXT", *(f'"{n:04}{"x" * 251}"' for n in range(40)))], "characters at one name"),
        ([one("@", "CAA", r'0 issue "a\"b"')], "a CAA value"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cloudflare_cannot_hold_is_named_and_refused(step, sets, why):
    """With its name, its values and the reason; the check refuses until the zone is changed."""
    found = made(*sets)
    assert found.left
    assert why in found.left[0].why
    kept = {(entry.name, entry.type) for entry in found.entries}
    assert kept | {(left.name, left.type) for left in found.left} == {each.key for each in sets}
    checks = dns.all_carried(step, found)
    assert not checks.holds
    assert len(checks.failed) == 1 + len(found.left)


def test_an_alias_is_flattened_at_the_apex_and_a_cname_below_it():
    """Both answer what the alias answers; said beside the entry."""
    found = made(
        one("@", "ALIAS", "edge.example.", ttl_s=60), one("shop", "ALIAS", "edge.example.", ttl_s=60)
    )
    assert [(entry.name, entry.type) for entry in found.entries] == [
        (ZONE, "ALIAS"),
        (f"shop.{ZONE}", "CNAME"),
    ]
    assert [note.what[:7] for note in found.noted] == ["a CNAME", "a CNAME"]


@pytest.mark.parametrize(
    ("ttl_s", "lowered_s", "there_s"),
    [
        (60, 300, 60),
        (300, 300, 300),
        (3600, 300, 300),
        (2147483647, 300, 300),
        (3600, 30, 60),
        (10**6, 10**6, 86_400),
    ],
)
def test_ttls_are_the_plans_at_most_and_within_cloudflares_limits(ttl_s, lowered_s, there_s):
    """A low TTL is what mends a wrong record within minutes; 60 to 86,400 s is what Cloudflare takes."""
    [entry] = made(one("www", "A", "192.0.2.1", ttl_s=ttl_s), ttl_s=lowered_s).entries
    assert entry.ttl_s == there_s


def test_only_addresses_of_names_that_a_certificate_serves_are_proxied():
    """Mail and services of the same name are not; a proxied record's TTL is Cloudflare's."""
    sets = [one("www", "A", "192.0.2.1"), one("www", "TXT", '"x"'), one("sip", "A", "192.0.2.2")]
    found = {(entry.name, entry.type): entry for entry in made(*sets, proxied=[f"www.{ZONE}"]).entries}
    assert [key for key, entry in found.items() if entry.proxied] == [(f"www.{ZONE}", "A")]
    assert found[f"www.{ZONE}", "A"].ttl_s is None


def test_every_entry_is_shown_with_what_is_otherwise():
    """People sign it: the table holds what will be written."""
    found = made(one("www", "A", "192.0.2.1"), one("@", "TXT", '"x"', ttl_s=300))
    assert found.table() == [
        ("www.omnihub.dev", "A", "300 s", "192.0.2.1", "TTL was 1 h"),
        ("omnihub.dev", "TXT", "300 s", '"x"', ""),
    ]
