"""Brings a base backup and its WAL archive back as a scratch cluster, up to a target, and times it.

The source is only read. The restored copy talks to nobody: its own configuration files, no archiving, no
synchronous standby, no preloaded libraries, no subscriptions; it listens on its private socket only.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from runbook.errors import StepFailed
from runbook.postgres import proving
from runbook.postgres.cluster import Cluster, prepare_folder
from runbook.postgres.control import read_control
from runbook.postgres.copying import Copied, copy_data, size_of
from runbook.postgres.programs import Programs
from runbook.postgres.values import Backup, Restored, Target
from runbook.postgres.wal import Archive, Lsn, make_view
from runbook.step import Progress, Step
from runbook.values import Phase

RESTORE_S = 24 * 3600.0
SETTINGS: Mapping[str, str] = {
    "archive_mode": "off",
    "synchronous_standby_names": "",
    "shared_preload_libraries": "",  # no cron, no agents
    "max_logical_replication_workers": "0",  # no subscription reaches out
    "hot_standby": "off",
    "recovery_target_action": "promote",
    "log_startup_progress_interval": "200ms",
    "log_line_prefix": "%m [%p] ",
    "shared_buffers": "256MB",
}
LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[\d+\] LOG:  (.*)$", re.MULTILINE)
CURRENT_LSN = re.compile(r"redo in progress, elapsed time: .*current LSN: ([0-9A-F]+/[0-9A-F]+)")
STOPPED_BEFORE = "recovery stopping before"
PROBE = """
BEGIN READ WRITE;
CREATE TEMPORARY TABLE runbook_probe ON COMMIT DROP AS SELECT 1 AS written;
SELECT pg_logical_emit_message(true, 'runbook', 'writable');
COMMIT;
"""


def restore(
    programs: Programs,
    backup: Backup,
    folder: Path,
    *,
    target: Target,
    user: str = "postgres",
    database: str = "postgres",
    settings: Mapping[str, str] | None = None,
    timeout_s: float = RESTORE_S,
    step: Step | None = None,
) -> Restored:
    """Restore a base backup into a new cluster below `folder` (which must not exist), running and writable.

    `user` is a superuser that the backup has. Phases: read the archive, copy, start, replay, promote, first
    write. Raises StepFailed with the server's own words when recovery fails, and when replay ended short of
    the target or of the end of the archive: PostgreSQL itself would promote what it has and say nothing.
    Nothing runs then.
    """
    step = step or Step()
    before = len(step.phases)
    if backup.unpacked_s is not None:
        step.phases.append(Phase(name="unpack", seconds=backup.unpacked_s))
    with step.phase("read the archive"):
        archive = proving.archive_of(backup)
        needed = _needed_end(programs, backup, target)
    with step.phase("copy"):
        control = read_control(programs, backup.path)
        cluster = prepare_folder(
            programs,
            folder,
            settings={**SETTINGS, **control.at_least, **(settings or {})},
            user=user,
        ).model_copy(update={"database": database})
        copied = _copy(programs, backup, cluster, step)
        _arrange_recovery(programs, backup, cluster, archive, target)
    log = _replay(programs, cluster, backup, needed, timeout_s=timeout_s, step=step)
    try:
        with step.phase("first write"):
            ended = _open_up(cluster)
        _insist(target, needed, ended, log)
    except BaseException:
        cluster.stop(mode="immediate")
        raise
    return Restored(
        cluster=cluster,
        target=target,
        phases=tuple(step.phases[before:]),
        copied_bytes=copied.size_bytes,
        copied_files=copied.files,
        copied_by=copied.by,
        replayed_to_lsn=ended.lsn,
        last_commit_at=ended.last_commit_at,
        timeline=ended.timeline,
        log_tail=cluster.last_log_lines(),
    )


def _copy(programs: Programs, backup: Backup, cluster: Cluster, step: Step) -> Copied:
    with step.progress("copying the backup", total=size_of(backup.path), unit="bytes") as bar:
        return copy_data(
            programs, backup.path, cluster.data, tablespaces=cluster.folder / "tablespaces", told=bar.add
        )


def _arrange_recovery(
    programs: Programs, backup: Backup, cluster: Cluster, archive: Archive, target: Target
) -> None:
    """Write what tells the server where the log is and where to stop."""
    start = archive.number_of(Lsn.parse(backup.start_lsn or "0/0"))
    shown = {
        archive.name(segment.timeline, segment.number): segment.path
        for segment in archive.segments.values()
        if segment.number >= start
    }
    shown |= {path.name: path for path in archive.history_files}
    view = make_view(programs, shown, cluster.folder / "wal")
    base = backup.timeline or 1
    timeline = target.timeline or archive.newest_timeline(base=base)
    cluster.configure(
        programs,
        {
            "restore_command": restore_command(view),
            "recovery_target_timeline": "current" if timeline == base else str(timeline),
            **stop_settings(target),
        },
    )
    programs.own_file(cluster.data / "recovery.signal")
    programs.own_file(
        cluster.data / "postgresql.auto.conf"
    )  # the server wants one; the source's stayed behind


def restore_command(folder: Path) -> str:
    """Return a command that copies a segment out of a folder, whatever the folder's name holds.

    A segment that is not there is how the end of the log is told, so it is no error to complain of.
    """
    place = shlex.quote(f"{folder}/").replace("%", "%%")
    return f"test -f {place}%f && cp {place}%f %p"


def stop_settings(target: Target) -> dict[str, str]:
    """Return the settings that make recovery stop at the target; none for the end of WAL."""
    if target.kind == "end of WAL":
        return {}
    if target.kind == "as dumped":
        raise StepFailed("a base backup is recovered to a commit or to the end of WAL, not as dumped")
    if target.xid is not None:
        where = {"recovery_target_xid": str(target.xid % (1 << 32))}
    elif target.lsn is not None:
        where = {"recovery_target_lsn": str(Lsn.parse(target.lsn))}
    else:
        raise StepFailed("a target before a commit needs its transaction id or its position in the log")
    return {**where, "recovery_target_inclusive": "off"}


def _needed_end(programs: Programs, backup: Backup, target: Target) -> Lsn:
    """Return the position that replay must reach: what the archive holds, or the backup's own end."""
    if target.kind == "end of WAL":
        return proving.end_of_wal(programs, backup=backup, timeline=target.timeline)
    return Lsn.parse(backup.stop_lsn or "0/0")


def _replay(
    programs: Programs, cluster: Cluster, backup: Backup, needed: Lsn, *, timeout_s: float, step: Step
) -> str:
    """Start the server, wait until recovery has ended, and return its log."""
    start = Lsn.parse(backup.start_lsn or "0/0")
    began = time.monotonic()
    with step.progress("replaying the log", total=max(1, needed - start), unit="bytes") as bar:
        try:
            cluster.start(programs, timeout_s=timeout_s, watch=_Follower(cluster, bar, start))
        finally:
            log = cluster.log_since(0)
            step.evidence(f"recovery-{cluster.folder.name}.log", log)
    step.phases.extend(phases_of(log, total_s=time.monotonic() - began))
    return log


class _Follower:
    """Tells progress from what the server logs while it replays."""

    LOOK_S = 0.1

    def __init__(self, cluster: Cluster, bar: Progress, start: Lsn) -> None:
        self._cluster, self._bar, self._start = cluster, bar, start
        self._read, self._looked = 0, 0.0

    def __call__(self) -> None:
        if time.monotonic() - self._looked < self.LOOK_S:
            return
        self._looked = time.monotonic()
        text = self._cluster.log_since(self._read)
        self._read += len(text.encode())
        if found := CURRENT_LSN.findall(text):
            self._bar.at(Lsn.parse(found[-1]) - self._start)


def phases_of(log: str, *, total_s: float) -> list[Phase]:
    """Split the time from start to ready by the server's own log: start, replay, promote."""
    marks = {"redo starts at": 0.0, "redo done at": 0.0, "database system is ready to accept": 0.0}
    for when, said in LINE.findall(log):
        for mark in marks:
            if said.startswith(mark):
                marks[mark] = datetime.strptime(when, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
    redo, done, ready = marks.values()
    if not redo or not done:
        return [Phase(name="start", seconds=total_s)]
    replay_s, promote_s = max(0.0, done - redo), max(0.0, ready - done)
    return [
        Phase(name="start", seconds=max(0.0, total_s - replay_s - promote_s)),
        Phase(name="replay", seconds=replay_s),
        Phase(name="promote", seconds=promote_s),
    ]


@dataclass(frozen=True)
class _Ended:
    lsn: str | None
    last_commit_at: datetime | None
    timeline: int


def _open_up(cluster: Cluster) -> _Ended:
    """Prove that the cluster takes writes, and return where its recovery ended."""
    try:
        with cluster.connect() as connection:
            row = connection.execute(
                "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text, pg_last_xact_replay_timestamp(),"
                " (pg_control_checkpoint()).timeline_id"
            ).fetchone()
            if row is None or row[0]:
                raise StepFailed(f"the restored cluster is still in recovery:\n{cluster.last_log_lines()}")
            connection.execute(PROBE)
    except psycopg.Error as error:
        raise StepFailed(f"the restored cluster does not take writes: {error}") from error
    at = row[2].astimezone(UTC) if row[2] is not None else None
    return _Ended(lsn=row[1], last_commit_at=at, timeline=int(row[3]))


def _insist(target: Target, needed: Lsn, ended: _Ended, log: str) -> None:
    """Refuse a cluster that was promoted short of where it should be."""
    stopped = [said for _, said in LINE.findall(log) if said.startswith(STOPPED_BEFORE)]
    if target.kind == "before commit" and not stopped:
        raise StepFailed("recovery did not stop at its target: the server promoted without having reached it")
    if target.xid is not None and f"transaction {target.xid % (1 << 32)}," not in stopped[-1]:
        raise StepFailed(f"recovery stopped elsewhere: {stopped[-1]}; wanted was transaction {target.xid}")
    reached = Lsn.parse(ended.lsn) if ended.lsn else Lsn(0)
    if target.kind == "end of WAL" and reached < needed:
        raise StepFailed(
            f"the server promoted a stale cluster: replay ended at {reached}, the archive goes to {needed}"
        )
