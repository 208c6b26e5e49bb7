"""The runs in outputs/ as lines of the index: state, words, who, and whether a person is needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import ValidationError

from runbook.charts.words import seconds_text
from runbook.errors import JournalError
from runbook.handover import handover, safety, unreviewed, waiting_for
from runbook.journal import is_held
from runbook.report.ends import Ends, read_ends
from runbook.report.record import JOURNAL, SUMMARY
from runbook.report.standing import marks
from runbook.report.view import CONTRADICTORY, RUNS, UNKNOWN, Look, look_of, utc
from runbook.summary import Summary

REPORT, SANDBOX = "report.html", "sandbox"

Need = Literal["left in between", "changes in place", "unknown", "signature", "review"]
"""Why a person is needed.

left in between   something is half-done or in doubt, or the record contradicts itself
changes in place  the run did not come to its end, and what it changed is in place
unknown           nobody executes it, and it came to no end
signature         it is parked until somebody signs
review            one person approved alone, and nobody has looked at it since
"""


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
    taken_up_by: str = ""
    took: str = "–"
    signature: str = ""
    waits: str = ""
    marks: tuple[Look, ...] = ()
    needs: tuple[Need, ...] = ()
    glass: str = ""
    safety: str = ""
    type_next: str = ""

    @property
    def day(self) -> str:
        return f"{self.at:%Y-%m-%d}"


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
    """Return the line of one run from its summary, and from its journal where that has gone on since."""
    ends = read_ends(folder / JOURNAL)
    line = _summarized(folder, ends)
    return line if ends is None or ends.settled else _gone_on(folder, line, ends)


def _summarized(folder: Path, ends: Ends | None) -> RunLine:
    try:
        return _told(folder, Summary.model_validate_json((folder / SUMMARY).read_bytes()))
    except FileNotFoundError:
        return _unknown(folder, "no summary: what became of this run is unknown", ends)
    except OSError as error:
        return _unknown(folder, f"the summary cannot be read: {error.strerror or error}", ends)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "as a whole"
        return _unknown(folder, f"the summary cannot be read: {where}: {first['msg']}", ends)


def _told(folder: Path, summary: Summary) -> RunLine:
    look = look_of(summary)
    needs = tuple(_needs(summary, look))
    return RunLine(
        folder=folder.name,
        look=look,
        verdict=summary.verdict or "No verdict is on record.",
        at=summary.opened_at.astimezone(UTC),
        link=_link(folder),
        runbook=summary.runbook,
        environment=summary.environment,
        mode=summary.mode,
        opened_by=summary.opened_by,
        taken_up_by=_other(summary),
        took="–" if summary.wall_s is None else seconds_text(summary.wall_s),
        signature=summary.signature,
        waits=waiting_for(summary) if summary.status == "parked" else "",
        marks=tuple(marks(summary)),
        needs=needs,
        glass="; ".join(approval.break_glass for approval in unreviewed(summary)),
        safety=safety(summary)[1],
        type_next=_type_next(summary, needs),
    )


def _other(summary: Summary) -> str:
    last = summary.taken_up_by[-1] if summary.taken_up_by else ""
    return last if last != summary.opened_by else ""


def _needs(summary: Summary, look: Look) -> Iterator[Need]:
    """Yield why a person is needed; what somebody ended, or a newer drill replaced, is left in peace."""
    safe = safety(summary)[0]
    if look is CONTRADICTORY or (safe == "no" and not summary.terminal):
        yield "left in between"
    elif safe == "look" and not summary.terminal:
        yield "changes in place"
    if summary.status == "parked" and summary.waits_for:
        yield "signature"
    if unreviewed(summary):
        yield "review"


def _type_next(summary: Summary, needs: tuple[Need, ...]) -> str:
    """Return the one command that the index shows: the signing itself, else what answers in full."""
    if "signature" in needs:
        return handover(summary).next[0].type
    if needs == ("review",):
        return handover(summary).next[-1].type
    return f"runbook status {summary.run_id}"


def _unknown(folder: Path, why: str, ends: Ends | None) -> RunLine:
    try:
        changed_s = folder.lstat().st_mtime
    except OSError:
        changed_s = 0.0
    line = RunLine(folder.name, UNKNOWN, why, datetime.fromtimestamp(changed_s, UTC), link=_link(folder))
    if ends is None:
        return line
    words = {name: str(ends.opened.get(name, "")) for name in ("runbook", "environment", "mode", "opened_by")}
    status = f"runbook status {folder.name}"
    return replace(line, at=ends.opened_at.astimezone(UTC), needs=("unknown",), type_next=status, **words)  # type: ignore[arg-type]


def _gone_on(folder: Path, line: RunLine, ends: Ends) -> RunLine:
    """Return the line of a run whose journal went on after its summary: it runs, or it stopped."""
    try:
        held = is_held(folder / JOURNAL)
    except JournalError:
        held = False
    nothing = replace(
        line, waits="", safety="", needs=tuple(need for need in line.needs if need == "review"), took="–"
    )
    if held:
        return replace(nothing, look=RUNS["running"], verdict=f"Running since {utc(line.at)}.")
    stopped = f"Nobody executes it, and it came to no end; the last line of its journal is of {utc(ends.at)}."
    needs: tuple[Need, ...] = ("unknown", *nothing.needs)
    return replace(
        nothing, look=UNKNOWN, verdict=stopped, needs=needs, type_next=f"runbook status {folder.name}"
    )


def _link(folder: Path) -> str:
    try:
        there = (folder / REPORT).is_file()
    except OSError:
        there = False
    return f"./{quote(folder.name.encode('utf-8', 'surrogateescape'))}/{REPORT}" if there else ""
