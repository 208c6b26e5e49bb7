"""Charts are drawn anew into the report: in its colours, with nothing that acts."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from runbook.charts.display import to_svg
from runbook.report.figures import Chart, chart_name, inline
from tests.sample_notebooks import phases_chart, workload_chart

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9"'


def drawn(inside: str, *, head: str = HEAD) -> str:
    html = inline(Chart(name="x", alt='an "alt" <b>', svg=f"{head}>{inside}</svg>"), place=1)
    assert html is not None
    return html


def test_our_charts_follow_the_readers_light_and_dark() -> None:
    """Every ink of the palette becomes a variable with the ink as its fallback."""
    html = inline(Chart(name="x", alt="a", svg=to_svg(workload_chart(lost=True))), place=2)
    assert html is not None
    for name in ("ink", "soft", "rule", "main", "alert", "paper"):
        assert f"var(--rb-{name}, #" in html
    assert 'aria-label="a"' in html
    ET.fromstring(html)  # noqa: S314  # our own


def test_two_charts_on_one_page_do_not_share_ids() -> None:
    """Patterns and clips are found in their own drawing."""
    svg = to_svg(workload_chart(lost=True))
    first, second = (inline(Chart(name="x", alt="a", svg=svg), place=place) for place in (1, 2))
    assert first is not None
    assert second is not None
    assert "url(#c1-" in first
    assert "c1-" not in second


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<style>*{display:none}</style>",
        "<foreignObject><p>x</p></foreignObject>",
        '<g onload="alert(1)"/>',
        '<a href="javascript:alert(1)"><path d="M 0 0"/></a>',
        '<use xlink:href="https://x.test/#a"/>',
        '<image href="https://x.test/a.png"/>',
        '<path style="fill: url(https://x.test/a)" d="M 0 0"/>',
        '<path style="background: red; fill: expression(alert(1))" d="M 0 0"/>',
        '<animate attributeName="href" to="x"/>',
    ],
)
def test_nothing_in_a_drawing_acts_or_reaches_out(hostile: str) -> None:
    """Elements, attributes and looks that are not for drawing are left out."""
    html = drawn(hostile)
    for sign in ("script", "alert", "x.test", "foreign", "<style", "onload", "<a ", "animate", "background"):
        assert sign not in html


def test_text_in_a_drawing_stays_text() -> None:
    """Mark-up inside a label is shown, not obeyed; the tail of a part is kept."""
    html = drawn("<text>a &lt;script&gt; <tspan>b</tspan> c\u202e</text>")
    assert "<text>a &lt;script&gt; <tspan>b</tspan> c⟨U+202E⟩</text>" in html
    assert 'aria-label="an &quot;alt&quot; &lt;b&gt;"' in html


@pytest.mark.parametrize(
    "svg",
    [
        "",
        "not a drawing",
        "<svg",
        "<svg></svg>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><svg xmlns="http://www.w3.org/2000/svg">&a;</svg>',
    ],
)
def test_what_is_no_drawing_is_not_shown(svg: str) -> None:
    """Broken XML, a foreign root and entity declarations are refused whole."""
    assert inline(Chart(name="x", alt="a", svg=svg), place=1) is None


def test_a_drawing_without_a_box_gets_one_of_its_size() -> None:
    """Without a viewBox a drawing could not be scaled to a phone."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" width="120pt" height="80pt"'
    assert 'viewBox="0 0 120 80"' in drawn("<g/>", head=head)
    assert 'viewBox="0 0 100 100"' in drawn("<g/>", head='<svg xmlns="http://www.w3.org/2000/svg"')


def test_a_picture_is_embedded_as_data() -> None:
    """A chart that exists only as PNG is shown with its alt text."""
    html = inline(Chart(name="x", alt='say "a"', png="iVBO\nRw0K"), place=1)
    assert html == '<img src="data:image/png;base64,iVBORw0K" alt="say &quot;a&quot;">'
    assert inline(Chart(name="x", alt="a", png='" onerror="'), place=1) is None


def test_files_are_named_by_place_and_slug() -> None:
    """Names hold nothing that a file system or a shell could trip over."""
    assert chart_name(1, Chart(name="RTO by phase", alt="", svg="<svg")) == "01-rto-by-phase.svg"
    assert chart_name(12, Chart(name="../../etc", alt="", png="AAAA")) == "12-etc.png"
    assert chart_name(3, Chart(name="🙂", alt="", svg="<svg")) == "03-chart.svg"


def test_the_phases_chart_survives_whole() -> None:
    """No text of the drawing is lost on its way into the report."""
    svg = to_svg(phases_chart())
    html = inline(Chart(name="x", alt="a", svg=svg), place=1)
    assert html is not None
    assert html.count("<text") == svg.count("<text") > 10
    assert html.count("<path") == svg.count("<path")
