"""A deployment's counts, drawn an hour at a time, each count from a generator of its own.

A generator's draws come in the order of the minutes, so the first minutes of an hour are the same whether the
rest of it has come to pass or not: what was told once is told again, whenever it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from runbook.sandbox.traffic import numbers
from runbook.sandbox.traffic.noise import HOUR_MIN, Floats, factor, generator, lasting
from runbook.sandbox.traffic.split import Crowd
from runbook.sandbox.traffic.timing import DATABASE, REQUESTS, Timing
from runbook.sandbox.traffic.trouble import Bools, Harm

Ints = npt.NDArray[np.int64]
MIDNIGHT_MIN: Final = 24 * HOUR_MIN
ERRORS_AT_MOST: Final = 0.95
OLD_ERRORS: Final = (1 - numbers.FIRST_TIME * numbers.FIRST_TIME_ERRORS) / (1 - numbers.FIRST_TIME)
BUCKETED: Final = (
    "visitors",
    "requests",
    "errors",
    *(f"slow_{ms}" for ms in REQUESTS.limits),
    "database_calls",
    *(f"database_slow_{ms}" for ms in DATABASE.limits),
)
"""What is counted by bucket, as [minutes, newcomers or others, buckets]."""

BINNED: Final = {"latency": REQUESTS, "database_latency": DATABASE}
"""What is counted in bins of time, as [minutes, newcomers or others, bins]."""


@dataclass(frozen=True)
class Setting:
    """What a deployment meets in some minutes."""

    load: Floats  # visits, by [minutes, newcomers or others, buckets]
    errors: Floats  # the part that fails, the same way
    crowd: Crowd
    slower: Floats
    database_slower: Floats

    @cached_property
    def tails(self) -> dict[Timing, Floats]:
        """Return which part of the requests, and of the database calls, takes longer than each edge."""
        first = self.crowd.first_time
        return {
            REQUESTS: REQUESTS.tails(self.slower, first),
            DATABASE: DATABASE.tails(self.database_slower, first),
        }


def setting(
    seed: str, deployment: str, since: int, until: int, crowd: Crowd, harm: Harm, low: Bools
) -> Setting:
    """Return what a deployment meets in the minutes [since, until)."""
    visits = _visits(seed, since, until, low)
    load = visits[:, None, None] * crowd.part_of(deployment)[:, :, None] * _sizes(seed)
    people = crowd.first_time * numbers.FIRST_TIME_ERRORS + (1 - crowd.first_time) * OLD_ERRORS
    shared = factor(lasting(seed, "errors", since, until)[:, 0], numbers.ERROR_NOISE)
    unevenly = factor(lasting(seed, "buckets", since, until, width=numbers.BUCKETS), numbers.BUCKET_NOISE)
    ratio = numbers.ERROR_RATIO * people[:, :, None] * shared[:, None, None] * unevenly[:, None, :]
    times = lasting(seed, "times", since, until, width=2)
    return Setting(
        load=load,
        errors=np.clip(ratio + harm.errors[:, None, None], 0.0, ERRORS_AT_MOST),
        crowd=crowd,
        slower=factor(times[:, 0], numbers.LATENCY_NOISE) * harm.slower,
        database_slower=factor(times[:, 1], numbers.LATENCY_NOISE),
    )


def _visits(seed: str, since: int, until: int, low: Bools) -> Floats:
    """Return how many visits all deployments together have in a minute, on average."""
    hours = np.arange(since, until) % MIDNIGHT_MIN / HOUR_MIN
    day = 1 + numbers.SWING * np.cos((hours - numbers.PEAKS_AT_H) * np.pi / 12)
    mean = np.where(low, numbers.LOW_REQUESTS_PER_S, numbers.REQUESTS_PER_S) * 60
    noise = factor(lasting(seed, "load", since, until)[:, 0], numbers.LOAD_NOISE)
    visits: Floats = mean * day * noise / numbers.REQUESTS_PER_VISIT
    return visits


def _sizes(seed: str) -> Floats:
    """Return the buckets' parts of the visitors: equal but for the hash's luck."""
    sizes = generator(seed, "sizes").normal(1.0, 0.03, numbers.BUCKETS)
    part: Floats = sizes / sizes.sum()
    return part


class Hour:
    """One deployment in one hour, as far as it has come to pass."""

    def __init__(self, seed: str, deployment: str, hour: int) -> None:
        self._names = (seed, deployment, hour)
        self._drawn: dict[str, Ints] = {}
        self._generators: dict[str, np.random.Generator] = {}

    def take(self, name: str, rows: int, settings: Callable[[int, int], Setting]) -> Ints:
        """Return the first `rows` minutes of a count."""
        drawn = self._drawn.get(name)
        done = 0 if drawn is None else len(drawn)
        if done < rows:
            if name not in self._generators:
                self._generators[name] = generator(*self._names, name)
            new = self._draw(name, done, rows, settings)
            drawn = new if drawn is None else np.concatenate([drawn, new])
            self._drawn[name] = drawn
        assert drawn is not None or not rows  # noqa: S101  # for mypy
        return np.empty(0, dtype=np.int64) if drawn is None else drawn[:rows]

    def _draw(self, name: str, since: int, until: int, settings: Callable[[int, int], Setting]) -> Ints:
        random, given = self._generators[name], settings(since, until)

        def of(other: str) -> Ints:
            return self.take(other, until, settings)[since:]

        match name:
            case "visitors":
                found = _drawn(random.poisson, given.load)
            case "requests":
                visitors = of("visitors")
                found = visitors + _drawn(random.poisson, visitors * (numbers.REQUESTS_PER_VISIT - 1))
            case "errors":
                found = _drawn(random.binomial, of("requests"), given.errors)
            case "database_calls":
                found = _drawn(random.poisson, of("requests") * numbers.DATABASE_CALLS)
            case "latency":
                found = _binned(random, of, "requests", "slow", REQUESTS, given.tails[REQUESTS])
            case "database_latency":
                found = _binned(
                    random, of, "database_calls", "database_slow", DATABASE, given.tails[DATABASE]
                )
            case _:
                found = _slow(random, of, name, given)
        return found.astype(np.int32)


def _drawn(draw: Callable[..., Any], first: npt.NDArray[Any], *more: Floats) -> Ints:
    """Draw where there is something to draw from; a draw out of nothing costs time and no randomness."""
    kinds = first.any(axis=(0, 2))
    if kinds.all():
        return np.asarray(draw(first, *more))
    found = np.zeros(first.shape, dtype=np.int64)
    if kinds.any():
        found[:, kinds] = draw(first[:, kinds], *(one[:, kinds] for one in more))
    return found


def _slow(random: np.random.Generator, of: Callable[[str], Ints], name: str, given: Setting) -> Ints:
    """Draw how many took longer than a limit, out of those that took longer than the limit before."""
    kind, _, limit = name.rpartition("_")
    timing, whole = (DATABASE, "database_calls") if kind == "database_slow" else (REQUESTS, "requests")
    place = timing.limits.index(int(limit))
    tails = given.tails[timing][:, :, list(timing.at_limits)]
    part = tails[:, :, place]
    if place:
        before = tails[:, :, place - 1]
        part = np.divide(part, before, out=np.zeros_like(part), where=before > 0)
        whole = f"{kind}_{timing.limits[place - 1]}"
    return _drawn(random.binomial, of(whole), part[:, :, None])


def _binned(
    random: np.random.Generator,
    of: Callable[[str], Ints],
    whole: str,
    slow: str,
    timing: Timing,
    tails: Floats,
) -> Ints:
    """Draw how many fell into each bin, so that those above each limit are as many as were counted there."""
    above = [of(whole).sum(axis=2), *(of(f"{slow}_{ms}").sum(axis=2) for ms in timing.limits)]
    shares = np.concatenate([np.ones((*tails.shape[:2], 1)), tails, np.zeros((*tails.shape[:2], 1))], axis=2)
    parts = np.maximum(shares[:, :, :-1] - shares[:, :, 1:], 1e-300)
    ends = [0, *(place + 1 for place in timing.at_limits), parts.shape[2]]
    found = []
    for number, (low, high) in enumerate(pairwise(ends)):
        inside = above[number] - (above[number + 1] if number + 1 < len(above) else 0)
        chosen = parts[:, :, low:high]
        found.append(random.multinomial(inside, chosen / chosen.sum(axis=2, keepdims=True)))
    return np.concatenate(found, axis=2)
