"""The last rehearsal on one page: each drill, what was expected, what came of it, how long it took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from runbook.charts.words import count_text, seconds_text
from runbook.files import write_atomically
from runbook.report.pages import environment
from runbook.report.view import RUNS, Look, look_of
from runbook.summary import RunStatus, Summary

REHEARSAL, TIMES = "rehearsal.html", ".rehearsal.json"
NOT_RUN: Final = Look("Not run", "cross", "bad")


@dataclass(frozen=True)
class Drilled:
    """One drill as it came out; `why` is empty when it is as expected. `runs` counts those before it, too."""

    runbook: str
    scenario: str
    proves: str
    expected: RunStatus
    summary: Summary | None
    runs: int
    seconds: float
    why: str

    @property
    def look(self) -> Look:
        return NOT_RUN if self.summary is None else look_of(self.summary)

    @property
    def wanted(self) -> Look:
        return RUNS[self.expected]

    @property
    def took(self) -> str:
        return seconds_text(self.seconds)

    @property
    def link(self) -> str:
        return f"./{quote(self.summary.run_id)}/report.html" if self.summary else ""


def write_rehearsal(
    outputs: Path, drills: Sequence[Drilled], *, at: datetime, took_s: float, jobs: int
) -> Path:
    """Write rehearsal.html into outputs/, and what each drill took beside it; return the page's path.

    `at` is when the rehearsal began, `took_s` what it took as a whole. Raises OSError.
    """
    path = outputs / REHEARSAL
    page = environment().get_template("rehearsal.html.j2")
    failed = [drill for drill in drills if drill.why]
    runs, alone_s = sum(drill.runs for drill in drills), sum(drill.seconds for drill in drills)
    write_atomically(
        path,
        page.render(
            runbooks=_by_runbook(drills),
            failed=failed,
            verdict=verdict(drills),
            at=at,
            facts=(
                f"{count_text(runs, 'run')} in {seconds_text(took_s)}, {jobs} at a time; "
                f"the drills’ own times add up to {seconds_text(alone_s)}"
            ),
        ),
    )
    _remember(outputs, drills)
    return path


def verdict(drills: Sequence[Drilled]) -> str:
    """Return what a rehearsal came to, in a sentence."""
    failed = sum(bool(drill.why) for drill in drills)
    if failed:
        return f"{failed} of {count_text(len(drills), 'drill')} did not end as expected."
    every = "The one drill" if len(drills) == 1 else f"All {count_text(len(drills), 'drill')}"
    return f"{every} ended as expected."


def read_times(outputs: Path) -> dict[str, float]:
    """Return the seconds that each drill took the last time, by "runbook: scenario"; empty when unknown."""
    try:
        found = json.loads((outputs / TIMES).read_bytes())
        return {str(name): float(seconds) for name, seconds in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _remember(outputs: Path, drills: Iterable[Drilled]) -> None:
    """Keep what drills took; one that did not end as expected says nothing of that."""
    took: Mapping[str, float] = {
        f"{drill.runbook}: {drill.scenario}": round(drill.seconds, 1) for drill in drills if not drill.why
    }
    with suppress(OSError):  # it only orders the next rehearsal
        write_atomically(outputs / TIMES, json.dumps({**read_times(outputs), **took}, indent=1) + "\n")


def _by_runbook(drills: Iterable[Drilled]) -> dict[str, list[Drilled]]:
    found: dict[str, list[Drilled]] = {}
    for drill in drills:
        found.setdefault(drill.runbook, []).append(drill)
    return found
