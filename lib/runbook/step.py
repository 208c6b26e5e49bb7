"""What a function handed to a verb may use of the run: clock, scratch folder, progress, phases, evidence.

    def read_records(step: Step, zone: str, *, source: str) -> Records: ...

The same Step serves a notebook's run, a test and a benchmark; only its sinks differ.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from runbook.clock import Clock, WallClock
from runbook.plan import Environment, RolloutPlan
from runbook.summary import Summary
from runbook.values import Phase, Value


@dataclass(frozen=True)
class ProgressState:
    """How far a piece of long work is: `done` of `total` units (None: unknown) after `elapsed_s`."""

    what: str
    done: float
    total: float | None
    unit: str
    elapsed_s: float
    finished: bool = False

    @property
    def left_s(self) -> float | None:
        """Return the seconds still to go at the pace so far, or None when that cannot be known."""
        if not self.total or not self.done:
            return None
        return max(0.0, self.elapsed_s * (self.total - self.done) / self.done)


class Progress:
    """A handle that long work calls with how far it is; the sink hears at most ten times a second."""

    PACE_S = 0.1

    def __init__(
        self, what: str, total: float | None, unit: str, sink: Callable[[ProgressState], None]
    ) -> None:
        self._what, self._total, self._unit, self._sink = what, total, unit, sink
        self._done, self._began, self._told = 0.0, time.monotonic(), 0.0

    def add(self, amount: float) -> None:
        self.at(self._done + amount)

    def at(self, done: float) -> None:
        self._done = done
        if time.monotonic() - self._told >= self.PACE_S:
            self._tell(finished=False)

    def close(self) -> None:
        self._tell(finished=True)

    def _tell(self, *, finished: bool) -> None:
        self._told = time.monotonic()
        elapsed_s = self._told - self._began
        self._sink(ProgressState(self._what, self._done, self._total, self._unit, elapsed_s, finished))


def _no_progress(_state: ProgressState) -> None:
    """Hear nothing: the sink of a step that nobody watches."""


def no_evidence(_name: str, _content: bytes) -> None:
    """Keep nothing: the sink of a step whose evidence nobody asked for."""


def _no_scratch() -> Path:
    raise RuntimeError("this step was made without a scratch folder")


def _no_secret(name: str) -> str:
    raise RuntimeError(f"this step was made without secrets, so not with {name}")


def _no_ground() -> Any:
    raise RuntimeError("this step was made without a project")


@dataclass(frozen=True)
class Rehearsal:
    """The sandbox's world as a step meets it: where it is, and its made-up secrets by vendor and name.

    `addresses` is what its parts listen on besides HTTP, by part and name: `{"dns": {"resolver-01": …}}`.
    """

    url: str
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)
    addresses: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Earlier:
    """Another run as its record tells of it; `problems` is empty when it is sealed and verifies.

    `result(title)` returns what its step of that title returned; StepFailed when it has none. `folder` is
    where its files lie; what is read there is worth what `problems` say.
    """

    summary: Summary
    problems: tuple[str, ...]
    result: Callable[[str], Value]
    folder: Path | None = None


@dataclass(frozen=True)
class Sighting:
    """A run in outputs/ by what its first line says of itself: unverified, a hint where to look.

    Of a `damaged` first line only the folder's name is left.
    """

    run_id: str
    runbook: str
    environment: str
    opened_at: datetime | None
    damaged: bool = False


def _no_earlier(run_id: str) -> Earlier:
    raise RuntimeError(f"this step was made without other runs, so not with {run_id}")


def _no_runs() -> tuple[Sighting, ...]:
    raise RuntimeError("this step was made without other runs")


def _no_rehearsal() -> Rehearsal:
    raise RuntimeError("this step was made without a sandbox")


class Held(Protocol):
    """Something that is open, such as connections."""

    def close(self) -> None: ...


@dataclass
class Step:
    """The working surface of one step of a run.

    `scratch()` returns the run's private folder (0700), which is destroyed when its process ends.
    `secret(name)` returns the value of one of the environment's secret variables; it must not be returned
    from a step, logged, or put on a command line. `environment()` and `rollout()` are params/ as they are
    now: they are no inputs of the step, so mending them does not part a run from its record.
    `rehearsal()` returns the sandbox's world; only the sandbox has one. `earlier(run_id)` returns another run
    of this environment; UnknownName when there is none. `runs()` returns which runs there are, newest first.
    `phases` collects what `phase()` measured, `remarks` what `remark()` said, in order. For one change of a
    plan, `key` is the same at every attempt, for vendors that take an idempotency key, and `repeated` says
    that an earlier attempt may have taken effect unseen. `held` is what is kept open from call to call until
    the step ends (`let_go`), by its kind; without it nothing is.
    """

    clock: Clock = field(default_factory=WallClock)
    scratch: Callable[[], Path] = _no_scratch
    secret: Callable[[str], str] = _no_secret
    environment: Callable[[], Environment] = _no_ground
    rollout: Callable[[], RolloutPlan] = _no_ground
    rehearsal: Callable[[], Rehearsal] = _no_rehearsal
    earlier: Callable[[str], Earlier] = _no_earlier
    runs: Callable[[], tuple[Sighting, ...]] = _no_runs
    progress_sink: Callable[[ProgressState], None] = _no_progress
    evidence_sink: Callable[[str, bytes], None] = no_evidence
    phases: list[Phase] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    run_id: str = ""
    key: str = ""
    repeated: bool = False
    held: dict[type[Held], Held] | None = None

    def let_go(self) -> None:
        """Close what was held, at the end of the step."""
        while self.held:
            self.held.popitem()[1].close()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure a stretch of real time and put it on record, also when it fails."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.phases.append(Phase(name=name, seconds=time.monotonic() - began))

    @contextmanager
    def progress(self, what: str, *, total: float | None = None, unit: str = "") -> Iterator[Progress]:
        """Show a bar for long work: what, how far, how long yet."""
        bar = Progress(what, total, unit, self.progress_sink)
        try:
            yield bar
        finally:
            bar.close()

    def remark(self, text: str) -> None:
        """Put something on record that happened on the way: a retry, a wait."""
        self.remarks.append(text)

    @property
    def keeps_evidence(self) -> bool:
        """Say whether evidence goes anywhere; what is not kept need not be made."""
        return self.evidence_sink is not no_evidence

    def evidence(self, name: str, content: str | bytes) -> None:
        """Keep a file under the run's evidence/; `name` is a plain file name."""
        if not name or name in (".", "..") or Path(name).name != name:
            raise ValueError(f"evidence needs a plain file name, not {name!r}")
        self.evidence_sink(name, content.encode() if isinstance(content, str) else content)
