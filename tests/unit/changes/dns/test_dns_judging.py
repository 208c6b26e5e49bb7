"""One answer held against what is expected: what passes, and what each way to be wrong is called."""

from datetime import UTC, datetime

import pytest

from runbook.changes.dns.judging import Expected, judge
from runbook.providers.dns import Answer, Question, RecordSet, Server

AT = datetime(2026, 11, 30, tzinfo=UTC)
NAME = "www.omnihub.dev."
ONE, TWO, THREE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


def a_set(*values, kind="A", ttl_s=300, name=NAME):
    return RecordSet(name=name, type=kind, ttl_s=ttl_s, values=tuple(sorted(values)))


def said(*records, kind="A", outcome="answer", server="ns1", authority=(), trouble=""):
    return Answer(
        server=Server(name=server, host="127.0.0.1"),
        question=Question.of(NAME, kind, zone="omnihub.dev."),
        outcome=outcome,
        asked_at=AT,
        records=records,
        authority=authority,
        trouble=trouble,
    )


def verdict(expected, *answers):
    """Return the kinds of what is wrong, or nothing."""
    return [one.kind for one in judge(expected, answers)]


@pytest.mark.parametrize(
    ("there", "kind"),
    [
        ((ONE, TWO), []),
        ((TWO, ONE), []),
        ((ONE,), ["values"]),
        ((ONE, TWO, THREE), ["values"]),
        ((ONE, THREE), ["values"]),
    ],
)
def test_exactly_these_values_no_fewer_and_no_more(there, kind):
    """The order does not matter."""
    assert verdict(Expected(a_set(ONE, TWO)), said(a_set(*there))) == kind


@pytest.mark.parametrize(
    ("rule", "ttl_s", "kind"),
    [
        ("exact", 300, []),
        ("exact", 299, ["ttl"]),
        ("exact", 301, ["ttl"]),
        ("at most", 60, []),
        ("at most", 300, []),
        ("at most", 301, ["ttl"]),
        ("any", 86_400, []),
    ],
)
def test_a_ttl_is_held_against_the_one_given_as_the_rule_says(rule, ttl_s, kind):
    """Vercel's own are exact, Cloudflare's at most, the system's nobody's business."""
    assert verdict(Expected(a_set(ONE), ttl=rule), said(a_set(ONE, ttl_s=ttl_s))) == kind


@pytest.mark.parametrize("outcome", ["nodata", "nxdomain"])
def test_no_such_record_where_there_should_be_one_is_missing(outcome):
    """Whichever way it is told."""
    assert verdict(Expected(a_set(ONE)), said(outcome=outcome)) == ["missing"]


@pytest.mark.parametrize(
    "outcome", ["timeout", "refused", "servfail", "lame", "unreachable", "malformed", "other"]
)
def test_whatever_is_no_answer_is_none(outcome):
    """Silence agrees with nothing, also where nothing is expected."""
    for expected in (
        Expected(a_set(ONE)),
        Expected(a_set(), absent="type"),
        Expected(a_set(), absent="name"),
    ):
        assert verdict(expected, said(outcome=outcome, trouble="why")) == ["no answer"]


@pytest.mark.parametrize(
    ("absent", "outcome", "kind"),
    [
        ("type", "nodata", []),
        ("type", "nxdomain", []),
        ("type", "answer", ["extra"]),
        ("name", "nxdomain", []),
        ("name", "nodata", ["extra"]),
        ("name", "answer", ["extra"]),
    ],
)
def test_what_should_not_be_there(absent, outcome, kind):
    """A type at a name may be missing either way; of a name that nobody has, not even the name may exist."""
    records = (a_set(ONE),) if outcome == "answer" else ()
    assert verdict(Expected(a_set(), absent=absent), said(*records, outcome=outcome)) == kind


def test_an_alias_that_leads_elsewhere_is_not_the_address_asked_for():
    """A CNAME where an address should stand answers with another set."""
    cname = a_set("elsewhere.example.", kind="CNAME")
    assert verdict(Expected(a_set(ONE)), said(cname)) == ["missing"]


@pytest.mark.parametrize(
    ("known", "there", "kind"),
    [
        ((ONE, TWO), (ONE,), []),
        ((ONE, TWO), (ONE, TWO), []),
        ((ONE,), (THREE,), ["values"]),
        ((ONE,), (ONE, THREE), ["values"]),
        ((ONE,), (), ["missing"]),
        ((), (), []),
        ((), (ONE,), ["values"]),
    ],
)
def test_a_flattened_alias_is_any_address_of_its_target(known, there, kind):
    """None where the target has none; one that nobody knows of it is wrong."""
    expected = Expected(a_set("edge.example.", kind="ALIAS"), ttl="any", addresses=frozenset(known))
    v4 = said(a_set(*there)) if there else said(outcome="nodata")
    assert verdict(expected, v4, said(kind="AAAA", outcome="nodata")) == kind


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        (('0 issue "ssl.com"',), []),
        (('0 issuewild ";"',), []),
        (('0 iodef "mailto:x@example.com"',), ["values"]),
    ],
)
def test_only_issuers_may_stand_beside_our_caa(more, kind):
    """Cloudflare adds authorities, nothing else."""
    ours = '0 issue "letsencrypt.org"'
    expected = Expected(a_set(ours, kind="CAA"), more_issuers=True)
    assert verdict(expected, said(a_set(ours, *more, kind="CAA"), kind="CAA")) == kind
    strict = Expected(a_set(ours, kind="CAA"))
    assert verdict(strict, said(a_set(ours, *more, kind="CAA"), kind="CAA")) == ["values"]


def test_behind_a_zone_cut_everything_is_a_referral_to_it():
    """To the same nameservers; an answer in its place is wrong."""
    cut = a_set("ns.example.", kind="NS", name="omnihub.dev.")
    expected = Expected(a_set(ONE), hidden_by=cut)
    assert verdict(expected, said(outcome="referral", authority=(cut,))) == []
    other = a_set("ns.elsewhere.example.", kind="NS", name="omnihub.dev.")
    assert verdict(expected, said(outcome="referral", authority=(other,))) == ["values"]
    assert verdict(expected, said(a_set(ONE))) == ["values"]


def test_servers_that_are_wrong_alike_stand_in_one_line_others_in_their_own():
    """Each line names its servers."""
    answers = [
        said(a_set(ONE), server="ns1"),
        said(a_set(THREE), server="ns2"),
        said(a_set(THREE), server="ns3"),
        said(outcome="timeout", server="ns4"),
    ]
    found = judge(Expected(a_set(ONE)), answers)
    assert [(one.kind, one.at) for one in found] == [("values", ("ns2", "ns3")), ("no answer", ("ns4",))]
    assert found[0].in_a_line() == (
        f"www.omnihub.dev A (values) at ns2, ns3: 300 s: {THREE}; expected 300 s: {ONE}"
    )
