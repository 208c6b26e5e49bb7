"""The plan's rules, verbatim: thresholds, for how long, and whose fault a shared alert is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from runbook.errors import ParamsError
from runbook.judge.counts import Arm, Counts, Minute
from runbook.judge.policy import Rules, Streaks, misses, over, percent, summed
from runbook.plan import load_plan
from tests.minutes import BEGAN

PLAN = load_plan(Path(__file__).parents[3])
RULES = Rules.of(PLAN)


def counts(**more: float) -> Counts:
    return Counts.model_validate({"requests": 1000, "errors": 0, "database_calls": 100} | more)


def streaks(*rows: tuple[Counts | None, Counts | None], probes: int | None = None) -> Streaks:
    """Return the streaks after minutes of (canary, baseline)."""
    found = Streaks(RULES)
    for number, pair in enumerate(rows):
        canary, baseline = (None if one is None else Arm(total=one) for one in pair)
        at = BEGAN + timedelta(minutes=number)
        found.see(
            Minute(at=at, canary_percent=5, canary=canary, baseline=baseline, failed_probes_in_a_row=probes)
        )
    return found


BAD, GOOD, SOME = counts(errors=51), counts(errors=2), counts(errors=50)


def test_thresholds_are_the_plans() -> None:
    """Every number of the policy is one of params/plan.yaml."""
    assert RULES.error_target == 0.01
    assert (RULES.error_warning, RULES.error_critical, RULES.errors_for_minutes) == (0.02, 0.05, 5)
    assert (RULES.p95_target_ms, RULES.p95_warning_ms, RULES.p95_critical_ms) == (500, 1000, 2000)
    assert (RULES.database_target_ms, RULES.database_warning_ms) == (100, 500)
    assert (RULES.database_critical_ms, RULES.database_for_minutes) == (1000, 10)
    assert (RULES.probes_in_a_row, RULES.uptime_target, RULES.uptime_critical) == (2, 0.999, 0.995)


def test_a_plan_with_thresholds_that_nobody_counts_is_refused() -> None:
    """Latency is counted at 500, 1,000 and 2,000 ms: other thresholds are named, with the file and key."""
    p95 = PLAN.slos.p95_latency.model_copy(update={"target_below_ms": 400.0})
    plan = PLAN.model_copy(update={"slos": PLAN.slos.model_copy(update={"p95_latency": p95})})
    with pytest.raises(ParamsError, match=r"slos\.p95_latency: found 400 / 1000 / 2000 ms"):
        Rules.of(plan)


def test_five_minutes_over_five_percent_are_critical_and_four_are_not() -> None:
    """The alert needs its whole time, and a good minute begins it anew; exactly 5 % is not over."""
    assert not streaks(*[(BAD, GOOD)] * 4).fires("errors")
    assert streaks(*[(BAD, GOOD)] * 5).fires("errors")
    assert not streaks(*[(BAD, GOOD)] * 4, (GOOD, GOOD), *[(BAD, GOOD)] * 4).fires("errors")
    assert not streaks(*[(SOME, GOOD)] * 9).fires("errors")


def test_a_minute_without_data_neither_counts_nor_ends() -> None:
    """A gap, or a minute without requests, leaves an alert as far as it was."""
    gap, idle = (None, None), (counts(requests=0, database_calls=0), GOOD)
    assert not streaks(*[(BAD, GOOD)] * 4, gap, idle).fires("errors")
    assert streaks(*[(BAD, GOOD)] * 4, gap, idle, (BAD, GOOD)).fires("errors")
    assert over(RULES, "errors", idle[0], "critical") is None


def test_a_gap_as_long_as_the_alert_begins_it_anew() -> None:
    """Four bad minutes, five without data, one bad minute are not five bad minutes on end."""
    gap = (None, None)
    assert streaks(*[(BAD, GOOD)] * 4, *[gap] * 4, (BAD, GOOD)).fires("errors")
    assert not streaks(*[(BAD, GOOD)] * 4, *[gap] * 5, (BAD, GOOD)).fires("errors")


def test_a_critical_that_the_baseline_breaches_too_is_shared() -> None:
    """Both arms over the threshold: one cause; the canary alone: its own."""
    assert list(streaks(*[(BAD, BAD)] * 5).criticals()) == [("errors", True)]
    assert list(streaks(*[(BAD, GOOD)] * 5).criticals()) == [("errors", False)]
    assert list(streaks(*[(GOOD, BAD)] * 5).criticals()) == []


def test_latency_and_database_have_their_own_times() -> None:
    """P95 over 2,000 ms takes the error rate's five minutes, the database's average ten."""
    slow = counts(slow_500=90, slow_1000=80, slow_2000=51)
    assert streaks(*[(slow, GOOD)] * 5).fires("p95")
    stuck = counts(database_ms=100 * 1001.0)
    assert not streaks(*[(stuck, GOOD)] * 9).fires("database")
    assert list(streaks(*[(stuck, stuck)] * 10).criticals()) == [("database", True)]
    assert streaks(*[(counts(slow_500=60, slow_1000=51), GOOD)] * 5).fires("p95", severity="warning")


def test_two_failed_probes_are_an_alert_of_nobodys_arm() -> None:
    """The service is down: two health checks in a row, never called shared."""
    assert list(streaks((GOOD, GOOD), probes=1).criticals()) == []
    assert list(streaks((GOOD, GOOD), probes=2).criticals()) == [("probes", False)]
    assert list(streaks((None, None), probes=3).criticals()) == [("probes", False)]


def test_objectives_are_missed_at_the_limit() -> None:
    """Under 1 %, under 500 ms, under 100 ms: exactly that is not under."""
    assert misses(RULES, counts(errors=9, slow_500=49, database_ms=100 * 99.0)) == []
    found = misses(RULES, counts(errors=10, slow_500=50, database_ms=100 * 100.0))
    assert [text.split()[0] for text in found] == ["error", "5.0", "database"]
    assert misses(RULES, counts(requests=0, database_calls=0)) == []


def test_counts_add_up() -> None:
    """The sum of no counts is none; of two, their sum."""
    assert summed([]).requests == 0
    assert summed([BAD, GOOD]) == counts(requests=2000, errors=53, database_calls=200)


def test_a_share_is_told_as_finely_as_it_matters() -> None:
    """Two places under 2 %, none from 20 % on."""
    assert [percent(x) for x in (0.0, 0.0021, 0.049, 0.97)] == ["0.00 %", "0.21 %", "4.9 %", "97 %"]
