"""What a service costs, how fast it answers day by day, and how past restore drills went."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

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
from runbook.charts.words import GAP, count_text, seconds_text
from runbook.values import skipped_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEAD_PT, _ROW_PT, _BAR_PT = 46.0, 36.0, 9.0
_TOP, _FLOOR, _PLOT_PT = 58.0, 150.0, WIDTH_PT - 92.0
_APART_PT, _MARK_PT = 13.0, 62.0


class Service(Protocol):
    """A service's month: `planned_usd` is None where the plan has none, `forecast_usd` where unknown."""

    @property
    def service(self) -> str: ...
    @property
    def planned_usd(self) -> float | None: ...
    @property
    def known_usd(self) -> float: ...
    @property
    def forecast_usd(self) -> float | None: ...


class Timed(Protocol):
    """A day with its latencies; None: nothing was told."""

    @property
    def since(self) -> datetime: ...
    @property
    def until(self) -> datetime: ...
    @property
    def p95_ms(self) -> float | None: ...
    @property
    def database_ms(self) -> float | None: ...


class Drilled(Protocol):
    """A past restore drill; RTO is None where it did not get that far."""

    @property
    def at(self) -> datetime: ...
    @property
    def status(self) -> str: ...
    @property
    def rto_s(self) -> float | None: ...
    @property
    def rpo_s(self) -> float | None: ...


def cost_bars(
    services: Sequence[Service], *, planned_usd: float, limit_usd: float, alerts_usd: tuple[float, float]
) -> Figure:
    """Draw each service's forecast beside its plan, and their sum against plan, limit and alerts.

    `limit_usd` is what the success criterion allows. Services that the plan does not list stand below, and
    are no part of the sum.
    """
    name, title = "cost-bars", "Costs"
    if why := skipped_input(services):
        return words_only(name, title, why)
    if not services:
        return words_only(name, title, "no bill was read")
    ours = [one for one in services if one.planned_usd is not None]
    rows = [*ours, *(one for one in services if one.planned_usd is None)]
    total = sum(one.known_usd if one.forecast_usd is None else one.forecast_usd for one in ours)
    unknown = [one.service for one in ours if one.forecast_usd is None]
    at_least = "at least " if unknown else ""
    head = f"{at_least}${total:,.2f} of ${planned_usd:,.2f} planned"
    over = round(total, 2) > round(limit_usd, 2)
    full = max(1.0, *(max(one.planned_usd or 0.0, one.forecast_usd or 0.0) for one in rows))
    with theme():
        figure, canvas = page(_HEAD_PT + 30 * len(rows) + 76, name=name)
        heading(canvas, head[0].upper() + head[1:], "Forecast for the month; the outline is the plan")
        for number, one in enumerate(rows):
            _service(canvas, _HEAD_PT + 30 * number, one, full=full)
        top = _HEAD_PT + 30 * len(rows) + 6
        marks = (
            ("plan", planned_usd),
            ("limit", limit_usd),
            ("warn", alerts_usd[0]),
            ("alert", alerts_usd[1]),
        )
        _sum(canvas, top, total, over=over, marks=marks)
    figure.set_label(
        f"{_sentence(head, rows)} The criterion allows ${limit_usd:,.2f}: {_against(over, unknown)}."
    )
    return figure


def _service(canvas: Axes, top: float, one: Service, *, full: float) -> None:
    beside, length = one.planned_usd is None, WIDTH_PT - 4
    plan = "not in the plan" if one.planned_usd is None else f"plan ${one.planned_usd:,.0f}"
    line(canvas, 0, top + 7, one.service, colour=SOFT if beside else INK)
    text = "unknown" if one.forecast_usd is None else f"${one.forecast_usd:,.2f}"
    above = one.forecast_usd is not None and one.forecast_usd > (one.planned_usd or 0.0)
    line(
        canvas,
        WIDTH_PT,
        top + 7,
        f"{text}, {plan}",
        colour=ALERT if one.forecast_usd is None else INK,
        align="right",
    )
    middle = top + 20
    if one.planned_usd:
        canvas.barh(
            middle, one.planned_usd / full * length, height=_BAR_PT, color="none", edgecolor=SOFT, lw=0.8
        )
    if one.forecast_usd is None:
        canvas.barh(middle, length / 4, height=_BAR_PT, color="none", edgecolor=SOFT, hatch="////", lw=0.8)
        return
    colour = PALE if beside else ALERT if above and one.planned_usd is not None else MAIN
    if one.forecast_usd > 0:
        canvas.barh(
            middle, max(one.forecast_usd / full * length, 1.0), height=_BAR_PT - 3, color=colour, zorder=2
        )


def _sum(
    canvas: Axes, top: float, total_usd: float, *, over: bool, marks: Sequence[tuple[str, float]]
) -> None:
    """Draw the sum on a scale that ends past the last mark; each mark with its amount, in two rows."""
    scale = (WIDTH_PT - 4) / max(total_usd, *(amount for _, amount in marks))
    canvas.plot([0, WIDTH_PT], [top, top], color=RULE, lw=0.8)
    line(canvas, 0, top + 12, "the plan's services together", bold=True)
    middle = top + 28
    canvas.barh(middle, max(total_usd * scale, 1.0), height=_BAR_PT, color=ALERT if over else MAIN, zorder=2)
    for number, (word, amount) in enumerate(marks):
        x, row = amount * scale, middle + 14 + _APART_PT * (number % 2)
        canvas.plot([x, x], [middle - 7, row - 5], color=INK, lw=1.0, zorder=3)
        # The first two stand left of their marks, the others right of them while there is room.
        leftwards = number <= 1 or x + _MARK_PT > WIDTH_PT
        at, align = (x + 2, "right") if leftwards else (x - 2, "left")
        line(canvas, min(at, WIDTH_PT), row, f"{word} ${amount:,.0f}", colour=SOFT, align=align)


def _sentence(head: str, rows: Sequence[Service]) -> str:
    parts = [
        f"{one.service} {'unknown' if one.forecast_usd is None else f'${one.forecast_usd:,.2f}'}"
        + ("" if one.planned_usd is None else f" (plan ${one.planned_usd:,.2f})")
        for one in rows
    ]
    return f"{head[0].upper()}{head[1:]}: {', '.join(parts)}."


def _against(over: bool, unknown: Sequence[str]) -> str:
    if over:
        return "over it"
    return f"not known, for {', '.join(unknown)} is not" if unknown else "within it"


def latency_by_day(days: Sequence[Timed], *, p95_limit_ms: float, database_limit_ms: float) -> Figure:
    """Draw P95 and the database's mean day by day, each with its limit; a day without data is a gap."""
    name, title = "latency-by-day", "Latency"
    if why := skipped_input(days):
        return words_only(name, title, why)
    told = [one for one in days if one.p95_ms is not None]
    if not told:
        return words_only(name, title, "nothing was told of any day")
    began = days[0].since
    span_s = (days[-1].until - began).total_seconds() or 1.0
    at = [
        ((one.since - began) + (one.until - one.since) / 2).total_seconds() / span_s * _PLOT_PT
        for one in days
    ]
    high = max(
        p95_limit_ms * 1.2, *(one.p95_ms or 0.0 for one in days), *(one.database_ms or 0.0 for one in days)
    )
    worst = max(one.p95_ms or 0.0 for one in days)
    within = "under" if worst < p95_limit_ms else "not under"
    head = f"P95 {worst:,.0f}{GAP}ms at worst, {within} {p95_limit_ms:,.0f}{GAP}ms"

    def down(value: float) -> float:
        return _FLOOR - min(value, high) / high * (_FLOOR - _TOP)

    with theme():
        figure, canvas = page(178, name=name)
        heading(canvas, head, "Milliseconds by day (UTC)")
        canvas.plot([0, _PLOT_PT], [_FLOOR, _FLOOR], color=INK, lw=0.8)
        labels = []
        for values, words, colour, limit in (
            ([one.p95_ms for one in days], "P95", MAIN, p95_limit_ms),
            ([one.database_ms for one in days], "database", SOFT, database_limit_ms),
        ):
            canvas.plot([0, _PLOT_PT], [down(limit)] * 2, color=ALERT, lw=1.0, zorder=1)
            labels.append((down(limit), f"limit {limit:,.0f}", ALERT))
            heights = [float("nan") if value is None else down(value) for value in values]
            canvas.plot(at, heights, color=colour, lw=1.6, marker="o", ms=3.5, zorder=3)
            last = next((value for value in reversed(values) if value is not None), None)
            if last is not None:
                labels.append((down(last), f"{words} {last:,.0f}", colour))
        line(canvas, 0, _FLOOR + 11, f"{began:%b %d}", colour=SOFT)
        line(canvas, _PLOT_PT, _FLOOR + 11, f"{days[-1].since:%b %d}", colour=SOFT, align="right")
        _write(canvas, labels)
    missing = ", ".join(f"{one.since:%m-%d}" for one in days if one.p95_ms is None)
    each = ", ".join(f"{one.since:%m-%d} {one.p95_ms:,.0f}" for one in days if one.p95_ms is not None)
    figure.set_label(f"{head}. P95 by day in ms: {each}; days without data: {missing or 'none'}.")
    return figure


def _write(canvas: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Write the labels at the right, moved apart and kept above the floor."""
    places: list[float] = []
    ordered = sorted(labels)
    for at, _, _ in ordered:
        places.append(max(at, places[-1] + _APART_PT) if places else at)
    beyond = max(0.0, places[-1] - _FLOOR) if places else 0.0
    for place, (_, text, colour) in zip(places, ordered, strict=True):
        line(canvas, _PLOT_PT + 6, place - beyond, text, colour=colour)


def drill_trend(drills: Sequence[Drilled], *, rto_limit_s: float, rpo_limit_s: float) -> Figure:
    """Draw the RTO of past restore drills, oldest first; those that came to none are marked below.

    A drill takes seconds and its limit is an hour, so the limit is told in words, not drawn.
    """
    name, title = "drill-trend", "Past restore drills"
    if why := skipped_input(drills):
        return words_only(name, title, why)
    timed = [one for one in drills if one.rto_s is not None]
    if not timed:
        return words_only(name, title, "no drill that can be relied on came to an RTO")
    longest = max(one.rto_s or 0.0 for one in timed)
    lost = max((one.rpo_s or 0.0 for one in timed), default=0.0)
    limit = seconds_text(rto_limit_s)
    head = f"RTO {seconds_text(longest)} at the longest, of {limit} allowed"
    failed = len(drills) - len(timed)
    with theme():
        figure, canvas = page(178, name=name)
        heading(canvas, head, f"RTO of {count_text(len(timed), 'drill')}, oldest first")
        canvas.plot([0, WIDTH_PT], [_FLOOR, _FLOOR], color=INK, lw=0.8)
        canvas.plot([0, WIDTH_PT], [_TOP + 8, _TOP + 8], color=RULE, lw=0.8, zorder=0)
        line(canvas, 0, _TOP - 2, seconds_text(longest), colour=SOFT)
        pace = WIDTH_PT / len(drills)
        for number, one in enumerate(drills):
            x = (number + 0.5) * pace
            if one.rto_s is None:
                canvas.plot([x], [_FLOOR - 5], marker="x", color=ALERT, ms=6, mew=1.6, zorder=3)
                continue
            height = one.rto_s / (longest or 1.0) * (_FLOOR - _TOP - 8)
            over = one.rto_s >= rto_limit_s or (one.rpo_s or 0.0) >= rpo_limit_s
            colour = ALERT if over or one.status != "done" else MAIN
            canvas.bar(x, -height, bottom=_FLOOR, width=min(pace * 0.7, 14.0), color=colour, zorder=2)
        line(canvas, 0, _FLOOR + 11, f"{drills[0].at:%b %d}", colour=SOFT)
        line(canvas, WIDTH_PT, _FLOOR + 11, f"{drills[-1].at:%b %d}", colour=SOFT, align="right")
        if failed:
            line(
                canvas, WIDTH_PT / 2, _FLOOR + 11, f"× {failed} without an RTO", colour=ALERT, align="center"
            )
    each = ", ".join(f"{one.at:%m-%d} {seconds_text(one.rto_s or 0.0)}" for one in timed)
    figure.set_label(
        f"{head}; at the most {seconds_text(lost)} were lost, of {seconds_text(rpo_limit_s)} allowed. "
        f"By drill: {each}; {failed} came to no RTO."
    )
    return figure
