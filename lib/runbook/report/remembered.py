"""What the index read of each run the last time, so that one more run does not mean reading all of them.

It lies beside the index in a file of its own, and is taken for a run only while every file that it was read
from has the size, the times and the inode that it had. A run that has not settled is read each time. A memory
that is damaged, or was written by other code than this, is as good as none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from runbook.clock import WallClock
from runbook.report.pages import environment
from runbook.report.record import JOURNAL, SUMMARY
from runbook.report.runs import REPORT, RunLine, read_settled, run_folders

MEMORY: Final = ".index.memory"
# A file may be changed twice within a tick of its clock; what is younger than this is read once more.
_YOUNG_NS: Final = 2_000_000_000
_DIGEST_BYTES: Final = 64
_LIBRARY: Final = Path(__file__).parents[1]
# What a line and its row are made by; with other code they are made anew.
_MADE_BY: Final = ("report", "charts/words.py", "handover.py", "outcome.py", "summary.py", "values.py")


@dataclass(frozen=True)
class Row:
    """One run as the index shows it: what is known of it, and the row of the table as HTML."""

    line: RunLine
    html: str


@dataclass(frozen=True)
class _Known:
    """A row, and what its files looked like when it was read from them."""

    seen: str
    row: Row


_MEMORY: Final = TypeAdapter(dict[str, _Known])


def read_rows(outputs: Path) -> list[Row]:
    """Return a row for every run folder, newest first; never raises for what is in them.

    Call it under the index's lock. What was read is remembered for the next time, where that can be written.
    """
    known, kept = _recall(outputs / MEMORY), {}
    young_ns = int(WallClock().now().timestamp() * 1e9) - _YOUNG_NS
    rows, news = [], False
    for folder in run_folders(outputs):
        name = folder.name
        seen, changed_ns = _look(f"{outputs}/{name}")
        found = known.get(name)
        if found is None or found.seen != seen:
            line, settled = read_settled(folder)
            found, news = _Known(seen, Row(line, row_html(line))), True
            if not settled or changed_ns > young_ns or not _is_text(name):
                rows.append(found.row)
                continue
        kept[name] = found
        rows.append(found.row)
    if news or len(kept) != len(known):
        _remember(outputs / MEMORY, kept)
    return sorted(rows, key=lambda row: (row.line.at, row.line.folder), reverse=True)


def row_html(line: RunLine) -> str:
    """Return the row of a run's line."""
    made: str = environment().get_template("rows.html.j2").module.row(line)  # type: ignore[attr-defined]
    return str(made)


def _look(folder: str) -> tuple[str, int]:
    """Return what tells whether a run's files are those that were read, and when one last changed, in ns."""
    seen, changed_ns = [], 0
    for name in (SUMMARY, JOURNAL):
        try:
            found = os.stat(f"{folder}/{name}")  # noqa: PTH116  # a Path for each costs more than the look
        except OSError:
            seen.append("none")
            continue
        seen.append(f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}")
        changed_ns = max(changed_ns, found.st_mtime_ns, found.st_ctime_ns)
    seen.append("told" if os.path.isfile(f"{folder}/{REPORT}") else "")  # noqa: PTH113
    return " ".join(seen), changed_ns


def _is_text(name: str) -> bool:
    """Whether a name can be written down: a file system takes any bytes."""
    return name.isascii() or name.encode("utf-8", "replace").decode() == name


def _remember(path: Path, kept: dict[str, _Known]) -> None:
    content = _MEMORY.dump_json(kept, exclude_defaults=True)
    head = hashlib.sha256(_version() + content).hexdigest().encode()
    beside = path.with_name(
        f"{path.name}.new"
    )  # one at a time writes; not synced, since a torn one is noticed
    with suppress(OSError):  # a disk too full for it has room for the index perhaps
        beside.write_bytes(head + content)
        beside.replace(path)


def _recall(path: Path) -> dict[str, _Known]:
    try:
        found = path.read_bytes()
        head, content = found[:_DIGEST_BYTES], found[_DIGEST_BYTES:]
        if hashlib.sha256(_version() + content).hexdigest().encode() != head:
            return {}
        return _MEMORY.validate_json(content)
    except (OSError, ValidationError):
        return {}


@cache
def _version() -> bytes:
    """Return the digest of the code and the templates that rows are made by."""
    whole = hashlib.sha256()
    for file in sorted(_sources()):
        whole.update(f"{file.relative_to(_LIBRARY)}\n".encode() + file.read_bytes())
    return whole.digest()


def _sources() -> Iterator[Path]:
    for name in _MADE_BY:
        place = _LIBRARY / name
        inside = place.rglob("*") if place.is_dir() else (place,)
        yield from (path for path in inside if path.suffix in (".py", ".j2"))
