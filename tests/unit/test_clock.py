"""Clocks: UTC, forward only."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from runbook.clock import VirtualClock, WallClock, utc_text

START = datetime(2026, 3, 1, 2, tzinfo=UTC)


def test_a_virtual_clock_moves_only_when_it_is_moved_and_only_forward():
    """Days pass in no time; sleeping until the past changes nothing; going back is refused."""
    clock = VirtualClock(START)
    clock.sleep_until(START + timedelta(days=2))
    assert clock.now() == START + timedelta(days=2)
    clock.sleep_until(START)
    assert clock.monotonic_s() == timedelta(days=2).total_seconds()
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(timedelta(seconds=-1))


def test_times_are_utc_whatever_zone_they_came_in():
    """A time on record ends in Z."""
    berlin = timezone(timedelta(hours=1))
    assert utc_text(datetime(2026, 3, 1, 3, tzinfo=berlin)) == "2026-03-01T02:00:00.000000Z"
    assert WallClock().now().utcoffset() == timedelta(0)
    with pytest.raises(ValueError, match="timezone"):
        VirtualClock(START.replace(tzinfo=None))
