"""Made-up traffic for the judges' table: many rollouts at once, one minute after the other, by seed.

A rollout has the plan's phases: 5 % for 4 h, 25 % for 4 h, 50 % for 8 h, 100 % for 8 h. Requests come as a
Poisson stream, bad ones among them with a rate that both arms share, times what the scenario does.

Visitors come in 100 units, each as large as a bucket was before the rollout; a unit has its own noise and is
wholly in one arm. At 5 % a unit is a slice, at 25 and 50 % a slice is four or five units, as `Grouping` makes
them of 100 buckets in each arm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PHASES: Final = ((0.05, 240), (0.25, 240), (0.5, 480), (1.0, 480))
MINUTES: Final = sum(length for _, length in PHASES)
DAY: Final = 1440
UNITS: Final = 100
UNITS_IN_SLICE: Final = {0.05: 1, 0.25: 4, 0.5: 5, 1.0: 5}
BASE_ERRORS: Final = 0.002
# Log-normal latency, P95 300 ms: the share slower than 500 ms, and the same of P95 600 ms.
BASE_SLOW, SLOW = 0.0093, 0.0843


@dataclass(frozen=True)
class Scenario:
    """What happens in a rollout. `ratio` is the canary's rate over the baseline's, from minute `since` on."""

    name: str
    base: float = BASE_ERRORS
    ratio: float = 1.0
    since: int = 0
    least_share: float = 0.0  # the ratio holds only where the canary has at least this share
    diurnal: float = 0.0  # how far rate and traffic swing over the day
    cluster: int = 1  # bad events come so many at a time
    slice_cv: float = 0.0  # how far a slice's rate strays in a minute, independently
    memory: float = 0.0  # AR(1) coefficient of a slice's log rate …
    memory_sd: float = 0.0  # … and its standard deviation
    episodes: float = 0.0  # chance per slice and minute that its rate is tenfold for ten minutes
    bursts: float = 0.0  # chance per minute that both arms' rate is twentyfold for three minutes
    outage: float = 0.0  # rate of both arms in a quarter of an hour of the first 16 hours


NULLS: Final = (
    Scenario("i.i.d."),
    Scenario("diurnal", diurnal=0.6),
    Scenario("overdispersed, errors by fives", cluster=5),
    Scenario("autocorrelated 0.8", memory=0.8, memory_sd=0.8),
    Scenario("ten-minute episodes", episodes=0.002),
    Scenario("slice noise", slice_cv=0.6),
    Scenario("shared bursts", bursts=0.01),
    Scenario("shared outage", outage=0.3),
    Scenario("canary 10 % worse, within the margin", ratio=1.1),
)
REGRESSIONS: Final = (
    Scenario("0.2 → 1 %", ratio=5.0),
    Scenario("0.2 → 2 %", ratio=10.0),
    Scenario("0.2 → 5 %", ratio=25.0),
    Scenario("P95 300 → 600 ms", base=BASE_SLOW, ratio=SLOW / BASE_SLOW),
    Scenario("2 % from minute 300", ratio=10.0, since=300),
    Scenario("0.2 → 0.6 %", ratio=3.0),
    Scenario("2 % at 50 % and more", ratio=10.0, least_share=0.5),
    Scenario("2 % at 100 % only", ratio=10.0, least_share=1.0),
)


@dataclass
class MinuteOfAll:
    """One minute of all simulated rollouts (n of them)."""

    number: int
    share: float
    canary_slices: Floats  # (n, s)
    baseline_slices: Floats  # (n, J - s)
    canary_bad: Floats  # (n,)
    baseline_bad: Floats
    canary_all: Floats
    baseline_all: Floats


@dataclass
class Traffic:
    """The rollouts of one cell: a scenario at a load, n of them, from one seed."""

    scenario: Scenario
    per_s: float
    n: int
    rng: np.random.Generator
    _logs: Floats = field(init=False)
    _episode: Floats = field(init=False)
    _burst: Floats = field(init=False)

    def __post_init__(self) -> None:
        self._logs = self.rng.normal(size=(self.n, UNITS)) * self.scenario.memory_sd
        self._episode = np.zeros((self.n, UNITS))
        self._burst = np.zeros(self.n)
        self._outage_at = self.rng.integers(30, 930, size=self.n)

    def rollout(self) -> Iterator[MinuteOfAll]:
        """Return the minutes of the rollout, both arms."""
        number = 0
        for share, length in PHASES:
            for _ in range(length):
                yield self._minute(number, share)
                number += 1

    def day_before(self) -> tuple[Floats, Floats]:
        """Return bad events and requests by bucket of the day before, shape (n, minutes, buckets)."""
        bad = np.empty((self.n, DAY, UNITS))
        total = np.empty((1, DAY, 1))
        for number in range(DAY):
            rate, requests = self._shared(number, outage=False)
            total[0, number] = requests / UNITS
            bad[:, number] = self._events(requests / UNITS, np.broadcast_to(rate[:, None], bad[:, 0].shape))
        return bad, np.broadcast_to(total, bad.shape)

    def _minute(self, number: int, share: float) -> MinuteOfAll:
        rate, requests = self._shared(number, outage=True)
        scenario, units = self.scenario, round(share * UNITS)
        worse = number >= scenario.since and share >= scenario.least_share
        rates = np.repeat(rate[:, None], UNITS, axis=1)
        rates[:, :units] *= scenario.ratio if worse else 1.0
        bad = self._events(requests / UNITS, rates)
        canary, baseline = bad[:, :units], bad[:, units:]
        size = UNITS_IN_SLICE[share]
        return MinuteOfAll(
            number,
            share,
            _in_slices(canary, size),
            _in_slices(baseline, size),
            canary.sum(axis=1),
            baseline.sum(axis=1),
            self.rng.poisson(np.full(self.n, share * requests)).astype(float),
            self.rng.poisson(np.full(self.n, (1 - share) * requests)).astype(float),
        )

    def _shared(self, number: int, *, outage: bool) -> tuple[Floats, float]:
        """Return the rate that both arms share, by rollout, and the requests of the minute."""
        scenario = self.scenario
        swing = 1 + scenario.diurnal * np.sin(2 * np.pi * number / DAY)
        rate = np.full(self.n, scenario.base * swing)
        if scenario.bursts:
            begins = self.rng.random(self.n) < scenario.bursts
            self._burst = np.where(begins, 3.0, np.maximum(self._burst - 1, 0.0))
            rate = np.where(self._burst > 0, np.minimum(rate * 20, 0.5), rate)
        if scenario.outage and outage:
            out = (number >= self._outage_at) & (number < self._outage_at + 15)
            rate = np.where(out, scenario.outage, rate)
        return rate, self.per_s * 60 * swing

    def _events(self, requests: float, rates: Floats) -> Floats:
        """Return bad events of each unit, which has so many requests in this minute, shape (n, units)."""
        scenario, expected = self.scenario, requests * rates
        if scenario.slice_cv:
            form = 1 / scenario.slice_cv**2
            expected = expected * self.rng.gamma(form, 1 / form, size=rates.shape)
        if scenario.memory:
            push = scenario.memory_sd * np.sqrt(1 - scenario.memory**2)
            self._logs *= scenario.memory
            self._logs += self.rng.normal(size=rates.shape) * push
            expected = expected * np.exp(self._logs - scenario.memory_sd**2 / 2)
        if scenario.episodes:
            begins = self.rng.random(rates.shape) < scenario.episodes
            self._episode = np.where(begins, 10.0, np.maximum(self._episode - 1, 0.0))
            expected = np.where(self._episode > 0, expected * 10, expected)
        found = self.rng.poisson(expected / scenario.cluster) * scenario.cluster
        return found.astype(np.float64)


def _in_slices(units: Floats, size: int) -> Floats:
    slices = units.shape[1] // size
    return units[:, : slices * size].reshape(len(units), slices, size).sum(axis=2)
