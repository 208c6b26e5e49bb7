"""Where the time of a restore went, phase by phase, against its limit."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.charts.theme import (
    ALERT,
    INK,
    MAIN,
    PALE,
    RULE,
    SOFT,
    WIDTH_PT,
    heading,
    line,
    page,
    theme,
    words_only,
)
from runbook.charts.words import clock_text, clock_unit, seconds_text, share_text
from runbook.charts.workload import workload_around
from runbook.values import Phase, skipped_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["rto_by_phase", "workload_around"]

_NAME, _UNKNOWN = "rto-by-phase", "RTO not measured"
_HEAD_PT, _ROW_PT, _STRIP_PT = 46.0, 21.0, 66.0
_LINE_PT, _BAR_PT = 12.5, 11.0
_NAME_LETTERS = 20
_BARS_FROM, _BARS_TO = 122.0, 278.0
_ROWS_AT_MOST = 12


@dataclass(frozen=True)
class _Row:
    """One phase on the page: when it began, how long it took, and whether it is a single phase."""

    name: str
    began_s: float
    seconds: float
    single: bool = True

    @property
    def lines(self) -> list[str]:
        return textwrap.wrap(self.name, _NAME_LETTERS, max_lines=2, placeholder=" …") or ["(no name)"]

    @property
    def height_pt(self) -> float:
        return _ROW_PT + _LINE_PT * (len(self.lines) - 1)


def rto_by_phase(phases: Sequence[Phase], *, limit_s: float) -> Figure:
    """Draw the phases of a restore one after the other, in real time, and their sum against the limit.

    A drill takes seconds and its limit is an hour, so the phases have a scale of their own and a strip
    below shows the sum on the scale of the limit. `limit_s` is above zero; ValueError otherwise. Where the
    restore was skipped, or left no phase, the figure says so in words.
    """
    if why := skipped_input((phases, limit_s)):
        return words_only(_NAME, _UNKNOWN, why)
    if limit_s <= 0:
        raise ValueError(f"a limit is above zero seconds, not {limit_s:g}")
    if not phases:
        return words_only(_NAME, _UNKNOWN, f"no phase is on record; the limit is {seconds_text(limit_s)}")
    rows = _rows(phases)
    total_s = sum(row.seconds for row in rows)
    height_pt = _HEAD_PT + sum(row.height_pt for row in rows) + _ROW_PT + _STRIP_PT
    with theme():
        figure, canvas = page(height_pt, name=_NAME)
        each = f"{clock_unit(total_s)}; each phase begins where the last one ended"
        heading(canvas, _title(total_s=total_s, limit_s=limit_s), each)
        top = _waterfall(canvas, rows, total_s=total_s)
        top = _sum_row(canvas, top, total_s=total_s)
        _limit_strip(canvas, top, total_s=total_s, limit_s=limit_s)
    figure.set_label(_sentence(rows, total_s=total_s, limit_s=limit_s))
    return figure


def _rows(phases: Sequence[Phase]) -> list[_Row]:
    """Place the phases in time; of very many, the shortest are drawn as one row at the end."""
    many = len(phases) > _ROWS_AT_MOST
    by_length = sorted(range(len(phases)), key=lambda place: phases[place].seconds)
    short = set(by_length[: len(phases) - _ROWS_AT_MOST + 1]) if many else set()
    rows, began_s = [], 0.0
    for place, phase in enumerate(phases):
        if place not in short:
            rows.append(_Row(phase.name, began_s, max(0.0, phase.seconds)))
            began_s += rows[-1].seconds
    if short:
        rest_s = sum(max(0.0, phases[place].seconds) for place in short)
        rows.append(_Row(f"{len(short)} shorter phases", began_s, rest_s, single=False))
    return rows


def _title(*, total_s: float, limit_s: float) -> str:
    if total_s >= limit_s:
        return f"RTO {seconds_text(total_s)}, over the limit of {seconds_text(limit_s)}"
    return f"RTO {seconds_text(total_s)} of {seconds_text(limit_s)} allowed"


def _waterfall(canvas: Axes, rows: Sequence[_Row], *, total_s: float) -> float:
    """Draw a row per phase; return where they end, in points from the top."""
    longest_s = max((row.seconds for row in rows if row.single), default=0.0)
    per_second = (_BARS_TO - _BARS_FROM) / total_s if total_s else 0.0
    top = _HEAD_PT
    for row in rows:
        middle, end = top + _ROW_PT / 2, _BARS_FROM + (row.began_s + row.seconds) * per_second
        longest = row.single and row.seconds == longest_s > 0
        _bar(canvas, end - row.seconds * per_second, end, middle, colour=MAIN if longest else PALE)
        # The thread to the next row: where this phase ended is where the next begins.
        canvas.plot([end, end], [middle, top + row.height_pt + _ROW_PT / 2], color=RULE, lw=0.8, zorder=1)
        for number, words in enumerate(row.lines):
            line(canvas, 0, middle + number * _LINE_PT, words, bold=longest)
        line(canvas, WIDTH_PT, middle, clock_text(row.seconds, of_s=total_s), bold=longest, align="right")
        top += row.height_pt
    return top


def _sum_row(canvas: Axes, top: float, *, total_s: float) -> float:
    middle = top + _ROW_PT / 2
    canvas.plot([0, WIDTH_PT], [top, top], color=RULE, lw=0.8)
    line(canvas, 0, middle, "in all", bold=True)
    if total_s:
        _bar(canvas, _BARS_FROM, _BARS_TO, middle, colour=INK, height=3.0)
    line(canvas, WIDTH_PT, middle, clock_text(total_s, of_s=total_s), bold=True, align="right")
    return top + _ROW_PT


def _limit_strip(canvas: Axes, top: float, *, total_s: float, limit_s: float) -> None:
    """Draw the sum on the scale of the limit, with its share written out."""
    over = total_s >= limit_s
    per_second = WIDTH_PT / max(total_s, limit_s)
    at_limit, at_total = limit_s * per_second, total_s * per_second
    share = f"{share_text(total_s / limit_s)} of the limit"
    line(canvas, 0, top + 22, share, bold=True, colour=ALERT if over else INK)
    middle = top + 38
    canvas.barh(middle, at_limit, height=9, color="none", edgecolor=SOFT, lw=0.8)
    if total_s:
        # Nothing thinner than a hair is seen: the mark says "here", the words above say how much.
        canvas.barh(middle, max(min(at_total, at_limit), 1.0), height=9, color=MAIN)
    if over:
        beyond: dict[str, Any] = {
            "left": at_limit,
            "height": 9,
            "color": "none",
            "edgecolor": ALERT,
            "hatch": "////",
            "lw": 0.8,
        }
        canvas.barh(middle, at_total - at_limit, **beyond)
        canvas.plot([at_limit] * 2, [middle - 8, middle + 8], color=INK, lw=1.5)
    line(canvas, 0, top + 54, "0", colour=SOFT)
    label = f"{seconds_text(limit_s)}, the limit"
    line(canvas, max(at_limit, 90.0), top + 54, label, colour=SOFT, align="right")


def _bar(
    canvas: Axes, left: float, right: float, middle: float, *, colour: str, height: float = _BAR_PT
) -> None:
    canvas.barh(middle, max(right - left, 0.6), left=left, height=height, color=colour, zorder=2)


def _sentence(rows: Sequence[_Row], *, total_s: float, limit_s: float) -> str:
    within = "over" if total_s >= limit_s else "within"
    parts = ", ".join(f"{row.name} {seconds_text(row.seconds)}" for row in rows)
    return (
        f"Recovery took {seconds_text(total_s)}, {within} the limit of {seconds_text(limit_s)} "
        f"({share_text(total_s / limit_s)} of it), by phase: {parts}."
    )
