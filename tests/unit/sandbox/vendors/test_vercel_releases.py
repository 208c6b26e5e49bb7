"""Vercel's releases in the sandbox: who gets which build at every minute, and what ends a release."""

import json
from datetime import timedelta

import pytest

from runbook.sandbox.vendors.vercel.deployments import CURRENT, OLD, OLDER, PREVIEW, STAGED
from runbook.sandbox.vendors.vercel.desk import TEAM
from runbook.sandbox.vendors.vercel.projects import PROJECT
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ROLLING = f"/v1/projects/{PROJECT}/rolling-release"
BY_HAND = {"enabled": True, "stages": [{"targetPercentage": share} for share in (5, 25, 100)]}
BY_ITSELF = {
    "enabled": True,
    "advancementType": "automatic",
    "stages": [
        {"targetPercentage": 10, "duration": 5},
        {"targetPercentage": 50, "duration": 10},
        {"targetPercentage": 100},
    ],
}


@pytest.fixture
def world():
    return World(None)


def ask(world, method, path, body=None, *, query=()):
    """Return status and data of a call."""
    token = world.secrets()["vercel"]["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    sent = b"" if body is None else json.dumps(body).encode()
    answer = world.answer(Call(method, "/vercel" + path, [*query, ("teamId", TEAM)], headers, sent)).answer
    return answer.status, json.loads(answer.content() or b"null")


def begin(world, config=BY_HAND, canary=STAGED):
    assert ask(world, "PATCH", f"{ROLLING}/config", config)[0] == 200
    assert ask(world, "POST", f"{ROLLING}/start", {"canaryDeploymentId": canary})[0] == 200


def approve(world, stage, canary=STAGED):
    return ask(
        world, "POST", f"{ROLLING}/approve-stage", {"nextStageIndex": stage, "canaryDeploymentId": canary}
    )


def release(world):
    return ask(world, "GET", ROLLING)[1]["rollingRelease"]


def project(world, **query):
    return ask(world, "GET", f"/v9/projects/{PROJECT}", query=list(query.items()))[1]


def move(world, kind, deployment):
    version = "v10" if kind == "promote" else "v1"
    return ask(world, "POST", f"/{version}/projects/{PROJECT}/{kind}/{deployment}")[0]


def deploy(world):
    body = {"name": "omnihub-web", "target": "production", "gitSource": {"type": "github", "sha": "a" * 40}}
    key = ask(world, "POST", "/v13/deployments", body)[1]["id"]
    world.advance(2 * MINUTE)
    return key


def split(world, when=None):
    share = world.part("vercel").traffic.share(when)
    return share.current, share.canary, share.canary_percent


def test_stages_go_up_one_by_one_and_never_twice(world):
    """Only the next stage is taken, only for the canary under way; the last one ends the release."""
    begin(world)
    assert split(world) == (CURRENT, STAGED, 5.0)
    assert approve(world, 2)[0] == 400
    assert approve(world, 1, canary=OLD)[0] == 400
    assert approve(world, 1)[0] == 200
    assert approve(world, 1)[0] == 400
    assert split(world) == (CURRENT, STAGED, 25.0)
    approve(world, 2)
    assert release(world)["state"] == "COMPLETE"
    assert split(world) == (STAGED, None, 0.0)
    assert project(world)["targets"]["production"]["id"] == STAGED


def test_to_start_the_same_release_again_is_no_second_one(world):
    """`start` for the canary under way is harmless, for another build it is a conflict."""
    begin(world)
    assert ask(world, "POST", f"{ROLLING}/start", {"canaryDeploymentId": STAGED})[0] == 200
    assert ask(world, "POST", f"{ROLLING}/start", {"canaryDeploymentId": OLD})[0] == 409
    assert len(world.part("vercel").table("releases")) == 1


def test_it_advances_by_itself_when_its_minutes_are_over(world):
    """Durations are minutes in the configuration, seconds in a release; approval is refused there."""
    began = world.clock.now()
    begin(world, BY_ITSELF)
    assert ask(world, "GET", f"{ROLLING}/config")[1]["rollingRelease"]["stages"][0]["duration"] == 5
    assert release(world)["activeStage"]["duration"] == 300
    assert approve(world, 1)[0] == 400
    world.advance(HOUR)
    at = [split(world, began + n * MINUTE) for n in (4, 5, 14, 15, 60)]
    assert at == [
        (CURRENT, STAGED, 10.0),
        (CURRENT, STAGED, 50.0),
        (CURRENT, STAGED, 50.0),
        (STAGED, None, 0.0),
        (STAGED, None, 0.0),
    ]


def test_a_release_keeps_the_stages_it_began_with(world):
    """A new configuration, or none, is for releases to come."""
    begin(world)
    ask(world, "DELETE", f"{ROLLING}/config")
    assert [stage["targetPercentage"] for stage in release(world)["stages"]] == [5, 25, 100]
    assert approve(world, 1)[0] == 200


def test_promote_during_a_release_gives_its_canary_everybody(world):
    """Of another build it is refused, and nothing moves."""
    begin(world)
    assert move(world, "promote", OLD) == 409
    assert split(world) == (CURRENT, STAGED, 5.0)
    assert move(world, "promote", STAGED) == 202
    assert split(world) == (STAGED, None, 0.0)
    assert release(world)["state"] == "COMPLETE"


def test_a_build_waits_for_the_release_and_then_begins_its_own(world):
    """With rolling releases on, a production build goes live by itself, one after the other."""
    begin(world)
    key = deploy(world)
    assert release(world)["queuedDeploymentId"] == key
    ask(world, "POST", f"{ROLLING}/complete", {"canaryDeploymentId": STAGED})
    assert (release(world)["canaryDeployment"]["id"], split(world)) == (key, (STAGED, key, 5.0))


def test_a_held_build_stays_where_it_is(world):
    """Without automatic assignment a production build is ready and nobody gets it."""
    ask(world, "PATCH", f"/v9/projects/{PROJECT}", {"autoAssignCustomDomains": False})
    key = deploy(world)
    shown = ask(world, "GET", f"/v13/deployments/{key}")[1]
    assert (shown["readyState"], shown["readySubstate"]) == ("READY", "STAGED")
    assert split(world) == (CURRENT, None, 0.0)


def test_a_rollback_is_accepted_before_anything_has_moved(world):
    """201 leaves everything as it was; the job ends eight seconds later, and with it the release."""
    begin(world)
    deploy(world)
    assert move(world, "rollback", CURRENT) == 201
    assert split(world) == (CURRENT, STAGED, 5.0)
    assert "lastAliasRequest" not in project(world)
    assert project(world, rollbackInfo="true")["lastAliasRequest"]["jobStatus"] == "pending"
    assert move(world, "rollback", OLD) == 409
    world.advance(timedelta(seconds=2))
    assert project(world, rollbackInfo="true")["lastAliasRequest"]["jobStatus"] == "in-progress"
    world.advance(timedelta(seconds=6))
    last = project(world, rollbackInfo="true")["lastAliasRequest"]
    assert (last["jobStatus"], last["fromRollingReleaseId"]) == ("succeeded", STAGED)
    told = release(world)
    assert (told["state"], told["activeStage"], told["queuedDeploymentId"]) == ("ABORTED", None, None)
    assert split(world) == (CURRENT, None, 0.0)


def test_a_rolled_back_project_assigns_nothing_until_a_promote(world):
    """Setting it has no effect; a promote, or a release run to its end, undoes it."""
    move(world, "rollback", OLD)
    world.advance(MINUTE)
    ask(world, "PATCH", f"/v9/projects/{PROJECT}", {"autoAssignCustomDomains": True})
    assert project(world)["autoAssignCustomDomains"] is False
    move(world, "promote", CURRENT)
    world.advance(MINUTE)
    assert project(world)["autoAssignCustomDomains"] is True
    assert move(world, "promote", CURRENT) == 409
    move(world, "rollback", OLD)
    world.advance(MINUTE)
    begin(world)
    assert project(world)["autoAssignCustomDomains"] is False
    ask(world, "POST", f"{ROLLING}/complete", {"canaryDeploymentId": STAGED})
    assert project(world)["autoAssignCustomDomains"] is True


def test_only_what_served_before_can_be_rolled_back_to(world):
    """A preview, a build nobody got, and on Hobby all but the last one are refused."""
    assert [move(world, "rollback", key) for key in (PREVIEW, STAGED)] == [400, 422]
    world.play("hobby-plan")
    assert [move(world, "rollback", key) for key in (OLDER, OLD)] == [402, 201]
    assert ask(world, "GET", f"{ROLLING}/billing")[1]["reason"] == "plan_not_supported"
    assert ask(world, "PATCH", f"{ROLLING}/config", BY_HAND)[0] == 403


@pytest.mark.parametrize(
    "stages",
    [
        [{"targetPercentage": 100}],
        [{"targetPercentage": 50}, {"targetPercentage": 25}, {"targetPercentage": 100}],
        [{"targetPercentage": 5}, {"targetPercentage": 50}],
        [{"targetPercentage": 5, "duration": 5}, {"targetPercentage": 100}],
        "all",
    ],
)
def test_stages_grow_to_a_hundred(world, stages):
    """Two or more, each larger, the last one 100; a duration only for automatic advancement."""
    assert ask(world, "PATCH", f"{ROLLING}/config", {"enabled": True, "stages": stages})[0] == 400
    assert project(world)["rollingRelease"] is None


def test_a_slow_rollback_takes_seven_minutes(world):
    """The scenario holds for the next rollback only."""
    world.play("rollback-slow")
    move(world, "rollback", OLD)
    world.advance(6 * MINUTE)
    assert split(world) == (CURRENT, None, 0.0)
    world.advance(2 * MINUTE)
    assert split(world) == (OLD, None, 0.0)
    move(world, "rollback", OLDER)
    world.advance(MINUTE)
    assert split(world) == (OLDER, None, 0.0)


def test_somebody_meddles_an_hour_into_the_next_release(world):
    """A scenario played beforehand waits for the release that it is about."""
    world.play("foreign-promote")
    world.advance(3 * HOUR)
    began = world.clock.now()
    begin(world)
    world.advance(2 * HOUR)
    assert split(world, began + 59 * MINUTE) == (CURRENT, STAGED, 5.0)
    assert split(world, began + 61 * MINUTE) == (STAGED, None, 0.0)


def test_the_traffic_table_survives_a_kill_and_tells_every_minute(tmp_path):
    """Rows are on disk at once; the splits of any window are clipped to it and leave no gap."""
    world = World(tmp_path / "world.db")
    began = world.clock.now()
    begin(world)
    world.advance(4 * HOUR)
    approve(world, 1)
    world.advance(HOUR)
    again = World(tmp_path / "world.db")  # the first is not closed, as after a kill
    traffic = again.part("vercel").traffic
    window = traffic.between(began - HOUR, again.clock.now() + HOUR)
    assert [(until - since, share.canary_percent) for since, until, share in window] == [
        (HOUR, 0.0),
        (4 * HOUR, 5.0),
        (2 * HOUR, 25.0),
    ]
    share = traffic.share(began + HOUR)
    assert [share.of(key) for key in (CURRENT, STAGED, OLD)] == [95.0, 5.0, 0.0]
    assert traffic.share(began - 100 * 24 * HOUR).canary is None
    assert again.state.unsaved() == []
