"""Prints a run's report.html to PDF by the chromium of this machine; beside the run, never into its folder.

A sealed folder holds what was sealed and nothing else, so the PDF lies next to it: `outputs/RUN.pdf`. It is a
copy for people; what is signed is the HTML that it was printed from.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from runbook import surroundings
from runbook.errors import InputError, ProgramFailed, UnknownName
from runbook.report.report import REPORT

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S: Final = 120.0
_PDF: Final = b"%PDF"
_FLAGS: Final = (
    "--headless",
    "--no-pdf-header-footer",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # a report asks nobody for anything, and shall not be able to
)


def pdf_of(folder: Path) -> Path:
    """Return where a run's PDF lies: beside its folder."""
    return folder.parent / f"{folder.name}.pdf"


def print_report(folder: Path) -> Path:
    """Print a run's report.html to PDF, whole or not at all; return its path.

    Raises UnknownName when there is no report, InputError when there is no chromium, ProgramFailed when it
    printed nothing.
    """
    report, target = folder / REPORT, pdf_of(folder)
    if not report.is_file():
        raise UnknownName(f"{folder} has no {REPORT} to print; write it with: runbook seal {folder.name}")
    browser = find_browser()
    if browser is None:
        raise InputError(
            f"there is no chromium on this machine, so no PDF was made; install one, or name one in "
            f"{surroundings.BROWSER_VARIABLE}. The report is {report}: any browser prints it the same way"
        )
    with tempfile.TemporaryDirectory(prefix="runbook-print-") as place:
        made = Path(place) / "report.pdf"
        _print(browser, report, made, place=Path(place))
        beside = target.with_name(f".{target.name}.tmp")
        shutil.copyfile(made, beside)
        beside.replace(target)
    return target


def find_browser() -> str | None:
    """Return the browser that is named in RUNBOOK_BROWSER, else the first one found, None without any."""
    return surroundings.browser() or next((found for one in BROWSERS if (found := shutil.which(one))), None)


def _print(browser: str, report: Path, made: Path, *, place: Path) -> None:
    # Chromium's own sandbox does not work for root; the page is ours, has no script and no network.
    confined = () if os.geteuid() else ("--no-sandbox",)
    options = [*_FLAGS, *confined, f"--user-data-dir={place / 'profile'}", f"--print-to-pdf={made}"]
    try:
        done = subprocess.run(
            [browser, *options, report.resolve().as_uri()],
            env=surroundings.browser_environment(home=place),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramFailed("chromium", -1, f"{type(error).__name__}: no PDF was printed") from error
    if not made.is_file() or made.read_bytes()[: len(_PDF)] != _PDF:
        last = done.stderr.strip().splitlines()[-1:] or ["it printed no PDF"]
        raise ProgramFailed("chromium", done.returncode, last[0])
