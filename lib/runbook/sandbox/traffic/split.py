"""Whose requests a minute's are: Vercel's shares over time, as they reach people.

A release splits *newcomers*: those whose first request came after it began. Who is in the middle of a visit,
or stays away, is not split; so the canary's visitors are other people than the baseline's, at first. A
minute in which the split changes belongs to both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np

from runbook.sandbox.traffic.noise import Floats
from runbook.sandbox.traffic.numbers import FIRST_TIME, RETURNS_MIN, SESSION_MIN
from runbook.sandbox.vendors.vercel.traffic import WHOLE, Share

NEWCOMERS, OTHERS = 0, 1
MINUTE_S = 60


def minute_of(when: datetime) -> int:
    """Return the minute that a time is in, counted since 1970."""
    return int(when.timestamp() // MINUTE_S)


def begin_of(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * MINUTE_S, UTC)


@dataclass(frozen=True)
class Release:
    """A canary's time beside another build; `ended` is None while it goes on."""

    canary: str
    began: datetime
    ended: datetime | None


@dataclass(frozen=True)
class Crowd:
    """Who was there in some minutes.

    `weights` says by deployment which part of all requests is its own, as [minutes, newcomers or others];
    `first_time` which part of the newcomers' and of the others' requests comes from people new to the
    service; `percent` how many of 100 visitors were meant for a deployment.
    """

    weights: dict[str, Floats]
    first_time: Floats
    percent: dict[str, Floats]

    def part_of(self, deployment: str) -> Floats:
        """Return a deployment's part of all requests, nought where nobody could reach it."""
        return self.weights.get(deployment, np.zeros_like(self.first_time))

    def share_of(self, deployment: str) -> Floats:
        """Return how many of 100 visitors were meant for a deployment."""
        return self.percent.get(deployment, np.zeros(len(self.first_time)))


class Split:
    """Every share there was, oldest first; it holds until the next one."""

    def __init__(self, shares: Sequence[Share]) -> None:
        self.shares = tuple(shares)

    @property
    def begins(self) -> datetime:
        """Since when anything is known."""
        return self.shares[0].at

    @cached_property
    def releases(self) -> tuple[Release, ...]:
        found: list[Release] = []
        for number, share in enumerate(self.shares):
            before = self.shares[number - 1].canary if number else None
            if share.canary is not None and share.canary != before:
                later = (one.at for one in self.shares[number:] if one.canary != share.canary)
                found.append(Release(share.canary, share.at, next(later, None)))
        return tuple(found)

    @cached_property
    def rolled_out(self) -> dict[str, datetime]:
        """Since when each deployment has had visitors, in the order of that."""
        found: dict[str, datetime] = {}
        for share in self.shares:
            for deployment in (share.current, share.canary):
                if deployment is not None:
                    found.setdefault(deployment, share.at)
        return found

    def release_at(self, when: datetime) -> Release | None:
        """Return the release under way at a time, or the next one that began."""
        return next((one for one in self.releases if one.ended is None or one.ended > when), None)

    def crowd(self, since: int, until: int) -> Crowd:
        """Return who was there in the minutes [since, until)."""
        size = until - since
        weights: dict[str, Floats] = {}
        percent: dict[str, Floats] = {}
        mass, first = np.zeros((size, 2)), np.zeros((size, 2))
        starts = np.arange(since, until, dtype=np.float64)
        for number, share in enumerate(self.shares):
            begin = share.at.timestamp() / MINUTE_S if number else -np.inf
            after = self.shares[number + 1 :]
            end = after[0].at.timestamp() / MINUTE_S if after else np.inf
            part = np.clip(np.minimum(starts + 1, end) - np.maximum(starts, begin), 0.0, 1.0)
            if not part.any():
                continue
            came, came_first = self._came(share, starts)
            newcomers, others = part * came, part * (1 - came)
            mass += np.stack([newcomers, others], axis=1)
            first += np.stack([part * came_first, part * (FIRST_TIME - came_first)], axis=1)
            for deployment in (share.current, share.canary):
                if deployment is None:
                    continue
                mine = share.of(deployment) / WHOLE
                own = weights.setdefault(deployment, np.zeros((size, 2)))
                own[:, NEWCOMERS] += newcomers * mine
                own[:, OTHERS] += others * (deployment == share.current)
                percent[deployment] = percent.get(deployment, np.zeros(size)) + part * share.of(deployment)
        return Crowd(weights, np.divide(first, mass, out=np.zeros_like(first), where=mass > 0), percent)

    def _came(self, share: Share, starts: Floats) -> tuple[Floats, Floats]:
        """Return which part of the requests is newcomers', and which people's that never were here before."""
        if share.canary is None:
            return np.zeros_like(starts), np.zeros_like(starts)
        release = next(one for one in reversed(self.releases) if one.began <= share.at)
        age = np.maximum(starts + 0.5 - release.began.timestamp() / MINUTE_S, 0.0)
        visits = 1 - np.exp(-age / SESSION_MIN)
        first = FIRST_TIME * visits
        return first + (1 - FIRST_TIME) * visits * (1 - np.exp(-age / RETURNS_MIN)), first
