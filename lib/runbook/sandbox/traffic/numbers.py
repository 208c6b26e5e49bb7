"""OmniHub's traffic in numbers, each with its reason: how much, how good, how uneven, what goes wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

BUCKETS: Final = 100
"""A visitor is in one for good: `hash(visitor) mod 100`. As many as give the judge a floor of one minute."""

TOLD_BEFORE: Final = timedelta(days=3)
"""Before the world begins: the plan puts the monitoring stack up three days before the canary."""

# How much

REQUESTS_PER_S: Final = 50.0
"""The mean of a day: a small service, between the 20 and the 200 that the judge was studied at."""

SWING: Final = 0.5
"""At its peak a day has half more than its mean, at its low half of it: 02:00 to 04:00 UTC is the low."""

PEAKS_AT_H: Final = 15.0
REQUESTS_PER_VISIT: Final = 2.5
"""What a visitor asks for within a minute, a page and what belongs to it: requests come in clumps."""

LOW_REQUESTS_PER_S: Final = 0.3
"""Of a day with next to no traffic: 5 % of it for four hours cannot show that errors are under 1 %."""

# Who comes

FIRST_TIME: Final = 0.35
"""Share of the requests that come from people who never were here before."""

SESSION_MIN: Final = 15.0
"""How long a visit lasts: who is in the middle of one when a release begins is not split."""

RETURNS_MIN: Final = 480.0
"""After how long people come back: a release meets them then, and splits them too."""

FIRST_TIME_ERRORS: Final = 1.3
"""People who are here for the first time sign up, and meet this much more errors than the mean: who compares
the canary's visitors with everybody else's finds a difference that is none of the canary's."""

FIRST_TIME_SLOWER: Final = 1.15
"""Nothing of theirs is cached yet."""

# How good

ERROR_RATIO: Final = 0.002
P95_MS: Final = 300.0
SPREAD: Final = 0.557
"""Of the logarithm of a request's time: a P95 of 300 ms over a median of 120."""

SLOW_MS: Final = (500, 1000, 2000)
"""The plan's target, warning and critical of P95: slower requests are counted."""

DATABASE_MS: Final = 40.0
"""A call's mean; its P95 is 80 ms, under the plan's 100."""

DATABASE_SPREAD: Final = 0.5
DATABASE_SLOW_MS: Final = (100, 500, 1000)
DATABASE_CALLS: Final = 3.0
"""Calls of the database for a request."""

# How uneven: standard deviations of logarithms, from minute to minute and from bucket to bucket

MEMORY: Final = 0.8
"""How much of a deviation is left a minute later: the strongest that the judge has to bear."""

LOAD_NOISE: Final = 0.10
ERROR_NOISE: Final = 0.30
BUCKET_NOISE: Final = 0.20
LATENCY_NOISE: Final = 0.04

# What goes wrong

BAD_ERRORS: Final = 0.02
"""Errors of a bad release: over the 1 % of the first gates, under the 5 % of the critical alert."""

BAD_UNDER_LOAD_ERRORS: Final = 0.04
LOAD_PERCENT: Final = 50.0
"""From this share on a release runs out of connections to its database, for one."""

SLOW_FACTOR: Final = 2.0
"""P95 from 300 to 600 ms."""

LEAKS_AFTER: Final = timedelta(hours=5)
"""In the second phase: the first one ends green."""

LEAK_ERRORS_PER_H: Final = 0.015
LEAK_SLOWER_PER_H: Final = 0.4

INTO_A_RELEASE: Final = timedelta(hours=1)
"""When what befalls everybody begins, counted from a release's beginning."""

OUTAGE_LASTS: Final = timedelta(minutes=20)
OUTAGE_ERRORS: Final = 0.2
OUTAGE_SLOWER: Final = 3.0
GAP_LASTS: Final = timedelta(minutes=30)
LOST_FOR: Final = timedelta(days=366)
"""No rehearsal goes on for longer than metrics are lost for."""

SPENT_BEFORE: Final = timedelta(days=2)
SPENT_LASTS: Final = timedelta(minutes=30)
"""Of the 43 bad minutes that 99.9 % of 30 days allow."""
