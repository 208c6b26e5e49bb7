"""Whether the database was backed up every day of a milestone, by what Supabase lists."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from runbook.milestone.period import Period
from runbook.providers import supabase
from runbook.step import Step
from runbook.values import Value, shown


class BackupRecord(Value):
    """The backups that a milestone can be restored from.

    `days_without` are days on which no nightly backup was completed; with point-in-time recovery there are
    no nightly ones, and `covered` says whether its window reaches to the milestone's end.
    """

    pitr: bool
    every_days: float
    days: int
    days_without: tuple[date, ...]
    newest_at: datetime | None
    covered: bool

    @property
    def holds(self) -> bool:
        return self.covered if self.pitr else bool(self.days) and not self.days_without

    def observed(self) -> str:
        """Return what there is, in a sentence."""
        newest = f"the newest of {shown(self.newest_at)}" if self.newest_at else "none at all"
        if self.pitr:
            return f"point-in-time recovery, {newest}"
        missing = ", ".join(f"{day:%Y-%m-%d}" for day in self.days_without)
        return f"nightly, {newest}" + (f"; none on {missing}" if missing else "")

    def rows(self) -> list[tuple[str, str]]:
        return [("backups", self.observed()), ("days looked at", shown(self.days))]


def read_backup_record(step: Step, period: Period) -> BackupRecord:
    """Return which days of the milestone have a completed backup; its last, unfinished day is left out."""
    found = supabase.read_backups(step)
    since, until = period.since.date(), period.until.date()
    whole = [one.taken_at for one in found.nightly if one.status == "COMPLETED"]
    newest = found.latest_at if found.pitr else max(whole, default=None)
    every_days = step.rollout().monitoring.backups_every_days
    return BackupRecord(
        pitr=found.pitr,
        every_days=every_days,
        days=(until - since).days,
        days_without=() if found.pitr else found.nights_without(since, until),
        newest_at=newest,
        covered=newest is not None and newest >= period.until - timedelta(days=every_days),
    )
