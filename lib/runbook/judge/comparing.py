"""Canary against baseline, minute by minute: both keys, for all indicators at once, and the ratio's band.

What it holds follows from the minutes it saw and nothing else, so who sees the same minutes again holds the
same.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from runbook.judge.bands import RATIO_GRID, ratio_edges, ratio_gain
from runbook.judge.calibrating import Noise
from runbook.judge.counts import INDICATORS, Arm, Floats, Indicator, Minute, Slices
from runbook.judge.evidence import Grouping, Mixture, Restarts, count_evidence, slice_evidence

NAMES: Final[tuple[Indicator, ...]] = tuple(INDICATORS)

RECENT_MINUTES: Final = 15

# How often, per rollout, each indicator may cry wolf; all together 0.9 %.
ALPHA: Final[dict[Indicator, float]] = {
    "errors": 0.005,
    "slow_500": 0.002,
    "slow_1000": 0.001,
    "slow_2000": 0.0005,
    "database_slow_100": 0.0005,
}
# Less than this is no matter, however sure: the difference of the two rates.
MATERIAL: Final[dict[Indicator, float]] = {
    "errors": 0.001,
    "slow_500": 0.005,
    "slow_1000": 0.005,
    "slow_2000": 0.005,
    "database_slow_100": 0.005,
}


class TwoKeys:
    """Two mixtures over n indicators, fed with the minute's counts; the leading axes are the caller's."""

    def __init__(self, phi: Floats, tau: Floats) -> None:
        self._noise, self._tau = phi * tau, tau
        self.by_counts = Mixture.begun(phi.shape)
        self.by_slices = Mixture.begun(phi.shape)
        self.slice_minutes = self._without = 0
        self._restarts = Restarts()

    def see(
        self,
        canary_percent: float,
        counts: tuple[Floats, Floats, Floats, Floats],
        slices: tuple[Floats, Floats] | None,
    ) -> None:
        """Take in a minute: canary's bad, baseline's bad, canary's all, baseline's all; bad ones by
        slice."""
        part = self._restarts.next(canary_percent)
        self.by_counts = self.by_counts.after(count_evidence(*counts, noise=self._noise), part)
        if slices is None:
            gains = np.zeros_like(self.by_slices.log_sums)
            self._without += 1
        else:
            gains = slice_evidence(*slices, tau=self._tau)
            self.slice_minutes, self._without = self.slice_minutes + 1, 0
        self.by_slices = self.by_slices.after(gains, part)

    @property
    def are_two(self) -> bool:
        """Whether there are slices; once they stay away for a quarter of an hour, the counts decide alone."""
        return self.slice_minutes > 0 and self._without < RECENT_MINUTES

    def log_e(self) -> Floats:
        """Return ln E: of the weaker key, or of the counts alone where there are no slices."""
        counts = self.by_counts.log_e()
        return np.minimum(counts, self.by_slices.log_e()) if self.are_two else counts


@dataclass(frozen=True)
class Compared:
    """What one indicator came to in both arms, over the visitors that were compared."""

    canary_bad: int
    canary_all: int
    baseline_bad: int
    baseline_all: int

    @property
    def difference(self) -> float | None:
        """Return the canary's rate less the baseline's; None when either had nothing to count."""
        if not self.canary_all or not self.baseline_all:
            return None
        return self.canary_bad / self.canary_all - self.baseline_bad / self.baseline_all


class Comparison:
    """Both keys and the ratio's band of the five indicators, fed with minutes."""

    def __init__(self, noise: dict[Indicator, Noise]) -> None:
        self._noise = np.array([noise[name].factor for name in NAMES])
        phi, tau = (np.array([getattr(noise[name], part) for name in NAMES]) for part in ("phi", "tau"))
        self.keys = TwoKeys(phi, tau)
        self.newcomer_minutes = self.minutes = 0
        self.percent = 0.0
        self._exposure = np.zeros((2, len(NAMES)))
        self._sums = np.zeros((4, len(NAMES)))
        self._recent: deque[Floats] = deque(maxlen=RECENT_MINUTES)
        self._gains = np.zeros((len(NAMES), len(RATIO_GRID)))

    def see(self, minute: Minute) -> None:
        """Take in a minute in which both arms have data."""
        canary, baseline = minute.canary, minute.baseline
        if canary is None or baseline is None:
            return
        if minute.canary_percent != self.percent:
            self.percent = minute.canary_percent
            self._gains[:], self._exposure[:], self._sums[:] = 0.0, 0.0, 0.0
            self._recent.clear()
        self.minutes += 1
        if canary.newcomers is not None and baseline.newcomers is not None:
            self.newcomer_minutes += 1
            table, other = _columns(canary.newcomers), _columns(baseline.newcomers)
            counts = _counted(table.sum(axis=-1), other.sum(axis=-1))
            slices = self._slices(table, other, minute.canary_percent / 100)
        else:
            counts, slices = _counted(_totals(canary), _totals(baseline)), None
        self.keys.see(minute.canary_percent, counts, slices)
        self._gains += ratio_gain(*counts)
        self._recent.append(np.stack(counts))
        self._sums += self._recent[-1]

    def _slices(self, canary: Floats, baseline: Floats, share: float) -> tuple[Floats, Floats] | None:
        grouping = Grouping.of(canary.shape[-1], share)
        if grouping is None:
            return None
        ours, theirs = grouping.canary(canary), grouping.baseline(baseline)
        self._exposure += (ours[_ALL].mean(axis=-1), theirs[_ALL].mean(axis=-1))
        # Where the canary gets more than its share, its slices are larger: what is beyond does not count.
        larger = np.divide(
            self._exposure[0], self._exposure[1], out=np.ones(len(NAMES)), where=self._exposure[1] > 0
        )
        tilt = np.where(larger > _EVEN, larger, 1.0)
        return ours[_BAD] / tilt[:, None], theirs[_BAD]

    def phase(self, name: Indicator) -> Compared:
        """Return what an indicator came to since the phase began."""
        return _compared(self._sums, name)

    def recent(self, name: Indicator) -> Compared:
        """Return what it came to in the last quarter of an hour of the phase."""
        return _compared(sum(self._recent, start=np.zeros_like(self._sums)), name)

    def ratio(self, name: Indicator) -> tuple[float, float]:
        """Return the edges of canary/baseline since the phase began."""
        row = NAMES.index(name)
        low, high = ratio_edges(self._gains[row], noise=float(self._noise[row]))
        return float(low), float(high)


def _compared(sums: Floats, name: Indicator) -> Compared:
    canary_bad, baseline_bad, canary_all, baseline_all = (int(n) for n in sums[:, NAMES.index(name)])
    return Compared(canary_bad, canary_all, baseline_bad, baseline_all)


_EVEN = 1.02
_COLUMNS = ("requests", "database_calls", *NAMES)
_BAD = [_COLUMNS.index(name) for name in NAMES]
_ALL = [_COLUMNS.index(INDICATORS[name]) for name in NAMES]


def _columns(slices: Slices) -> Floats:
    """Return an arm's columns, shape (columns, buckets)."""
    none = (0,) * len(slices.requests)
    return np.array([getattr(slices, name) or none for name in _COLUMNS], dtype=np.float64)


def _totals(arm: Arm) -> Floats:
    return np.array([getattr(arm.total, name) for name in _COLUMNS], dtype=np.float64)


def _counted(canary: Floats, baseline: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    return canary[_BAD], baseline[_BAD], canary[_ALL], baseline[_ALL]
