"""Sentry's client where its replies surprise: partial data, lost replies, lists that lag behind."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runbook.errors import OutcomeUnknown, SurprisingReply, VendorRefused, VendorUnavailable
from runbook.plan import load_environment
from runbook.providers import sentry
from runbook.step import Rehearsal, Step
from tests.unit.providers.conftest import NOON

ROOT = Path(__file__).parents[3]
NEW = "omnihub-web@8.0.0"
SINCE = NOON - timedelta(hours=1)
NO_MORE = '<https://sentry.io/>; rel="next"; results="false"; cursor="0:100:0"'
DEPLOY = {"environment": "production", "name": "run-1", "dateFinished": "2026-11-30T12:00:00Z"}
RELEASE = {"version": NEW, "dateCreated": "2026-11-30T12:00:00Z", "deployCount": 0}


@pytest.fixture
def step(url, clock, kept):
    environment = load_environment(ROOT, "sandbox")
    reach = Rehearsal(url=url, secrets={"sentry": {"token": "sntrys_0123456789"}})
    made = Step(clock=clock, environment=lambda: environment, rehearsal=lambda: reach)
    return replace(made, evidence_sink=kept.__setitem__)


def say(script, data, status=200, **headers):
    script.say(status, json.dumps(data).encode(), **headers)


def deploy(step):
    return sentry.apply_deploy(step, version=NEW, name="run-1", finished_at=NOON)


def posted(script):
    return [method for method, _, _, _ in script.seen].count("POST")


def test_names_are_quoted_in_paths(step, script):
    """`@` and what else a version holds; the slash at the end stays."""
    say(script, RELEASE)
    assert sentry.read_release(step, version=NEW).version == NEW
    assert script.seen[0][1] == "/sentry/api/0/organizations/omnihub/releases/omnihub-web%408.0.0/"


def test_a_release_that_is_not_known_is_none(step, script):
    """A 404 says so; any other refusal is one."""
    say(script, {"detail": "not found"}, 404)
    assert sentry.read_release(step, version=NEW) is None
    say(script, {"detail": "no permission"}, 403)
    script.next()
    with pytest.raises(VendorRefused, match="no permission"):
        sentry.read_release(step, version=NEW)


def test_a_release_told_twice_is_one(step, script):
    """208 is as good as 201."""
    say(script, {}, 208)
    say(script, RELEASE)
    assert sentry.apply_release(step, version=NEW).version == NEW


def test_a_release_that_is_not_shown_was_not_told(step, script):
    """Accepted says nothing: it must be there."""
    say(script, {}, 201)
    say(script, {"detail": "not found"}, 404)
    with pytest.raises(VendorUnavailable, match="does not show it"):
        sentry.apply_release(step, version=NEW)


def test_a_deploy_of_the_name_is_not_told_again(step, script):
    """It is looked for first."""
    say(script, [DEPLOY], Link=NO_MORE)
    assert deploy(step).found
    assert posted(script) == 0


def test_a_deploy_whose_reply_was_lost_is_looked_for(step, script):
    """It was heard: it is not told again."""
    say(script, [], Link=NO_MORE)
    script.cut()
    say(script, [DEPLOY], Link=NO_MORE)
    assert not deploy(step).found
    assert posted(script) == 1


def test_a_deploy_is_never_told_a_third_time(step, script):
    """Twice lost and not shown: a person looks."""
    for _ in range(2):
        say(script, [], Link=NO_MORE)
        script.cut()
    say(script, [], Link=NO_MORE)
    with pytest.raises(OutcomeUnknown, match="told twice"):
        deploy(step)
    assert posted(script) == 2


def test_an_accepted_deploy_that_is_not_shown_is_not_told_again(step, script):
    """The list may be behind: telling it again would make it two."""
    say(script, [], Link=NO_MORE)
    say(script, DEPLOY, 201)
    say(script, [], Link=NO_MORE)
    with pytest.raises(VendorUnavailable, match="does not show it"):
        deploy(step)
    assert posted(script) == 1


def series(step):
    return sentry.read_error_series(step, version=NEW, since=SINCE, until=NOON)


def test_incomplete_points_are_left_out(step, script):
    """They hold a part of their errors only."""
    points = [
        {"timestamp": (SINCE + timedelta(minutes=n)).timestamp() * 1000, "value": 3.0, "incomplete": n == 2}
        for n in range(3)
    ]
    say(script, {"timeSeries": [{"values": points, "meta": {}}]})
    assert [(point.at - SINCE, point.errors) for point in series(step)] == [
        (timedelta(0), 3),
        (timedelta(minutes=1), 3),
    ]


def test_a_part_of_the_data_is_no_series(step, script):
    """Sentry says when it has not looked at all of it."""
    say(script, {"timeSeries": [{"values": [], "meta": {"dataScanned": "partial"}}]})
    with pytest.raises(VendorUnavailable, match="a part of its data"):
        series(step)


def test_rows_without_their_columns_are_refused(step, script):
    """What was asked for must be there."""
    say(script, {"data": [{"release": NEW}], "meta": {}}, Link=NO_MORE)
    with pytest.raises(SurprisingReply, match="count"):
        sentry.read_error_counts(step, since=SINCE, until=NOON)


def test_a_limit_ends_at_a_time(step, script, clock):
    """The reset is seconds since 1970, where other vendors say how many."""
    ends = NOON + timedelta(seconds=9)
    say(script, {"detail": "too often"}, 429, X_Sentry_Rate_Limit_Reset=str(int(ends.timestamp())))
    say(script, RELEASE)
    sentry.read_release(step, version=NEW)
    assert clock.now() == ends
