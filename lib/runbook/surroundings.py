"""What this process knows of its surroundings: who runs it, with which versions, and how it was asked to.

Together with `plan` (secrets) and `clock` this is the only room that reads the environment.
"""

from __future__ import annotations

import os
import platform
import pwd
from importlib.metadata import version
from pathlib import Path

REPLAY_VARIABLE = "RUNBOOK_REPLAY"
OUTPUTS_VARIABLE = "RUNBOOK_OUTPUTS"

_SHOWN = ("runbook", "papermill", "nbclient", "ipykernel", "psycopg")


def who() -> str:
    """Return the name of the account that runs this process, whatever LOGNAME says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    found = {"Python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    return found | {name: version(name) for name in _SHOWN}


def replaying() -> bool:
    """Return whether this process was started only to show a recorded run again."""
    return os.environ.get(REPLAY_VARIABLE) == "1"


def outputs_folder(root: Path) -> Path:
    """Return where runs are kept: outputs/ of the project, or where RUNBOOK_OUTPUTS points."""
    return Path(os.environ.get(OUTPUTS_VARIABLE) or root / "outputs")


def kernel_environment(*, root: Path, outputs: Path, replay: bool) -> dict[str, str]:
    """Return the environment for a kernel that we start: ours, and what it must know of us."""
    ours = {
        "RUNBOOK_ROOT": str(root),
        OUTPUTS_VARIABLE: str(outputs),
        # Runbooks do no large algebra, and drills run side by side: one thread for each library.
        "OPENBLAS_NUM_THREADS": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if name != REPLAY_VARIABLE}
    return inherited | ours | ({REPLAY_VARIABLE: "1"} if replay else {})


def forget_libpq() -> None:
    """Take PG* variables out of this process: they would lead our own connections to somebody else's server.

    Call it once the secrets are read: one of them may have such a name.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def process_age_s() -> float:
    """Return how long ago this process was started, 0 where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up_s = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return 0.0
    return max(0.0, up_s - ticks / os.sysconf("SC_CLK_TCK"))
