"""Counted minutes for tests of the judge, by seed: an arm's visitors over a hundred buckets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from runbook.judge.counts import Arm, Counts, Minute, Slices

BEGAN = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
BUCKETS = 100


def arm(
    requests: int,
    *,
    rng: np.random.Generator,
    errors: float = 0.002,
    slow: float = 0.01,
    database_ms: float = 40.0,
    buckets: int | None = BUCKETS,
) -> Arm:
    """Return an arm with so many requests on average, of which these shares are bad."""
    size = buckets or 1
    asked = rng.poisson(requests / size, size)
    failed = rng.binomial(asked, errors)
    slow_500 = rng.binomial(asked, slow)
    slow_1000 = rng.binomial(slow_500, 0.1)
    slow_2000 = rng.binomial(slow_1000, 0.1)
    database_slow = rng.binomial(asked, 0.01)
    total = Counts(
        requests=int(asked.sum()),
        errors=int(failed.sum()),
        slow_500=int(slow_500.sum()),
        slow_1000=int(slow_1000.sum()),
        slow_2000=int(slow_2000.sum()),
        database_calls=int(asked.sum()),
        database_slow_100=int(database_slow.sum()),
        database_ms=database_ms * float(asked.sum()),
    )
    if buckets is None:
        return Arm(total=total)
    columns = {
        "requests": asked,
        "errors": failed,
        "slow_500": slow_500,
        "slow_1000": slow_1000,
        "slow_2000": slow_2000,
        "database_calls": asked,
        "database_slow_100": database_slow,
    }
    newcomers = Slices(**{name: tuple(column.tolist()) for name, column in columns.items()})
    return Arm(total=total, newcomers=newcomers)


def minutes(
    count: int,
    *,
    percent: float = 5,
    first: int = 0,
    seed: int = 1,
    per_minute: int = 12_000,
    canary: dict[str, float] | None = None,
    baseline: dict[str, float] | None = None,
    buckets: int | None = BUCKETS,
) -> list[Minute]:
    """Return so many minutes on end, `first` of them after BEGAN; at 100 % there is no baseline."""
    rng = np.random.default_rng([seed, first])
    share = percent / 100
    found = []
    for number in range(first, first + count):
        ours = arm(round(per_minute * share), rng=rng, buckets=buckets, **(canary or {}))
        theirs = arm(round(per_minute * (1 - share)), rng=rng, buckets=buckets, **(baseline or {}))
        at = BEGAN + timedelta(minutes=number)
        found.append(
            Minute(at=at, canary_percent=percent, canary=ours, baseline=theirs if share < 1 else None)
        )
    return found
