"""A zone's data: what it takes, what it refuses, and that a change is whole or nothing."""

import dns.name
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.sandbox.dns.zone import Delegation, RecordSet, Soa, Zone, to_name, txt_value


def make_zone(origin="omnihub.dev."):
    return Zone(origin, soa=Soa("ns1.vercel-dns.com.", "hostmaster.vercel.com."))


def test_what_is_put_is_there_in_one_spelling():
    """Names are absolute, lower-case and A-labels, values in zone-file form."""
    zone = make_zone()
    zone.put(RecordSet("Bücher.OmniHub.dev", "cname", 60, ("Cname.Vercel-DNS.com",)))
    found = zone.get("bücher.omnihub.dev", "CNAME")
    assert found == RecordSet("xn--bcher-kva.omnihub.dev.", "CNAME", 60, ("Cname.Vercel-DNS.com.",))
    assert zone.record_sets() == [found]


@pytest.mark.parametrize(
    ("record_set", "words"),
    [
        (RecordSet("www.example.com.", "A", 60, ("203.0.113.1",)), "not in the zone"),
        (RecordSet("www.omnihub.dev.", "A", -1, ("203.0.113.1",)), "a TTL is 0 to"),
        (RecordSet("www.omnihub.dev.", "A", 2**31, ("203.0.113.1",)), "a TTL is 0 to"),
        (RecordSet("www.omnihub.dev.", "A", 60, ("203.0.113.300",)), "no value of that type"),
        (RecordSet("www.omnihub.dev.", "A", 60, ()), "no such record set"),
        (RecordSet("www.omnihub.dev.", "BOGUS", 60, ("x",)), "no record type"),
        (RecordSet("www.omnihub.dev.", "ANY", 60, ("x",)), "no such record set"),
        (RecordSet("omnihub.dev.", "CNAME", 60, ("x.example.",)), "cannot stand beside NS"),
        (RecordSet("alias.omnihub.dev.", "A", 60, ("203.0.113.1",)), "cannot stand beside CNAME"),
        (RecordSet("omnihub.dev.", "SOA", 60, ("a. b. 1 2 3 4 5",)), "cannot stand beside"),
        (RecordSet("a..omnihub.dev.", "A", 60, ("203.0.113.1",)), "no domain name"),
        (RecordSet("t.omnihub.dev.", "TXT", 60, ('"' + "x" * 256 + '"',)), "no value of that type"),
    ],
)
def test_what_no_zone_can_hold_is_refused(record_set, words):
    """A wrong record set raises, names itself, and changes nothing, not even the serial."""
    zone = make_zone()
    zone.put(RecordSet("omnihub.dev.", "NS", 60, ("ns1.vercel-dns.com.",)))
    zone.put(RecordSet("alias.omnihub.dev.", "CNAME", 60, ("omnihub.dev.",)))
    before = zone.record_sets(), zone.serial
    with pytest.raises(ValueError, match=words):
        zone.put(record_set)
    assert (zone.record_sets(), zone.serial) == before


def test_a_change_of_many_is_one_serial_or_nothing():
    """What raises in the middle leaves every record as it was; the listeners hear of whole changes only."""
    zone, heard = make_zone(), []
    zone.put(RecordSet("a.omnihub.dev.", "A", 60, ("203.0.113.1",)))
    zone.changed = lambda touched: heard.append(len(touched))
    before = zone.record_sets(), zone.serial

    def four_of_which_the_last_is_wrong():
        with zone.change():
            zone.put(RecordSet("b.omnihub.dev.", "A", 60, ("203.0.113.2",)))
            zone.remove("a.omnihub.dev.", "A")
            zone.put(RecordSet("a.omnihub.dev.", "CNAME", 60, ("b.omnihub.dev.",)))
            zone.remove("c.omnihub.dev.", "A")

    with pytest.raises(KeyError, match=r"c\.omnihub\.dev\. A is not in the zone"):
        four_of_which_the_last_is_wrong()
    assert (zone.record_sets(), zone.serial) == before
    assert zone.node(to_name("b.omnihub.dev.")) is None
    assert heard == []
    with zone.change():
        zone.put(RecordSet("b.omnihub.dev.", "A", 60, ("203.0.113.2",)))
        zone.remove("a.omnihub.dev.", "A")
    assert zone.serial == before[1] + 1
    assert heard == [2]


def test_a_name_without_records_exists_while_names_stand_below_it():
    """Empty non-terminals come and go with what is under them (RFC 4592 §2.2.2)."""
    zone = make_zone()
    zone.put(RecordSet("_dmarc.mail.omnihub.dev.", "TXT", 60, ('"v=DMARC1"',)))
    assert zone.node(to_name("mail.omnihub.dev.")) == {}
    assert zone.node(to_name("www.omnihub.dev.")) is None
    zone.remove("_dmarc.mail.omnihub.dev.", "TXT")
    assert zone.node(to_name("mail.omnihub.dev.")) is None
    assert zone.node(zone.name) == {}


def test_a_delegation_is_its_ns_and_ds():
    """Delegating without a DS takes an old one away."""
    registry = make_zone("dev.")
    signed = Delegation(
        "omnihub.dev.", ("ns1.a.example.", "ns2.a.example."), 172_800, ("1 13 2 " + "AB" * 32,)
    )
    registry.delegate(signed)
    assert registry.delegation("omnihub.dev.").ds == ("1 13 2 " + "ab" * 32,)
    registry.delegate(Delegation("omnihub.dev.", ("ns1.b.example.",), 3_600))
    assert registry.delegation("omnihub.dev.") == Delegation("omnihub.dev.", ("ns1.b.example.",), 3_600)
    assert registry.delegation("other.dev.") is None


@settings(deadline=None)
@given(st.binary(max_size=2_000))
def test_any_bytes_fit_in_a_txt(content):
    """Text of any length and bytes comes back the same, in strings of at most 255 bytes."""
    zone = make_zone()
    zone.put(RecordSet("t.omnihub.dev.", "TXT", 60, (txt_value(content),)))
    strings = zone.records(dns.name.from_text("t.omnihub.dev."), "TXT")[0].strings
    assert b"".join(strings) == content
    assert all(len(one) <= 255 for one in strings)


def test_a_copy_stands_apart():
    """What becomes of the zone does not reach its copy, and the other way round."""
    zone = make_zone()
    zone.put(RecordSet("a.omnihub.dev.", "A", 60, ("203.0.113.1",)))
    twin = zone.copy()
    zone.remove("a.omnihub.dev.", "A")
    assert (twin.serial, len(twin.record_sets())) == (2, 1)
