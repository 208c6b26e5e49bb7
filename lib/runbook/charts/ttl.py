"""When caches let go of a zone's old answers, TTL by TTL, and what a switch of nameservers adds to it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from runbook.charts.theme import INK, MAIN, PALE, RULE, SOFT, WIDTH_PT, heading, line, page, theme, words_only
from runbook.charts.words import count_text, seconds_text
from runbook.values import skipped_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAME, _UNKNOWN = "ttl-timeline", "Caches not known"
_HEAD_PT, _ROW_PT, _LINE_PT, _BAR_PT, _AXIS_PT, _STRIP_PT = 46.0, 21.0, 12.5, 11.0, 40.0, 62.0
_BARS_FROM, _BARS_TO = 122.0, 270.0
_NAME_LETTERS, _ROWS_AT_MOST = 20, 8
_HAIR_PT = 1.0


class OldTtl(Protocol):
    """A record set as caches may hold it: with a TTL of `before_s` seconds, so until `gone_at`."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def before_s(self) -> int: ...
    @property
    def after_s(self) -> int: ...
    @property
    def gone_at(self) -> datetime: ...


@dataclass(frozen=True)
class _Row:
    """Record sets that caches let go of at the same time."""

    text: str
    seconds: float

    @property
    def lines(self) -> list[str]:
        return textwrap.wrap(self.text, _NAME_LETTERS, max_lines=2, placeholder=" …") or ["(no name)"]

    @property
    def height_pt(self) -> float:
        return _ROW_PT + _LINE_PT * (len(self.lines) - 1)


@dataclass(frozen=True)
class _Story:
    """Everything the page shows, in seconds from the lowering."""

    rows: list[_Row]
    gone_s: float
    switch_s: float
    delegation_s: float
    longest_s: float
    began: datetime

    @property
    def span_s(self) -> float:
        return max(self.gone_s, self.switch_s, 1.0)


def ttl_timeline(
    records: Sequence[OldTtl], *, counted_from: datetime, switch_from: datetime, delegation_s: float
) -> Figure:
    """Draw until when caches hold what records said before their TTLs were lowered, the last ones on top.

    Bars begin at `counted_from`, when the lowering was seen; the line is `switch_from`, when the nameservers
    may be switched. Below, on a scale of its own, is what a switch then takes: the delegation's TTL of
    `delegation_s` seconds, and after it the longest record's. Without records, or where the step was skipped,
    the figure says so in words.
    """
    if why := skipped_input((records, counted_from, switch_from, delegation_s)):
        return words_only(_NAME, _UNKNOWN, why)
    if not records:
        return words_only(_NAME, _UNKNOWN, "no record is on record")
    story = _Story(
        rows=_rows(records, counted_from),
        gone_s=max((one.gone_at - counted_from).total_seconds() for one in records),
        switch_s=(switch_from - counted_from).total_seconds(),
        delegation_s=delegation_s,
        longest_s=max(one.after_s for one in records),
        began=counted_from.astimezone(UTC),
    )
    height_pt = _HEAD_PT + sum(row.height_pt for row in story.rows) + _AXIS_PT + _STRIP_PT
    with theme():
        figure, canvas = page(height_pt, name=_NAME)
        heading(canvas, _title(story), f"From the lowering, {story.began:%Y-%m-%d %H:%M} UTC")
        top = _bars(canvas, story)
        _axis(canvas, story, top)
        _switch_strip(canvas, story, top + _AXIS_PT)
    figure.set_label(_sentence(story))
    return figure


def _rows(records: Sequence[OldTtl], counted_from: datetime) -> list[_Row]:
    """Return a row for each time at which something is let go, the latest first; the rest in one."""
    at: dict[datetime, list[OldTtl]] = {}
    for one in records:
        at.setdefault(one.gone_at, []).append(one)
    times = sorted(at, reverse=True)
    rows = [_Row(_who(at[time]), (time - counted_from).total_seconds()) for time in times[:_ROWS_AT_MOST]]
    rest = times[_ROWS_AT_MOST:]
    if rest:
        count = sum(len(at[time]) for time in rest)
        rows.append(
            _Row(f"{count_text(count, 'set')} gone earlier", (rest[0] - counted_from).total_seconds())
        )
    return rows


def _who(sets: Sequence[OldTtl]) -> str:
    if len(sets) == 1:
        return f"{sets[0].name.rstrip('.')} {sets[0].type}"
    return count_text(len(sets), "record set")


def _title(story: _Story) -> str:
    gone, switch = seconds_text(story.gone_s), seconds_text(story.switch_s)
    return f"Old TTLs gone after {gone}, switch after {switch}"


def _bars(canvas: Axes, story: _Story) -> float:
    """Draw a row for each group; return where they end, in points from the top."""
    per_second, top = (_BARS_TO - _BARS_FROM) / story.span_s, _HEAD_PT
    for number, row in enumerate(story.rows):
        middle = top + _ROW_PT / 2
        width = max(row.seconds * per_second, _HAIR_PT)
        canvas.barh(middle, width, left=_BARS_FROM, height=_BAR_PT, color=PALE if number else MAIN, zorder=2)
        for place, words in enumerate(row.lines):
            line(canvas, 0, middle + place * _LINE_PT, words, bold=not number)
        line(canvas, WIDTH_PT, middle, seconds_text(row.seconds), bold=not number, align="right")
        top += row.height_pt
    at = _BARS_FROM + story.switch_s * per_second
    canvas.plot([at, at], [_HEAD_PT - 4, top + 4], color=INK, lw=1.5, zorder=3)
    return top


def _axis(canvas: Axes, story: _Story, top: float) -> None:
    """Write both ends of the scale, and what the line means."""
    canvas.plot([_BARS_FROM, _BARS_TO], [top + 4, top + 4], color=RULE, lw=0.8)
    line(canvas, _BARS_FROM, top + 14, "0", colour=SOFT)
    line(canvas, _BARS_TO, top + 14, seconds_text(story.span_s), colour=SOFT, align="right")
    when = story.began + timedelta(seconds=story.switch_s)
    line(canvas, _BARS_TO, top + 27, f"the line: switch from {when:%m-%d %H:%M} UTC", align="right")


def _switch_strip(canvas: Axes, story: _Story, top: float) -> None:
    """Draw what a switch takes until the last cache follows, on a scale of its own."""
    total_s = story.delegation_s + story.longest_s
    per_second = WIDTH_PT / total_s if total_s else 0.0
    line(canvas, 0, top + 12, f"A switch then takes up to {seconds_text(total_s)}", bold=True)
    middle, at = top + 28, story.delegation_s * per_second
    canvas.barh(middle, at, height=_BAR_PT, color=PALE)
    canvas.barh(middle, max(WIDTH_PT - at, _HAIR_PT), left=at - _HAIR_PT, height=_BAR_PT, color=MAIN)
    line(canvas, 0, top + 44, f"the delegation, {seconds_text(story.delegation_s)}", colour=SOFT)
    then = f"then records, {seconds_text(story.longest_s)}"
    line(canvas, WIDTH_PT, top + 44, then, colour=SOFT, align="right")


def _sentence(story: _Story) -> str:
    rows = ", ".join(f"{row.text} {seconds_text(row.seconds)}" for row in story.rows)
    return (
        f"Caches have let go of every old TTL {seconds_text(story.gone_s)} after the lowering, and the "
        f"nameservers may be switched {seconds_text(story.switch_s)} after it; by record set: {rows}. "
        f"A switch then takes up to {seconds_text(story.delegation_s + story.longest_s)}: the delegation is "
        f"kept for {seconds_text(story.delegation_s)}, records after it for {seconds_text(story.longest_s)}."
    )
