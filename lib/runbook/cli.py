"""The command line, where all rooms are put together: `runbook list · show · run · drill · sandbox …`.

Exit codes: 0 done · 1 failed, nothing half-done · 2 bad parameters or usage, before anything ran ·
3 no-go · 4 left in between, a person is needed now · 75 parked.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import click
import typer
from rich.console import Console
from rich.markup import escape

from runbook import campaign, catalogue, commands_sandbox, sealing, surroundings, terminal
from runbook.account import summarize
from runbook.clock import WallClock
from runbook.errors import InputError, JournalError, RunbookError, RunBusy
from runbook.journal import is_held, read_journal
from runbook.opening import JOURNAL, Beginning, Mode, find_run, prepare, refuse_unfinished, run_folder
from runbook.parameters import describe, load_parameters, read_schema
from runbook.plan import Scenario, load_scenarios, project_root
from runbook.summary import Summary

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.add_typer(commands_sandbox.app, name="sandbox")
DRILL_TIMEOUT_S = 900.0  # a cell of a drill that takes longer hangs

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Environment = Annotated[str, typer.Option("--env", "-e", help="a folder of params/, such as sandbox")]
Params = Annotated[list[str] | None, typer.Option("-p", metavar="K=V", help="a parameter; may be repeated")]
AsJson = Annotated[bool, typer.Option("--json", help="for a program to read")]


def main() -> None:
    """Run the command line; every error of ours becomes one message and its exit code."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(app(standalone_mode=False))
    except RunbookError as error:
        err.print(f"[red]{type(error).__name__}:[/] {escape(str(error))}")
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


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the runbooks: name, group, title."""
    entries = catalogue.entries(_root())
    if as_json:
        _print_json([{"name": e.name, "group": e.group, "title": e.title} for e in entries])
        return
    for entry in entries:
        out.print(f"[bold]{entry.name}[/]  [dim]{entry.group}[/]  {escape(entry.title)}")


@app.command()
def show(name: str, as_json: AsJson = False) -> None:
    """Show what a runbook does, how it is undone, and its parameters."""
    entry = catalogue.find(_root(), name)
    schema = read_schema(entry.path)
    if as_json:
        _print_json({"name": entry.name, "preface": entry.preface, "parameters": describe(schema)})
        return
    out.print(escape(entry.preface))
    out.print("\n[bold]Parameters[/]")
    for row in describe(schema):
        out.print("  " + escape("  ".join(str(cell) for cell in row if cell)))


@app.command()
def run(
    name: str,
    env: Environment,
    params: Params = None,
    run_id: Annotated[str, typer.Option(help="the run's name; by default one is made")] = "",
    mode: Annotated[str, typer.Option(help="plan or apply; by default the environment's")] = "",
) -> None:
    """Execute a runbook, leaving its record and report in outputs/<run>/."""
    root = _root()
    given = load_parameters(root, env, name, params or [])
    begin = _prepare(root, name, params=dict(given), run_id=run_id, mode=mode)
    if run_id and (run_folder(root, run_id) / JOURNAL).exists():
        raise InputError(f"there is a run {run_id} already; go on with it: runbook resume {run_id}")
    if not run_id:
        refuse_unfinished(root, begin)
    _drive(root, begin)


@app.command()
def resume(run_id: str) -> None:
    """Take a run up again: what is on record is not repeated."""
    root = _root()
    begin = _begun(root, run_id)
    if _summary(find_run(root, run_id)).status == "done":
        raise InputError(f"the run {run_id} is done; its report is outputs/{run_id}/report.html")
    _drive(root, begin)


@app.command()
def seal(run_id: str) -> None:
    """Write notebook, report and sums of a run stepped through in JupyterLab or by plain papermill."""
    from runbook.driving import Driver  # noqa: PLC0415  # papermill is dear to import

    root = _root()
    begin = _begun(root, run_id)
    if is_held(find_run(root, run_id) / JOURNAL):
        raise RunBusy(f"the run {run_id} is being executed now; seal it when it has ended")
    summary = Driver(root).seal(begin)
    _print_outcome(root, summary)


@app.command()
def status(run_id: Annotated[str, typer.Argument()] = "", as_json: AsJson = False) -> None:
    """Say what state a run is in, or list all runs."""
    root = _root()
    if not run_id:
        summaries = _summaries(root)
        if as_json:
            _print_json([json.loads(summary.model_dump_json()) for summary in summaries])
        else:
            for line in [line for summary in summaries for line in terminal.run_lines(summary)]:
                out.print(line)
            out.print("" if summaries else "no runs yet; begin with: make drill")
        return
    summary = _summary(find_run(root, run_id))
    if as_json:
        _print_json(json.loads(summary.model_dump_json()))
        return
    out.print(f"[bold]{summary.run_id}[/]  {summary.status}, opened by {escape(summary.opened_by)}")
    for step in summary.steps:
        out.print(f"  {step.status:<8} {step.verb} · {escape(step.title)} · {step.seconds:.2f} s")
    _print_outcome(root, summary)


@app.command()
def verify(run_or_folder: str) -> None:
    """Check a sealed run: sums, chain of the journal, summary against journal."""
    folder = Path(run_or_folder)
    folder = folder if (folder / JOURNAL).is_file() else find_run(_root(), run_or_folder)
    wrong = sealing.verify(folder)
    for line in wrong:
        err.print(f"[red]✗[/] {escape(line)}")
    if wrong:
        raise typer.Exit(1)
    out.print(
        f"[green]✓[/] {folder.name}: unsigned; files, journal and summary agree with its own SHA256SUMS"
    )
    out.print("  whoever can write this folder could have written all of them anew")


@app.command()
def report() -> None:
    """Write outputs/index.html anew over all runs."""
    from runbook.report import write_index  # noqa: PLC0415

    out.print(str(write_index(run_folder(_root(), "x").parent)))


@app.command()
def drill(
    names: Annotated[list[str] | None, typer.Argument(help="runbooks; by default all")] = None,
    scenario: Annotated[str, typer.Option(help="one row of scenarios.yaml")] = "",
    all_rows: Annotated[bool, typer.Option("--all", help="every row, not only those of make drill")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="how many at a time")] = 1,
    as_json: AsJson = False,
) -> None:
    """Rehearse in the sandbox; exit 1 unless every run ends as its row of scenarios.yaml says."""
    root = _root()
    rows = campaign.chosen(
        load_scenarios(root).scenarios, names=names or [], scenario=scenario, all_rows=all_rows
    )
    begun = [_prepare_row(root, row) for row in rows]
    results = _drill(root, rows, begun, jobs=jobs, quiet=as_json)
    if as_json:
        _print_json([_result_json(result) for result in results])
    else:
        out.print()
        out.print(terminal.result_table(results))
        out.print(f"index: {run_folder(root, 'index.html')}")
    if not all(result.as_expected for result in results):
        raise typer.Exit(1)


def _drill(
    root: Path, rows: list[Scenario], begun: list[Beginning], *, jobs: int, quiet: bool
) -> list[campaign.Result]:
    from runbook.driving import Driver  # noqa: PLC0415  # papermill is dear to import
    from runbook.engine import interrupt_running  # noqa: PLC0415

    alone = jobs == 1 and not quiet

    def one(pair: tuple[Scenario, Beginning]) -> campaign.Result:
        row, begin = pair
        if not quiet:
            out.print(f"[bold]{escape(row.name)}[/] · {row.runbook} · to end {row.expected.status}")
        began = time.monotonic()
        with _watching(quiet=not alone) as hear:
            try:
                summary = Driver(root, hear=hear, timeout_s=DRILL_TIMEOUT_S).run(begin)
            except (RunbookError, OSError) as error:
                return campaign.Result(row, None, time.monotonic() - began, f"not run: {error}")
        return campaign.Result(row, summary, time.monotonic() - began, campaign.judge(row, summary))

    def tell(result: campaign.Result) -> None:
        if not quiet:
            out.print(terminal.result_line(result))

    return campaign.drill(
        list(zip(rows, begun, strict=True)), run=one, jobs=jobs, tell=tell, stop=interrupt_running
    )


def _drive(root: Path, begin: Beginning) -> None:
    from runbook.driving import Driver  # noqa: PLC0415  # papermill is dear to import

    out.print(f"[bold]{begin.runbook}[/] · {begin.environment} · mode {begin.mode} · run {begin.run_id}")
    with _watching(quiet=False) as hear:
        summary = Driver(root, hear=hear, times={"program start": surroundings.process_age_s()}).run(begin)
    _print_outcome(root, summary)
    if summary.exit_code:
        raise typer.Exit(summary.exit_code)


@contextmanager
def _watching(*, quiet: bool) -> Iterator[Any]:
    if quiet:
        yield lambda _kind, _data: None
        return
    with terminal.Watcher(out) as watcher:
        yield watcher


def _root() -> Path:
    return project_root(Path.cwd())


def _prepare(root: Path, name: str, *, params: dict[str, Any], run_id: str = "", mode: str = "") -> Beginning:
    own = {key: str(params.pop(key, "")) for key in ("environment", "run_id", "mode")}
    return prepare(
        root,
        name,
        environment=own["environment"],
        run_id=run_id or own["run_id"],
        mode=cast("Mode", mode or own["mode"]),
        params=params,
        clock=WallClock(),
    )


def _prepare_row(root: Path, row: Scenario) -> Beginning:
    params = load_parameters(root, "sandbox", row.runbook, scenario=row)
    return _prepare(root, row.runbook, params=dict(params))


def _begun(root: Path, run_id: str) -> Beginning:
    records = read_journal(find_run(root, run_id) / JOURNAL)
    if not records or records[0].kind != "opened":
        raise InputError(f"the run {run_id} has no record to go on from; begin another with: runbook run")
    opened = records[0].data
    names = ("runbook", "environment", "mode", "params", "run_id")
    return Beginning(**{name: opened[name] for name in names})


def _summary(folder: Path) -> Summary:
    return summarize(read_journal(folder / JOURNAL), alive=is_held(folder / JOURNAL))


def _summaries(root: Path) -> list[Summary]:
    """Return the runs that can be read, newest first; those that cannot are named on stderr."""
    found = []
    for path in sorted(run_folder(root, "x").parent.glob(f"*/{JOURNAL}")):
        try:
            found.append(_summary(path.parent))
        except (JournalError, ValueError, KeyError) as error:
            err.print(f"[red]{escape(path.parent.name)}:[/] its record cannot be read: {escape(str(error))}")
    return sorted(found, key=lambda summary: summary.opened_at, reverse=True)


def _result_json(result: campaign.Result) -> dict[str, Any]:
    return {
        "scenario": result.scenario.name,
        "runbook": result.scenario.runbook,
        "run_id": result.summary.run_id if result.summary else None,
        "expected": result.scenario.expected.status,
        "got": result.summary.status if result.summary else None,
        "as_expected": result.as_expected,
        "why": result.why,
        "seconds": round(result.seconds, 3),
    }


def _print_outcome(root: Path, summary: Summary) -> None:
    for line in terminal.outcome_lines(summary, folder=str(run_folder(root, summary.run_id))):
        out.print(line)


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=1, ensure_ascii=False, default=str))


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
