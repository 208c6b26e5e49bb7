"""The notebook as the report tells it."""

from __future__ import annotations

import pytest

from runbook.report.narrative import LINES_OPEN, ROWS_OPEN, Passage, passages
from runbook.report.record import Cell, Output


def code(source: str = "x", *outputs: Output, ran: str = "done", tags: tuple[str, ...] = ()) -> Cell:
    return Cell("code", source, tags, ran, outputs)


def told(*outputs: Output) -> str:
    (passage,) = passages([code("x", *outputs)])
    return "".join(passage.shown)


def data(**kinds: str) -> Output:
    return Output("data", data={kind.replace("_", "/"): text for kind, text in kinds.items()})


def test_prose_is_markdown_below_the_sections_heading() -> None:
    """Titles of the notebook become third-level headings; tables and emphasis are kept."""
    (passage,) = passages(
        [Cell("markdown", "# Drill\n\n**now**\n\n|a|b|\n|-|-|\n|1|2|\n", (), "not run", ())]
    )
    assert "<h3>Drill</h3>" in passage.prose
    assert "<strong>now</strong>" in passage.prose
    assert '<th scope="col" dir="auto">a</th>' in passage.prose
    assert passage.ran == "done"


def test_headings_keep_their_order_across_cells() -> None:
    """A second-level heading stays below the first-level one of an earlier cell."""
    cells = [Cell("markdown", text, (), "done", ()) for text in ("## early", "# one", "## two", "#### four")]
    assert [passage.prose[:4] for passage in passages(cells)] == ["<h3>", "<h3>", "<h4>", "<h5>"]


def test_html_in_prose_is_written_anew() -> None:
    """Markdown may hold HTML; it goes through the same door as every output."""
    (passage,) = passages(
        [Cell("markdown", "a <script>alert(1)</script> <b onclick=x>b</b>", (), "done", ())]
    )
    assert "<b>b</b>" in passage.prose
    assert "alert" not in passage.prose
    assert "Left out for safety: script." in passage.prose


def test_code_is_escaped_and_coloured() -> None:
    """Code is shown as typed, whatever it holds."""
    (passage,) = passages([code('if a < b: s = "</style><script>"')])
    assert "&lt;/style&gt;&lt;script&gt;" in passage.code
    assert '<span class="k">if</span>' in passage.code


def test_very_long_code_is_shortened_with_a_word() -> None:
    """A cell of a megabyte does not make a report of a megabyte."""
    (passage,) = passages([code("x = 1\n" * 100_000)])
    assert len(passage.code) < 30_000
    assert "shortened; the whole is in notebook.ipynb" in passage.code


def test_empty_cells_and_foreign_announcements_are_not_told() -> None:
    """An empty cell says nothing; papermill's banner of a failure is replaced by our own words."""
    banner = Cell(
        "markdown", "<span>An Exception was encountered</span>", ("papermill-error-cell-tag",), "done", ()
    )
    assert passages([code(" \n"), banner]) == []


def test_parameters_are_labelled() -> None:
    """A reader sees which cell held the parameters, and what was injected."""
    labels = [
        p.label for p in passages([code(tags=("parameters",)), code(tags=("injected-parameters",)), code()])
    ]
    assert labels == ["parameters", "parameters", ""]


def test_a_raw_cell_is_shown_as_text() -> None:
    """Raw cells are neither prose nor code."""
    assert passages([Cell("raw", "<b>", (), "done", ())]) == [
        Passage(1, "", "done", prose="<pre>&lt;b&gt;</pre>")
    ]


def test_pieces_of_a_stream_are_joined() -> None:
    """A line written in two pieces is one line; another stream is another block."""
    html = told(
        Output("stream", "a", name="stdout"),
        Output("stream", "b\n", name="stdout"),
        Output("stream", "c", name="stderr"),
    )
    assert ">ab</pre>" in html
    assert ">c</pre>" in html


def test_html_of_an_output_is_preferred_to_its_text() -> None:
    """The richest form that is safe is shown; text is the last resort, and nothing yields nothing."""
    assert "<b>rich</b>" in told(data(text_html="<b>rich</b>", text_plain="poor"))
    assert "<strong>md</strong>" in told(data(text_markdown="**md**", text_plain="poor"))
    assert "poor &lt;" in told(data(text_plain="poor <"))
    assert told(data(application_json="1")) == ""
    assert told(Output("stream", "  \n")) == ""


def test_a_chart_is_shown_once_and_referred_to() -> None:
    """Charts stand at the top; the narrative points to them."""
    assert told(Output("data", data={}, chart=2)) == (
        '<p class="see"><a href="#chart-2">Chart 2, shown above</a></p>'
    )


@pytest.mark.parametrize("rows", [ROWS_OPEN, ROWS_OPEN + 1])
def test_a_long_table_is_folded(rows: int) -> None:
    """A table longer than a dozen rows waits behind its size."""
    html = told(data(text_html="<table>" + "<tr><td>1</td></tr>" * rows + "</table>"))
    assert ("<details><summary>Table of 13\N{NO-BREAK SPACE}rows</summary>" in html) == (rows > ROWS_OPEN)


def test_a_huge_table_is_folded_and_shortened() -> None:
    """100,000 rows are folded, the first two hundred are there, and the rest is accounted for."""
    html = told(data(text_html="<table>" + "<tr><td>1</td></tr>" * 100_000 + "</table>"))
    assert "Table of 100,000\N{NO-BREAK SPACE}rows" in html
    assert "99,800\N{NO-BREAK SPACE}more rows; the whole is in notebook.ipynb." in html
    assert len(html) < 20_000


def test_long_text_is_folded() -> None:
    """Pages of output wait behind their length."""
    assert "<details>" not in told(Output("stream", "line\n" * LINES_OPEN))
    html = told(Output("stream", "line\n" * 5000))
    assert "Text of 5,000\N{NO-BREAK SPACE}lines" in html
    assert "Shortened; the whole is in notebook.ipynb." in html


def test_an_error_shows_its_message_and_folds_its_trace() -> None:
    """The message is in sight; where it was raised is one click away."""
    html = told(Output("error", "\x1b[31mTraceback\x1b[0m\n  line <1>\nline 2", name="ValueError: a < b"))
    assert "<p>ValueError: a &lt; b</p>" in html
    assert "line &lt;1&gt;" in html
    assert "<details>" in html


def test_a_refusal_without_a_trace_has_nothing_to_fold() -> None:
    """Our own exceptions show their message alone; it is not said twice."""
    html = told(Output("error", "NoGo: nothing fits", name="NoGo: nothing fits"))
    assert html.count("nothing fits") == 1
    assert "<details>" not in html
