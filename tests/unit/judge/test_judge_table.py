"""The judges' table in small, and the peers' rules as their sources have them."""

from __future__ import annotations

import math

import bench_judge
import numpy as np
import pytest
from bench_judge import Ours, WithoutBuckets, goals, measure, null_table, regression_table, wilson
from judge_bands import coverages
from judge_peers import (
    Argo,
    Critical,
    Flagger,
    Kayenta,
    Peer,
    Threshold,
    classify,
    intervals,
)
from judge_traffic import NULLS, REGRESSIONS, MinuteOfAll, Scenario, Traffic

ROLLOUTS, SEED = 60, 7
NAMED = {scenario.name: scenario for scenario in (*NULLS, *REGRESSIONS)}


@pytest.mark.parametrize(
    "name", ["i.i.d.", "overdispersed, errors by fives", "ten-minute episodes", "shared outage"]
)
def test_a_rollout_with_nothing_wrong_is_hardly_ever_stopped(name: str) -> None:
    """Of 60 rollouts at 20 requests a second, our evidence stops none of some, one at most of any."""
    ours = measure(NAMED[name], 20.0, n=ROLLOUTS, seed=SEED, days=10)[0]
    assert ours.judge == Ours.name
    assert ours.early + len(ours.minutes) <= 1


@pytest.mark.parametrize(
    ("name", "per_s", "median"),
    [
        ("0.2 → 1 %", 20.0, 22),
        ("0.2 → 2 %", 200.0, 3),
        ("P95 300 → 600 ms", 20.0, 3),
        ("2 % at 100 % only", 20.0, 4),
    ],
)
def test_a_regression_is_found_as_soon_as_in_the_study(name: str, per_s: float, median: float) -> None:
    """None is missed, none stopped early, and the median is at or below that of the study in the design."""
    ours = measure(NAMED[name], per_s, n=ROLLOUTS, seed=SEED, days=10)[0]
    assert (ours.missed, ours.early) == (0, 0)
    assert np.median(ours.minutes) <= median


def test_the_tables_say_what_was_measured_and_what_was_missed() -> None:
    """A judge that misses, or cries wolf, is told so in the table and in the goals."""
    ours, bare, *peers = measure(NAMED["0.2 → 2 %"], 200.0, n=8, seed=SEED, days=4)
    assert (bare.judge, bare.missed) == (WithoutBuckets.name, 0)
    row = next(line for line in regression_table([ours, *peers]) if Ours.name in line)
    assert f"{np.median(ours.minutes):.0f}/" in row
    blind = next(cell for cell in peers if cell.judge == Critical.name)
    assert blind.missed == 8
    null = bench_judge.replace(ours, scenario=NAMED["i.i.d."])
    assert "100 (≤ 1e+02)" in null_table([null, *peers])[2]
    assert "missed" in goals([null], [ours])[0]
    assert "holds" in goals([null], [ours])[1]
    assert (
        "missed: 0.2 → 2 % at 200 req/s: 8" in goals([null], [bench_judge.replace(blind, judge=Ours.name)])[1]
    )


def test_the_upper_bound_is_wilsons() -> None:
    """None of 400 leaves at most 0.95 %; four leave at most 2.5 %."""
    assert wilson(0, 400) == pytest.approx(0.0095, abs=1e-4)
    assert wilson(4, 400) == pytest.approx(0.0254, abs=1e-4)


def test_the_same_seed_gives_the_same_rollouts() -> None:
    """Figures of the page can be made again."""
    scenario = Scenario(
        "all at once", diurnal=0.5, slice_cv=0.5, memory=0.8, memory_sd=0.5, episodes=0.01, bursts=0.05
    )
    first, again = (Traffic(scenario, 20.0, 3, np.random.default_rng(1)).rollout() for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert (one.canary_slices == other.canary_slices).all()
        assert (one.baseline_all == other.baseline_all).all()
        if one.number == 300:
            break


# The peers


def fed(peer: Peer, rates: list[float], *, requests: float = 100.0, share: float = 0.05) -> float:
    """Return the minute after which a peer stopped a rollout with these error rates, NaN when it did not."""
    for number, rate in enumerate(rates):
        bad, all_ = np.array([rate * requests]), np.array([requests])
        peer.see(
            MinuteOfAll(number, share, bad[None], bad[None], bad, np.array([0.2]), all_, np.array([100.0]))
        )
    return float(peer.stopped[0])


def test_flagger_counts_failures_and_forgets_none() -> None:
    """The tenth failed minute stops it, however many good ones were between; an empty minute fails too."""
    assert fed(Flagger(1, 0.01), [0.02, 0.0] * 10) == 19
    assert math.isnan(fed(Flagger(1, 0.01), [0.02] * 9 + [0.0] * 90))
    assert fed(Flagger(1, 0.01), [0.0] * 10, requests=0.0) == 10


def test_argo_fails_on_the_fourth_failed_measurement() -> None:
    """Every five minutes one measurement; more than three failed ones, in all, stop it."""
    assert fed(Argo(1, 0.01), [0.02] * 30) == 20
    assert fed(Argo(1, 0.01), ([0.02] * 5 + [0.0] * 5) * 4) == 35


def test_the_plans_threshold_and_its_alert() -> None:
    """One looks at the phase so far, the other at five minutes on end."""
    assert fed(Threshold(1, 0.01), [0.0, 0.0, 0.04]) == 3
    assert fed(Critical(1, 0.01), [0.06] * 4 + [0.05] + [0.06] * 5) == 10


def test_kayenta_looks_every_hour_and_never_without_a_baseline() -> None:
    """A clear regression stops it at minute 60; at 100 % it sees nothing."""
    assert fed(Kayenta(1, 0.01), list(np.linspace(0.05, 0.06, 130))) == 60
    assert math.isnan(fed(Kayenta(1, 0.01), [0.05] * 70, share=1.0))


RNG = np.random.default_rng(2017)
TEN, OTHER_TEN, TWENTY = RNG.normal(10, 2, 30), RNG.normal(10, 2, 30), RNG.normal(20, 2, 30)


@pytest.mark.parametrize(
    ("canary", "baseline", "direction", "found"),
    [
        (TEN, OTHER_TEN, "either", "pass"),
        (TWENTY, TEN, "either", "high"),
        (TEN, TWENTY, "either", "low"),
        (TEN, TWENTY, "increase", "pass"),
        (TWENTY, TEN, "decrease", "pass"),
        (TWENTY, TEN, "increase", "high"),
        (TEN, TWENTY, "decrease", "low"),
    ],
)
def test_kayentas_classifier_agrees_with_its_own_cases(
    canary: np.ndarray, baseline: np.ndarray, direction: str, found: str
) -> None:
    """Its suite's cases: 30 values around 10 or 20, tolerance 0.1, confidence 0.95, in each direction."""
    options = {"direction": direction, "tolerance": 0.1, "confidence": 0.95}
    assert classify(canary, baseline, **options) == found  # type: ignore[arg-type]


def test_kayentas_classifier_passes_what_is_the_same_and_names_what_is_missing() -> None:
    """Identical data and a single value pass; NaN are removed, and nothing left is no data."""
    nan = np.full(5, math.nan)
    assert classify(TEN, TEN[::-1].copy()) == "pass"
    assert classify(np.zeros(10), np.zeros(20)) == "pass"
    assert classify(nan, TEN) == "nodata"
    assert classify(np.concatenate([TWENTY, nan]), TEN) == "high"


def test_the_shift_is_the_one_by_which_the_samples_differ() -> None:
    """Inverted, the test's estimate and bounds are those of pairwise differences, and move with the data."""
    lower, upper, estimate = intervals(TWENTY[None], TEN[None], confidence=0.98)
    median = np.median(TWENTY[:, None] - TEN[None, :])
    assert estimate[0] == pytest.approx(median, abs=0.05)
    assert lower[0] < median < upper[0]
    moved = intervals(TWENTY[None] + 3, TEN[None], confidence=0.98)
    assert [moved[0][0] - 3, moved[1][0] - 3] == pytest.approx([lower[0], upper[0]], abs=1e-3)


def test_bands_for_every_look_miss_less_than_those_for_one() -> None:
    """The page's coverage: each of ours misses in 1 % at most (by chance 3 of 100), Wilson's in many more."""
    *ours, wilsons = coverages(seed=SEED, n=100)
    assert max(one.missed for one in ours) <= 3
    assert wilsons.missed > 3
    assert wilsons.line.endswith(f"| {wilsons.missed} |")
