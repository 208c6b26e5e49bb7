"""Deviations that last for a while: the same for the same seed, in whatever order they are asked for.

White noise is drawn by the hour, each hour from a generator of its own; what lasts is a weighted sum of the
noise of the minutes before, so that any minute can be had without those before it having been asked for.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from runbook.sandbox.traffic.numbers import MEMORY

Floats = npt.NDArray[np.float64]
HOUR_MIN = 60
_REACH = 48  # minutes: 0.8 to the 48th is two in a hundred thousand
_KERNEL = np.sqrt(1 - MEMORY**2) * MEMORY ** np.arange(_REACH)[::-1]


def generator(*names: object) -> np.random.Generator:
    """Return the generator that belongs to these names, at its beginning."""
    digest = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def lasting(seed: str, stream: str, since: int, until: int, *, width: int = 1) -> Floats:
    """Return deviations of the minutes [since, until), `width` beside each other: mean 0, variance 1."""
    first = (since - _REACH + 1) // HOUR_MIN
    hours = range(first, (until - 1) // HOUR_MIN + 1)
    white = np.concatenate([_white(seed, stream, hour, width) for hour in hours])
    begins = since - _REACH + 1 - first * HOUR_MIN
    windows = np.lib.stride_tricks.sliding_window_view(
        white[begins : begins + until - since + _REACH - 1], _REACH, axis=0
    )
    summed: Floats = windows @ _KERNEL
    return summed


def factor(deviation: Floats, sigma: float) -> Floats:
    """Return what a deviation multiplies by; the mean of it is 1."""
    return np.exp(sigma * deviation - sigma**2 / 2)


@lru_cache(maxsize=512)
def _white(seed: str, stream: str, hour: int, width: int) -> Floats:
    return generator(seed, stream, hour).standard_normal((HOUR_MIN, width))
