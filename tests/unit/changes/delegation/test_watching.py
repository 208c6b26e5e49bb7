"""What a look at a migration decides, when the next one is due, and what people are told: pure functions."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.changes.delegation import failing, watching
from runbook.changes.delegation.propagation import Apart, Cell, Propagation, Seen
from runbook.changes.delegation.service import Service
from runbook.changes.delegation.switching import Switched
from runbook.changes.dns import Disagreement
from runbook.gates.watching import Look
from runbook.providers.site import Visit

SWITCH = datetime(2026, 12, 2, 2, 2, tzinfo=UTC)
ENDS = SWITCH + timedelta(hours=48)
SWITCHED = Switched(zone="omnihub.dev.", seen_at=SWITCH, ends_at=ENDS, why="48 h")
PATIENCE = timedelta(minutes=5)


def visit(*, ok=True):
    trouble = "" if ok else "HTTP 525"
    return Visit(
        host="omnihub.dev", address="192.0.2.9", at=SWITCH, status=200, latency_ms=1.0, trouble=trouble
    )


def seen(*, where=("new", "old"), fits="right", apart=0, new=(True,), old=(True,)):
    """Return a look at resolvers of which the first has three times the users of each other."""
    return Propagation(
        seen=tuple(
            Seen(
                resolver=f"r{number}",
                weight=1.0 if number else 3.0,
                where=one,
                says="",
                cells=(Cell(name="omnihub.dev.", type="A", fits=fits, said="192.0.2.1"),),
            )
            for number, one in enumerate(where)
        ),
        apart=tuple(
            Apart(name="www.omnihub.dev.", type="A", server="ns", observed="a", expected="b")
            for _ in range(apart)
        ),
        visits_old=tuple(visit(ok=ok) for ok in old),
        visits_new=tuple(visit(ok=ok) for ok in new),
    )


def service(rate=0.002):
    return Service(rate=rate, critical=0.05, minutes=5)


def judged(found, *, now=SWITCH, since=None, rate=0.002):
    numbers = watching.measured(found) | {"failing_since_s": since}
    return watching.judge(
        found,
        numbers,
        service=service(rate),
        now=now,
        ends_at=ENDS,
        patience=PATIENCE,
        kept=ENDS - SWITCH,
    )


def look(at, decision="proceed", **numbers):
    return Look(at=at, says="so it is", decision=decision, numbers=numbers)


def test_shares_count_resolvers_and_the_users_behind_them():
    """Three quarters of the users may stand behind half of the resolvers."""
    numbers = watching.measured(seen())
    assert (numbers["resolvers_new"], numbers["users_new"], numbers["users_old"]) == (0.5, 0.75, 0.25)


def test_as_long_as_nothing_is_amiss_it_proceeds_with_how_far_it_is():
    """Resolvers that have not moved yet are no trouble before their caches must have let go."""
    decision, says = judged(seen())
    assert decision == "proceed"
    assert "75 % of users" in says


@pytest.mark.parametrize(
    ("amiss", "words"),
    [
        ({"apart": 1}, "do not answer alike"),
        ({"where": ("new", "failing")}, "resolvers fail"),
        ({"fits": "wrong"}, "other addresses"),
        ({"fits": "none"}, "other addresses"),
        ({"new": (False,)}, "the site fails"),
        ({"new": (False,), "old": (False,)}, "the site fails"),
    ],
)
def test_what_a_person_can_mend_holds(amiss, words):
    """Each kind of trouble is named; none of them by itself takes the nameservers back."""
    decision, says = judged(seen(**amiss))
    assert decision == "hold"
    assert words in says


def test_the_sites_own_errors_hold_and_never_take_the_nameservers_back():
    """Datadog does not tell through which side a request came; what is not known is no trouble."""
    decision, says = judged(seen(), now=SWITCH + 2 * PATIENCE, rate=0.2)
    assert decision == "hold"
    assert "20.00% of requests failed in 5 minutes" in says
    assert judged(seen(), rate=0.05)[0] == judged(seen(), rate=None)[0] == "proceed"
    assert watching.amiss_since(seen(), service(0.2), None, now=SWITCH, ends_at=ENDS) == SWITCH.timestamp()
    assert watching.amiss_since(seen(), service(), None, now=SWITCH, ends_at=ENDS) is None


@pytest.mark.parametrize("amiss", [{"where": ("new", "silent")}, {"fits": "silent"}])
def test_silence_proves_nothing(amiss):
    """A resolver that cannot be reached from here is said, and is no reason to hold."""
    assert judged(seen(**amiss))[0] == "proceed"


def test_who_has_not_moved_when_every_cache_must_have_let_go_holds():
    """At the end of the deadline, and not a second before."""
    assert judged(seen(), now=ENDS - timedelta(seconds=1))[0] == "proceed"
    assert judged(seen(), now=ENDS)[0] == "hold"
    assert judged(seen(where=("new", "new")), now=ENDS)[0] == "proceed"


def test_the_nameservers_go_back_once_the_site_has_failed_through_the_new_side_for_long_enough():
    """For the plan's least time of recovery, look after look; one bad look is not enough."""
    bad = seen(new=(False,))
    assert judged(bad, now=SWITCH + PATIENCE - timedelta(seconds=1), since=SWITCH.timestamp())[0] == "hold"
    decision, says = judged(bad, now=SWITCH + PATIENCE, since=SWITCH.timestamp())
    assert decision == "rollback"
    assert "dns_failure" in says
    assert "by 2026-12-04 02:07 UTC" in says  # what no way back can hasten


@pytest.mark.parametrize(
    ("new", "old", "began"),
    [(0.25, 0.0, True), (0.04, 0.0, False), (0.25, 0.25, False), (0.0, 0.25, False), (None, None, False)],
)
def test_the_new_side_alone_is_to_blame_or_it_is_not_the_dns(new, old, began):
    """More than the plan's error rate through the new side, and not through the old one."""
    numbers = {"failed_new": new, "failed_old": old}
    since = watching.failing_since(numbers, None, over=0.05, now=SWITCH)
    assert (since == SWITCH.timestamp()) is began


def test_a_failure_counts_from_its_first_look_and_ends_with_the_first_good_one():
    """What is on record of the look before decides."""
    bad, good = {"failed_new": 1.0, "failed_old": 0.0}, {"failed_new": 0.0, "failed_old": 0.0}
    before = look(SWITCH, failing_since_s=7.0)
    assert watching.failing_since(bad, before, over=0.05, now=SWITCH) == 7.0
    assert watching.failing_since(good, before, over=0.05, now=SWITCH) is None


@pytest.mark.parametrize(
    ("minutes", "numbers", "seconds"),
    [
        (0, {}, 60),
        (9, {}, 60),
        (10, {}, 300),
        (60, {}, 900),
        (360, {}, 3600),
        (2000, {"failing_since_s": 1.0}, 60),
        (2000, {"amiss_since_s": (SWITCH + timedelta(minutes=1995)).timestamp()}, 60),
        (2000, {"amiss_since_s": (SWITCH + timedelta(minutes=1900)).timestamp()}, 900),
    ],
)
def test_looks_are_dense_after_the_switch_and_from_when_something_is_amiss(minutes, numbers, seconds):
    """And always while the site fails, for its duration decides."""
    since = timedelta(minutes=minutes)
    assert watching.pace(numbers, now=SWITCH + since, since_switch=since) == seconds


def said(found, last):
    return watching.message(found, last, zone="omnihub.dev", switched=SWITCHED, every_h=4)


def test_people_hear_of_what_is_new_to_them():
    """Trouble once, its end, the way back, the end; nothing for a look like the one before."""
    at = SWITCH + timedelta(hours=1)
    good, bad = look(at, users_new=0.5, resolvers_new=0.5), look(at, "hold")
    assert said(good, good) == ""
    assert "trouble" in said(bad, good)
    assert said(bad, bad) == ""
    assert "mended" in said(good, bad)
    assert "go back to Vercel" in said(look(at, "rollback"), bad)
    assert "is complete" in said(look(ENDS), good)
    assert "trouble" in said(look(ENDS, "hold"), bad)


def test_every_four_hours_the_last_look_on_record_is_told():
    """Not this one: made again after a kill it might show something else, and would be said twice."""
    last = look(SWITCH + timedelta(hours=3, minutes=59), users_new=0.25, resolvers_new=0.5)
    text = said(look(SWITCH + timedelta(hours=4), users_new=0.9, resolvers_new=0.9), last)
    assert "25 % of users" in text
    assert said(look(SWITCH + timedelta(hours=4, minutes=1)), look(SWITCH + timedelta(hours=4))) == ""


def disagreement(kind):
    return Disagreement(
        name="www.omnihub.dev.", type="CNAME", kind=kind, at=("ns",), expected="a", observed="b"
    )


@pytest.mark.parametrize(
    ("given", "case", "way"),
    [
        ({}, "nothing is wrong", ""),
        ({"wrong": [disagreement("values")], "new": (False,)}, "wrong records", "mend the records"),
        ({"proxied": ["omnihub.dev."], "new": (False,)}, "proxied, and the edge fails", "mend the records"),
        ({"proxied": ["omnihub.dev."]}, "nothing is wrong", ""),
        ({"mute": [disagreement("no answer")]}, "a nameserver does not answer", "take the nameservers back"),
        ({"new": (False,)}, "the site fails through Cloudflare", "take the nameservers back"),
        ({"new": (False,), "old": (False,)}, "the site fails through both sides", ""),
        ({"broken": True, "wrong": [disagreement("values")]}, "a DS that no key fits", ""),
    ],
)
def test_a_failure_is_told_by_what_is_seen_and_has_the_way_out_that_fits(given, case, way):
    """Records first, which are mended within minutes; the nameservers only where nothing else helps."""
    sides = {name: given.pop(name) for name in ("new", "old") if name in given}
    more = {"wrong": [], "mute": [], "proxied": [], "broken": False} | given
    found, because = failing.classify(seen(**sides), **more)
    assert found == case
    assert because
    assert failing._FITS.get(found, "") == way


def test_after_the_way_back_a_side_that_nobody_asks_any_more_is_nobodys_trouble():
    """Until the last cache has let go both sides must serve the same; afterwards only the old one counts."""
    lame = seen(where=("old", "old"), apart=1, new=(False,))
    assert failing.judge_after(lame, back=True, over=False)[0] == "hold"
    assert failing.judge_after(lame, back=True, over=True)[0] == "proceed"
    assert failing.judge_after(seen(where=("old", "new")), back=True, over=True)[0] == "hold"
    assert failing.judge_after(seen(where=("new", "new"), fits="wrong"), back=False, over=True)[0] == "hold"
    assert (
        failing.judge_after(seen(where=("new", "new"), fits="wrong"), back=False, over=False)[0] == "proceed"
    )
