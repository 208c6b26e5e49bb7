"""What the report says, worked out before any HTML is written: looks, facts, tiles, groups, bars."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from runbook.charts.words import clock_text, count_text, quantity_text, seconds_text, share_text
from runbook.summary import CheckLine, Number, RunStatus, StepLine, StepStatus, Summary
from runbook.values import Phase, Status

Tone = Literal["good", "bad", "stop", "wait", "busy", "unknown"]

CHECKS_OPEN, CHECKS_AT_MOST = 12, 500


@dataclass(frozen=True)
class Look:
    """How a state is shown: a word, a sign and a tone, so that colour never stands alone."""

    word: str
    sign: str
    tone: Tone


UNKNOWN = Look("Unknown", "question", "unknown")
CONTRADICTORY = Look("Contradictory record", "cross", "bad")
PLANNED = Look("Planned only", "plan", "busy")
RUNS: dict[RunStatus, Look] = {
    "done": Look("Done", "check", "good"),
    "no-go": Look("No-go", "bar", "stop"),
    "failed": Look("Failed", "cross", "bad"),
    "left in between": Look("Left in between", "alert", "bad"),
    "parked": Look("Parked", "pause", "wait"),
    "running": Look("Running", "play", "busy"),
    "abandoned": Look("Abandoned", "skip", "unknown"),
}
WORST_FIRST: tuple[Look, ...] = (
    *(RUNS["left in between"], CONTRADICTORY, RUNS["failed"], RUNS["no-go"]),
    *(UNKNOWN, RUNS["parked"], RUNS["running"], PLANNED, RUNS["done"], RUNS["abandoned"]),
)
STEPS: dict[StepStatus, Look] = {
    "done": Look("done", "check", "good"),
    "failed": Look("failed", "cross", "bad"),
    "skipped": Look("skipped", "skip", "unknown"),
    "waiting": Look("waiting", "pause", "wait"),
    "unknown": Look("unknown", "question", "wait"),
}
CHECKS: dict[Status, Look] = {
    "passed": Look("passed", "check", "good"),
    "failed": Look("failed", "cross", "bad"),
    "not checked": Look("not checked", "question", "wait"),
}
_UNENDED = ("skipped", "unknown", "waiting")  # what they took says nothing
_SETTLED = ("applied", "was in place", "undone", "stays")
_CHECKS_WORST_FIRST: tuple[Status, ...] = ("failed", "not checked", "passed")


def look_of(summary: Summary | None) -> Look:
    """Return how the run as a whole is shown; it never looks better than its parts."""
    if summary is None:
        return UNKNOWN
    if contradictions(summary):
        return CONTRADICTORY
    if summary.status == "done" and summary.mode == "plan":
        return PLANNED
    return RUNS[summary.status]


def contradictions(summary: Summary) -> list[str]:
    """Return what in the summary of a run that calls itself done says otherwise."""
    if summary.status != "done":
        return []
    failed = sum(check.status == "failed" for check in summary.checks)
    unended = [step.title for step in summary.steps if step.status in ("failed", "unknown", "waiting")]
    doubtful = [line.sentence for line in summary.changes if line.status not in _SETTLED]
    found = []
    if summary.exit_code:
        found.append(f"its exit code is {summary.exit_code}")
    if failed:
        found.append(f"{count_text(failed, 'check')} failed")
    if unended:
        found.append(f"a step did not end well: “{unended[0]}”")
    if doubtful:
        found.append(f"a change is in doubt: “{doubtful[0]}”")
    return [f"The summary calls this run done, yet {what}. Treat it as failed." for what in found]


def gaps(summary: Summary | None, *, not_run: int, cells: int) -> list[str]:
    """Return what a reader would look for and not find, and what does not fit together."""
    found = [*_lost(summary), *contradictions(summary)] if summary else []
    if summary and not summary.numbers and summary.status in ("done", "no-go", "failed", "running"):
        found.append("No number is on record: a runbook writes its numbers with its last step.")
    if not_run:
        found.append(
            f"{not_run} of the notebook’s {count_text(cells, 'cell')} did not run; they are marked below."
        )
    return found


def _lost(summary: Summary) -> list[str]:
    if not summary.lost_lines:
        return []
    lines = "1 line" if summary.lost_lines == 1 else f"{summary.lost_lines:,} lines"
    return [
        f"The evidence is incomplete: {lines} of the journal could not be written during a rollback. "
        "What was done then was told on stderr and stands nowhere in this record: "
        "look at the resources themselves."
    ]


def utc(when: datetime | None) -> str:
    """Return a time as the report writes it, to the second; None reads as a dash."""
    return "–" if when is None else f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def facts(summary: Summary) -> list[tuple[str, str]]:
    """Return the line of facts under the verdict."""
    mode = {"apply": "apply", "plan": "plan: nothing was changed"}[summary.mode]
    ended = "not ended" if summary.ended_at is None else utc(summary.ended_at)
    return [
        ("Run", summary.run_id),
        ("Runbook", summary.runbook),
        ("Environment", summary.environment),
        ("Mode", mode),
        ("Opened by", summary.opened_by),
        ("Began", utc(summary.opened_at)),
        ("Ended", ended),
        ("Took", "not known" if summary.wall_s is None else seconds_text(summary.wall_s)),
        *_calendar(summary),
        ("Record", summary.signature),
    ]


def _calendar(summary: Summary) -> list[tuple[str, str]]:
    if summary.calendar_s is None:
        return []
    return [("Rehearsed", f"{seconds_text(summary.calendar_s)} of the world's clock")]


@dataclass(frozen=True)
class Tile:
    """A number against its limit: `share` of the limit's bar is filled, at most all of it."""

    title: str
    value: str
    limit: str
    look: Look
    percent: float


def tiles(numbers: Sequence[Number]) -> list[Tile]:
    """Return the numbers that have a limit, as tiles."""
    return [_tile(number, number.limit) for number in numbers if number.limit is not None]


def _tile(number: Number, limit: float) -> Tile:
    of_limit = f"limit {quantity_text(limit, number.unit)}"
    if number.value is None:
        return Tile(number.title, "not measured", of_limit, Look("not measured", "question", "wait"), 0.0)
    over = number.value >= limit
    look = Look("over the limit", "cross", "bad") if over else Look("within the limit", "check", "good")
    share = number.value / limit if limit > 0 else float(over)
    text = f"{share_text(share)} of {quantity_text(limit, number.unit)}" if limit > 0 else of_limit
    value = quantity_text(number.value, number.unit)
    return Tile(number.title, value, text, look, min(100.0, max(0.0, share * 100)))


def figures(numbers: Sequence[Number]) -> list[tuple[str, str]]:
    """Return the numbers without a limit: sizes, counts, rates."""
    return [(n.title, quantity_text(n.value, n.unit)) for n in numbers if n.limit is None]


@dataclass(frozen=True)
class CheckGroup:
    """The checks of one step, worst first: those in sight, those folded away, and how many are not here."""

    step: str
    tally: str
    look: Look
    open: tuple[CheckLine, ...]
    folded: tuple[CheckLine, ...]
    left_out: int


def check_groups(checks: Sequence[CheckLine]) -> list[CheckGroup]:
    """Return the checks by step; steps with failures first, otherwise in the order of the run."""
    by_step: dict[str, list[CheckLine]] = {}
    for check in checks:
        by_step.setdefault(check.step, []).append(check)
    groups = [_group(step, lines) for step, lines in by_step.items()]
    return sorted(groups, key=lambda group: group.look.tone != "bad")


def _group(step: str, lines: Sequence[CheckLine]) -> CheckGroup:
    ordered = sorted(lines, key=lambda line: _CHECKS_WORST_FIRST.index(line.status))
    worst = ordered[0].status
    noticed = sum(line.status != "passed" for line in ordered)
    # What did not pass stays in sight, however much it is; what passed is folded when it is long.
    long = len(ordered) > CHECKS_OPEN + 3
    in_sight = min(CHECKS_AT_MOST, max(noticed, CHECKS_OPEN) if long else len(ordered))
    return CheckGroup(
        step=step,
        tally=tally(lines),
        look=CHECKS[worst],
        open=tuple(ordered[:in_sight]),
        folded=tuple(ordered[in_sight:CHECKS_AT_MOST]),
        left_out=max(0, len(ordered) - CHECKS_AT_MOST),
    )


def tally(checks: Sequence[CheckLine]) -> str:
    """Return how many checks there are of each kind, worst first; "no checks" when there are none."""
    counts = [(status, sum(check.status == status for check in checks)) for status in _CHECKS_WORST_FIRST]
    return ", ".join(f"{count:,} {status}" for status, count in counts if count) or "no checks"


@dataclass(frozen=True)
class Bar:
    """A stretch of time with its share of the whole, for a bar of `percent` width."""

    name: str
    text: str
    share: str
    percent: float


def time_bars(times: Sequence[Phase], wall_s: float | None, *, waited: bool = False) -> list[Bar]:
    """Return where the wall time went; what nobody accounts for is a bar of its own.

    `waited` says that the run may have been parked: then that is where such time went.
    """
    parts = list(times)
    known_s = sum(phase.seconds for phase in parts)
    whole_s = max(wall_s or 0.0, known_s)
    if parts and whole_s - known_s > max(0.05, whole_s * 0.005):
        rest = "parked, or between its processes" if waited else "not accounted for"
        parts.append(Phase(name=rest, seconds=whole_s - known_s))
    return [_bar(phase, whole_s) for phase in parts]


def _bar(phase: Phase, whole_s: float) -> Bar:
    share = phase.seconds / whole_s if whole_s > 0 else 0.0
    return Bar(
        phase.name,
        clock_text(phase.seconds, of_s=whole_s),
        share_text(share),
        max(0.0, min(100.0, share * 100)),
    )


@dataclass(frozen=True)
class StepRow:
    """One step as the table shows it."""

    number: int
    line: StepLine
    look: Look
    began: str
    took: str
    percent: float
    phases: str


def step_rows(steps: Sequence[StepLine]) -> list[StepRow]:
    """Return the steps in order, each with a bar on the scale of the longest."""
    longest_s = max((step.seconds for step in steps), default=0.0)
    return [
        StepRow(
            number=number,
            line=step,
            look=STEPS[step.status],
            began=f"{step.began_at.astimezone(UTC):%H:%M:%S}",
            took="–" if step.status in _UNENDED else seconds_text(step.seconds),
            percent=step.seconds / longest_s * 100 if longest_s > 0 and step.status not in _UNENDED else 0.0,
            phases=" · ".join(f"{phase.name} {seconds_text(phase.seconds)}" for phase in step.phases),
        )
        for number, step in enumerate(steps, start=1)
    ]


def json_text(value: object) -> str:
    """Return a parameter as its file would write it, bare text without quotes."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
