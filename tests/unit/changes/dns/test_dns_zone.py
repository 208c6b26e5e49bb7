"""A zone as it was read, and how values of this room are shown: the same in a terminal as in a notebook."""

import re

import pytest

from runbook.changes import dns
from runbook.changes.dns.zone import cut, lasting
from runbook.errors import StepFailed
from runbook.providers import cloudflare
from runbook.sandbox.vendors.vercel.domains import ELSEWHERE
from tests.dns_zones import many, rows

ZONE = "omnihub.dev"


def in_html(value):
    """Return the words of a value's tables."""
    return re.sub(r"<[^>]+>", " ", value._repr_html_())


def test_a_zone_is_what_vercel_is_to_serve(world, step):
    """An own address at the apex puts the system's alias out; its CAA stands beside ours."""
    state = dns.read_zone(step, ZONE)
    assert {(one.name, one.type) for one in state.served} >= {(f"{ZONE}.", "ALIAS"), (f"*.{ZONE}.", "CNAME")}
    world.upload(rows([("", "A", "203.0.113.7", 60, None), ("", "CAA", '0 issue "pki.goog"', 60, None)]))
    now = dns.read_zone(step, ZONE)
    served = {(one.name, one.type): one.values for one in now.served}
    assert (f"{ZONE}.", "ALIAS") not in served
    assert served[f"{ZONE}.", "CAA"] == ('0 issue "letsencrypt.org"', '0 issue "pki.goog"')
    assert (f"*.{ZONE}.", "CNAME") not in now.own
    assert (f"{ZONE}.", "CAA") in now.own


def test_the_whole_zone_is_kept_as_evidence_however_long_the_table(world, step):
    """The table shows the first sixty, and says where the rest is."""
    world.upload(rows(many(100)))
    state = dns.read_zone(step, ZONE)
    assert len(state.table()) == 61
    assert "and 43 more" in state.table()[-1][3]
    assert len(step.evidence_sink["zone-at-vercel.txt"].splitlines()) == 103


def test_a_domain_without_records_is_no_zone_to_move(step):
    """Registered elsewhere and empty here: the message says what to name."""
    with pytest.raises(StepFailed, match=f"Vercel has no records of {ELSEWHERE}"):
        dns.read_zone(step, ELSEWHERE)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (60, "60 s"),
        (300, "300 s"),
        (600, "10 min"),
        (3601, "3,601 s"),
        (14_400, "4 h"),
        (172_800, "48 h"),
    ],
)
def test_ttls_are_told_as_people_do(seconds, words):
    """Exactly, or in the unit that is exact."""
    assert lasting(seconds) == words


def test_a_long_value_keeps_both_ends_in_a_table():
    """A key's end tells it from another."""
    assert cut("a" * 50 + "b" * 50, 21) == "aaaaaaaaa … bbbbbbbbb"
    assert cut("short") == "short"


def test_every_value_says_in_a_terminal_what_it_says_in_a_notebook(step):
    """Every cell of its tables stands in its text too."""
    state = dns.read_zone(step, ZONE)
    ttls, made = dns.read_ttls(step, state), dns.translate_zone(step, state)
    parity = dns.compare(step, state, at="vercel")
    deadlines = dns.read_deadlines(step, ttls)
    written = dns.Written(zone=f"{ZONE}.", records=20, nameservers=("ada.ns.cloudflare.com.",))
    certified = dns.read_certified(step, ZONE)
    for value in (state, ttls, made, parity, deadlines, written, certified):
        text = re.sub(r"\s+", " ", repr(value))
        cells = [*value.rows(), *(value.table() if hasattr(value, "table") else ())]
        for cell in (cell for row in cells for cell in row if cell):
            assert re.sub(r"\s+", " ", cell) in text, type(value).__name__
        assert in_html(value)


def test_proxied_names_of_an_active_zone_are_left_to_the_list(world, step):
    """They are answered with Cloudflare's own addresses; the rest is still asked for."""
    state = dns.read_zone(step, ZONE)
    there = cloudflare.apply_zone(step, name=ZONE)
    site = (f"{ZONE}.", f"www.{ZONE}.")
    cloudflare.apply_records(step, there, put=dns.translate_zone(step, state, proxied=site).entries)
    assert dns.compare(step, state, at="cloudflare").agrees
    world.world.play("delegated-to-cloudflare")
    world.pass_s(120)
    assert cloudflare.read_zone(step, name=ZONE).status == "active"
    parity = dns.compare(step, state, at="cloudflare")
    assert parity.agrees, parity.disagreements
    assert parity.asked.get("ALIAS", 0) == 0
    assert parity.asked["A"] == 2
