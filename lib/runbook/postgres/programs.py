"""Finds a PostgreSQL that works here and runs its programs: fixed environment, never as root.

This is the one place that builds the environment of a child: nothing is inherited, so no PG* variable,
locale or time zone of the user's can change what a drill does.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, NamedTuple

from runbook.errors import InputError, ProgramFailed, StepFailed
from runbook.postgres import installations
from runbook.postgres.installations import Installation, User

TIMEOUT_S = 600.0
LAST_WORDS = 2000  # characters of a failed program's output that are kept
SECRET = re.compile(r"(password\s*=\s*)('[^']*'|\S+)|(://[^\s:/@]*:)[^\s@/]*(?=@)", re.IGNORECASE)
REQUIRED = (
    "postgres",
    "initdb",
    "pg_ctl",
    "pg_basebackup",
    "pg_receivewal",
    "pg_controldata",
    "pg_checksums",
    "pg_waldump",
    "pg_dump",
    "pg_restore",
    "psql",
)


class Ended(NamedTuple):
    """How a program ended: its exit code, what it wrote to stdout and to stderr."""

    returncode: int
    said: str
    complaint: str


@dataclass(frozen=True)
class Programs:
    """One PostgreSQL's programs. `run_as` is the uid they run as when we are root, else None.

    `scratch` is the folder they work in: what works below it dies with the run.
    """

    bin: Path
    version: str
    major: int
    has_amcheck: bool
    has_verifybackup: bool
    origin: str
    run_as: int | None
    run_as_group: int | None
    scratch: Path

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the whole environment of a child."""
        path = f"{self.bin}:/usr/local/bin:/usr/bin:/bin"
        fixed = {"PATH": path, "LC_ALL": "C", "TZ": "UTC", "HOME": str(self.scratch)}
        return {**fixed, **(more or {})}

    def run(
        self,
        name: str,
        *args: str | Path,
        input: str | None = None,  # noqa: A002  # subprocess's own word
        environment: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        output: IO[bytes] | None = None,
    ) -> str:
        """Run a program to its end and return what it wrote to stdout ("" when `output` takes it).

        Raises ProgramFailed with its last words, or when it takes longer than `timeout_s`.
        """
        ended = self.run_telling(
            name, *args, input=input, environment=environment, timeout_s=timeout_s, output=output
        )
        if ended.returncode:
            raise ProgramFailed(name, ended.returncode, (ended.complaint or ended.said)[-LAST_WORDS:])
        return ended.said

    def run_telling(
        self,
        name: str,
        *args: str | Path,
        input: str | None = None,  # noqa: A002
        environment: Mapping[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
        output: IO[bytes] | None = None,
    ) -> Ended:
        """Run a program to its end and return how it ended, for those whose failure is an answer."""
        with (
            self.spawn(
                name,
                *args,
                environment=environment,
                stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
                stdout=output or subprocess.PIPE,
                stderr=subprocess.PIPE,
            ) as child,
            _ended(child),
        ):
            try:
                said, complaint = child.communicate(input.encode() if input is not None else None, timeout_s)
            except subprocess.TimeoutExpired as error:
                _kill(child)
                raise ProgramFailed(name, -9, f"it was still running after {timeout_s:g} s") from error
        return Ended(
            child.returncode, (said or b"").decode(errors="replace"), scrubbed(complaint, environment)
        )

    def spawn(
        self,
        name: str,
        *args: str | Path,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own, its output appended to `log` when given.

        It works in the scratch folder, so the keeper ends it with the run. The caller waits for it.
        """
        sink = log.open("ab") if log is not None else None
        try:
            return subprocess.Popen(
                [str(self.bin / name), *map(str, args)],
                stdin=stdin,
                stdout=sink or stdout,
                stderr=subprocess.STDOUT if sink else stderr,
                env=self.environment(environment),
                cwd=self.scratch,
                start_new_session=True,  # a Ctrl-C is answered by us, not by PostgreSQL
                umask=0o077,
                user=self.run_as,
                group=self.run_as_group,
                extra_groups=None if self.run_as is None else [],
            )
        except OSError as error:
            raise ProgramFailed(name, 127, str(error)) from error
        finally:
            if sink is not None:
                sink.close()

    def version_of(self, name: str) -> str:
        """Return what a program says of its version; ProgramFailed when it is missing or does not run."""
        return self.run(name, "--version", timeout_s=20)

    def may_read(self, path: Path) -> bool:
        """Say whether the programs may read a path that is not ours."""
        return self.run_as is None or installations.may(
            User(self.run_as, self.run_as_group or 0), path, bits=4
        )

    def own(self, path: Path) -> Path:
        """Give a file or folder (not what is in it) to the user the programs run as; returns `path`."""
        if self.run_as is not None:
            os.chown(path, self.run_as, self.run_as_group or -1, follow_symlinks=False)
        return path

    def own_file(self, path: Path, text: str = "") -> Path:
        """Add text to a private file (0600) that the programs may read and write; returns `path`."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
            file.write(text)
        return self.own(path)

    def make_folder(self, path: Path) -> Path:
        """Make a private folder (0700) that the programs may use; its parents must exist."""
        path.mkdir(mode=0o700)
        return self.own(path)


@contextmanager
def _ended(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Leave no child behind when we are interrupted while it works."""
    try:
        yield
    except BaseException:
        _kill(child)
        raise


def _kill(child: subprocess.Popen[bytes]) -> None:
    """End a child and what it started itself."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def scrubbed(said: bytes, environment: Mapping[str, str] | None = None) -> str:
    """Return a program's complaint without any password it may repeat."""
    text = said.decode(errors="replace").strip()
    for name, value in (environment or {}).items():
        if "PASSWORD" in name and value:
            text = text.replace(value, "…")
    return SECRET.sub(lambda found: (found[1] or found[3]) + "…", text)


def find_programs(*, configured: Path | None = None, scratch: Path) -> Programs:
    """Return the first PostgreSQL, in order of preference, whose programs run here.

    `configured` is a folder with the programs (or its parent); when given, it is that one or none.
    When we are root, `scratch` is given to the user that PostgreSQL will run as.
    The same question is answered from memory the second time: trying them takes a tenth of a second.
    Raises InputError for a configured one that does not work, StepFailed when there is none at all;
    both say what was tried and why it was passed over.
    """
    return _find(configured, scratch)


@cache
def _find(configured: Path | None, scratch: Path) -> Programs:
    user = installations.unprivileged_user()
    if user is not None:
        os.chown(scratch, *user)
    reasons: list[str] = []
    without_amcheck: list[Programs] = []
    for installation in installations.candidates(configured=configured, scratch=scratch):
        try:
            found = _examine(installation, user=user, scratch=scratch)
        except StepFailed as error:
            reasons.append(f"{installation.origin} ({installation.bin}): {error}")
            continue
        if found.has_amcheck or configured is not None:
            return found
        without_amcheck.append(found)
    if without_amcheck:
        return max(without_amcheck, key=lambda one: (one.has_verifybackup, one.major))
    tried = "\n  ".join(reasons) or "nothing was found"
    if configured is not None:
        raise InputError(f"the configured PostgreSQL {configured} does not work:\n  {tried}")
    raise StepFailed(
        f"no PostgreSQL {installations.OLDEST} or newer works here; install the requirements "
        f"(they bring one) or name yours in environment.yaml. Tried:\n  {tried}"
    )


def _examine(installation: Installation, *, user: User | None, scratch: Path) -> Programs:
    """Return the programs of an installation after running each; copies what the user cannot reach."""
    if user is None or installations.may(user, installation.bin / "postgres", bits=5):
        return _try(installation, user=user, scratch=scratch)
    return _try(installations.copied(installation, scratch / "programs"), user=user, scratch=scratch)


def _try(installation: Installation, *, user: User | None, scratch: Path) -> Programs:
    """Run every program once; raise StepFailed for one that is missing, too old or does not run."""
    bare = Programs(
        bin=installation.bin,
        version="",
        major=0,
        has_amcheck=False,
        has_verifybackup=False,
        origin=installation.origin,
        run_as=user.uid if user else None,
        run_as_group=user.gid if user else None,
        scratch=scratch,
    )
    with ThreadPoolExecutor() as pool:
        said = dict(zip(REQUIRED, pool.map(bare.version_of, REQUIRED), strict=True))
    version = installations.version_in(said["postgres"])
    major = installations.major_of(version)
    if major < installations.OLDEST:
        raise StepFailed(f"it is version {version}; needed is {installations.OLDEST} or newer")
    return replace(
        bare,
        version=version,
        major=major,
        has_amcheck=installations.has_amcheck(installation.bin, major),
        has_verifybackup=_runs(bare, "pg_verifybackup"),
    )


def _runs(programs: Programs, name: str) -> bool:
    """Say whether a program really runs; one that is there may crash."""
    try:
        programs.version_of(name)
    except ProgramFailed:
        return False
    return True
