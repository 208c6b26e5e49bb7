"""What this process knows of its surroundings: who runs it, with which versions, and how it was asked to.

Together with `plan` (secrets) and `clock` this is the only room that reads the environment.
"""

from __future__ import annotations

import os
import platform
import pwd
import sys
from importlib.metadata import version
from pathlib import Path

REPLAY_VARIABLE = "RUNBOOK_REPLAY"
ANSWER_VARIABLE = "RUNBOOK_ANSWER"
CLOCK_VARIABLE = "RUNBOOK_CLOCK"
WORLD_VARIABLE = "RUNBOOK_WORLD"
WIRE_VARIABLE = "RUNBOOK_WIRE"
OUTPUTS_VARIABLE = "RUNBOOK_OUTPUTS"
SIGNED_VARIABLE = "RUNBOOK_REHEARSED_SIGNATURES"
SIGNING_KEY_VARIABLE = "RUNBOOK_SIGNING_KEY"
SIGNING_KEY_FILE_VARIABLE = "RUNBOOK_SIGNING_KEY_FILE"
BROWSER_VARIABLE = "RUNBOOK_BROWSER"

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


def answer() -> str:
    """Return what a person said, when taking a run up, of a change that nobody can tell of."""
    return os.environ.get(ANSWER_VARIABLE, "")


def sandbox_clock() -> Path | None:
    """Return the file that holds the time of a rehearsal, None when it goes by the wall clock."""
    path = os.environ.get(CLOCK_VARIABLE)
    return Path(path) if path else None


def world() -> str:
    """Return the folder of the rehearsal world that runs here share, or nothing."""
    return os.environ.get(WORLD_VARIABLE, "")


def wire() -> str:
    """Return the folder in which worlds record all that crosses their wire, or nothing: the tests' own."""
    return os.environ.get(WIRE_VARIABLE, "")


def enter_world(folder: Path) -> None:
    """Let this process and what it starts meet the rehearsal world of `folder`."""
    os.environ[WORLD_VARIABLE] = str(folder)


def rehearsed_signatures() -> str:
    """Return what a rehearsal signs when it is asked: "yes" that, "no" nothing, "plans" no decision, …"""
    return os.environ.get(SIGNED_VARIABLE) or "yes"


def outputs_folder(root: Path) -> Path:
    """Return where runs are kept: outputs/ of the project, or where RUNBOOK_OUTPUTS points."""
    return Path(os.environ.get(OUTPUTS_VARIABLE) or root / "outputs")


def kernel_environment(
    *, root: Path, outputs: Path, replay: bool, answer: str = "", world: Path | None = None, signed: str = ""
) -> dict[str, str]:
    """Return the environment for a kernel that we start: ours, and what it must know of us."""
    ours = {
        "RUNBOOK_ROOT": str(root),
        OUTPUTS_VARIABLE: str(outputs),
        # Runbooks do no large algebra, and drills run side by side: one thread for each library.
        "OPENBLAS_NUM_THREADS": "1",
    }
    more = {
        REPLAY_VARIABLE: "1" if replay else "",
        ANSWER_VARIABLE: answer,
        WORLD_VARIABLE: str(world or ""),
        SIGNED_VARIABLE: signed,
    }
    return bare_environment() | ours | {name: value for name, value in more.items() if value}


def bare_environment() -> dict[str, str]:
    """Return our environment as what we start may have it: without what is meant for us alone."""
    not_theirs = (REPLAY_VARIABLE, ANSWER_VARIABLE, SIGNING_KEY_VARIABLE)
    return {name: value for name, value in os.environ.items() if name not in not_theirs}


def forget_libpq() -> None:
    """Take PG* variables out of this process: they would lead our own connections to somebody else's server.

    Call it once the secrets are read: one of them may have such a name.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def signing_key_file() -> Path | None:
    """Return the file that RUNBOOK_SIGNING_KEY_FILE names: a private key, or the .pub of an agent's key."""
    named = os.environ.get(SIGNING_KEY_FILE_VARIABLE)
    return Path(named).expanduser() if named else None


def signing_key_text() -> str:
    """Return the private key that stands in RUNBOOK_SIGNING_KEY itself, as CI gets it, or nothing."""
    return os.environ.get(SIGNING_KEY_VARIABLE, "")


def forget_signing_key() -> None:
    """Take RUNBOOK_SIGNING_KEY out of this process, so that nothing it starts can read it."""
    os.environ.pop(SIGNING_KEY_VARIABLE, None)


def has_terminal() -> bool:
    """Return whether somebody can be asked for a passphrase."""
    return sys.stdin is not None and sys.stdin.isatty()


_FOR_SSH = ("PATH", "HOME", "USER", "LOGNAME", "TERM", "TMPDIR", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER")
_FOR_PROMPTS = (
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "SSH_ASKPASS",
    "SSH_ASKPASS_REQUIRE",
)


def ssh_environment(*, prompts: bool) -> dict[str, str]:
    """Return the environment for OpenSSH's programs: agent and home, UTC, and no prompt unless `prompts`."""
    names = (*_FOR_SSH, *(_FOR_PROMPTS if prompts else ()))
    passed = {name: os.environ[name] for name in names if name in os.environ}
    return passed | {"LC_ALL": "C", "TZ": "UTC"} | ({} if prompts else {"SSH_ASKPASS_REQUIRE": "never"})


def browser() -> str:
    """Return the program that RUNBOOK_BROWSER names to print reports with, or nothing."""
    return os.environ.get(BROWSER_VARIABLE, "")


def browser_environment(*, home: Path) -> dict[str, str]:
    """Return the environment for a browser that prints: no secret of ours, a home that goes with it."""
    passed = {name: os.environ[name] for name in ("PATH", "LANG", "FONTCONFIG_FILE") if name in os.environ}
    folders = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "TMPDIR": str(home),
    }
    return passed | folders | {"TZ": "UTC"}


def warn(text: str) -> None:
    """Say on stderr what is worth knowing and stops nothing."""
    sys.stderr.write(f"{text}\n")


def process_age_s() -> float:
    """Return how long ago this process was started, 0 where the system does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        up_s = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return 0.0
    return max(0.0, up_s - ticks / os.sysconf("SC_CLK_TCK"))
