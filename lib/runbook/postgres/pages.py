"""Checks the checksum of every page of a data directory, also where pg_checksums refuses to: on a backup.

Sources: PostgreSQL's storage/checksum_impl.h (FNV-1a in 32 columns) and bin/pg_checksums (which files
have pages). Computed over many pages at once with numpy, several files at a time; memory stays flat.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runbook.postgres.wal import Lsn
from runbook.values import Value

PAGE_BYTES = 8192
PAGES_PER_READ = 512
PAGES_PER_FILE = 131072  # of a relation larger than 1 GB, cut into files
WORDS = PAGE_BYTES // 4
COLUMNS = 32
PRIME = np.uint32(16777619)
SHIFT = np.uint32(17)
# fmt: off
BASES = np.array([
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
], dtype=np.uint32)
# fmt: on
RELATION_FILE = re.compile(r"\d+(_(fsm|vm|init))?(\.(?P<part>\d+))?")
U32 = NDArray[np.uint32]


class PageFault(Value):
    """A page whose content is not what was written: its file below the data directory, and why."""

    file: str
    block: int
    fault: str


class PageReport(Value):
    """What a look at all pages found; `newer` pages were left out as changed while the backup was taken."""

    files: int
    pages: int
    newer: int
    faults: tuple[PageFault, ...]


@dataclass(frozen=True)
class _Piece:
    """A stretch of one file: `pages` from its `first`; `number` is that page's number in the relation."""

    path: Path
    name: str
    first: int
    pages: int
    number: int


def check_pages(
    data: Path,
    *,
    until: Lsn | None = None,
    jobs: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> PageReport:
    """Check every page of the relations in `data`; `progress` is called with bytes as they are done.

    With `until` (a backup's start), pages changed after it are left out: they may have been copied while
    they were being written, and the log's full page images replace them in recovery.
    """
    pieces: list[_Piece] = []
    faults: list[PageFault] = []
    files, newer, told = 0, 0, threading.Lock()
    for path in relation_files(data):
        files += 1
        size, name = path.stat().st_size, str(path.relative_to(data))
        pages, offset = size // PAGE_BYTES, _part(path.name) * PAGES_PER_FILE
        if size % PAGE_BYTES:
            fault = f"{size:,} bytes, which is no whole number of pages"
            faults.append(PageFault(file=name, block=offset + pages, fault=fault))
        pieces += [
            _Piece(path, name, first, min(PAGES_PER_READ, pages - first), offset + first)
            for first in range(0, pages, PAGES_PER_READ)
        ]

    def work(batch: list[_Piece]) -> tuple[int, list[PageFault]]:
        result = _check_batch(batch, until)
        if progress is not None:
            with told:
                progress(sum(piece.pages for piece in batch) * PAGE_BYTES)
        return result

    with ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        for skipped, found in pool.map(work, _batches(pieces)):
            newer += skipped
            faults += found
    total = sum(piece.pages for piece in pieces)
    return PageReport(files=files, pages=total, newer=newer, faults=tuple(faults))


def _batches(pieces: list[_Piece]) -> Iterator[list[_Piece]]:
    """Yield pieces by the read's worth: a thousand small files cost as little as one large one."""
    batch: list[_Piece] = []
    pages = 0
    for piece in pieces:
        if batch and pages + piece.pages > PAGES_PER_READ:
            yield batch
            batch, pages = [], 0
        batch.append(piece)
        pages += piece.pages
    if batch:
        yield batch


def relation_files(data: Path) -> Iterator[Path]:
    """Yield the files that consist of pages: those of tables, indexes and their maps."""
    roots = [data / "global", data / "base", *sorted((data / "pg_tblspc").glob("*/PG_*"))]
    for root in roots:
        for at, folders, names in os.walk(root):
            folders[:] = sorted(folder for folder in folders if not folder.startswith("pgsql_tmp"))
            yield from (Path(at) / name for name in sorted(names) if RELATION_FILE.fullmatch(name))


def _part(name: str) -> int:
    found = RELATION_FILE.fullmatch(name)
    return int(found["part"] or 0) if found else 0


def _check_batch(batch: list[_Piece], until: Lsn | None) -> tuple[int, list[PageFault]]:
    """Return how many pages were left out, and the faults of the others."""
    contents = [_read(piece) for piece in batch]
    counts = [len(content) // PAGE_BYTES for content in contents]
    numbers = np.concatenate(
        [np.arange(piece.number, piece.number + count) for piece, count in zip(batch, counts, strict=True)]
    ).astype(np.uint32)
    whole = b"".join(content[: count * PAGE_BYTES] for content, count in zip(contents, counts, strict=True))
    newer, suspects = _suspects(np.frombuffer(whole, dtype="<u4").reshape(-1, WORDS), numbers, until)
    starts = np.cumsum([0, *counts])
    faults = []
    for row in suspects:  # a page of a running server may have been caught half-written: look again
        at = int(np.searchsorted(starts, row, side="right")) - 1
        piece, block = batch[at], row - int(starts[at])
        if (fault := _fault(_read(piece, block, 1), piece.number + block)) is not None:
            faults.append(PageFault(file=piece.name, block=piece.number + block, fault=fault))
    return newer, faults


def _read(piece: _Piece, block: int = 0, pages: int | None = None) -> bytes:
    """Return some of a piece's pages; fewer when a running server dropped them meanwhile."""
    try:
        with piece.path.open("rb", buffering=0) as file:
            size = (piece.pages if pages is None else pages) * PAGE_BYTES
            return os.pread(file.fileno(), size, (piece.first + block) * PAGE_BYTES)
    except FileNotFoundError:
        return b""


def _suspects(pages: U32, numbers: U32, until: Lsn | None) -> tuple[int, list[int]]:
    """Return how many of the pages are newer than `until`, and the rows of the others that look wrong."""
    new = (pages[:, 3] >> 16) == 0  # pd_upper is zero: never used
    wrong = (checksums(pages, numbers) != (pages[:, 2] & 0xFFFF)) & ~new
    wrong |= new & pages.any(axis=1)
    if until is None:
        return 0, np.flatnonzero(wrong).tolist()
    position = (pages[:, 0].astype(np.uint64) << np.uint64(32)) | pages[:, 1]
    late = (position > np.uint64(until)) & ~new
    return int(late.sum()), np.flatnonzero(wrong & ~late).tolist()


def _fault(content: bytes, number: int) -> str | None:
    if len(content) < PAGE_BYTES:  # dropped by a running server
        return None
    page = np.frombuffer(content, dtype="<u4").reshape(1, -1)
    if not page[0, 3] >> 16:
        return "its header is zero and its body is not" if page.any() else None
    expected, found = int(checksums(page, np.array([number], dtype=np.uint32))[0]), int(page[0, 2] & 0xFFFF)
    return None if expected == found else f"its checksum is {found:04X}, its content gives {expected:04X}"


def checksums(pages: U32, numbers: U32) -> U32:
    """Return the checksums of pages (rows of 2048 words) that have these numbers in their relations."""
    rows = pages.reshape(len(pages), -1, COLUMNS)
    sums = np.repeat(BASES[np.newaxis, :], len(pages), axis=0)
    shifted = np.empty_like(sums)
    for row in range(rows.shape[1]):
        np.bitwise_xor(sums, rows[:, row, :], out=sums)
        if row == 0:
            sums[:, 2] ^= rows[:, 0, 2] & np.uint32(0xFFFF)  # the checksum's own field counts as zero
        _mix(sums, shifted)
    _mix(sums, shifted)
    _mix(sums, shifted)
    folded: U32 = np.bitwise_xor.reduce(sums, axis=1)
    folded ^= numbers
    checked: U32 = folded % np.uint32(65535) + np.uint32(1)
    return checked


def _mix(sums: U32, shifted: U32) -> None:
    np.right_shift(sums, SHIFT, out=shifted)
    np.multiply(sums, PRIME, out=sums)
    np.bitwise_xor(sums, shifted, out=sums)
