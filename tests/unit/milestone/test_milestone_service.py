"""The service's numbers equal what the sandbox's raw traffic says, added up by the minute, independently."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.milestone.service import Day, make_day, minutes_within, read_service
from runbook.providers.datadog import Downtime
from tests.memory_worlds import memory_world
from tests.milestones import at, days_between, expected, period

ALL_COUNTED = timedelta(minutes=3)


def told_of(world, since, until):
    """Let the world reach the end and its last minutes be counted; return the report's record."""
    world.world.advance_to(until + ALL_COUNTED)
    return read_service(world.step(), period(since, until))


def agree(record, world, since, until):
    """Every number of the whole and of each day is the independent one."""
    raw = expected(world, since, until)
    assert (record.down_min, record.silent_min) == (raw["down_min"], raw["silent_min"])
    assert (record.requests or 0.0, record.errors or 0.0) == (raw["requests"], raw["errors"])
    days = days_between(since, until)
    assert [(day.since, day.until) for day in record.days] == days
    for day, (begins, ends) in zip(record.days, days, strict=True):
        own = expected(world, begins, ends)
        assert (day.down_min, day.silent_min) == (own["down_min"], own["silent_min"])
        assert (day.requests or 0.0, day.errors or 0.0) == (own["requests"], own["errors"])


def test_numbers_are_those_of_the_raw_traffic_across_a_months_end():
    """From November into December, by the day: requests, errors, bad minutes; an outage is in it."""
    since, until = at(11, 27, 18, 30), at(12, 1, 6, 15)
    with memory_world() as world:
        world.world.play("budget-spent")
        record = told_of(world, since, until)
        agree(record, world, since, until)
    assert record.down_min > 20
    told = record.minutes - record.silent_min
    assert record.uptime == pytest.approx(1 - record.down_min / told)
    assert record.budget.remaining == pytest.approx(1 - record.down_min / 43.2)
    worst = max(record.days, key=lambda day: day.down_min)
    assert worst.burn(0.999) == pytest.approx(worst.down_min / (worst.minutes - worst.silent_min) / 0.001)


def test_time_before_the_metrics_is_not_uptime():
    """Of the days before monitoring began nothing was told: unknown, neither up nor nought."""
    since, until = at(11, 25), at(11, 28)
    with memory_world() as world:
        record = told_of(world, since, until)
        agree(record, world, since, until)
    first = record.days[0]
    assert (first.requests, first.errors, first.p95_ms, first.database_ms) == (None,) * 4
    assert (first.silent_min, first.burn(0.999), first.error_ratio) == (1440, None, None)
    assert record.uptime_at_least < 0.5


def test_metrics_that_stop_leave_days_missing():
    """What is lost is silent from its first minute; the service itself went on."""
    since, until = at(11, 30, 1), at(12, 3, 1)
    with memory_world() as world:
        world.world.advance_to(at(12, 1, 1))
        world.world.play("metrics-lost")
        record = told_of(world, since, until)
        agree(record, world, since, until)
    assert record.silent_min == 2 * 1440
    assert record.days[-1].requests is None
    assert record.uptime == 1.0
    assert record.uptime_at_least == pytest.approx(1 / 3)


def test_no_traffic_at_all_is_not_known():
    """Nothing was ever told: no uptime, no error rate, no latency, and no division by nought."""
    since, until = at(11, 20), at(11, 21)
    with memory_world() as world:
        record = told_of(world, since, until)
    assert (record.uptime, record.error_ratio, record.p95_ms, record.requests) == (None,) * 4
    assert record.uptime_at_least == 0
    assert "not known" in repr(record)


def test_p95_is_under_its_limit_where_fewer_than_one_in_twenty_is_slower():
    """P95 by Datadog's distribution and the count of slow requests say the same, slow release or not."""
    since, until = at(11, 28), at(11, 29)
    with memory_world() as world:
        record = told_of(world, since, until)
        traffic = world.world.part("traffic")
        first, last = int(since.timestamp()) // 60, int(until.timestamp()) // 60
        (stream,) = traffic.streams(first, last, ("requests", "slow_500"))
        share = stream.counts["slow_500"].sum() / stream.counts["requests"].sum()
    assert (record.p95_ms < 500) == (share < 0.05)
    assert 250 < record.p95_ms < 350
    assert 30 < record.database_ms < 50


minutes = st.integers(min_value=0, max_value=4 * 1440)


@given(edges=st.lists(minutes, unique=True, max_size=12), begins=minutes, length=st.integers(1, 3000))
def test_minutes_within_are_those_counted_one_by_one(edges, begins, length):
    """Stretches clipped to a day are the minutes that lie in both, counted singly."""
    ordered, zero = sorted(edges), at(11, 28)
    pairs = list(zip(ordered[::2], ordered[1::2], strict=False))
    stretches = [
        Downtime(since=zero + timedelta(minutes=a), until=zero + timedelta(minutes=b)) for a, b in pairs
    ]
    since, until = zero + timedelta(minutes=begins), zero + timedelta(minutes=begins + length)
    singly = sum(any(a <= minute < b for a, b in pairs) for minute in range(begins, begins + length))
    assert minutes_within(stretches, since, until) == singly


@given(start=minutes, length=st.integers(1, 45 * 1440))
def test_days_cover_a_milestone_without_gap_or_overlap(start, length):
    """The days of a milestone are its minutes, each once, none over midnight."""
    since = at(11, 28) + timedelta(minutes=start)
    found = period(since, since + timedelta(minutes=length)).days()
    assert list(found) == days_between(since, since + timedelta(minutes=length))
    assert sum((until - begins).total_seconds() for begins, until in found) == length * 60
    assert all((until - timedelta(seconds=1)).date() == begins.date() for begins, until in found)


def test_a_day_without_a_level_has_no_number():
    """No group in Datadog's answer is no data, not nought errors."""
    day = make_day(at(12, 1), at(12, 2), down=(), silent=(), levels=())
    assert isinstance(day, Day)
    assert (day.requests, day.errors, day.error_ratio) == (None, None, None)
