"""What a run's folder holds, as far as it can be read; what cannot be read is named, never guessed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from runbook.report.figures import Chart
from runbook.summary import Summary

SUMMARY, NOTEBOOK, CHARTS, JOURNAL = "summary.json", "notebook.ipynb", "charts", "journal.jsonl"
# A bar that was left behind says nothing any more.
PROGRESS = "application/vnd.runbook.progress+json"


@dataclass(frozen=True)
class Output:
    """One output of a cell: terminal text, data by media type, or an error."""

    kind: str
    text: str = ""
    data: dict[str, str] | None = None
    chart: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell as it was left: `ran` is what the notebook says became of it."""

    kind: str
    source: str
    tags: tuple[str, ...]
    ran: str
    outputs: tuple[Output, ...]


@dataclass(frozen=True)
class Source:
    """A file that the report was written from."""

    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Record:
    """All that a report is written from. `gaps` are sentences about what is missing or unreadable.

    `journal_head` is the hash of the journal's last line, so that a report can be held against its journal.
    """

    folder: Path
    summary: Summary | None
    cells: tuple[Cell, ...] | None
    charts: tuple[Chart, ...]
    gaps: tuple[str, ...]
    sources: tuple[Source, ...]
    journal_head: str = ""


def read_record(folder: Path) -> Record:
    """Read summary, notebook and charts of a run; never raises for what is missing or broken."""
    reader = _Reader(folder)
    summary, notebook = reader.summary(), reader.notebook()
    cells, charts = notebook if notebook is not None else (None, reader.chart_files())
    gaps, sources = tuple(reader.gaps), tuple(reader.sources)
    return Record(folder, summary, cells, charts, gaps, sources, _journal_head(folder / JOURNAL))


def _journal_head(path: Path) -> str:
    """Return the hash of the journal's last line, nothing when it has none."""
    try:
        whole = path.read_bytes().rpartition(b"\n")[0]
    except OSError:
        return ""
    found = re.search(rb'"hash":"([0-9a-f]{64})"}\Z', whole)
    return found[1].decode() if found else ""


class _Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.gaps: list[str] = []
        self.sources: list[Source] = []

    def summary(self) -> Summary | None:
        content = self._content(SUMMARY, "the verdict, the checks and the numbers are unknown")
        if content is None:
            return None
        try:
            return Summary.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the whole"
            loss = "the verdict, the checks and the numbers are unknown"
            self.gaps.append(f"{SUMMARY} cannot be read ({where}: {first['msg']}): {loss}.")
            return None

    def notebook(self) -> tuple[tuple[Cell, ...], tuple[Chart, ...]] | None:
        content = self._content(NOTEBOOK, "the narrative and the code are missing")
        if content is None:
            return None
        try:
            return _cells(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"[:200]
            self.gaps.append(f"{NOTEBOOK} cannot be read ({what}): the narrative and the code are missing.")
            return None

    def chart_files(self) -> tuple[Chart, ...]:
        """Return the charts that were written as files: the notebook, where they come from, is not there."""
        try:
            paths = sorted((self.folder / CHARTS).glob("[0-9][0-9]-*.svg"))
        except OSError:
            return ()
        charts = []
        for path in paths:
            content = self._content(f"{CHARTS}/{path.name}", "one chart is missing")
            if content is not None:
                svg = content.decode("utf-8", "replace")
                charts.append(Chart(name=path.stem[3:], alt=_label(svg), svg=svg))
        return tuple(charts)

    def _content(self, name: str, loss: str) -> bytes | None:
        try:
            content = (self.folder / name).read_bytes()
        except FileNotFoundError:
            self.gaps.append(f"{name} is not there: {loss}.")
            return None
        except OSError as error:
            self.gaps.append(f"{name} cannot be read ({error.strerror or error}): {loss}.")
            return None
        self.sources.append(Source(name, len(content), hashlib.sha256(content).hexdigest()))
        return content


def _cells(notebook: Any) -> tuple[tuple[Cell, ...], tuple[Chart, ...]]:
    charts: list[Chart] = []
    cells = tuple(_cell(raw, charts) for raw in notebook["cells"])
    return cells, tuple(charts)


def _cell(raw: Any, charts: list[Chart]) -> Cell:
    metadata = raw.get("metadata") or {}
    return Cell(
        kind=str(raw["cell_type"]),
        source=_joined(raw.get("source")),
        tags=tuple(str(tag) for tag in metadata.get("tags") or ()),
        ran=_ran(raw, str((metadata.get("papermill") or {}).get("status") or "")),
        outputs=tuple(_output(output, charts) for output in raw.get("outputs") or ()),
    )


def _ran(raw: Any, papermill: str) -> str:
    """Return done, failed, running or not run; of several signs the worst counts."""
    if any(output.get("output_type") == "error" for output in raw.get("outputs") or ()):
        return "failed"
    if papermill in {"failed", "running"}:
        return papermill
    return "not run" if raw.get("execution_count") is None else "done"


def _output(raw: Any, charts: list[Chart]) -> Output:
    kind = str(raw["output_type"])
    if PROGRESS in (raw.get("data") or {}):
        return Output("data")
    if kind == "stream":
        return Output("stream", text=_joined(raw.get("text")), name=str(raw.get("name") or "stdout"))
    if kind == "error":
        trace = "\n".join(_joined(line) for line in raw.get("traceback") or ())
        return Output("error", text=trace, name=f"{raw.get('ename')}: {raw.get('evalue')}")
    bundle = raw.get("data") or {}
    data = {str(kind): _joined(value) for kind, value in bundle.items() if isinstance(value, str | list)}
    chart = _chart(data, raw.get("metadata") or {})
    if chart is not None:
        charts.append(chart)
    return Output("data", data=data, chart=len(charts) if chart else None)


def _chart(data: dict[str, str], metadata: Any) -> Chart | None:
    """Return the chart of a bundle; a picture counts as one when nothing richer stands beside it."""
    svg, png = data.get("image/svg+xml", ""), data.get("image/png", "")
    if not svg and not _is_base64(png):
        return None
    about = metadata.get("image/svg+xml" if svg else "image/png") or {}
    alt = str(about.get("alt") or _label(svg) or "A chart without a description.")
    return Chart(name=str(about.get("name") or "chart"), alt=alt, svg=svg, png="" if svg else png)


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode("".join(text.split()), validate=True))
    except ValueError:
        return False


def _label(svg: str) -> str:
    """Return the label on an SVG's first tag, read as text."""
    from html import unescape  # noqa: PLC0415

    head = svg[svg.find("<svg") :].partition(">")[0]
    _, _, rest = head.partition('aria-label="')
    return unescape(rest.partition('"')[0])


def _joined(text: Any) -> str:
    return "".join(map(str, text)) if isinstance(text, list) else str(text or "")
