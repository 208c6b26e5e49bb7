"""Commands on runbooks and runs: list, show, run, resume, seal, status, verify, report."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from runbook import approving, catalogue, due, terminal
from runbook.cli.app import (
    AsJson,
    Environment,
    account,
    app,
    begun,
    drive,
    end_as,
    err,
    out,
    prepared,
    print_json,
    print_outcome,
    root,
)
from runbook.clock import WallClock
from runbook.errors import InputError, JournalError, Parked, RunbookError, RunBusy
from runbook.journal import is_held
from runbook.opening import JOURNAL, find_run, refuse_unfinished, reservations, run_folder
from runbook.parameters import describe, load_parameters, read_schema
from runbook.rehearsing import clock_of
from runbook.summary import Summary
from runbook.verifying import Verification

Params = Annotated[list[str] | None, typer.Option("-p", metavar="K=V", help="a parameter; may be repeated")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the runbooks: name, group, title."""
    entries = catalogue.entries(root())
    if as_json:
        print_json([{"name": e.name, "group": e.group, "title": e.title} for e in entries])
        return
    for entry in entries:
        out.print(f"[bold]{entry.name}[/]  [dim]{entry.group}[/]  {escape(entry.title)}")


@app.command()
def show(name: str, as_json: AsJson = False) -> None:
    """Show what a runbook does, how it is undone, and its parameters."""
    entry = catalogue.find(root(), name)
    schema = read_schema(entry.path)
    if as_json:
        print_json({"name": entry.name, "preface": entry.preface, "parameters": describe(schema)})
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
    place = root()
    given = load_parameters(place, env, name, params or [])
    begin = prepared(place, name, params=dict(given), run_id=run_id, mode=mode)
    if run_id and (run_folder(place, run_id) / JOURNAL).exists():
        raise InputError(f"there is a run {run_id} already; go on with it: runbook resume {run_id}")
    if not run_id:
        refuse_unfinished(place, begin)
    end_as(drive(place, begin))


@app.command()
def resume(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="the run; left out with --due")] = "",
    all_due: Annotated[bool, typer.Option("--due", help="every parked run that may go on now")] = False,
    loop: Annotated[bool, typer.Option("--loop", help="with --due: go on looking until stopped")] = False,
    every_s: Annotated[float, typer.Option(min=1, help="with --loop: seconds between looks")] = 15.0,
    took_effect: Annotated[bool, typer.Option(help="you looked: the change in doubt is in place")] = False,
    try_again: Annotated[bool, typer.Option(help="you looked: the change in doubt is not in place")] = False,
) -> None:
    """Take a run up again: what is on record is not repeated."""
    place = root()
    if bool(run_id) == all_due or (loop and not all_due) or (took_effect and try_again):
        raise InputError(
            "name one run, or say --due (and --loop with it); of a change in doubt say one thing"
        )
    if all_due:
        _resume_due(place, loop=loop, every_s=every_s)
        return
    begin, found = begun(place, run_id), account(find_run(place, run_id))
    if found.terminal:
        report = run_folder(place, run_id) / "report.html"
        raise InputError(f"the run {run_id} is over ({found.status}); its report is {report}")
    answer = "took effect" if took_effect else "try again" if try_again else ""
    end_as(drive(place, begin, answer=answer))


def _resume_due(place: Path, *, loop: bool, every_s: float) -> None:
    """Go on with the parked runs that are due; several processes may do so at once."""
    clock, worst = WallClock(), 0
    while True:
        for run_id in due.due_runs(place):
            worst = max(worst, _go_on(place, run_id))
        if not loop:
            break
        clock.sleep_until(clock.now() + timedelta(seconds=every_s))
    if worst:
        raise typer.Exit(worst)


def _go_on(place: Path, run_id: str) -> int:
    """Go on with one run that is due; what befalls it keeps no other from its turn. Return its exit code."""
    if not due.is_due(place, run_id):
        return 0  # another process, or a person, was quicker
    try:
        code = drive(place, begun(place, run_id)).exit_code
    except RunBusy:
        return 0  # another process was quicker
    except (RunbookError, OSError) as error:
        err.print(f"[red]{run_id}: {type(error).__name__}:[/] {escape(str(error))}")
        return error.exit_code if isinstance(error, RunbookError) else 1
    return 0 if code == Parked.exit_code else code


@app.command()
def seal(run_id: str) -> None:
    """Write notebook, report, sums and signature of a run from JupyterLab or plain papermill."""
    from runbook.driving import Driver  # noqa: PLC0415  # papermill is dear to import

    place = root()
    begin = begun(place, run_id)
    if is_held(find_run(place, run_id) / JOURNAL):
        raise RunBusy(f"the run {run_id} is being executed now; seal it when it has ended")
    print_outcome(place, Driver(place).seal(begin))


@app.command()
def status(run_id: Annotated[str, typer.Argument()] = "", as_json: AsJson = False) -> None:
    """Say what state a run is in, whether that is safe and what to type next; or list all runs."""
    place = root()
    if not run_id:
        _list_runs(place, as_json=as_json)
        return
    summary = account(find_run(place, run_id))
    if as_json:
        print_json(json.loads(summary.model_dump_json()))
        return
    folder = run_folder(place, run_id)
    out.print(f"[bold]{summary.run_id}[/]  {summary.status}, opened by {escape(summary.opened_by)}")
    for step in summary.steps:
        out.print(f"  {step.status:<8} {step.verb} · {escape(step.title)} · {step.seconds:.2f} s")
    out.print(escape(summary.verdict))
    for reason in summary.reasons:
        out.print(f"  {escape(reason)}")
    held = reservations(place, summary.environment, run_id=run_id).held()
    now = clock_of(summary.environment).now()
    sealed = (folder / "SHA256SUMS").exists()
    for line in terminal.handover_lines(summary, held=held, sealed=sealed, now=now):
        out.print(line)
    if sealed:
        out.print(f"  report: {folder}/report.html")


def _list_runs(place: Path, *, as_json: bool) -> None:
    summaries = _summaries(place)
    if as_json:
        print_json([json.loads(summary.model_dump_json()) for summary in summaries])
        return
    for line in [line for summary in summaries for line in terminal.run_lines(summary)]:
        out.print(line)
    out.print("" if summaries else "no runs yet; begin with: make drill")


def _summaries(place: Path) -> list[Summary]:
    """Return the runs that can be read, newest first; those that cannot are named on stderr."""
    found = []
    for path in sorted(run_folder(place, "x").parent.glob(f"*/{JOURNAL}")):
        try:
            found.append(account(path.parent))
        except (JournalError, ValueError, KeyError) as error:
            err.print(f"[red]{escape(path.parent.name)}:[/] its record cannot be read: {escape(str(error))}")
    return sorted(found, key=lambda summary: summary.opened_at, reverse=True)


@app.command()
def verify(
    run_or_folder: Annotated[str, typer.Argument(metavar="RUN|DIR")],
    signers: Annotated[
        Path | None, typer.Option(help="whose signatures count; by default params/<env>/allowed_signers")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check a sealed run: sums, signature, chain, approvals, summary and report against the journal."""
    found = approving.verify(run_or_folder, start=Path.cwd(), signers=signers)
    if as_json:
        print_json(json.loads(found.model_dump_json()))
    else:
        _print_verification(found)
    if not found.holds:
        raise typer.Exit(1)


def _print_verification(found: Verification) -> None:
    for line in found.wrong:
        err.print(f"[red]✗[/] {escape(line)}")
    if found.holds:
        out.print(f"[green]✓[/] {found.run_id}: {found.files} files as sealed; {escape(found.sentence())}")
        out.print(f"  {escape(found.verdict)}")
    for remark in found.remarks:
        out.print(f"  {escape(remark)}")


@app.command()
def report(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="a run; left out: the index")] = "",
    pdf: Annotated[bool, typer.Option("--pdf", help="print its report to outputs/RUN.pdf")] = False,
) -> None:
    """Write outputs/index.html anew over all runs; of one run, say where its report is, or print it."""
    if not run_id:
        if pdf:
            raise InputError("name the run whose report is to be printed: runbook report RUN --pdf")
        from runbook.report import write_index  # noqa: PLC0415

        out.print(str(write_index(run_folder(root(), "x").parent)))
        return
    folder = find_run(root(), run_id)
    if not pdf:
        out.print(str(folder / "report.html"))
        return
    from runbook.report.printing import print_report  # noqa: PLC0415  # only who prints needs it

    out.print(str(print_report(folder)))
