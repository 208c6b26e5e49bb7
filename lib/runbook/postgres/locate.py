"""Finds where to recover to, from nothing but the damaged server, its log and the invariants that must hold.

    the server does not answer      its primary is lost: recover to the end of the log
    an invariant fails              a commit did it: recover to just before that commit
    a page is not what was written  no commit did it, so the log does not repeat it: to the end of the log

The commit is a hypothesis (suspects.py); restoring there and asking the invariants again confirms it. Where
the log cannot tell, or the hypothesis did not hold, `bisect` restores at midpoints until one commit is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from runbook.errors import NoGo, StepFailed
from runbook.plan import Invariant
from runbook.postgres.fingerprint import fingerprint
from runbook.postgres.history import Commit, History, read_history
from runbook.postgres.invariants import Finding, evaluate
from runbook.postgres.pages import check_pages
from runbook.postgres.programs import Programs
from runbook.postgres.sessions import Connect, reading, words
from runbook.postgres.suspects import commit_time, places_of, relation_of, suspects_of
from runbook.postgres.values import Backup, Target
from runbook.postgres.wal import Lsn
from runbook.step import Step
from runbook.values import Value, shown

Probe = Callable[[Target], bool]  # restores there and says whether every invariant holds

SHOWN = 5  # so many pages or suspects are named
DAMAGED = "XX"  # sqlstate class of an unreadable page


class Found(Value):
    """What is wrong, how that was located, and where to recover to.

    `culprit_*` is the commit that did it, `newest_kept_*` the last one before the target; None where the log
    has none. `given_up` counts the commits after the culprit, which a recovery loses knowingly.
    """

    wrong: str
    located_by: str
    evidence: tuple[str, ...]
    target: Target
    culprit_xid: int | None = None
    culprit_at: datetime | None = None
    newest_kept_xid: int | None = None
    newest_kept_at: datetime | None = None
    newest_kept_lsn: str | None = None
    given_up: int = 0
    probes: int = 0

    def rows(self) -> list[tuple[str, str]]:
        rows = [("wrong", self.wrong), ("located by", self.located_by), ("recover to", self.target.sentence)]
        rows += [("newest commit kept", shown(self.newest_kept_at))] if self.newest_kept_at else []
        rows += [("given up knowingly", f"{self.given_up} commits that followed")] if self.given_up else []
        rows += [("restored and asked", f"{self.probes} times")] if self.probes else []
        return [
            *rows,
            *(("evidence" if not number else "", line) for number, line in enumerate(self.evidence)),
        ]


class _Case(NamedTuple):
    """What is known of the damage so far, and where to look further."""

    step: Step
    programs: Programs
    backup: Backup
    wrong: str
    evidence: tuple[str, ...]

    def history(self, catalogue_file: str = "") -> History:
        return read_history(self.step, self.programs, self.backup, catalogue_file=catalogue_file)

    def more(self, *evidence: str) -> _Case:
        return self._replace(evidence=(*self.evidence, *evidence))


def locate(
    step: Step,
    programs: Programs,
    connect: Connect,
    *,
    data: Path | None,
    backup: Backup,
    invariants: tuple[Invariant, ...],
    probe: Probe | None = None,
) -> Found:
    """Return what is wrong with the server and where to recover it to.

    `data` is its data directory where we can read it, for the checksums of its pages; without it every row is
    read through the server. The archive of `backup` must hold the log up to now (receiving.finish_segment).
    Raises NoGo when nothing is wrong, StepFailed when the log cannot tell and there is no `probe`.
    """
    try:
        connect().close()
    except psycopg.OperationalError as error:
        gone = data is not None and not (data / "PG_VERSION").exists()
        wrong = "the primary is lost: the server does not answer" + (
            ", its data directory is gone" if gone else ""
        )
        case = _Case(step, programs, backup, wrong, (f"connecting: {words(error)}",))
        return _to_the_end(case, "the server's silence")
    failed = tuple(finding for finding in evaluate(connect, invariants) if finding.failed)
    logical = tuple(one for one in failed if not (one.sqlstate or "").startswith(DAMAGED))
    if logical:
        return _committed(
            _Case(step, programs, backup, _sentence(logical), _lines(logical)), connect, logical, probe
        )
    bad = (*_lines(failed), *_bad_pages(step, connect, data))
    if bad:
        wrong = f"{bad[0]}" + (f", and {len(bad) - 1} more" if len(bad) > 1 else "")
        return _to_the_end(_Case(step, programs, backup, wrong, bad[:SHOWN]), "reading every page")
    raise NoGo(
        f"nothing is wrong with the server: {len(invariants)} invariants hold and every page reads; "
        "there is nothing to recover from"
    )


def bisect(step: Step, programs: Programs, *, backup: Backup, wrong: str, probe: Probe) -> Found:
    """Return the first commit from which on the invariants fail, by restoring at midpoints.

    They are taken to hold before some commit and to fail from it on. Raises StepFailed when they fail already
    where the backup ends: an older one is needed.
    """
    case = _Case(step, programs, backup, wrong, ())
    return _bisected(case, case.history(), probe)


def _sentence(failed: tuple[Finding, ...]) -> str:
    first = failed[0].check
    more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
    return f"{first.title} fails: observed {first.observed}, expected {first.expected}{more}"


def _lines(failed: tuple[Finding, ...]) -> tuple[str, ...]:
    checks = [one.check for one in failed]
    return tuple(f"{check.title}: observed {check.observed}, expected {check.expected}" for check in checks)


def _bad_pages(step: Step, connect: Connect, data: Path | None) -> list[str]:
    """Return a line for each page that is not what was written: on disk, or else as the server reads it."""
    with reading(connect) as connection:
        [(checksums,)] = connection.execute("SHOW data_checksums").fetchall()
    if data is None or checksums != "on":
        found = fingerprint(step, connect).unreadable
        return [f"{table}: {said}" for table, said in found.items()]
    size_mb = sum(path.stat().st_size for path in (data / "base").rglob("*") if path.is_file()) / 1e6
    with step.progress("checking every page", total=size_mb, unit="MB") as bar:
        faults = check_pages(data, progress=lambda size: bar.add(size / 1e6)).faults
    with reading(connect) as connection:
        names = {fault.file: relation_of(connection, fault.file) for fault in faults}
    return [
        f"block {fault.block} of {names[fault.file] or 'another database'} ({fault.file}): {fault.fault}"
        for fault in faults
    ]


def _to_the_end(case: _Case, located_by: str) -> Found:
    """Return the end of the log as the target: nothing that is in it did the damage."""
    history = case.history()
    newest = history[-1] if len(history) else None
    return Found(
        wrong=case.wrong,
        located_by=located_by,
        evidence=(*case.evidence, f"the newest in the log is {newest or 'no commit'}"),
        target=Target(
            kind="end of WAL",
            at=newest.at if newest else None,
            sentence=f"the end of the log, because no commit did the damage: {case.wrong}",
        ),
        newest_kept_xid=newest.xid if newest else None,
        newest_kept_at=newest.at if newest else None,
        newest_kept_lsn=str(newest.lsn) if newest else None,
    )


def _committed(case: _Case, connect: Connect, failed: tuple[Finding, ...], probe: Probe | None) -> Found:
    """Return the commit that broke the failing invariants: by the log, or else by bisection."""
    places = places_of(connect, dict.fromkeys(one.table for one in failed if one.table))
    history = case.history(places.catalogue)
    suspects = suspects_of(history, places, failed, after=_backup_end(case.backup))
    case = case.more(*(suspect.sentence for suspect in suspects[:SHOWN]))
    if len(suspects) == 1 and suspects[0].stands_out:
        culprit = suspects[0].commit
        return _before(case.more(commit_time(connect, culprit) or ""), history, culprit, "the log")
    if probe is not None:
        return _bisected(case, history, probe)
    if suspects:
        return _before(case, history, suspects[0].commit, "the log, not for certain")
    raise StepFailed(
        f"{case.wrong}; the log from {history.begins} to {history.ends} does not tell which of "
        f"{len(history)} commits did it, and no way to restore and look was given"
    )


def _backup_end(backup: Backup) -> Lsn:
    """Return where the backup is whole: no recovery can end before."""
    return Lsn.parse(backup.stop_lsn or backup.start_lsn or "0/0")


def _bisected(case: _Case, history: History, probe: Probe) -> Found:
    """Narrow down to one commit: every invariant holds before it, one fails after it."""
    end = _backup_end(case.backup)
    first = next((place for place, commit in enumerate(history) if commit.lsn >= end), len(history))
    low, high, probes = first, len(history), 0
    if low == high:
        raise StepFailed(f"{case.wrong}; the log has no commit after the backup that could have done it")
    total = math.ceil(math.log2(high - low)) + 1
    with case.step.progress("restoring at midpoints", total=total, unit="restores") as bar:
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if probe(_target(history[middle])) else (low, middle)
            probes += 1
            bar.add(1)
        if low == first:
            probes += 1
            if not probe(_target(history[low])):
                raise StepFailed(
                    f"{case.wrong}; it fails already where the backup ends, at {end}: an older one is needed"
                )
    line = f"{probes} restores: the invariants hold before {history[low]}, and not after it"
    return _before(case.more(line), history, history[low], "bisection", probes=probes)


def _before(case: _Case, history: History, culprit: Commit, located_by: str, *, probes: int = 0) -> Found:
    """Return the state just before a commit as the target."""
    place = history.place_of(culprit)
    kept = history[place - 1] if place else None
    given_up = len(history) - place - 1
    return Found(
        wrong=case.wrong,
        located_by=located_by,
        evidence=tuple(line for line in case.evidence if line),
        target=_target(culprit),
        culprit_xid=culprit.xid,
        culprit_at=culprit.at,
        newest_kept_xid=kept.xid if kept else None,
        newest_kept_at=kept.at if kept else None,
        newest_kept_lsn=str(kept.lsn) if kept else None,
        given_up=given_up,
        probes=probes,
    )


def _target(commit: Commit) -> Target:
    return Target(
        kind="before commit",
        xid=commit.xid,
        lsn=str(commit.lsn),
        at=commit.at,
        sentence=f"just before {commit}",
    )
