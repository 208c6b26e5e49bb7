"""Breaks a rehearsal's own backup in the ways backups break, so that a drill proves it would notice.

Only for copies in a scratch folder: what is broken here stays broken.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from runbook.errors import StepFailed
from runbook.postgres.backup import take_base_backup
from runbook.postgres.cluster import create_cluster
from runbook.postgres.pages import PAGE_BYTES, relation_files
from runbook.postgres.programs import Programs
from runbook.postgres.proving import archive_of
from runbook.postgres.receiving import finish_segment, start_receiver, stop_receiver
from runbook.postgres.values import Backup
from runbook.postgres.wal import LONG_HEADER, Lsn, Segment

Sabotage = Literal[
    "truncated file",
    "flipped byte in a heap page",
    "missing WAL segment in the middle",
    "missing WAL segment at the end",
    "backup of another cluster",
    "empty database",
    "wrong major version",
    "dump cut short",
    "stale dump",
]
KINDS: tuple[str, ...] = get_args(Sabotage)
SYSTEM_IDENTIFIER_AT = 24  # in the first page header of a segment
HEAP_SPECIAL = PAGE_BYTES  # pd_special of a heap page: it has no special space; an index page has
FIRST_USER_FILE = 16384
DUMP_VERSION_AT = 6  # "PGDMP", then the archive format's version: major, minor, revision
DUMP_VERSION_LINE = re.compile(rb"(-- Dumped (?:from database|by pg_dump) version )\d+")


def sabotage(
    kind: str, backup: Backup, *, programs: Programs | None = None, older: Path | None = None
) -> str:
    """Break a backup in place and return a sentence that says what was done; read it again afterwards.

    "empty database" needs `programs`; "stale dump" needs `older`, a dump of the same format taken before.
    Raises StepFailed when the backup has nothing that could be broken that way.
    """
    match kind:
        case "empty database" if programs is not None:
            return _empty(backup, programs)
        case "stale dump" if older is not None:
            return _stale(backup, older)
        case "empty database" | "stale dump":
            raise StepFailed(f"the sabotage {kind!r} was not given what it needs: programs, or an older dump")
        case "wrong major version":
            return _other_version_of_dump(backup) if backup.kind == "dump" else _other_version(backup)
        case "dump cut short":
            return _cut_short(backup)
    way = BASE_WAYS.get(kind)
    if way is None:
        raise StepFailed(f"there is no sabotage {kind!r}; there are: {', '.join(KINDS)}")
    if backup.kind != "base":
        raise StepFailed(f"{kind!r} is for base backups, this is a dump")
    return way(backup)


def _largest_heap(data: Path) -> Path:
    """Return the largest file that holds a user's table, judged by its first page."""
    found = [path for path in relation_files(data) if _is_users_heap(path)]
    if not found:
        raise StepFailed(f"there is no table of a user's in {data}")
    return max(found, key=lambda path: path.stat().st_size)


def _is_users_heap(path: Path) -> bool:
    number = re.fullmatch(r"(\d+)(\.\d+)?", path.name)
    if number is None or int(number[1]) < FIRST_USER_FILE or path.parent.name == "global":
        return False
    with path.open("rb") as file:
        head = file.read(20)
    return len(head) == 20 and struct.unpack_from("<H", head, 16)[0] == HEAP_SPECIAL  # noqa: PLR2004


def _truncate(backup: Backup) -> str:
    path = _largest_heap(backup.path)
    before = path.stat().st_size
    after = before // PAGE_BYTES // 2 * PAGE_BYTES
    os.truncate(path, after)
    return f"{path.relative_to(backup.path)} was cut from {before:,} to {after:,} bytes"


def _flip(backup: Backup) -> str:
    path = _largest_heap(backup.path)
    block = path.stat().st_size // PAGE_BYTES // 2
    at = block * PAGE_BYTES + PAGE_BYTES - 100  # rows fill a page from its end
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x10]))
    return f"one bit of {path.relative_to(backup.path)} was flipped, in block {block}, at byte {at:,}"


def _whole_segments(backup: Backup) -> list[Segment]:
    """Return the whole segments that recovery would read, in order."""
    archive = archive_of(backup)
    first = archive.number_of(Lsn.parse(backup.start_lsn or "0/0"))
    whole = [one for one in archive.segments.values() if one.number >= first and not one.partial]
    return sorted(whole, key=lambda one: (one.number, one.timeline))


def _gap(backup: Backup) -> str:
    segments = _whole_segments(backup)
    if len(segments) < 3:  # noqa: PLR2004  # one before it and one behind it
        raise StepFailed(f"a gap needs three whole WAL segments, the archive has {len(segments)}")
    segment = segments[len(segments) // 2]
    segment.path.unlink()
    return f"WAL segment {segment.path.name} was removed from the middle of the archive"


def _early_end(backup: Backup) -> str:
    segments = _whole_segments(backup)
    if len(segments) < 2:  # noqa: PLR2004  # the first one belongs to the backup
        raise StepFailed(f"an early end needs two whole WAL segments, the archive has {len(segments)}")
    last = segments[-1]
    later = [one for one in archive_of(backup).segments.values() if one.number > last.number]
    for segment in (last, *later):
        segment.path.unlink()
    return f"WAL segment {last.path.name}, the last whole one, was removed and what follows it"


def _foreign(backup: Backup) -> str:
    """Make the archive another cluster's: the identifier in each segment's first page is changed."""
    foreign = int(backup.system_identifier or 0) ^ 1 << 40
    segments = archive_of(backup).segments.values()
    for segment in segments:
        with segment.path.open("r+b") as file:
            if len(file.read(LONG_HEADER.size)) == LONG_HEADER.size:
                file.seek(SYSTEM_IDENTIFIER_AT)
                file.write(struct.pack("<Q", foreign))
    return (
        f"the WAL archive is of the cluster {foreign} ({len(segments):,} segments), "
        f"the backup of {backup.system_identifier}"
    )


def _other_version(backup: Backup) -> str:
    said = int((backup.path / "PG_VERSION").read_text())
    for path in (backup.path / "PG_VERSION", *(backup.path / "base").glob("*/PG_VERSION")):
        path.write_text(f"{said - 1}\n")
    return f"the backup says it is of PostgreSQL {said - 1}, it was {said}"


def _other_version_of_dump(backup: Backup) -> str:
    path = backup.path / "toc.dat" if backup.path.is_dir() else backup.path
    with path.open("r+b") as file:
        content = file.read(1 << 16)
        file.seek(0)
        if content.startswith(b"PGDMP"):
            file.seek(DUMP_VERSION_AT)
            file.write(b"\x63")
            return f"{path.name} says it is of archive format 1.99, of a pg_dump yet to come"
        changed, count = DUMP_VERSION_LINE.subn(rb"\g<1>99", content)
        if not count or len(changed) != len(content):
            raise StepFailed(f"{path} does not say which version it is of")
        file.write(changed)
    return f"{path.name} says it is of PostgreSQL 99"


def _cut_short(backup: Backup) -> str:
    if backup.kind != "dump":
        raise StepFailed("'dump cut short' is for dumps, this is a base backup")
    files = [path for path in backup.path.iterdir() if path.name != "toc.dat"] if backup.path.is_dir() else []
    path = max(files, key=lambda one: one.stat().st_size, default=backup.path)
    before = path.stat().st_size
    os.truncate(path, before * 6 // 10)
    return f"{path.name} was cut from {before:,} to {before * 6 // 10:,} bytes"


def _stale(backup: Backup, older: Path) -> str:
    _replace(backup.path, older)
    return f"{backup.path.name} was replaced by an older dump, {older.name}"


def _replace(path: Path, by: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
        shutil.copytree(by, path)
    else:
        shutil.copyfile(by, path)


def _empty(backup: Backup, programs: Programs) -> str:
    """Put a backup of a cluster in its place that nobody has ever written to."""
    fresh = create_cluster(programs, programs.scratch / f"empty-{os.urandom(4).hex()}")
    fresh.start(programs)
    try:
        if backup.kind == "dump":
            _dump_empty(backup, programs, fresh.conninfo())
        else:
            archive = fresh.folder / "wal"
            receiver = start_receiver(programs, fresh, archive)
            taken = take_base_backup(programs, fresh, fresh.folder / "base", wal_archive=archive)
            finish_segment(fresh, archive)
            stop_receiver(fresh, receiver)
            shutil.rmtree(backup.path)
            taken.path.rename(backup.path)
            if backup.wal_archive is not None:
                shutil.rmtree(backup.wal_archive)
                archive.rename(backup.wal_archive)
    finally:
        fresh.stop(mode="immediate")
        shutil.rmtree(fresh.folder)
    return f"{backup.path.name} was replaced by a backup of a new, empty cluster"


def _dump_empty(backup: Backup, programs: Programs, conninfo: str) -> None:
    if backup.path.is_dir():
        shutil.rmtree(backup.path)
    else:
        backup.path.unlink()
    programs.run("pg_dump", f"--format={backup.format}", f"--file={backup.path}", f"--dbname={conninfo}")


BASE_WAYS: dict[str, Callable[[Backup], str]] = {
    "truncated file": _truncate,
    "flipped byte in a heap page": _flip,
    "missing WAL segment in the middle": _gap,
    "missing WAL segment at the end": _early_end,
    "backup of another cluster": _foreign,
}
