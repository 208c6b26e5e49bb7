"""The commands that rehearse: drill, and the sandbox's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from runbook import campaign, commands_sandbox, terminal
from runbook.cli.app import AsJson, app, out, print_json, root, watching
from runbook.opening import run_folder
from runbook.plan import load_scenarios
from runbook.warm import warm_up

app.add_typer(commands_sandbox.app, name="sandbox")


@app.command()
def drill(
    names: Annotated[list[str] | None, typer.Argument(help="runbooks; by default all")] = None,
    scenario: Annotated[str, typer.Option(help="one row of scenarios.yaml")] = "",
    all_rows: Annotated[bool, typer.Option("--all", help="every row, not only those of make drill")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="how many at a time")] = 1,
    as_json: AsJson = False,
) -> None:
    """Rehearse in the sandbox; exit 1 unless every run ends as its row of scenarios.yaml says."""
    warm_up()
    from runbook.drilling import prepare_drill  # noqa: PLC0415  # papermill is dear to import

    place = root()
    rows = campaign.chosen(
        load_scenarios(place).scenarios, names=names or [], scenario=scenario, all_rows=all_rows
    )
    drills = [prepare_drill(place, row) for row in rows]
    results = _drill(place, drills, jobs=jobs, quiet=as_json)
    if as_json:
        print_json([_result_json(result) for result in results])
    else:
        out.print()
        out.print(terminal.result_table(results))
        out.print(f"index: {run_folder(place, 'index.html')}")
    if not all(result.as_expected for result in results):
        raise typer.Exit(1)


def _drill(place: Path, drills: list[Any], *, jobs: int, quiet: bool) -> list[campaign.Result]:
    from runbook.drilling import run_drill  # noqa: PLC0415  # papermill is dear to import
    from runbook.engine import interrupt_running  # noqa: PLC0415

    alone = jobs == 1 and not quiet

    def one(drill: Any) -> campaign.Result:
        row = drill.scenario
        if not quiet:
            out.print(f"[bold]{escape(row.name)}[/] · {row.runbook} · to end {row.expected.status}")
        with watching(quiet=not alone) as hear:
            return run_drill(place, drill, hear=hear)

    def tell(result: campaign.Result) -> None:
        if not quiet:
            out.print(terminal.result_line(result))

    return campaign.drill(drills, run=one, jobs=jobs, tell=tell, stop=interrupt_running)


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
