"""A quota: windows of the world's time, a refused call does not count."""

from datetime import UTC, datetime, timedelta

import pytest

from runbook.sandbox.world.quota import Quota, Window
from runbook.sandbox.world.state import State

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


@pytest.fixture
def quota():
    return Quota(State(None).table("toy", "usage"), [Window(3, 60), Window(5, 3600)])


def take(quota, count, now):
    return [quota.take("all", now) for _ in range(count)]


def test_the_shorter_window_fills_first(quota):
    """The refusal tells how long until a call is free."""
    assert take(quota, 5, NOON + timedelta(seconds=10)) == [0, 0, 0, 50, 50]


def test_a_new_window_is_empty_and_the_longer_one_counts_on(quota):
    """Three in the first minute, two in the second; then the hour is used up."""
    take(quota, 4, NOON)
    assert take(quota, 3, NOON + timedelta(seconds=60)) == [0, 0, 3540]
    assert take(quota, 1, NOON + timedelta(hours=1)) == [0]


def test_each_key_has_its_own(quota):
    """One endpoint's calls do not use up another's."""
    take(quota, 3, NOON)
    assert quota.take("other", NOON) == 0
