"""Supabase's backups, and a restore of the whole project to a time, seen through to its end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pydantic import AwareDatetime

from runbook.errors import OutcomeUnknown, VendorRefused, VendorUnavailable
from runbook.providers.connect import connect
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.providers.supabase.project import API, HEALTHY, VENDOR, look_at_project, project_ref
from runbook.step import Step
from runbook.values import Value

FAILED: Final = frozenset({"RESTORE_FAILED", "INIT_FAILED", "REMOVED"})
LEAVES_WITHIN_S: Final = 300.0
KEPT_DAYS: Final = 7
"""How long the plan Pro keeps nightly backups; Team 14 days, Enterprise 30."""
_LOOK_EVERY_S, _LOOK_SELDOM_S = 5.0, 30.0


class NightlyBackup(Value):
    """One automated backup."""

    id: int
    status: str
    taken_at: datetime
    physical: bool


class Backups(Value):
    """What a project can be restored from: nightly backups, or a window of time with point-in-time recovery.

    With it there are no nightly backups; without it, and before its first backup, the window is None.
    """

    region: str
    pitr: bool
    nightly: tuple[NightlyBackup, ...]
    earliest_at: datetime | None
    latest_at: datetime | None
    read_at: datetime

    def told_since(self, *, kept_days: int = KEPT_DAYS) -> date:
        """Return the first day whose backup would still be listed: older ones are gone, taken or not."""
        return (self.read_at - timedelta(days=kept_days)).date() + timedelta(days=1)

    def nights_without(self, since: date, until: date, *, kept_days: int = KEPT_DAYS) -> tuple[date, ...]:
        """Return the days of [since, until) on which no nightly backup was completed.

        Judged are days that are over, and not so old that their backup is gone (`told_since`).
        """
        there = {one.taken_at.date() for one in self.nightly if one.status == "COMPLETED"}
        first, end = max(since, self.told_since(kept_days=kept_days)), min(until, self.read_at.date())
        days = (first + timedelta(days=n) for n in range((end - first).days))
        return tuple(day for day in days if day not in there)


class Restore(Value):
    """A restore that was seen to take the project down and to bring it back."""

    target: datetime
    asked_at: datetime
    down_at: datetime
    back_at: datetime

    @property
    def took_s(self) -> float:
        return (self.back_at - self.asked_at).total_seconds()


class _Backup(Shape):
    id: int
    status: str
    inserted_at: AwareDatetime
    is_physical_backup: bool


class _Window(Shape):
    earliest_physical_backup_date_unix: int | None = None
    latest_physical_backup_date_unix: int | None = None


class _Backups(Shape):
    region: str
    pitr_enabled: bool
    backups: tuple[_Backup, ...]
    physical_backup_data: _Window


def read_backups(step: Step) -> Backups:
    """Return the backups there are, newest first, and the window of point-in-time recovery."""
    with connect(step, API) as http:
        return _read_backups(step, http, project_ref(step))


def apply_restore(step: Step, *, to: datetime, within_s: float = 4 * 3600.0) -> Restore:
    """Put the whole project back to a time, and wait until it is seen to be down and then healthy again.

    Everything since is lost and the project is down meanwhile. A restore under way is waited for, not begun
    again. Raises VendorRefused for a time outside the window, before anything is sent, and when it failed;
    VendorUnavailable when it is not back within `within_s`; resume then waits on.
    """
    ref = project_ref(step)
    with connect(step, API) as http:
        asked_at = step.clock.now()
        if look_at_project(http, ref).is_healthy:
            _insist_on_window(_read_backups(step, http, ref), to)
            lost = _ask_restore(http, ref, to)
            down_at = _await_down(step, http, ref, asked_at, lost)
        else:
            step.remark("the project was not healthy: a restore is under way, which is waited for")
            down_at = asked_at
        for _ in _looks(step, asked_at + timedelta(seconds=within_s)):
            status = look_at_project(http, ref).status
            if status == HEALTHY:
                return Restore(target=to, asked_at=asked_at, down_at=down_at, back_at=step.clock.now())
            if status in FAILED:
                raise VendorRefused(
                    f"{VENDOR}: the restore to {to:%Y-%m-%d %H:%M:%S} UTC ended as {status}; the project is "
                    "down. Ask Supabase's support, with the project's ref, before anything else",
                    vendor=VENDOR,
                    call="restore_pitr",
                    code=status,
                )
    raise VendorUnavailable(
        f"{VENDOR}: the project is still {status} {within_s / 3600:g} h after its restore was asked for; it "
        "may be stuck, so ask Supabase's support now. A resume waits on, it asks for no second restore",
        vendor=VENDOR,
        call="read_project",
    )


def _insist_on_window(backups: Backups, to: datetime) -> None:
    first, last = backups.earliest_at, backups.latest_at
    if first is not None and last is not None and first <= to <= last:
        return
    window = (
        f"from {first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC" if first and last else "nothing"
    )
    why = "" if backups.pitr else " (point-in-time recovery is not switched on: an add-on, on a paid plan)"
    raise VendorRefused(
        f"{VENDOR} can restore {window}{why}, not {to:%Y-%m-%d %H:%M:%S} UTC; choose a time inside",
        vendor=VENDOR,
        call="restore_pitr",
        code="window",
    )


def _ask_restore(http: Http, ref: str, to: datetime) -> OutcomeUnknown | None:
    """Ask for a restore; return the doubt whether it was heard, None when it was."""
    try:
        path = "/v1/projects/{ref}/database/backups/restore-pitr"
        body = {"recovery_time_target_unix": int(to.timestamp())}
        http.exchange("restore_pitr", "POST", path, args={"ref": ref}, json=body)
    except OutcomeUnknown as error:
        return error
    return None


def _await_down(
    step: Step, http: Http, ref: str, asked_at: datetime, lost: OutcomeUnknown | None
) -> datetime:
    """Return when the project was seen to leave the state in which it was asked."""
    for now in _looks(step, asked_at + timedelta(seconds=LEAVES_WITHIN_S)):
        if not look_at_project(http, ref).is_healthy:
            return now
    if lost is not None:
        raise VendorUnavailable(
            f"{VENDOR} did not hear that a restore was wanted: {LEAVES_WITHIN_S:g} s later the project is as "
            "healthy as before; resume to ask again",
            vendor=VENDOR,
            call="restore_pitr",
        ) from lost
    raise VendorUnavailable(
        f"{VENDOR} accepted the restore, and {LEAVES_WITHIN_S:g} s later the project still reads {HEALTHY}; "
        "look at its dashboard whether a restore is under way before you resume: that would ask for another",
        vendor=VENDOR,
        call="restore_pitr",
    )


def _looks(step: Step, ends: datetime) -> Iterator[datetime]:
    """Return times to look at, from now until `ends`: often at first, then seldom."""
    began = step.clock.now()
    while (now := step.clock.now()) < ends:
        yield now
        wait_s = _LOOK_EVERY_S if (now - began).total_seconds() < LEAVES_WITHIN_S else _LOOK_SELDOM_S
        step.clock.sleep_until(min(ends, now + timedelta(seconds=wait_s)))
    yield now


def _read_backups(step: Step, http: Http, ref: str) -> Backups:
    path = "/v1/projects/{ref}/database/backups"
    found = http.call("read_backups", "GET", path, args={"ref": ref}, into=_Backups)
    nightly = [
        NightlyBackup(id=b.id, status=b.status, taken_at=b.inserted_at, physical=b.is_physical_backup)
        for b in found.backups
    ]
    return Backups(
        region=found.region,
        pitr=found.pitr_enabled,
        nightly=tuple(sorted(nightly, key=lambda one: one.taken_at, reverse=True)),
        earliest_at=_at(found.physical_backup_data.earliest_physical_backup_date_unix),
        latest_at=_at(found.physical_backup_data.latest_physical_backup_date_unix),
        read_at=step.clock.now(),
    )


def _at(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
