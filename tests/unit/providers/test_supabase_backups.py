"""Nights without a backup: only those that are over, and whose backup would still be listed."""

from datetime import UTC, date, datetime, timedelta

from runbook.providers.supabase import Backups, NightlyBackup

READ_AT = datetime(2026, 12, 8, 1, tzinfo=UTC)  # before the night's backup at 03:17


def backups(*days, status="COMPLETED"):
    taken = [
        NightlyBackup(
            id=day, status=status, taken_at=datetime(2026, 12, day, 3, 17, tzinfo=UTC), physical=False
        )
        for day in days
    ]
    return Backups(
        region="eu", pitr=False, nightly=tuple(taken), earliest_at=None, latest_at=None, read_at=READ_AT
    )


def test_what_is_gone_or_to_come_is_not_missing():
    """Kept for seven days; today's is not due yet."""
    found = backups(7, 6, 5, 4, 3, 2)
    assert found.told_since() == date(2026, 12, 2)
    assert found.nights_without(date(2026, 11, 1), date(2026, 12, 31)) == ()
    assert backups().nights_without(date(2026, 11, 1), date(2026, 12, 31)) == tuple(
        date(2026, 12, 2) + timedelta(days=n) for n in range(6)
    )


def test_what_has_failed_is_missing():
    """Only a completed one counts; the window that was asked for is kept to."""
    found = backups(7, 6, 5, 4, 3, 2, status="FAILED")
    assert found.nights_without(date(2026, 12, 5), date(2026, 12, 7)) == (
        date(2026, 12, 5),
        date(2026, 12, 6),
    )
    assert found.nights_without(date(2026, 12, 7), date(2026, 12, 5)) == ()


def test_another_plan_keeps_them_longer():
    """Fourteen days on Team: what is not listed then is missing."""
    assert backups(7).nights_without(date(2026, 11, 1), date(2026, 12, 31), kept_days=14)[0] == date(
        2026, 11, 25
    )
