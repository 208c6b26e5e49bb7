"""How a Figure shows in a notebook: SVG for the report and Lab, PNG for other viewers, a sentence for all."""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING, Any

from runbook.charts.theme import theme

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI = 144
FONTS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"

# No date, no version: the same data gives the same bytes.
_SVG_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
_PNG_METADATA = {"Software": None}
_PACKED = {"compress_level": 3}  # of our few inks, sooner and smaller than by the usual 6


def install(shell: Any) -> None:
    """Make every Figure at the end of a cell show with its alt text; `shell` is IPython's.

    The bundle's formatter is used because matplotlib's inline backend, whenever it is loaded, throws away
    every other formatter of Figure. matplotlib itself is not imported here.
    """
    bundles = shell.display_formatter.mimebundle_formatter
    bundles.for_type_by_name("matplotlib.figure", "Figure", bundle)


def bundle(figure: Figure, **_choice: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what Jupyter keeps of a figure: data by media type, and metadata with the alt text."""
    from base64 import b64encode  # noqa: PLC0415

    alt, name = alt_text(figure), str(figure.get_gid() or "chart")
    data = {
        "image/svg+xml": to_svg(figure),
        "image/png": b64encode(to_png(figure)).decode("ascii"),
        "text/plain": alt,
    }
    return data, {kind: {"alt": alt, "name": name} for kind in ("image/svg+xml", "image/png")}


def alt_text(figure: Figure) -> str:
    """Return the sentence that says what the figure shows; a figure without one says so."""
    return str(figure.get_label() or "") or "A chart without a description."


def to_svg(figure: Figure) -> str:
    """Return the figure as SVG: text as text, a role and a label, the same bytes for the same data."""
    buffer = io.StringIO()
    with theme():
        figure.savefig(buffer, format="svg", metadata=_SVG_METADATA)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg ") :]
    svg = re.sub(r"font-family: [^;\"]+", f"font-family: {FONTS}", svg)
    label = escape(alt_text(figure), quote=True)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def to_png(figure: Figure) -> bytes:
    """Return the figure as PNG, twice as fine as a plain screen."""
    buffer = io.BytesIO()
    with theme():
        figure.savefig(buffer, format="png", dpi=PNG_DPI, metadata=_PNG_METADATA, pil_kwargs=_PACKED)
    return buffer.getvalue()
