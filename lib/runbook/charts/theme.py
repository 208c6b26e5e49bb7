"""The look of every chart: one palette of few inks, one page in points, one set of matplotlib settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Each ink's name is a CSS variable of the report (--rb-ink …), its value the colour on white paper.
# Paper is a white of its own, so that a reader of the SVG can tell our ground from anybody's #ffffff.
INK: Final = "#1b1f24"
SOFT: Final = "#57606a"
RULE: Final = "#d0d7de"
MAIN: Final = "#0b5cad"
PALE: Final = "#9cc3ea"
ALERT: Final = "#b3400c"
PAPER: Final = "#fefefe"
PALETTE: Final[dict[str, str]] = {
    "ink": INK,
    "soft": SOFT,
    "rule": RULE,
    "main": MAIN,
    "pale": PALE,
    "alert": ALERT,
    "paper": PAPER,
}

# 4.5 inches: at 360 px of phone the text is still 10 px high, and two charts stand side by side on a desk.
WIDTH_PT: Final = 324.0
MARGIN_PT: Final = 6.0
_WORDS_PT: Final = 34.0
TEXT_PT: Final = 10.0
TITLE_PT: Final = 12.0

SETTINGS: Final[dict[str, object]] = {
    "font.family": ["DejaVu Sans"],
    "font.size": TEXT_PT,
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "figure.facecolor": PAPER,
    "savefig.facecolor": "auto",
    "hatch.linewidth": 1.2,
    "svg.fonttype": "none",
    "svg.hashsalt": "runbook",
    "path.simplify": False,
}


@contextmanager
def theme() -> Iterator[None]:
    """Apply the look while a figure is made or written; matplotlib's own settings come back after."""
    import matplotlib as mpl  # noqa: PLC0415  # kept out of the report, which needs the palette alone

    with mpl.rc_context(SETTINGS):  # type: ignore[arg-type]
        yield


def page(height_pt: float, *, name: str) -> tuple[Figure, Axes]:
    """Return a figure and its one canvas, measured in points from the top left inside a small margin.

    `name` is the figure's slug: the id of its SVG and the name of its file.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=((WIDTH_PT + 2 * MARGIN_PT) / 72, (height_pt + 2 * MARGIN_PT) / 72))
    figure.set_gid(name)
    canvas = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    canvas.set_axis_off()
    canvas.set(xlim=(-MARGIN_PT, WIDTH_PT + MARGIN_PT), ylim=(height_pt + MARGIN_PT, -MARGIN_PT))
    return figure, canvas


def heading(canvas: Axes, title: str, subtitle: str) -> None:
    """Write the two lines that open every chart: what it says, and how to read it."""
    canvas.text(0, 13, title, fontsize=TITLE_PT, fontweight="bold", va="baseline")
    canvas.text(0, 29, subtitle, color=SOFT, va="baseline")


def words_only(name: str, title: str, why: str) -> Figure:
    """Return a figure of two lines for what cannot be drawn: it says what is missing, and why."""
    with theme():
        figure, canvas = page(_WORDS_PT, name=name)
        heading(canvas, title, why)
    figure.set_label(f"{title}: {why}.")
    return figure


def line(
    canvas: Axes,
    x: float,
    middle: float,
    text: str,
    *,
    bold: bool = False,
    align: str = "left",
    colour: str = INK,
) -> None:
    """Write a line whose letters, rather than their box, are centred on `middle`."""
    weight = "bold" if bold else "normal"
    below = middle + TEXT_PT * 0.36
    canvas.text(x, below, text, ha=align, va="baseline", fontweight=weight, color=colour)
