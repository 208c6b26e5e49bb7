"""The two ends of a journal are read as they were written, however long, torn or odd it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.clock import WallClock
from runbook.journal import FileJournal, read_journal
from runbook.report.ends import read_ends

OPENED = {"run_id": "r1", "runbook": "toy", "environment": "production", "mode": "apply", "opened_by": "ada"}


def journal(folder: Path, *kinds: str, size: int = 10) -> Path:
    """Write a real journal of an opened run and these lines, each with data of `size` letters."""
    path = folder / "journal.jsonl"
    written = FileJournal.open(path, clock=WallClock())
    written.append("opened", "toy", data=OPENED)
    for number, kind in enumerate(kinds):
        # Text that looks like a line itself must not be taken for one.
        text = '{"seq":9,"at":"x","kind":"ended"}\n' * (size // 30 + 1)
        written.append(kind, f"step {number}", data={"text": text})  # type: ignore[arg-type]
    written.close()
    return path


@pytest.mark.parametrize(
    ("kinds", "kind", "settled"),
    [
        ((), "opened", False),
        (("started",), "started", False),
        (("started", "done"), "done", False),
        (("started", "failed"), "failed", True),
        (("started", "done", "finished"), "finished", True),
        (("started", "failed", "ended"), "ended", True),
        (("started", "failed", "ended", "resumed"), "resumed", False),
        (("started", "failed", "ended", "note", "reviewed"), "ended", True),
        (("started", "done", "note"), "done", False),
        (("started", "failed", "aborted"), "aborted", True),
        (("started", "change"), "change", False),
    ],
)
@pytest.mark.parametrize("size", [10, 16_200, 70_000])
def test_the_last_line_that_is_no_remark_counts(
    tmp_path: Path, kinds: tuple[str, ...], kind: str, settled: bool, size: int
) -> None:
    """Settled is what a summary was written after; remarks from outside change nothing of that."""
    found = read_ends(journal(tmp_path, *kinds, size=size))
    assert found is not None
    assert (found.kind, found.settled) == (kind, settled)
    assert (found.opened, found.opened_at.tzinfo) == (OPENED, UTC)
    of_kind = [line for line in read_journal(tmp_path / "journal.jsonl") if line.kind == kind]
    assert found.at == datetime.fromisoformat(of_kind[-1].at)


@given(tail=st.binary(max_size=300).filter(lambda tail: b"\n" not in tail))
def test_a_torn_last_line_is_not_read(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    """What stands after the last newline was never a line, whatever it looks like."""
    path = journal(tmp_path_factory.mktemp("run"), "started", "done")
    with path.open("ab") as file:
        file.write(b'{"seq":4,"at":"2026-03-02T02:14:07Z","kind":"ended"' + tail)
    found = read_ends(path)
    assert found is not None
    assert found.kind == "done"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"x\n", b"[]\n", b'{"data": 1, "at": "x", "kind": "opened"}\n', b"\xff\n"]
)
def test_what_is_no_journal_has_no_ends(tmp_path: Path, content: bytes) -> None:
    """Nothing is guessed of a file that does not begin as a run does, nor of one that is not there."""
    (tmp_path / "journal.jsonl").write_bytes(content)
    assert read_ends(tmp_path / "journal.jsonl") is None
    assert read_ends(tmp_path / "none") is None
    assert read_ends(tmp_path) is None
