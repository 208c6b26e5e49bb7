"""Bands: how often the truth ever leaves them, and how soon they are narrow enough."""

from __future__ import annotations

import math

import numpy as np
import pytest

from runbook.judge.bands import (
    LEVEL,
    RATIO_GRID,
    below_evidence,
    rate_band,
    rate_edges,
    ratio_edges,
    ratio_gain,
)

ROLLOUTS, LOOKS, REQUESTS = 400, 80, 200


def is_covered(outside: np.ndarray) -> bool:
    """Whether a true 1 % may by chance bring so many misses (lower end of the Wilson interval)."""
    of, share, square = len(outside), float(outside.mean()), 1.96**2
    middle = share + square / (2 * of)
    spread = 1.96 * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (middle - spread) / (1 + square / of) <= LEVEL


@pytest.mark.parametrize("rate", [0.0005, 0.002, 0.05, 0.3])
def test_a_rate_is_hardly_ever_outside_its_band(rate: float) -> None:
    """Over 80 looks at 400 rollouts, the band ever misses the true rate in 1 % at most."""
    rng = np.random.default_rng([1, round(rate * 10_000)])
    bad = rng.binomial(REQUESTS, rate, (ROLLOUTS, LOOKS)).cumsum(axis=1)
    low, high = rate_edges(bad, np.broadcast_to(REQUESTS * np.arange(1, LOOKS + 1), bad.shape))
    assert is_covered(((low > rate) | (high < rate)).any(axis=1))


def test_the_mean_of_a_moving_rate_is_hardly_ever_outside() -> None:
    """A rate that swings by 60 % over the looks: the band holds its mean so far."""
    rates = 0.01 * (1 + 0.6 * np.sin(np.arange(LOOKS) / 12))
    bad = np.random.default_rng(2).binomial(REQUESTS, rates, (ROLLOUTS, LOOKS)).cumsum(axis=1)
    low, high = rate_edges(bad, np.broadcast_to(REQUESTS * np.arange(1, LOOKS + 1), bad.shape))
    mean = rates.cumsum() / np.arange(1, LOOKS + 1)
    assert is_covered(((low > mean) | (high < mean)).any(axis=1))


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.2, 5.0])
def test_a_ratio_is_hardly_ever_outside_its_band(ratio: float) -> None:
    """However the rate that both arms share swings, the band ever misses their ratio in 1 % at most."""
    rng = np.random.default_rng([3, round(ratio * 10)])
    gains, missed = np.zeros((ROLLOUTS, len(RATIO_GRID))), np.zeros(ROLLOUTS, dtype=bool)
    ours, theirs = np.full(ROLLOUTS, 60.0), np.full(ROLLOUTS, 1140.0)
    for look in range(LOOKS):
        rate = 0.002 * (1 + 0.6 * math.sin(look / 12))
        bad = rng.poisson(60 * rate * ratio, ROLLOUTS), rng.poisson(1140 * rate, ROLLOUTS)
        gains += ratio_gain(bad[0].astype(float), bad[1].astype(float), ours, theirs)
        low, high = ratio_edges(gains)
        missed |= (low > ratio) | (high < ratio)
    assert is_covered(missed)


def test_errors_by_fives_are_covered_once_their_noise_is_told() -> None:
    """A band that is told φ = 5 covers counts that come five at a time; told nothing, it does not."""
    bad = 5 * np.random.default_rng(4).poisson(0.3, (ROLLOUTS, LOOKS)).cumsum(axis=1)
    total = np.broadcast_to(150 * np.arange(1, LOOKS + 1), bad.shape)
    outside = []
    for noise in (5.0, 1.0):
        low, high = rate_edges(bad, total, noise=noise)
        outside.append(((low > 0.01) | (high < 0.01)).any(axis=1))
    assert is_covered(outside[0])
    assert outside[1].mean() > 10 * LEVEL


@pytest.mark.parametrize("rate", [0.01, 0.02])
def test_a_rate_at_or_over_the_limit_is_hardly_ever_called_below(rate: float) -> None:
    """ "Surely under 1 %" is said of a rate of 1 % in 1 % of rollouts at most, over all looks."""
    bad = np.random.default_rng(5).binomial(REQUESTS, rate, (ROLLOUTS, LOOKS)).cumsum(axis=1)
    total = np.broadcast_to(REQUESTS * np.arange(1, LOOKS + 1), bad.shape)
    said = below_evidence(bad, total, limit=0.01) >= math.log(1 / LEVEL)
    assert is_covered(said.any(axis=1))


@pytest.mark.parametrize(("rate", "requests"), [(0.0, 600), (0.002, 1146), (0.005, 3707), (0.007, 12_800)])
def test_a_good_rate_is_called_below_soon(rate: float, requests: int) -> None:
    """The median of requests until "surely under 1 %" is at or below that of the study in the design."""
    steps = np.arange(10, 2 * requests, 10)
    bad = np.random.default_rng(6).binomial(10, rate, (200, len(steps))).cumsum(axis=1)
    said = below_evidence(bad, np.broadcast_to(steps, bad.shape), limit=0.01) >= math.log(1 / LEVEL)
    until = np.where(said.any(axis=1), steps[said.argmax(axis=1)], steps[-1])
    assert np.median(until) <= requests


def test_without_requests_nothing_is_known() -> None:
    """Zero of zero lies anywhere; its estimate is none, not zero."""
    band = rate_band(0, 0)
    assert (band.low, band.estimate, band.high) == (0.0, None, 1.0)
    low, high = ratio_edges(np.zeros(len(RATIO_GRID)))
    assert (float(low), float(high)) == (0.0, math.inf)


@pytest.mark.parametrize(("bad", "total"), [(0, 10**9), (10**9, 10**9), (5, 10**12), (1, 1)])
def test_extreme_counts_have_a_band_around_their_rate(bad: int, total: int) -> None:
    """None, all, one of very many: edges are in order and hold the estimate."""
    band = rate_band(bad, total)
    assert band.estimate is not None
    assert 0 <= band.low <= band.estimate <= band.high <= 1
