"""What is drilled: the order as the notebook's parameters give it, and the subject with its backup."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from runbook.postgres.cluster import Cluster
from runbook.postgres.fingerprint import Truth
from runbook.postgres.programs import Programs, find_programs
from runbook.postgres.values import Backup
from runbook.sandbox.damage import DamageKind
from runbook.sandbox.sabotage import Sabotage as SabotageKind
from runbook.sandbox.workload import Workload
from runbook.step import Step
from runbook.values import Value, shown

Source = Literal["sandbox", "live", "dump", "basebackup"]


class Order(Value):
    """The drill's own parameters, checked by the notebook's declarations."""

    source: Source
    database: str
    size_mb: int
    seed: int
    damage: DamageKind
    sabotage: SabotageKind | Literal["none"]
    backup_path: str
    wal_archive_path: str
    jobs: int


class Subject(Value):
    """A backup, the truth to hold it against where there is one, and in the sandbox the server it is of.

    `truth` is what the backup itself must hold; with a `workload`, its ledger says what each later commit
    adds. `programs` is the configured PostgreSQL, None for the best one found. `older` is a dump from before.
    """

    source: Source
    backup: Backup
    postgres: str
    programs: str | None
    truth: Truth | None = None
    primary: Cluster | None = None
    workload: Workload | None = None
    older: Path | None = None

    def rows(self) -> list[tuple[str, str]]:
        backup = self.backup
        rows = [
            ("source", self.source),
            ("backup", f"{backup.kind}, {backup.format}, {shown(backup.size_bytes / 1e6)} MB"),
            ("of PostgreSQL", backup.server_version),
            ("restored by", self.postgres),
        ]
        rows += [("begins in the log at", backup.start_lsn)] if backup.start_lsn else []
        if self.truth is not None:
            held = f"{shown(self.truth.total_rows)} rows in {len(self.truth.tables)} tables"
            rows.append(("must hold", held + (", and all that is committed since" if self.workload else "")))
        return rows


def programs_for(step: Step, configured: str | None) -> Programs:
    """Return the PostgreSQL that does the work."""
    return find_programs(configured=Path(configured) if configured else None, scratch=step.scratch())
