"""Visitors: one seed tells the same, however it is asked; split, noise and trouble are as said."""

from datetime import timedelta

import numpy as np
import pytest

from runbook.sandbox.traffic import numbers
from runbook.sandbox.traffic.draws import BINNED, BUCKETED
from runbook.sandbox.traffic.split import NEWCOMERS, OTHERS, minute_of
from runbook.sandbox.traffic.timing import DATABASE, REQUESTS, quantile_ms
from runbook.sandbox.vendors.vercel.deployments import CURRENT, STAGED
from runbook.sandbox.world.world import World
from tests.traffic_worlds import HOUR, MINUTE, release, stage, streams

DAY_MIN = 1440
COUNTS = (*BUCKETED, *BINNED)


@pytest.fixture
def world():
    return World(None)


def total(stream, name="requests", visitors=slice(None)):
    return int(stream.counts[name][:, visitors].sum())


def ratio(stream, bad="errors", of="requests"):
    return total(stream, bad) / total(stream, of)


def alike(one, other):
    return [s.deployment for s in one] == [s.deployment for s in other] and all(
        np.array_equal(a.counts[name], b.counts[name])
        for a, b in zip(one, other, strict=True)
        for name in a.counts
    )


def rehearsed(world, *, by):
    """A release of two hours and a rollback, the clock moved in steps of `by`, looked at in each."""
    world.play("bad-release")
    release(world)
    for _ in range(round(timedelta(hours=2) / by)):
        world.advance(by)
        streams(world, 3)
    world.part("vercel").releases.abort()
    world.part("vercel").releases.serve(CURRENT, "rolled back")
    world.advance(HOUR)
    return streams(world, 200, COUNTS)


def test_the_same_is_told_however_it_is_asked():
    """By the minute as time goes by, or all at once afterwards: every count of every minute is the same."""
    assert alike(rehearsed(World(None), by=MINUTE), rehearsed(World(None), by=HOUR))


def test_the_totals_are_of_what_is_told(world):
    """By the minute, in hours that are over and in this one, asked again and when the past has changed."""
    traffic = world.part("traffic")
    release(world)
    for by in (MINUTE * 40, MINUTE * 40, HOUR * 5, MINUTE):
        world.advance(by)
        if by == MINUTE:
            world.play("budget-spent")
        since, until = minute_of(world.clock.now()) - 3000, minute_of(world.clock.now()) + 9
        for one, other in zip(
            traffic.streams(since, until, COUNTS), traffic.totals(since, until, COUNTS), strict=True
        ):
            assert one.deployment == other.deployment
            for name in COUNTS:
                assert np.array_equal(one.counts[name].sum(axis=(1, 2)), other.counts[name])


def test_a_killed_world_tells_the_same(tmp_path):
    """What was told before a kill is told after it: only seed and tables count."""
    world = World(tmp_path / "state.db")
    before = rehearsed(world, by=HOUR)
    world.state.close()
    again = World(tmp_path / "state.db")
    assert alike(before, streams(again, 200, COUNTS))
    again.state.close()


def test_another_seed_tells_something_else():
    """And still of the same kind."""
    one, other = streams(World(None), 60), streams(World(None, seed="other"), 60)
    assert not alike(one, other)
    assert total(one[0]) == pytest.approx(total(other[0]), rel=0.2)


def test_what_is_to_come_is_not_told(world):
    """The minute that is not over is left out, and so is all after it."""
    now = minute_of(world.clock.now())
    assert [len(s.counts["requests"]) for s in world.part("traffic").streams(now - 2, now + 9, COUNTS)] == [2]
    assert world.part("traffic").streams(now, now + 9, COUNTS) == []


def test_a_day_is_as_the_numbers_say(world):
    """Mean rate, errors, P95, the database's mean, and what is over the limits."""
    (day,) = streams(world, DAY_MIN, COUNTS)
    assert total(day) / DAY_MIN / 60 == pytest.approx(numbers.REQUESTS_PER_S, rel=0.02)
    assert ratio(day) == pytest.approx(numbers.ERROR_RATIO, rel=0.06)
    assert quantile_ms(day.counts["latency"].sum(axis=(0, 1)), REQUESTS, 0.95) == pytest.approx(300, rel=0.02)
    database = day.counts["database_latency"].sum(axis=(0, 1))
    assert quantile_ms(database, DATABASE, 0.95) == pytest.approx(80, rel=0.03)
    assert ratio(day, "slow_500") < 0.01
    assert ratio(day, "database_slow_100", "database_calls") < 0.03


def test_a_day_has_its_low_in_the_window(world):
    """02:00 to 04:00 UTC is the low, half of the mean; the peak is half more than it."""
    (day,) = streams(world, DAY_MIN)
    hours = day.counts["requests"].sum(axis=(1, 2)).reshape(24, 60).mean(axis=1) / 60
    began = world.clock.now().hour
    low, peak = hours[(3 - began) % 24], hours[(15 - began) % 24]
    assert low == pytest.approx(hours.min(), rel=0.05)
    assert low == pytest.approx(numbers.REQUESTS_PER_S / 2, rel=0.1)
    assert peak == pytest.approx(numbers.REQUESTS_PER_S * 1.5, rel=0.1)


def test_counts_are_uneven_and_remember(world):
    """More scattered than independent requests would be, and a deviation lasts for minutes."""
    (day,) = streams(world, DAY_MIN)
    requests = day.counts["requests"].sum(axis=(1, 2)).astype(float)
    smooth = np.convolve(requests, np.ones(61) / 61, mode="same")[60:-60]
    left = requests[60:-60] - smooth
    assert left.var() > 3 * smooth.mean()
    assert np.corrcoef(left[:-1], left[1:])[0, 1] > 0.5
    errors = day.counts["errors"].sum(axis=(1, 2)) - requests * ratio(day)
    assert np.corrcoef(errors[:-1], errors[1:])[0, 1] > 0.1


def test_every_count_is_a_part_of_its_whole(world):
    """No more errors or slow requests than requests; each bin's sum is what was counted above the limits."""
    release(world)
    world.advance(HOUR)
    for stream in streams(world, 60, COUNTS):
        counts = stream.counts
        for whole, *parts in (
            ("requests", "errors"),
            ("requests", "slow_500", "slow_1000", "slow_2000"),
            ("database_calls", "database_slow_100", "database_slow_500", "database_slow_1000"),
            ("requests", "visitors"),
        ):
            for outer, inner in zip((whole, *parts), parts, strict=False):
                assert (counts[inner] <= counts[outer]).all()
        assert (counts["latency"].sum(axis=2) == counts["requests"].sum(axis=2)).all()
        over = REQUESTS.edges.index(500) + 1
        assert (counts["latency"][:, :, over:].sum(axis=2) == counts["slow_500"].sum(axis=2)).all()


# The split


def test_before_a_release_there_are_no_newcomers(world):
    """Only a release splits; without one, everybody is somebody who was there before."""
    (only,) = streams(world, 60)
    assert (only.deployment, only.version) == (CURRENT, "v7.9.1")
    assert total(only, visitors=NEWCOMERS) == 0


def test_a_release_splits_newcomers_only(world):
    """5 of 100 newcomers get the canary; those who were there before all stay, and grow fewer."""
    release(world)
    world.advance(4 * HOUR)
    current, canary = streams(world, 240)
    assert total(canary, visitors=OTHERS) == 0
    got = total(canary) / (total(canary) + total(current, visitors=NEWCOMERS))
    assert got == pytest.approx(0.05, rel=0.1)
    came = current.counts["requests"].sum(axis=2)
    assert came[:30, NEWCOMERS].sum() < came[:30, OTHERS].sum()
    assert came[-30:, NEWCOMERS].sum() > came[:30, NEWCOMERS].sum()


def test_newcomers_are_other_people(world):
    """They fail more often than those who were there before, whichever build they get."""
    release(world)
    world.advance(8 * HOUR)
    current = streams(world, 480)[0]
    ratios = [total(current, "errors", who) / total(current, "requests", who) for who in (NEWCOMERS, OTHERS)]
    assert ratios[0] > 1.1 * ratios[1]


def test_every_bucket_is_in_both_arms(world):
    """A bucket knows nothing of the split."""
    release(world)
    world.advance(4 * HOUR)
    for stream in streams(world, 240):
        assert (stream.counts["requests"].sum(axis=(0, 1)) > 0).all()


def test_a_stage_and_a_rollback_reach_everybody(world):
    """The share follows the stage; a rollback takes everything from the canary in that minute."""
    release(world)
    world.advance(HOUR)
    stage(world)
    world.advance(HOUR)
    current, canary = streams(world, 60)
    assert total(canary) / (total(canary) + total(current, visitors=NEWCOMERS)) == pytest.approx(
        0.5, rel=0.05
    )
    world.part("vercel").releases.abort()
    world.part("vercel").traffic.turn(CURRENT, None, 0.0, "rolled back")
    world.advance(HOUR)
    (only,) = streams(world, 59)
    assert only.deployment == CURRENT


def test_a_complete_release_has_everybody(world):
    """The canary's arm goes on under its own name."""
    release(world)
    world.advance(HOUR)
    world.part("vercel").releases.finish("done")
    world.advance(HOUR)
    (only,) = streams(world, 59)
    assert only.deployment == STAGED


def test_a_minute_may_belong_to_both(world):
    """The one in which the split changes."""
    world.advance(timedelta(seconds=30))
    release(world, percent=100)
    world.part("vercel").releases.finish("at once")
    world.advance(timedelta(minutes=1))
    old, new = streams(world, 1)
    assert total(new) / (total(old) + total(new)) == pytest.approx(0.5, rel=0.15)


# Trouble


def canary_after(world, scenario, hours, *, percent=5):
    world.play(scenario)
    release(world, percent=percent)
    world.advance(hours * HOUR)
    current, canary = streams(world, 60, COUNTS)
    assert (current.deployment, canary.deployment) == (CURRENT, STAGED)
    return current, canary


def test_a_bad_release_is_bad_from_its_start(world):
    """2 % of the canary's, none of the baseline's; and only that."""
    current, canary = canary_after(world, "bad-release", 1)
    assert ratio(canary) == pytest.approx(numbers.BAD_ERRORS, rel=0.4)
    assert ratio(current) < 0.004
    assert ratio(canary, "slow_500") < 0.03


def test_a_release_may_be_bad_under_load_only(world):
    """Nothing to see at 5 %; at half of the visitors it fails."""
    _, canary = canary_after(world, "bad-under-load", 1)
    assert ratio(canary) < 0.01
    stage(world)
    world.advance(HOUR)
    assert ratio(streams(world, 60)[1]) == pytest.approx(numbers.BAD_UNDER_LOAD_ERRORS, rel=0.2)


def test_a_slow_release_is_slow(world):
    """P95 doubles, errors stay."""
    _, canary = canary_after(world, "slow-release", 3, percent=50)
    assert quantile_ms(canary.counts["latency"].sum(axis=(0, 1)), REQUESTS, 0.95) == pytest.approx(
        600, rel=0.1
    )
    assert ratio(canary) < 0.006


def test_a_leak_comes_late_and_grows(world):
    """Green for five hours, then worse by the hour."""
    _, canary = canary_after(world, "late-leak", 5, percent=50)
    assert ratio(canary) < 0.005
    world.advance(3 * HOUR)
    _, canary = streams(world, 60)
    assert ratio(canary) > 0.02
    assert ratio(canary, "slow_500") > 0.05


def test_health_belongs_to_the_deployment(world):
    """It stays bad wherever it serves; the next release is another, whatever it is called."""
    canary_after(world, "bad-release", 1)
    vercel = world.part("vercel")
    vercel.releases.abort()
    vercel.traffic.turn(CURRENT, None, 0.0, "rolled back")
    world.advance(HOUR)
    vercel.releases.begin(vercel.deployments.ready_build("v8.0.0"), "the next")
    world.advance(2 * HOUR)
    _, canary = streams(world, 120)
    assert ratio(canary) < 0.012
    vercel.releases.abort()
    vercel.traffic.turn(STAGED, None, 0.0, "the bad one again, to everybody")
    world.advance(HOUR)
    assert ratio(streams(world, 59)[0]) == pytest.approx(numbers.BAD_ERRORS + numbers.ERROR_RATIO, rel=0.2)


def test_a_fault_may_come_in_the_middle_of_a_release(world):
    """Armed while a release is under way, it befalls that one, from then on."""
    release(world, percent=50)
    world.advance(HOUR)
    world.play("bad-release")
    world.advance(HOUR)
    _, canary = streams(world, 120)
    errors, requests = (canary.counts[name].sum(axis=(1, 2)) for name in ("errors", "requests"))
    assert errors[:60].sum() / requests[:60].sum() < 0.005
    assert errors[60:].sum() / requests[60:].sum() == pytest.approx(0.022, rel=0.2)


def test_an_outage_hits_both_arms(world):
    """An hour into the release, for twenty minutes, the baseline like the canary."""
    world.play("both-arms-bad")
    world.advance(3 * HOUR)
    release(world, percent=50)
    world.advance(2 * HOUR)
    for stream in streams(world, 120):
        by_minute = stream.counts["errors"].sum(axis=(1, 2)) / stream.counts["requests"].sum(axis=(1, 2))
        assert by_minute[60:80].min() > 0.1
        assert max(by_minute[:60].max(), by_minute[80:].max()) < 0.1


def test_a_gap_is_told_as_one(world):
    """For half an hour nothing is reported, an hour into the release; visitors come all the same."""
    world.play("metrics-gap")
    release(world)
    world.advance(2 * HOUR)
    now = minute_of(world.clock.now())
    silent = world.part("traffic").silent(now - 120, now)
    assert silent.nonzero()[0].tolist() == list(range(60, 90))


def test_low_traffic_is_low(world):
    """A request every three seconds, from now on."""
    world.play("low-traffic")
    world.advance(HOUR)
    (only,) = streams(world, 60)
    assert 0 < total(only) < 3600


def test_a_spent_budget_lies_in_the_past(world):
    """Half an hour of failures two days ago, though it was told otherwise before."""
    before = streams(world, 2 * DAY_MIN)[0].counts["errors"][:30].sum()
    world.play("budget-spent")
    (now,) = streams(world, 2 * DAY_MIN)
    assert now.counts["errors"][:30].sum() > 20 * before
    assert world.part("traffic").status()["armed"] == ["budget-spent since 2026-11-30T01:00Z"]
