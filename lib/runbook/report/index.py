"""index.html over all runs: newest first, with state, verdict and report; a broken folder is named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from runbook.charts.words import seconds_text
from runbook.errors import UnknownName
from runbook.files import write_atomically
from runbook.report.pages import environment
from runbook.report.record import SUMMARY
from runbook.report.view import RUNS, UNKNOWN, WORST_FIRST, Look, look_of
from runbook.summary import Summary

INDEX, REPORT = "index.html", "report.html"


@dataclass(frozen=True)
class RunLine:
    """One run as the index shows it; `at` is when it was opened, else when its folder last changed."""

    folder: str
    look: Look
    verdict: str
    at: datetime
    link: str = ""
    runbook: str = ""
    environment: str = ""
    mode: str = ""
    opened_by: str = ""
    took: str = "–"
    signature: str = ""

    @property
    def day(self) -> str:
        return f"{self.at:%Y-%m-%d}"


def write_index(outputs: Path) -> Path:
    """Write index.html over the runs in `outputs`, whole or not at all; return its path.

    A folder that cannot be read is listed as unknown, with what is wrong with it. Raises UnknownName when
    `outputs` is no folder, OSError when the index cannot be written.
    """
    if not outputs.is_dir():
        raise UnknownName(f"{outputs} is no folder; runs leave their folders in outputs/")
    path = outputs / INDEX
    write_atomically(path, render(read_runs(outputs)))
    return path


def read_runs(outputs: Path) -> list[RunLine]:
    """Return a line for every run folder, newest first; never raises for what is in them."""
    lines = [read_run(folder) for folder in _folders(outputs)]
    return sorted(lines, key=lambda line: (line.at, line.folder), reverse=True)


def _folders(outputs: Path) -> Iterable[Path]:
    for path in outputs.iterdir():
        # A link that leads nowhere was a run's folder once: it is named too.
        if not path.name.startswith(".") and (path.is_dir() or path.is_symlink()):
            yield path


def read_run(folder: Path) -> RunLine:
    """Return the line of one run from its summary alone."""
    try:
        summary = Summary.model_validate_json((folder / SUMMARY).read_bytes())
    except FileNotFoundError:
        return _unknown(folder, "no summary: what became of this run is unknown")
    except OSError as error:
        return _unknown(folder, f"the summary cannot be read: {error.strerror or error}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "as a whole"
        return _unknown(folder, f"the summary cannot be read: {where}: {first['msg']}")
    return RunLine(
        folder=folder.name,
        look=look_of(summary),
        verdict=summary.verdict or "No verdict is on record.",
        at=summary.opened_at.astimezone(UTC),
        link=_link(folder),
        runbook=summary.runbook,
        environment=summary.environment,
        mode=summary.mode,
        opened_by=summary.opened_by,
        took="–" if summary.wall_s is None else seconds_text(summary.wall_s),
        signature=summary.signature,
    )


def _unknown(folder: Path, why: str) -> RunLine:
    try:
        changed_s = folder.lstat().st_mtime
    except OSError:
        changed_s = 0.0
    return RunLine(folder.name, UNKNOWN, why, datetime.fromtimestamp(changed_s, UTC), link=_link(folder))


def _link(folder: Path) -> str:
    try:
        there = (folder / REPORT).is_file()
    except OSError:
        there = False
    return f"./{quote(folder.name.encode('utf-8', 'surrogateescape'))}/{REPORT}" if there else ""


def render(lines: list[RunLine]) -> str:
    """Return the index of these lines, which are newest first, as HTML."""
    found = Counter(line.look for line in lines)
    counts = [(look, found[look]) for look in WORST_FIRST if look in found]
    days = [(day, list(group)) for day, group in groupby(lines, key=lambda line: line.day)]
    urgent = [line for line in lines if line.look is RUNS["left in between"]]
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            days=days,
            counts=counts,
            urgent=urgent,
            unsigned=sum(line.signature == "unsigned" for line in lines),
        )
    )
