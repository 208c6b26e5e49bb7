"""What the command line shows of a rehearsal under way: a live table in a terminal, else plain lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from runbook.campaign import RUN_BEGINS, Result
from runbook.plan import Scenario
from runbook.showing import PROGRESS_TYPE, STEP_TYPE, progress_line
from runbook.step import ProgressState
from runbook.terminal import result_line

A_SECOND = 4  # how often the live table is drawn
Hear = Callable[[str, Any], None]


@dataclass
class _UnderWay:
    """A drill that is being run, or one of its runs `aside`: which, what that shows, since when."""

    scenario: Scenario
    aside: bool = False
    began_at: float = field(default_factory=time.monotonic)
    run: str = ""
    shows: str = "begins"

    def hear(self, kind: str, data: Any) -> None:
        if kind == RUN_BEGINS:
            chain = f"{data['place']} of {data['of']} · " if data["of"] > 1 else ""
            self.run, self.shows = f"{chain}{data['runbook']}", "begins"
        elif kind == STEP_TYPE:
            self.shows = data["line"]
        elif kind == PROGRESS_TYPE:
            state = ProgressState(**{name: value for name, value in data.items() if name != "left_s"})
            self.shows = progress_line(state)


class Board:
    """Shows how a rehearsal goes; used as a context, and by several threads at once.

    In a terminal each drill under way has a line that changes; what has ended stands above, once. Elsewhere a
    line is written when a drill begins, when a run of several begins, and when it has ended.
    """

    def __init__(self, console: Console, *, total: int) -> None:
        self._console, self._total = console, total
        self._lock = threading.Lock()
        self._under_way: list[_UnderWay] = []
        self._ended = self._failed = 0
        self._began_at = time.monotonic()
        self._live = Live(
            console=console,
            get_renderable=self.table,
            refresh_per_second=A_SECOND,
            transient=True,
            auto_refresh=console.is_terminal,
        )

    def __enter__(self) -> Board:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._live.stop()

    @contextmanager
    def drill(self, scenario: Scenario, *, aside: bool = False) -> Iterator[Hear]:
        """Show a drill for as long as it is under way, or one of its runs `aside`; give what hears it."""
        one = _UnderWay(scenario, aside)
        with self._lock:
            self._under_way.append(one)
        if not (self._console.is_terminal or aside):
            name, to_end = escape(scenario.name), scenario.expected.status
            self._console.print(f"[bold]{name}[/] · {scenario.runbook} · to end {to_end}")
        try:
            yield one.hear if self._console.is_terminal else self._speaking(one)
        finally:
            with self._lock:
                self._under_way.remove(one)

    def _speaking(self, one: _UnderWay) -> Hear:
        def hear(kind: str, data: Any) -> None:
            one.hear(kind, data)
            if kind == RUN_BEGINS and data["of"] > 1:
                self._console.print(f"  {escape(one.scenario.name)}: run {escape(one.run)}")

        return hear

    def tell(self, result: Result) -> None:
        """Say what a drill came to."""
        with self._lock:
            self._ended += 1
            self._failed += not result.as_expected
        self._console.print(result_line(result))

    def table(self) -> Table:
        """Return the drills under way, and how far the rehearsal is."""
        with self._lock:
            under_way, ended, failed = tuple(self._under_way), self._ended, self._failed
        table = Table(box=None, pad_edge=False, expand=True, show_header=False)
        for share in (3, 3, 6):
            table.add_column(ratio=share, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True, width=7)
        for one in under_way:
            cells = (Text(one.scenario.name, "bold"), Text(one.run), Text(one.shows, "dim"))
            table.add_row(*cells, _clock(one.began_at))
        wait = self._total - ended - sum(not one.aside for one in under_way)
        tally = f"{ended} of {self._total} ended, {wait} to begin"
        wrong = Text(f"{failed} not as expected", "red") if failed else Text("")
        table.add_row(Text(tally, "cyan"), wrong, "", _clock(self._began_at))
        return table


def _clock(began_at: float) -> str:
    minutes, seconds = divmod(int(time.monotonic() - began_at), 60)
    return f"{minutes}:{seconds:02}"
