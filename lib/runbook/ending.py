"""Ending a run by hand, and freeing what it holds, also when its notebook is not running."""

from __future__ import annotations

import json
from pathlib import Path

from runbook import surroundings
from runbook.account import summarize
from runbook.clock import Clock, WallClock, utc_text
from runbook.errors import InputError, JournalError, RunbookError, RunBusy, UnknownName
from runbook.gates.reservations import FOLDER, Reservation, Reservations
from runbook.journal import FileJournal, read_journal
from runbook.opening import JOURNAL, beginning_of, find_run, make_run, run_folder
from runbook.plan import known_secrets
from runbook.rehearsing import clock_of, enter_world
from runbook.report import write_index
from runbook.sealing import seal, sealing_key
from runbook.seals import SUMS
from runbook.summary import Summary

RELEASED = "released.jsonl"


def abort(root: Path, run_id: str, *, reason: str, rollback: bool) -> Summary:
    """End a run for good; with `rollback`, undo first what it applied. Return its account.

    A rollback goes on when the journal cannot be opened. Raises RunBusy when a process executes the run,
    InputError when it is over already, LeftInBetween when the rollback left something: it is not over then.
    """
    folder = find_run(root, run_id)
    records, begin = read_journal(folder / JOURNAL), beginning_of(folder)
    found = summarize(records)
    if found.terminal and not rollback:
        raise InputError(f"the run {run_id} is over already ({found.status}): {found.verdict}")
    if rollback:
        enter_world(root, runbook=begin.runbook, environment=begin.environment, run_id=run_id)
    clock = clock_of(begin.environment)
    try:
        journal = FileJournal.open(folder / JOURNAL, clock=clock)
    except RunBusy:
        raise
    except JournalError:
        if not rollback:
            raise
        journal = None
    records = list(journal.records) if journal else records
    run = make_run(root, begin, journal=journal, records=records, clock=clock, by_hand=True)
    try:
        if rollback:
            run.rollback()
        run.abort(by=surroundings.who(), reason=reason)
    finally:
        run.leave()
    seal_again(root, folder)
    return summarize(read_journal(folder / JOURNAL))


def seal_again(root: Path, folder: Path) -> None:
    """Seal a run anew to whose record something was added by hand; its record is true without.

    A run that has no notebook yet, from JupyterLab, is shown from its record for that.
    """
    from runbook.driving import NOTEBOOK, Driver  # noqa: PLC0415  # papermill is dear to import

    begin = beginning_of(folder)
    try:
        if (folder / NOTEBOOK).is_file():
            seal(folder, key=sealing_key(begin.environment, folder.parent))
            write_index(folder.parent)
        else:
            Driver(root).seal(begin)
    except (OSError, RunbookError) as error:
        surroundings.warn(f"it is on record, but the run could not be sealed again: {error}")


def release(root: Path, resource: str, *, environment: str, reason: str) -> Reservation:
    """Free a resource whoever holds it, and put that on record; raises UnknownName when nobody does."""
    outputs = surroundings.outputs_folder(root)
    holding = [store for store in _stores(outputs) if any(held.resource == resource for held in store.held())]
    if environment:
        holding = [store for store in holding if store.scope.partition("/")[0] == environment]
    if len(holding) != 1:
        scopes = ", ".join(store.scope for store in holding)
        held = ", ".join(f"{r.resource} ({store.scope})" for store in _stores(outputs) for r in store.held())
        raise UnknownName(
            f"{resource!r} is held in several places: {scopes}; say which with --env"
            if holding
            else f"nobody holds {resource!r}; held: {held or 'nothing'}"
        )
    freed = holding[0].release(resource)
    why = known_secrets(root).mask(reason)
    said = {"resource": resource, "by": surroundings.who(), "reason": why, "held_by": freed.run_id}
    _log(outputs / FOLDER / RELEASED, said)
    _note(root, freed.run_id, said, clock=clock_of(holding[0].scope.partition("/")[0]))
    return freed


def _stores(outputs: Path) -> list[Reservations]:
    found = {path.parent for path in (outputs / FOLDER).rglob("*.json")}
    return [
        Reservations(outputs, folder.relative_to(outputs / FOLDER).as_posix(), lambda _run_id: False)
        for folder in sorted(found)
    ]


def _log(path: Path, said: dict[str, str]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"at": utc_text(WallClock().now()), **said}, ensure_ascii=False) + "\n")


def _note(root: Path, run_id: str, said: dict[str, str], *, clock: Clock) -> None:
    """Put it in the record of the run that held it; say so when that cannot be, for somebody executes it."""
    path = run_folder(root, run_id) / JOURNAL
    if not path.is_file():
        return
    try:
        journal = FileJournal.open(path, clock=clock)
    except JournalError as error:
        surroundings.warn(
            f"{said['resource']} is free, and the run that held it does not know: {error}. "
            f"The release is on record in {FOLDER}/{RELEASED} alone"
        )
        return
    try:
        journal.append("note", f"{said['resource']} was released", data=dict(said))
    finally:
        journal.close()
    if (path.parent / SUMS).is_file():
        seal_again(root, path.parent)
