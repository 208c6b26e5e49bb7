"""The time of a run: the wall clock, or a virtual one that a sandbox and the tests move themselves."""

from __future__ import annotations

import fcntl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar, Protocol


class Clock(Protocol):
    """Where a run takes its time from; one that `jumps` lets any wait be over at once."""

    jumps: ClassVar[bool]

    def now(self) -> datetime:
        """Return the time, timezone-aware UTC."""

    def monotonic_s(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""

    def sleep_until(self, when: datetime) -> None:
        """Return once `now()` is at or past `when`."""


class WallClock:
    """The machine's clock."""

    jumps: ClassVar[bool] = False

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()

    def sleep_until(self, when: datetime) -> None:
        while (left_s := (when - self.now()).total_seconds()) > 0:
            time.sleep(left_s)


class VirtualClock:
    """A clock that stands still until it is moved, and never moves back."""

    jumps: ClassVar[bool] = True

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("a virtual clock starts at a timezone-aware time")
        self._start = self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return (self._now - self._start).total_seconds()

    def sleep_until(self, when: datetime) -> None:
        self._now = max(self._now, when.astimezone(UTC))

    def advance(self, by: timedelta) -> None:
        """Move forward; a negative `by` raises ValueError."""
        if by < timedelta(0):
            raise ValueError(f"a clock does not run backwards (asked for {by})")
        self._now += by


class FileClock:
    """A virtual clock that several processes share: its time stands in a file, and waiting moves it on."""

    jumps: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        with self._path.open(encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # nobody reads half a time
            return datetime.fromisoformat(file.read().strip())

    def monotonic_s(self) -> float:
        return self.now().timestamp()

    def sleep_until(self, when: datetime) -> None:
        with self._path.open("r+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            now = datetime.fromisoformat(file.read().strip())
            file.seek(0)
            file.write(utc_text(max(now, when)))  # every time is written with as many characters


def utc_text(when: datetime) -> str:
    """Return `when` as RFC 3339 in UTC with microseconds, the form of every time on record."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
