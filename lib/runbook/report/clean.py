"""Text and HTML of others, made harmless: nothing that data says can leave its place in the report.

HTML is not filtered but written anew: parsed, and only known tags and attributes are put out, every one
closed, every text escaped. What a browser would make of the original does not matter then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser

from runbook.values import plain as plain  # noqa: PLC0414  # the rooms of the report know it from here

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_DATA_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+", re.ASCII)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INLINE = "a b strong i em u s del ins sub sup small code kbd samp var abbr mark span br"
_BLOCK = "p div pre blockquote ul ol li dl dt dd hr h1 h2 h3 h4 h5 h6 details summary img"
_TABLE = _names("caption thead tbody tfoot tr th td")
_ALLOWED = _names(f"{_INLINE} {_BLOCK} table") | _TABLE
_EMPTY = _names("br hr img")
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SWALLOWED = _names(
    "script style template noscript noembed noframes iframe object embed applet head title textarea select "
    "svg math xmp plaintext audio video canvas"
)
# Wide tables scroll inside; what scrolls can be reached by keyboard.
SCROLL = '<div class="scroll" tabindex="0" role="group" aria-label="Table">'
_EMPTY_HEAD = re.compile(r"<th [^<>]*>\s*</th>")
_ROW = re.compile(r"(?i)<tr[\s>]")
# Left out without a word: they change nothing that a reader would miss.
_QUIET = _names("html body font center colgroup col tt section")
_DEPTH_AT_MOST = 60
_SPAN_AT_MOST = 1000


def without_ansi(text: str) -> str:
    """Return terminal output as it looked in the end: no colours, a rewritten line once."""
    lines = _ANSI.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


@dataclass(frozen=True)
class Cleaned:
    """Harmless HTML, with what was left out of it: rows past the limit, tags by name, a cut tail.

    `level` is that of its last heading.
    """

    html: str
    rows: int = 0
    rows_left_out: int = 0
    removed: tuple[str, ...] = ()
    cut: bool = False
    level: int = 2


def clean_html(
    text: str,
    *,
    rows_at_most: int,
    letters_at_most: int,
    heading_shift: int | None,
    after_level: int = 2,
) -> Cleaned:
    """Return `text` written anew from what is allowed.

    Tables keep their first `rows_at_most` rows. Headings go down by `heading_shift` levels, and never by
    more than one from the heading before, which was of `after_level`; without a shift they are bold
    paragraphs. Links lose their target and show it, pictures stay when they are data.
    """
    writer = _Writer(rows_at_most=rows_at_most, heading_shift=heading_shift, after_level=after_level)
    writer.feed(text[:letters_at_most])
    writer.close()
    rows = writer.rows + len(_ROW.findall(text, letters_at_most))
    return Cleaned(
        html=writer.finished(),
        rows=rows,
        rows_left_out=max(0, rows - rows_at_most),
        removed=tuple(sorted(writer.removed)),
        cut=len(text) > letters_at_most,
        level=writer.level,
    )


class _Writer(HTMLParser):
    """Writes what it reads, as far as it is allowed."""

    def __init__(self, *, rows_at_most: int, heading_shift: int | None, after_level: int) -> None:
        super().__init__(convert_charrefs=True)
        self.rows, self.removed, self.level = 0, set[str](), after_level
        self._rows_at_most, self._shift = rows_at_most, heading_shift
        self._out: list[str] = []
        self._open: list[tuple[str, str]] = []  # the tag as read, and what closes it as written
        self._swallowing: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._swallowing or tag in _SWALLOWED:
            self._swallow(tag)
            return
        if tag == "tr":
            self.rows += 1
        if tag not in _ALLOWED or self._misplaced(tag):
            self._note(tag)
            return
        if tag in _EMPTY:
            self._put(self._single(tag, dict(attrs)))
            return
        self._begin(tag, dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if self._swallowing:
            if tag in self._swallowing:
                del self._swallowing[len(self._swallowing) - 1 - self._swallowing[::-1].index(tag) :]
            return
        if tag in _EMPTY or all(tag != read for read, _ in self._open):
            return
        read = ""
        while read != tag:
            read, closing = self._open.pop()
            self._out.append(closing)

    def handle_data(self, data: str) -> None:
        if not self._swallowing:
            self._put(escape(plain(data), quote=True))

    def finished(self) -> str:
        while self._open:
            self._out.append(self._open.pop()[1])
        # A head cell without a word names nothing; it only keeps its column's place.
        return _EMPTY_HEAD.sub("<td></td>", "".join(self._out))

    def _swallow(self, tag: str) -> None:
        if not self._swallowing:
            self.removed.add(tag)
        if tag != "embed":
            self._swallowing.append(tag)

    def _note(self, tag: str) -> None:
        if tag not in _ALLOWED | _QUIET:
            self.removed.add(tag if re.fullmatch(r"[a-z][a-z0-9-]{0,20}", tag) else "a tag of no known name")

    def _misplaced(self, tag: str) -> bool:
        """Tell whether a tag would break out: table parts outside a table, or a nest without end."""
        in_table = any(read == "table" for read, _ in self._open)
        return (tag in _TABLE and not in_table) or len(self._open) >= _DEPTH_AT_MOST

    def _put(self, text: str) -> None:
        if self._writing():
            self._out.append(text)

    def _writing(self) -> bool:
        """Tell whether what comes is kept: not inside a row that is past the limit."""
        return self.rows <= self._rows_at_most or all(read != "tr" for read, _ in self._open)

    def _begin(self, tag: str, attrs: dict[str, str | None]) -> None:
        opening, closing = f"<{tag}{self._kept(tag, attrs)}>", f"</{tag}>"
        if tag in _HEADINGS:
            opening, closing = self._heading(_HEADINGS[tag])
        elif tag == "a":
            opening, closing = self._link(attrs.get("href") or "")
        elif tag == "table":
            opening, closing = f"{SCROLL}{opening}", "</table></div>"
        past = tag == "tr" and self.rows > self._rows_at_most
        writing = self._writing() and not past
        self._open.append((tag, closing if writing else ""))
        if writing:
            self._out.append(opening)

    def _heading(self, level: int) -> tuple[str, str]:
        if self._shift is None:
            return "<p><strong>", "</strong></p>"
        # A page's outline has no gaps, whatever levels the notebook jumps over.
        self.level = min(level + self._shift, self.level + 1, 6)
        return f"<h{self.level}>", f"</h{self.level}>"

    @staticmethod
    def _link(target: str) -> tuple[str, str]:
        shown = escape(plain(target), quote=True)
        outside = re.match(r"(?i)https?://|mailto:", target)
        return "<span>", f'</span> <span class="url">{shown}</span>' if outside else "</span>"

    def _single(self, tag: str, attrs: dict[str, str | None]) -> str:
        if tag != "img":
            return f"<{tag}>"
        alt = escape(plain(attrs.get("alt") or "a picture without a description"), quote=True)
        source = attrs.get("src") or ""
        if _DATA_IMAGE.fullmatch(source):
            return f'<img src="{escape(source, quote=True)}" alt="{alt}">'
        return f"<em>[picture not kept: {alt}]</em>"

    def _kept(self, tag: str, attrs: dict[str, str | None]) -> str:
        kept = []
        for name in ("colspan", "rowspan"):
            span = re.fullmatch(r"[0-9]{1,4}", attrs.get(name) or "")
            if tag in {"td", "th"} and span and 0 < int(span[0]) <= _SPAN_AT_MOST:
                kept.append(f' {name}="{int(span[0])}"')
        if tag == "th":
            in_head = any(read == "thead" for read, _ in self._open)
            kept.append(f' scope="{"col" if in_head else "row"}"')
        if tag in {"td", "th", "p", "li"}:
            kept.append(' dir="auto"')
        return "".join(kept)
