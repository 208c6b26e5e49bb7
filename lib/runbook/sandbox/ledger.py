"""The workload's own record, outside the database: what each transaction changed, which were acknowledged.

JSON lines. One is written before each commit ("offered": serial, xid, and by table the rows added and how far
the sum of the hashes moved) and another after the server acknowledged it (time of the commit, WAL position).
So what the database holds after serial N is known for every N, also for a commit that became durable in the
instant the server was lost and nobody was told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from runbook.clock import utc_text
from runbook.errors import StepFailed
from runbook.postgres.fingerprint import EMPTY, Truth
from runbook.values import Value

TAIL_BYTES = 64 * 1024  # a transaction's lines are some 400 bytes, its two next to each other


class Delta(Value):
    """What a transaction did to a table: rows it added, and how far it moved the sum of the rows' hashes."""

    row_count: int
    checksum: int


class Entry(Value):
    """One transaction of the workload; `committed_at` and `lsn` are None when it was never acknowledged.

    `lsn` is a position in the WAL just after its commit.
    """

    serial: int
    xid: int
    tables: dict[str, Delta]
    committed_at: datetime | None = None
    lsn: str | None = None


def offer(file: IO[bytes], *, serial: int, xid: int, tables: Mapping[str, Delta]) -> None:
    """Note what is about to be committed."""
    changed = {name: [delta.row_count, str(delta.checksum)] for name, delta in tables.items()}
    _append(file, {"serial": serial, "xid": xid, "tables": changed})


def acknowledge(file: IO[bytes], *, serial: int, committed_at: datetime, lsn: str) -> None:
    """Note that the server has acknowledged a commit."""
    _append(file, {"serial": serial, "committed_at": utc_text(committed_at), "lsn": lsn})


def read_ledger(path: Path) -> dict[int, Entry]:
    """Return every transaction by serial: of one tried again the last try; a torn last line is left out."""
    entries: dict[int, Entry] = {}
    for line in _lines(path):
        serial = line["serial"]
        entries[serial] = _offered(line) if "tables" in line else _acknowledged(entries[serial], line)
    return entries


def newest_acknowledged(path: Path) -> Entry | None:
    """Return the last transaction whose commit was acknowledged, or None; reads only the end of the file."""
    offered: dict[int, dict[str, Any]] = {}
    newest: Entry | None = None
    for line in _lines(path, last_bytes=TAIL_BYTES):
        if "tables" in line:
            offered[line["serial"]] = line
        elif line["serial"] in offered:
            newest = _acknowledged(_offered(offered[line["serial"]]), line)
    return newest


def truth_at(seeded: Truth, path: Path, *, serial: int) -> Truth:
    """Return what the database held right after `serial`: what was seeded plus every change up to it.

    Raises StepFailed when the ledger does not know every serial up to there.
    """
    entries, tables = read_ledger(path), dict(seeded.tables)
    for number in range(1 + (seeded.serial or 0), serial + 1):
        if number not in entries:
            raise StepFailed(
                f"the workload's ledger {path} has no serial {number}; needed are all up to {serial}"
            )
        for name, delta in entries[number].tables.items():
            tables[name] = tables.get(name, EMPTY).moved(rows=delta.row_count, checksum=delta.checksum)
    return seeded.model_copy(update={"tables": tables, "serial": serial})


def _append(file: IO[bytes], line: dict[str, Any]) -> None:
    file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")


def _offered(line: dict[str, Any]) -> Entry:
    changed = {
        name: Delta(row_count=rows, checksum=int(moved)) for name, (rows, moved) in line["tables"].items()
    }
    return Entry(serial=line["serial"], xid=line["xid"], tables=changed)


def _acknowledged(entry: Entry, line: dict[str, Any]) -> Entry:
    told = {"committed_at": datetime.fromisoformat(line["committed_at"]), "lsn": line["lsn"]}
    return entry.model_copy(update=told)


def _lines(path: Path, *, last_bytes: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a ledger, or those within its last bytes."""
    if not path.exists():
        return
    with path.open("rb") as file:
        if last_bytes is not None and (past := path.stat().st_size - last_bytes) > 0:
            file.seek(past)
            file.readline()
        yield from (json.loads(line) for line in file if line.endswith(b"\n"))
