"""What a picture points to: said only where it is sure, and no way offered where none would help."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.changes.incident.finding import diagnose, way_would_help
from runbook.changes.incident.picture import Build, Picture, Rate
from runbook.plan import load_plan
from runbook.step import Step
from tests.project import ROOT

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
PLAN = load_plan(ROOT)
STEP = Step(rollout=lambda: PLAN)
GOOD, BAD, NONE = (
    Rate(requests=30_000, errors=60),
    Rate(requests=3000, errors=150),
    Rate(requests=0, errors=0),
)


def build(name, lately, *, role="serves production", live_since=None, earlier=GOOD):
    return Build(id=name, version="v1", role=role, live_since=live_since, lately=lately, earlier=earlier)


def picture(*builds, canary="", before=NONE, beside=NONE, candidates=("older",), unseen=()):
    return Picture(
        at=NOON,
        lately_min=15,
        production="old",
        percent=5.0 if canary else 0.0,
        canary=canary,
        builds=builds,
        before=before,
        beside=beside,
        candidates=candidates,
        alerts=(),
        new_issues=(),
        deploys=(),
        incidents=(),
        unseen=unseen,
    )


def canary(lately):
    return build("new", lately, role="canary", earlier=NONE)


CASES = {
    "the canary is worse": (
        picture(build("old", GOOD), canary(BAD), canary="new", beside=GOOD),
        "canary",
        "old",
    ),
    "both fail": (
        picture(build("old", BAD), canary(Rate(requests=200, errors=10)), canary="new", beside=BAD),
        "shared",
        "",
    ),
    "few errors of few": (
        picture(build("old", GOOD), canary(Rate(requests=20, errors=1)), canary="new", beside=GOOD),
        "nothing",
        "",
    ),
    "worse since it is live": (
        picture(build("old", BAD, live_since=NOON - timedelta(hours=1)), before=GOOD),
        "last deployment",
        "older",
    ),
    "it was so before": (
        picture(build("old", BAD, live_since=NOON - timedelta(hours=1)), before=BAD),
        "shared",
        "",
    ),
    "nothing was deployed": (picture(build("old", BAD), before=GOOD), "shared", ""),
    "nothing to go back to": (
        picture(build("old", BAD, live_since=NOON - timedelta(hours=1)), before=GOOD, candidates=()),
        "shared",
        "",
    ),
    "all is well": (picture(build("old", GOOD)), "nothing", ""),
    "no counts": (picture(build("old", NONE), unseen=("Datadog's counts: down",)), "not known", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_a_picture_points_to_one_thing(case):
    """The cause, and the build to go back to where that would help."""
    seen, cause, back_to = CASES[case]
    found = diagnose(STEP, seen)
    assert (found.cause, found.back_to) == (cause, back_to)
    assert found.grounds


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_moved_where_it_would_not_help(case):
    """What all builds share, and what nobody can see, refuses; nothing to mend does not."""
    seen, cause, _ = CASES[case]
    status = way_would_help(STEP, diagnose(STEP, seen)).status
    assert status == ("failed" if cause in ("shared", "not known") else "passed")


def test_what_could_not_be_seen_is_among_the_grounds():
    """The engineer reads which vendor did not answer."""
    seen, _, _ = CASES["no counts"]
    assert "Datadog's counts: down" in diagnose(STEP, seen).grounds
