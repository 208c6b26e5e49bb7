"""The notebook as a reader sees it: prose, what each cell showed, and its code behind a toggle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from html import escape
from typing import Any

import mistune

from runbook.charts.words import count_text
from runbook.report.clean import SCROLL, Cleaned, clean_html, plain, without_ansi
from runbook.report.record import Cell, Output

ROWS_OPEN, ROWS_AT_MOST = 12, 200
LINES_OPEN, LINES_AT_MOST = 30, 1000
LETTERS_AT_MOST = 400_000
CODE_AT_MOST = 20_000
# Markdown cells that papermill writes to announce a failure; the report has its own words for that.
_ANNOUNCEMENTS = frozenset({"papermill-error-cell-tag"})
_WHOLE = "the whole is in notebook.ipynb"


@dataclass(frozen=True)
class Passage:
    """One cell on the page; all of it but `label` and `ran` is harmless HTML."""

    number: int
    label: str
    ran: str
    prose: str = ""
    code: str = ""
    shown: tuple[str, ...] = ()


def passages(cells: Sequence[Cell]) -> list[Passage]:
    """Return the cells that have something to say, in order."""
    told = [cell for cell in cells if cell.source.strip() and not _ANNOUNCEMENTS & set(cell.tags)]
    found, level = [], 2
    for number, cell in enumerate(told, start=1):
        if cell.kind == "markdown":
            prose = _cleaned(str(_renderer()(cell.source)), heading_shift=2, after_level=level)
            level = prose.level
            found.append(Passage(number, "", "done", prose=_with_notes(prose)))
        elif cell.kind == "code":
            found.append(_code_passage(number, cell))
        else:
            found.append(Passage(number, "", "done", prose=f"<pre>{escape(plain(cell.source))}</pre>"))
    return found


def _code_passage(number: int, cell: Cell) -> Passage:
    label = "parameters" if {"parameters", "injected-parameters"} & set(cell.tags) else ""
    shown = tuple(html for output in _gathered(cell.outputs) if (html := _shown(output)))
    return Passage(number, label, cell.ran, code=_highlighted(cell.source), shown=shown)


@cache
def _renderer() -> Any:
    return mistune.create_markdown(escape=False, plugins=["table", "strikethrough"])


@lru_cache(maxsize=512)
def _highlighted(source: str) -> str:
    """Return code in colours; the runs of one runbook share theirs."""
    if len(source) > CODE_AT_MOST:
        return f"{escape(plain(source[:CODE_AT_MOST]))}\n… shortened; {_WHOLE}"
    # Imported late: a run without a notebook has no code to colour.
    from pygments import highlight  # type: ignore[import-untyped]  # noqa: PLC0415
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]  # noqa: PLC0415
    from pygments.lexers.python import PythonLexer  # type: ignore[import-untyped]  # noqa: PLC0415

    return str(highlight(plain(source), PythonLexer(), HtmlFormatter(nowrap=True))).rstrip()


def _gathered(outputs: Iterable[Output]) -> list[Output]:
    """Join the pieces of one stream that follow each other, as a terminal would."""
    joined: list[Output] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last and last.kind == output.kind == "stream" and last.name == output.name:
            joined[-1] = Output("stream", text=last.text + output.text, name=output.name)
        else:
            joined.append(output)
    return joined


def _shown(output: Output) -> str:
    if output.kind == "stream":
        return _lines(without_ansi(output.text), css="stream")
    if output.kind == "error":
        return _error(output)
    if output.chart is not None:
        return f'<p class="see"><a href="#chart-{output.chart}">Chart {output.chart}, shown above</a></p>'
    return _rich(output.data or {})


def _error(output: Output) -> str:
    """Return an error with its traceback folded; our own refusals carry no more than their message."""
    text = without_ansi(output.text).strip()
    trace = "" if text in output.name or text.count("\n") <= output.name.count("\n") else text
    folded = f"<details><summary>Where it was raised</summary>{_lines(trace, css='trace')}</details>"
    return f'<div class="error"><p>{escape(plain(output.name))}</p>{folded if trace else ""}</div>'


def _rich(data: dict[str, str]) -> str:
    html = data.get("text/html") or ""
    if not html and "text/markdown" in data:
        html = str(_renderer()(data["text/markdown"]))
    return _folded(_cleaned(html)) if html else _lines(data.get("text/plain", ""), css="result")


@lru_cache(maxsize=128)  # a run is sealed twice, and the runs of one runbook share their prose
def _cleaned(html: str, *, heading_shift: int | None = None, after_level: int = 2) -> Cleaned:
    return clean_html(
        html,
        rows_at_most=ROWS_AT_MOST,
        letters_at_most=LETTERS_AT_MOST,
        heading_shift=heading_shift,
        after_level=after_level,
    )


def _folded(cleaned: Cleaned) -> str:
    body = _with_notes(cleaned)
    if cleaned.rows <= ROWS_OPEN:
        return body
    return f"<details><summary>Table of {count_text(cleaned.rows, 'row')}</summary>{body}</details>"


def _with_notes(cleaned: Cleaned) -> str:
    """Return cleaned HTML with a word about whatever was left out."""
    notes = []
    if cleaned.rows_left_out:
        notes.append(f"{count_text(cleaned.rows_left_out, 'more row')}; {_WHOLE}.")
    elif cleaned.cut:
        notes.append(f"Shortened; {_WHOLE}.")
    if cleaned.removed:
        notes.append(f"Left out for safety: {', '.join(cleaned.removed[:8])}.")
    return cleaned.html + "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _lines(text: str, *, css: str) -> str:
    """Return text as it stood, folded when long."""
    lines = plain(text[:LETTERS_AT_MOST]).rstrip().split("\n")
    if lines == [""]:
        return ""
    more = len(lines) > LINES_AT_MOST or len(text) > LETTERS_AT_MOST
    end = f'<p class="note">Shortened; {_WHOLE}.</p>' if more else ""
    scroll = SCROLL.replace("Table", "Text")
    body = f'{scroll}<pre class="{css}">{escape(chr(10).join(lines[:LINES_AT_MOST]))}</pre></div>{end}'
    if len(lines) > LINES_OPEN:
        return f"<details><summary>Text of {count_text(len(lines), 'line')}</summary>{body}</details>"
    return body
