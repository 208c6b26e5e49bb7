"""Restores a pg_dump file into a cluster of ours: nothing is left out in silence.

Roles that the dump names and the cluster lacks are created without rights; extensions that this machine does
not have are named; every complaint of pg_restore or psql becomes part of a check.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from psycopg import sql

from runbook.postgres.cluster import Cluster
from runbook.postgres.dumpfile import Contents, is_text, lines_of, open_text, readable_by
from runbook.postgres.programs import Programs
from runbook.postgres.values import Backup, Restored, Target
from runbook.step import Progress, Step
from runbook.values import Check, Value

DATABASE = "restored"
SHOWN = 5  # so many complaints are named
KEPT = 200  # and so many kept of those
# pg_restore's and psql's complaints; the lines after them may hold rows of the data and are not kept.
COMPLAINT = re.compile(
    r"(?:pg_restore: error: |psql:[^:]*:\d+: (?=ERROR|FATAL|PANIC|error)|psql: error: )(.*)"
)
WORKING = ("pg_restore: finished item ", "pg_restore: creating ", "pg_restore: processing data ")
LISTED = re.compile(r"^\d+; \d+ \d+ (?P<what>[A-Z ]+?) (?P<schema>\S+) (?P<name>.*) (?P<owner>\S*)$")
CREATES_DATABASE = re.compile(rb'CREATE DATABASE ("(?:[^"]|"")+"|\S+) .*?(ENCODING = \'\w+\')?[ ;].*')
SESSION = "-c synchronous_commit=off -c maintenance_work_mem=256MB"


class RestoredDump(Value):
    """A dump brought back: the cluster with the database it is in now, and what its restoring showed."""

    restored: Restored
    checks: tuple[Check, ...]


@dataclass
class Said:
    """What the program complained of, first lines only; `total` counts all of it."""

    lines: list[str] = field(default_factory=list)
    total: int = 0

    def hear(self, line: str) -> None:
        if (found := COMPLAINT.match(line)) is not None:
            self.total += 1
            if len(self.lines) < KEPT:
                self.lines.append(" ".join(found[1].split()))

    def summary(self) -> str:
        more = f"; and {self.total - SHOWN} more" if self.total > SHOWN else ""
        return "; ".join(self.lines[:SHOWN]) + more


def restore_dump(
    step: Step,
    programs: Programs,
    *,
    dump: Backup,
    contents: Contents,
    cluster: Cluster,
    jobs: int = 2,
    encoding: str = "UTF8",
    roles: tuple[str, ...] = (),
) -> RestoredDump:
    """Restore into a running, empty cluster of ours; the cluster returned has its database set to the result.

    `contents` is what check_dump found; `roles` are created beside those that the dump names. What goes wrong
    is a failed check; ProgramFailed is raised only when a program could not be run at all.
    """
    said, before = Said(), len(step.phases)
    with step.phase("restore: roles and database"):
        missing = _missing_extensions(cluster, contents)
        created = _create_roles(cluster, contents, roles)
        if dump.format != "cluster":
            _create_database(cluster, encoding)
    with step.phase("restore: the dump"):
        if is_text(dump):
            left_out = _by_psql(step, programs, dump, cluster, said, missing)
        else:
            left_out = _by_pg_restore(step, programs, dump, cluster, said, missing, jobs)
    database = _largest_database(cluster) if dump.format == "cluster" else DATABASE
    with step.phase("restore: statistics"), cluster.connect(database=database) as connection:
        connection.execute(
            "SET default_statistics_target = 10"
        )  # a small sample is enough to plan the checks
        connection.execute("ANALYZE")
    restored = Restored(
        cluster=cluster.model_copy(update={"database": database}),
        target=Target(
            kind="as dumped", at=dump.taken_at, sentence=f"as dumped at {dump.taken_at.isoformat()}"
        ),
        phases=tuple(step.phases[before:]),
        copied_bytes=dump.size_bytes,
        copied_files=1 if dump.path.is_file() else sum(1 for _ in dump.path.iterdir()),
        copied_by="psql" if is_text(dump) else f"pg_restore, {jobs} jobs",
        replayed_to_lsn=None,
        last_commit_at=None,
        timeline=None,
        log_tail=said.summary(),
    )
    return RestoredDump(restored=restored, checks=_checks(said, contents, missing, created, left_out))


def _missing_extensions(cluster: Cluster, contents: Contents) -> tuple[str, ...]:
    """Return the extensions the dump creates that this machine's PostgreSQL does not have."""
    with cluster.connect() as connection:
        have = {name for (name,) in connection.execute("SELECT name FROM pg_available_extensions")}
    return tuple(name for name in contents.extensions if name not in have)


def _create_roles(cluster: Cluster, contents: Contents, more: tuple[str, ...]) -> tuple[str, ...]:
    """Create the roles that are named but not created by the dump: without a login, without rights."""
    named = dict.fromkeys((*contents.roles, *more))
    with cluster.connect() as connection:
        have = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
        wanted = tuple(role for role in named if role not in have and role not in contents.own_roles)
        for role in wanted:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    return wanted


def _create_database(cluster: Cluster, encoding: str) -> None:
    with cluster.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'").format(
                sql.Identifier(DATABASE), sql.Literal(encoding)
            )
        )


def _largest_database(cluster: Cluster) -> str:
    """Return where a cluster's dump put most."""
    query = (
        "SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY pg_database_size(oid) DESC LIMIT 1"
    )
    with cluster.connect() as connection:
        return str(connection.execute(query).fetchall()[0][0])


def _by_pg_restore(
    step: Step,
    programs: Programs,
    dump: Backup,
    cluster: Cluster,
    said: Said,
    missing: tuple[str, ...],
    jobs: int,
) -> tuple[str, ...]:
    """Restore an archive; return what of it was left out on purpose."""
    with readable_by(programs, dump.path) as path:
        entries = programs.run("pg_restore", "--list", path).splitlines()
        kept, left_out = _without(entries, missing)
        listing = programs.own(Path(tempfile.mkdtemp(prefix="dump-", dir=programs.scratch))) / "list"
        programs.own_file(listing, "\n".join(kept) + "\n")
        parallel = ("--jobs", str(jobs)) if dump.format != "tar" else ()
        arguments = (f"--dbname={cluster.conninfo(database=DATABASE)}", "--no-tablespaces", "--verbose")
        with (
            step.progress("pg_restore", total=len(kept), unit="objects") as bar,
            _running(
                programs, "pg_restore", *arguments, *parallel, f"--use-list={listing}", str(path)
            ) as child,
        ):
            _listen(child.stderr, said, bar)
            _ended(child, "pg_restore", said)
    return left_out


def _without(entries: list[str], missing: tuple[str, ...]) -> tuple[list[str], tuple[str, ...]]:
    """Return a table of contents without subscriptions, which reach out, and extensions we do not have."""
    kept, left_out = [], []
    for entry in entries:
        found = LISTED.match(entry)
        what, name = (found["what"], found["name"]) if found else ("", "")
        if what == "SUBSCRIPTION":
            left_out.append(f"subscription {name}")
        elif what in ("EXTENSION", "COMMENT") and name.removeprefix("EXTENSION ").strip('"') in missing:
            continue
        else:
            kept.append(entry)
    return kept, tuple(left_out)


def _by_psql(
    step: Step, programs: Programs, dump: Backup, cluster: Cluster, said: Said, missing: tuple[str, ...]
) -> tuple[str, ...]:
    """Feed a plain dump to psql; return what of it was left out on purpose."""
    database = "postgres" if dump.format == "cluster" else DATABASE
    arguments = (
        "--no-psqlrc",
        "--quiet",
        "--dbname",
        cluster.conninfo(database=database),
        "--output=/dev/null",
    )
    left_out: list[str] = []
    with (
        step.progress("psql", unit="MB") as bar,
        _running(programs, "psql", *arguments, "--file=-") as child,
        open_text(dump.path) as file,
    ):
        listener = threading.Thread(target=_listen, args=(child.stderr, said, None))
        listener.start()
        try:
            _feed(child.stdin, _adapted(file, dump, cluster, missing, left_out), bar)
        finally:
            listener.join()
        _ended(child, "psql", said)
    return tuple(left_out)


def _adapted(
    file: IO[bytes], dump: Backup, cluster: Cluster, missing: tuple[str, ...], left_out: list[str]
) -> Iterator[bytes]:
    """Yield a plain dump's lines without what must not or cannot be restored here.

    Of a cluster's dump, nothing may change the superuser we restore as, and its databases are created with
    locale C: the dump's own locale may be unknown to this machine.
    """
    unwanted = _unwanted(dump, cluster, missing)
    for line, is_data in lines_of(file):
        why = (
            None
            if is_data
            else next((why for start, why in unwanted.items() if line.startswith(start)), None)
        )
        if why is not None:
            left_out += [why] if why else []
        elif not is_data and dump.format == "cluster" and (found := CREATES_DATABASE.match(line)) is not None:
            yield b"CREATE DATABASE %s TEMPLATE template0 %s LOCALE 'C';\n" % (found[1], found[2] or b"")
        else:
            yield line


def _unwanted(dump: Backup, cluster: Cluster, missing: tuple[str, ...]) -> dict[bytes, str]:
    """Return how statements begin that are left out, and what to say of it ("": it is said elsewhere)."""
    starts = {"CREATE SUBSCRIPTION ": "subscriptions", "ALTER SUBSCRIPTION ": "subscriptions"}
    for name in missing:
        for written in (name, f'"{name}"'):
            starts[f"CREATE EXTENSION IF NOT EXISTS {written} "] = ""
            starts[f"COMMENT ON EXTENSION {written} "] = ""
    if dump.format == "cluster":
        why = f"the rights of role {cluster.user}, as which it is restored"
        starts |= {f"CREATE ROLE {cluster.user};": why, f"ALTER ROLE {cluster.user} ": why}
    return {start.encode(): why for start, why in starts.items()}


def _feed(pipe: IO[bytes] | None, lines: Iterator[bytes], bar: Progress) -> None:
    assert pipe is not None  # noqa: S101  # it was asked for
    try:
        with pipe:
            for line in lines:
                pipe.write(line)
                bar.add(len(line) / 1e6)
    except BrokenPipeError:
        return  # psql ended; how, its exit code tells


@contextmanager
def _running(programs: Programs, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program whose complaints are listened to; it ends with us."""
    with programs.spawn(
        name, *arguments, environment={"PGOPTIONS": SESSION}, stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def _listen(pipe: IO[bytes] | None, said: Said, bar: Progress | None) -> None:
    assert pipe is not None  # noqa: S101  # it was asked for
    for line in pipe:
        text = line.decode(errors="replace")
        said.hear(text)
        if bar is not None and text.startswith(WORKING):
            bar.add(1)


def _ended(child: subprocess.Popen[bytes], name: str, said: Said) -> None:
    """Count an exit code that no complaint explains as a complaint."""
    if child.wait() != 0 and not said.total:
        said.hear(f"pg_restore: error: {name} ended with {child.returncode}")


def _checks(
    said: Said,
    contents: Contents,
    missing: tuple[str, ...],
    created: tuple[str, ...],
    left_out: tuple[str, ...],
) -> tuple[Check, ...]:
    checks = [
        Check.of(
            "restored without a complaint",
            holds=not said.total,
            observed=said.summary() or "none",
            expected="none",
        )
    ]
    if contents.extensions:
        title, names = "extensions of the dump are on this machine", ", ".join(contents.extensions)
        if missing:
            why = f"not here, so not restored: {', '.join(missing)}"
            checks.append(Check.unchecked(title, why=why, expected=names))
        else:
            checks.append(Check.of(title, holds=True, observed=names, expected=names))
    if created:
        why = f"not in the dump; created without rights: {', '.join(created)}"
        checks.append(Check.unchecked("roles of the source", why=why, expected="in the dump"))
    if left_out:
        why = f"left out on purpose: {'; '.join(dict.fromkeys(left_out))}"
        checks.append(
            Check.unchecked("everything in the dump was restored", why=why, expected="nothing left out")
        )
    return tuple(checks)
