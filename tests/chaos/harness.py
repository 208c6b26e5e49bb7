"""Kills runs at chosen instants and takes them up again, on the level of `open_run`, without kernels.

A notebook's cells are executed in a forked process, as Jupyter would one after the other. `Death` says where
that process ends: before, in the middle of, or after a chosen write to the journal, or right after a chosen
effect has reached the world and before anything of it is on record.
"""

import json
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

from runbook import opening
from runbook.account import summarize
from runbook.errors import Parked, RunbookError, exit_code_of
from runbook.journal import FileJournal, read_journal
from tests import verbs

MOMENTS = ("before", "middle", "after")
KILLED = -signal.SIGKILL
PATIENCE_S = 300  # what lasts longer hangs, and is ended by its alarm
SETTLED = 100  # how often a run may park before something is wrong


@dataclass(frozen=True)
class Death:
    """Where a process dies: at the `number`-th write or effect of its life (the first is 1)."""

    number: int
    moment: str  # before, middle, after: of a write to the journal; effect: after one has reached the world


def cells_of(notebook: Path) -> list[str]:
    """Return the code of a notebook, cell by cell, its parameters first."""
    found = json.loads(notebook.read_text())["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def become_a_child() -> None:
    """Begin a forked process: untraced (an interrupt would leave a tracer's lock taken), and not for ever."""
    sys.settrace(None)
    signal.alarm(PATIENCE_S)


def in_a_process(work, *, death: Death | None = None) -> int:
    """Do `work` in a forked process that may be killed; return its exit code, negative: the signal."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            become_a_child()
            arm(death)
            code = work()
        except BaseException:  # noqa: BLE001  # whatever it is, the parent is told
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def arm(death: Death | None) -> None:
    opening._open_runs.clear()
    if death is None:
        return
    if death.moment == "effect":
        verbs.happened = _dying(death.number)
    else:
        FileJournal._write = _dying_write(FileJournal._write, death)


def _dying(number: int):
    count = iter(range(1, sys.maxsize))

    def happened():
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    return happened


def _dying_write(write, death: Death):
    count = iter(range(1, sys.maxsize))

    def dying(self, line):
        if next(count) != death.number:
            return write(self, line)
        if death.moment == "middle":
            with self.path.open("ab", buffering=0) as file:
                file.write(line[: len(line) // 2])
        elif death.moment == "after":
            write(self, line)
        return os.kill(os.getpid(), signal.SIGKILL)

    return dying


def execute(notebook: Path, parameters: dict, *, clock=None) -> int:
    """Execute a notebook's cells here; go on past parking by letting the time come; return the exit code."""
    for _ in range(SETTLED):
        namespace: dict = {}
        try:
            for number, cell in enumerate(cells_of(notebook)):
                exec(compile(cell, f"cell {number}", "exec"), namespace)  # noqa: S102  # it is our own notebook
                if number == 0:
                    namespace |= parameters
        except Parked as parked:
            if clock is None or parked.until is None:
                return parked.exit_code
            clock.sleep_until(parked.until)
            opening._open_runs.clear()
            continue
        except RunbookError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return exit_code_of(type(error).__name__)
        return 0
    raise AssertionError("the run parks again and again")


def summary_of(folder: Path) -> dict:
    """Return what a run came to, as JSON, without what an interruption may change: times and attempts.

    A run that was taken up again also names who did, and holds the seal it had before.
    """
    summary = summarize(read_journal(folder / "journal.jsonl"))
    found = json.loads(summary.model_dump_json())
    for name in (
        "opened_at",
        "ended_at",
        "wall_s",
        "calendar_s",
        "times",
        "taken_up_by",
        "run_id",
        "predecessor",
    ):
        del found[name]
    for step in found["steps"]:
        for name in ("began_at", "seconds", "attempts", "phases"):
            del step[name]
    for line in (*found["changes"], *found["approvals"]):
        for name in ("at", "expires_at", "request_digest", "says"):
            line.pop(name, None)
    return found
