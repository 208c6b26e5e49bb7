"""A real browser and pages to open in it; without a browser the run says loudly what was not tested."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from runbook.report import write_index, write_report
from runbook.report.rehearsal import Drilled, write_rehearsal
from runbook.summary import ApprovalLine, ChangeLine, CheckLine, Number
from runbook.values import Check, Phase
from tests.run_samples import BEGAN, summary, write_run, write_samples
from tests.sample_notebooks import code_cell, error, notebook, prose_cell, shown, stream

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --host-resolver-rules=MAP * ~NOTFOUND"
)
NOT_TESTED = (
    "NOT TESTED: how reports look and behave in a browser (layout, contrast, keyboard, print, no network). "
    "Install chromium, or name one in RUNBOOK_TEST_BROWSER. With RUNBOOK_REQUIRE_BROWSER=1 this fails."
)


def find_browser() -> str | None:
    """Return the browser's program: named, or found."""
    if named := os.environ.get("RUNBOOK_TEST_BROWSER"):
        return named
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if find_browser() is None:
        terminalreporter.write_sep("!", "no browser", red=True, bold=True)
        terminalreporter.write_line(NOT_TESTED, red=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file's tests; each opens a context of its own.

    playwright keeps an event loop running in this thread, which no other test may find.
    """
    program = find_browser()
    if program is None:
        if os.environ.get("RUNBOOK_REQUIRE_BROWSER"):
            pytest.fail(NOT_TESTED)
        pytest.skip(NOT_TESTED)
    with sync_playwright() as playwright:
        flags = [f"--{flag.strip()}" for flag in FLAGS.split("--") if flag]
        started = playwright.chromium.launch(executable_path=program, args=flags)
        yield started
        started.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A report of each kind, one full of hostile text, the index over all, and one over very many."""
    outputs = tmp_path_factory.mktemp("outputs")
    found = {kind: write_report(folder) for kind, folder in write_samples(outputs).items()}
    found["hostile"] = write_report(hostile_run(outputs / "hostile"))
    found["empty"] = write_report(write_run(outputs / "empty", account=None, book=None))
    found["index"] = write_index(outputs)
    found["rehearsal"] = a_rehearsal(outputs)
    found["many"] = write_index(many_runs(tmp_path_factory.mktemp("many")))
    return found


def a_rehearsal(outputs: Path) -> Path:
    """Write the result of a rehearsal: as expected, for another reason, not run at all."""
    row = {"runbook": "db_restore_drill", "proves": "Deleted rows come back", "runs": 2, "seconds": 12.0}
    drills = (
        Drilled(scenario="rows deleted", expected="done", summary=summary(), why="", **row),  # type: ignore[arg-type]
        Drilled(scenario="w" * 90, expected="no-go", summary=summary("no-go"), why="x " * 90, **row),  # type: ignore[arg-type]
        Drilled(scenario="a", expected="done", summary=None, why="not run: no PostgreSQL", **row),  # type: ignore[arg-type]
    )
    return write_rehearsal(outputs, drills, at=BEGAN, took_s=30.0, jobs=2)


def many_runs(outputs: Path) -> Path:
    """Write enough runs for an index of several parts."""
    for number in range(250):
        account = summary(began_at=BEGAN - timedelta(hours=number))
        write_run(outputs / f"run-{number}", account=account, book=None)
    return outputs


def hostile_run(folder: Path) -> Path:
    """Write a run whose every text tries to leave its place, and whose words are very long."""
    script = "</title></style></script><script>window.broken=1</script><img src=x onerror=window.broken=1>"
    text = f"{script} שלום \u202egnp.exe {'w' * 3000} 👩‍🚀"
    wide = "<table><tr>" + f"<td>{'w' * 200}</td>" * 12 + "</tr></table>"
    style = "<style>*{display:none!important}</style><div style='position:fixed;inset:0'>cover</div>"
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 20"><style>body{display:none}</style>'
        '<script>window.broken=1</script><text x="1" y="9" onclick="window.broken=1">chart</text></svg>'
    )
    account = summary(
        "no-go",
        **dict.fromkeys(("run_id", "runbook", "environment", "verdict", "opened_by"), text),
        reasons=(text,),
        changes=tuple(_change(text, number) for number in range(20)),
        approvals=tuple(_approval(text, review) for review in ("", text)),
        taken_up_by=(text,),
        waits_for=(text,),
        lost_lines=1,
        edits=1,
        predecessor=text,
        params={"a": [text], "w" * 300: None},
        versions={text: text},
        numbers={
            "a": Number(title=text, value=1, unit="s", limit=2),
            "b": Number(title=text, value=1, unit=text),
        },
        times=(Phase(name=text, seconds=1),),
        checks=tuple(
            CheckLine(step=text, **dict(check))
            for check in (_check(text), Check.unchecked("a", why=text, expected=1))
        ),
    )
    book = notebook(
        prose_cell(f"# {text}\n\n{style}\n\n{wide}\n\n[a](javascript:window.broken=1) <https://x.test/>"),
        code_cell(
            f"# {text}\n" * 3,
            stream(text * 3),
            shown({"text/html": f"{script}{style}{wide}"}),
            shown({"image/svg+xml": svg}, {"image/svg+xml": {"alt": text}}),
            error(text, text, text, "b", "c"),
        ),
        code_cell("rows", shown({"text/html": f"<table>{'<tr><td>1</td></tr>' * 100_000}</table>"})),
    )
    return write_run(folder, account=account, book=book)


def _change(text: str, number: int) -> ChangeLine:
    return ChangeLine(
        step=text, number=number, sentence=text, resource=text, status="begun", at=BEGAN, remark=text
    )


def _approval(text: str, review: str) -> ApprovalLine:
    return ApprovalLine(
        step=text, says=text, request_digest=text, expires_at=BEGAN, break_glass=text, review=review
    )


def _check(text: str) -> Check:
    return Check.of(text, holds=False, observed=text, expected=text)
