"""Sentry rehearsed: what it takes for a path, a search, a time; what it says of errors, late and in pages."""

import json
from datetime import timedelta

import pytest

from runbook.sandbox.vendors.sentry.errors import Invalid, terms
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World
from tests.traffic_worlds import HOUR, MINUTE, release

BASE = "/sentry/api/0/organizations/omnihub"
RELEASE = "omnihub-web@7.9.1"


@pytest.fixture
def world():
    return World(None)


def ask(world, path, body=None, *, token=None, **query):
    token = token or world.secrets()["sentry"]["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    pairs = [
        (key, value)
        for key, values in query.items()
        for value in ([values] if isinstance(values, str) else values)
    ]
    method = "GET" if body is None else "POST"
    return world.answer(Call(method, BASE + path, pairs, headers, json.dumps(body).encode())).answer


def counted(world, **more):
    return ask(world, "/events/", dataset="errors", field=["release", "count()"], statsPeriod="1h", **more)


def test_slashes_and_tokens(world):
    """A path without its slash is not there; a wrong token is a 401, another organization a 404."""
    assert ask(world, "/releases/").status == 200
    assert ask(world, "/releases").status == 404
    assert ask(world, "/releases/", token="sntrys_wrong").status == 401
    call = Call(
        "GET",
        "/sentry/api/0/organizations/else/releases/",
        [],
        {"Authorization": f"Bearer {world.secrets()['sentry']['token']}"},
    )
    assert world.answer(call).answer.status == 404


def test_the_limit_ends_at_a_time(world):
    """40 calls a second of each operation; the reset is seconds since 1970."""
    answers = [ask(world, "/releases/") for _ in range(41)]
    assert [one.status for one in answers[-2:]] == [200, 429]
    assert int(answers[-1].headers["X-Sentry-Rate-Limit-Reset"]) == int(world.clock.now().timestamp()) + 1
    assert counted(world).status == 200
    world.advance(timedelta(seconds=1))
    assert ask(world, "/releases/").status == 200


def test_a_next_link_is_always_there(world):
    """`results` says whether anything is behind it."""
    found = [ask(world, "/releases/", per_page="2", cursor=f"0:{begins}:0") for begins in (0, 2)]
    assert [len(one.body) for one in found] == [2, 1]
    assert ['rel="next"; results="true"' in one.headers["Link"] for one in found] == [True, False]
    assert all('rel="next"' in one.headers["Link"] for one in found)


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, ["version", "projects"]),
        ({"version": "a@1"}, ["projects"]),
        ({"version": "a@1", "projects": ["other"]}, ["projects"]),
    ],
)
def test_a_release_needs_its_name_and_our_project(world, body, wrong):
    """Each field that is wrong is named."""
    answer = ask(world, "/releases/", body)
    assert (answer.status, list(answer.body)) == (400, wrong)


def test_what_is_counted_is_what_visitors_met(world):
    """All errors of the hour but those of the newest minute, which have not come yet."""
    now = int(world.clock.now().timestamp() // 60)
    (stream,) = world.part("traffic").streams(now - 60, now - 1, ["errors"])
    (row,) = counted(world).body["data"]
    assert row == {"release": RELEASE, "count()": int(stream.counts["errors"].sum())}


def test_a_search_narrows(world):
    """By release and environment; what is not of it has no row, and a word that is none is refused."""
    assert len(counted(world, query=f'release:"{RELEASE}" environment:production').body["data"]) == 1
    assert counted(world, query=f'!release:"{RELEASE}"').body["data"] == []
    assert counted(world, query="release:omnihub-web@0.0.1").body["data"] == []
    assert counted(world, query="colour:red").status == 400
    assert counted(world, query="nonsense").status == 400


def test_terms_are_read():
    """Quoted, bare and turned round."""
    assert terms('release:"a b" !env:x') == [("release", "a b", True), ("env", "x", False)]
    with pytest.raises(Invalid, match="nonsense"):
        terms("a:b nonsense")


@pytest.mark.parametrize(
    "query",
    [
        {"field": "count()"},
        {"dataset": "errors"},
        {"dataset": "errors", "field": "speed"},
        {"dataset": "errors", "field": ["count()"] * 21},
        {"dataset": "errors", "field": "count()", "statsPeriod": "soon"},
        {
            "dataset": "errors",
            "field": "count()",
            "start": "2026-11-30T02:00:00Z",
            "end": "2026-11-30T01:00:00Z",
        },
        {"dataset": "errors", "field": "count()", "start": "x", "end": "y"},
    ],
)
def test_a_question_that_is_none_is_refused(world, query):
    """Dataset and fields are required, at most twenty; times are times."""
    assert ask(world, "/events/", **query).status == 400


def test_the_newest_points_are_incomplete(world):
    """They say so: who takes them for whole sees fewer errors than there were."""
    told = ask(world, "/events-timeseries/", dataset="errors", interval="60000", statsPeriod="10m")
    (series,) = told.body["timeSeries"]
    assert [point["incomplete"] for point in series["values"]] == [False] * 9 + [True]
    assert series["values"][-1]["value"] == 0


def test_grouped_series_of_errors_end_in_a_500(world):
    """As they do at Sentry; asked for one by one they do not."""
    grouped = ask(world, "/events-timeseries/", dataset="errors", groupBy="release", topEvents="5")
    assert grouped.status == 500


def test_issues_are_the_unresolved_ones_unless_asked_otherwise(world):
    """An empty query is all of them; one of a release is that which it has brought."""
    world.play("bad-release")
    release(world, percent=50)
    world.advance(HOUR)
    assert len(ask(world, "/issues/", statsPeriod="1h").body) == 3
    assert len(ask(world, "/issues/", statsPeriod="1h", query="").body) == 3
    assert ask(world, "/issues/", statsPeriod="1h", query="is:resolved").body == []
    (mine,) = ask(world, "/issues/", statsPeriod="1h", query="firstRelease:omnihub-web@8.0.0").body
    assert mine["title"].startswith("TypeError")
    assert ask(world, "/issues/", query="colour:red").status == 400


def test_a_deploy_counts_each_time(world):
    """Two calls, two deploys; the newest first, and the release tells how many."""
    body = {"environment": "production", "name": "again"}
    assert [ask(world, f"/releases/{RELEASE}/deploys/", body).status for _ in range(2)] == [201, 201]
    world.advance(MINUTE)
    assert [one["name"] for one in ask(world, f"/releases/{RELEASE}/deploys/").body] == [
        "again",
        "again",
        "7.9.1",
    ]
    assert ask(world, f"/releases/{RELEASE}/").body["deployCount"] == 3
    assert ask(world, f"/releases/{RELEASE}/deploys/", {}).status == 400
    assert ask(world, "/releases/none/deploys/").status == 404
