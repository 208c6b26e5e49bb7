"""The chain of lines: what is written can be checked, and only what was written passes."""

import hashlib
import json
import math
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import JournalCorrupt
from runbook.journal import GENESIS, Record, verify_chain


def make(*, seq=1, title="t", prev=GENESIS, data=None):
    at = f"2026-01-01T00:00:0{seq}.000000Z"
    return Record.make(seq=seq, at=at, kind="note", title=title, key="", data=data or {}, prev=prev)


def chain(count=3):
    """Return records that follow from each other, and their lines without newlines."""
    records, lines, prev = [], [], GENESIS
    for seq in range(1, count + 1):
        data = {"n": seq, "text": "ä „quoted“ \u2028", "none": None}
        record, line = make(seq=seq, title=f"t{seq}", prev=prev, data=data)
        records.append(record)
        lines.append(line[:-1])
        prev = record.hash
    return records, lines


def forged(body):
    """Return a line with the right hash for `body`, as another hand would make it."""
    body = body.encode() if isinstance(body, str) else body
    return body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


def test_a_line_comes_back_as_it_was_written():
    """Parsing a line gives the record it was made from, also for text that JSON escapes."""
    for record, line in zip(*chain(), strict=True):
        assert Record.parse(line, where="j:1") == record


def test_the_hash_can_be_computed_without_this_package():
    """Cut `,"hash":"…"` off the line, close the brace, SHA-256 the rest."""
    _, lines = chain()
    body, _, rest = lines[1].rpartition(b',"hash":"')
    assert hashlib.sha256(body + b"}").hexdigest() == rest[:64].decode()


def test_a_chain_verifies_and_each_gap_is_found():
    """A dropped line, swapped lines, a missing head and a line twice each break the chain."""
    good, _ = chain(4)
    verify_chain(good, where="j")
    verify_chain(good[2:], where="j", after=good[1])
    dropped = [good[0], *good[2:]]
    swapped = [good[1], good[0], *good[2:]]
    doubled = [good[0], good[0], *good[1:]]
    for bad in (dropped, swapped, doubled, good[1:]):
        with pytest.raises(JournalCorrupt, match=r"j:\d"):
            verify_chain(bad, where="j")


def test_a_chain_is_bound_by_hashes_not_by_numbers():
    """Lines with the right numbers that do not follow from each other are refused, and so is the reverse."""
    good, _ = chain(2)
    with pytest.raises(JournalCorrupt, match="j:2: line 3 stands where line 2 belongs"):
        verify_chain([good[0], make(seq=3, prev=good[0].hash)[0]], where="j")
    with pytest.raises(JournalCorrupt, match="j:2: it does not follow"):
        verify_chain([good[0], make(seq=2)[0]], where="j")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b'{"seq":1}',
        b"\xff\xfe",
        b'{"seq":1,"at":"","kind":"note","title":"","key":"","data":{}}',
        b',"hash":"' + b"0" * 64 + b'"}',
    ],
)
def test_what_is_no_line_is_refused_by_place(line):
    """A reader is told the file and line of what is wrong, and what to do about it."""
    with pytest.raises(JournalCorrupt, match=r"j:7: .*; do not go on with this run"):
        Record.parse(line, where="j:7")


def respelled(line):
    """Return other bytes for the same JSON: white space, escapes, numbers, order, a twice-named key."""
    return {
        "spaces": json.dumps(json.loads(line), ensure_ascii=False).encode(),
        "a leading space": b" " + line,
        "a trailing space": line + b" ",
        "a carriage return": line + b"\r",
        "escapes": json.dumps(json.loads(line), separators=(",", ":")).encode(),
        "another escape": line.replace(b"quoted", b"\\u0071uoted"),
        "a float for a whole number": line.replace(b'"n":1', b'"n":1.0'),
        "a key twice": line.replace(b'"n":1', b'"n":2,"n":1'),
        "keys in another order": json.dumps(
            dict(reversed(json.loads(line).items())), ensure_ascii=False, separators=(",", ":")
        ).encode(),
        "an upper-case hash": line[:-66] + line[-66:].upper(),
        "a mark of byte order": b"\xef\xbb\xbf" + line,
    }


@pytest.mark.parametrize("spelling", respelled(chain(1)[1][0]))
def test_another_spelling_of_the_same_json_is_refused(spelling):
    """The hash binds the bytes: what means the same but reads otherwise is the sign of another hand."""
    _, (line,) = chain(1)
    other = respelled(line)[spelling]
    assert other != line
    with pytest.raises(JournalCorrupt, match="j:1"):
        Record.parse(other, where="j:1")


BODY = '{"seq":1,"at":"x","kind":"note","title":"t","key":"","data":{},"prev":"' + GENESIS + '"}'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"seq":1', '"seq":"1"', "its seq is no int"),
        ('"seq":1', '"seq":true', "its seq is no int"),
        ('"title":"t"', '"title":null', "its title is no str"),
        ('"data":{}', '"data":[]', "its data is no dict"),
        ('"data":{}', '"data":{"x":NaN}', "JSON has no NaN"),
        ('"key":"",', "", "its keys are not seq, at, kind"),
        ('"key":"",', '"key":"","more":1,', "its keys are not seq, at, kind"),
        ('{"seq":1', "{'seq':1", "it is no JSON"),
        ('"title":"t"', '"title":"\udcff"', "it is no JSON"),
        ('"data":{}', '"data":' + "[" * 100_000, "it is no JSON"),
    ],
)
def test_a_forged_line_with_the_right_hash_is_refused(old, new, said):
    """Whoever computes the hash as well still has to write a line of ours."""
    assert Record.parse(forged(BODY), where="j:1").title == "t"
    bad = forged(BODY.replace(old, new).encode("utf-8", "surrogateescape"))
    with pytest.raises(JournalCorrupt, match=re.escape(said)):
        Record.parse(bad, where="j:1")


def test_a_kind_of_another_version_is_named():
    """The reader is told which kind, which ones are known, and how to read it all the same."""
    with pytest.raises(
        JournalCorrupt, match=r"j:1: a line of the kind 'teleported'.*knows aborted, .*opened"
    ):
        Record.parse(forged(BODY.replace("note", "teleported")), where="j:1")


@pytest.mark.parametrize("name", [b"caf\xe9".decode("utf-8", "surrogateescape"), "\ud83d\ude00"])
def test_a_lone_surrogate_survives(name):
    """A file name that is no UTF-8 can be recorded and read back; so can half a character next to another."""
    _, line = make(title=name)
    assert Record.parse(line[:-1], where="j:1").title.encode("utf-16", "surrogatepass") == name.encode(
        "utf-16", "surrogatepass"
    )


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    plain | st.text() | st.sampled_from(["NaN", "Infinity", "null", '","hash":"', "\u2028\x00\x7f"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), anything))
def test_whatever_json_can_hold_comes_back_equal(data):
    """The fast writer and the ones behind it write what a reader takes for the same data, to the type."""
    record, line = make(data=data)
    assert line.count(b"\n") == 1
    back = Record.parse(line[:-1], where="j:1")
    assert back == record
    assert repr(back.data) == repr(data)


@pytest.mark.parametrize("beside", [None, 1])
@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, {1}, datetime(2026, 1, 1, tzinfo=UTC), b"x", object()]
)
def test_what_json_cannot_hold_is_refused_before_it_is_written(value, beside):
    """NaN does not become null, and nothing becomes text by itself."""
    with pytest.raises((TypeError, ValueError)):
        make(data={"deep": [{"value": value, "beside": beside}]})


def test_numbers_and_depths_that_the_fast_writer_refuses_are_written():
    """A number over 64 bits and data 300 levels deep are on record as they are."""
    deep = []
    for _ in range(300):
        deep = [deep]
    data = {"n": 2**80, "deep": deep, "none": None}
    assert Record.parse(make(data=data)[1][:-1], where="j:1").data == data
