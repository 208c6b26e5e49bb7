"""How each runbook has been going: its last outcomes as a strip, its numbers that have a limit as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from runbook.charts.words import count_text, quantity_text
from runbook.report.runs import SANDBOX, RunLine
from runbook.report.view import RUNS, WORST_FIRST, Tone
from runbook.summary import Number

LAST, NUMBERS_AT_MOST = 30, 2
# How high a cell of the strip stands, of 16: the worse an end, the higher, so that colour never stands alone.
_HEIGHT: dict[Tone, int] = {"good": 5, "busy": 5, "unknown": 5, "wait": 9, "stop": 12, "bad": 16}
_CELL, _WIDE, _HIGH = 6, 180, 64
_PASSING = (RUNS["running"], RUNS["abandoned"])  # no ends


@dataclass(frozen=True)
class Course:
    """One number over a runbook's last runs: its last value, between what it lay, and the line as SVG."""

    title: str
    last: str
    range: str
    svg: Markup


@dataclass(frozen=True)
class Trend:
    """A runbook in an environment: how many runs there are, the strip of the last ones, its numbers."""

    runbook: str
    environment: str
    runs: int
    strip: Markup
    courses: tuple[Course, ...]


def trends(lines: Iterable[RunLine]) -> list[Trend]:
    """Return a trend for each runbook and environment with a run that ended; the real ones stand first."""
    found: dict[tuple[str, str], list[RunLine]] = {}
    for line in lines:
        if line.runbook and line.look not in _PASSING:
            found.setdefault((line.environment, line.runbook), []).append(line)
    order = sorted(found, key=lambda name: (name[0] == SANDBOX, name))
    return [_trend(*name, found[name]) for name in order]


def _trend(environment: str, runbook: str, lines: list[RunLine]) -> Trend:
    last = lines[:LAST][::-1]
    return Trend(runbook, environment, len(lines), _strip(last), tuple(_courses(last)))


def _strip(lines: Sequence[RunLine]) -> Markup:
    """Draw outcomes from left to right, the last one at the right."""
    found = Counter(line.look for line in lines)
    counts = ", ".join(f"{found[look]} {look.word.lower()}" for look in WORST_FIRST if look in found)
    says = f"The last {count_text(len(lines), 'run')}: {counts}; the last one {lines[-1].look.word.lower()}."
    cells = Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
            line.look.tone, place * _CELL, 16 - _HEIGHT[line.look.tone], _CELL - 1, _HEIGHT[line.look.tone]
        )
        for place, line in enumerate(lines, start=LAST - len(lines))
    )
    return _svg(cells, says, css="strip", height=17)


def _courses(lines: Sequence[RunLine]) -> Iterable[Course]:
    """Yield the course of the numbers that the newest runs put on record."""
    titles = list(dict.fromkeys(number.title for line in reversed(lines) for number in line.numbers))
    for title in titles[:NUMBERS_AT_MOST]:
        numbers = [number for line in lines for number in line.numbers if number.title == title]
        known = [number for number in numbers if number.value is not None]
        if known:
            yield _course(title, [number.value or 0.0 for number in known], known[-1])


def _course(title: str, values: list[float], last: Number) -> Course:
    lowest, highest = (quantity_text(value, last.unit) for value in (min(values), max(values)))
    limit = quantity_text(last.limit, last.unit)
    newest = quantity_text(values[-1], last.unit)
    over = f"{title} over {count_text(len(values), 'run')}"
    says = f"{over}: between {lowest} and {highest}, last {newest}; limit {limit}."
    between = f"{lowest} to {highest} · " if lowest != highest else ""
    return Course(title, newest, f"{between}limit {limit}", _line(values, last.limit, says))


def _line(values: list[float], limit: float | None, says: str) -> Markup:
    """Draw values from nothing upwards; the limit is drawn where it is near enough to be seen."""
    highest = max(*values, 0.0)
    near = limit is not None and 0 < limit <= 2 * highest
    top = max(highest, limit or 0.0 if near else 0.0) or 1.0
    step = (_WIDE - 12) / max(1, len(values) - 1)
    points = [
        (6 + place * step, _HIGH - 6 - max(0.0, value) / top * (_HIGH - 12))
        for place, value in enumerate(values)
    ]
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    parts = [Markup('<path class="ground" d="M0 {0}H{1}"/>').format(_HIGH - 6, _WIDE)]
    if near and limit is not None:
        y = f"{_HIGH - 6 - limit / top * (_HIGH - 12):.1f}"
        parts.append(Markup('<path class="limit" d="M0 {0}H{1}"/>').format(y, _WIDE))
    parts.append(Markup('<polyline points="{}"/>').format(drawn))
    x, y_last = points[-1]
    parts.append(Markup('<circle cx="{}" cy="{}" r="5"/>').format(f"{x:.1f}", f"{y_last:.1f}"))
    return _svg(Markup("").join(parts), says, css="course", height=_HIGH)


def _svg(content: Markup, says: str, *, css: str, height: int) -> Markup:
    head = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return head.format(css, _WIDE, height, escape(says)) + content + Markup("</svg>")
