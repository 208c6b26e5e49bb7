"""Write-ahead log as files: positions, segment names, timelines, and an archive's inventory.

Sources: PostgreSQL's src/include/access/xlog_internal.h (names, page headers) and timeline.c (history).
"""

from __future__ import annotations

import re
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import StepFailed
from runbook.postgres.programs import Programs

SEGMENT = re.compile(r"([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial)?")
HISTORY = re.compile(r"([0-9A-F]{8})\.history")
PACKED = re.compile(r"[0-9A-F]{24}(\.partial)?\.(gz|lz4|zst|xz|bz2|lzo)")
PAGE_BYTES = 8192
# magic, info, timeline, page address, remaining length; system identifier, segment size, page size
LONG_HEADER = struct.Struct("<HHIQI4xQII")
LONG_HEADER_FLAG = 0x0002
MAGIC = {15: 0xD110, 16: 0xD113, 17: 0xD116, 18: 0xD118}


class Lsn(int):
    """A position in the log, in bytes; reads and shows as PostgreSQL's "16/B374D848"."""

    @classmethod
    def parse(cls, text: str) -> Lsn:
        """Return the position that a text names; ValueError when it is none."""
        if re.fullmatch(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}", text) is None:
            raise ValueError(f"a position in the log looks like 0/16B3748, not {text!r}")
        high, low = text.split("/")
        return cls((int(high, 16) << 32) | int(low, 16))

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"

    __repr__ = __str__


def segment_name(timeline: int, number: int, segment_bytes: int) -> str:
    """Return the file name of a segment; `number` counts segments of this size from position 0."""
    per_log = (1 << 32) // segment_bytes
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


@dataclass(frozen=True)
class Segment:
    """A file of the log: which stretch it holds, and whether it was still being received."""

    path: Path
    timeline: int
    number: int
    partial: bool = False


@dataclass(frozen=True)
class Switch:
    """Where a timeline left its parent."""

    parent: int
    at: Lsn


@dataclass(frozen=True)
class Archive:
    """What lies in the folders of an archive; `packed` are segments in a form that cannot be read here."""

    segment_bytes: int
    segments: dict[tuple[int, int], Segment]
    history: dict[int, tuple[Switch, ...]]
    history_files: tuple[Path, ...]
    packed: tuple[str, ...]

    def number_of(self, lsn: int) -> int:
        return lsn // self.segment_bytes

    def name(self, timeline: int, number: int) -> str:
        return segment_name(timeline, number, self.segment_bytes)

    def newest_timeline(self, *, base: int) -> int:
        """Return the newest timeline that descends from `base`, which is `base` itself when none does."""
        children = [
            timeline
            for timeline, switches in self.history.items()
            if any(switch.parent == base for switch in switches)
        ]
        return max([base, *children])

    def stretches(self, timeline: int, *, base: int) -> list[tuple[int, Lsn]]:
        """Return (timeline, its first position) from `base` down to `timeline`, oldest first.

        Raises StepFailed when the one does not descend from the other or a history file is missing.
        """
        if timeline == base:
            return [(base, Lsn(0))]
        switches = self.history.get(timeline)
        parents = [switch.parent for switch in switches or ()]
        if switches is None or base not in parents:
            why = (
                "its history file is not in the archive" if switches is None else f"its parents are {parents}"
            )
            raise StepFailed(f"timeline {timeline} does not descend from the backup's timeline {base}: {why}")
        begun = parents.index(base)
        children = [*parents[begun + 1 :], timeline]
        return [(base, Lsn(0)), *((child, switches[begun + i].at) for i, child in enumerate(children))]

    def timeline_at(self, number: int, stretches: list[tuple[int, Lsn]]) -> int:
        """Return the timeline whose file holds a segment; where they part it is the younger one's."""
        return [timeline for timeline, first in stretches if self.number_of(first) <= number][-1]


def read_archive(folders: Iterable[Path], *, segment_bytes: int) -> Archive:
    """Take the inventory of an archive; of two files of one segment the whole one counts."""
    segments: dict[tuple[int, int], Segment] = {}
    history: dict[int, tuple[Switch, ...]] = {}
    files, packed = [], []
    per_log = (1 << 32) // segment_bytes
    for path in (path for folder in folders for path in _listed(folder)):
        if (found := SEGMENT.fullmatch(path.name)) is not None:
            timeline, log, part = (int(found[i], 16) for i in (1, 2, 3))
            segment = Segment(path, timeline, log * per_log + part, partial=found[4] is not None)
            if segment.partial and not _is_begun(path):
                continue
            there = segments.get((timeline, segment.number))
            if there is None or there.partial:
                segments[timeline, segment.number] = segment
        elif (found := HISTORY.fullmatch(path.name)) is not None:
            history[int(found[1], 16)] = read_history(path)
            files.append(path)
        elif PACKED.fullmatch(path.name) is not None:
            packed.append(path.name)
    return Archive(segment_bytes, segments, history, tuple(files), tuple(sorted(packed)))


def _is_begun(path: Path) -> bool:
    """Whether anything was written to a partial segment: pg_receivewal begins it with zeros alone."""
    with path.open("rb") as file:
        return any(file.read(8))


def _listed(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except OSError as error:
        raise StepFailed(f"the WAL archive cannot be listed: {error}") from error


def read_history(path: Path) -> tuple[Switch, ...]:
    """Return the switches that a .history file lists, oldest first; StepFailed when it is damaged."""
    switches = []
    for line in path.read_text(errors="replace").splitlines():
        words = line.split("#")[0].split(maxsplit=2)
        if not words:
            continue
        try:
            switches.append(Switch(int(words[0]), Lsn.parse(words[1])))
        except (ValueError, IndexError) as error:
            raise StepFailed(f"the timeline history {path} has a line that is none: {line!r}") from error
    return tuple(switches)


def fault_in_segment(
    segment: Segment, *, segment_bytes: int, system_identifier: str | None, major: int | None
) -> str | None:
    """Return what is wrong with a segment file judged by its size and first page, or None."""
    size = segment.path.stat().st_size
    if size != segment_bytes:
        return f"{size:,} bytes, expected {segment_bytes:,}"
    with segment.path.open("rb") as file:
        magic, info, timeline, address, _, system, size_inside, page = LONG_HEADER.unpack(
            file.read(LONG_HEADER.size)
        )
    expected = MAGIC.get(major or 0, magic)
    if magic != expected:
        return f"page magic {magic:04X}, expected {expected:04X}: of another major version, or no WAL"
    if not info & LONG_HEADER_FLAG or page != PAGE_BYTES or size_inside != segment_bytes:
        return f"its first page says segments of {size_inside:,} bytes, expected {segment_bytes:,}"
    if system_identifier is not None and str(system) != system_identifier:
        return f"system identifier {system}, expected {system_identifier}: of another cluster"
    if address != segment.number * segment_bytes:
        return f"it holds the log from {Lsn(address)}, its name says {Lsn(segment.number * segment_bytes)}"
    if timeline > segment.timeline:
        return f"it is of timeline {timeline}, its name says {segment.timeline}"
    return None


def make_view(programs: Programs, shown: Mapping[str, Path], folder: Path) -> Path:
    """Make a folder that shows files under the names PostgreSQL looks for: links, or copies where it must be.

    The originals are never written to. A file that PostgreSQL's user may not read is copied.
    """
    programs.make_folder(folder)
    for name, path in shown.items():
        if programs.may_read(path.resolve()):
            (folder / name).symlink_to(path.resolve())
        else:
            shutil.copyfile(path, folder / name)
            programs.own(folder / name)
    return folder
