"""What every command shares: the application, its consoles, its exit codes, and driving one run."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, cast

import click
import typer
from rich.console import Console
from rich.markup import escape

from runbook import surroundings, terminal
from runbook.account import summarize
from runbook.errors import InputError, RunbookError
from runbook.journal import is_held, read_journal
from runbook.masking import guard_streams
from runbook.opening import JOURNAL, Beginning, Mode, beginning_of, find_run, prepare, run_folder
from runbook.plan import known_secrets, project_root
from runbook.sealing import why_unsigned
from runbook.summary import Summary
from runbook.warm import warm_up

HELP = """Runbooks as notebooks: durable, approved, rehearsable, provable.

Exit codes: 0 done · 1 failed, nothing half-done · 2 bad parameters or usage, before anything ran ·
3 no-go · 4 left in between, a person is needed now · 75 parked.
"""

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=HELP)
out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

Environment = Annotated[str, typer.Option("--env", "-e", help="a folder of params/, such as sandbox")]
AsJson = Annotated[bool, typer.Option("--json", help="for a program to read")]
Reason = Annotated[str, typer.Option("--reason", help="why, for the record")]


def main() -> None:
    """Run the command line; every error of ours becomes one message and its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    with suppress(RunbookError):  # without a project there are no secrets to know of
        guard_streams(known_secrets(project_root(Path.cwd())))
    try:
        sys.exit(app(standalone_mode=False))
    except RunbookError as error:
        err.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}")
        for note in getattr(error, "__notes__", []):
            err.print(escape(note))
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        err.print("interrupted; what was under way is on record: runbook status")
        sys.exit(1)
    except OSError as error:
        err.print(f"[red]files could not be written or read:[/] {escape(str(error))}")
        err.print("what is in the journals stays true: runbook status; with room again: runbook seal RUN")
        sys.exit(1)
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        err.print(escape(error.format_message()))
        sys.exit(InputError.exit_code)


def root() -> Path:
    """Return the project's folder."""
    return project_root(Path.cwd())


def prepared(
    place: Path, name: str, *, params: dict[str, Any], run_id: str = "", mode: str = ""
) -> Beginning:
    """Check everything that a run begins with; `params` may hold environment, run_id and mode too."""
    own = {key: str(params.pop(key, "")) for key in ("environment", "run_id", "mode")}
    return prepare(
        place,
        name,
        environment=own["environment"],
        run_id=run_id or own["run_id"],
        mode=cast("Mode", mode or own["mode"]),
        params=params,
    )


def begun(place: Path, run_id: str) -> Beginning:
    """Return what a run on record was begun with."""
    return beginning_of(find_run(place, run_id))


def account(folder: Path) -> Summary:
    """Return the account of a run as it stands now."""
    return summarize(read_journal(folder / JOURNAL), alive=is_held(folder / JOURNAL))


def drive(place: Path, begin: Beginning, *, answer: str = "") -> Summary:
    """Execute a run, showing how it goes, and print what it came to."""
    warm_up("kernel")
    from runbook.driving import Driver  # noqa: PLC0415  # papermill is dear to import

    out.print(f"[bold]{begin.runbook}[/] · {begin.environment} · mode {begin.mode} · run {begin.run_id}")
    with watching(quiet=False) as hear:
        driver = Driver(place, hear=hear, times={"program start": surroundings.process_age_s()})
        summary = driver.run(begin, answer=answer)
    print_outcome(place, summary)
    return summary


def end_as(summary: Summary) -> None:
    """End the command with the exit code of a run."""
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


@contextmanager
def watching(*, quiet: bool) -> Iterator[Any]:
    """Give what hears a kernel and shows it, or what says nothing."""
    if quiet:
        yield lambda _kind, _data: None
        return
    with terminal.Watcher(out) as watcher:
        yield watcher


def print_outcome(place: Path, summary: Summary) -> None:
    for line in terminal.outcome_lines(summary, folder=str(run_folder(place, summary.run_id))):
        out.print(line)
    if why := why_unsigned(run_folder(place, summary.run_id)):
        err.print(
            f"  it is sealed unsigned: {escape(why)}. With the key at hand: runbook seal {summary.run_id}"
        )


def print_json(data: Any) -> None:
    print(json.dumps(data, indent=1, ensure_ascii=False, default=str))


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt
