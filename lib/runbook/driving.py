"""Driving one run: open its record, execute its notebook, say how that ended, seal it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runbook import catalogue, surroundings
from runbook.clock import WallClock
from runbook.engine import Ending, Order, execute
from runbook.errors import JournalError, RunBusy
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
    """Executes runs of one project. `hear` gets what a kernel shows while it works."""

    root: Path
    hear: Callable[[str, Any], None] = lambda _kind, _data: None
    timeout_s: float | None = None

    def run(self, begin: Beginning) -> Summary:
        """Execute the runbook and return its account; raises only what keeps it from beginning."""
        began = time.monotonic()
        begin_run(self.root, begin, clock=WallClock()).close()
        folder = run_folder(self.root, begin.run_id)
        ending = self._execute(begin, folder, replay=False)
        self._close_record(folder, ending, {"starting up": time.monotonic() - began})
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
        order = Order(
            source=catalogue.find(self.root, begin.runbook).path,
            output=folder / NOTEBOOK,
            parameters={**own, **begin.params},
            cwd=self.root,
            environment=environment,
            hear=self.hear,
            mask=Secrets(load_environment(self.root, begin.environment)).mask,
            timeout_s=self.timeout_s,
        )
        try:
            return execute(order)
        except OSError as error:
            return Ending("raised", f"the executed notebook cannot be written: {error}")

    def _close_record(self, folder: Path, ending: Ending, times: Mapping[str, float]) -> None:
        """Put on record how the kernel ended; the kernel's own lines stay the truth about the steps."""
        journal = _when_free(folder / JOURNAL)
        try:
            data = {
                "how": ending.how,
                "message": ending.message,
                "times": {name: round(s, 3) for name, s in (ending.times or times).items()},
                "exit_code": 0 if ending.how == "completed" else 1,
            }
            journal.append("ended", f"the kernel {ending.how}", data=data)
        finally:
            journal.close()


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
