"""The record of a run as its verbs use it: where it is, what stands in it, and how a line is added.

`Place` says where and with what a run is executed; `Recorder` is its journal, or, where a run is only being
shown, what was read of it.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

from runbook import surroundings
from runbook.account import is_over, summarize
from runbook.clock import Clock
from runbook.errors import InputError, JournalError, StepFailed
from runbook.files import write_atomically
from runbook.journal import FileJournal, Kind, Record, digest, read_journal
from runbook.masking import masked_file
from runbook.outline import Outline, read_outline
from runbook.plan import Environment, RolloutPlan, Secrets
from runbook.seals import SUMS, keep_predecessor
from runbook.step import Earlier, Rehearsal, Sighting, Step

Verb = Literal["read", "check", "plan", "approve", "apply", "wait", "watch", "decide", "rollback"]


ROLLBACK = "rollback"  # the title of that step, in every run


@dataclass(frozen=True)
class Place:
    """Where and with what a run is executed.

    `secrets` are the environment's, handed out by name; `known` are those of every environment, which the
    record refuses and masks: the process may hold another one's too.
    """

    folder: Path
    notebook: Path
    clock: Clock
    read_rollout: Callable[[], RolloutPlan]
    environment: Environment
    secrets: Secrets
    known: Secrets
    replay_only: bool
    rehearsal: Callable[[], Rehearsal]
    read_earlier: Callable[[str], Earlier]
    list_runs: Callable[[], tuple[Sighting, ...]]
    read_params: Callable[[], tuple[RolloutPlan, Environment]]

    def as_now(self) -> Place:
        """Return the same place with plan and environment as params/ has them now; raises ParamsError."""
        rollout, environment = self.read_params()
        return replace(self, read_rollout=lambda: rollout, environment=environment)

    @property
    def rollout(self) -> RolloutPlan:
        """Return the rollout plan; a run that is only to be rolled back never asks for it."""
        return self.read_rollout()

    def masked(self, data: Any) -> Any:
        """Return JSON data with every secret in its texts replaced by its name."""
        if isinstance(data, str):
            return self.known.mask(data)
        if isinstance(data, list):
            return [self.masked(item) for item in data]
        if isinstance(data, dict):
            return {self.known.mask(key): self.masked(item) for key, item in data.items()}
        return data

    def keep_evidence(self, name: str, content: bytes) -> None:
        """Keep a file under evidence/, masked; StepFailed when a secret in it cannot be."""
        folder = self.folder / "evidence"
        folder.mkdir(mode=0o755, exist_ok=True)
        clean = masked_file(self.known, content, name=name)
        write_atomically(folder / self.known.mask(name), clean)

    def evidence_sink(self) -> Callable[[str, bytes], None]:
        """Return what keeps one attempt's evidence; an earlier attempt's of the same name stays beside it."""
        kept: set[str] = set()

        def keep(name: str, content: bytes) -> None:
            if name not in kept:
                self._set_aside(name, content)
            kept.add(name)
            self.keep_evidence(name, content)

        return keep

    def _set_aside(self, name: str, content: bytes) -> None:
        """Give the file of an earlier attempt a number, unless it holds the same."""
        path = self.folder / "evidence" / self.known.mask(name)
        if not path.is_file() or path.read_bytes() == masked_file(self.known, content, name=name):
            return
        number = next(n for n in count(1) if not path.with_name(f"{path.name}.{n}").exists())
        path.replace(path.with_name(f"{path.name}.{number}"))

    def outline(self) -> Outline:
        """Return the steps of the notebook as it is now."""
        return read_outline(self.notebook)


class Recorder:
    """The lines of one run: those on record, and the way to add one.

    The journal is given up when a run is over or parked; a parked run takes it up again with its next line.
    """

    def __init__(
        self, place: Place, journal: FileJournal | None, records: list[Record], *, parked: bool = False
    ) -> None:
        self.place = place
        self._journal, self._kept = journal, records
        self._parked = parked
        self._left_at: int | None = None  # lines on record when this process parked the run
        self._lost = 0
        self.opened: dict[str, Any] = records[0].data
        self.run_id = str(self.opened["run_id"])

    @property
    def is_open(self) -> bool:
        """Whether lines may be added: the run is not over, and not merely shown."""
        return self._journal is not None or self._parked

    @property
    def is_held(self) -> bool:
        """Whether this process executes the run now; nobody executes a parked one."""
        return self._journal is not None

    @property
    def head(self) -> str:
        return self.lines()[-1].hash

    def lines(self) -> list[Record]:
        return list(self._journal.records) if self._journal else self._kept

    def since(self, seq: int) -> Iterable[Record]:
        """Return the lines after `seq`, also those that somebody else added while the run was parked."""
        if self._parked:
            self._kept = read_journal(self.place.folder / "journal.jsonl")
        return self._journal.since(seq) if self._journal else self._kept[seq:]

    def hold(self) -> None:
        """Take a parked run's journal up again; one that another hand has ended meanwhile is over here too.

        Raises RunBusy when another process holds it.
        """
        if not self._parked:
            return
        journal = FileJournal.open(self.place.folder / "journal.jsonl", clock=self.place.clock)
        if self._left_at is not None and is_over(journal.records):
            self._kept, self._parked = list(journal.records), False
            journal.close()
            return
        self._journal, self._parked = journal, False
        self._tell_taken_up(journal)

    def _tell_taken_up(self, journal: FileJournal) -> None:
        """Put on record that this process goes on, if others wrote or sealed since it parked."""
        sealed = (self.place.folder / SUMS).is_file()
        if self._left_at is None or (len(journal.records) == self._left_at and not sealed):
            return
        try:
            data = taken_up(self.place.folder)
        except OSError as error:
            raise JournalError(f"{self.place.folder} cannot be taken up: {error.strerror}") from error
        journal.append("resumed", self.opened["runbook"], data=data)

    def append(self, kind: Kind, title: str, key: str, data: dict[str, Any]) -> Record:
        """Put a line on record; one that holds a secret is refused."""
        self.hold()
        if self._journal is None:
            raise InputError(f"the run {self.run_id} is over; open a new one")
        names = self.place.known.found_in([title, data])
        if names:
            raise StepFailed(
                f"“{self.place.masked(title)}”: {kind} would hold the value of {', '.join(names)}; "
                "it is not recorded"
            )
        return self._journal.append(kind, title, key=key, data=data)

    def append_or_tell(self, kind: Kind, title: str, key: str, data: dict[str, Any]) -> None:
        """Put a line on record, masked; when that fails, tell stderr: a rollback waits for no disk."""
        try:
            if self._lost:
                text = f"{self._lost} lines could not be recorded; see what stderr said"
                self.append("note", text, "", {"lost_lines": self._lost})
                self._lost = 0
            self.append(kind, self.place.masked(title), key, self.place.masked(data))
        except (JournalError, OSError, StepFailed, InputError) as error:
            self._lost += 1
            said = self.place.masked(json.dumps(data, ensure_ascii=False))
            self.tell(f"NOT ON RECORD ({error}): {kind} {title} {said}")

    def tell(self, text: str) -> None:
        """Say something where nothing can be written down."""
        sys.stderr.write(f"{self.place.masked(text)}\n")

    def park(self) -> None:
        """Give the journal up for now: nobody executes a parked run."""
        if self._journal is not None:
            self._kept = list(self._journal.records)
            self._left_at = len(self._kept)
            self._journal.close()
            self._journal, self._parked = None, True

    def close(self) -> None:
        """Give the journal up for good: from now on the run is only shown."""
        self.park()
        self._parked = False

    def write_summary(self) -> None:
        text = summarize(self.lines()).model_dump_json(indent=1)
        write_atomically(self.place.folder / "summary.json", self.place.known.mask(text) + "\n")


def taken_up(folder: Path) -> dict[str, Any]:
    """Return what the line `resumed` says, the seal before kept beside it; raises OSError."""
    return {
        "by": surroundings.who(),
        "versions": surroundings.versions(),
        "predecessor": keep_predecessor(folder),
        "answer": surroundings.answer(),
    }


def named(function: Callable[..., Any]) -> str:
    """Return what identifies a step's function; a method would hide the object it belongs to."""
    if not inspect.isfunction(function):
        raise InputError(f"{function!r} is no plain function; a step's function stands at a module's top")
    return f"{function.__module__}:{function.__qualname__}"


def key_of(verb: Verb, title: str, inputs: object) -> str:
    try:
        return digest([verb, title, inputs])[:32]
    except TypeError as error:
        raise InputError(f"the inputs of “{title}” cannot be recorded: {error}") from error


def ended(verb: Verb, seconds: float, step: Step) -> dict[str, Any]:
    phases = [[phase.name, round(phase.seconds, 6)] for phase in step.phases]
    said = {"verb": verb, "seconds": round(seconds, 6), "phases": phases}
    return said | ({"remarks": step.remarks} if step.remarks else {})
