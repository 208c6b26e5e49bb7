"""Datadog rehearsed: what its query language takes, and what it makes of the visitors' counts."""

import json
from datetime import timedelta

import numpy as np
import pytest

from runbook.sandbox.vendors.datadog.formulas import value_of
from runbook.sandbox.vendors.datadog.language import Tag, Unreadable, read_query
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World
from tests.traffic_worlds import HOUR, MINUTE, release

COUNT = "sum:omnihub.web.requests{*}.as_count()"


@pytest.fixture
def world():
    return World(None)


def ask(world, path, body=None, *, query=(), keys=True):
    secrets = world.secrets()["datadog"]
    headers = {"DD-API-KEY": secrets["api_key"], "Content-Type": "application/json"}
    if keys:
        headers["DD-APPLICATION-KEY"] = secrets["application_key"]
    method = "GET" if body is None else "POST"
    call = Call(method, f"/datadog/api/{path}", list(query), headers, json.dumps(body).encode())
    return world.answer(call).answer


def timeseries(world, *queries, back=10 * MINUTE, until=timedelta(0), formulas=None, **more):
    """Return what a timeseries request answers, as (status, attributes or errors)."""
    now = world.clock.now() - until
    attributes = {
        "from": int((now - back).timestamp() * 1000),
        "to": int(now.timestamp() * 1000),
        "queries": [
            {"data_source": "metrics", "name": f"q{number}", "query": text}
            for number, text in enumerate(queries)
        ],
        **more,
    }
    if formulas:
        attributes["formulas"] = [{"formula": formula} for formula in formulas]
    answer = ask(
        world, "v2/query/timeseries", {"data": {"type": "timeseries_request", "attributes": attributes}}
    )
    told = json.loads(answer.content())
    return answer.status, told["data"]["attributes"] if "data" in told else told["errors"]


def values(world, *queries, **more):
    status, told = timeseries(world, *queries, **more)
    assert status == 200, told
    return told["values"]


def settled(world, *queries, **more):
    """Leave out the newest minutes, which are not all there."""
    return values(world, *queries, until=2 * MINUTE, **more)


# The language


def test_a_query_is_read_whole():
    """Aggregator, metric, scope, groups and modifiers."""
    query = read_query(
        "sum:a.b{env:Production,!x:1,k IN (p, q),v:8*} by {deployment, bucket}.as_count().rollup(max, 120)"
    )
    assert (query.aggregator, query.metric, query.by) == ("sum", "a.b", ("deployment", "bucket"))
    assert query.scope == (
        Tag("k", ("p", "q")),
        Tag("env", ("production",)),
        Tag("x", ("1",), wanted=False),
        Tag("v", ("8",), prefix=True),
    )
    assert (query.over, query.every_s) == ("max", 120)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "requests",
        "sum:requests",
        "sum:requests{}",
        "most:requests{*}",
        "sum:requests{a:b OR c:d}",
        "sum:requests{$env}",
        "top(sum:requests{*}, 5)",
        "sum:requests{*}.rollup(most)",
        "sum:requests{*}.as_count(1)",
        "sum:requests{*}.nonsense()",
        "sum:requests{*} by {a} extra",
    ],
)
def test_what_is_left_out_is_refused(text):
    """Nothing is guessed: what the sandbox cannot work out is a 400, as a mistake would be."""
    with pytest.raises(Unreadable, match="Error parsing query"):
        read_query(text)


@pytest.mark.parametrize(
    ("tag", "value", "holds"),
    [
        (Tag("k", ("a",)), "a", True),
        (Tag("k", ("a",)), "b", False),
        (Tag("k", ("a",)), None, False),
        (Tag("k", ("a",), wanted=False), "b", True),
        (Tag("k", ("a",), wanted=False), None, True),
        (Tag("k", ("a",), prefix=True), "abc", True),
        (Tag("k", ("a", "b")), "b", True),
    ],
)
def test_a_condition_on_a_tag(tag, value, holds):
    """Wanted or not, one of several, a beginning; what carries no such tag is let through by *not* only."""
    assert tag.holds(value) is holds


def test_formulas_join_by_tags():
    """Arithmetic by group; a group on one side only is no data, and so is a division by nought."""
    a = {("x",): np.array([1.0, 2.0]), ("y",): np.array([5.0, 5.0])}
    b = {("x",): np.array([2.0, 0.0])}
    found = value_of("a / b * 100 + 1", {"a": a, "b": b})
    assert list(found) == [("x",)]
    assert found["x",][0] == 51.0
    assert np.isnan(found["x",][1])
    with_nan = {("x",): np.array([np.nan, 3.0])}
    assert value_of("default_zero(a)", {"a": with_nan})["x",].tolist() == [0.0, 3.0]


@pytest.mark.parametrize("formula", ["", "a +", "c", "1 + 2", "__import__('os')", "a ** 2", "a[0]", "max(a)"])
def test_a_formula_that_is_none_is_refused(formula):
    """Only arithmetic of the queries named, and nothing that Python could do besides."""
    with pytest.raises(Unreadable, match="Error parsing formula"):
        value_of(formula, {"a": {(): np.array([1.0])}})


# What is told


def test_what_is_told_is_what_was_drawn(world):
    """Point by point, the visitors' counts."""
    (told,) = settled(world, COUNT)
    now = int(world.clock.now().timestamp() // 60)
    (stream,) = world.part("traffic").streams(now - 12, now - 2, ["requests"])
    assert told == stream.counts["requests"].sum(axis=(1, 2)).tolist()


def test_points_come_late(world):
    """Of a minute that has just ended nothing is there, then a part, then all."""
    full = None
    for after, there in ((5, 0.0), (30, 0.7), (100, 1.0)):
        world.advance_to(world.clock.now().replace(second=0) + 2 * MINUTE)
        world.advance(timedelta(seconds=after))
        now = int(world.clock.now().timestamp() // 60)
        minute = now - 1 if after < 60 else now - 2
        (stream,) = world.part("traffic").streams(minute, minute + 1, ["requests"])
        full = int(stream.counts["requests"].sum())
        status, told = timeseries(world, COUNT, back=timedelta(seconds=after % 60 + 60 * (now - minute)))
        got = told["values"][0][0] if told["values"] and told["values"][0] else 0
        assert status == 200
        assert got == pytest.approx(there * full, abs=100 * (0 < there < 1))


def test_a_zero_is_not_reported(world):
    """Errors of a bucket are null where there were none, and buckets without any are left out."""
    status, told = timeseries(
        world, "sum:omnihub.web.errors{*} by {visitor_bucket}.as_count()", until=2 * MINUTE
    )
    assert status == 200
    assert 0 < len(told["series"]) < 100
    flat = [value for line in told["values"] for value in line]
    assert None in flat
    assert 0 not in flat


def test_times_without_a_point_are_left_out(world):
    """A gap is a time that is not there."""
    world.play("metrics-gap")
    release(world)
    world.advance(2 * HOUR)
    _, told = timeseries(world, COUNT, back=118 * MINUTE, until=2 * MINUTE, interval=60_000)
    apart = {later - earlier for earlier, later in zip(told["times"], told["times"][1:], strict=False)}
    assert apart == {60_000, 31 * 60_000}


def test_too_many_points_come_coarser_without_a_word(world):
    """1,500 at most: two days by the minute are told by two minutes, summed."""
    _, told = timeseries(world, COUNT, back=timedelta(days=2), until=2 * MINUTE, interval=60_000)
    apart = {later - earlier for earlier, later in zip(told["times"], told["times"][1:], strict=False)}
    assert apart == {120_000}
    assert len(told["times"]) <= 1500


def test_without_as_count_a_count_is_averaged(world):
    """Rolled up over five minutes it is a fifth of the sum: who forgets it counts too few."""
    rolled = "sum:omnihub.web.requests{*}"
    (summed,) = settled(world, rolled + ".as_count().rollup(sum, 300)", back=20 * MINUTE)
    (averaged,) = settled(world, rolled + ".rollup(avg, 300)", back=20 * MINUTE)
    assert summed[0] > 4 * averaged[0]


def test_tags_are_lower_case_and_unknown_ones_not_there(world):
    """A deployment's id comes back in lower case; a tag that a metric does not carry reads N/A."""
    _, told = timeseries(
        world, "p95:omnihub.web.latency{*} by {deployment,visitor_bucket,colour}", until=2 * MINUTE
    )
    (series,) = told["series"]
    assert series["group_tags"] == [
        "deployment:dpl_7f3kq9ttwm2vbxc5rzj8lpn4yhde",
        "visitor_bucket:N/A",
        "colour:N/A",
    ]
    assert series["unit"][0]["name"] == "second"
    assert 0.25 < told["values"][0][0] < 0.4


def test_scopes_split_and_add_up(world):
    """Newcomers and others, buckets and deployments: the parts are the whole."""
    release(world, percent=50)
    world.advance(HOUR)
    (whole,) = settled(world, COUNT)
    for scopes in (
        ("newcomer:true", "newcomer:false"),
        ("version:v8.0.0", "!version:v8.0.0"),
        ("visitor_bucket:1*", "!visitor_bucket:1*"),
        ("deployment:dpl_xc*", "deployment:dpl_7f3*"),
    ):
        parts = [settled(world, f"sum:omnihub.web.requests{{{scope}}}.as_count()")[0] for scope in scopes]
        assert [a + b for a, b in zip(*parts, strict=True)] == whole
    assert settled(world, "sum:omnihub.web.requests{colour:red}.as_count()") == []


def test_a_metric_that_nobody_reports_is_no_data(world):
    """An empty list with HTTP 200, and no error."""
    assert settled(world, "sum:omnihub.web.requets{*}.as_count()") == []


def test_before_anything_was_reported_there_is_nothing(world):
    """The monitoring stack came three days before the world begins."""
    assert settled(world, COUNT, back=timedelta(days=4), interval=3_600_000)[0][0] > 0
    _, told = timeseries(world, COUNT, back=timedelta(days=1), until=timedelta(days=4), interval=3_600_000)
    assert told["times"] == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "data.type must be"),
        ({"data": {"type": "scalar_request", "attributes": {}}}, "data.type must be"),
        ({"data": {"type": "timeseries_request", "attributes": {"from": 1}}}, "to must be milliseconds"),
        ({"data": {"type": "timeseries_request", "attributes": {"from": 2, "to": 1}}}, "before to"),
        ({"data": {"type": "timeseries_request", "attributes": {"from": 1, "to": 2}}}, "queries is required"),
    ],
)
def test_a_request_that_is_none_is_refused(world, body, says):
    """With HTTP 400, and what is wrong with it."""
    answer = ask(world, "v2/query/timeseries", body)
    assert answer.status == 400
    assert says in answer.body["errors"][0]


# Limits, keys, trouble


def test_every_reply_tells_its_limit(world):
    """1,600 queries an hour; the one after that is refused, and the reset is in seconds."""
    timeseries(world, COUNT)
    answer = ask(world, "v2/query/timeseries", {})
    assert answer.headers["X-RateLimit-Remaining"] == "1598"
    assert (answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Reset"]) == ("1600", "3600")
    for _ in range(1598):
        ask(world, "v2/query/timeseries", {})
    refused = ask(world, "v2/query/timeseries", {})
    assert (refused.status, refused.headers["X-RateLimit-Remaining"]) == (429, "0")
    assert "Retry-After" not in refused.headers
    world.advance(HOUR)
    assert ask(world, "v2/query/timeseries", {}).status == 400


def test_one_key_lets_events_in_and_reads_nothing(world):
    """`validate` checks the first key only: its yes says nothing of reading."""
    assert ask(world, "v1/validate", keys=False).body == {"valid": True}
    assert ask(world, "v1/events", {"title": "a", "text": "b"}, keys=False).status == 202
    assert ask(world, "v1/monitor", keys=False).status == 403


def test_datadog_may_be_down(world):
    """For half an hour, an hour into the release; visitors come all the same, and are told of afterwards."""
    world.play("datadog-down")
    assert world.part("datadog").status()["armed"] == ["datadog-down since 2026-11-30T01:00Z"]
    assert ask(world, "v1/monitor").status == 200
    release(world)
    seen = []
    for _ in range(5):
        world.advance(30 * MINUTE)
        seen.append(ask(world, "v1/monitor").status)
    assert seen == [200, 503, 200, 200, 200]
    assert len(settled(world, COUNT, back=148 * MINUTE, interval=60_000)[0]) == 148


def test_queries_may_time_out_inside_200(world):
    """An error, and HTTP 200."""
    world.play("datadog-timeouts")
    status, told = timeseries(world, COUNT)
    assert (status, told) == (200, "Query timed out")
    world.advance(11 * MINUTE)
    assert settled(world, COUNT)


def test_a_monitor_has_no_data_in_a_gap(world):
    """It is neither well nor alerting."""
    world.play("metrics-gap")
    release(world)
    world.advance(80 * MINUTE)
    states = {one["name"]: one["overall_state"] for one in ask(world, "v1/monitor").body}
    assert states["High error rate"] == "No Data"


def test_no_data_is_uptime_and_no_request_is_no_value(world):
    """As Datadog has it: time slices count what is missing as up, counts have nothing to divide by."""
    until = int((world.clock.now() - timedelta(days=10)).timestamp())
    span = [("from_ts", str(until - 86400)), ("to_ts", str(until))]
    told = {}
    for one in ask(world, "v1/slo").body["data"]:
        told[one["type"]] = ask(world, f"v1/slo/{one['id']}/history", query=span).body["data"]["overall"]
    assert told["time_slice"]["sli_value"] == 100
    assert told["metric"]["sli_value"] is None
    assert told["metric"]["errors"][0]["error_type"] == "ZERO_VALUED_DENOMINATOR"


def test_events_are_found_late_and_twice_when_posted_twice(world):
    """There is no key that would make the second one the first."""
    for _ in range(2):
        ask(world, "v1/events", {"title": "a", "text": "b", "tags": ["Mark:X"]})
    search = {"filter": {"query": "mark:x", "from": "now-1h", "to": "now"}, "page": {"limit": 1}}
    assert ask(world, "v2/events/search", search).body["data"] == []
    world.advance(MINUTE)
    first = ask(world, "v2/events/search", search).body
    assert len(first["data"]) == 1
    search["page"]["cursor"] = first["meta"]["page"]["after"]
    second = ask(world, "v2/events/search", search).body
    assert len(second["data"]) == 1
    assert "page" not in second["meta"]


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"text": "b"}, "title"),
        ({"title": "a"}, "text"),
        ({"title": "a", "text": "b" * 4001}, "4000"),
        ({"title": "a", "text": "b", "alert_type": "loud"}, "alert_type"),
        ({"title": "a", "text": "b", "date_happened": 1}, "too old"),
        ({"title": "a", "text": "b", "aggregation_key": "k" * 101}, "aggregation_key"),
    ],
)
def test_an_event_that_is_none_is_refused(world, event, says):
    """Title and text, their lengths, kinds, and no older than 18 hours."""
    answer = ask(world, "v1/events", event)
    assert answer.status == 400
    assert says in answer.body["errors"][0]
