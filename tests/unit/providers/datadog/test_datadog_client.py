"""Datadog's client where its replies surprise: what is told late, wrongly, in part, or not at all."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from runbook.errors import OutcomeUnknown, SurprisingReply, VendorUnavailable
from runbook.plan import load_environment
from runbook.providers import datadog
from runbook.providers.datadog.minutes import COLUMNS
from runbook.step import Rehearsal, Step
from tests.unit.providers.conftest import NOON

ROOT = Path(__file__).parents[4]
MINUTE = timedelta(minutes=1)
SINCE = NOON - 10 * MINUTE
SECOND = [{"family": "time", "scale_factor": 1.0, "name": "second"}, None]
TOTALS = (*COLUMNS, "database_s", "heartbeat")
BY = tuple(f"by_{name}" for name in ("visitors", *COLUMNS))
NAMES = (*TOTALS, *BY)


@pytest.fixture
def step(url, clock, kept):
    environment = load_environment(ROOT, "sandbox")
    keys = {"datadog": {"api_key": "key-0123456789", "application_key": "app-0123456789"}}
    made = Step(
        clock=clock,
        environment=lambda: environment,
        rehearsal=lambda: Rehearsal(url=url, secrets=keys),
    )
    return replace(made, evidence_sink=kept.__setitem__)


def without(step, *names):
    """Return the step with some of our ids not filled in."""
    vendor = step.environment().vendors["datadog"]
    ids = {**vendor.ids, **dict.fromkeys(names)}
    vendors = {**step.environment().vendors, "datadog": vendor.model_copy(update={"ids": ids})}
    environment = step.environment().model_copy(update={"vendors": vendors})
    return replace(step, environment=lambda: environment)


def ms(minute):
    return int((SINCE + minute * MINUTE).timestamp() * 1000)


def reply(rows, *, times=(0, 1, 2), every=1, names=NAMES):
    """Return a reply with rows of (name, tags after the deployment's, values)."""
    series = [
        {
            "group_tags": [f"deployment:{tags[0]}", *(f"visitor_bucket:{tag}" for tag in tags[1:])],
            "query_index": names.index(name),
            "unit": SECOND if name == "database_s" else None,
        }
        for name, tags, _ in rows
    ]
    attributes = {
        "series": series,
        "times": [ms(minute * every) for minute in times],
        "values": [values for _, _, values in rows],
    }
    return json.dumps({"data": {"type": "timeseries_response", "attributes": attributes}}).encode()


def read(step, minutes=3, **more):
    """Read three minutes, unless told."""
    return datadog.read_minutes(step, since=SINCE, until=SINCE + minutes * MINUTE, **more)


def test_zeros_are_told_from_what_is_missing(step, script):
    """A sign of life without a count is a zero; without it the deployment is missing in that minute."""
    script.say(body=reply([("requests", ["dpl_a"], [5, None, None]), ("heartbeat", ["dpl_a"], [1, 1, None])]))
    found = read(step)
    assert [minute.arms[0].total.requests for minute in found.minutes] == [5, 0]
    assert found.gaps == (SINCE + 2 * MINUTE,)


def test_times_that_are_not_there_are_gaps(step, script):
    """A reply leaves out the times without a point: the others stay in their places."""
    script.say(body=reply([("requests", ["dpl_a"], [5, 7])], times=(0, 2)))
    found = read(step)
    assert [minute.at for minute in found.minutes] == [SINCE, SINCE + 2 * MINUTE]
    assert found.gaps == (SINCE + MINUTE,)


def test_nothing_at_all_is_gaps(step, script):
    """No series is no data, and no zero."""
    script.say(body=reply([], times=()))
    found = read(step)
    assert (found.minutes, len(found.gaps)) == ((), 3)


def test_without_a_heartbeat_requests_are_the_sign_of_life(step, script):
    """Where the application has none, a minute without a request is missing."""
    names = tuple(name for name in NAMES if name != "heartbeat")
    script.say(body=reply([("requests", ["dpl_a"], [5, None, 6])], names=names))
    found = read(without(step, "heartbeat"))
    assert [minute.at for minute in found.minutes] == [SINCE, SINCE + 2 * MINUTE]


def test_what_is_not_settled_is_not_asked_for(step, script):
    """The newest two minutes are left for later; nothing settled is no call at all."""
    script.say(body=reply([], times=()))
    found = datadog.read_minutes(step, since=NOON - 5 * MINUTE, until=NOON)
    assert found.settled_until == NOON - 2 * MINUTE
    asked = json.loads(script.seen[0][3])["data"]["attributes"]
    assert asked["to"] == int(found.settled_until.timestamp() * 1000)
    script.seen.clear()
    assert datadog.read_minutes(step, since=NOON - MINUTE, until=NOON).minutes == ()
    assert script.seen == []


def test_long_times_are_asked_for_in_parts(step, script):
    """Four hours at a time: 240 points of each series, where more than 1,500 would come coarser."""
    script.say(body=reply([], times=()))
    datadog.read_minutes(step, since=NOON - timedelta(hours=24), until=NOON)
    spans = [json.loads(body)["data"]["attributes"] for _, _, _, body in script.seen]
    assert [(one["to"] - one["from"]) // 60_000 for one in spans] == [240] * 5 + [238]
    assert all(two["from"] == one["to"] for one, two in pairwise(spans))


def test_deployments_are_told_apart_in_lower_case(step, script):
    """Datadog lowers tags: the caller's spelling comes back, another's stays as it was told."""
    script.say(body=reply([("requests", ["dpl_xc5r"], [1, 1, 1]), ("requests", ["dpl_other"], [1, 1, 1])]))
    found = read(step, deployments=("dpl_Xc5R",))
    assert {arm.deployment for arm in found.minutes[0].arms} == {"dpl_Xc5R", "dpl_other"}


def test_buckets_come_in_their_places(step, script):
    """A bucket without a point is a zero; what carries no bucket is in none."""
    rows = [
        ("requests", ["dpl_a"], [9, 9, 9]),
        ("by_requests", ["dpl_a", 7], [2, None, 1]),
        ("by_requests", ["dpl_a", 99], [None, 4, None]),
        ("by_requests", ["dpl_a", "N/A"], [3, 3, 3]),
    ]
    script.say(body=reply(rows))
    columns = [minute.arms[0].buckets.requests for minute in read(step).minutes]
    assert [len(column) for column in columns] == [100, 100, 100]
    assert [(column[7], column[99], sum(column)) for column in columns] == [(2, 0, 2), (0, 4, 4), (1, 0, 1)]


def test_without_tags_there_are_no_buckets(step, script):
    """The weaker test serves then, and the result says so."""
    script.say(body=reply([("requests", ["dpl_a"], [9, 9, 9])]))
    found = read(without(step, "newcomer_tag"))
    assert found.bucketed == "nobody"
    assert found.minutes[0].arms[0].buckets is None
    asked = json.loads(script.seen[0][3])["data"]["attributes"]["queries"]
    assert [one["name"] for one in asked] == list(TOTALS)


def test_latency_is_converted_by_its_unit(step, script):
    """Three calls of 40 ms are 120 ms, though the metric is in seconds."""
    script.say(body=reply([("requests", ["dpl_a"], [1] * 3), ("database_s", ["dpl_a"], [0.12] * 3)]))
    assert read(step).minutes[0].arms[0].total.database_ms == pytest.approx(120)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (reply([("requests", ["dpl_a"], [5] * 4)], times=(0, 1, 2, 4), every=2), "coarser"),
        (reply([("requests", ["dpl_a"], [5])], times=(9,)), "not the minutes"),
        (reply([("requests", ["dpl_a"], [5.5, 1, 1])]), "requests is no count"),
        (reply([("errors", ["dpl_a"], [-1, 1, 1])]), "errors is no count"),
        (reply([("by_errors", ["dpl_a", 100], [1, 1, 1])]), "a bucket is a number below 100"),
        (reply([("by_errors", ["dpl_a", "x"], [1, 1, 1])]), "a bucket is a number below 100"),
        (reply([("database_s", ["dpl_a"], [1, 1, 1])]).replace(b'"time"', b'"bytes"'), "no unit of time"),
        (b'{"data": {"attributes": {"series": [], "times": []}}}', "values"),
        (b"<html>", "the body"),
    ],
)
def test_what_cannot_be_counts_is_refused(step, script, body, says):
    """Intervals made coarser, averages in place of counts, other buckets, no unit, other shapes."""
    script.say(body=body)
    with pytest.raises(SurprisingReply, match=says):
        read(step, minutes=8 if says == "coarser" else 3)


def test_an_error_inside_200_is_asked_again(step, script, clock):
    """The query was not worked out: it is asked again, and given up with what was said."""
    script.say(body=b'{"errors": "Query timed out"}')
    script.say(body=reply([("requests", ["dpl_a"], [1, 1, 1])]))
    assert len(read(step).minutes) == 3
    script.say(body=b'{"errors": "Query timed out"}')
    script.next()
    with pytest.raises(VendorUnavailable, match="Query timed out"):
        read(step)
    assert clock.now() > NOON


def test_a_limit_is_waited_for_by_its_own_header(step, script, clock):
    """A 429 has no Retry-After: the reset says in how many seconds the window ends."""
    limit = {"X_RateLimit_Reset": "37", "X_RateLimit_Remaining": "0"}
    script.say(429, b'{"errors": ["Rate limit exceeded"]}', **limit)
    script.say(body=reply([("requests", ["dpl_a"], [1, 1, 1])]))
    read(step)
    assert clock.now() == NOON + timedelta(seconds=37)
    assert step.remarks == ["datadog query_timeseries: HTTP 429; attempt 2 after 37 s"]


def test_looks_are_no_evidence_but_their_failures_are(step, script, kept):
    """There are thousands of looks, and what they came to is on record; what went wrong is kept."""
    script.say(body=reply([], times=()))
    read(step)
    assert kept == {}
    script.say(400, b'{"errors": ["Error parsing query"]}')
    script.next()
    with pytest.raises(Exception, match="Error parsing query"):
        read(step)
    assert len(kept) == 1


def test_a_history_that_was_not_worked_out_is_no_history(step, script):
    """An error inside 200 other than *nothing to count* is said, and no value is made of it."""
    overall = {"sli_value": None, "errors": [{"error_type": "TIMEOUT", "error_message": "too slow"}]}
    told = {"type": "metric", "overall": overall, "thresholds": {"30d": {"timeframe": "30d", "target": 99}}}
    script.say(body=json.dumps({"data": told, "errors": None}).encode())
    with pytest.raises(VendorUnavailable, match="TIMEOUT: too slow"):
        datadog.read_slo_history(step, slo="slo_requests", since=SINCE, until=NOON)


def mark(step):
    return datadog.apply_mark(step, key="run/began", title="began", text="x", at=NOON)


def test_a_mark_whose_reply_was_lost_is_looked_for(step, script, clock):
    """It was posted: after the time that an event takes to be found, it is."""
    event = {"attributes": {"title": "began"}, "message": "x", "tags": [], "timestamp": NOON.isoformat()}
    script.say(body=b'{"data": []}')
    script.cut()
    script.say(body=json.dumps({"data": [{"attributes": event}]}).encode())
    assert not mark(step).found
    assert clock.now() == NOON + datadog.marks.FOUND_AFTER
    assert [path for _, path, _, _ in script.seen].count("/datadog/api/v1/events") == 1


def test_a_mark_is_never_posted_a_third_time(step, script):
    """Twice lost and not found: a person looks."""
    for _ in range(2):
        script.say(body=b'{"data": []}')
        script.cut()
    script.say(body=b'{"data": []}')
    with pytest.raises(OutcomeUnknown, match="twice"):
        mark(step)


def test_a_part_of_the_events_is_no_list(step, script):
    """A search that warns or times out has found a part only."""
    for meta in ({"status": "timeout"}, {"warnings": [{"title": "a shard was slow"}]}):
        script.replies.clear()
        script.say(body=json.dumps({"data": [], "meta": meta}).encode())
        with pytest.raises(VendorUnavailable, match="only a part"):
            datadog.read_events(step, since=SINCE, until=NOON)


def test_a_look_asks_the_clock_once(step, script, clock, monkeypatch):
    """In a rehearsal each time that it is asked is a call of its own, and there are thousands of looks."""
    asked, now = [], clock.now
    monkeypatch.setattr(clock, "now", lambda: asked.append(1) or now())
    script.say(body=reply([], times=()), X_RateLimit_Remaining="9", X_RateLimit_Reset="60")
    read(step)
    assert len(asked) == 1
