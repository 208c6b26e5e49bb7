"""Point-in-time recovery of the world's PostgreSQL: the world's times, mapped to positions in the real log.

PostgreSQL keeps real time, in which the days of a rehearsal are milliseconds apart. So whenever the world's
clock is about to move, the place in the log is written down: all that lies before it was done by that time.
Recovery goes by that place. A cluster's own pg_wal is its archive: nothing of it is dropped or written over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from runbook.errors import StepFailed
from runbook.postgres.backup import take_base_backup
from runbook.postgres.cluster import Cluster
from runbook.postgres.programs import Programs
from runbook.postgres.restore import restore
from runbook.postgres.values import Backup, Target

# The log is kept whole. A rehearsal outlives no power cut, so nothing waits for the disk.
KEPT: Final = {
    "wal_keep_size": "8GB",
    "max_wal_size": "8GB",
    "wal_recycle": "off",
    "wal_init_zero": "off",
    "fsync": "off",
}


@dataclass
class _Life:
    """A cluster from its base backup on, until another took its place."""

    backup: Backup
    marks: list[tuple[datetime, str]] = field(default_factory=list)


class Recovery:
    """The running cluster and those before it; each restore begins another, as it does at a vendor."""

    def __init__(self, programs: Programs, cluster: Cluster, folder: Path, *, now: datetime) -> None:
        """Take over a running cluster that listens on TCP and was made with the settings `KEPT`."""
        self._programs, self._folder = programs, folder
        self._lives: list[_Life] = []
        self.cluster = cluster
        self._begin(now)

    @property
    def earliest(self) -> datetime:
        """Return the first time that can be recovered to."""
        return self._lives[0].marks[0][0]

    def mark(self, now: datetime) -> None:
        """Write down that all that was done so far was done by `now`."""
        with self.cluster.connect() as connection:
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        marks = self._lives[-1].marks
        if marks and marks[-1][0] == now:
            marks.pop()
        marks.append((now, str(row[0] if row else "")))

    def stop(self) -> None:
        """Take the cluster down, as it is during a restore; all it has done is in its log."""
        self.cluster.stop()

    def come_up(self) -> None:
        """Start the cluster that was stopped, as it was."""
        self.cluster.start(self._programs)

    def recover(self, to: datetime, *, now: datetime) -> None:
        """Put in the cluster's place, behind the same address and password, what it held at `to`.

        Raises StepFailed for a time before the first backup.
        """
        found = [(life, lsn) for life in self._lives for at, lsn in life.marks if at <= to]
        if not found:
            raise StepFailed(f"there is no backup from before {to}; the first is of {self.earliest}")
        life, lsn = found[-1]
        self.cluster.stop()
        target = Target(kind="before commit", lsn=lsn, at=to, sentence=f"as it was at {to}")
        where = self._folder / f"restored-{len(self._lives)}"
        restored = restore(self._programs, life.backup, where, target=target, settings=KEPT).cluster
        self.cluster = self._in_place(restored, self.cluster)
        self._begin(now)

    def _begin(self, now: datetime) -> None:
        backup = take_base_backup(
            self._programs,
            self.cluster,
            self._folder / f"base-{len(self._lives)}",
            wal_archive=self.cluster.data / "pg_wal",
        )
        self._lives.append(_Life(backup))
        self.mark(now)

    def _in_place(self, restored: Cluster, before: Cluster) -> Cluster:
        """Start a restored cluster where the one before it listened; the password is in the data."""
        restored.stop()
        restored.configure(self._programs, {"port": str(before.port), "listen_addresses": "127.0.0.1"})
        cluster = restored.model_copy(update={"port": before.port, "passfile": before.passfile})
        cluster.start(self._programs)
        return cluster
