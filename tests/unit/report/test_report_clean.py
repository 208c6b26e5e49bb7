"""Text and HTML of others are shown, never obeyed."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.report.clean import Cleaned, clean_html, plain, without_ansi

VOID = {"br", "hr", "img"}
NAMES = """
a b strong i em u s del ins sub sup small code kbd samp var abbr mark span br p div pre blockquote ul ol li
dl dt dd hr h1 h2 h3 h4 h5 h6 details summary img table caption thead tbody tfoot tr th td
"""
KNOWN = set(NAMES.split())
ATTRIBUTES = {"class", "tabindex", "role", "aria-label", "dir", "scope", "colspan", "rowspan", "src", "alt"}


def clean(text: str, *, rows: int = 100, letters: int = 100_000, shift: int | None = None) -> Cleaned:
    return clean_html(text, rows_at_most=rows, letters_at_most=letters, heading_shift=shift)


class Reader(HTMLParser):
    """Reads HTML back and insists that it is balanced and of known parts only."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN
        assert {name for name, _ in attrs} <= ATTRIBUTES
        assert all(name != "src" or str(value).startswith("data:image/") for name, value in attrs)
        if tag in {"td", "th", "tr", "tbody", "thead", "tfoot", "caption"}:
            assert "table" in self.open
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read_back(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []


PIECES = """
<script> </script> <style> </style> <b> </b> <table> </table> <tr> <td> </td> </tr> <div> </div> </section>
</body> <svg> </svg> <svg/onload=alert(1)> <img/src=x> <a/href=javascript:1> <math> <p> </p> <li> </ul> <th>
<!-- --> <![CDATA[ ]]> &lt;script&gt; &#60; &amp <plaintext> <textarea> </textarea> <h1> </h1> <td/style=x>
<details> <details/open> </details> <input> <form> <base/href=//x> <link> <meta> ' " > < text
"""
FRAGMENTS = st.sampled_from(PIECES.split())


@given(st.lists(FRAGMENTS | st.text(max_size=8), max_size=40))
def test_whatever_comes_in_goes_out_balanced_and_known(parts: list[str]) -> None:
    """No mixture of tags, however broken, yields an unknown tag, attribute or an open end."""
    read_back(clean("".join(parts), rows=3).html)


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<SCRIPT SRC=//x>alert(1)</SCRIPT >",
        "<style>*{display:none}</style>",
        "<iframe srcdoc='<p>x'></iframe>",
        "<svg><script>alert(1)</script></svg>",
        "<object data=x><b>alert</b></object>",
    ],
)
def test_active_content_is_left_out_and_named(hostile: str) -> None:
    """What could run or restyle the page disappears with its content, and the reader is told."""
    cleaned = clean(f"before{hostile}after")
    assert cleaned.html == "beforeafter"
    assert len(cleaned.removed) == 1


def test_style_class_id_and_handlers_do_not_survive() -> None:
    """Data cannot dress up as the report's own signs, nor lie over them."""
    html = clean('<b class="state good" style="position:fixed" id="all-code" onclick="x()">ok</b>').html
    assert html == "<b>ok</b>"


def test_links_lose_their_target_and_show_it() -> None:
    """The report refers to nothing outside itself; where a link led can be read."""
    assert clean('<a href="https://x.test/?a=1&b">see</a>').html == (
        '<span>see</span> <span class="url">https://x.test/?a=1&amp;b</span>'
    )
    assert clean('<a href="javascript:alert(1)">see</a>').html == "<span>see</span>"


def test_pictures_stay_only_as_data() -> None:
    """A picture from elsewhere is replaced by its description."""
    assert clean('<img src="data:image/png;base64,AAAA" alt="a">').html.startswith("<img src=")
    assert (
        clean('<img src="https://x.test/a.png" alt="<b>">').html == "<em>[picture not kept: &lt;b&gt;]</em>"
    )
    assert "<img" not in clean('<img src="data:image/svg+xml;base64,AAAA" alt="a">').html


def test_a_long_table_keeps_its_first_rows_and_says_how_many_it_had() -> None:
    """100,000 rows become a hundred, counted in full, also where the text itself is cut."""
    rows = "".join(f"<tr><td>{number}</td></tr>" for number in range(100_000))
    cleaned = clean(f"<table><tbody>{rows}</tbody></table>after")
    read_back(cleaned.html)
    assert (cleaned.rows, cleaned.rows_left_out, cleaned.cut) == (100_000, 99_900, True)
    assert ">99</td>" in cleaned.html
    assert ">100</td>" not in cleaned.html


def test_text_after_a_shortened_table_is_kept() -> None:
    """Only the rows past the limit are left out."""
    html = clean("<table><tr><td>1</td></tr><tr><td>2<b>3</b></td></tr></table>after", rows=1).html
    assert "after" in html
    assert "2" not in html
    read_back(html)


def test_an_empty_head_cell_is_no_head() -> None:
    """A screen reader is not told of a column without a name."""
    html = clean("<table><thead><tr><th> </th><th>b</th></tr></thead></table>").html
    assert '<td></td><th scope="col" dir="auto">b</th>' in html
    read_back(html)


def test_headings_fit_the_outline_of_the_page() -> None:
    """Headings of prose go below the section's own without a gap; those of outputs are no headings."""
    assert clean("<h1>a</h1><h3>b</h3><h6>c</h6>", shift=2).html == "<h3>a</h3><h4>b</h4><h5>c</h5>"
    assert clean("<h1>a</h1>").html == "<p><strong>a</strong></p>"


def test_what_is_not_seen_is_shown_by_its_number() -> None:
    """Direction overrides, control characters and lone surrogates cannot reorder or break what is read."""
    assert plain("a\u202eb\x00c\ud800") == "a⟨U+202E⟩b⟨U+0000⟩c⟨U+D800⟩"
    assert plain("tab\tline\nשלום 👩‍🚀 é") == "tab\tline\nשלום 👩‍🚀 é"


def test_terminal_output_reads_as_it_looked_in_the_end() -> None:
    """Colours go, and a line that was written over and over counts once."""
    assert (
        without_ansi("\x1b[31mred\x1b[0m 1 %\r 50 %\r100 %\r\ndone \x1b]8;;http://x\x07link")
        == "100 %\ndone link"
    )
