"""Counts calls in windows of the world's time, as vendors' limits do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runbook.sandbox.world.state import Table


@dataclass(frozen=True, slots=True)
class Window:
    """At most so many calls in so many seconds; windows begin at whole multiples of their length."""

    most: int
    seconds: int


class Quota:
    """What is used of several windows, kept in a table; a call that is refused does not count."""

    def __init__(self, table: Table, windows: Sequence[Window]) -> None:
        self._table, self._windows = table, tuple(windows)

    def take(self, key: str, now: datetime) -> int:
        """Count a call of `key` and return 0; with no call left, the seconds until there is one again."""
        at_s = int(now.timestamp())
        full = [one for one in self._windows if self._used(key, one, at_s) >= one.most]
        if full:
            return max(one.seconds - at_s % one.seconds for one in full)
        for one in self._windows:
            used = self._used(key, one, at_s) + 1
            self._table.put(f"{key}/{one.seconds}", {"begins_s": at_s - at_s % one.seconds, "used": used})
        return 0

    def _used(self, key: str, window: Window, at_s: int) -> int:
        found = self._table.get(f"{key}/{window.seconds}")
        begins_s = at_s - at_s % window.seconds
        return int(found["used"]) if found is not None and found["begins_s"] == begins_s else 0
