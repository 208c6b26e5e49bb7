"""What the rooms of a restore hand to each other: a backup, where to recover to, what was restored."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Literal

from runbook.postgres.cluster import Cluster
from runbook.values import Phase, Value


class Backup(Value):
    """A backup as its own files describe it; what its kind does not have is None.

    `path` is the base backup's directory or archive, or the dump; `format` is "plain" or "tar" for a base
    backup, and pg_dump's "custom", "directory", "tar" or "plain" for a dump.
    """

    kind: Literal["base", "dump"]
    path: Path
    wal_archive: Path | None
    format: str
    server_version: str
    system_identifier: str | None
    taken_at: datetime
    size_bytes: int
    start_lsn: str | None = None
    stop_lsn: str | None = None
    timeline: int | None = None
    wal_segment_bytes: int | None = None
    unpacked_s: float | None = None  # how long it took to unpack, which belongs to the time of a restore


class Target(Value):
    """Where to recover to. `sentence` says why, for a person.

    "before commit" needs `xid` or `lsn` (of the commit record): recovery stops just before it.
    """

    kind: Literal["before commit", "end of WAL", "as dumped"]
    xid: int | None = None
    lsn: str | None = None
    at: datetime | None = None
    timeline: int | None = None
    sentence: str

    def in_a_line(self) -> str:
        return self.sentence


class Restored(Value):
    """A cluster brought back: where it is, how long each phase took, and where replay ended."""

    cluster: Cluster
    target: Target
    phases: tuple[Phase, ...]
    copied_bytes: int
    copied_files: int
    copied_by: str
    replayed_to_lsn: str | None
    last_commit_at: datetime | None
    timeline: int | None
    log_tail: str
