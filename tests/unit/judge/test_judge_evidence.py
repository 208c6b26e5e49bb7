"""Evidence: an honest bet, shown by counting every outcome; and what it does with odd input."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from runbook.judge.evidence import (
    MARGIN,
    RATIO_WEIGHTS,
    RATIOS,
    TRICKLE_EVERY,
    Grouping,
    Mixture,
    Restarts,
    count_evidence,
    rate_evidence,
    slice_evidence,
)


def one(value: float) -> np.ndarray:
    return np.array(float(value))


def binomial(of: int, chance: float) -> np.ndarray:
    return np.array([math.comb(of, k) * chance**k * (1 - chance) ** (of - k) for k in range(of + 1)])


@pytest.mark.parametrize("odds", [1 / 19, 1 / 3, 1.0])
@pytest.mark.parametrize("bad", [0, 1, 4, 17])
def test_the_bet_on_counts_is_fair_at_the_margin(odds: float, bad: int) -> None:
    """E[e] over every split of the bad events is one when the canary is worse by exactly the margin."""
    chance = MARGIN * odds / (1 + MARGIN * odds)
    split = np.arange(bad + 1.0)
    gains = count_evidence(split, bad - split, np.full(bad + 1, 1000 * odds), np.full(bad + 1, 1000.0))
    assert binomial(bad, chance) @ np.exp(gains) == pytest.approx(np.ones(len(RATIOS)), abs=1e-12)


@pytest.mark.parametrize("ratio", [0.1, 0.9, 1.0, 1.1])
def test_the_bet_on_counts_loses_on_a_canary_within_the_margin(ratio: float) -> None:
    """E[e] is below one for every true ratio below the margin, and above one beyond it."""
    split = np.arange(21.0)
    gains = np.exp(count_evidence(split, 20 - split, np.full(21, 500.0), np.full(21, 1500.0)))
    within = binomial(20, ratio / 3 / (1 + ratio / 3)) @ gains
    assert (within < 1).all()
    assert (binomial(20, 5 / 3 / (1 + 5 / 3)) @ gains)[2] > 10


@pytest.mark.parametrize(
    ("counts", "drawn"),
    [
        ((0, 0, 0, 1, 5), 2),
        ((3, 0, 7, 2, 2, 9, 1), 3),
        ((0, 0, 0, 0), 1),
        ((900, 0, 1, 1200, 40), 2),
        ((4, 4), 1),
    ],
)
def test_the_bet_on_slices_is_fair_over_all_draws(counts: tuple[int, ...], drawn: int) -> None:
    """E[e] over every way to draw the canary's slices is one, however uneven the slices are."""
    places = range(len(counts))
    draws = list(itertools.combinations(places, drawn))
    canary = np.array([[counts[p] for p in draw] for draw in draws], dtype=float)
    rest = np.array([[counts[p] for p in places if p not in draw] for draw in draws], dtype=float)
    worth = np.exp(slice_evidence(canary, rest)).mean(axis=0)
    assert worth == pytest.approx(np.ones(len(RATIOS)), rel=1e-9)


def test_the_bet_on_slices_stays_fair_with_a_memory() -> None:
    """Raised to 1/τ, the mean over all draws is at most one (Jensen)."""
    counts = np.array([3.0, 0, 7, 2, 2, 9])
    worth = []
    for draw in itertools.combinations(range(6), 2):
        rest = [p for p in range(6) if p not in draw]
        worth.append(np.exp(slice_evidence(counts[list(draw)], counts[rest], tau=4.0)))
    assert (np.mean(worth, axis=0) <= 1).all()


def test_a_minute_yields_at_most_the_number_of_draws() -> None:
    """However bad a minute is, slices say no more than that this draw is one of C(J, s)."""
    canary, rest = np.full(5, 1e6), np.zeros(100)
    assert slice_evidence(canary, rest) == pytest.approx(np.full(len(RATIOS), math.log(math.comb(105, 5))))


def test_powers_and_logarithms_come_to_the_same() -> None:
    """Slices with large counts take another way through the sum, to the same number."""
    rng = np.random.default_rng(4)
    canary, rest = rng.poisson(3, 4).astype(float), rng.poisson(3, 30).astype(float)
    tame = slice_evidence(canary, rest)
    wild = np.concatenate([rest, [400.0]])
    both = slice_evidence(np.stack([np.append(canary, 3.0)] * 2), np.stack([np.append(rest, 3.0), wild]))
    assert both[0] == pytest.approx(slice_evidence(np.append(canary, 3.0), np.append(rest, 3.0)))
    assert (both[1] < both[0]).all()
    assert np.isfinite([*tame, *both.ravel()]).all()


def test_more_of_the_canary_is_never_evidence_for_it() -> None:
    """e rises with each count of the canary, so that to count less of it errs on the safe side."""
    rest = np.array([1.0, 0, 2, 3, 0, 1])
    worth = [slice_evidence(np.array([k, 1.0]), rest) for k in range(6)]
    assert (np.diff(worth, axis=0) >= 0).all()


@pytest.mark.parametrize("rate", [0.0, 0.002, 0.01])
def test_the_bet_on_a_rate_is_fair_at_the_limit_and_loses_below(rate: float) -> None:
    """E[e] over every count of bad requests is one at the limit, below one under it."""
    bad = np.arange(31.0)
    worth = binomial(30, rate) @ np.exp(rate_evidence(bad, np.full(31, 30.0), limit=0.01))
    assert worth == pytest.approx(np.ones(len(RATIOS))) if rate == 0.01 else (worth < 1).all()


def test_the_coin_split_over_ratios_and_starts_stays_one_coin() -> None:
    """E[E] is one after every minute, over all 216 outcomes of three minutes, whatever joins when."""
    rows = [np.array([5.0, 0, 1, 0, 0, 2]), np.array([0.0, 0, 0, 9, 1, 1]), np.array([3.0, 3, 0, 0, 1, 2])]
    parts, sums = (0.4, 0.0, 0.3), np.zeros(3)
    for draw in itertools.product(range(6), repeat=3):
        mixture = Mixture.begun()
        for number, (row, part, place) in enumerate(zip(rows, parts, draw, strict=True)):
            gains = slice_evidence(row[[place]], np.delete(row, place))
            mixture = mixture.after(gains, part)
            sums[number] += math.exp(mixture.log_e())
    assert sums / 6**3 == pytest.approx(np.ones(3))


def test_what_is_bet_is_known_before_and_never_more_than_the_coin() -> None:
    """Parts depend on phases and minutes alone and add up to one at most, over days and many phases."""
    assert RATIO_WEIGHTS.sum() == pytest.approx(1)
    for shares in ([5, 25, 50, 100], list(range(1, 60)), [5]):
        restarts = Restarts()
        parts = [restarts.next(share) for share in shares for _ in range(400)]
        assert sum(parts) <= 1 + 1e-12
        assert parts[0] == max(parts) > 0.3
        assert parts[TRICKLE_EVERY] > 0


def test_the_e_value_crosses_its_bound_no_more_often_than_it_may() -> None:
    """Ville: over 500 looks at 2,000 rollouts with a shared, wild rate, E ever reaches 20 in 5 % at most."""
    rng, rollouts = np.random.default_rng(20261130), 2000
    mixture, restarts, ever = Mixture.begun((rollouts,)), Restarts(), np.zeros(rollouts, dtype=bool)
    for number in range(500):
        rate = 0.002 * (30 if rng.random() < 0.02 else 1) * (1 + 0.5 * math.sin(number / 50))
        canary = rng.poisson(60 * rate * MARGIN, rollouts).astype(float)
        baseline = rng.poisson(1140 * rate, rollouts).astype(float)
        gains = count_evidence(canary, baseline, np.full(rollouts, 60.0), np.full(rollouts, 1140.0))
        mixture = mixture.after(gains, restarts.next(5))
        ever |= mixture.log_e() >= math.log(20)
    assert 0 < ever.mean() <= 0.05


@pytest.mark.parametrize(
    ("canary_bad", "baseline_bad", "canary_all", "baseline_all"),
    [(0, 0, 0, 0), (0, 9, 0, 100), (9, 0, 100, 0), (0, 0, 50, 900)],
)
def test_a_minute_with_nothing_to_compare_says_nothing(
    canary_bad: int, baseline_bad: int, canary_all: int, baseline_all: int
) -> None:
    """No traffic in an arm, or no bad event in either: e is one."""
    gains = count_evidence(one(canary_bad), one(baseline_bad), one(canary_all), one(baseline_all))
    assert gains.tolist() == [0.0] * len(RATIOS)


def test_all_errors_and_huge_counts_stay_finite() -> None:
    """A total outage and a very large service are numbers like others."""
    for counts in (
        (60, 1140, 60, 1140),
        (10**12, 19 * 10**12, 10**12, 19 * 10**12),
        (10**9, 0, 10**9, 10**9),
    ):
        gains = count_evidence(*(one(n) for n in counts))
        assert np.isfinite(gains).all()
        assert np.isfinite(Mixture.begun().after(gains, 0.5).log_e())
    huge = slice_evidence(np.full(5, 1e9), np.full(100, 1e9))
    assert huge == pytest.approx(np.zeros(len(RATIOS)), abs=1e-6)
    assert slice_evidence(np.zeros(0), np.zeros(4)).tolist() == [0.0] * len(RATIOS)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.25, 0.5, 0.75])
def test_slices_of_both_arms_hold_equally_many_visitors(share: float) -> None:
    """Of a hundred buckets, slices are made that differ by 5 % at most, and hardly a bucket is left over."""
    grouping = Grouping.of(100, share)
    assert grouping is not None
    ours, theirs = grouping.canary_buckets * share, grouping.baseline_buckets * (1 - share)
    assert ours / theirs == pytest.approx(1, abs=0.05)
    assert grouping.canary_slices * grouping.canary_buckets >= 90
    assert grouping.canary(np.ones((3, 100))).shape == (3, grouping.canary_slices)
    assert grouping.baseline(np.ones(100)).sum() >= 90


def test_a_hundred_buckets_can_decide_in_a_minute_and_one_cannot_at_all() -> None:
    """The bound is 200-fold and the coin is split; of too few buckets nothing is made."""
    for share in (0.05, 0.25, 0.5):
        grouping = Grouping.of(100, share)
        assert grouping is not None
        assert grouping.most_per_minute > 12
    assert [Grouping.of(1, 0.05), Grouping.of(20, 0.01), Grouping.of(100, 1.0)] == [None] * 3
