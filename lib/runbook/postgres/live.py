"""Takes a dump of a running server together with the truth about it, without being a burden or a danger.

Sessions are read-only; dump and truth come from one exported snapshot; reading is paced, and after the time
limit it stops and the snapshot is let go, because a held snapshot keeps vacuum from cleaning up. A password
travels in a private passfile, never on a command line.
"""

from __future__ import annotations

import subprocess
import tempfile
import threading
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from runbook.clock import Clock, WallClock
from runbook.errors import InputError, ProgramFailed, Refused, StepFailed
from runbook.postgres.dumpfile import read_dump
from runbook.postgres.fingerprint import CHUNK_BYTES, Truth, fingerprint
from runbook.postgres.programs import LAST_WORDS, Programs, scrubbed
from runbook.postgres.sessions import Connection, export_snapshot, reading, server_errors, words
from runbook.postgres.values import Backup
from runbook.step import Step
from runbook.values import Value

NEEDED = ("host", "user", "dbname")
POOLER_PORTS, POOLER_WORD = ("6543", "6432"), "pooler"
READ_BYTES = 1 << 18
TRANSACTION_TIMEOUT_SINCE = 170000
GRACE_S = 30.0  # after which the server itself ends our snapshot, should we be gone
DEFAULTS = {
    "connect_timeout": "10",
    "application_name": "runbook drill",
    "keepalives_idle": "30",  # a dead connection must not hold a snapshot for hours
}


class Limits(Value):
    """How much a source may be burdened: bytes per second, seconds in all, and the waits of a statement."""

    bytes_per_s: float = 50e6
    duration_s: float = 900.0
    statement_timeout_s: float = 300.0
    lock_timeout_s: float = 2.0


class LiveCopy(Value):
    """A dump and the truth of the same instant; `held_s` is how long the snapshot was held."""

    dump: Backup
    truth: Truth
    held_s: float


@dataclass(frozen=True)
class Source:
    """A running server to read from. `conninfo` is without a password, which lies in a private passfile."""

    conninfo: str
    limits: Limits

    def connect(self) -> Connection:
        """Return a read-only session; the caller closes it."""
        return psycopg.connect(self.conninfo)


def open_source(
    programs: Programs, dsn: str, *, password: str | None = None, limits: Limits | None = None
) -> Source:
    """Return the server that a connection string (or URL) leads to; a password in it is moved to a passfile.

    Raises InputError for a string that is none or leaves things to chance, Refused for a connection pooler,
    a server newer than `programs`, or one that does not let us in.
    """
    try:
        given = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.ProgrammingError:
        message = (
            "the source's connection string cannot be read; right would be postgresql://user@host/database"
        )
        raise InputError(message) from None  # psycopg's own words may repeat the password
    missing = [name for name in NEEDED if name not in given]
    if missing:
        raise InputError(
            f"the source's connection string has no {', '.join(missing)}; right would be all of: "
            f"{', '.join(NEEDED)}"
        )
    secret = password or given.pop("password", None)
    given.pop("password", None)
    if secret is not None:
        given["passfile"] = str(_passfile(programs, secret))
    given["options"] = f"{given.get('options', '')} -c default_transaction_read_only=on".strip()
    source = Source(make_conninfo("", **{**DEFAULTS, **given}), limits or Limits())
    _refuse(programs, source, given)
    return source


def _passfile(programs: Programs, secret: str) -> Path:
    folder = programs.own(Path(tempfile.mkdtemp(prefix="source-", dir=programs.scratch)))
    escaped = secret.replace("\\", "\\\\").replace(":", "\\:")
    return programs.own_file(folder / "passfile", f"*:*:*:*:{escaped}\n")


def _refuse(programs: Programs, source: Source, given: dict[str, str]) -> None:
    """Refuse what cannot be copied in one snapshot, or not by our programs."""
    where = f"{given['host']}, port {given.get('port', '5432')}"
    try:
        with source.connect() as connection:
            announced = connection.info.backend_pid
            [(actual, version)] = connection.execute(
                "SELECT pg_backend_pid(), current_setting('server_version')"
            ).fetchall()
    except psycopg.OperationalError as error:
        raise Refused(f"the source at {where} does not let us in: {words(error)}") from error
    if announced != actual:
        named = POOLER_WORD in given["host"] or given.get("port") in POOLER_PORTS
        raise Refused(
            f"{where} is a connection pooler{' by its address, too' if named else ''}: it announced process "
            f"{announced} and process {actual} answered, so there is no snapshot to share. Use the direct "
            "connection of the database (with Supabase: db.<project>.supabase.co, port 5432)"
        )
    if int(version.split(".")[0]) > programs.major:
        raise Refused(
            f"the source is PostgreSQL {version}, the programs here are {programs.version}: a newer server "
            "cannot be dumped; bring PostgreSQL of its version or newer"
        )


def copy_live(
    step: Step,
    programs: Programs,
    source: Source,
    file: Path,
    *,
    without_schemas: tuple[str, ...] = (),
    clock: Clock | None = None,
) -> LiveCopy:
    """Dump the source into a new file (custom format) and take the truth about it, both of one snapshot.

    Raises StepFailed when the time limit ends it, or in the words of pg_dump or of the server.
    """
    pace = Pace(source.limits, clock or WallClock())
    session = partial(reading, source.connect, lock_timeout_s=source.limits.lock_timeout_s)
    with server_errors("reading the source failed"), session() as holder:
        _hold(holder, source.limits)
        snapshot = export_snapshot(holder)
        with step.phase("source: dump"):
            _dump(step, programs, source, file, snapshot, without_schemas, pace)
        with step.phase("source: truth"):
            truth = fingerprint(
                step,
                source.connect,
                snapshot=snapshot,
                jobs=1,
                statement_timeout_s=min(source.limits.statement_timeout_s, pace.left_s()),
                lock_timeout_s=source.limits.lock_timeout_s,
                without_schemas=without_schemas,
                chunk_bytes=min(CHUNK_BYTES, max(1 << 20, int(source.limits.bytes_per_s / 4))),
                before_chunk=pace.take,
            )
    held_s = pace.elapsed_s()
    if truth.unreadable:
        trouble = "; ".join(f"{table}: {said}" for table, said in truth.unreadable.items())
        raise StepFailed(f"the source itself cannot be read whole: {trouble}")
    return LiveCopy(dump=read_dump(file), truth=truth, held_s=held_s)


class Pace:
    """Keeps reading within the limits: `take` waits until so many more bytes may be read, or ends it."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits, self._clock, self._began = limits, clock, clock.monotonic_s()
        self._taken, self._lock = 0.0, threading.Lock()

    def elapsed_s(self) -> float:
        return self._clock.monotonic_s() - self._began

    def left_s(self) -> float:
        """Return the seconds until the time limit; raises StepFailed when it is over."""
        left_s = self._limits.duration_s - self.elapsed_s()
        if left_s <= 0:
            raise StepFailed(
                f"the source was read for {self._limits.duration_s:g} s, its time limit; the snapshot is let "
                "go. Raise the limit, or the rate, or read from a replica"
            )
        return left_s

    def take(self, size_bytes: int) -> None:
        """Wait until the bytes taken so far are within the rate, then count these."""
        with self._lock:
            due_s = self._taken / self._limits.bytes_per_s
            self._taken += size_bytes
        while (early_s := due_s - self.elapsed_s()) > 0:
            wait = timedelta(seconds=min(early_s, self.left_s()))
            self._clock.sleep_until(self._clock.now() + wait)
        self.left_s()


def _hold(holder: Connection, limits: Limits) -> None:
    """Keep the holder's idle transaction for the time limit, and not much longer, should we be gone."""
    milliseconds = f"{(limits.duration_s + GRACE_S) * 1000:.0f}ms"
    names = ["idle_in_transaction_session_timeout"]
    if holder.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
        names.append("transaction_timeout")
    for name in names:
        holder.execute("SELECT set_config(%s, %s, false)", (name, milliseconds))


def _dump(
    step: Step,
    programs: Programs,
    source: Source,
    file: Path,
    snapshot: str,
    without_schemas: tuple[str, ...],
    pace: Pace,
) -> None:
    """Write pg_dump's output to a private file, at the pace; not packed, so that bytes are bytes."""
    arguments = (
        *("--format=custom", "--compress=0", "--no-password", f"--snapshot={snapshot}"),
        f"--lock-wait-timeout={source.limits.lock_timeout_s * 1000:.0f}",
        *(f"--exclude-schema={_pattern(schema)}" for schema in without_schemas),
        f"--dbname={source.conninfo}",
    )
    with (
        programs.own_file(file).open("ab") as target,
        tempfile.TemporaryFile() as complaints,
        step.progress("dumping the source", unit="MB") as bar,
        programs.spawn("pg_dump", *arguments, stdout=subprocess.PIPE, stderr=complaints) as child,
    ):
        alarm = threading.Timer(pace.left_s(), child.kill)  # also when pg_dump itself waits and sends nothing
        alarm.start()
        try:
            assert child.stdout is not None  # noqa: S101  # it was asked for
            while chunk := child.stdout.read1(READ_BYTES):  # type: ignore[attr-defined]  # it is a BufferedReader
                target.write(chunk)
                bar.add(len(chunk) / 1e6)
                pace.take(len(chunk))
            child.wait()
        finally:
            alarm.cancel()
            child.kill()
        complaints.seek(0)
        said = scrubbed(complaints.read())[-LAST_WORDS:]
    if child.returncode != 0:
        pace.left_s()
        raise ProgramFailed("pg_dump", child.returncode, said)


def _pattern(schema: str) -> str:
    """Return a name as pg_dump's pattern that means nothing but it."""
    return '"' + schema.replace('"', '""') + '"'
