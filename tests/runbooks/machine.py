"""Looks at the whole machine for what a run has left: processes, folders, shared memory."""

import os
import time
from pathlib import Path

PATIENCE_S = 90


def left_behind(folder):
    """Return the command lines of processes that work below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            cwd = (process / "cwd").resolve()
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if cwd.is_relative_to(folder) or f"{folder}/runbook-" in command:
            found.append(command)
    return found


def orphaned_memory():
    """Return the ids of the shared memory segments that nobody is attached to any more."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    orphans = {line.split()[1] for line in lines if line.split()[6] == "0"}
    return orphans | {path.name for path in Path("/dev/shm").glob("PostgreSQL*")}  # noqa: S108


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        os.sched_yield()
