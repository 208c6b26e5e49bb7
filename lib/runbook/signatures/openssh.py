"""ssh-keygen as a program: found, new enough, never waiting for an answer that nobody can give."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from runbook import surroundings
from runbook.errors import StepFailed

OLDEST = (8, 8)
"""The first release whose allowed_signers know how long a key is valid. Source: git-config(1), gpg.ssh."""

UNATTENDED_S, ATTENDED_S = 60.0, 600.0


def keygen(
    *arguments: str, content: bytes = b"", prompts: bool = False
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen; `content` is its standard input.

    With `prompts` it talks to the terminal for passphrase, PIN or touch, and its own words stand there;
    without, it is cut off from every terminal. Raises StepFailed when it is missing, too old, or hangs.
    """
    command = [_program(), *arguments]
    environment = surroundings.ssh_environment(prompts=prompts)
    try:
        if prompts:
            return subprocess.run(
                command, stdout=subprocess.PIPE, env=environment, timeout=ATTENDED_S, check=False
            )
        # In a session of its own it cannot open the terminal that we were started from.
        return subprocess.run(
            command,
            input=content,
            capture_output=True,
            env=environment,
            timeout=UNATTENDED_S,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StepFailed(
            f"ssh-keygen had no answer within {error.timeout:g} s (an agent or a hardware key was not "
            "confirmed?); nothing was signed"
        ) from error


@cache
def _program() -> str:
    """Return where ssh-keygen is, once it is known to be new enough."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise StepFailed("ssh-keygen is not installed; install OpenSSH's client, 8.8 or newer")
    found = _version()
    if found is not None and found < OLDEST:
        has = ".".join(map(str, found))
        raise StepFailed(f"OpenSSH {has} does not know how long a key is valid; install 8.8 or newer")
    return program


def _version() -> tuple[int, int] | None:
    """Return OpenSSH's release, None when it does not tell: ssh-keygen has no option for it, ssh has."""
    ssh = shutil.which("ssh")
    if ssh is None:
        return None
    said = subprocess.run([ssh, "-V"], capture_output=True, text=True, check=False, timeout=UNATTENDED_S)
    found = re.search(r"OpenSSH\w*_(\d+)\.(\d+)", said.stderr + said.stdout)
    return (int(found[1]), int(found[2])) if found else None


def last_words(said: bytes | None, *, instead_of: Path, name: str) -> str:
    """Return what ssh-keygen complained about, in one line, a temporary file by its `name`."""
    if said is None:
        return "what it said stands above"
    lines = said.decode("utf-8", "replace").replace(str(instead_of), name).splitlines()
    told = [line.strip() for line in lines if line.strip() and not line.startswith("@")]
    return "; ".join(told)[:400] or "it said nothing"
