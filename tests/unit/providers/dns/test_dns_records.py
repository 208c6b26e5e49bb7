"""Record sets in normal form: vendors' spellings meet, data is never lost or altered."""

import dns.rdata
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.providers.dns.records import (
    RecordSet,
    absolute,
    differences,
    for_people,
    gather,
    is_wildcard,
    normal_value,
    record_set,
    txt_value,
)

ZONE = "omnihub.dev"


@pytest.mark.parametrize(
    ("text", "zone", "right"),
    [
        ("WWW.OmniHub.dev", None, "www.omnihub.dev."),
        ("www.omnihub.dev.", None, "www.omnihub.dev."),
        ("www", ZONE, "www.omnihub.dev."),
        ("", ZONE, "omnihub.dev."),
        ("@", ZONE, "omnihub.dev."),
        ("*", ZONE, "*.omnihub.dev."),
        ("*.Apps", ZONE, "*.apps.omnihub.dev."),
        ("_dmarc", ZONE, "_dmarc.omnihub.dev."),
        ("www.omnihub.dev.", ZONE, "www.omnihub.dev."),
        ("bücher", ZONE, "xn--bcher-kva.omnihub.dev."),
        ("BÜCHER", ZONE, "xn--bcher-kva.omnihub.dev."),
        ("straße", ZONE, "xn--strae-oqa.omnihub.dev."),
        ("xn--bcher-kva", ZONE, "xn--bcher-kva.omnihub.dev."),
        (r"a\.b", ZONE, r"a\.b.omnihub.dev."),
        (".", None, "."),
    ],
)
def test_names_have_one_spelling(text, zone, right):
    """Relative or absolute, any case, any script: one form, and it is its own normal form."""
    assert absolute(text, zone=zone) == right
    assert absolute(right) == right


@pytest.mark.parametrize(
    "text", ["a..b", "x" * 64, ".".join(["abcdefgh"] * 40), "a b\u0000".replace("\0", "\ud800")]
)
def test_what_is_no_name_is_refused(text):
    """Empty labels, labels and names too long, what no encoding holds."""
    with pytest.raises(ValueError, match="no domain name"):
        absolute(text)


def test_people_read_names_in_their_script():
    """Without the dot at the end; what cannot be decoded is shown as it is."""
    assert for_people("xn--bcher-kva.omnihub.dev.") == "bücher.omnihub.dev"
    assert for_people("xn--a.omnihub.dev.") == "xn--a.omnihub.dev"
    assert for_people(".") == "."
    assert is_wildcard("*.omnihub.dev.")
    assert not is_wildcard("a*.omnihub.dev.")


@pytest.mark.parametrize(
    ("kind", "spellings", "right"),
    [
        ("A", ["203.0.113.1"], "203.0.113.1"),
        ("AAAA", ["2001:DB8:0:0::1", "2001:db8::1"], "2001:db8::1"),
        ("CNAME", ["Cname.Vercel-DNS.com", "cname.vercel-dns.com."], "cname.vercel-dns.com."),
        ("ALIAS", ["Cname.Vercel-DNS.com", "cname.vercel-dns.com."], "cname.vercel-dns.com."),
        ("CNAME", ["bücher.example", "xn--bcher-kva.example."], "xn--bcher-kva.example."),
        ("MX", ["10 Mail.Example", "10   mail.example."], "10 mail.example."),
        ("MX", ["0 ."], "0 ."),
        ("SRV", ["1 2 5060 SIP.example"], "1 2 5060 sip.example."),
        ("CAA", ['0 issue "letsencrypt.org"', "0 issue letsencrypt.org"], '0 issue "letsencrypt.org"'),
        ("TXT", ["v=spf1 -all", '"v=spf1 -all"', '"v=spf1" " -all"'], '"v=spf1 -all"'),
        ("TXT", [r'say "hi"'], r'"say \"hi\""'),
        ("TXT", ["a;b", '"a;b"'], '"a;b"'),
        ("TXT", ["\\", r'"\\"', r'"\092"'], r'"\\"'),
        ("TXT", ["ü", r'"\195\188"'], r'"\195\188"'),
        ("TXT", ['""', ""], '""'),
        ("TXT", ["x" * 300, f'"{"x" * 45}" "{"x" * 255}"'], f'"{"x" * 255}" "{"x" * 45}"'),
        ("HTTPS", ["1 . alpn=h3,h2", '1 . alpn="h3,h2"'], '1 . alpn="h3,h2"'),
        ("NS", ["ADA.ns.cloudflare.com"], "ada.ns.cloudflare.com."),
        ("PTR", ["Host.Example"], "host.example."),
        ("DNAME", ["Other.Example"], "other.example."),
        ("NAPTR", ['10 20 "u" "sip" "!a!B!" Example'], '10 20 "u" "sip" "!a!B!" example.'),
        ("SOA", ["Ns.Example Admin.Example 1 2 3 4 5"], "ns.example. admin.example. 1 2 3 4 5"),
        ("SVCB", ["1 Svc.Example port=8443"], '1 svc.example. port="8443"'),
        ("TLSA", ["3 1 1 " + "AB" * 32], "3 1 1 " + "ab" * 32),
        ("SSHFP", ["4 2 " + "CD" * 32], "4 2 " + "cd" * 32),
        ("TYPE65280", [r"\# 2 ABCD", r"\# 2 abcd"], r"\# 2 abcd"),
    ],
)
def test_values_have_one_spelling(kind, spellings, right):
    """However a vendor writes it: one form, and it is its own normal form."""
    assert {normal_value(kind, one) for one in [*spellings, right]} == {right}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("A", "203.0.113.300"),
        ("AAAA", "1.2.3.4"),
        ("MX", "mail.example"),
        ("CNAME", "a..b"),
        ("BOGUS", "x"),
        ("TXT", '"open'),
        ("ALIAS", "a..b"),
        ("CAA", "x"),
    ],
)
def test_what_is_no_value_of_its_type_is_refused(kind, text):
    """The text and the type are named."""
    with pytest.raises(ValueError, match="is no"):
        normal_value(kind, text)


@settings(deadline=None)
@given(st.binary(max_size=1_500))
def test_no_byte_of_a_text_is_lost(content):
    """Any bytes as TXT: what a parser reads from the normal form is what was put in."""
    value = txt_value(content)
    rdata = dns.rdata.from_text("IN", "TXT", value)
    assert b"".join(rdata.strings) == content
    assert normal_value("TXT", value) == value


@settings(deadline=None)
@given(
    st.text(alphabet=st.characters(codec="utf-8"), max_size=400).filter(
        lambda text: not text.lstrip().startswith('"')
    )
)
def test_plain_text_is_taken_as_it_is(content):
    """Text that does not begin with a quote means itself, backslashes and all."""
    rdata = dns.rdata.from_text("IN", "TXT", normal_value("TXT", content))
    assert b"".join(rdata.strings).decode() == content


def test_records_become_sets():
    """Vendors list single records; of several TTLs the smallest counts, values come once and sorted."""
    found = gather(
        [
            record_set("", "MX", ["20 b.example"], ttl_s=300, zone=ZONE),
            record_set("@", "mx", ["10 a.example"], ttl_s=60, zone=ZONE),
            record_set("www", "A", ["203.0.113.2", "203.0.113.2"], ttl_s=None, zone=ZONE),
            record_set(f"{ZONE}.", "MX", ["10 A.example."], ttl_s=None),
        ]
    )
    assert found == (
        RecordSet(name="omnihub.dev.", type="MX", ttl_s=60, values=("10 a.example.", "20 b.example.")),
        RecordSet(name="www.omnihub.dev.", type="A", ttl_s=None, values=("203.0.113.2",)),
    )


def test_differences_name_each_set_that_is_not_as_expected():
    """Missing, extra, other values, other TTL; the latter only when TTLs count."""
    one = lambda name, value, ttl_s=60: record_set(name, "A", [value], ttl_s=ttl_s, zone=ZONE)  # noqa: E731
    expected = [
        one("same", "203.0.113.1"),
        one("gone", "203.0.113.2"),
        one("other", "203.0.113.3"),
        one("ttl", "203.0.113.4"),
    ]
    observed = [
        one("same", "203.0.113.1"),
        one("new", "203.0.113.2"),
        one("other", "203.0.113.9"),
        one("ttl", "203.0.113.4", 1),
    ]
    found = differences(expected, observed)
    assert [(each.name.partition(".")[0], each.kind) for each in found] == [
        ("gone", "missing"),
        ("new", "extra"),
        ("other", "values"),
        ("ttl", "ttl"),
    ]
    assert found[2].in_a_line() == (
        "other.omnihub.dev. A values: expected other.omnihub.dev. A 60 s: 203.0.113.3, "
        "observed other.omnihub.dev. A 60 s: 203.0.113.9"
    )
    assert len(differences(expected, observed, ttls=False)) == 3
    assert differences(expected, reversed(expected)) == ()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5)), max_size=12), st.randoms())
def test_order_never_matters(records, chance):
    """The same records in any order are the same sets."""
    sets = [record_set(name, "A", [f"203.0.113.{number}"], ttl_s=60, zone=ZONE) for name, number in records]
    mixed = list(sets)
    chance.shuffle(mixed)
    assert gather(sets) == gather(mixed)
    assert differences(sets, mixed) == ()
