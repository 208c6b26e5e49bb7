"""What the minutes so far add up to: by phase, lately, over the last hours; and which are missing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from runbook.judge.comparing import RECENT_MINUTES
from runbook.judge.counts import ArmName, Counts, Floats, Minute
from runbook.judge.policy import Rules, Severity, over

FIELDS: Final = tuple(Counts.model_fields)
_MINUTE: Final = timedelta(minutes=1)


def as_row(counts: Counts) -> Floats:
    return np.array([getattr(counts, name) for name in FIELDS], dtype=np.float64)


def as_counts(row: Floats) -> Counts:
    values = {name: int(value) for name, value in zip(FIELDS, row, strict=True)}
    return Counts.model_validate({**values, "database_ms": float(row[FIELDS.index("database_ms")])})


@dataclass
class Phase:
    """The minutes since the canary's share last changed."""

    percent: float
    began_at: datetime
    sums: dict[ArmName, Floats] = field(
        default_factory=lambda: {"canary": np.zeros(len(FIELDS)), "baseline": np.zeros(len(FIELDS))}
    )
    seen: int = 0  # minutes with data of the canary
    due: int = 0  # minutes there were


@dataclass(frozen=True)
class _Past:
    """One minute of the canary as the last hours are judged by."""

    at: datetime
    row: Floats | None
    is_bad: bool
    warns: bool


class Record:
    """Sums over what was seen; raises ValueError for a minute that is not after the one before."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._past: list[_Past] = []
        self._recent: deque[tuple[Floats | None, Floats | None]] = deque(maxlen=RECENT_MINUTES)
        self.phase: Phase | None = None
        self.last_at: datetime | None = None
        self.silent_minutes = 0

    def see(self, minute: Minute, *, warns: bool) -> None:
        """Take in a minute; `warns` says that a warning has lasted as long as the plan says."""
        self.check(minute)
        missing = self._missing_before(minute.at)
        if self.phase is None or self.phase.percent != minute.canary_percent:
            self.phase, missing_here = Phase(minute.canary_percent, minute.at), 0
            self._recent.clear()
        else:
            missing_here = missing
        self.phase.due += 1 + missing_here
        rows = {name: None if (arm := minute.arm(name)) is None else as_row(arm.total) for name in _ARMS}
        for name, row in rows.items():
            if row is not None:
                self.phase.sums[name] += row
        self.phase.seen += rows["canary"] is not None
        self.silent_minutes = 0 if rows["canary"] is not None else self.silent_minutes + missing + 1
        self._recent.append((rows["canary"], rows["baseline"]))
        self._past.append(_Past(minute.at, rows["canary"], self._is_bad(minute), warns))
        self.last_at = minute.at

    def check(self, minute: Minute) -> None:
        """Raise ValueError unless the minute is after the one before."""
        if self.last_at is not None and minute.at <= self.last_at:
            pair = f"{minute.at.isoformat()} after {self.last_at.isoformat()}"
            raise ValueError(f"minutes come in the order of time: {pair}")

    def _missing_before(self, at: datetime) -> int:
        return 0 if self.last_at is None else (at - self.last_at) // _MINUTE - 1

    def _is_bad(self, minute: Minute) -> bool:
        """Whether the service was down for the canary's visitors: a bad minute of the uptime objective."""
        probes = (minute.failed_probes_in_a_row or 0) >= self._rules.probes_in_a_row
        critical: Severity = "critical"
        return probes or bool(minute.canary and over(self._rules, "errors", minute.canary.total, critical))

    def phase_counts(self, arm: ArmName) -> Counts:
        """Return an arm's sums since the phase began."""
        return as_counts(self.phase.sums[arm]) if self.phase else as_counts(np.zeros(len(FIELDS)))

    def recent_counts(self, arm: ArmName) -> Counts:
        """Return an arm's sums over the last quarter of an hour of the phase."""
        rows = [pair[0 if arm == "canary" else 1] for pair in self._recent]
        return as_counts(sum((row for row in rows if row is not None), start=np.zeros(len(FIELDS))))

    def last(self, hours: float) -> Last:
        """Return what the canary did in the last hours, up to the end of the last minute."""
        if self.last_at is None:
            return Last(as_counts(np.zeros(len(FIELDS))), 0, round(hours * 60), 0, 0)
        since = self.last_at + _MINUTE - timedelta(hours=hours)
        past = [one for one in self._past if one.at >= since]
        rows = [one.row for one in past if one.row is not None]
        return Last(
            counts=as_counts(sum(rows, start=np.zeros(len(FIELDS)))),
            seen=len(rows),
            due=round(hours * 60),
            bad=sum(one.is_bad for one in past),
            warned=sum(one.warns for one in past),
        )


_ARMS: Final[tuple[ArmName, ...]] = ("canary", "baseline")


@dataclass(frozen=True)
class Last:
    """The canary's last hours: counts, minutes seen of those due, bad ones, those with a warning."""

    counts: Counts
    seen: int
    due: int
    bad: int
    warned: int
