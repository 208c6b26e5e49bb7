"""What the judge is fed: whole minutes, counted, by arm and by visitor bucket.

A **minute** holds two **arms**: the canary (requests that the new build answered) and the baseline (those
that the build before it answered, in the same minute). Each arm has its `total`, all visitors, which the
plan's thresholds are held against, and its `newcomers`, columns by **bucket**, which the comparison is made
of. Who compares, compares like with like:

- A *newcomer* is a visitor whose first request came after the rollout began. The platform splits only
  those; the baseline's other visitors were there before, and are other people. In both arms, newcomers
  alone are in the columns.
- A *bucket* is a hash of the visitor that knows nothing of the arm: `hash(visitor) mod 100`. Entry b of
  each column is bucket b, in both arms; a bucket in which nothing happened is a zero. One visitor is in one
  bucket for good, so errors that come in bursts stay together.

*No data* and *nothing happened* are two things: an arm is None when the source had no points for that
minute, and full of zeros when it counted none. `newcomers` is None where the source carries no buckets; the
weaker test serves then. A minute is handed over once, when its counts no longer change (sources deliver
late), and minutes come in the order of time; those that never came are gaps.

Latency is counted, not averaged: `slow_500` are requests slower than 500 ms, so "P95 under 500 ms" is
"slow_500 under 5 % of requests". Units are counts in that minute; `database_ms` is the sum over its calls.
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from operator import gt
from typing import Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from runbook.values import Value

Floats = npt.NDArray[np.float64]
Indicator = Literal["errors", "slow_500", "slow_1000", "slow_2000", "database_slow_100"]
ArmName = Literal["canary", "baseline"]

# What is bad, and what it is a share of.
INDICATORS: Final[dict[Indicator, str]] = {
    "errors": "requests",
    "slow_500": "requests",
    "slow_1000": "requests",
    "slow_2000": "requests",
    "database_slow_100": "database_calls",
}
# From the largest to the smallest: each is part of the one before.
_NESTED: Final = (
    ("requests", "errors"),
    ("requests", "slow_500", "slow_1000", "slow_2000"),
    ("database_calls", "database_slow_100"),
)


class Counts(Value):
    """What a whole arm did in a minute (or longer)."""

    requests: int = Field(ge=0)
    errors: int = Field(ge=0)
    slow_500: int = Field(default=0, ge=0)
    slow_1000: int = Field(default=0, ge=0)
    slow_2000: int = Field(default=0, ge=0)
    database_calls: int = Field(default=0, ge=0)
    database_slow_100: int = Field(default=0, ge=0)
    database_ms: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _nested(self) -> Self:
        for names in _NESTED:
            for outer, inner in pairwise(names):
                if getattr(self, inner) > getattr(self, outer):
                    raise ValueError(
                        f"{inner} {getattr(self, inner)} cannot be more than {outer} {getattr(self, outer)}"
                    )
        return self


class Slices(Value):
    """An arm's newcomers in a minute, one column per count; entry b of a column is bucket b.

    `visitors` is how many different visitors were counted. A source without latency or database counts by
    bucket leaves those columns empty; the others are as long as `requests`.
    """

    visitors: tuple[int, ...] = ()
    requests: tuple[int, ...]
    errors: tuple[int, ...]
    slow_500: tuple[int, ...] = ()
    slow_1000: tuple[int, ...] = ()
    slow_2000: tuple[int, ...] = ()
    database_calls: tuple[int, ...] = ()
    database_slow_100: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in type(self).model_fields:
            column = getattr(self, name)
            if column and len(column) != len(self.requests):
                raise ValueError(f"{name} has {len(column)} buckets, requests {len(self.requests)}")
            if column and min(column) < 0:
                raise ValueError(f"{name} has a count below zero: {min(column)}")
        for names in _NESTED:
            for outer, inner in pairwise(names):
                if any(map(gt, getattr(self, inner), getattr(self, outer))):
                    raise ValueError(f"{inner} is more than {outer} in some bucket")
        return self

    def column(self, name: str) -> Floats:
        """Return a column as an array, zeros where the source has none."""
        return np.array(getattr(self, name) or (0,) * len(self.requests), dtype=np.float64)


class Arm(Value):
    """One arm in one minute: all its visitors, and its newcomers by bucket where the source has them."""

    total: Counts
    newcomers: Slices | None = None


class Minute(Value):
    """One whole minute, `at` its first second (UTC): what both arms did while the canary had its share.

    `canary_percent` is how many of 100 newcomers the platform gave to the canary. An arm is None when the
    source had no data for it. `failed_probes_in_a_row` is how many health checks up to the end of this
    minute failed one after the other, None when nobody probed.
    """

    at: datetime
    canary_percent: float = Field(gt=0, le=100)
    canary: Arm | None
    baseline: Arm | None
    failed_probes_in_a_row: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.at.tzinfo is None or self.at.second or self.at.microsecond:
            raise ValueError(
                f"a minute begins at a whole minute of a known zone, not at {self.at.isoformat()}"
            )
        pair = [arm.newcomers for arm in (self.canary, self.baseline) if arm and arm.newcomers]
        if len({len(one.requests) for one in pair}) > 1:
            raise ValueError("canary and baseline have different numbers of buckets")
        return self

    def arm(self, name: ArmName) -> Arm | None:
        return self.canary if name == "canary" else self.baseline
