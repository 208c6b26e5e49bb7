"""What others judge a canary by, as their sources have it, over many simulated rollouts at once.

- The plan's bare threshold: the canary's rate over the phase so far, looked at every minute.
- Its critical alert: over 5 % for five minutes.
- Flagger: each minute over the threshold, or without a request, adds one; nothing takes one away; 10 roll
  back.
- Argo Rollouts: a measurement every 5 minutes; more than 3 failed ones, in all, roll back.
- Kayenta (NetflixACAJudge): every hour, Mann-Whitney on the rates by minute since the phase began (in per
  cent), tolerance 0.25, confidence 0.98, the metric marked critical.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from judge_traffic import MinuteOfAll

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FLAGGER_THRESHOLD, ARGO_EVERY, ARGO_LIMIT, KAYENTA_EVERY = 10, 5, 3, 60
TOLERANCE, CONFIDENCE = 0.25, 0.98
ROOT_TOLERANCE: Final = 1e-4  # absolute, as in its root finder: a verdict depends on the unit
PERCENT: Final = 100.0


class Peer:
    """A rule that stops rollouts; `stopped` holds the minute after which each was, NaN while it goes on."""

    name = ""

    def __init__(self, n: int, limit: float) -> None:
        self.limit, self.stopped = limit, np.full(n, np.nan)

    def see(self, minute: MinuteOfAll) -> None:
        raise NotImplementedError

    def stop(self, which: Bools, minute: MinuteOfAll) -> None:
        """Stop those that go on and are named."""
        self.stopped[which & np.isnan(self.stopped)] = minute.number + 1

    @property
    def done(self) -> bool:
        return not np.isnan(self.stopped).any()


class Threshold(Peer):
    name = "plan's threshold, every minute"

    def __init__(self, n: int, limit: float) -> None:
        super().__init__(n, limit)
        self._share, self._bad, self._all = 0.0, np.zeros(n), np.zeros(n)

    def see(self, minute: MinuteOfAll) -> None:
        if minute.share != self._share:
            self._share, self._bad, self._all = minute.share, self._bad * 0, self._all * 0
        self._bad += minute.canary_bad
        self._all += minute.canary_all
        self.stop(self._bad > self.limit * self._all, minute)


class Critical(Peer):
    name = "critical alert, over 5 % for 5 min"

    def __init__(self, n: int, limit: float) -> None:
        super().__init__(n, limit)
        self._streak = np.zeros(n)

    def see(self, minute: MinuteOfAll) -> None:
        over = minute.canary_bad > 0.05 * minute.canary_all
        self._streak = np.where(over, self._streak + 1, 0)
        self.stop(self._streak >= 5, minute)


class Flagger(Peer):
    name = "Flagger, threshold 10"

    def __init__(self, n: int, limit: float) -> None:
        super().__init__(n, limit)
        self._failed = np.zeros(n)

    def see(self, minute: MinuteOfAll) -> None:
        self._failed += (minute.canary_bad > self.limit * minute.canary_all) | (minute.canary_all == 0)
        self.stop(self._failed >= FLAGGER_THRESHOLD, minute)


class Argo(Peer):
    name = "Argo Rollouts, 5 min, limit 3"

    def __init__(self, n: int, limit: float) -> None:
        super().__init__(n, limit)
        self._failed, self._bad, self._all = np.zeros(n), np.zeros(n), np.zeros(n)

    def see(self, minute: MinuteOfAll) -> None:
        self._bad += minute.canary_bad
        self._all += minute.canary_all
        if (minute.number + 1) % ARGO_EVERY == 0:
            self._failed += self._bad > self.limit * self._all
            self._bad, self._all = self._bad * 0, self._all * 0
            self.stop(self._failed > ARGO_LIMIT, minute)


class Kayenta(Peer):
    name = "Kayenta, every 60 min"

    def __init__(self, n: int, limit: float) -> None:
        super().__init__(n, limit)
        self._share = 0.0
        self._canary: list[Floats] = []
        self._baseline: list[Floats] = []

    def see(self, minute: MinuteOfAll) -> None:
        if minute.share != self._share:
            self._share, self._canary, self._baseline = minute.share, [], []
        if minute.share == 1:
            return
        self._canary.append(_percent(minute.canary_bad, minute.canary_all))
        self._baseline.append(_percent(minute.baseline_bad, minute.baseline_all))
        if len(self._canary) % KAYENTA_EVERY == 0:
            goes_on = np.isnan(self.stopped)
            failed = np.zeros(len(goes_on), dtype=bool)
            failed[goes_on] = high(*(np.stack(a, axis=1)[goes_on] for a in (self._canary, self._baseline)))
            self.stop(failed, minute)


PEERS: Final = (Threshold, Critical, Flagger, Argo, Kayenta)


def _percent(bad: Floats, total: Floats) -> Floats:
    return PERCENT * np.divide(bad, total, out=np.zeros_like(bad), where=total > 0)


# Kayenta's classifier

Class = Literal["pass", "high", "low", "nodata"]


def classify(
    canary: Floats,
    baseline: Floats,
    *,
    direction: Literal["increase", "decrease", "either"] = "either",
    tolerance: float = TOLERANCE,
    confidence: float = CONFIDENCE,
) -> Class:
    """Return Kayenta's class of one metric; NaN are removed first, as its default strategy does."""
    canary, baseline = canary[~np.isnan(canary)], baseline[~np.isnan(baseline)]
    if not len(canary) or not len(baseline):
        return "nodata"
    rows = canary[None], baseline[None]
    if direction != "decrease" and high(*rows, tolerance=tolerance, confidence=confidence)[0]:
        return "high"
    if direction != "increase" and low(*rows, tolerance=tolerance, confidence=confidence)[0]:
        return "low"
    return "pass"


def high(
    canary: Floats, baseline: Floats, *, tolerance: float = TOLERANCE, confidence: float = CONFIDENCE
) -> Bools:
    """Whether each row's canary is High: the shift's lower bound is over a part of the estimated shift."""
    means = canary.mean(axis=1), baseline.mean(axis=1)
    found: Bools = ~_same(canary, baseline) & ((means[1] == 0) | (means[0] >= means[1]))
    # A lower bound under zero needs no root: the test at no shift says so.
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    found &= _statistic(canary, baseline, np.zeros(len(canary))) > quantile
    if found.any():
        lower, _, estimate = intervals(canary[found], baseline[found], confidence=confidence)
        found[found] = lower > tolerance * np.abs(estimate)
    return found


def low(
    canary: Floats, baseline: Floats, *, tolerance: float = TOLERANCE, confidence: float = CONFIDENCE
) -> Bools:
    """Whether each row's canary is Low."""
    _, upper, estimate = intervals(canary, baseline, confidence=confidence)
    decreased = canary.mean(axis=1) <= baseline.mean(axis=1)
    found: Bools = ~_same(canary, baseline) & (upper < -tolerance * np.abs(estimate)) & decreased
    return found


def _same(canary: Floats, baseline: Floats) -> Bools:
    if canary.shape == baseline.shape:
        same: Bools = (np.sort(canary, axis=1) == np.sort(baseline, axis=1)).all(axis=1)
        return same
    both = np.concatenate([canary, baseline], axis=1)
    return np.asarray((both == both[:, :1]).all(axis=1))


def intervals(canary: Floats, baseline: Floats, *, confidence: float) -> tuple[Floats, Floats, Floats]:
    """Return lower bound, upper bound and estimate of each row's shift: the Mann-Whitney test inverted."""
    quantile = NormalDist().inv_cdf(0.5 + confidence / 2)
    least = canary.min(axis=1) - baseline.max(axis=1)
    most = canary.max(axis=1) - baseline.min(axis=1)
    lower, upper, estimate = (_root(canary, baseline, least, most, z) for z in (quantile, -quantile, 0.0))
    return lower, upper, estimate


def _root(canary: Floats, baseline: Floats, least: Floats, most: Floats, quantile: float) -> Floats:
    """Return the shift at which the standardised rank sum is `quantile`; it falls as the shift grows."""
    low_end, high_end = least.copy(), most.copy()
    widest = float((most - least).max(initial=0.0))
    for _ in range(max(1, math.ceil(math.log2(max(widest, ROOT_TOLERANCE) / ROOT_TOLERANCE)))):
        middle = (low_end + high_end) / 2
        above = _statistic(canary, baseline, middle) > quantile
        low_end, high_end = np.where(above, middle, low_end), np.where(above, high_end, middle)
    found: Floats = (low_end + high_end) / 2
    return found


def _statistic(canary: Floats, baseline: Floats, shift: Floats) -> Floats:
    """Return the rank sum of canary - shift, standardised, with corrections for ties and continuity."""
    ours, theirs = canary.shape[1], baseline.shape[1]
    both = np.concatenate([canary - shift[:, None], baseline], axis=1)
    ordered = np.sort(both, axis=1)
    size = both.shape[1]
    # Rank of each value, ties averaged: how many are smaller, and how many are as large.
    begins = np.concatenate([np.ones((len(both), 1), bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    first = np.maximum.accumulate(np.where(begins, np.arange(size), 0), axis=1)
    ends = np.concatenate([begins[:, 1:], np.ones((len(both), 1), bool)], axis=1)
    last = (
        size
        - 1
        - np.maximum.accumulate(np.where(ends, size - 1 - np.arange(size), 0)[:, ::-1], axis=1)[:, ::-1]
    )
    average = (first + last) / 2 + 1
    order = np.argsort(both, axis=1, kind="stable")
    ranks = np.empty_like(both)
    np.put_along_axis(ranks, order, average, axis=1)
    difference = ranks[:, :ours].sum(axis=1) - ours * (ours + 1) / 2 - ours * theirs / 2
    ties = ((last - first + 1.0) ** 2 - 1).sum(axis=1)  # each of t tied values adds t² − 1: t³ − t in all
    spread = np.sqrt(ours * theirs / 12 * ((size + 1) - ties / (size * (size - 1))))
    corrected = difference - np.sign(difference) * 0.5
    return np.divide(corrected, spread, out=np.zeros_like(corrected), where=spread > 0)
