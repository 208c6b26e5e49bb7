"""Bands that hold at every look: where a rate, or the ratio of two rates, lies with probability 1 − α.

A value is outside the band when the data have made a bet against it 1/α-fold, the bet being a mixture over
all other values (Robbins 1970; confidence sequences: Howard et al. 2021, Waudby-Smith & Ramdas, arXiv
2010.09686). By Ville, the true value is ever outside with probability α at most, however often one looks. A
band of a rate holds so while the rate stands still; for the mean of a rate that moves it holds at each look
by itself (Hoeffding 1956: unequal chances spread less than equal ones). The band of the ratio holds either
way: what both arms share falls out.

`noise` is φτ of calibrating.py; counts are divided by it. Edges are rounded outwards to a fine grid.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from runbook.judge.counts import Floats
from runbook.values import Value

LEVEL: Final = 0.01

# Rates bet on, more on those a healthy service has: half of the coin is on less than 0.2 %.
_BETS = np.geomspace(1e-5, 0.9, 160)
_BET_WEIGHTS = np.log(np.diff(np.geomspace(1e-5, 0.9, 161) ** 0.15) / (0.9**0.15 - 1e-5**0.15))
_RATES = np.concatenate([np.geomspace(1e-7, 0.4, 700), 1 - np.geomspace(0.599, 1e-7, 120)])

# Shares of a limit bet on when the question is whether a rate is below it.
_BELOW = np.concatenate([np.array([1e-4]), np.linspace(0.05, 0.95, 19)])
_BELOW_WEIGHTS = np.log(np.linspace(1.6, 0.6, 20) / 22)

RATIO_GRID: Final[Floats] = np.geomspace(1 / 64, 64, 241)
_RATIO_WEIGHTS = -0.5 * (np.log(RATIO_GRID) / 1.2) ** 2
_RATIO_WEIGHTS = _RATIO_WEIGHTS - math.log(np.exp(_RATIO_WEIGHTS).sum())


class Band(Value):
    """An estimate and what it lies between; `level` is the probability that the band ever misses."""

    low: float
    estimate: float | None
    high: float
    level: float = LEVEL


def rate_edges(
    bad: Floats, total: Floats, *, noise: Floats | float = 1.0, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Return the lower and upper edges of rates bad/total, shape (…); 0 and 1 without any request."""
    hits = (np.asarray(bad, dtype=np.float64) / noise)[..., None]
    misses = (np.asarray(total, dtype=np.float64) / noise)[..., None] - hits
    bets = hits * np.log(_BETS) + misses * np.log1p(-_BETS) + _BET_WEIGHTS
    against = _log_sum(bets) - (hits * np.log(_RATES) + misses * np.log1p(-_RATES))
    inside = against < math.log(1 / level)
    low = np.where(inside[..., 0], 0.0, _RATES[np.maximum(inside.argmax(axis=-1) - 1, 0)])
    last = len(_RATES) - 1 - inside[..., ::-1].argmax(axis=-1)
    high = np.where(inside[..., -1], 1.0, _RATES[np.minimum(last + 1, len(_RATES) - 1)])
    return low, high


def below_evidence(bad: Floats, total: Floats, *, limit: float, noise: Floats | float = 1.0) -> Floats:
    """Return ln E against "the rate is `limit` or more", shape (…): over ln 1/α the rate is surely below.

    One-sided, hence sooner than the upper edge: all bets are on rates below the limit.
    """
    hits = (np.asarray(bad, dtype=np.float64) / noise)[..., None]
    misses = (np.asarray(total, dtype=np.float64) / noise)[..., None] - hits
    rates = limit * _BELOW
    gains = hits * np.log(_BELOW) + misses * (np.log1p(-rates) - math.log1p(-limit))
    return _log_sum(gains + _BELOW_WEIGHTS)[..., 0]


def ratio_gain(canary_bad: Floats, baseline_bad: Floats, canary_all: Floats, baseline_all: Floats) -> Floats:
    """Return what a minute says of each of RATIO_GRID, shape (…, ratios); minutes are added up."""
    both = (canary_all > 0) & (baseline_all > 0)
    odds = np.where(both, canary_all, 0.0) / np.where(both, baseline_all, 1.0)
    bad = canary_bad + baseline_bad
    gain = canary_bad[..., None] * np.log(RATIO_GRID) - bad[..., None] * np.log1p(
        RATIO_GRID * odds[..., None]
    )
    return np.where(both[..., None], gain, 0.0)


def ratio_edges(gains: Floats, *, noise: Floats | float = 1.0, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Return the edges of the ratio canary/baseline from the sum of `ratio_gain`, shape (…).

    0 and infinity are returned where the data bound it on that side by nothing that the grid could show.
    """
    scaled = gains / np.asarray(noise, dtype=np.float64)[..., None]
    against = _log_sum(scaled + _RATIO_WEIGHTS) - scaled
    inside = against < math.log(1 / level)
    low = np.where(inside[..., 0], 0.0, RATIO_GRID[np.maximum(inside.argmax(axis=-1) - 1, 0)])
    last = len(RATIO_GRID) - 1 - inside[..., ::-1].argmax(axis=-1)
    high = np.where(inside[..., -1], np.inf, RATIO_GRID[np.minimum(last + 1, len(RATIO_GRID) - 1)])
    return low, high


def rate_band(bad: float, total: float, *, noise: float = 1.0, level: float = LEVEL) -> Band:
    """Return the band of one rate."""
    low, high = rate_edges(np.array(bad), np.array(total), noise=noise, level=level)
    return Band(low=float(low), estimate=bad / total if total else None, high=float(high), level=level)


def _log_sum(terms: Floats) -> Floats:
    """Return ln Σ exp over the last axis, which is kept."""
    top = terms.max(axis=-1, keepdims=True)
    found: Floats = top + np.log(np.exp(terms - top).sum(axis=-1, keepdims=True))
    return found
