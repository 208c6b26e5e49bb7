"""How a run begins and is taken up: the folder, the journal's first line, and `open_run` for notebooks."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from runbook import catalogue, showing, surroundings
from runbook.account import is_over, summarize
from runbook.charts import display
from runbook.clock import Clock, WallClock
from runbook.earlier import list_runs, read_earlier
from runbook.errors import InputError, JournalError, ReplayMismatch, RunBusy, UnfinishedRun, UnknownName
from runbook.gates.approvals import signers_of
from runbook.gates.reservations import Reservations
from runbook.journal import FileJournal, Record, digest, is_held, read_journal
from runbook.masking import guard_kernel
from runbook.outline import read_outline
from runbook.parameters import check_parameters, read_schema
from runbook.plan import (
    Environment,
    RolloutPlan,
    Secrets,
    known_secrets,
    load_environment,
    load_plan,
    project_root,
)
from runbook.recording import Place, Recorder, taken_up
from runbook.rehearsing import clock_of, enter_world, rehearsal
from runbook.run import Run
from runbook.step import Earlier
from runbook.summary import Summary
from runbook.values import Value

Mode = Literal["", "plan", "apply"]
JOURNAL = "journal.jsonl"
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
OWN = ("environment", "run_id", "mode")  # parameters of every runbook, not of one

_open_runs: dict[str, Run] = {}


@dataclass(frozen=True)
class Beginning:
    """What a new run begins with; `params` are complete and checked."""

    runbook: str
    environment: str
    mode: Literal["plan", "apply"]
    params: dict[str, Any]
    run_id: str


def open_run(
    runbook: str,
    *,
    environment: str,
    run_id: str = "",
    mode: Mode = "",
    params: Mapping[str, Any] | Value | None = None,
) -> Run:
    """Open a run of `runbook`, or take up the one named `run_id`; twice in one kernel gives the same Run.

    Raises ParamsError with every problem, UnknownName, UnfinishedRun when one with the same parameters
    is still open, RunBusy when another process executes it, ReplayMismatch when it is another run's record.
    """
    _prepare_shell()
    root = project_root(Path.cwd())
    guard_kernel(showing.shell(), known_secrets(root))
    given = params.model_dump() if isinstance(params, Value) else params
    begin = prepare(root, runbook, environment=environment, run_id=run_id, mode=mode, params=given)
    if run_id and not mode:
        begin = replace(begin, mode=_recorded_mode(root, run_id) or begin.mode)
    same = _open_runs.get(begin.run_id if run_id else _signature(begin))
    if same is not None:
        refuse_other_run(same.opened, begin)
        return same
    if not run_id:
        refuse_unfinished(root, begin)
    enter_world(root, runbook=runbook, environment=environment, run_id=begin.run_id)
    run = _take_up(root, begin, clock=clock_of(environment))
    _open_runs[begin.run_id] = _open_runs[_signature(begin)] = run
    return run


def _prepare_shell() -> None:
    """Let figures show with their alt text."""
    found = showing.shell()
    if found is not None:
        display.install(found)


def prepare(
    root: Path,
    runbook: str,
    *,
    environment: str,
    run_id: str,
    mode: Mode,
    params: Mapping[str, Any] | None,
) -> Beginning:
    """Check everything a run begins with, and touch nothing; raises InputError of every kind.

    A run's name holds the machine's time also where its own clock is a rehearsal's: it tells runs apart.
    """
    entry = catalogue.find(root, runbook)
    where = load_environment(root, environment)
    own = {"environment": environment, "run_id": run_id, "mode": mode}
    given = check_parameters(read_schema(entry.path), {**(params or {}), **own}, file=entry.path.name)
    leaked = Secrets(where).found_in(json.dumps(given, ensure_ascii=False))
    if leaked:
        raise InputError(
            f"a parameter holds the value of {', '.join(leaked)}; give its name, never its value"
        )
    if run_id and not _SAFE_ID.fullmatch(run_id):
        raise InputError(f"run_id {run_id!r}: use letters, digits, dots, dashes and underscores, at most 128")
    stamp = WallClock().now().strftime("%Y%m%dT%H%M%SZ")
    return Beginning(
        runbook=runbook,
        environment=environment,
        mode=mode or where.default_mode,
        params={name: value for name, value in given.items() if name not in OWN},
        run_id=run_id or f"{runbook}-{environment}-{stamp}-{secrets.token_hex(2)}",
    )


def run_folder(root: Path, run_id: str) -> Path:
    """Return the folder of a run, whether or not it is there."""
    return surroundings.outputs_folder(root) / run_id


def find_run(root: Path, run_id: str) -> Path:
    """Return the folder of a run on record; UnknownName when there is none."""
    folder = run_folder(root, run_id)
    if not _SAFE_ID.fullmatch(run_id) or not (folder / JOURNAL).is_file():
        raise UnknownName(f"there is no run {run_id!r} in {folder.parent}; see them with: runbook status")
    return folder


def beginning_of(folder: Path) -> Beginning:
    """Return what the run in this folder was begun with.

    Raises InputError when its record is empty, or that of another run: a copy of its folder.
    """
    records = read_journal(folder / JOURNAL)
    if not records or records[0].kind != "opened":
        raise InputError(
            f"the run {folder.name} has no record to go on from; begin another with: runbook run"
        )
    opened = records[0].data
    if opened["run_id"] != folder.name:
        raise InputError(
            f"{folder} holds the record of {opened['run_id']}: it is a copy, and nothing is done with it. "
            f"Go on with {opened['run_id']}, and keep copies elsewhere than in {folder.parent}"
        )
    return Beginning(
        **{name: opened[name] for name in ("runbook", "environment", "mode", "params", "run_id")}
    )


def make_folder(root: Path, run_id: str) -> Path:
    """Create a run's folder if need be, writable by its owner alone, and return it."""
    folder = run_folder(root, run_id)
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o755, exist_ok=True)
    except FileExistsError as error:
        raise InputError(
            f"run_id {run_id!r}: {folder} is there and no folder; choose another name"
        ) from error
    except OSError as error:
        raise JournalError(f"{folder} cannot be made: {error.strerror}; nothing was run") from error
    return folder


def begin_run(root: Path, begin: Beginning, *, clock: Clock, known: Sequence[Record] = ()) -> FileJournal:
    """Create the run's folder if need be and open its journal, its first line written if it is new.

    `known` are lines that were read and checked already; the rest is.
    """
    folder = make_folder(root, begin.run_id)
    journal = FileJournal.open(folder / JOURNAL, clock=clock, known=known)
    if not journal.records:
        try:
            journal.append("opened", begin.runbook, data=_opening_line(root, begin, clock))
        except BaseException:
            journal.close()
            raise
    return journal


def _opening_line(root: Path, begin: Beginning, clock: Clock) -> dict[str, Any]:
    return {
        "run_id": begin.run_id,
        "runbook": begin.runbook,
        "environment": begin.environment,
        "mode": begin.mode,
        "params": begin.params,
        "opened_by": surroundings.who(),
        "versions": surroundings.versions(),
        "notebook_digest": read_outline(catalogue.find(root, begin.runbook).path).digest,
        "plan_digest": digest(load_plan(root)),
        "clock": "world" if clock.jumps else "machine",
        "made_at": WallClock().now().isoformat(timespec="seconds"),
    }


def _recorded_mode(root: Path, run_id: str) -> Literal["plan", "apply"] | None:
    """Return the mode that a run was opened with, None when there is no such run: a mode is fixed then."""
    path = run_folder(root, run_id) / JOURNAL
    records = read_journal(path) if path.exists() else []
    return records[0].data["mode"] if records and records[0].kind == "opened" else None


def _take_up(root: Path, begin: Beginning, *, clock: Clock) -> Run:
    folder = run_folder(root, begin.run_id)
    recorded = read_journal(folder / JOURNAL) if (folder / JOURNAL).exists() else []
    if recorded:
        refuse_other_run(recorded[0].data, begin)
    over = is_over(recorded)
    if surroundings.replaying() or over:
        return make_run(root, begin, journal=None, records=recorded, clock=clock, shown=True)
    journal = begin_run(root, begin, clock=clock, known=recorded)
    records = list(journal.records)
    if is_over(records):  # another process ended it between our look and the lock
        journal.close()
        return make_run(root, begin, journal=None, records=records, clock=clock, shown=True)
    if len(recorded) > 1:
        journal.append("resumed", begin.runbook, data=taken_up(folder))
    records = list(journal.records)
    return make_run(root, begin, journal=journal, records=records, clock=clock)


def make_run(
    root: Path,
    begin: Beginning,
    *,
    journal: FileJournal | None,
    records: list[Record],
    clock: Clock,
    shown: bool = False,
    by_hand: bool = False,
) -> Run:
    """Return a run on its record: `shown` again without a journal, or taken in hand to be ended.

    Taken in hand, it may lack a journal that can be written: a rollback goes on without one.
    """
    environment = load_environment(root, begin.environment)
    place = Place(
        folder=run_folder(root, begin.run_id),
        notebook=_notebook_of(root, begin, by_hand=by_hand),
        clock=clock,
        read_rollout=_plan_reader(root, by_hand=by_hand),
        environment=environment,
        secrets=Secrets(environment),
        known=known_secrets(root),
        replay_only=shown or by_hand,
        rehearsal=rehearsal,
        read_earlier=_earlier_reader(root, environment),
        list_runs=lambda: list_runs(surroundings.outputs_folder(root)),
        read_params=lambda: (load_plan(root), load_environment(root, begin.environment)),
    )
    surroundings.forget_libpq()
    surroundings.forget_signing_key()
    recorder = Recorder(place, journal, records, parked=by_hand and journal is None)
    return Run(
        place,
        recorder,
        reservations=reservations(root, begin.environment, run_id=begin.run_id),
        signers=signers_of(root, surroundings.outputs_folder(root), begin.environment),
    )


def _notebook_of(root: Path, begin: Beginning, *, by_hand: bool) -> Path:
    """Return a run's runbook; of one that is ended by hand it may be gone: the way back does not need it."""
    try:
        return catalogue.find(root, begin.runbook).path
    except UnknownName:
        if not by_hand:
            raise
        return run_folder(root, begin.run_id) / "notebook.ipynb"


def _earlier_reader(root: Path, environment: Environment) -> Callable[[str], Earlier]:
    """Return what reads other runs of an environment, held against its own list of signers."""
    outputs = surroundings.outputs_folder(root)

    def read(run_id: str) -> Earlier:
        signers = signers_of(root, outputs, environment.name)
        return read_earlier(
            outputs, run_id, environment=environment.name, signers=signers, people=environment.people
        )

    return read


def _plan_reader(root: Path, *, by_hand: bool) -> Callable[[], RolloutPlan]:
    """Return what gives the plan; a plan with an error in it holds up everything but the way back."""
    if by_hand:
        return lambda: load_plan(root)
    plan = load_plan(root)
    return lambda: plan


def reservations(root: Path, environment: str, *, run_id: str) -> Reservations:
    """Return what is held in an environment; a rehearsal that shares no world with others holds its own."""
    scope = (
        f"sandbox/{Path(surroundings.world()).name or run_id}" if environment == "sandbox" else environment
    )
    return Reservations(surroundings.outputs_folder(root), scope, lambda other: _is_over(root, other))


def _is_over(root: Path, run_id: str) -> bool:
    try:
        return is_over(read_journal(run_folder(root, run_id) / JOURNAL))
    except JournalError:
        return False


def refuse_other_run(opened: Mapping[str, Any], begin: Beginning) -> None:
    """Raise ReplayMismatch unless a run is taken up as what it was opened as."""
    for name, found in (("runbook", begin.runbook), ("environment", begin.environment), ("mode", begin.mode)):
        if opened[name] != found:
            raise ReplayMismatch(
                f"the run {begin.run_id} was opened with {name} {opened[name]!r}, now it is {found!r}; "
                "a run keeps what it was opened with: open a new one"
            )
    changed = [name for name in begin.params if opened["params"].get(name) != begin.params[name]]
    if changed:
        raise ReplayMismatch(
            f"the run {begin.run_id} was opened with other parameters ({', '.join(changed)}); open a new one"
        )


def _signature(begin: Beginning) -> str:
    return digest([begin.runbook, begin.environment, begin.mode, begin.params])


def refuse_unfinished(root: Path, begin: Beginning) -> None:
    """Raise UnfinishedRun when such a run is open; in the sandbox the old one is abandoned."""
    for folder, other in unfinished(root, begin):
        if begin.environment == "sandbox":
            _abandon(folder)
            continue
        raise UnfinishedRun(
            f"the run {other.run_id} of this runbook, with these parameters, is {other.status}: "
            f"{other.verdict.removesuffix('.')}. Go on with it: runbook resume {other.run_id}. "
            "To begin another all the same, give it a name: --run-id NAME"
        )


def unfinished(root: Path, begin: Beginning) -> Iterator[tuple[Path, Summary]]:
    """Return the runs of this runbook, environment, mode and parameters that are not over."""
    for path in sorted(surroundings.outputs_folder(root).glob(f"*/{JOURNAL}")):
        try:
            other = summarize(read_journal(path), alive=is_held(path))
        except JournalError:
            continue  # nobody can go on with it; `status` names it
        same = (other.runbook, other.environment, other.mode, other.params)
        if other.run_id != path.parent.name:
            continue  # a copy of a run's folder is no run
        if not other.terminal and same == (begin.runbook, begin.environment, begin.mode, begin.params):
            yield path.parent, other


def _abandon(folder: Path) -> None:
    """Mark an unfinished drill as abandoned; one that is being executed now goes on beside the new one."""
    try:
        journal = FileJournal.open(folder / JOURNAL, clock=WallClock())
    except RunBusy:
        return
    try:
        said = {"by": surroundings.who(), "reason": "another run of this drill was begun", "abandoned": True}
        journal.append("aborted", "abandoned", data=said)
    finally:
        journal.close()
