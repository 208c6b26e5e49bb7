"""What a database was asked on a day and what that costs: seeded, by the week, told up to the last hour."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Final

from runbook.sandbox.world.state import Doc

USD_PER_REQUEST: Final = 0.2 / 100_000
_WEEKDAY, _WEEKEND = 155_000, 105_000
_SHOWN_DAYS: Final = 5
_SATURDAY: Final = 5
_HOURS: Final = 24


def requests_on(day: date, seed: str) -> int:
    """Return how many commands were run on a whole day."""
    mean = _WEEKEND if day.weekday() >= _SATURDAY else _WEEKDAY
    digest = hashlib.sha256(f"{seed}/upstash/{day}".encode()).digest()
    return mean * (90 + digest[0] % 21) // 100


def requests_between(since: datetime, until: datetime, seed: str) -> int:
    """Return how many were run in [since, until), both at full hours; a day's hours are alike."""
    total, day = 0, since.date()
    while (begins := datetime.combine(day, datetime.min.time(), UTC)) < until:
        hours = (min(until, begins + timedelta(days=1)) - max(since, begins)) // timedelta(hours=1)
        total += requests_on(day, seed) * hours // _HOURS
        day += timedelta(days=1)
    return total


def stats(now: datetime, seed: str, *, more: int) -> Doc:
    """Return the stats of a database; `more` are the commands that were really run in the rehearsal."""
    until = now.replace(minute=0, second=0, microsecond=0)
    month = until.replace(day=1, hour=0)
    in_month = requests_between(month, until, seed) + more
    today = requests_between(until.replace(hour=0), until, seed) + more
    days = [until.date() - timedelta(days=back) for back in reversed(range(_SHOWN_DAYS))]
    by_day = [today if day == until.date() else requests_on(day, seed) for day in days]
    return {
        "daily_net_commands": today,
        "daily_read_requests": today * 7 // 10,
        "daily_write_requests": today - today * 7 // 10,
        "dailyrequests": _points(days, by_day),
        "days": [f"{day:%A}" for day in days],
        "dailybilling": _points(days, [round(count * USD_PER_REQUEST, 4) for count in by_day]),
        "total_monthly_requests": in_month,
        "total_monthly_read_requests": in_month * 7 // 10,
        "total_monthly_write_requests": in_month - in_month * 7 // 10,
        "total_monthly_storage": 41_943_040,
        "current_storage": 41_943_040,
        "total_monthly_billing": round(in_month * USD_PER_REQUEST, 4),
    }


def _points(days: list[date], numbers: list[int] | list[float]) -> list[Doc]:
    return [{"x": f"{day} 00:00:00 +0000 UTC", "y": y} for day, y in zip(days, numbers, strict=True)]
