"""Zones of every shape at Vercel: what our client reads there is what its nameservers answer."""

from datetime import timedelta

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.errors import VendorUnavailable
from runbook.providers import vercel
from runbook.providers.dns import differences, record_set
from runbook.sandbox.vendors.vercel.desk import TEAM
from runbook.sandbox.vendors.vercel.domains import DOMAIN
from runbook.sandbox.vendors.vercel.zonefile import SYSTEM
from tests.contract.conftest import make_step

LABEL = st.from_regex(r"_?[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?", fullmatch=True).filter(lambda s: "--" not in s)
HOST = st.builds("{}.{}.example.".format, LABEL.filter(lambda s: s[0] != "_"), LABEL)
NAME = st.one_of(
    st.just(""),
    st.lists(LABEL, min_size=1, max_size=3).map(".".join),
    LABEL.map("*.{}".format),
)
PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)
NASTY = st.sampled_from(
    ['"quoted"', '"two" "strings"', "back\\slash \\065", "; no comment", " at both ends ", ""]
)
TEXT = st.one_of(PLAIN, NASTY, PLAIN.map('"{}"'.format))
NUMBER = st.integers(0, 65535)
VALUES = {
    "A": st.ip_addresses(v=4).map(str),
    "AAAA": st.ip_addresses(v=6).map(str),
    "ALIAS": HOST,
    "CAA": st.sampled_from(
        ['0 issue "x.org"', '128 issuewild ";cansignhttpexchanges=yes"', '0 iodef "mailto:a@b.c"']
    ),
    "CNAME": HOST,
    "HTTPS": HOST.map("{} alpn=h2,h3 port=8443".format),
    "MX": HOST,
    "NS": HOST,
    "SRV": st.builds("{} {} {}".format, NUMBER, NUMBER, HOST),
    "TXT": TEXT,
}
RECORD = st.sampled_from(sorted(VALUES)).flatmap(
    lambda kind: st.fixed_dictionaries(
        {
            "name": NAME,
            "type": st.just(kind),
            "value": VALUES[kind],
            "ttl": st.integers(60, 100_000),
            **({"mxPriority": NUMBER} if kind == "MX" else {}),
            **({"priority": st.integers(1, 65535)} if kind in ("SRV", "HTTPS") else {}),
        }
    )
)


@st.composite
def zones(draw):
    """Draw records that can stand together: a CNAME alone at its name, no NS at the apex, an ALIAS once."""
    chosen, seen = [], {}
    for row in draw(st.lists(RECORD, max_size=40)):
        kinds = seen.setdefault(row["name"], set())
        alone = "CNAME" in kinds or (row["type"] == "CNAME" and (kinds or not row["name"]))
        twice = row["type"] == "ALIAS" and kinds & {"ALIAS", "A", "AAAA"}
        if (
            alone
            or twice
            or (row["type"] == "NS" and not row["name"])
            or (row["type"] in "AAAA" and "ALIAS" in kinds)
        ):
            continue
        kinds.add(row["type"])
        chosen.append(row)
    return chosen


def upload(world, rows):
    body = {"records": rows, "instead": True}
    reply = requests.post(f"{world.url}/vercel-console/domains/{DOMAIN}/zone-file", json=body, timeout=60)
    assert reply.ok, reply.text


def answered(world):
    """Return what stands in the zone that Vercel's nameservers serve, but for its own NS."""
    found = []
    for key, doc in world.dump()["dns"]["records"].items():
        side, origin, name, kind = key.split(" ")
        if (side, origin) == ("vercel", f"{DOMAIN}.") and (name, kind) != (origin, "NS"):
            found.append(record_set(name, kind, doc["values"], ttl_s=doc["ttl_s"]))
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rows=zones())
def test_what_is_read_is_what_is_answered(process, rows):
    """Names, priorities, long and quoted text, TTLs: nothing lost or altered between API and nameservers."""
    world = process.remote
    world.reset()
    upload(world, rows)
    records = vercel.read_records(make_step(world, timeout_s=30), domain=DOMAIN)
    assert len(records) == len(rows) + len(SYSTEM)
    assert differences(answered(world), vercel.served(records)) == ()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(row=RECORD.filter(lambda row: row["name"] and row["type"] not in ("CNAME", "ALIAS")))
def test_what_is_created_is_what_was_asked_for(process, row):
    """A record in zone-file form goes through Vercel's own fields and comes back the same."""
    world = process.remote
    world.reset()
    step = make_step(world, timeout_s=30)
    upload(world, [row])
    (asked,) = (one for one in vercel.read_records(step, domain=DOMAIN) if not one.system)
    upload(world, [])
    made = vercel.apply_record(
        step, domain=DOMAIN, name=asked.name, kind=asked.type, value=asked.value, ttl_s=asked.ttl_s
    )
    same = {"name", "type", "value", "ttl_s"}
    assert made.model_dump(include=same) == asked.model_dump(include=same)


def test_five_thousand_records_are_read_whole(process):
    """Fifty pages, each cut amid records of one millisecond."""
    world = process.remote
    world.reset()
    rows = [
        {"name": f"h{n}", "type": "A", "value": f"203.0.{n // 250}.{n % 250}", "ttl": 60} for n in range(5000)
    ]
    upload(world, rows)
    records = vercel.read_records(make_step(world, timeout_s=30), domain=DOMAIN)
    assert len({one.name for one in records if not one.system}) == 5000


def hosts(count, *, ttl_s=600):
    return [{"name": f"h{n}", "type": "A", "value": "203.0.113.9", "ttl": ttl_s} for n in range(count)]


def test_the_fifty_first_change_waits_for_the_minute(process):
    """The limit of the headers is waited for on the run's clock; all TTLs are set in the end."""
    world = process.remote
    world.reset()
    upload(world, hosts(120))
    step = make_step(world, timeout_s=30)
    began = step.clock.now()
    found = vercel.apply_ttls(
        step, domain=DOMAIN, ttls_s=vercel.above(vercel.read_records(step, domain=DOMAIN), 60)
    )
    assert (len(found.ttls_s), set(found.before_s.values())) == (120, {600})
    assert step.clock.now() - began == timedelta(minutes=2)


def test_a_limit_longer_than_patience_is_told_with_its_end(process):
    """The hundred and first creation of an hour is not waited for; its 429 has only a reset time."""
    world = process.remote
    world.reset()
    upload(world, [])
    step = make_step(world, timeout_s=30)
    for number in range(100):
        create(world, f"h{number}")
    ends = step.clock.now() + timedelta(hours=1)
    with pytest.raises(VendorUnavailable, match=f"resume not before {ends:%Y-%m-%dT%H:%M}"):
        vercel.apply_record(step, domain=DOMAIN, name="more", kind="A", value="203.0.113.9")
    assert step.clock.now() < ends
    world.advance(timedelta(hours=1))
    assert vercel.apply_record(step, domain=DOMAIN, name="more", kind="A", value="203.0.113.9").ttl_s == 60


def create(world, name):
    token = world.secrets()["vercel"]["token"]
    reply = requests.post(
        f"{world.url}/vercel/v2/domains/{DOMAIN}/records",
        params={"teamId": TEAM},
        headers={"Authorization": f"Bearer {token}"},
        json={"name": name, "type": "A", "value": "203.0.113.9"},
        timeout=5,
    )
    assert reply.ok, reply.text
