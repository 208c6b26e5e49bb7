"""What the index remembers of runs: it saves reading, and never outlives what it was read from."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from runbook.clock import WallClock
from runbook.journal import FileJournal
from runbook.report import remembered, write_index
from runbook.report.remembered import MEMORY, read_rows
from runbook.report.runs import read_settled
from tests.run_samples import BEGAN, summary, write_run


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs that nobody has touched for a while."""
    monkeypatch.setattr(remembered, "_YOUNG_NS", -1_000_000_000)
    for number in range(3):
        account = summary(began_at=BEGAN - timedelta(hours=number))
        write_run(tmp_path / f"r{number}", account=account, book=None)
    return tmp_path


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the folders that are read from here on."""
    names: list[str] = []

    def noted(folder: Path) -> object:
        names.append(folder.name)
        return read_settled(folder)

    monkeypatch.setattr(remembered, "read_settled", noted)
    return names


def verdicts(outputs: Path) -> dict[str, str]:
    return {row.line.folder: row.line.verdict for row in read_rows(outputs)}


def test_a_run_is_read_once(outputs: Path, read: list[str]) -> None:
    """One more run means reading one, and the index is the same as one that was made without a memory."""
    write_index(outputs)
    read.clear()
    write_run(outputs / "r3", account=summary(began_at=BEGAN - timedelta(hours=9)), book=None)
    page = write_index(outputs).read_bytes()
    assert read == ["r3"]
    (outputs / MEMORY).unlink()
    assert write_index(outputs).read_bytes() == page


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_changed_summary_is_read_again(outputs: Path, *, keep_times: bool) -> None:
    """Also one of the same size whose times were set back: the time of its change cannot be set."""
    verdicts(outputs)
    path = outputs / "r1" / "summary.json"
    before, text = path.stat(), path.read_text(encoding="utf-8")
    path.write_text(text.replace("came back whole", "came back EMPTY"), encoding="utf-8")
    if keep_times:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert "EMPTY" in verdicts(outputs)["r1"]


def test_a_run_that_goes_on_is_read_again(outputs: Path, read: list[str]) -> None:
    """Its journal grew; while it has not settled nothing is kept of it: a lock comes and goes."""
    verdicts(outputs)
    journal = FileJournal.open(outputs / "r1" / "journal.jsonl", clock=WallClock())
    journal.append("opened", "toy", data={})
    for _ in range(2):
        read.clear()
        assert verdicts(outputs)["r1"].startswith("Running since")
        assert read == ["r1"]
    journal.close()
    assert "came to no end" in verdicts(outputs)["r1"]


def test_a_report_that_came_later_is_linked(outputs: Path) -> None:
    """The link is part of the row, so its file is part of what is looked at."""
    verdicts(outputs)
    (outputs / "r1" / "report.html").write_text("x")
    assert 'href="./r1/report.html"' in write_index(outputs).read_text(encoding="utf-8")


def test_a_run_that_is_gone_is_forgotten(outputs: Path) -> None:
    """A folder that was removed leaves no row, and none in the memory."""
    verdicts(outputs)
    (outputs / "r1" / "summary.json").unlink()
    (outputs / "r1").rmdir()
    assert set(verdicts(outputs)) == {"r0", "r2"}
    assert b'"r1"' not in (outputs / MEMORY).read_bytes()


def test_what_has_just_changed_is_read_once_more(
    outputs: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within a tick of the clock a file may change again and look the same."""
    monkeypatch.setattr(remembered, "_YOUNG_NS", 3600 * 1_000_000_000)
    for _ in range(2):
        read.clear()
        read_rows(outputs)
        assert sorted(read) == ["r0", "r1", "r2"]


def spoil(path: Path, how: str) -> None:
    """Damage the memory: cut it short, change a word in it, or put something else in its place."""
    whole = path.read_bytes()
    if how == "cut short":
        path.write_bytes(whole[:-100])
    elif how == "one word":
        path.write_bytes(whole.replace(b"came back whole", b"came back empty"))
    else:
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("how", ["cut short", "one word", "a folder"])
def test_a_damaged_memory_is_as_good_as_none(outputs: Path, read: list[str], how: str) -> None:
    """Everything is read again, and nothing of the damage shows."""
    before = verdicts(outputs)
    spoil(outputs / MEMORY, how)
    read.clear()
    assert verdicts(outputs) == before
    assert sorted(read) == ["r0", "r1", "r2"]


def test_a_memory_of_other_code_is_not_used(
    outputs: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes a row may have changed with the code."""
    verdicts(outputs)
    read.clear()
    monkeypatch.setattr(remembered, "_version", lambda: b"other")
    verdicts(outputs)
    assert sorted(read) == ["r0", "r1", "r2"]


def test_a_name_that_is_no_text_is_listed_all_the_same(outputs: Path) -> None:
    """A file system takes any bytes; such a run is read each time."""
    name = os.fsdecode(b"r\xff")
    write_run(outputs / name, account=summary(), book=None)
    for _ in range(2):
        assert name in verdicts(outputs)
