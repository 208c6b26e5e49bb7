"""What the command line shows while notebooks run: step lines, and a bar or, without a terminal, lines."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from runbook.campaign import Result, name_of
from runbook.gates.reservations import Reservation
from runbook.handover import Command, handover, unreviewed, waiting_for
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
    "running": "cyan",
    "abandoned": "dim",
}
SAFE = {"yes": "green", "busy": "cyan", "look": "yellow", "no": "bold red"}


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
    lines = [f"[{COLOURS.get(summary.status, 'white')}]{escape(summary.verdict)}[/]"]
    lines += [f"  {escape(reason)}" for reason in summary.reasons]
    sealed = (Path(folder) / "report.html").exists()
    where = (
        f"{escape(folder)}/report.html"
        if sealed
        else f"none yet; write it with: runbook seal {escape(summary.run_id)}"
    )
    lines.append(f"  report: {where}")
    if summary.terminal:
        return lines
    return [*lines, *_next_lines(handover(summary).next, "to go on: ")]


def handover_lines(
    summary: Summary, *, held: Iterable[Reservation] = (), sealed: bool = True, now: datetime | None = None
) -> list[str]:
    """Return how a run is handed over: state, last effect, safe now?, owner, what to type next.

    `held` are the reservations of its environment; `sealed` says that its SHA256SUMS are written.
    """
    found = handover(summary, held=held, sealed=sealed, now=now)
    glass = [
        f"  [bold red]BREAK GLASS[/]  {escape(line.step)}: {escape(line.break_glass)} "
        + (f"[green](reviewed by {escape(line.review)})[/]" if line.review else "[red](not reviewed yet)[/]")
        for line in summary.approvals
        if line.break_glass
    ]
    return [
        *glass,
        f"  [bold]state[/]        {escape(found.state)}",
        f"  [bold]last effect[/]  {escape(found.last_effect)}",
        f"  [bold]safe now?[/]    [{SAFE[found.safe]}]{escape(found.safety)}[/]",
        f"  [bold]owner[/]        {escape(found.owner)}",
        *_next_lines(found.next, "[bold]type next[/]    "),
    ]


def _next_lines(commands: Sequence[Command], head: str) -> list[str]:
    """Return commands in their order, what each is for below it; `head` stands before the first."""
    gap = " " * len(Text.from_markup(head).plain)
    lines = []
    for place, command in enumerate(commands):
        lines.append(f"  {head if place == 0 else gap}{escape(command.type)}")
        lines.append(f"  {gap}  [dim]{escape(command.why)}[/]")
    return lines


def result_line(result: Result) -> str:
    """Return one drill's result as it comes in."""
    mark = "[green]✓[/]" if result.as_expected else "[red]✗[/]"
    status = result.summary.status if result.summary else "not run"
    got = f"{status}, as expected," if result.as_expected else status
    why = f"\n    {escape(result.why)}" if result.why else ""
    return f"{mark} {escape(name_of(result.scenario))}: {got} in {result.seconds:.1f} s{why}"


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
    """Return a run on record in two lines: state, when, by whom, id; its verdict, and what it waits for."""
    colour = COLOURS.get(summary.status, "white")
    head = f"{summary.opened_at:%Y-%m-%d %H:%M} UTC  {escape(summary.opened_by)}"
    glass = "  [bold red]BREAK GLASS, not reviewed yet[/]" if unreviewed(summary) else ""
    waits = f"  [yellow]{escape(waiting_for(summary))}[/]" if summary.status == "parked" else ""
    return [
        f"[{colour}]{summary.status:<15}[/] {head}  [bold]{escape(summary.run_id)}[/]{glass}",
        f"                [dim]{escape(summary.verdict)}[/]{waits}",
    ]
