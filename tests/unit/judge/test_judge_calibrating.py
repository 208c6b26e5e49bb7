"""Noise: what is measured on an ordinary day, and what is assumed where there was none."""

from __future__ import annotations

import numpy as np
import pytest

from runbook.judge.calibrating import ASSUMED, noise_before, noise_of
from runbook.judge.counts import Minute
from tests.minutes import BEGAN, arm, minutes

DAY, BUCKETS = 1440, 50


def requests(sizes: np.ndarray | float = 100.0) -> np.ndarray:
    return np.broadcast_to(np.asarray(sizes, dtype=float), (DAY, BUCKETS)).copy()


def test_coins_have_a_noise_of_one() -> None:
    """Independent requests: φ and τ are one, as near as a day can tell."""
    bad = np.random.default_rng(1).poisson(0.4, (DAY, BUCKETS)).astype(float)
    noise = noise_of(bad, requests())
    assert noise.phi == pytest.approx(1, abs=0.03)
    assert noise.tau == 1
    assert (noise.minutes, noise.events) == (DAY, int(bad.sum()))


def test_errors_by_fives_have_a_noise_of_five() -> None:
    """Events that come five at a time: φ is five."""
    bad = 5.0 * np.random.default_rng(2).poisson(0.1, (DAY, BUCKETS))
    assert noise_of(bad, requests()).phi == pytest.approx(5, rel=0.05)


def test_trouble_that_stays_with_a_bucket_has_a_memory() -> None:
    """A bucket's rate that decays by 0.8 a minute: τ is nearly nine where counts are large."""
    rng = np.random.default_rng(3)
    log = np.zeros((DAY, BUCKETS))
    for minute in range(1, DAY):
        log[minute] = 0.8 * log[minute - 1] + rng.normal(scale=0.3, size=BUCKETS)
    noise = noise_of(rng.poisson(400 * np.exp(log)).astype(float), requests(4000))
    assert 7 < noise.tau < 10
    assert noise.phi > 50


def test_a_rate_that_all_buckets_share_is_no_noise() -> None:
    """Day and night, bursts and outages hit both arms alike, so they do not count."""
    rng = np.random.default_rng(4)
    rates = 2 * (1 + 0.9 * np.sin(np.arange(DAY) / 200)) * np.where(rng.random(DAY) < 0.02, 20, 1)
    noise = noise_of(rng.poisson(rates[:, None], (DAY, BUCKETS)).astype(float), requests())
    assert noise.phi == pytest.approx(1, abs=0.05)
    assert noise.tau == 1


def test_buckets_of_uneven_size_are_no_noise() -> None:
    """A bucket with ten times the visitors has ten times the events: that is expected of it."""
    rng = np.random.default_rng(5)
    sizes = np.linspace(20, 200, BUCKETS)
    noise = noise_of(rng.poisson(sizes * 0.01, (DAY, BUCKETS)).astype(float), requests(sizes))
    assert noise.phi == pytest.approx(1, abs=0.03)


def test_too_little_to_measure_is_assumed() -> None:
    """No event, no minute, one bucket: assumed; few of them: not less than assumed."""
    nothing = np.zeros((DAY, BUCKETS))
    assert noise_of(nothing, requests()) == ASSUMED
    assert noise_of(np.zeros((0, 5)), np.zeros((0, 5))) == ASSUMED
    assert noise_of(np.ones((DAY, 1)), np.ones((DAY, 1))) == ASSUMED
    few = noise_of(np.random.default_rng(6).poisson(1.0, (30, 5)).astype(float), np.full((30, 5), 100.0))
    assert (few.minutes, few.phi >= ASSUMED.phi, few.tau >= ASSUMED.tau) == (0, True, True)


def test_counts_of_another_shape_are_refused() -> None:
    """Counts by minute and bucket, of both kinds."""
    with pytest.raises(ValueError, match="by minute and bucket"):
        noise_of(np.zeros(5), np.zeros(5))


def test_noise_is_read_from_the_minutes_before() -> None:
    """From minutes in which all visitors were on one build; minutes without buckets are left out."""
    rng = np.random.default_rng(7)
    before = [
        Minute(at=one.at, canary_percent=5, canary=None, baseline=arm(12_000, rng=rng))
        for one in minutes(150, per_minute=20)
    ]
    noise = noise_before(before, "errors", of="requests")
    assert noise.minutes == 150
    assert noise.phi == pytest.approx(1, abs=0.1)
    bare = [Minute(at=BEGAN, canary_percent=5, canary=None, baseline=arm(12_000, rng=rng, buckets=None))]
    assert noise_before(bare, "errors", of="requests") == ASSUMED
