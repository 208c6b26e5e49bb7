"""Proves, before any recovery, that a WAL archive leads from a backup to the target without a gap.

Without a target PostgreSQL ends recovery silently at the first segment it cannot find and promotes what
it has, so a stale cluster looks like a restored one. What is missing or damaged is named here instead.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from runbook.errors import StepFailed
from runbook.postgres.programs import Programs
from runbook.postgres.values import Backup, Target
from runbook.postgres.wal import Archive, Lsn, fault_in_segment, make_view, read_archive
from runbook.values import Check

SHOWN = 3  # so many faults are named in one check
WHOLE = "WAL segments are whole"
OWN = "WAL archive is of the backup's cluster"
GAPLESS = "WAL archive has no gap"
REACHES = "WAL archive reaches the target"
READS = "every WAL record reads"
STATS_END = re.compile(r"WAL statistics between (\S+) and ([0-9A-F]+/[0-9A-F]+)")


def archive_of(backup: Backup) -> Archive:
    """Return the inventory of a backup's archive together with what the backup itself brings along."""
    folders = [backup.wal_archive] if backup.wal_archive is not None else []
    inside = backup.path / "pg_wal"
    folders += [inside] if inside.is_dir() else []
    return read_archive(folders, segment_bytes=backup.wal_segment_bytes or 16 << 20)


def prove_contiguous(
    programs: Programs, *, backup: Backup, target: Target, reach: Lsn | None = None
) -> tuple[Check, ...]:
    """Return the checks that the archive holds the whole log from the backup's start to the target.

    `reach` is a position the log is known to have had (of the lost primary, say): recovery to the end of
    WAL must come at least that far. Every failing check names the segment and what is wrong with it.
    """
    archive = archive_of(backup)
    if backup.start_lsn is None or backup.timeline is None:
        why = "the backup does not say where it starts"
        return (Check.unchecked(GAPLESS, why=why, expected="no gap from the backup to the target"),)
    try:
        route = _Route(archive, backup, target, reach)
    except StepFailed as error:
        return (Check.of(GAPLESS, holds=False, observed=error, expected="one history up to the target"),)
    own, whole = route.own_and_whole(programs)
    checks = [route.gapless(), own, whole]
    if any(check.status == "failed" for check in checks):
        checks.append(Check.unchecked(READS, why="the archive is not whole", expected=route.expected_end()))
        return (*checks, route.reaches(None))
    reads, end = _read_through(programs, route)
    return (*checks, reads, route.reaches(end))


def end_of_wal(programs: Programs, *, backup: Backup, timeline: int | None = None) -> Lsn:
    """Return where the last whole record of an archive ends; StepFailed when there is none or a gap."""
    target = Target(kind="end of WAL", timeline=timeline, sentence="")
    route = _Route(archive_of(backup), backup, target, None)
    if route.missing:
        raise StepFailed(f"the WAL archive has a gap: {route.gapless().observed}")
    reads, end = _read_through(programs, route)
    if end is None:
        raise StepFailed(reads.observed)
    return end


class _Route:
    """The segments that recovery will ask for, from the backup's start to the target."""

    def __init__(self, archive: Archive, backup: Backup, target: Target, reach: Lsn | None) -> None:
        self.archive, self.backup, self.target = archive, backup, target
        base, start = backup.timeline or 1, Lsn.parse(backup.start_lsn or "0/0")
        self.timeline = target.timeline or archive.newest_timeline(base=base)
        self.stretches = archive.stretches(self.timeline, base=base)
        self.first = archive.number_of(start)
        self.start = start
        self.wanted = self._wanted(reach)
        self.last = max(archive.number_of(self.wanted - 1), self._last_there())
        numbers = range(self.first, self.last + 1)
        keys = [(archive.timeline_at(number, self.stretches), number) for number in numbers]
        self.missing = [archive.name(*key) for key in keys if key not in archive.segments]
        self.there = [archive.segments[key] for key in keys if key in archive.segments]

    def _wanted(self, reach: Lsn | None) -> Lsn:
        """Return the first position that recovery need not have read any more."""
        ends = [self.start + 1, Lsn.parse(self.backup.stop_lsn or "0/0"), reach or 0]
        if self.target.kind == "before commit" and self.target.lsn is not None:
            ends.append(Lsn.parse(self.target.lsn) + 1)
        return Lsn(max(ends))

    def _last_there(self) -> int:
        """Return the last segment recovery would find if nothing were missing before it."""
        if self.target.kind == "before commit" and self.target.lsn is not None:
            return 0
        ours = dict(self.stretches)
        return max(
            (
                number
                for timeline, number in self.archive.segments
                if timeline in ours and self.archive.timeline_at(number, self.stretches) == timeline
            ),
            default=0,
        )

    def gapless(self) -> Check:
        names = [
            self.archive.name(self.archive.timeline_at(n, self.stretches), n) for n in (self.first, self.last)
        ]
        count = self.last - self.first + 1
        expected = f"{count:,} segments, {names[0]} to {names[1]}"
        observed = f"{count - len(self.missing):,} segments, missing: {_some(self.missing)}"
        if self.missing and self.archive.packed:
            observed += f"; compressed ones are not read ({self.archive.packed[0]} …): unpack them first"
        return Check.of(
            GAPLESS,
            holds=not self.missing,
            observed=observed if self.missing else expected,
            expected=expected,
        )

    def own_and_whole(self, programs: Programs) -> tuple[Check, Check]:
        """Return the checks of every segment's size and first page."""
        size = self.archive.segment_bytes
        faults = [
            (segment.path.name, fault)
            for segment in self.there
            if (
                fault := fault_in_segment(
                    segment,
                    segment_bytes=size,
                    system_identifier=self.backup.system_identifier,
                    major=programs.major,
                )
            )
            is not None
        ]
        foreign = [f"{name}: {fault}" for name, fault in faults if "system identifier" in fault]
        broken = [f"{name}: {fault}" for name, fault in faults if "system identifier" not in fault]
        whole = f"{len(self.there):,} of {len(self.there):,}"
        expected = f"system identifier {self.backup.system_identifier}"
        return (
            Check.of(
                OWN, holds=not foreign, observed=_some(foreign) if foreign else expected, expected=expected
            ),
            Check.of(WHOLE, holds=not broken, observed=_some(broken) if broken else whole, expected=whole),
        )

    def expected_end(self) -> str:
        return f"records from {self.start} to {self.wanted} or beyond"

    def is_broken_at(self, end: Lsn, complaint: str) -> bool:
        """Say whether the log breaks off where the last readable record ends, rather than just ends there.

        Behind the end of a log are zeros; a record whose CRC is wrong is damage wherever it is.
        """
        if end >= self.wanted and self.target.kind == "before commit":
            return False
        torn = bool(self.there) and self.there[-1].partial and "magic number 0000" in complaint
        short = end < self.last * self.archive.segment_bytes and not torn
        return end < self.wanted or short or "checksum" in complaint

    def reaches(self, end: Lsn | None) -> Check:
        """Return the check that recovery will not end before the target."""
        expected = f"{self.wanted} or beyond"
        if self.target.kind == "before commit" and self.target.lsn is None:
            why = f"the position of transaction {self.target.xid} is not known"
            return Check.unchecked(REACHES, why=why, expected=expected)
        if end is None:
            lost = [name for name in self.missing if name.endswith(self.archive.name(0, self.last)[8:])]
            if lost:
                return Check.of(REACHES, holds=False, observed=f"{lost[0]} is missing", expected=expected)
            return Check.unchecked(REACHES, why="the log could not be read to its end", expected=expected)
        return Check.of(
            REACHES, holds=end >= self.wanted, observed=f"the last record ends at {end}", expected=expected
        )


def _read_through(programs: Programs, route: _Route) -> tuple[Check, Lsn | None]:
    """Read every record with pg_waldump, which checks each one's CRC; return where the last one ends.

    All segments are shown to it as one timeline, so it reads across switches as recovery does.
    """
    name_of = route.archive.name
    shown = {name_of(route.timeline, segment.number): segment.path for segment in route.there}
    folder = programs.own(Path(tempfile.mkdtemp(prefix="wal-", dir=programs.scratch)))
    try:
        view = make_view(programs, shown, folder / "view")
        until = Lsn((route.last + 1) * route.archive.segment_bytes)  # else it waits 5 s for one more segment
        arguments = (
            "--stats",
            "-p",
            view,
            "-t",
            f"{route.timeline}",
            "-s",
            f"{route.start}",
            "-e",
            f"{until}",
        )
        ended = programs.run_telling("pg_waldump", *arguments)
    finally:
        shutil.rmtree(folder)
    complaint = ended.complaint.removeprefix("pg_waldump: error: ")
    if (found := STATS_END.search(ended.said)) is None:
        return Check.of(READS, holds=False, observed=complaint, expected=route.expected_end()), None
    end = Lsn.parse(found[2])
    broken = route.is_broken_at(end, complaint)
    observed = f"records from {route.start} to {end}" + (f", then: {complaint}" if broken else "")
    return Check.of(READS, holds=not broken, observed=observed, expected=route.expected_end()), end


def _some(items: list[str]) -> str:
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return "; ".join(items[:SHOWN]) + more
