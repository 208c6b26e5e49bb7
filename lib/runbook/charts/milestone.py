"""A milestone at a glance: what is used of each limit, the budget day by day, the rollout's runs in time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

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
from runbook.charts.words import GAP, share_text
from runbook.values import skipped_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEAD_PT, _ROW_PT, _BAR_PT = 46.0, 36.0, 9.0
_MET, _UNKNOWN = "met", "not known"
_LETTERS: Final = 26


class Limited(Protocol):
    """A criterion with a limit: `share` of 1 is the limit, None is not known; `limit` is its text."""

    @property
    def title(self) -> str: ...
    @property
    def finding(self) -> str: ...
    @property
    def share(self) -> float | None: ...
    @property
    def limit(self) -> str: ...
    @property
    def number(self) -> str: ...


class Counted(Protocol):
    """A day, or a part of one, with its minutes down and without data."""

    @property
    def since(self) -> datetime: ...
    @property
    def until(self) -> datetime: ...
    @property
    def down_min(self) -> float: ...
    @property
    def silent_min(self) -> float: ...


class Stretch(Protocol):
    """A run of the rollout in time; times are None where no record that is relied on tells them."""

    @property
    def title(self) -> str: ...
    @property
    def since(self) -> datetime | None: ...
    @property
    def until(self) -> datetime | None: ...
    @property
    def word(self) -> str: ...
    @property
    def good(self) -> bool: ...


def scorecard(criteria: Sequence[Limited]) -> Figure:
    """Draw how much of each limit is used, all on one scale: the line at the right end is the limit."""
    name, title = "slo-scorecard", "Objectives"
    rows = [] if skipped_input(criteria) else [one for one in criteria if one.limit]
    if not rows:
        return words_only(name, title, skipped_input(criteria) or "no criterion has a limit")
    met = sum(one.finding == _MET for one in rows)
    unknown = sum(one.finding == _UNKNOWN for one in rows)
    head = f"{met} of {len(rows)} objectives met" + (f", {unknown} not known" if unknown else "")
    full = max(1.0, *(one.share or 0.0 for one in rows))
    with theme():
        figure, canvas = page(_HEAD_PT + _ROW_PT * len(rows) + 16, name=name)
        heading(canvas, head, "How much of what is allowed is used")
        for number, one in enumerate(rows):
            _gauge(canvas, _HEAD_PT + _ROW_PT * number, one, full=full)
        floor = _HEAD_PT + _ROW_PT * len(rows)
        line(canvas, WIDTH_PT / full, floor + 6, "the limit", colour=ALERT, align="right")
    figure.set_label(f"{head}: " + "; ".join(map(_gauge_words, rows)) + ".")
    return figure


def _gauge(canvas: Axes, top: float, one: Limited, *, full: float) -> None:
    """Draw one limit: its name and number above a bar, hatched where nothing is known."""
    good = one.finding == _MET
    line(canvas, 0, top + 8, _short(f"{'' if good else '! '}{one.title}"), bold=not good)
    text = one.number if one.share is not None else _UNKNOWN
    line(
        canvas, WIDTH_PT, top + 8, f"{text}, limit {one.limit}", colour=INK if good else ALERT, align="right"
    )
    middle = top + 23
    at = WIDTH_PT / full
    canvas.barh(middle, at, height=_BAR_PT, color="none", edgecolor=RULE, lw=0.8)
    canvas.plot([at, at], [middle - 7, middle + 7], color=ALERT, lw=1.6, zorder=3)
    if one.share is None:
        canvas.barh(middle, at, height=_BAR_PT, color="none", edgecolor=SOFT, hatch="////", lw=0.8)
        return
    length = max(one.share * WIDTH_PT / full, 1.0)
    canvas.barh(middle, length, height=_BAR_PT, color=MAIN if good else ALERT, zorder=2)


def _gauge_words(one: Limited) -> str:
    if one.share is None:
        return f"{one.title} is not known (limit {one.limit})"
    return f"{one.title} {one.number}, {share_text(one.share)} of the limit of {one.limit}, {one.finding}"


def burn_down(days: Sequence[Counted], *, allowed_min: float, month_days: float = 30.0) -> Figure:
    """Draw what is left of a month's budget of bad minutes after each day, and the pace that would use it up.

    The pale band is what silent minutes could have used: data that is missing is not uptime.
    """
    name, title = "burn-down", "Error budget"
    if why := skipped_input(days):
        return words_only(name, title, why)
    if not days:
        return words_only(name, title, "no day is on record")
    began = days[0].since
    at = [0.0, *((one.until - began).total_seconds() / 86400 for one in days)]
    left, worst = [1.0], [1.0]
    for one in days:
        left.append(left[-1] - one.down_min / allowed_min)
        worst.append(worst[-1] - (one.down_min + one.silent_min) / allowed_min)
    low = min(0.0, max(worst[-1], -1.0), max(left[-1], -1.0))
    plot = _Plot(span=at[-1], low=low, high=1.0)
    over = left[-1] <= 0
    head = "Error budget overspent" if over else f"{share_text(left[-1])} of the error budget left"
    with theme():
        figure, canvas = page(190, name=name)
        heading(
            canvas, head, f"Of {allowed_min:.1f} bad minutes in {month_days:g} days, after each day (UTC)"
        )
        plot.frame(canvas, began, days[-1].until)
        x = [plot.across(one) for one in at]
        canvas.fill_between(
            x, [plot.down(one) for one in left], [plot.down(one) for one in worst], color=PALE, lw=0, zorder=1
        )
        even = [plot.down(1.0), plot.down(max(1.0 - at[-1] / month_days, low))]
        canvas.plot([x[0], x[-1]], even, color=SOFT, lw=1.2, dashes=(4, 2), zorder=2)
        colour = ALERT if over else MAIN
        canvas.plot(x, [plot.down(one) for one in left], color=colour, lw=1.8, marker="o", ms=3.5, zorder=3)
        zero = plot.down(0.0)
        canvas.plot([0, plot.width], [zero, zero], color=ALERT, lw=1.2, zorder=2)
        plot.labels(
            canvas,
            (plot.down(left[-1]), f"{share_text(max(left[-1], 0.0))} left", colour),
            (even[1], "even pace", SOFT),
            (zero, "spent", ALERT),
        )
        silent = sum(one.silent_min for one in days)
        words = f"pale: {silent:,.0f} minutes without data" if silent else "every minute was told"
        line(canvas, 0, plot.floor + 27, words, colour=SOFT)
    used = sum(one.down_min for one in days)
    bad = [f"{one.since:%m-%d} {one.down_min:g} min" for one in days if one.down_min]
    figure.set_label(
        f"Of {allowed_min:.1f} bad minutes allowed in {month_days:g} days, {used:g} are used after "
        f"{at[-1]:.1f} days; {words}; bad days: {', '.join(bad) or 'none'}."
    )
    return figure


class _Plot:
    """A plot over time with room at the right for what its lines are."""

    top, floor, width = 58.0, 150.0, WIDTH_PT - 76.0

    def __init__(self, *, span: float, low: float, high: float) -> None:
        self._span, self._low, self._high = span or 1.0, low, high

    def across(self, value: float) -> float:
        return value / self._span * self.width

    def down(self, value: float) -> float:
        share = (min(max(value, self._low), self._high) - self._low) / ((self._high - self._low) or 1.0)
        return self.floor - share * (self.floor - self.top)

    def frame(self, canvas: Axes, since: datetime, until: datetime) -> None:
        canvas.plot([0, self.width], [self.floor, self.floor], color=INK, lw=0.8)
        canvas.plot([0, self.width], [self.top, self.top], color=RULE, lw=0.8, zorder=0)
        line(canvas, 0, self.floor + 11, f"{since:%b %d %H:%M}", colour=SOFT)
        line(canvas, self.width, self.floor + 11, f"{until:%b %d %H:%M}", colour=SOFT, align="right")

    def labels(self, canvas: Axes, *labels: tuple[float, str, str]) -> None:
        """Write what the lines are at their right ends, moved apart so that none covers another."""
        place = -1e9
        for at, text, colour in sorted(labels):
            place = max(at, place + 13)
            line(canvas, self.width + 6, place, text, colour=colour)


def timeline(stretches: Sequence[Stretch]) -> Figure:
    """Draw when each run of the rollout was, one under the other, with what came of it."""
    name, title = "rollout-timeline", "The rollout in time"
    if why := skipped_input(stretches):
        return words_only(name, title, why)
    known = [(one.since, one.until) for one in stretches if one.since and one.until]
    if not known:
        return words_only(name, title, "no run of it is on record that can be relied on")
    begins, ends = min(one[0] for one in known), max(one[1] for one in known)
    span_s = (ends - begins).total_seconds() or 1.0
    doubtful = sum(not one.good for one in stretches)
    state = f"{doubtful} of {len(stretches)} runs do not stand" if doubtful else "every run stands"
    height = _HEAD_PT + 34 * len(stretches) + 22
    with theme():
        figure, canvas = page(height, name=name)
        told = f"{span_s / 86400:.1f} days of rollout, by the runs' own records (UTC)"
        heading(canvas, f"{state[0].upper()}{state[1:]}", told)
        for number, one in enumerate(stretches):
            _stretch(canvas, _HEAD_PT + 34 * number, one, begins=begins, span_s=span_s)
        floor = _HEAD_PT + 34 * len(stretches)
        canvas.plot([0, WIDTH_PT], [floor, floor], color=INK, lw=0.8)
        line(canvas, 0, floor + 11, f"{begins:%a %b %d %H:%M}", colour=SOFT)
        line(canvas, WIDTH_PT, floor + 11, f"{ends:%a %b %d %H:%M}", colour=SOFT, align="right")
    told = "; ".join(f"{one.title}: {one.word}{_lasted(one)}" for one in stretches)
    figure.set_label(f"The rollout took {span_s / 86400:.1f} days, {state}. {told}.")
    return figure


def _stretch(canvas: Axes, top: float, one: Stretch, *, begins: datetime, span_s: float) -> None:
    colour = INK if one.good else ALERT
    line(canvas, 0, top + 8, _short(one.title), bold=not one.good)
    line(canvas, WIDTH_PT, top + 8, one.word, colour=colour, align="right")
    middle = top + 23
    canvas.plot([0, WIDTH_PT], [middle, middle], color=RULE, lw=0.8, zorder=0)
    if one.since is None or one.until is None:
        return
    left = (one.since - begins).total_seconds() / span_s * WIDTH_PT
    width = max((one.until - one.since).total_seconds() / span_s * WIDTH_PT, 2.0)
    left = min(left, WIDTH_PT - width)
    canvas.barh(middle, width, left=left, height=_BAR_PT, color=MAIN if one.good else ALERT, zorder=2)


def _lasted(one: Stretch) -> str:
    if one.since is None or one.until is None:
        return ""
    hours = (one.until - one.since).total_seconds() / 3600
    return f", {one.since:%b %d %H:%M} for {hours:.1f}{GAP}h"


def _short(text: str) -> str:
    return text if len(text) <= _LETTERS else f"{text[: _LETTERS - 1]}…"
