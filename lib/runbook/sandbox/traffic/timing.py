"""How long things take: log-normal times of requests and database calls, counted over limits and in bins."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from runbook.sandbox.traffic import numbers
from runbook.sandbox.traffic.noise import Floats

_erfc = np.frompyfunc(math.erfc, 1, 1)
_STEPS: Final = 60


@dataclass(frozen=True)
class Timing:
    """Times whose logarithm is normal, in two kinds: of people new to the service, and of the others.

    `limits` are those above which is counted, `edges` the upper ends of the bins; each limit is an edge.
    """

    median_ms: float
    spread: float
    first_time_slower: float
    limits: tuple[int, ...]
    edges: tuple[float, ...]

    def tails(self, slower: Floats, first_time: Floats) -> Floats:
        """Return which part takes longer than each edge, as [minutes, newcomers or others, edges].

        `slower` multiplies the times, by minute; `first_time` is the part of people new to the service.
        """
        limits = np.log(np.array(self.edges)) - math.log(self.median_ms)
        shift = np.log(slower)[:, None]
        others = _above((limits - shift) / self.spread)[:, None, :]
        first = _above((limits - shift - math.log(self.first_time_slower)) / self.spread)[:, None, :]
        part = first_time[:, :, None]
        mixed: Floats = part * first + (1 - part) * others
        return mixed

    @cached_property
    def at_limits(self) -> tuple[int, ...]:
        """Return the places of the limits among the edges."""
        return tuple(self.edges.index(limit) for limit in self.limits)

    @property
    def mean_ms(self) -> float:
        """The mean of people who were here before."""
        return self.median_ms * math.exp(self.spread**2 / 2)


def _above(deviations: Floats) -> Floats:
    """Return which part of a normal distribution lies above each deviation."""
    return np.asarray(_erfc(deviations / math.sqrt(2)), dtype=np.float64) / 2


def _median_for(p95_ms: float, spread: float, first_time_slower: float, first_time: float) -> float:
    """Return the others' median with which 5 % of all take longer than `p95_ms`."""
    low, high = p95_ms / 100, p95_ms
    for _ in range(_STEPS):
        middle = (low + high) / 2
        timing = Timing(middle, spread, first_time_slower, (), (p95_ms,))
        over = timing.tails(np.ones(1), np.full((1, 1), first_time))[0, 0, 0]
        low, high = (middle, high) if over < 0.05 else (low, middle)  # noqa: PLR2004  # P95 leaves 5 %
    return low


REQUESTS: Final = Timing(
    median_ms=_median_for(numbers.P95_MS, numbers.SPREAD, numbers.FIRST_TIME_SLOWER, numbers.FIRST_TIME),
    spread=numbers.SPREAD,
    first_time_slower=numbers.FIRST_TIME_SLOWER,
    limits=numbers.SLOW_MS,
    edges=(*range(25, 351, 25), 400, 450, 500, 600, 700, 800, 1000, 1250, 1500, 2000, 3000, 5000, 10000),
)
DATABASE: Final = Timing(
    median_ms=numbers.DATABASE_MS / math.exp(numbers.DATABASE_SPREAD**2 / 2),
    spread=numbers.DATABASE_SPREAD,
    first_time_slower=1.0,
    limits=numbers.DATABASE_SLOW_MS,
    edges=(*range(5, 101, 5), 120, 150, 200, 300, 400, 500, 700, 1000, 2000, 5000),
)


def quantile_ms(bins: Floats, timing: Timing, share: float) -> float | None:
    """Return the time under which `share` of what is in the bins took; None when nothing is in them."""
    total = float(bins.sum())
    if not total:
        return None
    sums = np.cumsum(bins)
    place = int(np.searchsorted(sums, share * total))
    edges = (timing.edges[0] / 2, *timing.edges, timing.edges[-1] * 2)
    low, high = edges[place], edges[place + 1]
    before = float(sums[place - 1]) if place else 0.0
    inside = (share * total - before) / max(1.0, float(bins[place]))
    return float(low * (high / low) ** inside)
