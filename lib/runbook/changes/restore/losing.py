"""Losing the database, which only the sandbox does, and finding out what is wrong without being told."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from runbook.changes.interface import Change
from runbook.changes.restore.order import Order, Subject, programs_for
from runbook.errors import StepFailed
from runbook.plan import Invariant
from runbook.postgres.invariants import evaluate
from runbook.postgres.locate import Found, locate
from runbook.postgres.programs import Programs
from runbook.postgres.restore import restore
from runbook.postgres.values import Backup, Target
from runbook.sandbox.damage import Damage, DamageKind, do_damage
from runbook.sandbox.sabotage import Sabotage as SabotageKind
from runbook.sandbox.sabotage import sabotage
from runbook.step import Step
from runbook.values import Value


class Broken(Value):
    """What was broken about the backup."""

    sentence: str


class Lose(Change):
    """Damage the sandbox's database while its workload writes."""

    in_scratch: ClassVar[bool] = True
    kind: DamageKind
    subject: Subject

    def sentence(self) -> str:
        return f"damage: {self.kind}"

    def touches(self) -> str:
        return "the sandbox's own database"

    def way_back(self) -> str:
        return "the restore below"

    def apply(self, step: Step) -> Damage:
        primary, workload = self.subject.primary, self.subject.workload
        if primary is None or workload is None:
            raise StepFailed("only the sandbox's own database is damaged")
        with step.phase("damage it, and let the workload go on"):
            return do_damage(step, self.kind, cluster=primary, workload=workload)


class Sabotage(Change):
    """Break the sandbox's backup."""

    in_scratch: ClassVar[bool] = True
    kind: SabotageKind
    subject: Subject

    def sentence(self) -> str:
        return f"sabotage of the backup: {self.kind}"

    def touches(self) -> str:
        return "the sandbox's own backup and archive"

    def way_back(self) -> str:
        return "none: the drill is to notice it"

    def apply(self, step: Step) -> Broken:
        programs = programs_for(step, self.subject.programs)
        with step.phase("break the backup"):
            said = sabotage(self.kind, self.subject.backup, programs=programs, older=self.subject.older)
        return Broken(sentence=said)


def plan_loss(step: Step, subject: Subject, order: Order) -> list[Change]:
    """Return what happens to the sandbox's database and backup; nothing where they are not ours."""
    del step
    changes: list[Change] = []
    if subject.workload is not None:
        changes.append(Lose(kind=order.damage, subject=subject))
    if order.sabotage != "none" and subject.primary is not None:
        changes.append(Sabotage(kind=order.sabotage, subject=subject))
    return changes


def find_loss(step: Step, subject: Subject, order: Order) -> Found:
    """Return what is wrong, how that was found, and where to recover to."""
    if subject.workload is None or subject.primary is None:
        return _nothing_lost(subject)
    programs = programs_for(step, subject.programs)
    invariants = step.environment().database(order.database).invariants
    with step.phase("find what is wrong"):
        return locate(
            step,
            programs,
            subject.primary.connect,
            data=subject.primary.data,
            backup=subject.backup,
            invariants=invariants,
            probe=partial(_holds_there, step, programs, subject.backup, invariants),
        )


def _nothing_lost(subject: Subject) -> Found:
    kind: Literal["as dumped", "end of WAL"] = "as dumped" if subject.backup.kind == "dump" else "end of WAL"
    whole = "the dump, whole" if kind == "as dumped" else "everything the archive holds"
    return Found(
        wrong="nothing is known to be wrong: the drill restores what there is",
        located_by="not looked for",
        evidence=(),
        target=Target(kind=kind, sentence=whole),
    )


def _holds_there(
    step: Step, programs: Programs, backup: Backup, invariants: tuple[Invariant, ...], target: Target
) -> bool:
    """Restore to a target, ask the invariants, and throw the cluster away again."""
    folder = step.scratch() / f"probe-{target.xid}"
    cluster = restore(programs, backup, folder, target=target, step=Step()).cluster
    try:
        return not any(finding.failed for finding in evaluate(cluster.connect, invariants))
    finally:
        cluster.stop(mode="immediate")
