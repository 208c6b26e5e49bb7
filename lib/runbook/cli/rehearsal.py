"""Drills side by side: begun in the order that leaves no core idle, shown as they go, stopped together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from runbook import campaign
from runbook.board import Board, Hear
from runbook.campaign import Result
from runbook.cli.app import out, watching
from runbook.drilling import Drill, in_real_time, places_aside, run_aside, run_drill
from runbook.engine import interrupt_running
from runbook.opening import run_folder
from runbook.plan import load_environment
from runbook.report.rehearsal import read_times
from runbook.summary import Summary


class Rehearsal:
    """The drills of one command. One alone, without a terminal, also shows each of its steps."""

    def __init__(self, place: Path, drills: Sequence[Drill], *, jobs: int, quiet: bool) -> None:
        self._place, self._drills, self._jobs = place, drills, jobs
        self._alone = jobs == 1 and not quiet and not out.is_terminal
        self._board = Board(Console(quiet=True) if quiet else out, total=len(drills))
        self._halted = threading.Event()

    def run(self) -> list[Result]:
        """Run them, and return what they came to in their order; KeyboardInterrupt when all are stopped."""
        order = self._in_order()
        with self._board:
            results = campaign.drill(
                order,
                run=self._one,
                aside=self._aside,
                in_real_time=partial(in_real_time, self._place),
                jobs=self._jobs,
                tell=self._board.tell,
                stop=self._stop,
            )
        found = dict(zip(map(id, order), results, strict=True))
        return [found[id(drill)] for drill in self._drills]

    def _in_order(self) -> Sequence[Drill]:
        if self._jobs == 1:
            return self._drills
        took_s = read_times(run_folder(self._place, "x").parent)
        worlds = load_environment(self._place, "sandbox").worlds
        return campaign.longest_first(
            self._drills, of=lambda drill: drill.scenario, took_s=took_s, worlds=worlds
        )

    def _one(self, drill: Drill, under_way: Mapping[int, Future[Summary]]) -> Result:
        with self._heard(drill) as hear:
            return run_drill(self._place, drill, hear=hear, halted=self._halted.is_set, aside=under_way)

    def _aside(self, drill: Drill) -> dict[int, Callable[[], Summary]]:
        numbers = places_aside(self._place, drill) if self._jobs > 1 else ()
        return {number: partial(self._beside, drill, number) for number in numbers}

    def _beside(self, drill: Drill, number: int) -> Summary:
        with self._heard(drill, aside=True) as hear:
            return run_aside(self._place, drill, number, hear=hear, halted=self._halted.is_set)

    @contextmanager
    def _heard(self, drill: Drill, *, aside: bool = False) -> Iterator[Hear]:
        with (
            self._board.drill(drill.scenario, aside=aside) as shown,
            watching(quiet=not self._alone) as said,
        ):

            def hear(kind: str, data: Any) -> None:
                shown(kind, data)
                if kind != campaign.RUN_BEGINS:
                    said(kind, data)

            yield hear

    def _stop(self) -> None:
        self._halted.set()
        interrupt_running()
