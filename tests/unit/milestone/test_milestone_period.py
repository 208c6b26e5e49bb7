"""The stretch a milestone is about: from the deployment's end, over months and years, and when it is over."""

from datetime import timedelta

import pytest

from runbook.milestone.order import MILESTONES, SPANS, Order
from runbook.milestone.period import SETTLED, is_reached, read_period
from runbook.step import Step
from tests.milestones import DEPLOYED, at, gathered, period


class StillClock:
    def __init__(self, now):
        self._now = now

    def now(self):
        return self._now


def ordered(milestone):
    return Order(
        milestone=milestone, drill="", preconfiguration="", migration="", canary="", report_before=""
    )


@pytest.mark.parametrize("milestone", MILESTONES)
def test_it_is_counted_from_the_end_of_the_last_phase(milestone):
    """A day, a week, thirty days from the record's own time, whenever the report is written."""
    for now in (DEPLOYED + timedelta(days=40), DEPLOYED + timedelta(days=400)):
        found = read_period(Step(clock=StillClock(now)), ordered(milestone), gathered())
        assert (found.since, found.until - found.since) == (DEPLOYED, SPANS[milestone])
        assert "canary_phase-x-4" in found.counted_from


def test_without_a_record_it_is_counted_back_from_now_and_says_so():
    """There is a report all the same; what it shows of the service proves nothing about the rollout."""
    now = at(12, 9, 12, 30)
    found = read_period(Step(clock=StillClock(now)), ordered("T+24 h"), gathered(deployed_at=None))
    assert found.until == now - SETTLED
    assert "no record that can be relied on" in found.counted_from


@pytest.mark.parametrize(("early_s", "holds"), [(1, False), (0, True), (-3600, True)])
def test_it_is_over_when_its_last_minutes_are_counted(early_s, holds):
    """To the second: before that the check says when to resume."""
    stretch = period(DEPLOYED, DEPLOYED + timedelta(days=1))
    now = stretch.until + SETTLED - timedelta(seconds=early_s)
    (check,) = is_reached(Step(clock=StillClock(now)), stretch)
    assert (check.status == "passed") is holds


def test_the_months_of_a_milestone_over_new_year():
    """December and January, the latter being the one that is forecast."""
    found = period(at(12, 20), at(1, 19, year=2027))
    assert [f"{one:%Y-%m-%d}" for one in found.months()] == ["2026-12-01", "2027-01-01"]
