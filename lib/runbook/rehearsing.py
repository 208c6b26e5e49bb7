"""Gives a rehearsed run its world: one that is shared with it, or one of its own that ends with it.

A world is shared when RUNBOOK_WORLD names it, or when a person has one running (`runbook sandbox up`). Else a
run of a runbook that environment.yaml lists under `worlds` gets its own, in outputs/.worlds/<run_id>. It ends
with the process that drives the run, is where it was when the run is taken up again, and is removed once
the run is over.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from runbook import surroundings
from runbook.account import is_over, summarize
from runbook.clock import Clock, FileClock, WallClock
from runbook.errors import InputError, JournalError
from runbook.journal import read_journal
from runbook.plan import load_environment
from runbook.sandbox.world.launch import DOCUMENT, Spawn, WorldProcess, find_world, spawn
from runbook.sandbox.world.remote import RemoteWorld, SandboxClock
from runbook.step import Rehearsal

JOURNAL = "journal.jsonl"
OWN, SHARED = ".worlds", ".sandbox"


def clock_of(environment: str, world: Path | None = None) -> Clock:
    """Return the clock of an environment: the wall clock, or in a rehearsal its world's."""
    if environment != "sandbox":
        return WallClock()
    if file := surroundings.sandbox_clock():
        return FileClock(file)
    running = find_world(world) if world else _entered()
    return SandboxClock(running) if running else WallClock()


def rehearsal() -> Rehearsal:
    """Return the sandbox's world as steps meet it; InputError when none runs."""
    world = _entered()
    if world is None:
        raise InputError(
            "this step needs a rehearsal world, and none runs for it. List its runbook under `worlds` in "
            "params/sandbox/environment.yaml, or share one: runbook sandbox up, "
            f"then: export {surroundings.WORLD_VARIABLE}=outputs/{SHARED}"
        )
    return _known(world.url, world.folder, (world.folder / DOCUMENT).stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _known(url: str, folder: Path, began: int) -> Rehearsal:
    """Return what a world says of itself; that holds for as long as its process lives."""
    del began
    world = RemoteWorld(url, folder)
    return Rehearsal(url=url, secrets=world.secrets(), addresses=world.addresses())


def _entered() -> RemoteWorld | None:
    """Return the rehearsal world that RUNBOOK_WORLD names and that runs, if any."""
    folder = surroundings.world()
    return find_world(Path(folder)) if folder else None


@contextmanager
def world_of(root: Path, *, runbook: str, environment: str, run_id: str) -> Iterator[Path | None]:
    """Give the folder of the world that a run meets, running, for as long as it is driven; None without one.

    Raises InputError when the run was begun in a world that is gone.
    """
    if shared := _shared(root, runbook, environment, run_id):
        yield shared
        return
    if not _gets_one(root, runbook, environment):
        yield None
        return
    outputs = surroundings.outputs_folder(root)
    with _own(outputs, run_id):
        yield folder_of(outputs, run_id)
    if _is_over(outputs, run_id):
        shutil.rmtree(folder_of(outputs, run_id), ignore_errors=True)


def enter_world(root: Path, *, runbook: str, environment: str, run_id: str) -> None:
    """Let this process, a kernel that nobody drives, meet its run's world; one of its own ends with it."""
    if surroundings.world() or surroundings.replaying():
        return
    held = world_of(root, runbook=runbook, environment=environment, run_id=run_id)
    folder = held.__enter__()
    if folder is not None:
        surroundings.enter_world(folder.resolve())
        atexit.register(held.__exit__, None, None, None)


def folder_of(outputs: Path, run_id: str) -> Path:
    """Return where a run's own world is kept."""
    return outputs / OWN / run_id


def _shared(root: Path, runbook: str, environment: str, run_id: str) -> Path | None:
    if environment != "sandbox":
        return None
    if named := surroundings.world():
        return Path(named)
    outputs = surroundings.outputs_folder(root)
    persons = outputs / SHARED
    if folder_of(outputs, run_id).exists() or not _gets_one(root, runbook, environment):
        return None
    return persons if find_world(persons) else None


def _gets_one(root: Path, runbook: str, environment: str) -> bool:
    if environment != "sandbox" or surroundings.sandbox_clock():
        return False
    return runbook in load_environment(root, environment).worlds


@contextmanager
def _own(outputs: Path, run_id: str) -> Iterator[None]:
    """Start a run's own world, where it was; a run that waited for a time finds that it has come."""
    folder, journal = folder_of(outputs, run_id), outputs / run_id / JOURNAL
    records = read_journal(journal) if journal.exists() else []
    if records and not folder.exists():
        raise InputError(
            f"the run {run_id} was begun in a rehearsal world that is gone; begin another, or end this one: "
            f"runbook abort {run_id} --reason …"
        )
    with start_world(outputs, run_id) as world:
        until = summarize(records).waits_until if records else None
        if until is not None:
            world.remote.advance_to(until)
        yield


def start_world(outputs: Path, run_id: str, *, spawn: Spawn = spawn) -> WorldProcess:
    """Start the world of a run, or of the runs before it too; those that dead processes left are removed."""
    worlds = outputs / OWN
    worlds.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(worlds, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # a world that is being made looks like one that was left
        _sweep(outputs)
        return WorldProcess(folder_of(outputs, run_id), spawn=spawn)
    finally:
        os.close(handle)


def _sweep(outputs: Path) -> None:
    """Remove the worlds of runs that are over or gone, which a dead process left."""
    for folder in (outputs / OWN).glob("*"):
        journal = outputs / folder.name / JOURNAL
        if find_world(folder) is None and (not journal.exists() or _is_over(outputs, folder.name)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_over(outputs: Path, run_id: str) -> bool:
    try:
        return is_over(read_journal(outputs / run_id / JOURNAL))
    except (JournalError, OSError):
        return False
