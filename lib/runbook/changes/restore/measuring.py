"""How long the restore took and how much was lost, in real time, against what the rollout plan allows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from runbook.changes.restore.order import Subject
from runbook.changes.restore.restoring import Back, Content
from runbook.postgres.locate import Found
from runbook.sandbox.ledger import Entry, read_ledger
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check, Phase, Value, shown

CHART_COMMITS = 2000


class Recovery(Value):
    """RTO by phase, RPO by commits, and their limits; all in seconds of real time.

    The RTO is the time of work from the order to restore until verified and writable: what a person takes
    between two cells is not in it. `rpo_s` is None where no log says what was committed before the loss.
    """

    phases: tuple[Phase, ...]
    rto_limit_s: float
    rpo_s: float | None
    rpo_limit_s: float
    lost_commits: int | None
    given_up_commits: int
    commits: tuple[datetime, ...]
    damage_at: datetime
    restored_to_at: datetime | None
    row_count: int
    tables: int
    size_mb: float
    target: str
    postgres: str

    @property
    def rto_s(self) -> float:
        return sum(phase.seconds for phase in self.phases)

    def rows(self) -> list[tuple[str, str]]:
        lost = (
            "not known: no log"
            if self.rpo_s is None
            else f"{shown(self.rpo_s)} s, {self.lost_commits} commits"
        )
        return [
            ("RTO", f"{self.rto_s:.2f} s of {shown(self.rto_limit_s)} s"),
            ("RPO", f"{lost}; limit {shown(self.rpo_limit_s)} s"),
            ("restored to", self.target),
            ("given up knowingly", f"{self.given_up_commits} commits that followed the damage"),
        ]


def conclude(step: Step, recovery: Recovery) -> Conclusion:
    """Return verdict, numbers and versions for `finish`."""
    del step
    lost = (
        "what the backup lacks is not known" if recovery.rpo_s is None else f"{shown(recovery.rpo_s)} s lost"
    )
    return Conclusion(
        verdict=(
            f"Restored and right: {shown(recovery.row_count)} rows in {recovery.tables} tables, "
            f"in {recovery.rto_s:.1f} s, {lost}."
        ),
        numbers={
            "rto_s": Number(
                title="RTO", value=round(recovery.rto_s, 3), unit="s", limit=recovery.rto_limit_s
            ),
            "rpo_s": Number(title="RPO", value=recovery.rpo_s, unit="s", limit=recovery.rpo_limit_s),
            "size_mb": Number(title="size of the backup", value=round(recovery.size_mb, 1), unit="MB"),
            "rows": Number(title="rows restored", value=recovery.row_count, unit="rows"),
            "given_up": Number(title="commits given up", value=recovery.given_up_commits, unit="commits"),
        },
        versions={"PostgreSQL": recovery.postgres},
    )


def measure(step: Step, subject: Subject, found: Found, back: Back, content: Content) -> Recovery:
    """Return RTO and RPO of a restore that was verified."""
    limits = step.rollout().rollback.database_corruption
    entries = list(read_ledger(subject.workload.ledger).values()) if subject.workload else []
    told = [entry for entry in entries if entry.committed_at is not None]
    wanted = _newest(entry for entry in told if _before(entry, found))
    got = _newest(entry for entry in told if content.serial is not None and entry.serial <= content.serial)
    return Recovery(
        phases=(*back.restored.phases, *content.phases),
        rto_limit_s=limits.rto_below_minutes * 60,
        rpo_s=_seconds_between(got, wanted) if told else None,
        rpo_limit_s=(limits.rpo_below_minutes or 0) * 60,
        lost_commits=max(0, _serial(wanted) - (content.serial or 0)) if told else None,
        given_up_commits=sum(entry.serial > _serial(wanted) for entry in told),
        commits=tuple(entry.committed_at for entry in told[-CHART_COMMITS:] if entry.committed_at),
        damage_at=_damage_at(subject, found, wanted),
        restored_to_at=got.committed_at if got else None,
        row_count=content.row_count,
        tables=content.tables,
        size_mb=subject.backup.size_bytes / 1e6,
        target=found.target.sentence,
        postgres=subject.postgres,
    )


def within_plan(step: Step, recovery: Recovery) -> list[Check]:
    """Compare RTO and RPO with what the plan allows."""
    del step
    rto = Check.of(
        "RTO",
        holds=recovery.rto_s < recovery.rto_limit_s,
        observed=f"{recovery.rto_s:.1f} s",
        expected=f"less than {shown(recovery.rto_limit_s)} s",
    )
    expected = f"less than {shown(recovery.rpo_limit_s)} s"
    if recovery.rpo_s is None:
        why = "no log says what was committed after the backup"
        return [rto, Check.unchecked("RPO", why=why, expected=expected)]
    lost = f"{shown(recovery.rpo_s)} s, {recovery.lost_commits} commits"
    holds = recovery.rpo_s < recovery.rpo_limit_s
    return [rto, Check.of("RPO", holds=holds, observed=lost, expected=expected)]


def _newest(entries: Iterable[Entry]) -> Entry | None:
    return max(entries, key=lambda entry: entry.serial, default=None)


def _before(entry: Entry, found: Found) -> bool:
    """Whether a commit came before the one that did the damage; without such a one, all did.

    The log that holds the damaging commit has no gap, so it holds every commit before it: the newest of
    those is exact. To the end of WAL the ledger alone counts: it knows what the archive may lack.
    """
    if found.target.kind != "before commit" or found.newest_kept_at is None or entry.committed_at is None:
        return True
    return entry.committed_at <= found.newest_kept_at


def _serial(entry: Entry | None) -> int:
    return entry.serial if entry else 0


def _seconds_between(earlier: Entry | None, later: Entry | None) -> float | None:
    if not (earlier and later and earlier.committed_at and later.committed_at):
        return None
    return max(0.0, (later.committed_at - earlier.committed_at).total_seconds())


def _damage_at(subject: Subject, found: Found, newest: Entry | None) -> datetime:
    """Return the time of the damaging commit, else of the last one known, else of the backup."""
    newest_at = newest.committed_at if newest else None
    return found.culprit_at or found.target.at or newest_at or subject.backup.taken_at
