"""rehearsal.html: what was expected, what it came to, and why it is not the same."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pytest

from runbook.report.rehearsal import TIMES, Drilled, read_times, verdict, write_rehearsal
from runbook.summary import RunStatus, Summary
from tests.run_samples import BEGAN, summary


def drilled(
    name: str = "rows deleted",
    *,
    expected: RunStatus = "done",
    account: Summary | None = None,
    why: str = "",
    seconds: float = 12.0,
) -> Drilled:
    return Drilled(
        runbook="db_restore_drill",
        scenario=name,
        proves="Deleted rows come back",
        expected=expected,
        summary=account,
        runs=1,
        seconds=seconds,
        why=why,
    )


def page(outputs: Path, *drills: Drilled) -> str:
    return unescape(write_rehearsal(outputs, drills, at=BEGAN, took_s=30.0, jobs=2).read_text("utf-8"))


def test_each_drill_has_its_row_and_leads_to_its_report(tmp_path: Path) -> None:
    """Run, expected, got, time; what it proves; the page leads back to the index."""
    account = summary()
    text = page(
        tmp_path, drilled(account=account), drilled("nothing", expected="no-go", account=summary("no-go"))
    )
    assert f'href="./{account.run_id}/report.html">rows deleted<' in text
    assert "Deleted rows come back" in text
    assert "12\N{NO-BREAK SPACE}s</td>" in text
    assert 'href="./index.html"' in text
    assert "All 2\N{NO-BREAK SPACE}drills ended as expected." in text
    assert "Not as expected" not in text


def test_what_is_not_as_expected_stands_on_top_with_its_reason(tmp_path: Path) -> None:
    """With what to type to see it again; the right state for a wrong reason is told from a wrong state."""
    wrong = drilled("a", expected="no-go", account=summary("no-go"), why="expected because “x”; got y")
    text = page(tmp_path, drilled(account=summary()), wrong, drilled("b", why="not run: no PostgreSQL"))
    assert "2 of 3\N{NO-BREAK SPACE}drills did not end as expected." in text
    head = text.partition("<table")[0]
    assert "expected because “x”; got y" in head
    assert "not run: no PostgreSQL" in head
    assert 'runbook drill db_restore_drill --scenario "a"' in head
    assert text.count(", for another reason") == 1
    assert "Not run</span>" in text


def test_a_run_that_contradicts_itself_does_not_read_done(tmp_path: Path) -> None:
    """The page never shows a run better than its report does."""
    assert "Contradictory record" in page(tmp_path, drilled(account=summary(exit_code=1)))


def test_the_page_refers_to_nothing_outside_and_escapes_all(tmp_path: Path) -> None:
    """No address, no script; names and reasons are text."""
    text = write_rehearsal(
        tmp_path, [drilled("<script>x", why="<img src=x>")], at=BEGAN, took_s=1.0, jobs=1
    ).read_text("utf-8")
    assert "://" not in text
    assert "<script" not in text
    assert "<img" not in text
    assert "default-src 'none'" in text


def test_times_are_kept_for_the_next_rehearsal(tmp_path: Path) -> None:
    """Of drills that ended as expected; those of rows that were not drilled now stay."""
    page(tmp_path, drilled("a", seconds=5.04), drilled("b", seconds=7.0, why="x"))
    page(tmp_path, drilled("c", seconds=2.0))
    assert read_times(tmp_path) == {"db_restore_drill: a": 5.0, "db_restore_drill: c": 2.0}


@pytest.mark.parametrize("content", ["", "[1]", '{"a": "x"}', '{"a": null}'])
def test_times_that_cannot_be_read_are_none(tmp_path: Path, content: str) -> None:
    """They only order a rehearsal."""
    (tmp_path / TIMES).write_text(content)
    assert read_times(tmp_path) == {}
    page(tmp_path, drilled("a", seconds=5.0))
    assert json.loads((tmp_path / TIMES).read_text()) == {"db_restore_drill: a": 5.0}


def test_the_verdict_of_one_drill_is_a_sentence() -> None:
    """One is not "all"."""
    assert verdict([drilled()]) == "The one drill ended as expected."
