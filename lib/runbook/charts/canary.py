"""How a canary went: both arms' rates and bands, the evidence against its bound, budget and traffic share.

Each chart takes the looks of a watch (times, and the numbers that the judge leaves with each) and where known
the decision, which is marked. Numbers that a look lacks leave a gap in the line, never a zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

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
from runbook.charts.words import GAP, seconds_text, share_text
from runbook.values import skipped_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

_HEIGHT_PT, _BARE_HEIGHT_PT = 200.0, 180.0  # with a legend, and without
_TOP, _FLOOR = 62.0, 160.0
_LABEL_PT: Final = 96.0  # kept at the right for what the lines are
_PLOT_PT: Final = WIDTH_PT - _LABEL_PT
_LEAST_LOOKS: Final = 2
_LINE_APART: Final = 13.0
_MILLION: Final = 1e6
WHOLE_PERCENT: Final = 100.0


class Seen(Protocol):
    """One look: its time, and the judge's numbers as of then."""

    @property
    def at(self) -> datetime: ...

    @property
    def numbers(self) -> Mapping[str, float | None]: ...


class Decided(Protocol):
    """A decision, and when it fell."""

    @property
    def ended_at(self) -> datetime: ...

    @property
    def decision(self) -> str: ...


def error_rate(looks: Sequence[Seen], *, limit: float, verdict: Decided | None = None) -> Figure:
    """Draw the error rate of both arms over the phase so far, the canary's band, and the plan's limit.

    `limit` is a share, such as 0.01.
    """
    name, unknown = "canary-error-rate", "Error rate not known"
    if why := _nothing(looks, "errors_canary"):
        return words_only(name, unknown, why)
    series = _Series(looks, verdict)
    ours, theirs = series.of("errors_canary"), series.of("errors_baseline")
    low, high = series.of("errors_canary_low"), series.of("errors_canary_high")
    top = _top(limit, ours, theirs, high[-1:])
    over = _last(ours) >= limit
    under = f"{'not ' if over else ''}under {share_text(limit)}"
    title = f"Canary: {share_text(_last(ours))} of requests failed, {under}"
    with theme():
        figure, canvas = page(_HEIGHT_PT, name=name)
        heading(canvas, title, "Share of requests that fail, over the phase so far")
        frame = _Frame(canvas, series, 0.0, top)
        frame.band(low, high)
        frame.limit(limit, f"limit {share_text(limit)}")
        frame.draw(theirs, f"baseline {_share_or_none(theirs)}", colour=SOFT, dashed=True)
        frame.draw(ours, f"canary {_share_or_none(ours)}", colour=MAIN)
        frame.axis(share_text(top))
        _legend(canvas, "canary in the band with 99 % certainty, at every look")
    edges = f"between {share_text(_last(low))} and {share_text(_last(high))} for sure"
    figure.set_label(
        f"Of the canary's requests {_share_or_none(ours)} failed, {edges}, of the baseline's "
        f"{_share_or_none(theirs)}; the limit is {share_text(limit)}.{series.told()}"
    )
    return figure


def latency(
    looks: Sequence[Seen], *, limit_ms: float, share: float = 0.05, verdict: Decided | None = None
) -> Figure:
    """Draw the share of requests slower than `limit_ms` in both arms.

    P95 is under it while fewer than 5 % are slower, which is `share`.
    """
    name, unknown = "canary-latency", "Latency not known"
    key = f"slow_{limit_ms:.0f}"
    if why := _nothing(looks, f"{key}_canary"):
        return words_only(name, unknown, why)
    series = _Series(looks, verdict)
    ours, theirs = series.of(f"{key}_canary"), series.of(f"{key}_baseline")
    top = _top(share, ours, theirs)
    over = _last(ours) >= share
    words = f"{limit_ms:,.0f}{GAP}ms"
    with theme():
        figure, canvas = page(_HEIGHT_PT, name=name)
        heading(
            canvas,
            f"Canary: P95 {'not ' if over else ''}under {words}",
            f"Share of requests slower than {words}",
        )
        frame = _Frame(canvas, series, 0.0, top)
        frame.limit(share, f"limit {share_text(share)}")
        frame.draw(theirs, f"baseline {_share_or_none(theirs)}", colour=SOFT, dashed=True)
        frame.draw(ours, f"canary {_share_or_none(ours)}", colour=MAIN)
        frame.axis(share_text(top))
        _legend(canvas, f"P95 is under {words} while fewer than {share_text(share)} are slower")
    figure.set_label(
        f"{_share_or_none(ours)} of the canary's requests took longer than {words}, of the baseline's "
        f"{_share_or_none(theirs)}; P95 is under it while that is under {share_text(share)}.{series.told()}"
    )
    return figure


def evidence(
    looks: Sequence[Seen], *, bound: float, indicator: str = "errors", verdict: Decided | None = None
) -> Figure:
    """Draw the evidence against the canary by both keys, in folds on a logarithmic scale, and its bound."""
    name, unknown = "canary-evidence", "Evidence not known"
    if why := _nothing(looks, f"{indicator}_log_e_counts"):
        return words_only(name, unknown, why)
    series = _Series(looks, verdict)
    counts, slices = series.of(f"{indicator}_log_e_counts"), series.of(f"{indicator}_log_e_slices")
    weaker = np.fmin(counts, slices)
    over = bool(np.nanmax(weaker) >= math.log(bound))
    least, most = math.log(0.1), math.log(10.0) * math.ceil(math.log10(bound) + 1)
    says = "enough to stop the canary" if over else "not enough to stop the canary"
    with theme():
        figure, canvas = page(_HEIGHT_PT, name=name)
        heading(
            canvas,
            f"Evidence: {says}",
            "A bet against the canary, grown so many fold",
        )
        frame = _Frame(canvas, series, least, most)
        frame.limit(math.log(bound), f"bound {_folds(math.log(bound))}")
        frame.draw(slices, f"slices {_folds_or_none(slices)}", colour=SOFT, dashed=True)
        frame.draw(counts, f"counts {_folds_or_none(counts)}", colour=MAIN)
        frame.axis(_folds(most))
        _legend(canvas, "both lines must be over the bound")
    figure.set_label(
        f"Evidence of more {indicator.replace('_', ' ')} in the canary: {_folds_or_none(counts)} by counts, "
        f"{_folds_or_none(slices)} by slices; both must be over {bound:,.0f}-fold, {says}.{series.told()}"
    )
    return figure


def budget_burn(looks: Sequence[Seen], *, least: float, verdict: Decided | None = None) -> Figure:
    """Draw what is left of the error budget, as a share, against the least that the plan asks for."""
    name, unknown = "canary-budget", "Error budget not known"
    if why := _nothing(looks, "budget_remaining"):
        return words_only(name, unknown, why)
    series = _Series(looks, verdict)
    left = series.of("budget_remaining")
    holds = "over" if _last(left) > least else "not over"
    with theme():
        figure, canvas = page(_BARE_HEIGHT_PT, name=name)
        title = f"Error budget: {_signed(_last(left))} left, {holds} {share_text(least)}"
        heading(canvas, title, "Share of the budget of 30 days that is left")
        frame = _Frame(canvas, series, min(0.0, float(np.nanmin(left))), 1.0)
        frame.limit(least, f"needed {share_text(least)}")
        frame.draw(left, f"left {_signed(_last(left))}", colour=MAIN)
        frame.axis(share_text(1.0))
    figure.set_label(
        f"{_signed(_last(left))} of the error budget is left, {holds} the {share_text(least)} that are "
        f"needed; it was {_signed(_first(left))} at the first look.{series.told()}"
    )
    return figure


def traffic_share(looks: Sequence[Seen], *, verdict: Decided | None = None) -> Figure:
    """Draw the canary's share of the traffic in steps."""
    name, unknown = "canary-traffic", "Traffic share not known"
    if why := _nothing(looks, "canary_percent"):
        return words_only(name, unknown, why)
    series = _Series(looks, verdict)
    percent = series.of("canary_percent")
    steps = [float(value) for place, value in enumerate(percent) if not place or value != percent[place - 1]]
    with theme():
        figure, canvas = page(_BARE_HEIGHT_PT, name=name)
        heading(
            canvas,
            f"Canary at {_last(percent):g}{GAP}% of the traffic",
            "Share of new visitors on the new release",
        )
        frame = _Frame(canvas, series, 0.0, WHOLE_PERCENT)
        frame.draw(percent, f"canary {_last(percent):g}{GAP}%", colour=MAIN, steps=True)
        frame.axis(f"100{GAP}%")
    told = ", then ".join(f"{step:g} %" for step in steps if not math.isnan(step))
    figure.set_label(f"The canary had {told} of the new visitors.{series.told()}")
    return figure


class _Series:
    """The looks as arrays: seconds from the first, and each number by its name, NaN where a look lacks it."""

    def __init__(self, looks: Sequence[Seen], verdict: Decided | None) -> None:
        self._looks = looks
        self.began_at = looks[0].at
        self.at_s = np.array([(look.at - self.began_at).total_seconds() for look in looks])
        self.verdict = verdict

    def of(self, name: str) -> Floats:
        values = [look.numbers.get(name) for look in self._looks]
        return np.array([math.nan if value is None else value for value in values])

    def phases_s(self) -> list[float]:
        """Return when the canary's share changed."""
        percent = self.of("canary_percent")
        changed = np.flatnonzero((percent[1:] != percent[:-1]) & ~np.isnan(percent[1:] + percent[:-1])) + 1
        return [float(self.at_s[place]) for place in changed]

    @property
    def decided_s(self) -> float | None:
        if self.verdict is None:
            return None
        return (self.verdict.ended_at - self.began_at).total_seconds()

    @property
    def span_s(self) -> float:
        return max(float(self.at_s[-1]), self.decided_s or 0.0, 1.0)

    def told(self) -> str:
        """Return the decision as the end of a sentence, nothing without one."""
        if self.verdict is None or self.decided_s is None:
            return ""
        return f" Decided after {seconds_text(self.decided_s)}: {self.verdict.decision}."


@dataclass
class _Frame:
    """A plot on the page: from seconds and values to points; what stands at the right is kept apart."""

    canvas: Axes
    series: _Series
    low: float
    high: float

    def __post_init__(self) -> None:
        self._labels: list[tuple[float, str, str]] = []
        self.canvas.plot([0, _PLOT_PT], [_FLOOR, _FLOOR], color=INK, lw=0.8)
        self.canvas.plot([0, _PLOT_PT], [_TOP, _TOP], color=RULE, lw=0.8, zorder=0)
        for at_s in self.series.phases_s():
            x = float(self.across(np.array(at_s)))
            self.canvas.plot([x, x], [_TOP, _FLOOR], color=RULE, lw=0.8, zorder=0)

    def across(self, at_s: Floats) -> Floats:
        return np.asarray(at_s) / self.series.span_s * _PLOT_PT

    def down(self, values: Floats) -> Floats:
        share = (np.asarray(values) - self.low) / (self.high - self.low)
        return np.asarray(_FLOOR - np.clip(share, 0.0, 1.0) * (_FLOOR - _TOP))

    def draw(
        self, values: Floats, label: str, *, colour: str, dashed: bool = False, steps: bool = False
    ) -> None:
        style = "steps-post" if steps else "default"
        look: dict[str, Any] = {"dashes": (4, 2)} if dashed else {}
        x, y = self.across(self.series.at_s), self.down(values)
        self.canvas.plot(x, y, color=colour, lw=1.6, drawstyle=style, zorder=3, **look)
        if not np.isnan(values).all():
            self._labels.append((float(self.down(np.array(_last(values)))), label, colour))

    def band(self, low: Floats, high: Floats) -> None:
        x = self.across(self.series.at_s)
        self.canvas.fill_between(x, self.down(low), self.down(high), color=PALE, lw=0, zorder=1)

    def limit(self, value: float, label: str) -> None:
        at = float(self.down(np.array(value)))
        self.canvas.plot([0, _PLOT_PT], [at, at], color=ALERT, lw=1.2, zorder=2)
        self._labels.append((at, label, ALERT))

    def axis(self, top: str) -> None:
        """Write the scale, the labels of the lines one under the other, and the decision."""
        line(self.canvas, 0, _TOP - 8, top, colour=SOFT)
        line(self.canvas, 0, _FLOOR + 11, f"{self.series.began_at:%H:%M} UTC", colour=SOFT)
        span = timedelta(seconds=self.series.span_s)
        line(
            self.canvas,
            _PLOT_PT,
            _FLOOR + 11,
            f"{self.series.began_at + span:%H:%M} UTC",
            colour=SOFT,
            align="right",
        )
        self._decision()
        for at, label, colour in _apart(self._labels):
            line(self.canvas, _PLOT_PT + 6, at, label, colour=colour)

    def _decision(self) -> None:
        at_s, verdict = self.series.decided_s, self.series.verdict
        if at_s is None or verdict is None:
            return
        x = float(self.across(np.array(at_s)))
        colour = INK if verdict.decision == "proceed" else ALERT
        self.canvas.plot([x, x], [_TOP - 4, _FLOOR], color=colour, lw=1.4, zorder=4)
        line(self.canvas, x, _TOP - 8, verdict.decision, colour=colour, bold=True, align="right")


def _apart(labels: list[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Return the labels moved apart, so that none covers another, within the plot."""
    ordered = sorted(labels)
    places: list[float] = []
    for at, _, _ in ordered:
        places.append(max(at, places[-1] + _LINE_APART) if places else max(at, _TOP))
    beyond = max(0.0, places[-1] - _FLOOR) if places else 0.0
    return [
        (place - beyond, label, colour) for place, (_, label, colour) in zip(places, ordered, strict=True)
    ]


def _legend(canvas: Axes, words: str) -> None:
    line(canvas, 0, _FLOOR + 31, words, colour=SOFT)


def _nothing(looks: Sequence[Seen], name: str) -> str:
    """Return why there is nothing to draw, or nothing."""
    if why := skipped_input(looks):
        return why
    if len(looks) < _LEAST_LOOKS:
        return "fewer than two looks are on record"
    if all(look.numbers.get(name) is None for look in looks):
        return "no look has it on record"
    return ""


def _last(values: Floats) -> float:
    """Return the last value there is, NaN when there is none."""
    some = values[~np.isnan(values)]
    return float(some[-1]) if len(some) else math.nan


def _first(values: Floats) -> float:
    return _last(values[::-1])


def _top(limit: float, *rows: Floats) -> float:
    """Return where the scale ends: over the limit, and over what the lines come to in the end."""
    ends = [_last(row) for row in rows]
    return max(limit * 1.5, *(end * 1.15 for end in ends if not math.isnan(end) and end < 1), limit)


def _or_none(words: Callable[[float], str]) -> Callable[[Floats], str]:
    return lambda values: "–" if math.isnan(_last(values)) else words(_last(values))


def _folds(log_e: float) -> str:
    fold = math.exp(min(log_e, math.log(_MILLION)))
    if log_e > math.log(_MILLION):
        return "over 1,000,000"
    return f"{fold:,.0f}" if fold >= WHOLE_PERCENT / 10 else f"{fold:.1f}"


def _signed(share: float) -> str:
    return f"−{share_text(-share)}" if share < 0 else share_text(share)


_share_or_none = _or_none(share_text)
_folds_or_none = _or_none(_folds)
