"""What the command line shows while notebooks run: step lines, and a bar or, without a terminal, lines."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from runbook.campaign import Result
from runbook.showing import STEP_TYPE, progress_line
from runbook.step import ProgressState
from runbook.summary import Summary

LINE_EVERY_S = 3.0
COLOURS = {
    "done": "green",
    "no-go": "red",
    "failed": "red",
    "left in between": "bold red",
    "parked": "yellow",
}
NEXT = {
    "no-go": "  to go on once it is mended: runbook resume {run}",
    "failed": "  to go on once it is mended: runbook resume {run}",
    "parked": "  to go on when it is due: runbook resume {run}",
    "left in between": (
        "  look at what is named above before anything else; the record of it: runbook status {run}\n"
        "  runbook resume {run} observes each change first and applies only what is missing"
    ),
}


class Watcher:
    """Hears what one kernel shows and says it on the console; used as a context."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = 0.0
        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[far]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Watcher:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, kind: str, data: Any) -> None:
        if kind == STEP_TYPE:
            self._console.print(f"  {escape(data['line'])}", highlight=False)
            return
        fields = {name: value for name, value in data.items() if name != "left_s"}
        self._progress(ProgressState(**fields))

    def _progress(self, state: ProgressState) -> None:
        if self._console.is_terminal:
            self._move_bar(state)
        elif time.monotonic() - self._said_at >= LINE_EVERY_S and not state.finished:
            self._said_at = time.monotonic()
            self._console.print(f"  … {escape(progress_line(state))}", highlight=False)

    def _move_bar(self, state: ProgressState) -> None:
        if state.what not in self._tasks:
            self._tasks[state.what] = self._bar.add_task(escape(state.what), total=state.total, far="")
        task = self._tasks[state.what]
        if state.finished:
            self._bar.remove_task(self._tasks.pop(state.what))
            return
        far = progress_line(state).partition(": ")[2]
        self._bar.update(task, completed=state.done, total=state.total, far=far)


def outcome_lines(summary: Summary, *, folder: str) -> list[str]:
    """Return what a run came to: the verdict, its reasons, where the report is, what to type next."""
    colour = COLOURS.get(summary.status, "white")
    lines = [f"[{colour}]{escape(summary.verdict)}[/]"]
    lines += [f"  {escape(reason)}" for reason in summary.reasons]
    sealed = (Path(folder) / "report.html").exists()
    where = (
        f"{escape(folder)}/report.html"
        if sealed
        else f"none yet; write it with: runbook seal {summary.run_id}"
    )
    lines.append(f"  report: {where}")
    return [*lines, *NEXT.get(summary.status, "").format(run=summary.run_id).splitlines()]


def result_line(result: Result) -> str:
    """Return one drill's result as it comes in."""
    mark = "[green]✓[/]" if result.as_expected else "[red]✗[/]"
    status = result.summary.status if result.summary else "not run"
    got = f"{status}, as expected," if result.as_expected else status
    why = f"\n    {escape(result.why)}" if result.why else ""
    return f"{mark} {escape(result.scenario.name)}: {got} in {result.seconds:.1f} s{why}"


def result_table(results: list[Result]) -> Table:
    """Return the one-page result of a campaign."""
    table = Table("drill", "runbook", "expected", "got", "seconds", box=None, pad_edge=False)
    for result in results:
        got = result.summary.status if result.summary else "not run"
        colour = "green" if result.as_expected else "red"
        row = (result.scenario.name, result.scenario.runbook, result.scenario.expected.status)
        table.add_row(*map(escape, row), f"[{colour}]{got}[/]", f"{result.seconds:.1f}")
    return table


def run_lines(summary: Summary) -> list[str]:
    """Return a run on record in two lines: state, when, by whom, id; and its verdict."""
    colour = COLOURS.get(summary.status, "white")
    head = f"{summary.opened_at:%Y-%m-%d %H:%M} UTC  {escape(summary.opened_by)}"
    return [
        f"[{colour}]{summary.status:<15}[/] {head}  [bold]{escape(summary.run_id)}[/]",
        f"                [dim]{escape(summary.verdict)}[/]",
    ]
