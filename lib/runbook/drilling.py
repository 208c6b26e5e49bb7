"""One drill: its runs in one world, in their order, the last held against what its row expects."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from runbook import catalogue, surroundings
from runbook.campaign import RUN_BEGINS, Result, judge
from runbook.driving import Driver
from runbook.errors import RunbookError
from runbook.harming import harm
from runbook.opening import OWN, Beginning, prepare
from runbook.parameters import load_parameters, read_schema
from runbook.plan import First, Played, Scenario, load_environment
from runbook.rehearsing import folder_of, start_world
from runbook.sandbox.world.launch import WorldProcess
from runbook.summary import Summary
from runbook.warm import spawn_world

TIMEOUT_S = 900.0  # a cell of a drill that takes longer hangs


@dataclass(frozen=True)
class Drill:
    """A scenario and what its runs begin with: those that come first, then its own."""

    scenario: Scenario
    begins: tuple[Beginning, ...]

    @property
    def played(self) -> tuple[Played, ...]:
        """Return each run as its row has it."""
        return (*self.scenario.first, self.scenario)

    def parts(self) -> Iterator[tuple[Played, Beginning]]:
        """Return each run as its row has it, with what it begins with."""
        return zip(self.played, self.begins, strict=True)


def prepare_drill(root: Path, scenario: Scenario) -> Drill:
    """Check everything that the runs of a scenario begin with, and touch nothing; raises InputError."""
    given: dict[str, JsonValue] = {}
    begins = []
    for played in (*scenario.first, scenario):
        known = read_schema(catalogue.find(root, played.runbook).path).names
        params = {**{name: value for name, value in given.items() if name in known}, **played.params}
        row = scenario.model_copy(update={"params": params})
        whole = load_parameters(root, "sandbox", played.runbook, scenario=row)
        begin = prepare(
            root,
            played.runbook,
            environment="sandbox",
            run_id="",
            mode="",
            params={name: value for name, value in whole.items() if name not in OWN},
        )
        begins.append(begin)
        if gives := getattr(played, "gives", None):
            given[gives] = begin.run_id
    return Drill(scenario, tuple(begins))


def places_aside(root: Path, drill: Drill) -> tuple[int, ...]:
    """Return which of a drill's runs may be made by themselves, at any time before those that ask for them.

    They meet no world, where it would show whether they have been; and the next does not ask for them.
    """
    rehearsed = load_environment(root, "sandbox").worlds
    return tuple(
        place
        for place, begin in enumerate(drill.begins[:-1])
        if begin.runbook not in rehearsed and not _asks_for(drill.begins[place + 1], begin)
    )


def in_real_time(root: Path, drill: Drill) -> bool:
    """Say whether one of a drill's runs, in its turn, meets no world: it mostly waits, for a database."""
    rehearsed, aside = load_environment(root, "sandbox").worlds, places_aside(root, drill)
    runs = enumerate(drill.begins)
    return any(begin.runbook not in rehearsed and place not in aside for place, begin in runs)


def run_aside(
    root: Path,
    drill: Drill,
    place: int,
    *,
    hear: Callable[[str, Any], None],
    halted: Callable[[], bool] = lambda: False,
) -> Summary:
    """Execute one of a drill's runs by itself; raises Interrupted when it was not to begin any more."""
    return _run(root, drill, place, world=None, hear=hear, halted=halted)


def run_drill(
    root: Path,
    drill: Drill,
    *,
    hear: Callable[[str, Any], None],
    halted: Callable[[], bool] = lambda: False,
    aside: Mapping[int, Future[Summary]] | None = None,
) -> Result:
    """Execute a drill's runs and judge the last one; one before it that does not end done is the result.

    `hear` gets what their kernels show, and each run as it begins; once `halted`, no further one does. Runs
    `aside` are under way already, by their places. The world goes with a drill that ended as expected;
    otherwise it stays for who looks into it.
    """
    began, last = time.monotonic(), len(drill.begins) - 1
    aside = dict(aside or {})

    def result(summary: Summary | None, why: str) -> Result:
        return Result(drill.scenario, summary, time.monotonic() - began, why)

    try:
        with _world(root, drill) as world:
            for place, begin in enumerate(drill.begins):
                if place in aside:
                    continue
                asked = [one for one in aside if place == last or _asks_for(begin, drill.begins[one])]
                for one in (*asked, place):
                    if one in aside:
                        summary = aside.pop(one).result()
                    else:
                        summary = _run(root, drill, place, world=world, hear=hear, halted=halted)
                    if one != last and summary.status != "done":
                        run_id = drill.begins[one].run_id
                        return result(summary, f"{run_id}, before it, is {summary.status}: {summary.verdict}")
    except Interrupted as error:
        return result(None, str(error))
    except (RunbookError, OSError) as error:
        return result(None, f"not run: {error}")
    found = result(summary, judge(drill.scenario, summary))
    if found.as_expected:
        world_folder = folder_of(surroundings.outputs_folder(root), drill.begins[-1].run_id)
        shutil.rmtree(world_folder, ignore_errors=True)
    return found


class Interrupted(RunbookError):
    """A run was not to begin any more."""


def _asks_for(begin: Beginning, other: Beginning) -> bool:
    return other.run_id in begin.params.values()


def _set_the_scene(world: WorldProcess, played: Played) -> None:
    """Let the time of a run come, and what its row names begin in the world."""
    if played.at is not None:
        world.remote.advance_to(played.at)
    for name in played.world:
        world.remote.play(name)


def _run(
    root: Path,
    drill: Drill,
    place: int,
    *,
    world: WorldProcess | None,
    hear: Callable[[str, Any], None],
    halted: Callable[[], bool],
) -> Summary:
    """Execute one run; one that measures real time, whatever comes before it in its row, meets no world."""
    played, begin = drill.played[place], drill.begins[place]
    if halted():
        raise Interrupted(f"interrupted before {begin.run_id} began")
    told = {"runbook": begin.runbook, "run_id": begin.run_id}
    hear(RUN_BEGINS, {**told, "place": place + 1, "of": len(drill.begins)})
    if world is not None:
        _set_the_scene(world, played)
    rehearsed = load_environment(root, "sandbox").worlds
    folder = world.folder if world is not None and begin.runbook in rehearsed else None
    signed = drill.scenario.signed if begin is drill.begins[-1] else ""  # what comes before must end done
    summary = Driver(root, hear=hear, timeout_s=TIMEOUT_S, world=folder, signed=signed).run(begin)
    if isinstance(played, First) and summary.status == "done":
        harm(surroundings.outputs_folder(root) / begin.run_id, played.afterwards)
    return summary


@contextmanager
def _world(root: Path, drill: Drill) -> Iterator[WorldProcess | None]:
    """Give the world that a drill's runs share, or None when none of them needs one."""
    rehearsed = load_environment(root, "sandbox").worlds
    if not any(begin.runbook in rehearsed for begin in drill.begins):
        yield None
        return
    outputs = surroundings.outputs_folder(root)
    with start_world(outputs, drill.begins[-1].run_id, spawn=spawn_world) as world:
        yield world
