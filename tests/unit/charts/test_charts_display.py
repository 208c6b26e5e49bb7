"""How a figure travels in a notebook."""

from __future__ import annotations

import base64
import subprocess
import sys
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure

from runbook.charts.display import alt_text, bundle, install, to_png, to_svg
from runbook.charts.drill import rto_by_phase, workload_around
from runbook.values import Phase

PHASES = [Phase(name="copy <b> & “replay”", seconds=0.4), Phase(name="$verify$", seconds=1.2)]


@pytest.fixture
def figure() -> Figure:
    return rto_by_phase(PHASES, limit_s=3600)


def test_the_same_data_gives_the_same_bytes(figure: Figure) -> None:
    """A chart drawn again, in the same process or another, is the same file."""
    again = rto_by_phase(PHASES, limit_s=3600)
    assert to_svg(figure) == to_svg(again) == to_svg(figure)
    assert to_png(figure) == to_png(again)
    code = (
        "from runbook.charts.display import to_svg; from runbook.charts.drill import workload_around;"
        "print(to_svg(workload_around([-2.0, -1.0, 1.0], damage_at=0.0, restored_to_at=-2.0)), end='')"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other == to_svg(workload_around([-2.0, -1.0, 1.0], damage_at=0.0, restored_to_at=-2.0))


def test_text_stays_text_and_the_label_is_whole(figure: Figure) -> None:
    """Names with signs of mark-up or of formulas are shown as they are, and the drawing is well-formed."""
    root = ET.fromstring(to_svg(figure))  # noqa: S314  # our own drawing
    assert root.get("role") == "img"
    assert root.get("aria-label") == alt_text(figure)
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "copy <b> & “replay”" in texts
    assert "$verify$" in texts


def test_a_bundle_has_a_picture_for_every_viewer_and_a_sentence_for_the_rest(figure: Figure) -> None:
    """SVG, PNG and plain text say the same; the metadata carry alt text and name."""
    data, metadata = bundle(figure)
    assert data["text/plain"] == metadata["image/png"]["alt"] == metadata["image/svg+xml"]["alt"]
    assert metadata["image/svg+xml"]["name"] == "rto-by-phase"
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")


def test_a_figure_without_a_description_says_so() -> None:
    """Nothing is made up for a chart that does not describe itself."""
    assert alt_text(Figure()) == "A chart without a description."


def test_a_figure_at_the_end_of_a_cell_shows_as_a_chart(figure: Figure) -> None:
    """The formatter answers for Figure, also after the inline backend has taken the others away."""
    shell = InteractiveShell()
    install(shell)
    for formatter in shell.display_formatter.formatters.values():
        formatter.type_printers.pop(Figure, None)
    data, metadata = shell.display_formatter.format(figure)
    assert set(data) == {"image/svg+xml", "image/png", "text/plain"}
    assert metadata["image/svg+xml"]["alt"] == alt_text(figure)


def test_drawing_leaves_no_settings_behind(figure: Figure) -> None:
    """Charts work on figures of their own: neither pyplot nor matplotlib's settings are touched."""
    before = dict(mpl.rcParams)
    to_svg(figure)
    to_png(figure)
    assert dict(mpl.rcParams) == before


def test_neither_words_nor_palette_load_matplotlib() -> None:
    """The report uses both and must start fast; installing the formatter waits for the first figure too."""
    code = (
        "import sys, runbook.charts.display, runbook.charts.words;"
        "sys.exit(any(name.split('.')[0] in ('matplotlib', 'numpy') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
