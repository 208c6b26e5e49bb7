"""What is ordered and handed on: numbers of the plan, the phase before, the share of each minute."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.changes.traffic.between import Previous, UnderWay, previous_is_through
from runbook.changes.traffic.counting import Baseline, percent_at
from runbook.changes.traffic.order import Ground, Order, Share, read_phase
from runbook.changes.traffic.preflight import enough_traffic, requests_needed
from runbook.clock import VirtualClock
from runbook.errors import UnknownName
from runbook.judge.calibrating import Noise
from runbook.plan import load_plan
from runbook.step import Step
from tests.project import ROOT

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
PLAN = load_plan(ROOT)
STEP = Step(clock=VirtualClock(NOON), rollout=lambda: PLAN)
GROUND = Ground(project="web", canary="new", version="v2", current="old", assigns_domains=True, stages=None)


def order(phase, previous="", deployment="new"):
    return Order(
        deployment=deployment,
        phase=phase,
        previous=previous,
        schema_attested_by="ada",
        look_every_s=60,
        max_look_gap_s=180,
    )


def day(*, per_minute=1000.0, errors=0.002, phi=1.0):
    noise = Noise(phi=phi, tau=1.0, minutes=1440, events=1000)
    return Baseline(
        since=NOON - timedelta(days=1),
        until=NOON,
        noise={"errors": noise},
        requests_per_minute=(per_minute,) * 24,
        error_ratio=errors,
        slow_ratio=0.01,
        minutes=1440,
    )


@pytest.mark.parametrize(("number", "percent", "hours"), [(1, 5, 4), (2, 25, 4), (3, 50, 8), (4, 100, 24)])
def test_phases_are_the_plans(number, percent, hours):
    """Shares and hours stand in plan.yaml; green for 24 hours is watched for 24."""
    phase = read_phase(STEP, order(number))
    assert (phase.percent, phase.hours) == (percent, hours)
    assert phase.percents == (5, 25, 50, 100)


def test_only_the_last_phase_frees_the_project():
    """The others keep it for the next run of the canary."""
    kept = [read_phase(STEP, order(number)).keep_for for number in (1, 2, 3, 4)]
    assert kept == ["canary_phase"] * 3 + [""]


def test_a_phase_that_the_plan_has_not_is_no_phase():
    """The message says how many there are, and where they stand."""
    with pytest.raises(UnknownName, match=r"4 phases.*plan.yaml"):
        read_phase(STEP, order(5))


def previous(**more):
    under_way = UnderWay(
        phase=read_phase(STEP, order(1)), ground=GROUND, baseline=day(), began_at=NOON, ends_at=NOON
    )
    whole = {
        "run_id": "r1",
        "runbook": "canary_phase",
        "status": "done",
        "mode": "apply",
        "problems": (),
        "decision": "proceed",
        "under_way": under_way,
    }
    return Previous(**{**whole, **more})


def through(before, *, phase=2, deployment="new"):
    asked = order(phase, previous="r1", deployment=deployment)
    checks = previous_is_through(STEP, asked, read_phase(STEP, asked), before)
    return [check.title for check in checks if check.status != "passed"]


def test_a_phase_rests_on_one_that_is_through():
    """Verified, done in earnest, the phase before, the same build, a go."""
    assert through(previous()) == []


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"status": "parked"}, "and through"),
        ({"mode": "plan"}, "and through"),
        ({"runbook": "db_restore_drill"}, "and through"),
        ({"problems": ("it is unsigned",)}, "verifies"),
        ({"decision": ""}, "decided to go on"),
        ({"under_way": None}, "was phase 1"),
    ],
)
def test_each_thing_wrong_with_the_phase_before_is_named(wrong, says):
    """One failed check for each, and only for that."""
    (title,) = through(previous(**wrong))
    assert says in title


def test_another_build_or_a_phase_left_out_does_not_begin():
    """A record of another build, or of another phase, is no ground to stand on."""
    assert len(through(previous(), deployment="other")) == 1
    assert len(through(previous(), phase=3)) == 1


def test_the_first_phase_has_none_before_it():
    """A run named all the same is a mistake somebody should hear of."""
    nothing = Previous(run_id="", runbook="", status="", mode="", problems=(), decision="", under_way=None)
    asked = [order(1), order(1, previous="r1")]
    found = [previous_is_through(STEP, one, read_phase(STEP, one), nothing)[0].status for one in asked]
    assert found == ["passed", "failed"]


def test_a_minute_has_the_share_that_held_throughout():
    """None before the canary, none in the minute of a change, the last one for ever."""
    shares = (
        Share(at=NOON + timedelta(seconds=20), percent=5),
        Share(at=NOON + timedelta(hours=4), percent=25),
    )
    minutes = [-1, 0, 1, 239, 240, 1000]
    found = [percent_at(shares, NOON + timedelta(minutes=minute)) for minute in minutes]
    assert found == [None, None, 5, 5, 25, 25]


def test_too_little_traffic_is_said_before_the_phase():
    """Of twenty requests a minute 5 % tell nothing in four hours; of a thousand they do."""
    phase = read_phase(STEP, order(1))
    found = [enough_traffic(STEP, phase, day(per_minute=rate)).status for rate in (20.0, 1000.0)]
    assert found == ["failed", "passed"]


def test_noise_asks_for_more_requests():
    """A service whose errors come by threes needs about three times as many to say the same."""
    calm, clumped = (requests_needed(day(phi=phi), 0.01) for phi in (1.0, 3.0))
    assert 2.5 < clumped / calm < 3.5
    assert 600 < calm < 1500  # the study's 1,146, at 0.2 %


def test_no_number_of_requests_shows_what_is_not_so():
    """A service that is over the limit by itself cannot be shown to be under it."""
    assert requests_needed(day(errors=0.02), 0.01) is None
    assert enough_traffic(STEP, read_phase(STEP, order(1)), day(errors=0.02)).status == "failed"
