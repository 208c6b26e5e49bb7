"""How the world follows a switch of nameservers: shares by side over time, and every resolver at one time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runbook.charts.theme import (
    ALERT,
    INK,
    MAIN,
    PALE,
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
from runbook.charts.words import count_text, seconds_text, share_text
from runbook.values import skipped_input

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHARE, _MATRIX = "share-by-side", "resolvers-by-record"
_TOP, _FLOOR, _LEFT = 52.0, 152.0, 34.0
_TICKS = (1, 2, 3, 5, 6, 10, 12, 15, 24, 30, 48)
_BY_THE_HOUR_S = 2 * 3600
_TICKS_AT_MOST = 6
_LOOKS: Mapping[str, dict[str, Any]] = {
    "new": {"color": MAIN, "lw": 0},
    "old": {"color": PALE, "lw": 0},
    "failing": {"facecolor": PAPER, "edgecolor": ALERT, "hatch": "//////", "lw": 0.8},
    "silent": {"facecolor": PAPER, "edgecolor": SOFT, "lw": 0.8},
}
_WORDS = {
    "new": "with Cloudflare",
    "old": "with Vercel",
    "failing": "with neither: their resolver fails",
    "silent": "not known: their resolver did not answer",
}
_HEAD_PT, _LINE_PT, _ROW_PT, _CELL_PT = 52.0, 12.0, 14.0, 9.0
_SIDE_FROM, _CELLS_FROM = 132.0, 222.0


class _Look(Protocol):
    @property
    def at(self) -> datetime: ...
    @property
    def numbers(self) -> Mapping[str, float | None]: ...


class _Cell(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def fits(self) -> Literal["right", "wrong", "none", "silent"]: ...


class _Seen(Protocol):
    @property
    def resolver(self) -> str: ...
    @property
    def where(self) -> Literal["old", "new", "failing", "silent"]: ...
    @property
    def cells(self) -> Sequence[_Cell]: ...


class _Propagation(Protocol):
    @property
    def seen(self) -> Sequence[_Seen]: ...


def share_over_time(
    looks: Sequence[_Look], *, switched_at: datetime, ends_at: datetime, to: Literal["new", "old"] = "new"
) -> Figure:
    """Draw which share of the users each side answers, from the switch until the last cache lets go.

    `to` is the side they are on their way to: it is the one that the title counts.

    Between two looks the share is drawn as the earlier one saw it. `looks` have the numbers `users_new`,
    `users_old`, `users_failing` and `users_silent`, shares of one. Without a look it says so in words.
    """
    if why := skipped_input((looks, switched_at, ends_at, to)):
        return words_only(_SHARE, "Shares not known", why)
    if not looks:
        return words_only(_SHARE, "Shares not known", "nobody has looked yet")
    last, span_s = looks[-1], max((ends_at - switched_at).total_seconds(), 1.0)
    after_s = (last.at - switched_at).total_seconds()
    with theme():
        figure, canvas = page(_FLOOR + 34 + 17 * len(_rows(last)) + 6, name=_SHARE)
        heading(canvas, _title(last, after_s, to), "Share of users by who answers their resolver")
        _areas(canvas, looks, switched_at=switched_at, span_s=span_s)
        _axes(canvas, span_s)
        _legend(canvas, last, to)
    figure.set_label(_sentence(looks, switched_at=switched_at, span_s=span_s, to=to))
    return figure


def resolver_matrix(propagation: _Propagation) -> Figure:
    """Draw every resolver with the side that answers it, and whether what it says of each name is right."""
    if why := skipped_input(propagation):
        return words_only(_MATRIX, "Resolvers not asked", why)
    seen = propagation.seen
    if not seen:
        return words_only(_MATRIX, "Resolvers not asked", "no resolver is watched")
    columns = [f"{_host(cell)} {cell.type}" for cell in seen[0].cells]
    moved = sum(one.where == "new" for one in seen)
    top = _HEAD_PT + _LINE_PT * len(columns)
    with theme():
        figure, canvas = page(top + _ROW_PT * len(seen) + 14 + 17 * 3, name=_MATRIX)
        title = f"{moved} of {count_text(len(seen), 'resolver')} ask Cloudflare"
        heading(canvas, title, "Each resolver: who answers it, and what it says")
        lefts = _heads(canvas, columns)
        for number, one in enumerate(seen):
            middle = top + _ROW_PT * (number + 0.5)
            line(canvas, 0, middle, one.resolver)
            _side_cell(canvas, lefts[0], middle, one.where)
            for left, cell in zip(lefts[1:], one.cells, strict=True):
                _fit_cell(canvas, left, middle, cell.fits)
        _matrix_legend(canvas, top + _ROW_PT * len(seen) + 20)
    figure.set_label(_matrix_sentence(seen, columns))
    return figure


# Shares


def _title(last: _Look, after_s: float, to: str) -> str:
    share = share_text(last.numbers.get(f"users_{to}") or 0.0)
    return f"{share} of users {_WORDS[to]} after {seconds_text(after_s)}"


def _areas(canvas: Axes, looks: Sequence[_Look], *, switched_at: datetime, span_s: float) -> None:
    """Draw one area upon the other; each look holds until the next."""
    times = [max(0.0, (one.at - switched_at).total_seconds()) for one in looks]
    ends = [*times[1:], times[-1]]
    across = (WIDTH_PT - _LEFT) / span_s
    edges = [_LEFT + min(t, span_s) * across for pair in zip(times, ends, strict=True) for t in pair]
    base = [0.0] * len(edges)
    for where, style in _LOOKS.items():
        shares = [one.numbers.get(f"users_{where}") or 0.0 for one in looks]
        if not any(shares):
            continue
        tops = [low + share for low, share in zip(base, [s for s in shares for _ in (0, 1)], strict=True)]
        canvas.fill_between(edges, [_y(b) for b in base], [_y(t) for t in tops], **style)
        base = tops


def _y(share: float) -> float:
    return _FLOOR - (_FLOOR - _TOP) * share


def _axes(canvas: Axes, span_s: float) -> None:
    for share in (0.0, 0.5, 1.0):
        colour = INK if share == 0 else RULE
        canvas.plot([_LEFT, WIDTH_PT], [_y(share)] * 2, color=colour, lw=0.8, zorder=0.5 if share else 3)
        line(canvas, _LEFT - 5, _y(share), f"{share:.0%}", colour=SOFT, align="right")
    unit, unit_s = ("h", 3600) if span_s >= _BY_THE_HOUR_S else ("min", 60)
    units = span_s / unit_s
    every = next((tick for tick in _TICKS if units / tick <= _TICKS_AT_MOST), _TICKS[-1])
    for tick in range(0, int(units) + 1, every):
        x = _LEFT + (WIDTH_PT - _LEFT) * tick / units
        canvas.plot([x, x], [_FLOOR, _FLOOR + 3], color=INK, lw=0.8)
        text = f"{tick} {unit}"
        align = "left" if tick == 0 else "right" if x > WIDTH_PT - 14 else "center"
        line(canvas, x, _FLOOR + 12, text, colour=SOFT, align=align)


def _rows(last: _Look) -> list[str]:
    return [where for where in _LOOKS if where in ("new", "old") or last.numbers.get(f"users_{where}")]


def _legend(canvas: Axes, last: _Look, to: str) -> None:
    top = _FLOOR + 36
    for where in _rows(last):
        canvas.bar(5, -9, width=10, bottom=top + 4.5, **_LOOKS[where])
        line(canvas, 17, top, _WORDS[where])
        share = share_text(last.numbers.get(f"users_{where}") or 0.0)
        line(canvas, WIDTH_PT, top, share, align="right", bold=where == to)
        top += 17


def _sentence(looks: Sequence[_Look], *, switched_at: datetime, span_s: float, to: str) -> str:
    last = looks[-1]
    shares = ", ".join(
        f"{share_text(last.numbers.get(f'users_{where}') or 0.0)} {_WORDS[where]}" for where in _rows(last)
    )
    half = next((one for one in looks if (one.numbers.get(f"users_{to}") or 0.0) >= 0.5), None)  # noqa: PLR2004
    when = (
        ""
        if half is None
        else f"; half had moved after {seconds_text((half.at - switched_at).total_seconds())}"
    )
    falls = sum(
        (b.numbers.get(f"users_{to}") or 0.0) < (a.numbers.get(f"users_{to}") or 0.0)
        for a, b in pairwise(looks)
    )
    back = f"; the share fell in {count_text(falls, 'look')}" if falls else ""
    after = seconds_text((last.at - switched_at).total_seconds())
    return (
        f"Share of users by side in {count_text(len(looks), 'look')}: {after} after the switch {shares}"
        f"{when}{back}. Caches let go within {seconds_text(span_s)}."
    )


# The matrix


def _heads(canvas: Axes, columns: Sequence[str]) -> list[float]:
    """Write the columns' names like steps, each ending above its column; return where they stand."""
    width = (WIDTH_PT - 10 - _CELLS_FROM) / max(len(columns) - 1, 1)
    lefts = [_CELLS_FROM + width * number for number in range(len(columns))]
    line(canvas, _SIDE_FROM, 45.0 + _LINE_PT * len(columns), "answered by", colour=SOFT)
    for number, (left, text) in enumerate(zip(lefts, columns, strict=True)):
        middle = 45.0 + _LINE_PT * (len(columns) - 1 - number)  # the last on top: no thread crosses a name
        line(canvas, left + 10, middle, text, colour=SOFT, align="right")
        canvas.plot([left + 5] * 2, [middle + 6, 48.0 + _LINE_PT * len(columns)], color=RULE, lw=0.8)
    return [_SIDE_FROM, *lefts]


def _side_cell(canvas: Axes, left: float, middle: float, where: str) -> None:
    canvas.bar(left + 5, -_CELL_PT, width=10, bottom=middle + _CELL_PT / 2, **_LOOKS[where])
    words = {"new": "Cloudflare", "old": "Vercel", "failing": "fails", "silent": "silent"}[where]
    line(canvas, left + 14, middle, words, colour=ALERT if where == "failing" else INK)


def _fit_cell(canvas: Axes, left: float, middle: float, fits: str) -> None:
    style = {
        "right": {"color": INK, "lw": 0},
        "silent": _LOOKS["silent"],
    }.get(fits, _LOOKS["failing"])
    canvas.bar(left + 5, -_CELL_PT, width=10, bottom=middle + _CELL_PT / 2, **style)


def _matrix_legend(canvas: Axes, top: float) -> None:
    rows: list[tuple[str, dict[str, Any]]] = [
        ("as both sides' nameservers say", {"color": INK, "lw": 0}),
        ("otherwise, or nothing at all", dict(_LOOKS["failing"])),
        ("no answer came, which proves nothing", dict(_LOOKS["silent"])),
    ]
    for words, style in rows:
        canvas.bar(5, -9, width=10, bottom=top + 4.5, **style)
        line(canvas, 17, top, words, colour=SOFT)
        top += 17


def _matrix_sentence(seen: Sequence[_Seen], columns: Sequence[str]) -> str:
    by = {where: [one.resolver for one in seen if one.where == where] for where in _LOOKS}
    parts = [f"{len(names)} {_WORDS[where].partition(':')[0]}" for where, names in by.items() if names]
    wrong = [
        f"{one.resolver} gives {'other' if cell.fits == 'wrong' else 'no'} answers for {_host(cell)}"
        for one in seen
        for cell in one.cells
        if cell.fits in ("wrong", "none")
    ]
    said = "; ".join(wrong[:5]) or f"every answer that came for {', '.join(columns)} is right"
    return f"Of {count_text(len(seen), 'resolver')}, {', '.join(parts)}; {said}."


def _host(cell: _Cell) -> str:
    return cell.name.rstrip(".")
