"""Reads a backup_manifest and checks a backup against it: every file there, its size and its checksum.

Source: PostgreSQL's documentation, "Backup Manifest Format". pg_verifybackup judges where it runs; our own
check does the same in parallel where it does not (it crashes in one packaging, or may not read the files).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import StepFailed
from runbook.postgres.crc32c import file_crc32c
from runbook.postgres.programs import Programs

NAME = "backup_manifest"
LAST_LINE = b'"Manifest-Checksum"'
NOT_LISTED = {NAME, "postgresql.auto.conf", "recovery.signal", "standby.signal"}  # may differ after the fact
FOLDER_NOT_LISTED = "pg_wal"
COMPLAINT = re.compile(
    r'pg_verifybackup: error: (?:checksum mismatch for file )?"(?P<file>[^"]+)"(?P<what>.*)'
)


@dataclass(frozen=True)
class Entry:
    """One file as the manifest lists it; `checksum` is hexadecimal, `algorithm` "" when it has none."""

    path: str
    size_bytes: int
    algorithm: str
    checksum: str


@dataclass(frozen=True)
class Manifest:
    """What a backup_manifest says; `intact` tells whether its own checksum is right."""

    entries: tuple[Entry, ...]
    stop_lsn: str | None
    system_identifier: str | None
    intact: bool

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    @property
    def algorithms(self) -> set[str]:
        return {entry.algorithm for entry in self.entries}


def read_manifest(folder: Path) -> Manifest | None:
    """Return a backup's manifest, None when it has none; StepFailed when it is not readable as one."""
    try:
        content = (folder / NAME).read_bytes()
    except FileNotFoundError:
        return None
    body, mark, tail = content.rpartition(LAST_LINE)
    stated = re.search(rb'"([0-9a-f]{64})"', tail)
    intact = bool(mark and stated and hashlib.sha256(body).hexdigest().encode() == stated[1])
    try:
        said = json.loads(content)
        entries = tuple(
            Entry(
                path=file["Path"] if "Path" in file else os.fsdecode(bytes.fromhex(file["Encoded-Path"])),
                size_bytes=int(file["Size"]),
                algorithm=str(file.get("Checksum-Algorithm", "")),
                checksum=str(file.get("Checksum", "")),
            )
            for file in said["Files"]
        )
        ends = [str(part["End-LSN"]) for part in said.get("WAL-Ranges", [])]
        system = said.get("System-Identifier")
    except (ValueError, KeyError, TypeError) as error:
        raise StepFailed(f"{folder / NAME} is no backup manifest: {error}") from error
    return Manifest(entries, ends[-1] if ends else None, str(system) if system else None, intact)


def faults(
    programs: Programs, folder: Path, manifest: Manifest, *, progress: Callable[[float], None] | None = None
) -> tuple[list[str], str]:
    """Return what differs from the manifest, a sentence for each file, and who judged."""
    if programs.has_verifybackup and programs.may_read(folder) and not _is_linked(folder):
        found = _by_pg_verifybackup(programs, folder)
        if progress is not None:
            progress(manifest.size_bytes)
        return found, "pg_verifybackup"
    return _by_ourselves(folder, manifest, progress), "our own check"


def _is_linked(folder: Path) -> bool:
    """Say whether tablespaces lie elsewhere; then the user PostgreSQL runs as may not get to them."""
    return any(place.is_symlink() for place in (folder / "pg_tblspc").glob("*"))


def _by_pg_verifybackup(programs: Programs, folder: Path) -> list[str]:
    ended = programs.run_telling("pg_verifybackup", "--no-parse-wal", folder)
    if ended.returncode == 0:
        return []
    lines = [line for line in ended.complaint.splitlines() if "error:" in line]
    found = []
    for line in lines:
        said = COMPLAINT.fullmatch(line)
        if said is None:
            found.append(line.removeprefix("pg_verifybackup: error: "))
        elif "checksum mismatch" in line:
            found.append(f"{said['file']}: its content is not what was backed up (checksum)")
        else:
            found.append(f"{said['file']}:{said['what']}")
    return found or [ended.complaint or f"pg_verifybackup ended with {ended.returncode}"]


def _by_ourselves(folder: Path, manifest: Manifest, progress: Callable[[float], None] | None) -> list[str]:
    listed = {entry.path for entry in manifest.entries}
    told = threading.Lock()

    def work(entry: Entry) -> str | None:
        fault = _fault(folder / entry.path, entry)
        if progress is not None:
            with told:
                progress(entry.size_bytes)
        return fault

    entries = sorted(manifest.entries, key=lambda entry: -entry.size_bytes)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = [fault for fault in pool.map(work, entries) if fault is not None]
    return found + [f"{path}: it is not in the manifest" for path in _on_disk(folder) if path not in listed]


def _fault(path: Path, entry: Entry) -> str | None:
    try:
        size = path.stat().st_size
        if size != entry.size_bytes:
            return f"{entry.path}: {size:,} bytes, the manifest says {entry.size_bytes:,}"
        with path.open("rb") as file:
            if entry.algorithm == "CRC32C":
                found = file_crc32c(file).to_bytes(4, "little").hex()
            elif entry.algorithm:
                found = hashlib.file_digest(file, entry.algorithm.lower()).hexdigest()
            else:
                return None
    except FileNotFoundError:
        return f"{entry.path}: it is missing"
    except OSError as error:
        return f"{entry.path}: it cannot be read: {error.strerror}"
    if found != entry.checksum:
        return f"{entry.path}: its content is not what was backed up (checksum)"
    return None


def _on_disk(folder: Path) -> Iterator[str]:
    """Yield the files that a manifest should list, those of tablespaces included."""
    roots = [folder, *(place for place in (folder / "pg_tblspc").glob("*") if place.is_symlink())]
    for root in roots:
        for at, folders, names in os.walk(root):
            if Path(at) == folder:
                folders[:] = [name for name in folders if name != FOLDER_NOT_LISTED]
            for name in sorted(names):
                path = str((Path(at) / name).relative_to(folder))
                if path not in NOT_LISTED:
                    yield path
