"""The chain of lines: what is written can be checked, and only what was written passes."""

import dataclasses
import hashlib
import json

import pytest

from runbook.errors import JournalCorrupt
from runbook.journal import GENESIS, Record, verify_chain


def chain(count=3):
    records, prev = [], GENESIS
    for seq in range(1, count + 1):
        data = {"n": seq, "text": "ä „quoted“ \u2028"}
        record = Record.make(
            seq=seq,
            at=f"2026-01-01T00:00:0{seq}.000000Z",
            kind="note",
            title=f"t{seq}",
            key="",
            data=data,
            prev=prev,
        )
        records.append(record)
        prev = record.hash
    return records


def test_a_line_comes_back_as_it_was_written():
    """parse(line()) is the identity, also for text that JSON escapes."""
    for record in chain():
        assert Record.parse(record.line(), where="j:1") == record


def test_the_hash_can_be_computed_without_this_package():
    """Cut `,"hash":"…"` off the line, close the brace, SHA-256 the rest."""
    line = chain()[1].line().rstrip(b"\n")
    body, _, rest = line.rpartition(b',"hash":"')
    assert hashlib.sha256(body + b"}").hexdigest() == rest[:64].decode()


def test_a_chain_verifies_and_each_tampering_is_found():
    """Changed content, a dropped line, swapped lines and a foreign line each break the chain."""
    good = chain(4)
    verify_chain(good, where="j")
    changed = [good[0], dataclasses.replace(good[1], data={"n": 9}), *good[2:]]
    dropped = [good[0], *good[2:]]
    swapped = [good[1], good[0], *good[2:]]
    headless = good[1:]
    for bad in (changed, dropped, swapped, headless):
        with pytest.raises(JournalCorrupt, match=r"j:\d"):
            verify_chain(bad, where="j")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"seq":1}',
        b"\xff\xfe",
        b'{"seq":1,"at":"","kind":"note","title":"","key":"","data":{}}',
    ],
)
def test_what_is_no_line_is_refused_by_place(line):
    """A reader is told the file and line of what is wrong."""
    with pytest.raises(JournalCorrupt, match="j:7"):
        Record.parse(line, where="j:7")


def test_another_spelling_of_the_same_json_is_refused():
    """White space or key order that we do not write is a sign of another hand."""
    record = chain(1)[0]
    spelled = json.dumps(json.loads(record.line())).encode()
    with pytest.raises(JournalCorrupt, match="form"):
        Record.parse(spelled, where="j:1")


def test_a_lone_surrogate_survives():
    """A file name that is no UTF-8 can be recorded and read back."""
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    record = Record.make(seq=1, at="x", kind="note", title=name, key="", data={}, prev=GENESIS)
    assert Record.parse(record.line(), where="j:1").title == name
