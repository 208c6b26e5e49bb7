"""The two ends of a journal, read without what lies between: how a run began, and with what it stops."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

# The keys of a line stand in a fixed order, so its kind is read without reading a result of megabytes.
_HEAD = re.compile(rb'\{"seq":\d+,"at":"([^"\\]+)","kind":"([a-z]+)"')
# What is added to a record from outside, whatever state the run is in.
_REMARKS = ("note", "reviewed")
_SETTLED = ("ended", "finished", "failed", "aborted")
_BLOCK = 16_384


@dataclass(frozen=True)
class Ends:
    """`opened` is the data of the first line; `at` and `kind` are those of the last one that is no remark.

    `made_at` is when the run was begun by the machine's clock, where the record says so: its own may be a
    world's.
    """

    opened: dict[str, Any]
    opened_at: datetime
    kind: str
    at: datetime
    made_at: datetime | None = None

    @property
    def settled(self) -> bool:
        """Whether a summary was written after this line; else the run is under way, or just stopped."""
        return self.kind in _SETTLED


def read_ends(journal: Path) -> Ends | None:
    """Return the ends of a journal; None when there is none, or when its first line is not that of a run."""
    try:
        with journal.open("rb") as file:
            first = json.loads(file.readline())
            opened, opened_at = dict(first["data"]), datetime.fromisoformat(first["at"])
            at, kind = next(_heads(file), (first["at"].encode(), first["kind"].encode()))
        return Ends(opened, opened_at, kind.decode(), datetime.fromisoformat(at.decode()), _made_at(opened))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made_at(opened: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(opened["made_at"])
    except (ValueError, KeyError, TypeError):
        return None  # a record from before it was kept


def _heads(file: Any) -> Iterator[tuple[bytes, bytes]]:
    """Yield time and kind of the whole lines that are no remarks, the last one first."""
    for line in _lines_backwards(file):
        found = _HEAD.match(line)
        if found and found[2].decode() not in _REMARKS:
            yield found[1], found[2]


def _lines_backwards(file: Any) -> Iterator[bytes]:
    """Yield the lines of a file, the last whole one first; of a long line only its first block is kept."""
    begin = file.seek(0, os.SEEK_END)
    rest, torn = b"", True
    while begin > 0:
        size = min(_BLOCK, begin)
        begin -= size
        file.seek(begin)
        head, *lines = (file.read(size) + rest).split(b"\n")
        for line in reversed(lines):
            if not torn:
                yield line
            torn = False
        # What stands before the first newline goes on in the block before.
        rest = head[:_BLOCK]
    if not torn:
        yield rest
