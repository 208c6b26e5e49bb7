"""Reads what a pg_dump file says of itself, and checks before anything is restored that it is whole.

Custom, directory and tar archives carry a header and a table of contents; plain text (also .gz, also what
pg_dumpall writes) carries comments at its head and a line at its end. Source: PostgreSQL's
bin/pg_dump/pg_backup_archiver.c (ReadHead) and pg_dump.c.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple, cast

from runbook.errors import StepFailed
from runbook.postgres.installations import major_of
from runbook.postgres.programs import Programs
from runbook.postgres.values import Backup
from runbook.step import Step
from runbook.values import Check, Value, shown

ARCHIVE_MAGIC = b"PGDMP"
TAR_MAGIC, TAR_MAGIC_AT = b"ustar", 257
READ_S = 24 * 3600.0
GZIP_MAGIC = b"\x1f\x8b"
COMPRESSION_BYTE_SINCE = (1, 15)  # before, the header held a compression level as a whole number
PIECE_BYTES = 4096
HEAD_BYTES = 1 << 20  # a cluster's roles come before its first database
# A cluster's dump holds those of its databases, so it is looked for first.
HEADINGS = {b"-- PostgreSQL database cluster dump": "cluster", b"-- PostgreSQL database dump": "database"}
DUMPED_FROM = re.compile(rb"^-- Dumped from database version (\S+)", re.MULTILINE)
LAST_LINES = {
    "database": b"-- PostgreSQL database dump complete",
    "cluster": b"-- PostgreSQL database cluster dump complete",
}
COPY_BEGINS = re.compile(rb"COPY .* FROM stdin;\r?\n")
COPY_ENDS = (b"\\.\n", b"\\.\r\n")
EXTENSION = re.compile(r'^CREATE EXTENSION (?:IF NOT EXISTS )?("(?:[^"]|"")+"|\S+?)(?: |;)', re.MULTILINE)
NAME = r'("(?:[^"]|"")+"|[\w$]+)'
ROLES = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        rf"^ALTER .* OWNER TO {NAME};",
        rf"^(?:GRANT|ALTER DEFAULT PRIVILEGES|CREATE POLICY) .* TO {NAME}",
        rf"^(?:REVOKE|ALTER DEFAULT PRIVILEGES) .* FROM {NAME}",
        rf"^ALTER DEFAULT PRIVILEGES FOR ROLE {NAME} ",
        rf"^SET SESSION AUTHORIZATION {NAME};",
    )
)
CREATED_ROLE = re.compile(rf"^CREATE ROLE {NAME};", re.MULTILINE)
NOBODY = ("public", "current_user", "session_user", "current_role", "default")


class Contents(Value):
    """What a dump brings and leans on: `roles` it names, `own_roles` it creates itself, tables with rows."""

    tables: int
    extensions: tuple[str, ...]
    roles: tuple[str, ...]
    own_roles: tuple[str, ...] = ()
    fault: str | None = None


class Header(NamedTuple):
    """The head of an archive file; `made_at` is the dumping machine's time, taken for UTC."""

    made_at: datetime
    database: str
    server_version: str


def read_dump(path: Path) -> Backup:
    """Return what a dump's head says; `format` is custom, directory, tar, plain, or cluster (pg_dumpall).

    A plain dump does not say when it was made; its file's time counts. Raises StepFailed for what is no dump.
    """
    if not path.exists():
        raise StepFailed(f"the dump {path} is not there")
    try:
        return _read(path.resolve())
    except (OSError, EOFError, zlib.error, ValueError, KeyError, tarfile.TarError) as error:
        raise StepFailed(f"{path} is no dump that can be read: {error}") from error


def _read(path: Path) -> Backup:
    size = sum(part.stat().st_size for part in ([path] if path.is_file() else path.iterdir()))
    format_, header = _archive_header(path)
    if header is not None:
        return _backup(path, format_, header.server_version, header.made_at, size)
    head = _head(path)
    kind = next((kind for line, kind in HEADINGS.items() if line + b"\n" in head.replace(b"\r", b"")), None)
    if kind is None and head.startswith(ARCHIVE_MAGIC):
        raise StepFailed(f"{path} is an archive inside a gzip file: unpack it with gunzip first")
    if kind is None:
        raise StepFailed(f"{path} is no dump of PostgreSQL: it begins with {head[:40]!r}")
    found = DUMPED_FROM.search(head)
    version = found[1].decode() if found is not None else "unknown"
    made_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return _backup(path, "plain" if kind == "database" else "cluster", version, made_at, size)


def _head(path: Path) -> bytes:
    """Return the head of a plain dump, or what there is of it when it was cut short."""
    head = b""
    with path.open("rb") as file, suppress(EOFError, zlib.error):
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        text: IO[bytes] = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if packed else file
        while len(head) < HEAD_BYTES and (piece := text.read(PIECE_BYTES)):
            head += piece
    return head


def _backup(path: Path, format_: str, version: str, made_at: datetime, size: int) -> Backup:
    return Backup(
        kind="dump",
        path=path,
        wal_archive=None,
        format=format_,
        server_version=version,
        system_identifier=None,
        taken_at=made_at,
        size_bytes=size,
    )


def _archive_header(path: Path) -> tuple[str, Header | None]:
    """Return the format and header of an archive; no header when it is none."""
    if path.is_dir():
        with (path / "toc.dat").open("rb") as file:
            return "directory", _header(file)
    with path.open("rb") as file:
        magic = file.read(len(ARCHIVE_MAGIC))
        file.seek(0)
        if magic == ARCHIVE_MAGIC:
            return "custom", _header(file)
        file.seek(TAR_MAGIC_AT)
        is_tar = file.read(len(TAR_MAGIC)) == TAR_MAGIC
    if is_tar:
        with tarfile.open(
            path, "r:"
        ) as tar:  # its first file is the table of contents; the last may be cut short
            first = tar.next()
            content = tar.extractfile(first) if first is not None and first.name == "toc.dat" else None
            if content is None:
                raise ValueError("a tar file that does not begin with toc.dat")
            return "tar", _header(content)
    return "", None


def _header(file: IO[bytes]) -> Header:
    if file.read(len(ARCHIVE_MAGIC)) != ARCHIVE_MAGIC:
        raise ValueError("its table of contents does not begin with PGDMP")
    major, minor, _revision, size, _offset, _format = _exactly(file, 6)

    def number() -> int:
        content = _exactly(file, 1 + size)
        value = int.from_bytes(content[1:], "little")
        return -value if content[0] else value

    def text() -> str:
        length = number()
        return _exactly(file, length).decode(errors="replace") if length > 0 else ""

    if (major, minor) >= COMPRESSION_BYTE_SINCE:
        _exactly(file, 1)
    else:
        number()
    second, minute, hour, day, month, year, _summer = (number() for _ in range(7))
    made_at = datetime(year + 1900, month + 1, day, hour, minute, min(second, 59), tzinfo=UTC)
    return Header(made_at, text(), text().split(" ")[0])


def _exactly(file: IO[bytes], count: int) -> bytes:
    content = file.read(count)
    if len(content) < count:
        raise EOFError("it ends in its header")
    return content


@contextmanager
def open_text(path: Path) -> Iterator[IO[bytes]]:
    """Open a plain dump, unpacked on the way when it is gzipped."""
    with path.open("rb") as file:
        magic = file.read(len(GZIP_MAGIC))
        file.seek(0)
        if magic != GZIP_MAGIC:
            yield file
            return
        with gzip.GzipFile(fileobj=file) as packed, io.BufferedReader(packed, 1 << 20) as unpacked:
            yield unpacked


@contextmanager
def readable_by(programs: Programs, path: Path) -> Iterator[Path]:
    """Yield a path under which the programs may read a dump: its own, or that of a passing copy."""
    parts = [path, *(path.iterdir() if path.is_dir() else ())]
    if all(programs.may_read(part.resolve()) for part in parts):
        yield path
        return
    folder = programs.own(Path(tempfile.mkdtemp(prefix="dump-", dir=programs.scratch)))
    copy = folder / path.name
    try:
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            shutil.copyfile(path, copy)
        for part in (copy, *(copy.iterdir() if copy.is_dir() else ())):
            part.chmod(0o700 if part.is_dir() else 0o600)
            programs.own(part)
        yield copy
    finally:
        shutil.rmtree(folder)


def check_dump(step: Step, programs: Programs, dump: Backup) -> tuple[Contents, tuple[Check, ...]]:
    """Read a dump from end to end; return what is in it, and whether it is whole and can be restored here."""
    version = _version_check(programs, dump)
    if version.status == "failed":
        return Contents(tables=0, extensions=(), roles=()), (version,)
    contents = _plain_contents(step, dump) if is_text(dump) else _archive_contents(programs, dump)
    whole = Check.of(
        "dump is whole",
        holds=contents.fault is None,
        observed=contents.fault or f"read to its end, {dump.size_bytes:,} bytes",
        expected="readable to its end",
    )
    filled = Check.of(
        "dump is not empty",
        holds=contents.tables > 0,
        observed=f"{contents.tables} tables with data",
        expected="1 or more",
    )
    return contents, (version, whole, filled)


def is_text(dump: Backup) -> bool:
    """Say whether a dump is SQL text for psql rather than an archive for pg_restore."""
    return dump.format in ("plain", "cluster")


def _version_check(programs: Programs, dump: Backup) -> Check:
    """An older server is refused by name: what a newer one wrote it does not understand."""
    title, ours = "dump's version can be restored here", f"PostgreSQL {programs.version}"
    if dump.server_version == "unknown":
        return Check.unchecked(title, why="the dump does not say its version", expected=f"{ours} or older")
    return Check.of(
        title,
        holds=major_of(dump.server_version) <= programs.major,
        observed=f"dumped from PostgreSQL {dump.server_version}, this is {ours}",
        expected=f"{shown(programs.major)} or older",
    )


def _archive_contents(programs: Programs, dump: Backup) -> Contents:
    """Have pg_restore read every block of an archive, and its schema once more for the names in it."""
    if dump.format == "tar" and (fault := _tar_fault(dump.path)) is not None:
        return Contents(tables=0, extensions=(), roles=(), fault=fault)
    with readable_by(programs, dump.path) as path:
        listed = programs.run_telling("pg_restore", "--list", path)
        read = programs.run_telling("pg_restore", "--file=/dev/null", path, timeout_s=READ_S)
        fault = next((one.complaint for one in (listed, read) if one.returncode), None)
        if fault is not None:
            return Contents(tables=0, extensions=(), roles=(), fault=fault)
        schema = programs.run("pg_restore", "--schema-only", "--file=-", path)
    tables = len(re.findall(r"^\d+; \d+ \d+ TABLE DATA ", listed.said, re.MULTILINE))
    return Contents(tables=tables, extensions=extensions_in(schema), roles=roles_in(schema))


def _tar_fault(path: Path) -> str | None:
    """Return what is wrong with a tar file: of one cut short pg_restore reads the end for ever."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                end = member.offset_data + member.size
                if end > path.stat().st_size:
                    return f"it ends within {member.name}: it was cut short"
    except tarfile.TarError as error:
        return f"it cannot be read to its end: {error}"
    return None


def _plain_contents(step: Step, dump: Backup) -> Contents:
    """Read a plain dump through: its statements for names, its end for completeness."""
    statements, tables, tail = bytearray(), 0, b""
    fault: str | None = None
    with step.progress("reading the dump", unit="MB") as bar:
        try:
            with open_text(dump.path) as file:
                for line, is_data in lines_of(file):
                    bar.add(len(line) / 1e6)
                    if is_data:
                        continue
                    tables += bool(COPY_BEGINS.fullmatch(line)) or line.startswith(b"INSERT INTO ")
                    if line[:4] in (b"CREA", b"ALTE", b"GRAN", b"REVO", b"SET "):
                        statements += line
                    tail = (tail + line)[-1024:]
        except (OSError, EOFError, zlib.error) as error:
            fault = f"{dump.path.name} cannot be read to its end: {error}"
    last_line = LAST_LINES["cluster" if dump.format == "cluster" else "database"]
    if fault is None and last_line not in tail:
        fault = f"it ends without its last line, {last_line.decode()!r}: it was cut short"
    text = statements.decode(errors="replace")
    own = tuple(sorted({unquoted(name) for name in CREATED_ROLE.findall(text)}))
    return Contents(
        tables=tables, extensions=extensions_in(text), roles=roles_in(text), own_roles=own, fault=fault
    )


def lines_of(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Yield the lines of a plain dump, and whether each is a row of COPY data rather than a statement."""
    copying = False
    for line in file:
        if copying and line in COPY_ENDS:
            copying = False
            yield line, False
            continue
        yield line, copying
        copying = copying or COPY_BEGINS.fullmatch(line) is not None


def extensions_in(sql_text: str) -> tuple[str, ...]:
    """Return the extensions that a schema creates."""
    return tuple(sorted({unquoted(name) for name in EXTENSION.findall(sql_text)}))


def roles_in(sql_text: str) -> tuple[str, ...]:
    """Return the roles that own or are granted something in a schema."""
    names = {unquoted(name) for pattern in ROLES for name in pattern.findall(sql_text)}
    return tuple(sorted(name for name in names if name.lower() not in NOBODY and not name.startswith("pg_")))


def unquoted(name: str) -> str:
    """Return a name as the catalogue holds it."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
