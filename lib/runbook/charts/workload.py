"""What was written around the damage: which commits came back, which were lost, which came after."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from runbook.charts.theme import (
    ALERT,
    INK,
    MAIN,
    PAPER,
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

Moment = datetime | float

_NAME, _UNKNOWN = "workload-around-the-damage", "RPO not measured"
_HEIGHT_PT = 246.0
_PLOT_TOP, _FLOOR = 96.0, 172.0
_LABEL_PT = 60.0
_SLICES_AT_MOST = 54
_MINUTE_S = 60
_JUST_BEFORE_S = -1e-9
_RESTORED: dict[str, Any] = {"color": MAIN, "lw": 0}
_LOST: dict[str, Any] = {"color": "none", "edgecolor": ALERT, "hatch": "//////", "lw": 0.8}
_AFTER: dict[str, Any] = {"color": PAPER, "edgecolor": SOFT, "lw": 0.8}
_NICE_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True)
class _Story:
    """The commits in seconds from the damage, split by what became of them.

    `restored_to_s` and `rpo_s` are None when nothing came back.
    """

    restored: npt.NDArray[np.float64]
    lost: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]
    restored_to_s: float | None
    rpo_s: float | None
    span_s: float
    slice_s: float
    edges: npt.NDArray[np.float64]
    damage_text: str

    @property
    def count(self) -> int:
        return len(self.restored) + len(self.lost) + len(self.after)


def workload_around(
    commits: Sequence[Moment],
    *,
    damage_at: Moment,
    restored_to_at: Moment | None,
    limit_s: float | None = None,
) -> Figure:
    """Draw commits per slice of time around the damage, with the restore point and what was lost.

    `commits`, `damage_at` and `restored_to_at` are all timezone-aware datetimes or all seconds of one
    clock. `restored_to_at` is the newest commit that came back, None when none did. RPO is the newest commit
    up to the damage less that one, never below zero; `limit_s` is what it may be. Where there is no commit,
    or the restore was skipped, the figure says so in words.
    """
    if why := skipped_input((commits, damage_at, restored_to_at, limit_s)):
        return words_only(_NAME, _UNKNOWN, why)
    if not commits:
        return words_only(_NAME, _UNKNOWN, "no commit is on record around the damage")
    story = _story(commits, damage_at=damage_at, restored_to_at=restored_to_at)
    with theme():
        figure, canvas = page(_HEIGHT_PT, name=_NAME)
        heading(canvas, _title(story, limit_s=limit_s), f"Commits per {_slice_text(story.slice_s)}")
        _draw(canvas, story)
    figure.set_label(_sentence(story, limit_s=limit_s))
    return figure


def _draw(canvas: Axes, story: _Story) -> None:
    across = _Across(story)
    _columns(canvas, story, across)
    _marks(canvas, story, across)
    _axis(canvas, across)
    _legend(canvas, story)


def _slice_text(width_s: float) -> str:
    return f"{width_s:g}{GAP}s" if width_s < _MINUTE_S else seconds_text(width_s)


def _seconds(moment: Moment) -> float:
    if not isinstance(moment, datetime):
        return float(moment)
    if moment.tzinfo is None:
        raise ValueError(f"times of commits are timezone-aware; {moment.isoformat()} is not")
    return moment.timestamp()


def _story(commits: Sequence[Moment], *, damage_at: Moment, restored_to_at: Moment | None) -> _Story:
    zero = _seconds(damage_at)
    times = np.sort(np.fromiter((_seconds(c) - zero for c in commits), dtype=np.float64, count=len(commits)))
    # Who commits in the very moment of the damage was there before it.
    times[times == 0] = _JUST_BEFORE_S
    point = None if restored_to_at is None else _seconds(restored_to_at) - zero
    came_back = times <= (-math.inf if point is None else point)
    restored, rest = times[came_back], times[~came_back]
    lost, after = rest[rest < 0], rest[rest >= 0]
    slice_s, edges = _slices(times, point or 0.0)
    text = f"{damage_at.astimezone(UTC):%H:%M:%S} UTC" if isinstance(damage_at, datetime) else ""
    return _Story(
        restored=restored,
        lost=lost,
        after=after,
        restored_to_s=point,
        rpo_s=None if point is None else float(lost[-1] - point) if len(lost) else 0.0,
        span_s=float(times[-1] - times[0]),
        slice_s=slice_s,
        edges=edges,
        damage_text=text,
    )


def _slices(times: npt.NDArray[np.float64], point: float) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the width of a slice and the edges; the damage is an edge, so none mixes before and after."""
    first, last = min(_JUST_BEFORE_S, point, float(times[0])), max(0.0, point, float(times[-1]))
    narrowest_s = (last - first) / (_SLICES_AT_MOST - 2)
    width = next((nice_s for nice_s in _NICE_S if nice_s >= narrowest_s), narrowest_s)
    low, high = math.floor(first / width), math.ceil(last / width)
    return width, np.arange(low, high + 1, dtype=np.float64) * width


class _Across:
    """From seconds to points across the page."""

    def __init__(self, story: _Story) -> None:
        self.first, self.last = float(story.edges[0]), float(story.edges[-1])

    def __call__(self, at_s: float) -> float:
        return (at_s - self.first) / (self.last - self.first) * WIDTH_PT


def _columns(canvas: Axes, story: _Story, across: _Across) -> None:
    """Draw a column per slice: what came back at the bottom, what was lost on it, what came after hollow."""
    counts = [np.histogram(part, bins=story.edges)[0] for part in (story.restored, story.lost, story.after)]
    highest = max(1, int(np.sum(counts, axis=0).max()))
    per_commit = (_FLOOR - _PLOT_TOP) / highest
    lefts = np.array([across(edge) for edge in story.edges[:-1]])
    width = WIDTH_PT / len(lefts)
    gap = min(1.0, width * 0.2)
    floor = np.full(len(lefts), _FLOOR)
    for part, look in zip(counts, (_RESTORED, _LOST, _AFTER), strict=True):
        some = part > 0
        canvas.bar(
            lefts[some] + width / 2, -part[some] * per_commit, width=width - gap, bottom=floor[some], **look
        )
        floor = floor - part * per_commit
    canvas.plot([0, WIDTH_PT], [_FLOOR, _FLOOR], color=INK, lw=0.8)
    canvas.plot([0, WIDTH_PT], [_PLOT_TOP] * 2, color=RULE, lw=0.8, zorder=0)
    line(canvas, 0, _PLOT_TOP - 7, count_text(highest, "commit"), colour=SOFT)


def _marks(canvas: Axes, story: _Story, across: _Across) -> None:
    """Mark the damage and the restore point; the later one is the taller, so that no label crosses a line."""
    point_s = story.restored_to_s
    ahead = point_s is not None and point_s > 0
    _mark(canvas, across(0.0), f"damage {story.damage_text}".strip(), ALERT, level=1 if ahead else 0)
    if point_s is not None:
        text = f"restored to {_from_damage(point_s, 'it')}"
        _mark(canvas, across(point_s), text, MAIN, level=0 if ahead else 1)


def _from_damage(at_s: float, damage: str) -> str:
    side = "after" if at_s > 0 else "before"
    return f"{seconds_text(abs(at_s))} {side} {damage}" if at_s else f"the moment of {damage}"


def _mark(canvas: Axes, x: float, text: str, colour: str, *, level: int) -> None:
    top = 50.0 + 16 * level
    canvas.plot([x, x], [top - 6, _FLOOR], color=colour, lw=1.4, zorder=3)
    if x > 6.2 * len(text) + 6:
        line(canvas, x - 5, top, text, colour=colour, align="right")
    else:
        line(canvas, x + 5, top, text, colour=colour)


def _axis(canvas: Axes, across: _Across) -> None:
    """Write where the time begins, the damage as zero, and where it ends; nothing between."""
    line(canvas, 0, _FLOOR + 11, seconds_text(across.first), colour=SOFT)
    zero = across(0.0)
    if _LABEL_PT < zero < WIDTH_PT - _LABEL_PT:
        line(canvas, zero, _FLOOR + 11, "0", colour=SOFT, align="center")
    if across.last > 0 and WIDTH_PT - zero > _LABEL_PT / 3:
        line(canvas, WIDTH_PT, _FLOOR + 11, f"+{seconds_text(across.last)}", colour=SOFT, align="right")


def _legend(canvas: Axes, story: _Story) -> None:
    """Say in words what each kind of column is, with its count."""
    rows = [
        ("restored", len(story.restored), _RESTORED),
        ("before the damage and lost", len(story.lost), _LOST),
        ("after the damage, left out", len(story.after), _AFTER),
    ]
    top = _FLOOR + 34
    for words, count, look in rows:
        canvas.bar(5, -9, width=10, bottom=top + 4.5, **look)
        line(canvas, 17, top, words)
        line(
            canvas,
            WIDTH_PT,
            top,
            count_text(count, "commit"),
            align="right",
            bold=count > 0 and look is _LOST,
        )
        top += 17


def _title(story: _Story, *, limit_s: float | None) -> str:
    if story.rpo_s is None:
        return "RPO unknown: no commit came back"
    limit = f" of {seconds_text(limit_s)} allowed" if limit_s else ""
    if limit_s and story.rpo_s >= limit_s:
        limit = f", over the limit of {seconds_text(limit_s)}"
    return f"RPO {seconds_text(story.rpo_s)}{limit}{'' if story.rpo_s else ': nothing was lost'}"


def _sentence(story: _Story, *, limit_s: float | None) -> str:
    limit = f" (limit {seconds_text(limit_s)})" if limit_s else ""
    point_s, rpo_s = story.restored_to_s, story.rpo_s
    up_to = "" if point_s is None else f", up to {_from_damage(point_s, 'the damage')}"
    rpo = "an unknown RPO" if rpo_s is None else f"an RPO of {seconds_text(rpo_s)}"
    return (
        f"Of {count_text(story.count, 'commit')} in {seconds_text(story.span_s)}, "
        f"{len(story.restored):,} were restored{up_to}; {len(story.lost):,} were lost, {rpo}{limit}; "
        f"{len(story.after):,} were made after the damage and are no part of the restored database."
    )
