"""Takes base backups, reads what a backup says of itself, and checks it before anything relies on it."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from runbook.errors import ProgramFailed, StepFailed
from runbook.postgres import manifest as manifests
from runbook.postgres import unpacking
from runbook.postgres.cluster import Cluster
from runbook.postgres.control import ControlData, read_control
from runbook.postgres.installations import major_of
from runbook.postgres.manifest import Manifest
from runbook.postgres.pages import PageReport, check_pages, relation_files
from runbook.postgres.programs import Programs
from runbook.postgres.values import Backup
from runbook.postgres.wal import Lsn
from runbook.step import Step
from runbook.values import Check

SHOWN = 3  # so many faults are named in one check
FIRST_USER_FILE = 16384  # object ids below are PostgreSQL's own
CONTROL_HEAD = struct.Struct("<QII")  # system identifier, pg_control version, catalog version
CATALOGS = {15: 202209061, 16: 202307071, 17: 202406281, 18: 202506291}
CLEAN = ("shut down", "shut down in recovery")


class Label(dict[str, str]):
    """The lines of a backup_label: their names and what they say."""

    @property
    def start(self) -> str | None:
        found = re.match(r"[0-9A-F]+/[0-9A-F]+", self.get("START WAL LOCATION", ""))
        return found[0] if found else None

    @property
    def at(self) -> datetime | None:
        """Return the backup's start; PostgreSQL writes it in its own time zone, so only UTC is believed."""
        said = self.get("START TIME", "")
        if not said.endswith((" UTC", " GMT")):
            return None
        return datetime.strptime(said[:-4], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def take_base_backup(
    programs: Programs,
    cluster: Cluster,
    folder: Path,
    *,
    wal_archive: Path | None = None,
    wal: Literal["none", "fetch", "stream"] = "none",
    step: Step | None = None,
) -> Backup:
    """Take a base backup of a running cluster into `folder` (which must not exist) and return it.

    With wal="none" it needs `wal_archive` to be restored. Its manifest has CRC-32C of every file: SHA-256
    took 1.7 times as long to take and to check, and 3 to 12 times in a packaging without OpenSSL.
    """
    step = step or Step()
    with step.progress("base backup", total=_cluster_bytes(cluster), unit="bytes") as bar:
        programs.run(
            "pg_basebackup",
            *("-D", folder, "--format=plain", "--checkpoint=fast", f"--wal-method={wal}"),
            *("--manifest-checksums=CRC32C", "--no-sync", "-d", cluster.conninfo()),
        )
        backup = read_backup(programs, folder, wal_archive=wal_archive)
        bar.at(backup.size_bytes)
    return backup


def _cluster_bytes(cluster: Cluster) -> float | None:
    with cluster.connect() as connection:
        row = connection.execute("SELECT sum(pg_database_size(oid))::float8 FROM pg_database").fetchone()
    return row[0] if row else None


def read_backup(
    programs: Programs, path: Path, *, wal_archive: Path | None = None, step: Step | None = None
) -> Backup:
    """Return what a base backup says of itself: a directory, a tar archive, or a folder of tar archives.

    Tar archives are unpacked below the scratch folder first, and `Backup.path` is then where that is.
    Raises StepFailed when it is no base backup, naming what is missing.
    """
    unpacked = unpacking.unpack(programs, path, step=step or Step())
    data = unpacked.folder
    if not (data / "PG_VERSION").is_file():
        raise StepFailed(f"{path} is no base backup: it has no PG_VERSION")
    label, system = read_label(data), system_identifier(data)
    manifest = manifests.read_manifest(data)
    major = data_major(data)
    control = read_control(programs, data) if major == programs.major else None
    if label is None and (control is None or control.state not in CLEAN):
        raise StepFailed(
            f"{path} is no base backup: it has no backup_label, and its control file does not say "
            "that the cluster was shut down"
        )
    found = label or Label()
    at = found.at or datetime.fromtimestamp((data / "PG_VERSION").stat().st_mtime, UTC)
    start = found.start or (control.redo_lsn if control else None)
    return Backup(
        kind="base",
        path=data,
        wal_archive=wal_archive,
        format="plain" if unpacked.seconds is None else "tar",
        server_version=str(major),
        system_identifier=system,
        taken_at=at,
        size_bytes=manifest.size_bytes if manifest else _size(data),
        start_lsn=start,
        stop_lsn=(manifest.stop_lsn if manifest else None) or start,
        timeline=int(found.get("START TIMELINE", "0")) or (control.timeline if control else 1),
        wal_segment_bytes=control.wal_segment_bytes if control else None,
        unpacked_s=unpacked.seconds,
    )


def read_label(data: Path) -> Label | None:
    """Return a data directory's backup_label, None when it has none."""
    try:
        lines = (data / "backup_label").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    pairs = (line.partition(": ") for line in lines)
    label = Label({name: said for name, _, said in pairs})
    if "INCREMENTAL FROM LSN" in label:
        raise StepFailed(f"{data} is an incremental backup: combine it with pg_combinebackup first")
    return label


def data_major(data: Path) -> int:
    """Return the major version that PG_VERSION says."""
    said = (data / "PG_VERSION").read_text(errors="replace").strip()
    try:
        return major_of(said)
    except ValueError as error:
        raise StepFailed(f"{data / 'PG_VERSION'} says no version: {said!r}") from error


def system_identifier(data: Path) -> str | None:
    """Return the first thing a control file of any version holds, None when there is no such file."""
    head = _control_head(data)
    return str(head[0]) if head else None


def _control_head(data: Path) -> tuple[int, int, int] | None:
    try:
        content = (data / "global" / "pg_control").read_bytes()
    except FileNotFoundError:
        return None
    return CONTROL_HEAD.unpack_from(content) if len(content) >= CONTROL_HEAD.size else None


def _size(data: Path) -> int:
    return sum(path.stat().st_size for path in data.rglob("*") if path.is_file())


def check_backup(programs: Programs, backup: Backup, *, step: Step | None = None) -> tuple[Check, ...]:
    """Return what can be known of a base backup before it is restored; nothing is changed.

    Each failing check names the file and what is wrong with it. The archive has its own proof
    (proving.py).
    """
    step = step or Step()
    version = _version(programs, backup)
    control, control_check = _control(programs, backup)
    checks = [version, control_check]
    with step.phase("check the backup's files"):
        checks += _files(programs, backup, step)
    with step.phase("check the backup's pages"):
        checks.append(_pages(backup, control, step))
    checks.append(_not_empty(backup))
    return tuple(checks)


def _version(programs: Programs, backup: Backup) -> Check:
    """Check that one major version made all of it, and that it is the programs'."""
    said, head = data_major(backup.path), _control_head(backup.path)
    observed = f"PG_VERSION {said}"
    holds = said == programs.major
    if head is not None and (catalog := CATALOGS.get(programs.major)) is not None and head[2] != catalog:
        made_by = next(
            (str(major) for major, known in CATALOGS.items() if known == head[2]), "another version"
        )
        observed += f", pg_control of {made_by} (catalog {head[2]})"
        holds = False
    expected = f"{programs.major}, as the programs ({programs.version})"
    return Check.of(
        "backup is of the programs' major version", holds=holds, observed=observed, expected=expected
    )


def _control(programs: Programs, backup: Backup) -> tuple[ControlData | None, Check]:
    title, expected = "control file reads", f"system identifier {backup.system_identifier}"
    if data_major(backup.path) != programs.major:
        return None, Check.unchecked(title, why="it is of another major version", expected=expected)
    try:
        control = read_control(programs, backup.path)
    except StepFailed as error:
        return None, Check.of(title, holds=False, observed=error, expected=expected)
    observed = f"system identifier {control.system_identifier}"
    return control, Check.of(title, holds=observed == expected, observed=observed, expected=expected)


def _files(programs: Programs, backup: Backup, step: Step) -> list[Check]:
    """Check the manifest, and every file against it."""
    own, every = "backup_manifest is as it was written", "every file of the backup is as it was backed up"
    try:
        manifest = manifests.read_manifest(backup.path)
    except StepFailed as error:
        failed = Check.of(own, holds=False, observed=error, expected="a readable manifest")
        return [failed, Check.unchecked(every, why="the manifest cannot be read", expected="all as listed")]
    if manifest is None:
        why, expected = "the backup has no backup_manifest", "a manifest with checksums"
        return [
            Check.unchecked(own, why=why, expected=expected),
            Check.unchecked(every, why=why, expected=expected),
        ]
    intact = Check.of(
        own,
        holds=manifest.intact,
        observed="its checksum is right" if manifest.intact else "its own checksum is wrong",
        expected="its checksum is right",
    )
    with step.progress("checking files", total=manifest.size_bytes, unit="bytes") as bar:
        faults, judge = manifests.faults(programs, backup.path, manifest, progress=bar.add)
    expected = f"{len(manifest.entries):,} files, {manifest.size_bytes:,} bytes"
    checks = [
        intact,
        Check.of(
            every, holds=not faults, observed=_some(faults) or f"{expected} ({judge})", expected=expected
        ),
    ]
    if without := _without_checksum(manifest):
        checks.append(
            Check.unchecked("checksums of the backup's files", why=without, expected="one for each file")
        )
    return checks


def _without_checksum(manifest: Manifest) -> str | None:
    count = sum(not entry.algorithm for entry in manifest.entries)
    return f"the manifest has none for {count:,} files" if count else None


def _pages(backup: Backup, control: ControlData | None, step: Step) -> Check:
    title, expected = "page checksums of the backup", "every page as it was written"
    if control is None:
        return Check.unchecked(title, why="the control file does not tell how", expected=expected)
    if not control.checksums:
        return Check.unchecked(title, why="the cluster has no data checksums", expected=expected)
    until = Lsn.parse(backup.start_lsn) if backup.start_lsn else None
    with step.progress("checking pages", total=backup.size_bytes, unit="bytes") as bar:
        report = check_pages(backup.path, until=until, progress=bar.add)
    return page_check(title, report)


def page_check(title: str, report: PageReport) -> Check:
    """Return the check that a look at pages amounts to."""
    faults = [f"{fault.file}, block {fault.block}: {fault.fault}" for fault in report.faults]
    observed = f"{report.pages:,} pages in {report.files:,} files"
    if report.newer:
        observed += f", {report.newer:,} of them changed during the backup (the log has them)"
    return Check.of(
        title, holds=not faults, observed=_some(faults) or observed, expected="every page as it was written"
    )


def _not_empty(backup: Backup) -> Check:
    """Check that there is a table of someone's in it: a backup of a fresh cluster is a common mistake."""
    theirs = sum(
        path.parent.name != "global" and _number(path.name) >= FIRST_USER_FILE and path.stat().st_size > 0
        for path in relation_files(backup.path)
    )
    return Check.of(
        "backup is not empty",
        holds=theirs > 0,
        observed=f"{theirs:,} files of users' tables and indexes with content",
        expected="1 or more",
    )


def _number(name: str) -> int:
    return int(re.split(r"\D", name, maxsplit=1)[0])


def _some(faults: list[str]) -> str:
    more = f" and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    return "; ".join(faults[:SHOWN]) + more


def check_pages_offline(programs: Programs, cluster: Cluster) -> Check:
    """Check every page of a stopped cluster with PostgreSQL's own pg_checksums."""
    title, expected = "page checksums of the restored cluster", "no bad checksums (pg_checksums)"
    if not read_control(programs, cluster.data).checksums:
        return Check.unchecked(title, why="the cluster has no data checksums", expected=expected)
    try:
        said = programs.run("pg_checksums", "--check", "-D", cluster.data)
    except ProgramFailed as error:
        return Check.of(title, holds=False, observed=error.said, expected=expected)
    counts = {
        name.strip(): value.strip() for name, _, value in (line.partition(":") for line in said.splitlines())
    }
    bad = counts.get("Bad checksums", "?")
    observed = (
        f"{counts.get('Blocks scanned', '?')} pages in {counts.get('Files scanned', '?')} files, {bad} bad"
    )
    return Check.of(title, holds=bad == "0", observed=observed, expected=expected)
