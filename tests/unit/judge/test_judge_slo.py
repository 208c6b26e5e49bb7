"""Budgets and burn rates: the workbook's numbers, by time and by request."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runbook.judge.slo import (
    budget_by_requests,
    budget_by_time,
    burn_alerts,
    burn_rate,
    canary_burn,
)


def test_three_nines_of_thirty_days_are_forty_three_minutes() -> None:
    """99.9 % leaves 43.2 bad minutes; half of the budget is gone at 21.6."""
    budget = budget_by_time(21.6, objective=0.999)
    assert budget.allowed == pytest.approx(43.2)
    assert budget.remaining == pytest.approx(0.5)
    assert budget_by_time(50, objective=0.999).remaining < 0
    assert dict(budget.rows())["allowed"] == "43.2 minutes"


def test_by_request_the_same_objective_is_another_budget() -> None:
    """0.2 % of errors burn the budget of 99.9 % twice as fast as it lasts, all the time."""
    assert burn_rate(20, 10_000, objective=0.999) == pytest.approx(2)
    budget = budget_by_requests(2_000, objective=0.999, expected=1_000_000)
    assert budget.remaining == pytest.approx(-1)
    assert budget.unit == "requests"


def test_nothing_to_count_is_no_burn_rate() -> None:
    """No requests: not zero, but unknown."""
    assert burn_rate(0, 0, objective=0.999) is None
    assert budget_by_requests(0, objective=0.999, expected=0).remaining == 1
    assert budget_by_requests(1, objective=0.999, expected=0).remaining == -math.inf


def test_the_canary_pays_for_what_is_beyond_the_baseline() -> None:
    """Its share of the burn is what the baseline's rate does not explain, never below nothing."""
    assert canary_burn(50, 5_000, 190, 95_000, objective=0.999, expected=1e6) == pytest.approx(0.04)
    assert canary_burn(1, 5_000, 190, 95_000, objective=0.999, expected=1e6) == 0
    assert canary_burn(50, 5_000, 0, 0, objective=0.999, expected=1e6) is None


@pytest.mark.parametrize(
    ("rate", "fires"),
    [(0.0005, []), (0.0012, [1.0]), (0.0035, [3.0, 1.0]), (0.007, [6.0, 3.0, 1.0]), (0.02, [14.4, 6, 3, 1])],
)
def test_each_burn_rate_has_its_alert(rate: float, fires: list[float]) -> None:
    """A steady rate fires the rules it is faster than, and no other."""
    total = np.full(4320, 1000.0)
    found = burn_alerts(total * rate, total, objective=0.999)
    assert [one.rule.rate for one in found] == fires


def test_a_trouble_that_is_over_pages_nobody() -> None:
    """The short window ends an alert: an outage of the last hour, ended ten minutes ago, no longer fires."""
    total = np.full(4320, 1000.0)
    bad = np.zeros(4320)
    bad[-60:-10] = 100
    assert [one.rule.rate for one in burn_alerts(bad, total, objective=0.999) if one.rule.rate > 10] == []
    bad[-10:] = 100
    page = burn_alerts(bad, total, objective=0.999)[0]
    assert (page.rule.urgency, round(page.short_rate)) == ("page", 100)
    assert "1 h and 5 min" in page.in_a_line()


def test_a_window_that_has_hardly_begun_says_nothing() -> None:
    """Ten minutes of counts fire no rule of an hour; half an hour may."""
    bad, total = np.full(60, 100.0), np.full(60, 1000.0)
    assert burn_alerts(bad[:10], total[:10], objective=0.999) == ()
    assert [one.rule.rate for one in burn_alerts(bad[:40], total[:40], objective=0.999)] == [14.4]
    assert burn_alerts(np.zeros(60), np.zeros(60), objective=0.999) == ()
