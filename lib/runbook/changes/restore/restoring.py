"""Restoring into a scratch cluster, and looking at everything that came back."""

from __future__ import annotations

from typing import ClassVar

import psycopg

from runbook.changes.interface import Change
from runbook.changes.restore.backing_up import Examined
from runbook.changes.restore.order import Order, Subject, programs_for
from runbook.postgres.cluster import Cluster, create_cluster
from runbook.postgres.content import verify_content
from runbook.postgres.dump import restore_dump
from runbook.postgres.dumpfile import Contents
from runbook.postgres.fingerprint import Truth
from runbook.postgres.locate import Found
from runbook.postgres.restore import restore
from runbook.postgres.values import Backup, Restored, Target
from runbook.sandbox.ledger import truth_at
from runbook.step import Step
from runbook.values import Check, Checks, Phase, Value, shown


class Content(Value):
    """What came back: the checks, how long looking took, and the newest commit of the workload in it."""

    checks: Checks
    phases: tuple[Phase, ...]
    tables: int
    row_count: int
    serial: int | None

    def rows(self) -> list[tuple[str, str]]:
        rows = [("came back", f"{shown(self.row_count)} rows in {self.tables} tables")]
        rows += [("up to commit", shown(self.serial))] if self.serial is not None else []
        return [*rows, *self.checks.counts()]


class Back(Value):
    """A cluster that was brought back, and what its restoring complained of."""

    restored: Restored
    checks: tuple[Check, ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        restored = self.restored
        taken = sum(phase.seconds for phase in restored.phases)
        rows = [
            (
                "restored",
                f"{shown(restored.copied_bytes / 1e6)} MB in {taken:.2f} s, by {restored.copied_by}",
            ),
            ("to", restored.target.sentence),
        ]
        rows += [("replayed to", restored.replayed_to_lsn)] if restored.replayed_to_lsn else []
        return [*rows, ("in", shown(restored.phases))]


class Restore(Change):
    """Bring the backup back in a cluster of its own."""

    in_scratch: ClassVar[bool] = True
    backup: Backup
    target: Target
    contents: Contents | None
    programs: str | None
    jobs: int

    def sentence(self) -> str:
        return f"restore to {self.target.sentence}"

    def touches(self) -> str:
        return "a scratch cluster on this machine; the original stays as it is"

    def way_back(self) -> str:
        return "destroyed with the scratch folder"

    def apply(self, step: Step) -> Back:
        programs = programs_for(step, self.programs)
        folder = step.scratch() / "restored"
        if self.contents is None:
            return Back(restored=restore(programs, self.backup, folder, target=self.target, step=step))
        with step.phase("start a cluster"):
            cluster = create_cluster(programs, folder)
            cluster.start(programs)
        back = restore_dump(
            step, programs, dump=self.backup, contents=self.contents, cluster=cluster, jobs=self.jobs
        )
        phases = tuple(step.phases)
        return Back(restored=back.restored.model_copy(update={"phases": phases}), checks=back.checks)


def plan_restore(step: Step, subject: Subject, examined: Examined, found: Found, order: Order) -> Restore:
    """Return the restore to the point found."""
    del step
    return Restore(
        backup=subject.backup,
        target=found.target,
        contents=examined.contents,
        programs=subject.programs,
        jobs=order.jobs,
    )


def read_content(step: Step, subject: Subject, back: Back, order: Order) -> Content:
    """Compare what came back with the truth at the restored commit, and look at it from the inside."""
    programs = programs_for(step, subject.programs)
    database, cluster = step.environment().database(order.database), back.restored.cluster
    serial = _highest_serial(cluster) if subject.workload is not None else None
    verified = verify_content(
        step,
        cluster.connect,
        truth=_truth(subject, serial),
        invariants=database.invariants,
        freshness=database.freshness,
        now=step.clock.now(),
        data=cluster.data,
        has_amcheck=programs.has_amcheck,
        jobs=order.jobs,
    )
    return Content(
        checks=Checks(items=(*back.checks, *_commits_came_back(subject, serial), *verified.checks)),
        phases=tuple(step.phases),
        tables=len(verified.observed.tables),
        row_count=verified.observed.total_rows,
        serial=serial,
    )


def _truth(subject: Subject, serial: int | None) -> Truth | None:
    """Return what must be there: what the backup held, and what was committed since up to `serial`."""
    if subject.workload is None or subject.truth is None:
        return subject.truth
    if serial is None:
        return subject.truth
    return truth_at(subject.truth, subject.workload.ledger, serial=serial)


def content_holds(step: Step, content: Content) -> Checks:
    """Return the checks that were made of what came back."""
    del step
    return content.checks


def _highest_serial(cluster: Cluster) -> int | None:
    """Return the workload's newest commit in a restored database, None when it has none or no such table."""
    with cluster.connect() as connection:
        try:
            row = connection.execute("SELECT max(serial) FROM public.workload_serials").fetchone()
        except psycopg.errors.UndefinedTable:
            return None
    return int(row[0]) if row and row[0] is not None else None


def _commits_came_back(subject: Subject, serial: int | None) -> list[Check]:
    if subject.workload is None:
        return []
    title, expected = "the workload's commits came back", "1 or more"
    return [Check.of(title, holds=bool(serial), observed=f"up to serial {shown(serial)}", expected=expected)]
