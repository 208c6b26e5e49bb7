"""The commands that rehearse: drill, and the sandbox's own."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from runbook import campaign, commands_sandbox, terminal
from runbook.cli.app import AsJson, app, err, out, print_json, root
from runbook.clock import WallClock
from runbook.opening import run_folder
from runbook.plan import load_scenarios
from runbook.report import write_index
from runbook.report.rehearsal import Drilled, verdict, write_rehearsal
from runbook.warm import warm_up

app.add_typer(commands_sandbox.app, name="sandbox")


@app.command()
def drill(
    names: Annotated[list[str] | None, typer.Argument(help="runbooks; by default all")] = None,
    scenario: Annotated[str, typer.Option(help="one row of scenarios.yaml")] = "",
    all_rows: Annotated[bool, typer.Option("--all", help="every row, not only those of make drill")] = False,
    jobs: Annotated[
        int, typer.Option(min=1, max=64, help="how many at a time, and one more on a database")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Rehearse in the sandbox; exit 1 unless every run ends as its row of scenarios.yaml says."""
    warm_up("notebook", "world")
    from runbook.cli.rehearsal import Rehearsal  # noqa: PLC0415  # papermill is dear to import
    from runbook.drilling import prepare_drill  # noqa: PLC0415

    place = root()
    rows = campaign.chosen(
        load_scenarios(place).scenarios, names=names or [], scenario=scenario, all_rows=all_rows
    )
    drills = [prepare_drill(place, row) for row in rows]
    began_at, began = WallClock().now(), time.monotonic()
    try:
        results = Rehearsal(place, drills, jobs=jobs, quiet=as_json).run()
    except KeyboardInterrupt:
        err.print("interrupted; the runs that were under way have it on record: runbook status")
        raise typer.Exit(1) from None
    drilled = [_drilled(result) for result in results]
    outputs = run_folder(place, "x").parent
    page = write_rehearsal(outputs, drilled, at=began_at, took_s=time.monotonic() - began, jobs=jobs)
    write_index(outputs)  # it leads to the rehearsal
    if as_json:
        print_json([_result_json(result) for result in results])
    else:
        _print_results(results, verdict(drilled), page=page)
    if not all(result.as_expected for result in results):
        raise typer.Exit(1)


def _drilled(result: campaign.Result) -> Drilled:
    row = result.scenario
    return Drilled(
        runbook=row.runbook,
        scenario=row.name,
        proves=row.proves,
        expected=row.expected.status,
        summary=result.summary,
        runs=1 + len(row.first),
        seconds=result.seconds,
        why=result.why,
    )


def _print_results(results: list[campaign.Result], said: str, *, page: Path) -> None:
    out.print()
    out.print(terminal.result_table(results))
    out.print()
    failed = [result for result in results if not result.as_expected]
    out.print(f"[{'red' if failed else 'green'}]{escape(said)}[/]")
    for result in failed:
        out.print(f"  {escape(campaign.name_of(result.scenario))}: {escape(result.why)}")
    out.print(f"rehearsal: {page}")
    out.print(f"index: {page.parent / 'index.html'}")


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
