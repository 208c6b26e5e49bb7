"""How a notebook is executed, and the truth about how it ended.

papermill does the work. What it gets wrong is mended here: after a killed kernel, a time-out, a signal or
a full disk its output says that all went well, or is cut off. Ours says which cell did not end, leaves
the cells after it pending, and is written whole or not at all.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NotebookExecutionManager
from papermill.parameterize import parameterize_notebook

from runbook.files import write_atomically
from runbook.kernels import PrivateKernelManager, WarmKernelManager
from runbook.showing import PROGRESS_TYPE, STEP_TYPE

How = Literal["completed", "raised", "kernel died", "timed out", "interrupted", "not started"]
SAVE_EVERY_S = 5.0

_running: set[Any] = set()


@dataclass(frozen=True)
class Ending:
    """How an execution ended; `error` is the name of what a cell raised.

    `times` are seconds of the driver's own clock, by what they went into.
    """

    how: How
    message: str = ""
    error: str = ""
    times: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What to execute: `source` with `parameters`, in `cwd`, into `output`.

    `hear` gets each progress state and step line as the kernel shows it: (media type, data).
    `mask` is applied to what the kernel says as soon as it is heard, and to the notebook as it is written.
    `timeout_s` bounds each cell. What the kernel's process itself says (a crash, say) goes to `log`. It is
    forked from a process that has loaded what notebooks import, unless it is to be started `cold`.
    """

    source: Path
    output: Path
    parameters: Mapping[str, Any]
    cwd: Path
    environment: Mapping[str, str]
    log: BinaryIO
    hear: Callable[[str, Any], None] = lambda _kind, _data: None
    mask: Callable[[Any], Any] = lambda data: data
    timeout_s: float | None = None
    cold: bool = False


def execute(order: Order) -> Ending:
    """Execute a notebook in a kernel of its own and say how it ended; the kernel is gone on return.

    Raises OSError when the executed notebook cannot be written; the one before is then still whole.
    """
    notebook = nbformat.read(order.source, as_version=4)
    notebook.metadata.setdefault("papermill", {})
    for cell in notebook.cells:
        cell.metadata.setdefault("tags", [])
        cell.metadata.setdefault("papermill", {})
    notebook = parameterize_notebook(notebook, dict(order.parameters))
    manager = _Manager(notebook, order)
    began = time.monotonic()
    manager.notebook_start()
    ending = _drive(manager, order)
    manager.notebook_complete()
    total = time.monotonic() - began
    starting = (manager.first_cell_at or time.monotonic()) - began
    times = {"kernel start": starting, "kernel run": total - starting}
    return replace(ending, message=order.mask(ending.message), times=times)


def interrupt_running() -> None:
    """Interrupt every notebook that this process is executing; a second time, kill its kernel."""
    for client in list(_running):
        client.interrupt()


def _drive(manager: _Manager, order: Order) -> Ending:
    client = _Client(manager, order)
    _running.add(client)
    before = _on_signals(lambda *_: interrupt_running())
    try:
        cwd, env = str(order.cwd), dict(order.environment)
        client.execute(cwd=cwd, env=env, stdout=order.log, stderr=order.log)
    except CellTimeoutError:
        return Ending("timed out", f"a cell took longer than {order.timeout_s:g} s and was stopped")
    except DeadKernelError:
        return Ending("kernel died", "the kernel died, or was killed, in the middle of a cell")
    except RuntimeError as error:
        how: How = "kernel died" if manager.first_cell_at else "not started"
        return Ending(how, f"the kernel is gone: {error}")
    finally:
        _running.discard(client)
        for number, handler in before.items():
            signal.signal(number, handler)
    if client.interrupts:
        return Ending("interrupted", "interrupted by a signal")
    if manager.raised:
        return Ending("raised", manager.raised, error=manager.raised.partition(":")[0])
    return Ending("completed")


def _on_signals(handler: Any) -> dict[int, Any]:
    """Let `handler` hear Ctrl-C and SIGTERM; return the handlers that were there before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}


class _Client(PapermillNotebookClient):
    """papermill's client, which also sees to it that whatever stops a cell is told."""

    def __init__(self, manager: _Manager, order: Order) -> None:
        super().__init__(
            manager,
            kernel_name="python3",
            kernel_manager_class=PrivateKernelManager if order.cold else WarmKernelManager,
            timeout=order.timeout_s,
            startup_timeout=60,
            raise_on_iopub_timeout=True,
        )
        self._hear, self._mask = order.hear, order.mask
        self.interrupts = 0

    def papermill_execute_cells(self) -> None:
        for index, cell in enumerate(self.nb.cells):
            if self.interrupts:
                break
            self.nb_man.cell_start(cell, index)
            try:
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self.nb_man.cell_failed(cell, f"{error.ename}: {error.evalue}")
                break
            except BaseException as error:
                self.nb_man.cell_failed(cell, type(error).__name__)
                raise
            finally:
                self.nb_man.cell_complete(cell, index)
        self.km.at_rest = True

    def process_message(self, msg: Any, *args: Any, **kwargs: Any) -> Any:
        msg["content"] = self._mask(msg["content"])
        data = msg["content"].get("data", {}) if msg["msg_type"].endswith("display_data") else {}
        for kind in (PROGRESS_TYPE, STEP_TYPE):
            if kind in data:
                self._hear(kind, data[kind])
        return super().process_message(msg, *args, **kwargs)

    def interrupt(self) -> None:
        """Let the step under way put its interruption on record; one that does not listen is killed."""
        self.interrupts += 1
        process = getattr(self.km.provisioner, "process", None) if self.km else None
        if process is not None:
            process.send_signal(signal.SIGINT if self.interrupts == 1 else signal.SIGKILL)


class _Manager(NotebookExecutionManager):
    """papermill's account of an execution, kept truthful and written atomically, by time."""

    def __init__(self, notebook: Any, order: Order) -> None:
        super().__init__(notebook, output_path=None, progress_bar=False, autosave_cell_every=0)
        self._order = order
        self._saved_at = 0.0
        self.first_cell_at: float | None = None
        self.raised = ""

    def cell_start(self, cell: Any, cell_index: int | None = None, **kwargs: Any) -> None:
        self.first_cell_at = self.first_cell_at or time.monotonic()
        super().cell_start(cell, cell_index, **kwargs)

    def cell_failed(self, cell: Any, message: str) -> None:
        self.raised = message
        self.cell_exception(cell)

    def save(self, **_kwargs: Any) -> None:
        """Write the notebook, but not more often than every few seconds; the end is always written."""
        if time.monotonic() - self._saved_at < SAVE_EVERY_S:
            return
        try:
            self._write()
        except OSError:
            # A full disk in the middle must not stop a step that is under way; the end will tell.
            self._saved_at = time.monotonic()

    def notebook_complete(self, **_kwargs: Any) -> None:
        self.end_time = self.now()
        self.nb.metadata.papermill["end_time"] = self.end_time.isoformat()
        self.nb.metadata.papermill["duration"] = (self.end_time - self.start_time).total_seconds()
        self._write()

    def _write(self) -> None:
        shown = nbformat.from_dict(self._order.mask(_without_progress(self.nb)))
        write_atomically(self._order.output, nbformat.writes(shown) + "\n")
        self._saved_at = time.monotonic()


def _without_progress(notebook: Any) -> Any:
    """Take the progress bars out: they say how it went on, not what came of it."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if PROGRESS_TYPE not in out.get("data", {})]
            for out in cell.outputs:
                out.get("data", {}).pop(STEP_TYPE, None)
    return notebook
