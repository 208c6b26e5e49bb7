"""What goes wrong with a release, with everybody, or with the metrics: armed by a scenario.

A release's health is decided when it is rolled out: the deployment that is being released when a scenario
is armed, or else the next one, has the fault for good, whatever it is called and wherever it serves. What
befalls everybody begins an hour into that release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from runbook.sandbox.traffic import numbers
from runbook.sandbox.traffic.noise import Floats
from runbook.sandbox.traffic.split import MINUTE_S, Split, minute_of

Bools = npt.NDArray[np.bool_]

RELEASES: Final = {
    "bad-release": "the release under way or the next fails 2 % of its requests, from its start",
    "bad-under-load": "the release under way or the next fails 4 % of its requests at half of the visitors",
    "slow-release": "the release under way or the next is twice as slow: P95 goes from 300 to 600 ms",
    "late-leak": "the release under way or the next grows slower and fails more, from its sixth hour on",
}
EVERYBODY: Final = {
    "both-arms-bad": "an hour into the release under way or the next, every build fails 20 % for 20 minutes",
    "metrics-gap": "an hour into the release under way or the next, no metrics are reported for 30 minutes",
}
WORLD: Final = {
    "low-traffic": "from now on there is next to no traffic: a request every three seconds",
    "metrics-lost": "from now on no metrics are reported, while the service goes on",
    "outage": "from now on every build fails 20 % of its requests, for 20 minutes",
    "budget-spent": "two days ago every build failed for 30 minutes: most of the error budget is spent",
}
SCENARIOS: Final = {**RELEASES, **EVERYBODY, **WORLD}
_LASTS: Final = {"both-arms-bad": numbers.OUTAGE_LASTS, "metrics-gap": numbers.GAP_LASTS}


@dataclass(frozen=True)
class Armed:
    """A scenario that was begun, and when."""

    what: str
    at: datetime


@dataclass(frozen=True)
class Harm:
    """What a deployment does worse in some minutes: error ratio added, times multiplied."""

    errors: Floats
    slower: Floats


class Trouble:
    """All that was armed, on the ground of the releases that there were."""

    def __init__(self, armed: Sequence[Armed], split: Split) -> None:
        self._split = split
        self._ill: dict[str, list[Armed]] = {}
        self._spans: list[tuple[str, datetime, datetime]] = []
        self._low = [one.at for one in armed if one.what == "low-traffic"]
        for one in armed:
            if one.what in RELEASES:
                self._afflict(one)
            elif one.what in EVERYBODY and (begins := into_a_release(split, one.at)):
                self._spans.append((one.what, begins, begins + _LASTS[one.what]))
            elif one.what == "outage":
                self._spans.append(("both-arms-bad", one.at, one.at + numbers.OUTAGE_LASTS))
            elif one.what == "metrics-lost":
                self._spans.append(("metrics-gap", one.at, one.at + numbers.LOST_FOR))
            elif one.what == "budget-spent":
                begins = one.at - numbers.SPENT_BEFORE
                self._spans.append(("both-arms-bad", begins, begins + numbers.SPENT_LASTS))

    def _afflict(self, one: Armed) -> None:
        release = self._split.release_at(one.at)
        fresh = [name for name, since in self._split.rolled_out.items() if since >= one.at]
        begun = release is not None and release.began <= one.at
        victim = release.canary if release is not None and begun else next(iter(fresh), None)
        if victim is not None:
            self._ill.setdefault(victim, []).append(one)

    def harm(self, deployment: str, since: int, until: int, percent: Floats) -> Harm:
        """Return what a deployment does worse in the minutes [since, until), given its share of visitors."""
        minutes = np.arange(since, until)
        errors, slower = np.zeros(until - since), np.ones(until - since)
        for one in self._ill.get(deployment, ()):
            begins = max(one.at, self._split.rolled_out[deployment])
            on = minutes >= minute_of(begins)
            age_h = np.maximum(minutes - _minutes(begins + numbers.LEAKS_AFTER), 0.0) / 60
            match one.what:
                case "bad-release":
                    errors += on * numbers.BAD_ERRORS
                case "bad-under-load":
                    errors += on * (percent >= numbers.LOAD_PERCENT) * numbers.BAD_UNDER_LOAD_ERRORS
                case "slow-release":
                    slower *= np.where(on, numbers.SLOW_FACTOR, 1.0)
                case "late-leak":
                    errors += age_h * numbers.LEAK_ERRORS_PER_H
                    slower *= 1 + age_h * numbers.LEAK_SLOWER_PER_H
        outage = self._within("both-arms-bad", minutes)
        return Harm(
            errors=errors + outage * numbers.OUTAGE_ERRORS,
            slower=slower * np.where(outage, numbers.OUTAGE_SLOWER, 1.0),
        )

    def is_ill(self, deployment: str) -> bool:
        """Return whether a deployment has a fault of its own."""
        return deployment in self._ill

    def low(self, since: int, until: int) -> Bools:
        """Return in which minutes there is next to no traffic."""
        begins = min((minute_of(at) for at in self._low), default=until)
        return np.asarray(np.arange(since, until) >= begins)

    def silent(self, since: int, until: int) -> Bools:
        """Return of which minutes no metrics were reported."""
        return self._within("metrics-gap", np.arange(since, until))

    def _within(self, what: str, minutes: npt.NDArray[np.int64]) -> Bools:
        found = np.zeros(len(minutes), dtype=bool)
        for name, begins, ends in self._spans:
            if name == what:
                found |= (minutes >= minute_of(begins)) & (minutes < minute_of(ends))
        return found


def into_a_release(split: Split, armed: datetime) -> datetime | None:
    """Return when that begins which befalls everybody, armed at a time; None: no release has begun since."""
    release = split.release_at(armed)
    if release is None:
        return None
    return max(release.began, armed) + numbers.INTO_A_RELEASE


def _minutes(when: datetime) -> float:
    return when.timestamp() / MINUTE_S
