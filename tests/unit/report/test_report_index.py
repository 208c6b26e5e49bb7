"""index.html: every run is there, newest first, and a broken folder is named."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook.errors import UnknownName
from runbook.report import write_index
from runbook.report.index import read_run, read_runs
from runbook.report.view import CONTRADICTORY, PLANNED, RUNS, UNKNOWN
from tests.run_samples import BEGAN, summary, write_run, write_samples


def write(outputs: Path, name: str, **changes: object) -> Path:
    return write_run(outputs / name, account=summary(**changes), book=None)  # type: ignore[arg-type]


def html(outputs: Path) -> str:
    return write_index(outputs).read_text(encoding="utf-8")


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    """By the time they were opened, whatever their folders are called."""
    for place, name in enumerate(("b", "c", "a")):
        write(tmp_path, name, began_at=BEGAN - timedelta(hours=3 * place))
    assert [line.folder for line in read_runs(tmp_path)] == ["b", "c", "a"]
    page = html(tmp_path)
    assert page.index(">2026-03-02<") < page.index(">2026-03-01<")


def test_every_state_is_labelled_and_counted(tmp_path: Path) -> None:
    """Running, parked, unknown, done, no-go, failed and left in between each have their word and count."""
    write_samples(tmp_path)
    page = html(tmp_path)
    for look in [*RUNS.values(), UNKNOWN]:
        assert f"{look.word}</span> 1</span>" in page
    assert "unsigned 6" in page


def test_a_run_left_in_between_is_put_on_top(tmp_path: Path) -> None:
    """What needs a person now is not to be searched for."""
    write_samples(tmp_path)
    page = html(tmp_path)
    assert page.index("A person is needed now") < page.index("<table")
    assert "A person is needed now" not in html(write(tmp_path / "calm", "a").parent)


def test_a_run_never_looks_better_than_its_report(tmp_path: Path) -> None:
    """Planned runs and contradictory records are labelled as in the report."""
    assert read_run(write(tmp_path, "p", mode="plan")).look is PLANNED
    assert read_run(write(tmp_path, "c", exit_code=1)).look is CONTRADICTORY


def test_a_broken_folder_is_named_and_breaks_nothing(tmp_path: Path) -> None:
    """No summary, a torn one, a folder in its place, a link to nowhere: each is listed as unknown."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "summary.json").write_text('{"format": 1')
    (tmp_path / "odd" / "summary.json").mkdir(parents=True)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    lines = {line.folder: line for line in read_runs(tmp_path)}
    assert set(lines) == {"empty", "torn", "odd", "gone"}
    assert {line.look for line in lines.values()} == {UNKNOWN}
    assert lines["empty"].verdict == "no summary: what became of this run is unknown"
    assert "Is a directory" in lines["odd"].verdict
    assert "Invalid JSON" in lines["torn"].verdict
    page = html(tmp_path)
    for name in lines:
        assert f"<bdi>{name}</bdi>" in page


def test_a_run_without_a_summary_stands_where_its_folder_changed_last(tmp_path: Path) -> None:
    """An unknown run has no time of opening; it is not lost among the oldest."""
    folder = tmp_path / "empty"
    folder.mkdir()
    at = datetime(2026, 3, 5, tzinfo=UTC).timestamp()
    os.utime(folder, (at, at))
    write(tmp_path, "a")
    assert [line.folder for line in read_runs(tmp_path)] == ["empty", "a"]


def test_only_folders_of_runs_are_listed(tmp_path: Path) -> None:
    """Files and hidden folders beside the runs are none."""
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".tmp").mkdir()
    assert read_runs(tmp_path) == []
    assert "No run has left a folder here yet." in html(tmp_path)


def test_links_lead_to_the_report_from_disk_and_only_where_there_is_one(tmp_path: Path) -> None:
    """A link is relative, and a folder's name cannot make it lead elsewhere."""
    for name in ("a b#c?d", "javascript:x", "plain"):
        write(tmp_path, name)
    for name in ("a b#c?d", "javascript:x"):
        (tmp_path / name / "report.html").write_text("x")
    page = html(tmp_path)
    assert 'href="./a%20b%23c%3Fd/report.html"' in page
    assert 'href="./javascript%3Ax/report.html"' in page
    assert "plain/report.html" not in page


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Names of folders and words of summaries are escaped, and their unseen characters are seen."""
    (tmp_path / "<b>\u202e").mkdir()
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    write(tmp_path, "a", verdict="</style><script>alert(1)</script>")
    page = html(tmp_path)
    assert "<script" not in page
    assert "&lt;b&gt;⟨U+202E⟩" in page
    assert "⟨U+DCFF⟩" in page


def test_the_index_refers_to_nothing_outside(tmp_path: Path) -> None:
    """No address, no script, a policy that forbids both, and the same bytes each time."""
    write(tmp_path, "a")
    page = html(tmp_path)
    assert "://" not in page
    assert "default-src 'none'" in page
    assert html(tmp_path) == page


def test_a_thousand_runs_make_a_page_of_a_modest_size(tmp_path: Path) -> None:
    """The index grows by less than a kilobyte and a half a run."""
    line = summary().model_dump_json()
    for number in range(1000):
        folder = tmp_path / f"run-{number:04}"
        folder.mkdir()
        (folder / "summary.json").write_text(line)
    assert write_index(tmp_path).stat().st_size < 1_500_000


def test_outputs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """A wrong folder is named; no index is made up."""
    with pytest.raises(UnknownName, match="is no folder"):
        write_index(tmp_path / "nowhere")
