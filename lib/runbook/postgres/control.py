"""Reads a data directory's control file, through the `pg_controldata` of the version at hand."""

from __future__ import annotations

from pathlib import Path

from runbook.errors import StepFailed
from runbook.postgres.programs import Programs
from runbook.values import Value

# A standby or a recovery needs at least the primary's value of each: pg_controldata's name, the setting's.
AT_LEAST = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}


class ControlData(Value):
    """What global/pg_control says; LSNs as text ("0/16B3748"), sizes in bytes."""

    system_identifier: str
    state: str
    timeline: int
    redo_lsn: str
    checkpoint_lsn: str
    wal_segment_bytes: int
    block_bytes: int
    blocks_per_file: int
    checksums: bool
    wal_level: str
    track_commit_timestamp: bool
    at_least: dict[str, str]


def read_control(programs: Programs, data: Path) -> ControlData:
    """Return the control data; StepFailed when it is damaged or of another major version."""
    ended = programs.run_telling("pg_controldata", data)
    if ended.returncode:
        raise StepFailed(f"the control file of {data} cannot be read: {ended.complaint}")
    # A wrong checksum is only a warning to it, on stdout or stderr by version.
    head = ended.said.split("pg_control version number")[0]
    if warning := f"{head} {ended.complaint}".strip():
        raise StepFailed(f"the control file of {data} is damaged: {' '.join(warning.split())}")
    pairs = (line.partition(":") for line in ended.said.splitlines())
    found = {name.strip(): value.strip() for name, _, value in pairs}
    try:
        return ControlData(
            system_identifier=found["Database system identifier"],
            state=found["Database cluster state"],
            timeline=int(found["Latest checkpoint's TimeLineID"]),
            redo_lsn=found["Latest checkpoint's REDO location"],
            checkpoint_lsn=found["Latest checkpoint location"],
            wal_segment_bytes=int(found["Bytes per WAL segment"]),
            block_bytes=int(found["Database block size"]),
            blocks_per_file=int(found["Blocks per segment of large relation"]),
            checksums=found["Data page checksum version"] != "0",
            wal_level=found["wal_level setting"],
            track_commit_timestamp=found["track_commit_timestamp setting"] == "on",
            at_least={setting: found[name] for name, setting in AT_LEAST.items()},
        )
    except (KeyError, ValueError) as error:
        raise StepFailed(
            f"pg_controldata {programs.version} says something new about {data}: {error}"
        ) from error
