"""The files of a seal: SHA256SUMS over a run's folder, its signature, and the seals that came before it."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from runbook.files import write_atomically

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"
SEALS = "evidence/seals"
OF_EVERY_RUN = ("evidence", "charts")
_LINE = re.compile(rb"(\\?)([0-9a-f]{64})  ([^\n]+)\n")
# sha256sum marks a line whose name holds one of these, and writes it in two characters.
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_of(folder: Path) -> list[str]:
    """Return the plain files of a run but the seal itself, hidden ones too, as SHA256SUMS names them."""
    found = (path for path in _walk(folder) if path.is_file() and not path.is_symlink())
    names = (path.relative_to(folder).as_posix() for path in found)
    return sorted(name for name in names if name not in (SUMS, SIGNATURE))


def oddities_of(folder: Path) -> list[str]:
    """Return what in a run's folder is neither a plain file nor a folder with something in it.

    The folders that every run gets may be empty.
    """
    found = ((path.relative_to(folder).as_posix(), path) for path in _walk(folder))
    return sorted(name for name, path in found if path.is_symlink() or not _is_plain(name, path))


def _is_plain(name: str, path: Path) -> bool:
    return path.is_file() or (path.is_dir() and (name in OF_EVERY_RUN or any(path.iterdir())))


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        yield from (Path(here) / name for name in (*folders, *files))


def write_sums(folder: Path) -> None:
    """Write the SHA-256 of every file of the run, in the form of `sha256sum -c`; an old signature goes."""
    (folder / SIGNATURE).unlink(missing_ok=True)  # never one beside sums that it is not of
    lines = (_line(sha256_of(folder / name), name) for name in files_of(folder))
    write_atomically(folder / SUMS, b"".join(lines))


def _line(digest: str, name: str) -> bytes:
    raw = os.fsencode(name)
    escaped = b"".join(_ESCAPES.get(bytes([byte]), bytes([byte])) for byte in raw)
    return (b"\\" if escaped != raw else b"") + digest.encode() + b"  " + escaped + b"\n"


def read_sums(content: bytes) -> dict[str, str]:
    """Return the digests of SHA256SUMS by file name; ValueError names the first line that is odd."""
    found: dict[str, str] = {}
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        match = _LINE.fullmatch(line)
        name = os.fsdecode(_unescaped(match[3], marked=bool(match[1]))) if match else ""
        if match is None or name in found or _line(match[2].decode(), name) != line:
            raise ValueError(f"{SUMS}:{number}: not a line that sha256sum writes, or a file named twice")
        found[name] = match[2].decode()
    return found


def _unescaped(name: bytes, *, marked: bool) -> bytes:
    if not marked:
        return name
    back = {escaped: plain for plain, escaped in _ESCAPES.items()}
    return re.sub(rb"\\[\\nr]", lambda match: back[match[0]], name)


def keep_predecessor(folder: Path) -> str:
    """Keep the seal of a run that is taken up again in evidence/seals/<n>/; return the SHA-256 of its sums.

    Nothing is kept twice, and a crash leaves a seal kept whole or not at all. A run that is not sealed has
    no predecessor: "" is returned. Raises OSError as the system gives it.
    """
    sums = folder / SUMS
    seals = folder / SEALS
    for unfinished in seals.glob(".*"):
        shutil.rmtree(unfinished)
    if not sums.is_file():
        return ""
    digest = sha256_of(sums)
    kept = kept_seals(folder)
    if not kept or not _same_seal(folder, kept[-1]):
        _keep(folder, seals / str(len(kept) + 1))
    return digest


def _same_seal(one: Path, other: Path) -> bool:
    return all(
        (one / name).exists() == (other / name).exists()
        and (not (one / name).exists() or (one / name).read_bytes() == (other / name).read_bytes())
        for name in (SUMS, SIGNATURE)
    )


def _keep(folder: Path, place: Path) -> None:
    beside = place.with_name(f".{place.name}")
    beside.mkdir(parents=True)
    for name in (SUMS, SIGNATURE):
        if (folder / name).is_file():
            write_atomically(beside / name, (folder / name).read_bytes())
    beside.rename(place)
    # The journal will name it, and must not outlive it.
    for here in (place, place.parent, place.parent.parent, folder):
        _sync(here)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def kept_seals(folder: Path) -> list[Path]:
    """Return the folders of the seals that were kept, oldest first."""
    found = [path for path in (folder / SEALS).glob("*") if path.name.isdecimal() and (path / SUMS).is_file()]
    return sorted(found, key=lambda path: int(path.name))
