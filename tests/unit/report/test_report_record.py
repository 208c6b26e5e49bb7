"""A run's folder is read as far as it goes; what cannot be read is named."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from runbook.report.record import PROGRESS, read_record
from tests.run_samples import summary, write_run
from tests.sample_notebooks import code_cell, error, notebook, prose_cell, shown, stream

PNG = base64.b64encode(b"\x89PNG\r\n").decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg" aria-label="a &lt; b" viewBox="0 0 9 9"></svg>'


def cells(folder: Path, *given: Any) -> Any:
    record = read_record(write_run(folder, account=summary(), book=notebook(*given)))
    assert record.gaps == ()
    return record


def test_an_empty_folder_yields_gaps_and_nothing_else(tmp_path: Path) -> None:
    """Each missing file is named with what is lost by it."""
    record = read_record(tmp_path)
    assert (record.summary, record.cells, record.charts, record.sources) == (None, None, (), ())
    assert [gap.split(" is not there")[0] for gap in record.gaps] == ["summary.json", "notebook.ipynb"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": 2}', "\x00", '{"run_id": "a", "surprise": 1}', "[" * 100_000],
)
def test_a_broken_summary_is_named_and_not_guessed(tmp_path: Path, content: str) -> None:
    """Neither an old, a torn nor a newer form of summary raises or is half-read."""
    (tmp_path / "summary.json").write_text(content)
    record = read_record(tmp_path)
    assert record.summary is None
    assert record.gaps[0].startswith("summary.json cannot be read (")


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"cells": 1}', '{"cells": [1]}', '{"cells": [{}]}', "[" * 100_000, "\udcff"]
)
def test_a_broken_notebook_is_named(tmp_path: Path, content: str) -> None:
    """A torn notebook costs the narrative, never the report."""
    (tmp_path / "notebook.ipynb").write_bytes(content.encode("utf-8", "surrogateescape"))
    record = read_record(tmp_path)
    assert record.cells is None
    assert any(gap.startswith("notebook.ipynb cannot be read (") for gap in record.gaps)


def test_a_folder_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    """What the system refuses to read is a gap with the system's word for it."""
    (tmp_path / "summary.json").mkdir()
    assert "summary.json cannot be read (Is a directory)" in read_record(tmp_path).gaps[0]


def test_sources_carry_the_sums_of_what_was_read(tmp_path: Path) -> None:
    """The report can be tied to the very files it was written from."""
    record = read_record(write_run(tmp_path, account=summary(), book=None))
    (source,) = record.sources
    content = (tmp_path / "summary.json").read_bytes()
    assert (source.name, source.size_bytes) == ("summary.json", len(content))
    assert source.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("changes", "ran"),
    [
        ({}, "done"),
        ({"execution_count": None}, "not run"),
        ({"outputs": [error("E", "e")]}, "failed"),
        ({"outputs": [error("E", "e")], "metadata": {"papermill": {"status": "completed"}}}, "failed"),
        ({"metadata": {"papermill": {"status": "running"}}}, "running"),
        ({"metadata": {"papermill": {"status": "failed"}}}, "failed"),
        ({"execution_count": None, "metadata": {"papermill": {"status": "completed"}}}, "not run"),
    ],
)
def test_of_several_signs_about_a_cell_the_worst_counts(
    tmp_path: Path, changes: dict[str, Any], ran: str
) -> None:
    """A cell never reads better than any part of the notebook says of it."""
    assert cells(tmp_path, {**code_cell("x"), **changes}).cells[0].ran == ran


def test_text_may_be_one_string_or_many(tmp_path: Path) -> None:
    """Both forms of nbformat's multi-line text are read."""
    record = cells(tmp_path, {**code_cell("a\nb", stream("1\n2\n"))}, prose_cell("c\nd"))
    assert [cell.source for cell in record.cells] == ["a\nb", "c\nd"]
    assert record.cells[0].outputs[0].text == "1\n2\n"


def test_charts_are_numbered_through_the_notebook(tmp_path: Path) -> None:
    """Each output with a drawing knows its number; its alt text comes from the metadata, else the drawing."""
    about = {"image/svg+xml": {"alt": "said", "name": "rto"}}
    record = cells(
        tmp_path,
        code_cell(
            "a", shown({"image/svg+xml": SVG, "image/png": PNG}, about), shown({"text/plain": "no chart"})
        ),
        code_cell("b", shown({"image/svg+xml": [SVG]}), shown({"image/png": PNG + "\n"})),
    )
    assert [(chart.name, chart.alt) for chart in record.charts] == [
        ("rto", "said"),
        ("chart", "a < b"),
        ("chart", "A chart without a description."),
    ]
    assert [output.chart for cell in record.cells for output in cell.outputs] == [1, None, 2, 3]


def test_a_picture_that_is_none_is_no_chart(tmp_path: Path) -> None:
    """Text that is not base64 is not passed on as a picture."""
    assert cells(tmp_path, code_cell("a", shown({"image/png": "???"}))).charts == ()


def test_bars_left_behind_are_not_shown(tmp_path: Path) -> None:
    """A progress bar in a notebook saved by Lab says nothing any more."""
    bar = shown({PROGRESS: {"done": 1}, "text/plain": "12 %"})
    assert cells(tmp_path, code_cell("a", bar)).cells[0].outputs[0].data is None


def test_without_a_notebook_the_chart_files_are_shown(tmp_path: Path) -> None:
    """Charts already written out are not lost with the notebook."""
    charts = tmp_path / "charts"
    charts.mkdir()
    (charts / "01-rto.svg").write_text(SVG)
    (charts / "notes.svg").write_text(SVG)
    record = read_record(tmp_path)
    assert [(chart.name, chart.alt) for chart in record.charts] == [("rto", "a < b")]
    assert [source.name for source in record.sources] == ["charts/01-rto.svg"]


def test_a_notebook_with_strange_parts_is_still_read(tmp_path: Path) -> None:
    """Null metadata, missing outputs and unknown cells are no reason to lose the rest."""
    strange = {"cell_type": "code", "source": None, "metadata": None, "outputs": None}
    (tmp_path / "notebook.ipynb").write_text(
        json.dumps({"cells": [strange, {"cell_type": "new", "source": "x"}]})
    )
    record = read_record(tmp_path)
    assert record.cells is not None
    assert [cell.kind for cell in record.cells] == ["code", "new"]
