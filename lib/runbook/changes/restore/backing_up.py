"""Having a backup: the sandbox makes a database and backs it up, a live one is dumped, a file is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from runbook.changes.interface import Change
from runbook.changes.restore.order import Order, Source, Subject, programs_for
from runbook.errors import InputError, StepFailed
from runbook.postgres.backup import check_backup as check_base_backup
from runbook.postgres.backup import read_backup, take_base_backup
from runbook.postgres.cluster import Cluster, create_cluster
from runbook.postgres.dumpfile import Contents, check_dump, read_dump
from runbook.postgres.fingerprint import Truth, fingerprint
from runbook.postgres.live import Limits, copy_live, open_source
from runbook.postgres.programs import Programs
from runbook.postgres.proving import prove_contiguous
from runbook.postgres.receiving import finish_segment, start_receiver
from runbook.postgres.values import Backup, Target
from runbook.postgres.wal import Lsn
from runbook.sandbox.ledger import newest_acknowledged
from runbook.sandbox.omnihub import fill
from runbook.sandbox.workload import Workload, start_workload, stop_workload, wait_for_serial
from runbook.step import Step
from runbook.values import Checks, Value

PRIMARY: Mapping[str, str] = {
    "track_commit_timestamp": "on",
    "wal_level": "replica",
    "shared_buffers": "64MB",
}
COMMITS_BEFORE_LOSS = 120
COMMITS_PER_SEGMENT = 30  # as a quiet database's archive_timeout would have it: several segments, none full
END_OF_WAL = Target(kind="end of WAL", sentence="everything the archive holds")


class _BackUp(Change):
    """Base of the ways to have a backup."""

    in_scratch: ClassVar[bool] = True
    programs: str | None
    jobs: int

    def way_back(self) -> str:
        return "destroyed with the scratch folder"

    def subject(self, programs: Programs, source: Source, backup: Backup, **more: Any) -> Subject:
        said = f"PostgreSQL {programs.version}, {programs.origin}"
        return Subject(source=source, backup=backup, postgres=said, programs=self.programs, **more)


class MakeDatabase(_BackUp):
    """Start a PostgreSQL, fill it, archive its log, back it up, and keep a workload writing."""

    size_mb: int
    seed: int

    def sentence(self) -> str:
        return f"start a PostgreSQL, fill it with {self.size_mb} MB, back it up, and keep writing"

    def touches(self) -> str:
        return "a scratch cluster on this machine"

    def apply(self, step: Step) -> Subject:
        programs, folder = programs_for(step, self.programs), step.scratch()
        primary = _start(step, programs)
        with step.phase("start archiving"):
            start_receiver(programs, primary, folder / "archive")
        truth = _fill(step, primary, self.size_mb, self.seed, self.jobs)
        with step.phase("take a base backup"):
            backup = take_base_backup(programs, primary, folder / "backup", wal_archive=folder / "archive")
        with step.phase("let a workload write"):
            workload = _write(step, primary)
            for serial in (COMMITS_BEFORE_LOSS, COMMITS_BEFORE_LOSS + COMMITS_PER_SEGMENT):
                wait_for_serial(workload, serial)
                finish_segment(primary, folder / "archive")
        return self.subject(programs, "sandbox", backup, truth=truth, primary=primary, workload=workload)


class MakeDump(_BackUp):
    """Start a PostgreSQL, fill it, let a workload write, dump it; `older_too` keeps a dump from before."""

    size_mb: int
    seed: int
    older_too: bool

    def sentence(self) -> str:
        return f"start a PostgreSQL, fill it with {self.size_mb} MB, write on, and dump it"

    def touches(self) -> str:
        return "a scratch cluster on this machine"

    def apply(self, step: Step) -> Subject:
        programs = programs_for(step, self.programs)
        primary = _start(step, programs)
        _fill(step, primary, self.size_mb, self.seed, self.jobs)
        older = _dump(step, programs, primary, "older.dump") if self.older_too else None
        with step.phase("let a workload write"):
            stop_workload(_write(step, primary))
        with step.phase("take its checksums"):
            truth = fingerprint(step, primary.connect, jobs=self.jobs)
        backup = _dump(step, programs, primary, "backup.dump")
        return self.subject(
            programs, "dump", backup, truth=truth, primary=primary, older=older.path if older else None
        )


def _start(step: Step, programs: Programs) -> Cluster:
    with step.phase("start a cluster"):
        cluster = create_cluster(programs, step.scratch() / "primary", settings=PRIMARY)
        cluster.start(programs)
    return cluster


def _fill(step: Step, cluster: Cluster, size_mb: int, seed: int, jobs: int) -> Truth:
    with step.phase("fill it"):
        fill(step, cluster.connect, size_mb=size_mb, seed=seed, jobs=jobs)
    with step.phase("take its checksums"):
        return fingerprint(step, cluster.connect, jobs=jobs)


def _write(step: Step, cluster: Cluster) -> Workload:
    folder = step.scratch()
    workload = start_workload(cluster.conninfo(), ledger=folder / "ledger.jsonl", folder=folder)
    wait_for_serial(workload, COMMITS_BEFORE_LOSS)
    return workload


def _dump(step: Step, programs: Programs, cluster: Cluster, name: str) -> Backup:
    file = step.scratch() / name
    with step.phase("dump it"):
        programs.run("pg_dump", "--format=custom", f"--file={file}", cluster.conninfo())
    return read_dump(file)


class DumpLive(_BackUp):
    """Dump a running server and take its checksums, read-only, under one snapshot."""

    variable: str
    max_rate_mb_s: float
    max_minutes: float

    def sentence(self) -> str:
        return f"dump the database of {self.variable} and take its checksums under one snapshot"

    def touches(self) -> str:
        return (
            f"the running server, reading only: at most {self.max_rate_mb_s:g} MB/s "
            f"and {self.max_minutes:g} minutes; the copy lies in a scratch folder"
        )

    def apply(self, step: Step) -> Subject:
        programs = programs_for(step, self.programs)
        limits = Limits(bytes_per_s=self.max_rate_mb_s * 1e6, duration_s=self.max_minutes * 60)
        source = open_source(programs, step.secret(self.variable), limits=limits)
        copy = copy_live(step, programs, source, step.scratch() / "backup.dump")
        return self.subject(programs, "live", copy.dump, truth=copy.truth)


class ReadFiles(_BackUp):
    """Take a dump or a base backup as it lies there."""

    kind: Literal["dump", "basebackup"]
    path: Path
    wal_archive: Path | None

    def sentence(self) -> str:
        return f"read the {self.kind} {self.path}"

    def touches(self) -> str:
        return "nothing: the files are only read"

    def apply(self, step: Step) -> Subject:
        programs = programs_for(step, self.programs)
        if self.kind == "dump":
            return self.subject(programs, "dump", read_dump(self.path))
        with step.phase("read the backup"):
            backup = read_backup(programs, self.path, wal_archive=self.wal_archive)
        return self.subject(programs, "basebackup", backup)


def plan_backup(step: Step, order: Order) -> Change:
    """Return the change after which there is a backup; InputError when the order lacks what it needs."""
    environment = step.environment()
    common: dict[str, Any] = {"programs": environment.postgres.programs, "jobs": order.jobs}
    database = environment.database(order.database)
    if order.source == "live":
        if database.dsn_variable is None:
            raise InputError(
                f"the database {order.database} of {environment.name} has no dsn_variable: it is not live"
            )
        limits = {"max_rate_mb_s": database.max_read_mb_s, "max_minutes": database.max_snapshot_minutes}
        return DumpLive(variable=database.dsn_variable, **limits, **common)
    if order.backup_path:
        return _read_files(order, common)
    if order.source == "basebackup" or environment.name != "sandbox":
        raise InputError(
            f"source {order.source} in {environment.name} needs backup_path: where the backup lies"
        )
    content: dict[str, Any] = {"size_mb": order.size_mb, "seed": order.seed, **common}
    if order.source == "dump":
        return MakeDump(older_too=order.sabotage == "stale dump", **content)
    return MakeDatabase(**content)


def _read_files(order: Order, common: dict[str, Any]) -> ReadFiles:
    path, archive = Path(order.backup_path), Path(order.wal_archive_path) if order.wal_archive_path else None
    for name, given in (("backup_path", path), ("wal_archive_path", archive)):
        if given is not None and not given.exists():
            raise InputError(f"{name} is {given}, which is not there")
    kind: Literal["dump", "basebackup"] = "dump" if order.source == "dump" else "basebackup"
    return ReadFiles(
        kind=kind, path=path.resolve(), wal_archive=archive.resolve() if archive else None, **common
    )


class Examined(Value):
    """What looking at a backup's files showed, before anything is restored; `contents` of a dump."""

    checks: Checks
    contents: Contents | None = None

    def rows(self) -> list[tuple[str, str]]:
        return self.checks.counts()


def examine_backup(step: Step, subject: Subject) -> Examined:
    """Compare the backup with what it says of itself, and prove its archive whole up to its end."""
    programs, backup = programs_for(step, subject.programs), subject.backup
    if backup.kind == "dump":
        with step.phase("read the dump through"):
            contents, found = check_dump(step, programs, backup)
        return Examined(checks=Checks(items=found), contents=contents)
    found = check_base_backup(programs, backup, step=step)
    with step.phase("prove the archive"):
        reach = _position_reached(subject, subject.primary) if subject.primary else None
        found += prove_contiguous(programs, backup=backup, target=END_OF_WAL, reach=reach)
    return Examined(checks=Checks(items=found))


def backup_holds(step: Step, examined: Examined) -> Checks:
    """Return the checks that were made of the backup."""
    del step
    return examined.checks


def _position_reached(subject: Subject, primary: Cluster) -> Lsn | None:
    """Return where the primary's log is known to have been: as it says, or as its last client was told."""
    archive = subject.backup.wal_archive
    if primary.postmaster() is not None and archive is not None:
        return _position_written(primary, archive)
    newest = newest_acknowledged(subject.workload.ledger) if subject.workload else None
    return Lsn.parse(newest.lsn) if newest and newest.lsn else None


def _position_written(primary: Cluster, archive: Path) -> Lsn:
    """Return where a running primary's log stands, whether or not the archive gets that far."""
    with primary.connect() as connection:
        row = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
    try:
        return finish_segment(primary, archive)
    except StepFailed:
        return Lsn.parse(row[0]) if row else Lsn(0)
