"""The commands that rehearse: drill, and the sandbox's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from runbook import campaign, commands_sandbox, terminal
from runbook.board import Board, Hear
from runbook.cli.app import AsJson, app, err, out, print_json, root, watching
from runbook.clock import WallClock
from runbook.opening import run_folder
from runbook.plan import load_environment, load_scenarios
from runbook.report import write_index
from runbook.report.rehearsal import Drilled, read_times, verdict, write_rehearsal
from runbook.warm import warm_up

if TYPE_CHECKING:
    from concurrent.futures import Future

    from runbook.drilling import Drill
    from runbook.summary import Summary

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
    warm_up("notebook", "world")
    from runbook.drilling import prepare_drill  # noqa: PLC0415  # papermill is dear to import

    place = root()
    rows = campaign.chosen(
        load_scenarios(place).scenarios, names=names or [], scenario=scenario, all_rows=all_rows
    )
    drills = [prepare_drill(place, row) for row in rows]
    began_at, began = WallClock().now(), time.monotonic()
    try:
        results = _drill(place, drills, jobs=jobs, quiet=as_json)
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


def _drill(place: Path, drills: list[Drill], *, jobs: int, quiet: bool) -> list[campaign.Result]:
    from runbook.drilling import places_aside, run_aside, run_drill  # noqa: PLC0415  # papermill is dear to import
    from runbook.engine import interrupt_running  # noqa: PLC0415

    halted = threading.Event()
    board = Board(Console(quiet=True) if quiet else out, total=len(drills))
    alone = jobs == 1 and not quiet and not out.is_terminal

    @contextmanager
    def heard(drill: Drill, *, aside: bool = False) -> Iterator[Hear]:
        with board.drill(drill.scenario, aside=aside) as shown, watching(quiet=not alone) as said:

            def hear(kind: str, data: Any) -> None:
                shown(kind, data)
                if kind != campaign.RUN_BEGINS:
                    said(kind, data)

            yield hear

    def one(drill: Drill, under_way: Mapping[int, Future[Summary]]) -> campaign.Result:
        with heard(drill) as hear:
            return run_drill(place, drill, hear=hear, halted=halted.is_set, aside=under_way)

    def beside(drill: Drill, number: int) -> Summary:
        with heard(drill, aside=True) as hear:
            return run_aside(place, drill, number, hear=hear, halted=halted.is_set)

    def aside(drill: Drill) -> dict[int, Callable[[], Summary]]:
        numbers = places_aside(place, drill) if jobs > 1 else ()
        return {number: partial(beside, drill, number) for number in numbers}

    def stop() -> None:
        halted.set()
        interrupt_running()

    order = drills
    if jobs > 1:
        took_s = read_times(run_folder(place, "x").parent)
        worlds = load_environment(place, "sandbox").worlds
        order = campaign.longest_first(drills, of=lambda drill: drill.scenario, took_s=took_s, worlds=worlds)
    with board:
        results = campaign.drill(order, run=one, jobs=jobs, tell=board.tell, stop=stop, aside=aside)
    found = dict(zip(map(id, order), results, strict=True))
    return [found[id(drill)] for drill in drills]


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
