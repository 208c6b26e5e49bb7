"""How noisy the service is on an ordinary day: the variance of its counts against a coin's, and its memory.

From the counts by bucket of the 24 hours before the rollout, when all visitors were on one build:

    φ = Σ (k − k̂)² / ((J − 1)/J · Σ k̂)   k̂: what a bucket would have of its minute's events by its size
    τ = 1 + 2 Σ ρ_l                       ρ_l: autocorrelation of k − k̂ at l minutes, while it is over 0.01

φ = 1 is a fair coin for each request; errors that come five at a time have φ = 5. τ = 1 has no memory;
trouble that lasts ten minutes with a bucket has τ near 10. The judge divides its evidence by φτ (counts)
and τ (slices). Without such counts both are assumed, and every verdict says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from runbook.judge.counts import Floats, Indicator, Minute
from runbook.values import Value

# A service of which nothing was measured: errors by threes, and a memory of minutes.
ASSUMED_PHI, ASSUMED_TAU = 3.0, 2.0
LEAST_CORRELATION: Final = 0.01
LONGEST_LAG: Final = 240
LEAST_MINUTES, LEAST_EVENTS = 120, 50


class Noise(Value):
    """How noisy one indicator is. `minutes` it was measured over; 0: assumed, not measured."""

    phi: float
    tau: float
    minutes: int = 0
    events: int = 0

    @property
    def factor(self) -> float:
        return self.phi * self.tau

    def in_a_line(self) -> str:
        how = f"measured over {self.minutes:,} minutes" if self.minutes else "assumed, not measured"
        return f"φ {self.phi:.2f}, τ {self.tau:.2f} ({how})"


ASSUMED: Final = Noise(phi=ASSUMED_PHI, tau=ASSUMED_TAU)


def noise_of(bad: Floats, total: Floats) -> Noise:
    """Return φ and τ of one indicator from counts of shape (minutes, buckets), gaps left out by the caller.

    Too few minutes or events to tell: the assumed ones, or what was measured where that is larger.
    """
    if bad.ndim != 2 or bad.shape != total.shape:  # noqa: PLR2004
        raise ValueError(
            f"counts by minute and bucket, in two arrays of one shape: {bad.shape}, {total.shape}"
        )
    if bad.shape[0] == 0 or bad.shape[1] < 2 or not bad.sum():  # noqa: PLR2004
        return ASSUMED
    phi, tau = estimates(bad[None], total[None])
    minutes, events = bad.shape[0], int(bad.sum())
    if minutes < LEAST_MINUTES or events < LEAST_EVENTS:
        return Noise(phi=max(float(phi[0]), ASSUMED_PHI), tau=max(float(tau[0]), ASSUMED_TAU))
    return Noise(phi=float(phi[0]), tau=float(tau[0]), minutes=minutes, events=events)


def estimates(bad: Floats, total: Floats) -> tuple[Floats, Floats]:
    """Return φ and τ, shape (n,), from n services' counts of shape (n, minutes, buckets); neither under
    1."""
    whole = total.sum(axis=2, keepdims=True)
    share = np.divide(
        total, whole, out=np.zeros(np.broadcast_shapes(total.shape, bad.shape)), where=whole > 0
    )
    expected = bad.sum(axis=2, keepdims=True) * share
    residuals = bad - expected
    squares = (residuals**2).sum(axis=(1, 2))
    # Var(k − k̂) of a multinomial is m·q(1 − q): summed, less than the sum of k̂ by Σ m·q².
    free = (expected * (1 - share)).sum(axis=(1, 2))
    some = squares > 0
    phi = np.maximum(1.0, np.divide(squares, free, out=np.ones_like(free), where=free > 0))
    tau, open_ = np.ones_like(phi), some.copy()
    for lag in range(1, min(LONGEST_LAG, bad.shape[1] - 1) + 1):
        products = np.einsum("ntj,ntj->n", residuals[open_, :-lag], residuals[open_, lag:])
        correlation = products / squares[open_]
        goes_on = correlation > LEAST_CORRELATION
        tau[open_] += 2 * np.where(goes_on, correlation, 0.0)
        open_[open_] = goes_on
        if not open_.any():
            break
    return phi, tau


def noise_before(minutes: Iterable[Minute], indicator: Indicator, *, of: str) -> Noise:
    """Return an indicator's noise from minutes before the rollout, all visitors in the arm `baseline`.

    `of` is the column that the indicator is a share of. Minutes without buckets are left out.
    """
    arms = [minute.baseline.newcomers for minute in minutes if minute.baseline and minute.baseline.newcomers]
    if not arms:
        return ASSUMED
    columns = [[one.column(name) for one in arms] for name in (indicator, of)]
    return noise_of(np.array(columns[0]), np.array(columns[1]))
