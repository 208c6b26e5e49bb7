"""A line of the journal and the chain that binds the lines together.

A line is one JSON object with its keys in this order: seq, at, kind, title, key, data, prev, hash.
`hash` is the SHA-256 of the line's own bytes up to (not including) `,"hash":`, closed with `}`;
`prev` is the hash of the line before, 64 zeros for the first. So a chain can be checked with
`sed`, `sha256sum` and nothing of ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from runbook.errors import JournalCorrupt

GENESIS = "0" * 64

Kind = Literal[
    "opened",  # the run began: who, where, with what
    "resumed",  # another process took the run up
    "started",  # a step began
    "done",  # a step ended well; data holds its result
    "failed",  # a step ended badly; it may be tried again
    "skipped",  # a step was left out, by the mode or because what it needs was
    "change",  # one change is about to be, or was, applied or undone
    "asked",  # an approval was asked for; data is what is to be signed
    "looked",  # inside a watch: what one look showed
    "note",  # something worth knowing that is no step
    "aborted",  # a person ended the run for good, or a newer drill took its place
    "reviewed",  # a break-glass approval was looked at afterwards, and signed
    "finished",  # the runbook came to its end
    "ended",  # how the process that drove the notebook saw it end
]

_FIELDS = ("seq", "at", "kind", "title", "key", "data", "prev", "hash")


@dataclass(frozen=True)
class Record:
    """One line: `at` is RFC 3339 UTC, `key` identifies a step's work, `data` is JSON."""

    seq: int
    at: str
    kind: Kind
    title: str
    key: str
    data: dict[str, Any]
    prev: str
    hash: str

    @classmethod
    def make(
        cls, *, seq: int, at: str, kind: Kind, title: str, key: str, data: dict[str, Any], prev: str
    ) -> Record:
        """Return the record with its hash; `data` that JSON cannot hold raises ValueError or TypeError."""
        body = _body(seq, at, kind, title, key, data, prev)
        return cls(seq, at, kind, title, key, data, prev, _sha256(body))

    def line(self) -> bytes:
        """Return the bytes of this line, newline included."""
        body = _body(self.seq, self.at, self.kind, self.title, self.key, self.data, self.prev)
        return body[:-1] + b',"hash":"' + self.hash.encode() + b'"}\n'

    @classmethod
    def parse(cls, line: bytes, *, where: str) -> Record:
        """Read a line back; whatever is not exactly such a line raises JournalCorrupt naming `where`."""
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise JournalCorrupt(f"{where}: not a line of JSON ({error})") from error
        if not isinstance(fields, dict) or tuple(fields) != _FIELDS:
            raise JournalCorrupt(f"{where}: expected the keys {', '.join(_FIELDS)} in this order")
        record = cls(**fields)
        if record.line().rstrip(b"\n") != line.rstrip(b"\n"):
            raise JournalCorrupt(f"{where}: the line is not in the form it was written in")
        return record


def _body(seq: int, at: str, kind: str, title: str, key: str, data: dict[str, Any], prev: str) -> bytes:
    fields = {"seq": seq, "at": at, "kind": kind, "title": title, "key": key, "data": data, "prev": prev}
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate (a file name that is no UTF-8) becomes the escape that JSON has for it.
    return text.encode("utf-8", errors="backslashreplace")


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def verify_chain(records: Iterable[Record], *, where: str) -> None:
    """Raise JournalCorrupt at the first line that does not follow from the one before."""
    prev = GENESIS
    for expected_seq, record in enumerate(records, start=1):
        place = f"{where}:{expected_seq}"
        if record.seq != expected_seq:
            raise JournalCorrupt(f"{place}: line {record.seq} stands where line {expected_seq} belongs")
        if record.prev != prev:
            raise JournalCorrupt(f"{place}: does not follow from the line before it")
        body = _body(record.seq, record.at, record.kind, record.title, record.key, record.data, record.prev)
        if _sha256(body) != record.hash:
            raise JournalCorrupt(f"{place}: its content does not match its hash")
        prev = record.hash
