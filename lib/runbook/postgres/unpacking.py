"""Unpacks a base backup that comes as tar archives, the way pg_basebackup --format=tar lays them out."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from runbook.errors import StepFailed
from runbook.postgres.programs import Programs
from runbook.step import Step

TAR = re.compile(r"(?P<stem>.+)\.(tar|tar\.gz|tgz)")
OTHER_PACKING = re.compile(r".+\.tar\.(zst|lz4|bz2|xz)")


@dataclass(frozen=True)
class Unpacked:
    """Where a backup's data directory is; `seconds` is None when it had not to be unpacked."""

    folder: Path
    seconds: float | None


def unpack(programs: Programs, path: Path, *, step: Step) -> Unpacked:
    """Return a data directory for `path`: itself, or what its archives hold, below the scratch folder.

    Raises StepFailed for a path that is neither, and for a packing that is not read here.
    """
    if (path / "PG_VERSION").exists():
        return Unpacked(path, None)
    archives = _archives(path)
    into = Path(tempfile.mkdtemp(prefix="unpacked-", dir=programs.scratch))
    began = time.monotonic()
    total = sum(archive.stat().st_size for archive in archives)
    try:
        with step.progress("unpacking the backup", total=total, unit="bytes") as bar:
            for archive in archives:
                _unpack_one(archive, into / _place(archive), bar.add)
        manifest = path / "backup_manifest"
        if path.is_dir() and manifest.exists() and not (into / manifest.name).exists():
            shutil.copyfile(manifest, into / manifest.name)
        for place in (into, *into.rglob("*")):
            programs.own(place)
    except BaseException:
        shutil.rmtree(into, ignore_errors=True)
        raise
    return Unpacked(into, time.monotonic() - began)


def _archives(path: Path) -> list[Path]:
    """Return the archives of a backup, that of the data directory first."""
    found = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
    archives = [one for one in found if TAR.fullmatch(one.name)]
    main = [one for one in archives if path == one or _stem(one) == "base"]
    if main:
        return main + [one for one in archives if one not in main]
    if other := [one for one in found if OTHER_PACKING.fullmatch(one.name)]:
        raise StepFailed(
            f"{other[0]} is packed in a way that is not read here: unpack it, or pack it as .tar.gz"
        )
    if not found:
        raise StepFailed(f"there is no base backup at {path}")
    raise StepFailed(
        f"{path} is no base backup: neither a data directory (PG_VERSION) nor base.tar or base.tar.gz"
    )


def _stem(archive: Path) -> str:
    found = TAR.fullmatch(archive.name)
    return found["stem"] if found else archive.name


def _place(archive: Path) -> str:
    """Return where in the data directory an archive belongs: 16385.tar is a tablespace."""
    stem = _stem(archive)
    return "pg_wal" if stem == "pg_wal" else f"pg_tblspc/{stem}" if stem.isdigit() else ""


def _unpack_one(archive: Path, into: Path, tell: Callable[[float], None]) -> None:
    """Unpack an archive as a stream; StepFailed when it is cut short or damaged."""
    into.mkdir(parents=True, exist_ok=True)
    told = 0
    try:
        with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r|*") as tar:
            for member in tar:
                _take_out(tar, member, into)
                at = file.tell()
                tell(at - told)
                told = at
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise StepFailed(f"{archive} cannot be unpacked, it is damaged or cut short: {error}") from error


def _take_out(tar: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    """Write one member; only private files and folders, and only below `into`.

    Links are left out: those of tablespaces point to where the source lived, their archives come extra.
    (tarfile's own filters are missing from early releases of Python 3.11.)
    """
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts:
        raise StepFailed(f"the archive holds {member.name!r}, which lies outside a data directory")
    target = into / name
    if member.isdir():
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif member.isfile() and (content := tar.extractfile(member)) is not None:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
