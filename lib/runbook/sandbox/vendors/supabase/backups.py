"""Supabase's backups: one a night by the world's calendar, or a window that a restore may aim into."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from runbook.sandbox.world.state import Doc

TAKEN_AT: Final = time(3, 17, tzinfo=UTC)
TAKES: Final = timedelta(minutes=6)
KEPT_DAYS: Final = 7
SHIPPED_AFTER: Final = timedelta(minutes=2)  # "worst-case loss 2 min"
_FIRST: Final = date(2026, 1, 1)


def nightly(now: datetime, missing: set[str]) -> list[Doc]:
    """Return the backups of the last nights, newest first; `missing` are dates of which there is none."""
    found = []
    for back in range(KEPT_DAYS + 1):
        day = now.date() - timedelta(days=back)
        at = datetime.combine(day, TAKEN_AT)
        if at <= now and now - at < timedelta(days=KEPT_DAYS) and day.isoformat() not in missing:
            found.append(
                {
                    "id": 700_000 + (day - _FIRST).days,
                    "is_physical_backup": False,
                    "status": "PENDING" if now < at + TAKES else "COMPLETED",
                    "inserted_at": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                }
            )
    return found


def window(earliest: datetime | None, now: datetime) -> Doc:
    """Return the times that can be restored to; what was written in the last two minutes is not there yet."""
    if earliest is None:
        return {}
    latest = max(earliest, now - SHIPPED_AFTER)
    return {
        "earliest_physical_backup_date_unix": -int(-earliest.timestamp() // 1),
        "latest_physical_backup_date_unix": max(int(latest.timestamp()), -int(-earliest.timestamp() // 1)),
    }
