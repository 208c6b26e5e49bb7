"""The runs in outputs/ as lines of the index: state, words, who, and whether a person is needed."""

from __future__ import annotations

import os
import re
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
from runbook.summary import Number, Summary

REPORT, SANDBOX = "report.html", "sandbox"
# The machine's time in the name of a run that nobody named by hand.
_STAMP = re.compile(r"-(\d{8}T\d{6}Z)-[0-9a-f]{4,}$")

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
    """One run as the index shows it; `at` is when it was really begun, else when its folder last changed.

    `calendar` says what a rehearsal's own clock showed; `numbers` are those that have a limit.
    """

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
    calendar: str = ""
    numbers: tuple[Number, ...] = ()

    @property
    def day(self) -> str:
        return self.at.date().isoformat()


def run_folders(outputs: Path) -> Iterable[Path]:
    """Yield every run's folder, in no order."""
    with os.scandir(outputs) as entries:
        for entry in entries:
            # A link that leads nowhere was a run's folder once: it is named too.
            if not entry.name.startswith(".") and (entry.is_dir() or entry.is_symlink()):
                yield outputs / entry.name


def read_run(folder: Path) -> RunLine:
    """Return the line of one run from its summary, and from its journal where that has gone on since."""
    return read_settled(folder)[0]


def read_settled(folder: Path) -> tuple[RunLine, bool]:
    """Return the line of one run, and whether it stays so while its files do not change."""
    ends = read_ends(folder / JOURNAL)
    line = _summarized(folder, ends)
    if ends is None or ends.settled:
        return line, line.look is not UNKNOWN
    return _gone_on(folder, line, ends), False


def _summarized(folder: Path, ends: Ends | None) -> RunLine:
    try:
        return _told(folder, Summary.model_validate_json((folder / SUMMARY).read_bytes()), ends)
    except FileNotFoundError:
        return _unknown(folder, "no summary: what became of this run is unknown", ends)
    except OSError as error:
        return _unknown(folder, f"the summary cannot be read: {error.strerror or error}", ends)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "as a whole"
        return _unknown(folder, f"the summary cannot be read: {where}: {first['msg']}", ends)


def _told(folder: Path, summary: Summary, ends: Ends | None) -> RunLine:
    look = look_of(summary)
    needs = tuple(_needs(summary, look))
    return RunLine(
        folder=folder.name,
        look=look,
        verdict=summary.verdict or "No verdict is on record.",
        at=_made_at(folder, summary, ends),
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
        safety=safety(summary)[1] if needs else "",
        type_next=_type_next(summary, needs),
        calendar=_calendar(summary),
        numbers=tuple(number for number in summary.numbers.values() if number.limit is not None),
    )


def _made_at(folder: Path, summary: Summary, ends: Ends | None) -> datetime:
    """Return when a run was begun by the machine's clock; a rehearsal's own times are its world's."""
    if ends is None:
        return summary.opened_at.astimezone(UTC) if summary.calendar_s is None else _stamped(folder)
    return _begun(folder, ends)


def _begun(folder: Path, ends: Ends) -> datetime:
    if ends.made_at is not None:
        return ends.made_at.astimezone(UTC)
    return _stamped(folder) if ends.opened.get("clock") == "world" else ends.opened_at.astimezone(UTC)


def _stamped(folder: Path) -> datetime:
    """Return the time in a run's name; of one that was named by hand, when its folder last changed."""
    found = _STAMP.search(folder.name)
    try:
        return (
            datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) if found else _changed(folder)
        )
    except ValueError:
        return _changed(folder)


def _changed(folder: Path) -> datetime:
    try:
        return datetime.fromtimestamp(folder.lstat().st_mtime, UTC)
    except OSError:
        return datetime.fromtimestamp(0, UTC)


def _calendar(summary: Summary) -> str:
    if summary.calendar_s is None:
        return ""
    began = f"{summary.opened_at.astimezone(UTC):%a %Y-%m-%d %H:%M}"
    return f"rehearsed {seconds_text(summary.calendar_s)} from {began}"


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
    if not needs:
        return ""
    if "signature" in needs:
        return handover(summary).next[0].type
    if needs == ("review",):
        return handover(summary).next[-1].type
    return f"runbook status {summary.run_id}"


def _unknown(folder: Path, why: str, ends: Ends | None) -> RunLine:
    line = RunLine(folder.name, UNKNOWN, why, _changed(folder), link=_link(folder))
    if ends is None:
        return line
    words = {name: str(ends.opened.get(name, "")) for name in ("runbook", "environment", "mode", "opened_by")}
    status = f"runbook status {folder.name}"
    return replace(line, at=_begun(folder, ends), needs=("unknown",), type_next=status, **words)  # type: ignore[arg-type]


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
    clock = " by its world's clock" if ends.opened.get("clock") == "world" else ""
    last = f"the last line of its journal is of {utc(ends.at)}{clock}"
    stopped = f"Nobody executes it, and it came to no end; {last}."
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
