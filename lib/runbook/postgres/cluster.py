"""A PostgreSQL cluster of our own in a private folder: made, started, stopped, connected to.

    folder/            0700, the user's that PostgreSQL runs as
        data/          the data directory
        socket/        the Unix socket: whoever may enter this folder may connect, nobody else
        cluster.conf   every setting (the data directory's own postgresql.conf is not read)
        hba.conf  ident.conf  log  passfile

By default a cluster listens on its socket only, so there is no port to race for. With `tcp=True` it
also listens on 127.0.0.1, with a random password in a passfile (0600).
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg.conninfo import make_conninfo

from runbook.errors import StepFailed
from runbook.postgres.programs import Programs
from runbook.scratch import open_scratch
from runbook.values import Value

POLL_S = 0.005
START_S = 300.0  # a start may include a long recovery
STOP_S = 120.0
SOCKET_PATH_BYTES = 107  # the kernel's limit for the path of a Unix socket, without the closing zero
LOG_TAIL = 12  # lines of the server's log that an error shows
SCRATCH_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "dynamic_shared_memory_type": "mmap",  # nothing in /dev/shm that could be left there
    "recovery_init_sync_method": "syncfs",  # one call instead of one per file
    "logging_collector": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "jit": "off",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
}
SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# Through the socket in the 0700 folder whoever can; over TCP whoever has the password.
HBA = """local all all trust
local replication all trust
host all all 127.0.0.1/32 scram-sha-256
host replication all 127.0.0.1/32 scram-sha-256
"""
_children: dict[Path, subprocess.Popen[bytes]] = {}  # postmasters we started ourselves, to be reaped


class Cluster(Value):
    """A cluster in its folder; a plain record, so it can be handed on, kept in a journal and used again."""

    folder: Path
    socket_folder: Path
    port: int
    user: str
    database: str
    version: str
    passfile: Path | None = None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def conninfo(
        self, *, database: str | None = None, user: str | None = None, tcp: bool = False, **more: Any
    ) -> str:
        """Return a libpq connection string without a password; `tcp` goes through 127.0.0.1."""
        fixed: dict[str, Any] = {
            "host": "127.0.0.1" if tcp else str(self.socket_folder),
            "hostaddr": "",  # PGHOSTADDR would outrank the host, and lead to somebody else's server
            "port": self.port,
            "user": user or self.user,
            "dbname": database or self.database,
            "passfile": str(self.folder / "passfile"),
            "application_name": "runbook",
            "client_encoding": "UTF8",
            "options": "",  # each of these also keeps a PG* variable of the user's out
            "sslmode": "disable",
            "gssencmode": "disable",
            "target_session_attrs": "any",
            "connect_timeout": 10,
        }
        return make_conninfo("", **{**fixed, **more})

    def connect(
        self, *, database: str | None = None, user: str | None = None, autocommit: bool = True
    ) -> psycopg.Connection:
        """Return a connection; the caller closes it."""
        return psycopg.connect(self.conninfo(database=database, user=user), autocommit=autocommit)

    def configure(self, programs: Programs, settings: Mapping[str, str]) -> None:
        """Add settings, read at the next start or `pg_reload_conf()`; the last of a name counts."""
        with (self.folder / "cluster.conf").open("a") as file:
            file.writelines(setting(name, value) for name, value in settings.items())
        programs.own(self.folder / "cluster.conf")

    def start(
        self,
        programs: Programs,
        *,
        timeout_s: float = START_S,
        until: tuple[str, ...] = ("ready",),
        watch: Callable[[], None] | None = None,
    ) -> None:
        """Start the server and return when its status is one of `until` ("ready", "standby").

        `watch` is called while waiting. Raises StepFailed with the log's last lines when it does not start.
        """
        since = self.log_size()
        child = programs.spawn(
            "postgres",
            *("-D", self.data),
            *(f"--{name}={self.folder / file}" for name, file in FILES.items()),
            log=programs.own_file(self.log),
        )
        _children[self.data] = child
        try:
            self._await(child, since, timeout_s, until, watch)
        except BaseException:
            self.stop(mode="immediate")
            raise

    def _await(
        self,
        child: subprocess.Popen[bytes],
        since: int,
        timeout_s: float,
        until: tuple[str, ...],
        watch: Callable[[], None] | None,
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while self.status(child.pid) not in until:
            if child.poll() is not None:
                raise StepFailed(f"PostgreSQL did not start in {self.data}: {self.why_it_ended(since)}")
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"PostgreSQL was not ready after {timeout_s:g} s in {self.data}:\n{self.last_log_lines()}"
                )
            if watch is not None:
                watch()
            time.sleep(POLL_S)

    def status(self, pid: int | None = None) -> str:
        """Return what postmaster.pid says ("starting", "ready", "standby", "stopping"); "" when not running.

        With `pid`, a file that another postmaster left does not count.
        """
        lines = self._pid_file()
        if len(lines) < 8 or (pid is not None and lines[0] != str(pid)):  # noqa: PLR2004
            return ""
        return lines[7].strip()

    def postmaster(self) -> int | None:
        """Return the postmaster's process id when it runs; a stale file's number does not count."""
        lines = self._pid_file()
        pid = int(lines[0]) if lines and lines[0].isdigit() else 0
        with suppress(OSError):
            if pid and Path(f"/proc/{pid}/cwd").resolve() == self.data.resolve():
                return pid
        return None

    def stop(self, *, mode: Literal["fast", "immediate"] = "fast", timeout_s: float = STOP_S) -> None:
        """Stop the server and wait until it is gone; nothing happens when it does not run."""
        child = _children.get(self.data)
        # Our own child is known before it has written its pid file.
        pid = child.pid if child is not None and child.poll() is None else self.postmaster()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, SIGNALS[mode])
        deadline = time.monotonic() + timeout_s
        while self.postmaster() is not None or (child is not None and child.poll() is None):
            if time.monotonic() > deadline:
                raise StepFailed(
                    f"PostgreSQL did not stop ({mode}) within {timeout_s:g} s in {self.data}:\n"
                    f"{self.last_log_lines()}"
                )
            time.sleep(POLL_S)
        _children.pop(self.data, None)

    def log_size(self) -> int:
        """Return the size of the log in bytes: where the lines of the next start begin."""
        return self.log.stat().st_size if self.log.exists() else 0

    def log_since(self, since: int) -> str:
        """Return the log from a position on."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().decode(errors="replace")

    def why_it_ended(self, since: int) -> str:
        """Return the server's own words of why it ended, or the end of its log."""
        lines = self.log_since(since).splitlines()
        fatal = [line for line in lines if re.search(r"\b(FATAL|PANIC|DETAIL|HINT|ERROR):", line)]
        if any("contains errors" in line for line in fatal):  # the causes were logged before it
            fatal = lines
        told = [line.split("] ", 1)[-1] for line in fatal[:LOG_TAIL]]
        return "; ".join(told) or "\n".join(lines[-LOG_TAIL:]) or "it said nothing"

    def last_log_lines(self, lines: int = LOG_TAIL) -> str:
        """Return the end of the server's log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return "(no log)"

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text(errors="replace").splitlines()
        except OSError:
            return []


FILES = {"config_file": "cluster.conf", "hba_file": "hba.conf", "ident_file": "ident.conf"}


def create_cluster(
    programs: Programs,
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    checksums: bool = True,
    tcp: bool = False,
    wal_segment_mb: int = 16,
) -> Cluster:
    """Make a new, empty cluster below `folder` (which must not exist); it is not started.

    Its superuser is postgres; encoding UTF8, locale C. Raises ProgramFailed when initdb fails.
    """
    cluster = prepare_folder(programs, folder, settings=settings or {}, tcp=tcp)
    options = ["--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C"]
    options += [f"--wal-segsize={wal_segment_mb}", "--auth-local=trust"]
    options += ["--data-checksums"] if checksums else _without_checksums(programs)
    if cluster.passfile is not None:
        password = cluster.passfile.read_text().rsplit(":", 1)[1]
        first = programs.own_file(folder / "password", password)
        options += ["--auth-host=scram-sha-256", f"--pwfile={first}"]
    else:
        options += ["--auth-host=reject"]
    programs.run("initdb", "-D", cluster.data, *options)
    (folder / "password").unlink(missing_ok=True)
    return cluster


def _without_checksums(programs: Programs) -> list[str]:
    return ["--no-data-checksums"] if programs.major >= 18 else []  # noqa: PLR2004  # on by default from 18


def prepare_folder(
    programs: Programs,
    folder: Path,
    *,
    settings: Mapping[str, str],
    user: str = "postgres",
    tcp: bool = False,
) -> Cluster:
    """Make a cluster's folder with everything but its data directory, and return its record."""
    programs.make_folder(folder)
    port = free_port() if tcp else 5432
    sockets = _socket_folder(programs, folder / "socket", port)
    passfile = folder / "passfile" if tcp else None
    if passfile is not None:
        programs.own_file(passfile, f"*:*:*:{user}:{secrets.token_urlsafe(24)}")
    ours = {"port": str(port), "unix_socket_directories": listed(sockets)}
    ours |= {"listen_addresses": "127.0.0.1"} if tcp else {}
    lines = {**SCRATCH_SETTINGS, **ours, **settings}
    text = "".join(setting(name, value) for name, value in lines.items())
    programs.own_file(folder / "cluster.conf", text)
    programs.own_file(folder / "hba.conf", HBA)
    programs.own_file(folder / "ident.conf")
    return Cluster(
        folder=folder,
        socket_folder=sockets,
        port=port,
        user=user,
        database="postgres",
        version=programs.version,
        passfile=passfile,
    )


def setting(name: str, value: str) -> str:
    """Return one line of a configuration file, whatever is in the value."""
    quoted = value.replace("\\", "\\\\").replace("'", "''")
    return f"{name} = '{quoted}'\n"


def listed(path: Path) -> str:
    """Return a path as one entry of a comma-separated setting."""
    return '"' + str(path).replace('"', '""') + '"'


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free now, outside the range that outgoing connections use."""
    for _ in range(100):
        port = 20000 + secrets.randbelow(12000)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise StepFailed("no free port between 20000 and 32000 on 127.0.0.1")


def _socket_folder(programs: Programs, folder: Path, port: int) -> Path:
    """Make the folder of the socket: in the cluster's own, or in a short one that dies with us too."""
    too_long = len(os.fsencode(folder / f".s.PGSQL.{port}")) > SOCKET_PATH_BYTES
    if too_long or "," in str(folder):  # a comma would end the host's name in a connection string
        folder = _short_scratch(programs) / secrets.token_hex(4)
    return programs.make_folder(folder)


@cache
def _short_scratch(programs: Programs) -> Path:
    return programs.own(open_scratch(root=Path("/tmp")).folder)  # noqa: S108  # made by mkdtemp, 0700
