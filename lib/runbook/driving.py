"""Driving one run: open its record, execute its notebook, say how that ended, seal it."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from runbook import catalogue, surroundings
from runbook.account import is_over
from runbook.clock import Clock, WallClock
from runbook.engine import Ending, Order, execute
from runbook.errors import InputError, JournalError, ReplayMismatch, RunBusy, exit_code_of
from runbook.files import write_atomically
from runbook.journal import FileJournal, Record, driving, read_journal
from runbook.masking import masked
from runbook.opening import JOURNAL, Beginning, begin_run, make_folder, run_folder
from runbook.plan import Secrets, known_secrets
from runbook.rehearsing import clock_of, world_of
from runbook.report import write_index
from runbook.sealing import seal, sealing_key
from runbook.summary import Summary
from runbook.values import printable

NOTEBOOK = "notebook.ipynb"
RECEIPT = "evidence/scratch.json"
KERNEL_GRACE_S = 30.0


@dataclass(frozen=True)
class Driver:
    """Executes runs of one project. `hear` gets what a kernel shows while it works.

    `times` are seconds that went by before, to be shown among the times of the run. Of a rehearsal: `world`
    is the folder of the running world that it shares with others, `signed` what it signs when asked.
    """

    root: Path
    hear: Callable[[str, Any], None] = lambda _kind, _data: None
    timeout_s: float | None = None
    times: Mapping[str, float] = field(default_factory=dict)
    world: Path | None = None
    signed: str = ""

    def run(self, begin: Beginning, *, answer: str = "") -> Summary:
        """Execute the runbook and return its account.

        `answer` is what a person said of a change in doubt. A run that was taken up again is shown anew from
        its record at the end, so that its notebook reads as if it had run in one go. Raises RunBusy when
        another process executes it, InputError when it is over, OSError when it cannot be sealed; what it
        came to is on record before.
        """
        folder = make_folder(self.root, begin.run_id)
        with driving(folder, clock=WallClock()), self._world_of(begin) as world:
            clock = clock_of(begin.environment, world)
            journal = begin_run(self.root, begin, clock=clock)
            journal.close()
            _refuse_over(begin, journal.records)
            write_index(folder.parent)  # so that it shows as running
            ending = self._execute(begin, folder / NOTEBOOK, replay=False, answer=answer, world=world)
            with _signals_deferred():
                self._close_record(folder, ending, clock)
                self._show_anew(begin, folder)
                summary = seal(folder, key=sealing_key(begin.environment, folder.parent))
                write_index(folder.parent)
        return summary

    def seal(self, begin: Beginning) -> Summary:
        """Show the run again from its record, headlessly, and write notebook, report and sums.

        Raises ReplayMismatch when the notebook has parted from the record; nothing is then replaced.
        """
        folder = run_folder(self.root, begin.run_id)
        with (
            driving(folder, clock=WallClock()),
            tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as beside,
        ):
            shown = Path(beside) / NOTEBOOK
            ending = self._execute(begin, shown, replay=True)
            if not _is_shown(ending):
                raise ReplayMismatch(f"{begin.run_id} cannot be shown from its record: {ending.message}")
            shown.replace(folder / NOTEBOOK)
            summary = seal(folder, key=sealing_key(begin.environment, folder.parent))
            write_index(folder.parent)
        return summary

    def _world_of(self, begin: Beginning) -> AbstractContextManager[Path | None]:
        if self.world is not None:
            return nullcontext(self.world)
        where = (begin.runbook, begin.environment, begin.run_id)
        return world_of(self.root, runbook=where[0], environment=where[1], run_id=where[2])

    def _show_anew(self, begin: Beginning, folder: Path) -> None:
        """Replace the notebook of a run that was taken up again by one shown from the whole record."""
        if all(line.kind != "resumed" for line in read_journal(folder / JOURNAL)):
            return
        with tempfile.TemporaryDirectory(prefix=".", dir=folder.parent) as beside:
            shown = Path(beside) / NOTEBOOK
            if _is_shown(self._execute(begin, shown, replay=True)):
                shown.replace(folder / NOTEBOOK)

    def _execute(
        self,
        begin: Beginning,
        output: Path,
        *,
        replay: bool,
        answer: str = "",
        world: Path | None = None,
    ) -> Ending:
        secrets, evidence = known_secrets(self.root), run_folder(self.root, begin.run_id) / "evidence"
        evidence.mkdir(mode=0o755, exist_ok=True)
        with tempfile.TemporaryFile() as log:  # it has no name: what is not yet masked cannot be left behind
            outputs = run_folder(self.root, begin.run_id).parent
            told = surroundings.kernel_environment(
                root=self.root,
                outputs=outputs,
                replay=replay,
                answer=answer,
                world=world.resolve() if world else None,
                signed=self.signed,
            )
            order = self._order(begin, output, log, secrets, replay=replay, told=told)
            try:
                return execute(order)
            except OSError as error:
                return Ending("raised", f"the notebook could not be executed or written: {error}")
            finally:
                _keep_log(log, evidence / "kernel.log", secrets)

    def _order(
        self,
        begin: Beginning,
        output: Path,
        log: BinaryIO,
        secrets: Secrets,
        *,
        replay: bool,
        told: dict[str, str],
    ) -> Order:
        own = {"environment": begin.environment, "run_id": begin.run_id, "mode": begin.mode}
        return Order(
            source=catalogue.find(self.root, begin.runbook).path,
            output=output,
            parameters={**own, **begin.params},
            cwd=self.root,
            environment=told,
            hear=(lambda _kind, _data: None) if replay else self.hear,  # it was heard when it happened
            log=log,
            mask=partial(masked, secrets),
            timeout_s=self.timeout_s,
        )

    def _close_record(self, folder: Path, ending: Ending, clock: Clock) -> None:
        """Put on record how the kernel ended; the kernel's own lines stay the truth about the steps."""
        _await_scratch(folder)
        began = time.monotonic()
        with suppress(OSError):  # a first time, to know how long it takes; the second one tells what is wrong
            seal(folder)
        times = {**self.times, **ending.times, "sealing": time.monotonic() - began}
        data = {
            "how": ending.how,
            "error": ending.error,
            "message": printable(ending.message),
            "times": {name: round(seconds, 3) for name, seconds in times.items()},
            "exit_code": 0 if ending.how == "completed" else exit_code_of(ending.error),
        }
        journal = _when_free(folder / JOURNAL, clock)
        try:
            journal.append("ended", f"the notebook's execution: {ending.how}", data=data)
        finally:
            journal.close()


def _refuse_over(begin: Beginning, records: Sequence[Record]) -> None:
    """Refuse a run that somebody ended between its caller's look and our lock: its record stays as it is."""
    if is_over(records):
        raise InputError(f"the run {begin.run_id} is over; how it ended: runbook status {begin.run_id}")


def _is_shown(ending: Ending) -> bool:
    """Whether a replay came as far as the record does, though it may raise there what stopped the run."""
    return ending.how == "completed" or ending.error not in ("", "ReplayMismatch", "InputError")


@contextmanager
def _signals_deferred() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until a run is sealed, which takes a moment."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    before = {
        n: signal.signal(n, lambda number, _: heard.append(number)) for n in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if heard:
        raise KeyboardInterrupt


def _await_scratch(folder: Path) -> None:
    """Wait until the keeper of a dead kernel has destroyed its scratch folder and said so in evidence/."""
    notes = [record.data for record in read_journal(folder / JOURNAL) if record.kind == "note"]
    places = [Path(data["scratch"]) for data in notes if "scratch" in data]
    deadline = time.monotonic() + KERNEL_GRACE_S
    while places and not _destroyed(places[-1], folder / RECEIPT) and time.monotonic() < deadline:
        time.sleep(0.02)


def _destroyed(scratch: Path, receipt: Path) -> bool:
    return not scratch.exists() and receipt.exists() and scratch.name in receipt.read_text(encoding="utf-8")


def _keep_log(log: BinaryIO, path: Path, secrets: Secrets) -> None:
    """Keep what the kernel's process said, masked, if it said anything."""
    log.seek(0)
    said = log.read().decode(errors="replace")
    path.unlink(missing_ok=True)
    if said.strip():
        write_atomically(path, masked(secrets, said))


def _when_free(path: Path, clock: Clock) -> FileJournal:
    """Open a journal whose kernel has just been told to end; it may still hold it for a moment."""
    deadline = time.monotonic() + KERNEL_GRACE_S
    while True:
        try:
            return FileJournal.open(path, clock=clock)
        except RunBusy:
            if time.monotonic() > deadline:
                raise JournalError(f"{path}: its kernel still runs after {KERNEL_GRACE_S:g} s") from None
            time.sleep(0.05)
