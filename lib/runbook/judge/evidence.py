"""Evidence that the canary is worse than the baseline beside it, in e-values: looking every minute is free.

An e-value is what a fair bet against "the canary is no worse" has made of one coin; ln E = 5.5 is 250-fold.
If the canary is no worse, E ever reaches 1/α with probability α at most, however often one looks (Ville
1939).

Two bets are made on the same minute, and both must win (**two keys**); the smaller of two e-values is one
as soon as either's assumptions hold.

- `count_evidence`, of whole arms: given the m bad events of both arms in a minute, how many are the
  canary's? Binomial, whatever the rate that both share does (conditional test; Lindon et al., arXiv
  2205.14762). The null is a ratio of rates up to `margin`. Clumped or lasting trouble is answered by
  dividing by its measured size (quasi-likelihood).
- `slice_evidence`, of slices of equal size: had the canary's slices been drawn by lot from all slices of
  that minute, how odd are they? Exact however clumped a minute is, for it only permutes (Koning, arXiv
  2310.01153); what lasts over minutes is answered by the exponent 1/τ (still an e-value, by Jensen).

When it began nobody knows, nor how bad it is: `Mixture` splits the coin over ratios and over starts in time
(the Shiryaev-Roberts form; Shin, Ramdas & Rinaldo, arXiv 2203.03532), with what is not yet bet kept in
hand.

All arrays may have leading axes (indicators, simulations); nothing in here loops over them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import numpy as np

from runbook.judge.counts import Floats

# How many times worse the canary may be, and what part of the coin is bet on each.
RATIOS: Final[Floats] = np.array([1.7, 2.8, 5.0, 10.0, 25.0])
RATIO_WEIGHTS: Final[Floats] = np.array([0.15, 0.25, 0.25, 0.2, 0.15])
MARGIN: Final = 1.2

# What part of the coin is bet from the first minute on, halved with each later phase; the rest trickles in,
# so that a leak that begins in the middle of a phase is found as fast.
START_PART, TRICKLE_PART = 0.4, 0.25
TRICKLE_EVERY, TRICKLES = 15, 96
_WHOLE = 2 * START_PART + TRICKLE_PART

# Beyond this, products of powers leave the range of a double, and logarithms are added instead.
_LINEAR_TO = 300.0
_LN_DOUBLE_MAX = 700.0


def count_evidence(
    canary_bad: Floats,
    baseline_bad: Floats,
    canary_all: Floats,
    baseline_all: Floats,
    *,
    noise: Floats | float = 1.0,
    ratios: Floats = RATIOS,
    margin: float = MARGIN,
) -> Floats:
    """Return ln e of one minute for each ratio, shape (…, ratios), from four counts of shape (…).

    `noise` is φτ (≥ 1): how much larger the variance of a count is than a binomial's. A minute in which
    either arm had no request says nothing: 0.
    """
    both = (canary_all > 0) & (baseline_all > 0)
    odds = np.where(both, canary_all, 0.0) / np.where(both, baseline_all, 1.0)
    bad = canary_bad + baseline_bad
    spread = np.log1p(ratios * odds[..., None]) - np.log1p(margin * odds)[..., None]
    gain = canary_bad[..., None] * np.log(ratios / margin) - bad[..., None] * spread
    per = np.asarray(noise, dtype=np.float64)[..., None]
    return np.where(both[..., None], gain / per, 0.0)


def rate_evidence(
    bad: Floats,
    total: Floats,
    *,
    limit: float,
    noise: Floats | float = 1.0,
    ratios: Floats = RATIOS,
) -> Floats:
    """Return ln e of one minute against "the rate is `limit` at most", shape (…, ratios).

    For what has no baseline any more. The alternatives are `ratios` times the limit, nowhere above a half
    of the way from the limit to 1.
    """
    rates = np.minimum(ratios * limit, (1 + limit) / 2)
    gain = bad[..., None] * np.log(rates / limit)
    gain = gain + (total - bad)[..., None] * (np.log1p(-rates) - math.log1p(-limit))
    found: Floats = gain / np.asarray(noise, dtype=np.float64)[..., None]
    return found


def slice_evidence(
    canary: Floats, baseline: Floats, *, tau: Floats | float = 1.0, ratios: Floats = RATIOS
) -> Floats:
    """Return ln e of one minute for each ratio, shape (…, ratios), from bad events by slice.

    `canary` has shape (…, s), `baseline` (…, J - s), slices of equal size. e(r) is r^(sum of the canary's)
    over its mean over all ways to draw s of J slices: C(J, s)⁻¹ times the elementary symmetric polynomial
    of degree s. One minute yields at most C(J, s).
    """
    drawn = canary.shape[-1]
    counts = np.concatenate([canary, baseline], axis=-1)
    if drawn == 0 or baseline.shape[-1] == 0:
        return np.zeros((*counts.shape[:-1], len(ratios)))
    centred = counts - counts.mean(axis=-1, keepdims=True)
    powers = centred[..., None, :] * np.log(ratios)[:, None]
    ways = math.log(math.comb(counts.shape[-1], drawn))
    gain = powers[..., :drawn].sum(axis=-1) + ways - _log_symmetric(powers, drawn)
    found: Floats = gain / np.asarray(tau, dtype=np.float64)[..., None]
    return found


def _log_symmetric(powers: Floats, degree: int) -> Floats:
    """Return ln e_degree(exp(powers)) over the last axis."""
    largest = degree * np.abs(powers).max(axis=-1)
    if not np.any(largest >= _LINEAR_TO):
        return _log_symmetric_linear(powers, degree)
    found: Floats = np.empty(powers.shape[:-1])
    tame = largest < _LINEAR_TO
    found[tame] = _log_symmetric_linear(powers[tame], degree)
    found[~tame] = _log_symmetric_logs(powers[~tame], degree)
    return found


def _log_symmetric_linear(powers: Floats, degree: int) -> Floats:
    values = np.exp(powers)
    sums = np.zeros((degree + 1, *powers.shape[:-1]))
    sums[0] = 1.0
    for place in range(powers.shape[-1]):
        sums[1:] += sums[:-1] * values[..., place]
    found: Floats = np.log(sums[degree])
    return found


def _log_symmetric_logs(powers: Floats, degree: int) -> Floats:
    sums = np.full((degree + 1, *powers.shape[:-1]), -np.inf)
    sums[0] = 0.0
    for place in range(powers.shape[-1]):
        np.logaddexp(sums[1:], sums[:-1] + powers[..., place], out=sums[1:])
    found: Floats = sums[degree]
    return found


@dataclass(frozen=True)
class Grouping:
    """How buckets become slices of equal size: so many buckets in one slice of each arm."""

    canary_buckets: int
    baseline_buckets: int
    buckets: int

    @classmethod
    @cache
    def of(cls, buckets: int, share: float) -> Self | None:
        """Return the coarsest grouping that can decide within a minute, else the one that decides soonest.

        `share` is the canary's of the newcomers, between 0 and 1. Sizes differ by 5 % at most, a tenth of
        the buckets at most is left over. None when no grouping is like that.
        """
        if not 0 < share < 1:
            return None
        odds = (1 - share) / share
        pairs = [(round(few * odds), few) for few in range(1, buckets // 2 + 1)]
        found = [cls(many, few, buckets) for many, few in pairs if 0 < many <= buckets]
        fits = [one for one in found if one.is_even(odds)]
        soon = [one for one in fits if one.most_per_minute >= _ENOUGH]
        return soon[-1] if soon else max(fits, key=lambda one: one.most_per_minute, default=None)

    def is_even(self, odds: float) -> bool:
        """Whether slices are of one size, and nearly all buckets are in one."""
        sizes = self.canary_buckets / (self.baseline_buckets * odds)
        used = min(self.canary_slices * self.canary_buckets, self.baseline_slices * self.baseline_buckets)
        return abs(sizes - 1) <= _UNEVEN and used >= _USED * self.buckets

    @property
    def canary_slices(self) -> int:
        return self.buckets // self.canary_buckets

    @property
    def baseline_slices(self) -> int:
        return self.buckets // self.baseline_buckets

    @property
    def most_per_minute(self) -> float:
        """Return the most that one minute can add to ln E."""
        return math.log(math.comb(self.canary_slices + self.baseline_slices, self.canary_slices))

    def canary(self, column: Floats) -> Floats:
        """Return a canary's column (…, buckets) by slice; buckets left over are left out."""
        return _grouped(column, self.canary_buckets)

    def baseline(self, column: Floats) -> Floats:
        """Return a baseline's column (…, buckets) by slice."""
        return _grouped(column, self.baseline_buckets)


_UNEVEN, _USED, _ENOUGH = 0.05, 0.9, 12.0


def _grouped(column: Floats, size: int) -> Floats:
    groups = column.shape[-1] // size
    cut = column[..., : groups * size]
    found: Floats = cut.reshape(*column.shape[:-1], groups, size).sum(axis=-1)
    return found


class Restarts:
    """When which part of the coin is bet: known before the minute is seen, at most one coin in all."""

    def __init__(self) -> None:
        self._phases, self._minutes, self._trickles, self._percent = 0, 0, 0, 0.0

    def next(self, canary_percent: float) -> float:
        """Return the part that is bet from this minute on; a new share of traffic begins a phase."""
        part = 0.0
        if canary_percent != self._percent:
            part += START_PART / 2**self._phases
            self._phases, self._percent = self._phases + 1, canary_percent
        if self._minutes % TRICKLE_EVERY == 0 and self._trickles < TRICKLES:
            part += TRICKLE_PART / TRICKLES
            self._trickles += 1
        self._minutes += 1
        return part / _WHOLE


@dataclass(frozen=True)
class Mixture:
    """An e-value over ratios and starts: what each ratio's bets have become (ln), and what is not yet bet."""

    log_sums: Floats  # (…, ratios)
    kept: float
    log_weights: Floats

    @classmethod
    def begun(cls, shape: tuple[int, ...] = (), weights: Floats = RATIO_WEIGHTS) -> Self:
        return cls(np.full((*shape, len(weights)), -np.inf), 1.0, np.log(weights))

    def after(self, log_gains: Floats, part: float) -> Self:
        """Return it one minute later: `part` of the coin joins, then the minute's ln e (…, ratios) is
        won."""
        sums = np.logaddexp(self.log_sums, math.log(part)) if part else self.log_sums
        return type(self)(sums + log_gains, self.kept - part, self.log_weights)

    def log_e(self) -> Floats:
        """Return ln E, shape (…)."""
        terms = self.log_sums + self.log_weights
        top = np.maximum(terms.max(axis=-1), -_LN_DOUBLE_MAX)
        bet = np.exp(terms - top[..., None]).sum(axis=-1)
        found: Floats = top + np.log(bet + max(self.kept, 0.0) * np.exp(-top))
        return found
