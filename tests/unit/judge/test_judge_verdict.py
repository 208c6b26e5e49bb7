"""Verdicts: which rule decides, what is told of it, and that nothing is hidden from one look to the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbook.journal import decode, encode
from runbook.judge.calibrating import Noise
from runbook.judge.comparing import ALPHA, NAMES
from runbook.judge.counts import Arm, Counts, Minute
from runbook.judge.policy import Rules
from runbook.judge.reasons import judged
from runbook.judge.slo import budget_by_time
from runbook.judge.verdict import RATE_ALPHA, Judge, Judgement, Setup
from runbook.plan import load_plan
from tests.minutes import BEGAN, minutes

PLAN = load_plan(Path(__file__).parents[3])
RULES = Rules.of(PLAN)
GATES = [phase.gate for phase in PLAN.canary.phases]
QUIET = Noise(phi=1, tau=1, minutes=1440, events=10_000)
SETUP = Setup(rules=RULES, noise=dict.fromkeys(NAMES, QUIET))


def watch(found: list[Minute], setup: Setup = SETUP) -> tuple[Judgement, int]:
    """Look after each minute until nothing can change any more; return the last look, and how many."""
    judge, number = Judge(setup), 0
    for number, minute in enumerate(found, start=1):
        judge.see(minute)
        look = judged(judge)
        if look.ends:
            return look, number
    return judged(judge), number


def at_end(found: list[Minute], phase: int = 0, setup: Setup = SETUP, **more: Any) -> Judgement:
    return judged(Judge.of(setup, found), gate=GATES[phase], at_end=True, **more)


def rules_of(look: Judgement, decision: str) -> list[str]:
    return [one.rule for one in look.reasons if one.decision == decision]


def test_a_clean_phase_proceeds_and_says_why() -> None:
    """The gate passes, the data suffice, nothing speaks against: with the numbers of both arms."""
    look = at_end(minutes(120))
    assert (look.decision, look.ends) == ("proceed", False)
    assert look.reasons[0].rule == "gate"
    assert "under 1.00 % is needed" in look.reasons[0].says
    assert {"gate", "so far"} == set(rules_of(look, "proceed"))
    assert "evidence 0.6-fold of 200" in look.reasons[1].says


@pytest.mark.parametrize(
    ("canary", "what"), [({"errors": 0.02}, "errors"), ({"slow": 0.084}, "requests over 500")]
)
def test_a_bad_release_is_rolled_back_within_minutes(canary: dict[str, float], what: str) -> None:
    """Evidence against a canary beyond the objectives rolls back; which numbers, how much, what interval."""
    look, count = watch(minutes(30, canary=canary))
    assert (look.decision, look.ends) == ("rollback", True)
    assert count <= 2
    says = look.says
    assert f"more {what}" in says
    for words in ("against", "-fold by counts", "by slices, both over", "ratio between", "beyond the plan"):
        assert words in says


def test_worse_than_the_baseline_but_within_the_plan_asks_a_person() -> None:
    """0.2 → 0.6 % is evidence and no breach: hold, or roll back where params say so."""
    found = minutes(60, canary={"errors": 0.006}, per_minute=48_000)
    look, _ = watch(found)
    assert (look.decision, look.ends) == ("hold", True)
    assert "still within the plan's objectives" in look.says
    assert watch(found, SETUP.model_copy(update={"within_slo": "rollback"}))[0].decision == "rollback"


def test_a_difference_that_is_no_matter_is_left_alone() -> None:
    """0.01 → 0.05 % is sure and immaterial: it does not stop a rollout."""
    found = minutes(120, canary={"errors": 0.0005}, baseline={"errors": 0.0001}, per_minute=60_000)
    look, _ = watch(found)
    judge = Judge.of(SETUP, found)
    assert judge.comparison.keys.log_e()[0] > 5.3
    assert (look.decision, look.ends) == ("proceed", False)


def test_too_little_traffic_is_insufficient() -> None:
    """Some hundred good requests say little: hold, and say how much evidence there is of how much."""
    look = at_end(minutes(240, per_minute=50))
    assert look.decision == "hold"
    assert rules_of(look, "hold") == ["insufficient data"]
    assert "100-fold is needed" in look.says


def test_no_data_is_no_zero() -> None:
    """A phase without data holds; so do ten silent minutes in the middle; one that counted nothing, too."""
    gap = [Minute(at=one.at, canary_percent=5, canary=None, baseline=None) for one in minutes(20)]
    assert rules_of(at_end(gap), "hold") == ["no data", "no data"]
    look, _ = watch(
        minutes(30)
        + [
            one.model_copy(update={"at": later.at})
            for one, later in zip(gap, minutes(10, first=30), strict=False)
        ]
    )
    assert (look.decision, look.ends, look.reasons[0].rule) == ("hold", False, "no data")
    idle = Arm(total=Counts(requests=0, errors=0))
    empty = [one.model_copy(update={"canary": idle, "baseline": idle}) for one in gap]
    assert "not one request" in at_end(empty).says


def test_missing_minutes_count_as_missing() -> None:
    """A phase seen for less than four fifths is judged on too little of it, whatever was seen."""
    found = [one for number, one in enumerate(minutes(240)) if number % 3]
    look = at_end(found)
    assert rules_of(look, "hold") == ["insufficient data"]
    assert "of the phase's 239 minutes" in look.says


def test_an_outage_of_both_arms_is_a_shared_cause() -> None:
    """The evidence stays silent; the plan's alert fires, says so, and rolls back unless params say hold."""
    both = {"errors": 0.3}
    found = minutes(20) + minutes(10, first=20, canary=both, baseline=both)
    look, count = watch(found)
    assert (look.decision, count) == ("rollback", 25)
    assert rules_of(look, "rollback") == ["critical alert"]
    assert "shared cause" in look.says
    assert watch(found, SETUP.model_copy(update={"shared_cause": "hold"}))[0].decision == "hold"


def test_a_critical_of_the_canary_alone_is_its_own() -> None:
    """More than 5 % for five minutes, with too little traffic for evidence, still rolls back."""
    look, count = watch(minutes(10, canary={"errors": 0.5}, per_minute=60, buckets=None), Setup(rules=RULES))
    assert (look.decision, count) == ("rollback", 5)
    assert "shared" not in look.says


def test_a_gate_at_its_limit_does_not_pass() -> None:
    """Exactly 1 % is not under 1 %: phase 1 rolls back."""
    exact = Arm(total=Counts(requests=1000, errors=10))
    found = [Minute(at=one.at, canary_percent=5, canary=exact, baseline=exact) for one in minutes(5)]
    look = at_end(found)
    assert rules_of(look, "rollback") == ["gate"]
    assert "the baseline too: shared cause" in look.says


@pytest.mark.parametrize(
    ("bad_minutes", "decision"), [(21.5, "proceed"), (21.6, "hold"), (50, "hold"), (None, "hold")]
)
def test_the_error_budget_decides_phase_three(bad_minutes: float | None, decision: str) -> None:
    """More than half left: on; half or less, or nobody knows: a person investigates."""
    budget = None if bad_minutes is None else budget_by_time(bad_minutes, objective=0.999)
    look = at_end(minutes(30, percent=50), 2, budget=budget)
    assert look.decision == decision
    assert (rules_of(look, "hold") == ["no data"]) == (bad_minutes is None)


def test_all_green_needs_all_of_a_day() -> None:
    """Phase 4 passes after 24 h of green minutes, not after eight, and not with a bad half hour in them."""
    day = minutes(24 * 60, percent=100, per_minute=1200, buckets=None)
    assert at_end(day, 3).decision == "proceed"
    assert rules_of(at_end(day[:480], 3), "hold") == ["insufficient data"]
    bad = minutes(30, first=300, percent=100, per_minute=1200, canary={"errors": 0.03}, buckets=None)
    look = at_end(day[:300] + bad + day[330:], 3)
    assert look.decision == "hold"
    assert "a warning stood for" in look.says


def test_where_no_baseline_is_left_a_person_is_asked() -> None:
    """At 100 % there is nothing to compare with: a rate surely over the plan's limit holds, and says so."""
    look, count = watch(minutes(60, percent=100, canary={"errors": 0.03}))
    assert (look.decision, look.ends) == ("hold", True)
    assert rules_of(look, "hold") == ["rate"]
    assert "no baseline is left" in look.says
    assert count <= 3


def test_an_outage_of_before_is_not_held_against_the_whole() -> None:
    """What was compared at 50 % is no word on 100 %: there the limits alone speak, and begin anew."""
    out = {"errors": 0.3}
    before = minutes(60, percent=50) + minutes(4, first=60, percent=50, canary=out, baseline=out)
    judge = Judge.of(SETUP, before + minutes(5, first=64, percent=100))
    look = judged(judge)
    assert (look.decision, look.ends) == ("proceed", False)
    assert rules_of(look, "proceed") == ["so far"]
    assert "no baseline beside it" in look.reasons[0].says
    assert look.numbers["errors_ratio_high"] is None


def test_without_buckets_the_weaker_test_serves_and_says_so() -> None:
    """Counts alone decide, over all visitors, and where the noise is but assumed they only ask a person."""
    found = minutes(60, canary={"errors": 0.02}, buckets=None)
    assert watch(found)[0].decision == "rollback"
    look, count = watch(found, Setup(rules=RULES))
    assert (look.decision, look.ends) == ("hold", True)
    assert "one key and no measured noise: a person decides" in look.says
    assert count <= 10
    told = [one.says for one in look.reasons if one.rule == "weaker test"]
    assert "one key serves alone" in told[0]
    assert "assumed, not measured" in told[1]
    assert "by slices" not in look.says


def test_one_bucket_makes_no_slices() -> None:
    """Where all newcomers are in one bucket, the counts decide alone, and the verdict says why."""
    look, _ = watch(minutes(30, canary={"errors": 0.05}, buckets=1))
    assert look.decision == "rollback"
    assert any("too few buckets for slices" in one.says for one in look.reasons)


def test_when_the_buckets_stay_away_the_counts_go_on_alone() -> None:
    """A source that loses its buckets does not blind the judge: a quarter of an hour later one key serves."""
    found = minutes(30) + minutes(60, first=30, canary={"errors": 0.02}, buckets=None)
    look, count = watch(found)
    assert look.decision == "rollback"
    assert count == 45
    assert any("one key serves alone" in one.says for one in look.reasons)


def test_the_same_minutes_seen_again_give_the_same() -> None:
    """Killed and taken up by another process, from the recorded minutes: no number differs."""
    found = minutes(50) + minutes(40, first=50, percent=25) + minutes(30, first=95, percent=50)
    found[20] = found[20].model_copy(update={"canary": None})
    looks = []
    judge = Judge(SETUP)
    for number, minute in enumerate(found, start=1):
        judge.see(minute)
        if number % 40 == 0:
            looks.append((judged(judge), judged(Judge.of(SETUP, found[:number]))))
    assert len(looks) == 3
    for first, again in looks:
        assert first == again


def test_looking_changes_nothing() -> None:
    """A verdict asked for twice is the same, and leaves the next one as it would have been."""
    judge = Judge.of(SETUP, minutes(5))
    assert judged(judge) == judged(judge)


def test_minutes_come_in_the_order_of_time() -> None:
    """A minute twice, or one of before, is refused and changes nothing."""
    found = minutes(3)
    judge = Judge.of(SETUP, found)
    before = judged(judge)
    with pytest.raises(ValueError, match="in the order of time"):
        judge.see(found[1])
    assert judged(judge) == before


def test_judging_needs_a_minute_and_an_end_a_gate() -> None:
    """Nothing seen is nothing to judge; an end without its gate is a mistake of the caller."""
    with pytest.raises(ValueError, match="before the first minute"):
        judged(Judge(SETUP))
    with pytest.raises(ValueError, match="give it one"):
        judged(Judge.of(SETUP, minutes(1)), at_end=True)


def test_a_canary_with_more_than_its_share_gains_nothing_by_it() -> None:
    """Twice the visitors, and with them twice the errors, is no evidence: larger slices count for less."""
    found = []
    for ours, theirs in zip(minutes(120, percent=10), minutes(120, percent=5, seed=2), strict=True):
        found.append(theirs.model_copy(update={"canary": ours.canary}))
    look, _ = watch(found)
    assert (look.decision, look.ends) == ("proceed", False)


def test_all_wolves_together_are_cried_in_one_percent_at_most() -> None:
    """The indicators' shares of α add up to less than 1 %, and with the limits' to 1 %."""
    assert sum(ALPHA.values()) == pytest.approx(0.009)
    assert sum(ALPHA.values()) + RATE_ALPHA <= 0.01 + 1e-12


def test_a_judgement_is_read_in_a_notebook_and_a_terminal() -> None:
    """Decision first, then every reason by its rule; the numbers for the charts are flat."""
    look, _ = watch(minutes(5, canary={"errors": 0.05}))
    assert repr(look).splitlines()[0].split() == ["decision", "rollback"]
    assert "<th>evidence</th>" in look._repr_html_()
    assert look.at >= BEGAN
    assert decode(encode(look)) == look
    assert {"errors_canary", "errors_log_e_counts", "errors_ratio_low", "canary_percent"} <= set(look.numbers)
