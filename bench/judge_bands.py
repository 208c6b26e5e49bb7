"""How often the judge's bands ever miss the truth, over all looks of many simulated phases."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from runbook.judge.bands import LEVEL, RATIO_GRID, below_evidence, rate_edges, ratio_edges, ratio_gain

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PHASES_SEEN, LOOKS, REQUESTS = 1000, 240, 60
SWING, PERIOD = 0.6, 40


@dataclass(frozen=True)
class Coverage:
    """How many of n phases had a look at which the band missed."""

    what: str
    missed: int
    n: int

    @property
    def line(self) -> str:
        return f"| {self.what} | {self.missed / self.n * 100:.2g} |"


def coverages(*, seed: int, n: int = PHASES_SEEN) -> list[Coverage]:
    """Return how often each kind of band ever misses; promised is 1 %."""
    found = []
    for place, rate in enumerate((0.0005, 0.002, 0.05, 0.3)):
        missed = _ever(_rate_misses(np.full(LOOKS, rate), np.random.default_rng([seed, place]), n))
        found.append(Coverage(f"rate {rate * 100:g} %", missed, n))
    moving = 0.01 * (1 + SWING * np.sin(np.arange(LOOKS) / PERIOD))
    found.append(
        Coverage("mean of a rate that swings by 60 %", _ever(_rate_misses(moving, _rng(seed, 10), n)), n)
    )
    for place, ratio in enumerate((0.5, 1.0, 1.2, 5.0)):
        missed = _ever(_ratio_misses(ratio, _rng(seed, 20 + place), n))
        found.append(Coverage(f"ratio {ratio:g}, the shared rate swinging by 60 %", missed, n))
    found.append(
        Coverage("“surely under 1 %” of a rate of 1 %", _ever(_said_below(0.01, _rng(seed, 30), n)), n)
    )
    missed = _ever(_one_look_misses(0.01, _rng(seed, 40), n))
    found.append(Coverage("rate 1 %, a 99 % band that is made for one look (Wilson)", missed, n))
    return found


def _rng(seed: int, place: int) -> np.random.Generator:
    return np.random.default_rng([seed, place])


def _ever(looks: Iterator[Bools]) -> int:
    """Return how many phases had a look that missed."""
    missed = next(looks)
    for look in looks:
        missed = missed | look
    return int(missed.sum())


def _rate_misses(rates: Floats, rng: np.random.Generator, n: int) -> Iterator[Bools]:
    bad, mean = np.zeros(n), 0.0
    for number, rate in enumerate(rates, start=1):
        bad += rng.binomial(REQUESTS, rate, n)
        mean += (rate - mean) / number
        low, high = rate_edges(bad, np.full(n, float(REQUESTS * number)))
        yield (low > mean) | (high < mean)


def _ratio_misses(ratio: float, rng: np.random.Generator, n: int) -> Iterator[Bools]:
    gains = np.zeros((n, len(RATIO_GRID)))
    ours, theirs = np.full(n, float(REQUESTS)), np.full(n, float(19 * REQUESTS))
    for number in range(LOOKS):
        rate = 0.002 * (1 + SWING * math.sin(number / PERIOD))
        counts = rng.poisson(ours * rate * ratio), rng.poisson(theirs * rate)
        gains += ratio_gain(counts[0].astype(float), counts[1].astype(float), ours, theirs)
        low, high = ratio_edges(gains)
        yield (low > ratio) | (high < ratio)


def _said_below(rate: float, rng: np.random.Generator, n: int) -> Iterator[Bools]:
    bad = np.zeros(n)
    for number in range(1, LOOKS + 1):
        bad += rng.binomial(REQUESTS, rate, n)
        yield below_evidence(bad, np.full(n, float(REQUESTS * number)), limit=rate) >= math.log(1 / LEVEL)


def _one_look_misses(rate: float, rng: np.random.Generator, n: int) -> Iterator[Bools]:
    """Return what becomes of a band that is right once when it is looked at again and again."""
    bad, z = np.zeros(n), NormalDist().inv_cdf(1 - LEVEL / 2)
    for number in range(1, LOOKS + 1):
        bad += rng.binomial(REQUESTS, rate, n)
        total = REQUESTS * number
        share, square = bad / total, z**2 / total
        middle, spread = share + square / 2, z * np.sqrt(share * (1 - share) / total + square / total / 4)
        yield np.abs(middle - rate * (1 + square)) > spread
