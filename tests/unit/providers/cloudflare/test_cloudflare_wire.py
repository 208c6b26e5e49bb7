"""Records to Cloudflare's fields and back, and how they are put into batches."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.errors import InputError, SurprisingReply
from runbook.providers.cloudflare.export import _entry
from runbook.providers.cloudflare.records import _Edits, _fit
from runbook.providers.cloudflare.wire import Entry, Raw, Record, body_of, record_of, record_sets
from runbook.providers.cloudflare.zones import Zone
from runbook.providers.dns.records import txt_value
from tests.cloudflare_worlds import ORIGIN, Api

LABEL = st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)
HOST = st.builds(lambda one, two: f"{one}.{two}.example.", LABEL, LABEL)
BYTE = st.integers(0, 255)
SHORT = st.integers(0, 65_535)
TEXT = st.text(min_size=0, max_size=400).filter(
    lambda text: len(text.encode()) < 1_000 and "\x00" not in text
)
HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)


def text(*parts):
    return st.tuples(*parts).map(lambda found: " ".join(map(str, found)))


VALUES = {
    "A": st.ip_addresses(v=4).map(str),
    "AAAA": st.ip_addresses(v=6).map(str),
    "CNAME": HOST,
    "NS": HOST,
    "PTR": HOST,
    "MX": text(SHORT, HOST),
    "SRV": text(SHORT, SHORT, SHORT, HOST),
    "CAA": text(
        st.sampled_from([0, 128]), st.sampled_from(["issue", "issuewild", "iodef"]), LABEL.map('"{}"'.format)
    ),
    "DS": text(SHORT, st.just(13), st.just(2), HEX),
    "TLSA": text(st.integers(0, 3), st.integers(0, 1), st.just(1), HEX),
    "SSHFP": text(st.just(4), st.just(2), HEX),
    "URI": text(SHORT, SHORT, LABEL.map('"https://{}.example/"'.format)),
    "HTTPS": st.sampled_from(['1 . alpn="h3,h2"', "0 svc.example.", "2 pool.example. port=8443"]),
    "NAPTR": text(SHORT, SHORT, st.just('"U" "SIP+D2U" "!^.*$!sip:a@example.net!" .')),
}


@st.composite
def entries(draw):
    kind = draw(st.sampled_from([*VALUES, "TXT"]))
    name = f"{draw(LABEL)}.{ORIGIN}"
    ttl_s = draw(st.none() | st.integers(60, 86_400))
    if kind == "TXT":
        return Entry(name=name, type=kind, value=txt_value(draw(TEXT)), ttl_s=ttl_s)
    return Entry.of(name, kind, draw(VALUES[kind]), ttl_s=ttl_s, comment=draw(st.sampled_from(["", "why"])))


API = Api()
PATH = API.make_zone() + "/dns_records"


@given(entries())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nothing_is_altered_on_its_way_through_cloudflare(entry):
    """Any record comes back from the emulator as it was sent, and its nameservers answer it."""
    made = API.done("POST", PATH, body_of(entry))
    try:
        held = record_of(Raw.model_validate_json(json.dumps(made)), ORIGIN)
        assert held.is_as(entry)
        ttl_s, values = API.answers(entry.name, entry.type)
        assert (ttl_s, len(values)) == (entry.ttl_s or 300, 1)
        assert Entry.of(entry.name, entry.type, values[0]).value == entry.value
    finally:
        API.ask("DELETE", f"{PATH}/{made['id']}")
        API.world.part("cloudflare").table("meta").drop("calls")  # this one zone is asked without end


def raw(**fields):
    return Raw.model_validate(
        {"id": "1", "name": "omnihub.dev", "type": "A", "ttl": 1, "content": "", **fields}
    )


def test_a_cname_at_the_apex_is_an_alias():
    """Cloudflare flattens it; below the apex it stays one."""
    apex = record_of(raw(type="CNAME", content="target.example"), ORIGIN)
    below = record_of(raw(type="CNAME", content="target.example", name="www.omnihub.dev"), ORIGIN)
    assert (apex.type, below.type, apex.value) == ("ALIAS", "CNAME", "target.example.")
    assert body_of(apex)["type"] == "CNAME"


@pytest.mark.parametrize("content", ["v=spf1 -all", '"v=spf1 -all"', '"v=spf1" " -all"'])
def test_text_is_the_same_however_it_is_quoted(content):
    """Zones hold both: quoted since 2024, bare before."""
    assert record_of(raw(type="TXT", content=content), ORIGIN).value == '"v=spf1 -all"'


def test_automatic_and_proxied_have_no_ttl_of_ours():
    """Cloudflare decides it: 300 s."""
    proxied = Entry.of(ORIGIN, "A", "203.0.113.7", ttl_s=60, proxied=True)
    assert (proxied.ttl_s, body_of(proxied)["ttl"]) == (None, 1)
    assert record_of(raw(content="203.0.113.7", proxied=True), ORIGIN).ttl_s is None
    assert record_sets([proxied])[0].ttl_s is None


def test_content_that_is_none_surprises():
    """A record that cannot be read is never left out."""
    with pytest.raises(SurprisingReply, match="type A"):
        record_of(raw(content="not an address"), ORIGIN)
    with pytest.raises(SurprisingReply, match="type SRV"):
        record_of(raw(type="SRV", content="1 2 sip.example"), ORIGIN)


def test_a_type_that_is_not_written_is_refused_before_anything_is():
    """It says what a person has to do instead."""
    location = Entry.of(f"here.{ORIGIN}", "LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m")
    with pytest.raises(InputError, match="by hand"):
        body_of(location)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("omnihub.dev.\t86400\tIN\tNS\tada.ns.cloudflare.com.", None),
        (
            "omnihub.dev.\t60\tIN\tCNAME\tt.example. ; cf_tags=cf-proxied:false",
            Entry.of(ORIGIN, "ALIAS", "t.example.", ttl_s=60),
        ),
        (
            "w.omnihub.dev.\t1\tIN\tA\t203.0.113.7 ; cf_tags=cf-proxied:true",
            Entry.of(f"w.{ORIGIN}", "A", "203.0.113.7", proxied=True),
        ),
        (
            'w.omnihub.dev.\t1\tIN\tTXT\t"a ; cf_tags=cf-proxied:true"',
            Entry.of(f"w.{ORIGIN}", "TXT", '"a ; cf_tags=cf-proxied:true"'),
        ),
    ],
)
def test_a_line_of_an_export(line, expected):
    """Cloudflare's own SOA and NS are left out; what is proxied stands in a comment, never in a text."""
    assert _entry(line, ORIGIN) == expected


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["deletes", "patches", "posts"])), max_size=120),
    st.integers(5, 40),
)
def test_batches_keep_a_name_together(rows, most):
    """None is too large, nothing is lost, and one name's are in one batch wherever that holds them."""
    edits = _Edits()
    for number, (name, what) in enumerate(rows):
        edits.add(f"h{name}", what, {"id": number, "name": name})
    batches = [[body for bodies in batch.values() for body in bodies] for batch in edits.batches(most)]
    assert all(0 < len(batch) <= most for batch in batches)
    assert sorted(body["id"] for batch in batches for body in batch) == list(range(len(rows)))
    for name in {name for name, _ in rows}:
        if sum(one == name for one, _ in rows) <= most // 2:
            homes = [n for n, batch in enumerate(batches) if any(body["name"] == name for body in batch)]
            assert len(homes) == 1


def test_what_would_land_elsewhere_is_refused():
    """The API puts the zone's name behind one that lacks it, and an apex alias is no CNAME."""
    zone = Zone.model_construct(name=ORIGIN)
    for name, kind, value in (
        ("omnihub.org.", "A", "203.0.113.7"),
        (f"www.{ORIGIN}", "ALIAS", "t.example."),
        (ORIGIN, "CNAME", "t.example."),
    ):
        with pytest.raises(InputError):
            _fit(zone, [Entry.of(name, kind, value)])


def test_a_record_is_itself_by_name_type_and_value():
    """TTL, proxied and comment are what can be changed about it."""
    entry = Entry.of(f"www.{ORIGIN}", "A", "203.0.113.7", ttl_s=60)
    held = Record(**entry.model_dump(), id="1")
    assert held.is_as(entry)
    for change in ({"ttl_s": 300}, {"proxied": True}, {"comment": "why"}):
        other = entry.model_copy(update=change)
        assert held.key == other.key
        assert not held.is_as(other)
