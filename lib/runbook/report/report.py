"""report.html of a run: one file, written from recorded files alone, never looking better than they say."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup

from runbook.errors import UnknownName
from runbook.files import write_atomically
from runbook.report import standing, view
from runbook.report.figures import chart_name, inline
from runbook.report.narrative import passages
from runbook.report.pages import environment
from runbook.report.record import CHARTS, Record, read_record

REPORT = "report.html"


def write_report(folder: Path) -> Path:
    """Write report.html into a run's folder, whole or not at all; return its path.

    A run without a notebook, without a summary, or one that is still running gets a report that says so.
    Raises UnknownName when there is no such folder, OSError when the file cannot be written.
    """
    _must_exist(folder)
    path = folder / REPORT
    write_atomically(path, render(read_record(folder)))
    return path


def write_charts(folder: Path) -> tuple[Path, ...]:
    """Write the charts in notebook.ipynb's outputs to charts/NN-slug.svg (or .png); return their paths.

    Charts of an earlier state of the notebook are removed. Raises UnknownName when there is no such folder.
    """
    _must_exist(folder)
    record, charts = read_record(folder), folder / CHARTS
    if record.cells is None or not (record.charts or charts.is_dir()):
        return ()
    charts.mkdir(exist_ok=True)
    written = []
    for place, chart in enumerate(record.charts, start=1):
        path = charts / chart_name(place, chart)
        write_atomically(path, chart.content())
        written.append(path)
    for old in charts.iterdir():
        if re.fullmatch(r"\d\d+-[a-z0-9-]+\.(svg|png)", old.name) and old not in written:
            old.unlink()
    return tuple(written)


def render(record: Record) -> str:
    """Return the report of a record as HTML."""
    summary = record.summary
    told = passages(record.cells) if record.cells is not None else []
    gaps = [*record.gaps, *view.gaps(summary, not_run=sum(p.ran == "not run" for p in told), cells=len(told))]
    charts = [
        (chart, Markup(html) if (html := inline(chart, place=place)) else None)  # noqa: S704  # written anew by us
        for place, chart in enumerate(record.charts, start=1)
    ]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            summary=summary,
            look=view.look_of(summary),
            gaps=gaps,
            charts=charts,
            passages=told,
            view=view,
            standing=standing,
        )
    )


def _must_exist(folder: Path) -> None:
    if not folder.is_dir():
        raise UnknownName(f"{folder} is no folder of a run; `runbook status` lists the runs")
