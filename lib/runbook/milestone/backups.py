"""Whether the database was backed up every day of a milestone, by what Supabase lists."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from runbook.milestone.period import Period
from runbook.providers import supabase
from runbook.step import Step
from runbook.values import Value, shown

KEPT: Final = timedelta(days=7)
"""For how long a nightly backup is listed at the least, on the smallest plan that has any."""


class BackupRecord(Value):
    """The backups that a milestone can be restored from, as far as Supabase still lists them.

    Of `days` the list reaches back over `days_listed`; `days_without` are those of them on which no nightly
    backup was completed. With point-in-time recovery there are no nightly ones. `covered`: the newest is from
    the milestone's last day.
    """

    pitr: bool
    every_days: float
    days: int
    days_listed: int
    days_without: tuple[date, ...]
    newest_at: datetime | None
    covered: bool

    @property
    def holds(self) -> bool | None:
        """Whether backups were made daily; None where none of the milestone's days is listed any more."""
        if self.pitr:
            return self.covered
        if self.days_without or not self.covered:
            return False
        return True if self.days_listed else None

    def observed(self) -> str:
        """Return what there is, in a sentence."""
        newest = f"the newest of {shown(self.newest_at)}" if self.newest_at else "none at all"
        if self.pitr:
            return f"point-in-time recovery, {newest}"
        missing = ", ".join(f"{day:%Y-%m-%d}" for day in self.days_without)
        older = self.days - self.days_listed
        gone = f"; {older} of {self.days} days are too long ago to be listed" if older else ""
        return f"nightly, {newest}{f'; none on {missing}' if missing else ''}{gone}"

    def rows(self) -> list[tuple[str, str]]:
        return [("backups", self.observed()), ("days looked at", f"{self.days_listed} of {self.days}")]


def read_backup_record(step: Step, period: Period) -> BackupRecord:
    """Return which days of the milestone have a completed backup; its last, unfinished day is left out.

    Days that are older than a backup is kept are told of only as far as the list reaches back.
    """
    found = supabase.read_backups(step)
    since, until = period.since.date(), period.until.date()
    whole = [one.taken_at for one in found.nightly if one.status == "COMPLETED"]
    newest = found.latest_at if found.pitr else max(whole, default=None)
    every_days = step.rollout().monitoring.backups_every_days
    kept_from = (step.clock.now() - KEPT).date() + timedelta(days=1)
    told_from = max(since, min([kept_from, *(one.date() for one in whole)]))
    return BackupRecord(
        pitr=found.pitr,
        every_days=every_days,
        days=(until - since).days,
        days_listed=max(0, (until - told_from).days),
        days_without=() if found.pitr else found.nights_without(told_from, until),
        newest_at=newest,
        covered=newest is not None and newest >= period.until - timedelta(days=every_days),
    )
