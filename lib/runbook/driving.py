"""Driving one run: open its record, execute its notebook, say how that ended, seal it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runbook import catalogue, surroundings
from runbook.clock import WallClock
from runbook.engine import Ending, Order, execute
from runbook.errors import JournalError, RunBusy
from runbook.files import write_atomically
from runbook.journal import FileJournal
from runbook.opening import JOURNAL, Beginning, begin_run, run_folder
from runbook.plan import Secrets, load_environment
from runbook.report import write_index
from runbook.sealing import seal
from runbook.summary import Summary

NOTEBOOK = "notebook.ipynb"
KERNEL_GRACE_S = 30.0


@dataclass(frozen=True)
class Driver:
    """Executes runs of one project. `hear` gets what a kernel shows while it works.

    `times` are seconds that went by before, to be shown among the times of the run.
    """

    root: Path
    hear: Callable[[str, Any], None] = lambda _kind, _data: None
    timeout_s: float | None = None
    times: Mapping[str, float] = field(default_factory=dict)

    def run(self, begin: Beginning) -> Summary:
        """Execute the runbook and return its account; raises only what keeps it from beginning."""
        begin_run(self.root, begin, clock=WallClock()).close()
        folder = run_folder(self.root, begin.run_id)
        ending = self._execute(begin, folder, replay=False)
        began = time.monotonic()
        seal(folder)  # a first time, to know for the record how long it takes
        self._close_record(folder, ending, {"sealing": time.monotonic() - began})
        summary = seal(folder)
        write_index(folder.parent)
        return summary

    def seal(self, begin: Beginning) -> Summary:
        """Show the run again from its record, headlessly, and write notebook, report and sums."""
        folder = run_folder(self.root, begin.run_id)
        self._execute(begin, folder, replay=True)
        summary = seal(folder)
        write_index(folder.parent)
        return summary

    def _execute(self, begin: Beginning, folder: Path, *, replay: bool) -> Ending:
        own = {"environment": begin.environment, "run_id": begin.run_id, "mode": begin.mode}
        environment = surroundings.kernel_environment(root=self.root, outputs=folder.parent, replay=replay)
        secrets = Secrets(load_environment(self.root, begin.environment))
        (folder / "evidence").mkdir(exist_ok=True)
        log = folder / "evidence" / "kernel.log"
        order = Order(
            source=catalogue.find(self.root, begin.runbook).path,
            output=folder / NOTEBOOK,
            parameters={**own, **begin.params},
            cwd=self.root,
            environment=environment,
            hear=self.hear,
            log=log,
            mask=secrets.mask,
            timeout_s=self.timeout_s,
        )
        try:
            return execute(order)
        except OSError as error:
            return Ending("raised", f"the executed notebook cannot be written: {error}")
        finally:
            _keep_log(log, secrets)

    def _close_record(self, folder: Path, ending: Ending, times: Mapping[str, float]) -> None:
        """Put on record how the kernel ended; the kernel's own lines stay the truth about the steps."""
        journal = _when_free(folder / JOURNAL)
        try:
            data = {
                "how": ending.how,
                "message": ending.message,
                "times": {name: round(s, 3) for name, s in {**self.times, **ending.times, **times}.items()},
                "exit_code": 0 if ending.how == "completed" else 1,
            }
            journal.append("ended", f"the kernel {ending.how}", data=data)
        finally:
            journal.close()


def _keep_log(log: Path, secrets: Secrets) -> None:
    """Keep what the kernel's process said, masked, if it said anything."""
    said = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    if said.strip():
        write_atomically(log, secrets.mask(said))


def _when_free(path: Path) -> FileJournal:
    """Open a journal whose kernel has just been told to end; it may still hold it for a moment."""
    deadline = time.monotonic() + KERNEL_GRACE_S
    while True:
        try:
            return FileJournal.open(path, clock=WallClock())
        except RunBusy:
            if time.monotonic() > deadline:
                raise JournalError(f"{path}: its kernel still runs after {KERNEL_GRACE_S:g} s") from None
            time.sleep(0.05)
