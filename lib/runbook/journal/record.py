"""A line of the journal and the chain that binds the lines together.

A line is one JSON object with its keys in this order: seq, at, kind, title, key, data, prev, hash.
`hash` is the SHA-256 of the line's own bytes up to (not including) `,"hash":`, closed with `}`;
`prev` is the hash of the line before, 64 zeros for the first. So a chain can be checked with
`sed`, `sha256sum` and nothing of ours. The bytes are bound, not what they mean: another spelling of the
same JSON is another line.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, get_args

import orjson
from pydantic_core import to_json

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

_FIELDS = {
    "seq": int,
    "at": str,
    "kind": str,
    "title": str,
    "key": str,
    "data": dict,
    "prev": str,
    "hash": str,
}
_NAMES, _TYPES = tuple(_FIELDS), tuple(_FIELDS.values())
_KINDS = frozenset(get_args(Kind))
_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"}')
_SEAL_BYTES = 75
_WHAT_NOW = "do not go on with this run: keep its folder as evidence, compare it with a copy, open a new run"


@dataclass(frozen=True, slots=True)
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
    ) -> tuple[Record, bytes]:
        """Return a record and the bytes of its line, newline included.

        `data` that JSON cannot hold (NaN, a set, a time) raises ValueError or TypeError.
        """
        fields = {"seq": seq, "at": at, "kind": kind, "title": title, "key": key, "data": data, "prev": prev}
        body = _json(fields)
        hashed = hashlib.sha256(body).hexdigest()
        line = b"".join((memoryview(body)[:-1], b',"hash":"', hashed.encode(), b'"}\n'))
        return cls(seq, at, kind, title, key, data, prev, hashed), line

    @classmethod
    def parse(cls, line: bytes, *, where: str, known: Record | None = None) -> Record:
        """Read a line back, given without its newline; it is `known` again when it has the same hash.

        Raises JournalCorrupt naming `where` when a byte of it is not as it was written, or when it is of
        a kind that this version does not know.
        """
        seal = _SEAL.fullmatch(line, max(0, len(line) - _SEAL_BYTES))
        if seal is None:
            raise damaged(where, "it does not end in its hash, as a whole line does")
        content = hashlib.sha256(memoryview(line)[:-_SEAL_BYTES])
        content.update(b"}")
        hashed = content.hexdigest()
        if hashed.encode() != seal[1]:
            raise damaged(where, "its content does not match its hash")
        return known if known and known.hash == hashed else cls(**_fields(line, where=where))


def damaged(where: str, what: str) -> JournalCorrupt:
    """Return the error that says what is wrong with the line at `where`, and what to do about it."""
    return JournalCorrupt(f"{where}: {what}; {_WHAT_NOW}")


def _fields(line: bytes, *, where: str) -> dict[str, Any]:
    """Return the fields of a line that is as it was written: what is wrong now is the hand that wrote it."""
    try:
        fields = _DECODER.decode(line.decode())
    except (ValueError, RecursionError) as error:
        raise damaged(where, f"it is no JSON ({error})") from error
    if not isinstance(fields, dict) or tuple(fields) != _NAMES:
        raise damaged(where, f"its keys are not {', '.join(_NAMES)}, in this order")
    if tuple(map(type, fields.values())) != _TYPES:
        wrong = [name for name, kind in _FIELDS.items() if type(fields[name]) is not kind]
        raise damaged(where, f"its {wrong[0]} is no {_FIELDS[wrong[0]].__name__}")
    if fields["kind"] not in _KINDS:
        raise JournalCorrupt(
            f"{where}: a line of the kind {fields['kind']!r}, which this version does not know; it knows "
            f"{', '.join(sorted(_KINDS))}. Read it with the version that wrote it: the line 'opened' names it"
        )
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _json(value: dict[str, Any]) -> bytes:
    """Return compact JSON in UTF-8; NaN and infinity raise ValueError, other types TypeError.

    orjson is the fastest by far, but writes NaN as null: where a null stands, pydantic's writer tells.
    What neither can write (a number over 64 bits, a lone surrogate), the standard library can.
    """
    options = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME
    try:
        text = orjson.dumps(value, option=options | orjson.OPT_PASSTHROUGH_SUBCLASS)
        # CPython looks backwards for a few bytes four times as fast as forwards.
        told = to_json(value, inf_nan_mode="constants") if text.rfind(b"null") >= 0 else b""
        if b"NaN" not in told and b"Infinity" not in told:
            return text
    except (TypeError, ValueError):
        pass
    plain = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # A lone surrogate (a file name that is no UTF-8) becomes the escape that JSON has for it.
    return plain.encode("utf-8", errors="backslashreplace")


def verify_chain(records: Iterable[Record], *, where: str, after: Record | None = None) -> None:
    """Raise JournalCorrupt at the first record that does not follow from the one before.

    `after` is the record before the first, None at the beginning of a journal. Whether a record is what
    its hash says was seen when its line was parsed.
    """
    seq, prev = (after.seq, after.hash) if after else (0, GENESIS)
    for record in records:
        seq += 1
        if record.seq != seq:
            raise damaged(f"{where}:{seq}", f"line {record.seq} stands where line {seq} belongs")
        if record.prev != prev:
            raise damaged(f"{where}:{seq}", "it does not follow from the line before it")
        prev = record.hash
