"""Two public resolvers over HTTPS, as the sandbox emulates them and as they may misbehave."""

import json

import pytest

from runbook.clock import VirtualClock
from runbook.errors import SurprisingReply, VendorRefused, VendorUnavailable
from runbook.providers.dns import Question, ask_doh
from runbook.providers.dns.doh import CLOUDFLARE, GOOGLE
from runbook.providers.http import Http
from runbook.providers.shape import parsed
from runbook.sandbox.dns.part import PART
from runbook.sandbox.dns.zone import Delegation, RecordSet, txt_value
from runbook.sandbox.world.world import World
from tests.dns_servers import served_over_http
from tests.dns_worlds import BEGINS, OLD, ZONE


class Scripted:
    """Stands for a session whose vendor replies as told; the session's own parser reads it."""

    base_url = "https://dns.example"

    def __init__(self, dialect, reply):
        self.dialect, self.clock, self._reply = dialect, VirtualClock(BEGINS), reply

    def call(self, name, _method, _path, *, into, **_options):
        return parsed(json.dumps(self._reply()).encode(), into, vendor=self.dialect.vendor, call=name)


def scripted(dialect, **fields):
    flags = {"TC": False, "RD": True, "RA": True, "AD": False, "CD": False}
    return Scripted(dialect, lambda: {"Status": 0, **flags, "Question": [], **fields})


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    world = World(None, kinds=[PART])
    zone = world.part("dns").internet.host("vercel", ZONE)
    world.part("dns").internet.delegate(Delegation(ZONE, world.part("dns").internet.assigned("vercel", ZONE)))
    zone.put(RecordSet(f"www.{ZONE}", "A", 60, (OLD,)))
    zone.put(RecordSet(f"text.{ZONE}", "TXT", 60, (txt_value('"quoted" ' + "x" * 300),)))
    zone.put(RecordSet(f"one.{ZONE}", "CNAME", 60, (f"www.{ZONE}",)))
    with served_over_http(world, tmp_path_factory.mktemp("world")) as url:
        yield url


@pytest.mark.parametrize("dialect", [GOOGLE, CLOUDFLARE], ids=lambda dialect: dialect.vendor)
@pytest.mark.parametrize(
    ("name", "kind", "outcome", "values"),
    [
        (f"www.{ZONE}", "A", "answer", (OLD,)),
        (f"one.{ZONE}", "A", "answer", (OLD,)),
        (f"www.{ZONE}", "MX", "nodata", ()),
        (f"missing.{ZONE}", "A", "nxdomain", ()),
        (f"text.{ZONE}", "TXT", "answer", (txt_value('"quoted" ' + "x" * 300),)),
    ],
)
def test_both_vendors_answers_read_alike(sandbox, dialect, name, kind, outcome, values):
    """Their differences end at the client: one outcome, one normal form, over the one HTTP session."""
    with Http(dialect, sandbox + dialect.mount, VirtualClock(BEGINS)) as http:
        found = ask_doh(http, Question.of(name, kind))
    assert (found.outcome, found.values) == (outcome, values)
    assert found.ttl_s == (60 if outcome == "answer" else 3_600)  # the SOA's minimum at Vercel


def test_a_question_that_is_none_is_refused(sandbox):
    """What passes by `Question.of` the resolver refuses."""
    nameless = Question(name="a..b.", type="A")
    session = Http(GOOGLE, sandbox + GOOGLE.mount, VirtualClock(BEGINS))
    with session as http, pytest.raises(VendorRefused, match="google_dns refused resolve"):
        ask_doh(http, nameless)


def test_a_servfail_inside_http_200_is_a_servfail():
    """The RCODE decides, not HTTP; the vendor's comment is kept."""
    for comment, said in (("why", ("why",)), (["why", "else"], ("why", "else"))):
        found = ask_doh(scripted(CLOUDFLARE, Status=2, Comment=comment), Question.of(ZONE, "A"))
        assert (found.outcome, found.said) == ("servfail", said)
    assert ask_doh(scripted(GOOGLE, Status=5), Question.of(ZONE, "A")).outcome == "refused"
    assert ask_doh(scripted(GOOGLE, Status=4), Question.of(ZONE, "A")).outcome == "other"


def test_a_shape_that_is_not_documented_raises():
    """A field missing, or a record that is none: nothing is made of it."""
    with pytest.raises(SurprisingReply, match=r"cloudflare_dns answered dns_query .*Status"):
        ask_doh(scripted(CLOUDFLARE, Status="0"), Question.of(ZONE, "A"))
    wrong = [{"name": ZONE, "type": 1, "TTL": 60, "data": "not an address"}]
    with pytest.raises(SurprisingReply, match="a record that is none"):
        ask_doh(scripted(GOOGLE, Answer=wrong), Question.of(ZONE, "A"))


def test_a_resolver_out_of_reach_is_an_answer_that_says_so():
    """One vantage point less is no failure of the step; the answer carries the reason."""

    def out_of_reach():
        raise VendorUnavailable(
            "google_dns did not do resolve, asked 3 times", vendor="google_dns", call="resolve"
        )

    found = ask_doh(Scripted(GOOGLE, out_of_reach), Question.of(ZONE, "A"))
    assert (found.outcome, found.is_silent) == ("unreachable", True)
    assert "asked 3 times" in found.trouble
