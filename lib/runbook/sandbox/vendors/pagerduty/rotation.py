"""Who is on call when: layers of users that take turns, rendered over a window. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Shift:
    """One user's turn; half open."""

    user: str
    start: datetime
    end: datetime


def shifts(layers: Iterable[dict[str, Any]], since: datetime, until: datetime) -> list[Shift]:
    """Return the whole shifts that overlap [since, until), in order; layers do not overlap one another."""
    found = [shift for layer in layers for shift in _turns(layer, since, until)]
    return sorted(found, key=lambda shift: shift.start)


def _turns(layer: dict[str, Any], since: datetime, until: datetime) -> Iterator[Shift]:
    begins = datetime.fromisoformat(layer["start"])
    ends = datetime.fromisoformat(layer["end"]) if layer.get("end") else until + timedelta(days=3650)
    turn = timedelta(seconds=layer["turn_s"])
    number = max(0, (max(since, begins) - begins) // turn)
    while (start := begins + number * turn) < min(until, ends):
        end = min(start + turn, ends)
        if end > since:
            yield Shift(layer["users"][number % len(layer["users"])], start, end)
        number += 1


def coverage_percent(found: Sequence[Shift], since: datetime, until: datetime) -> float:
    """Return which share of [since, until) somebody is on call."""
    covered = sum(((min(shift.end, until) - max(shift.start, since)) for shift in found), start=timedelta(0))
    return round(100.0 * covered / (until - since), 1) if until > since else 0.0
