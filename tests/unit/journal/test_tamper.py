"""A journal that another hand has touched: every changed byte and every moved line is found."""

import json

import pytest

from runbook.errors import JournalCorrupt
from runbook.journal import FileJournal, read_journal

MASKS = (0x01, 0x20, 0x80, 0xFF)


@pytest.fixture
def written(path, clock):
    """Return the bytes of a small journal: words that JSON escapes, nulls, nested data."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("opened", "x", data={"run_id": "r", "params": {"zone": "omnihub.example"}})
    journal.append("started", "look", key="k", data={"verb": "read"})
    journal.append("done", "look", key="k", data={"result": ["ä\n„“", 1.5, None, True], "scratch": None})
    journal.close()
    return path.read_bytes()


def is_refused(path, content, clock):
    """Whether neither a reader nor a writer takes `content` for a journal."""
    path.write_bytes(content)
    with pytest.raises(JournalCorrupt, match=r"journal\.jsonl:\d+: "):
        read_journal(path)
    with pytest.raises(JournalCorrupt, match=r"journal\.jsonl:\d+: "):
        FileJournal.open(path, clock=clock)
    return path.read_bytes() == content


def test_every_single_byte_counts(path, written, clock):
    """Whatever byte is changed, in whatever way, also the last newline: refused, and left as it was found."""
    for place in range(len(written)):
        for mask in MASKS:
            changed = bytearray(written)
            changed[place] ^= mask
            assert is_refused(path, bytes(changed), clock)


def test_every_byte_dropped_or_put_in_is_found(path, written, clock):
    """Also a byte more or a byte less; only at the very end that is what a torn line looks like."""
    for place in range(len(written) - 1):
        assert is_refused(path, written[:place] + written[place + 1 :], clock)
        assert is_refused(path, written[:place] + b" " + written[place:], clock)


def test_every_line_dropped_swapped_or_doubled_is_found(path, written, clock):
    """Lines stand where they were written, each once; that the last one is gone, only a seal can tell."""
    lines = written.splitlines(keepends=True)
    dropped = [lines[1:], lines[:1] + lines[2:]]
    swapped = [[lines[1], lines[0], lines[2]], [lines[0], lines[2], lines[1]]]
    doubled = [[*lines[:n], lines[n], *lines[n:]] for n in range(3)]
    for other in (*dropped, *swapped, *doubled):
        assert is_refused(path, b"".join(other), clock)
    path.write_bytes(b"".join(lines[:2]))
    assert len(read_journal(path)) == 2


def test_a_line_spelled_otherwise_is_found(path, written, clock):
    """The same JSON in other bytes is not what was written."""
    first, *rest = written.splitlines(keepends=True)
    loose = json.dumps(json.loads(first)).encode() + b"\n"
    escaped = written.replace("ä".encode(), b"\\u00e4")
    for other in (loose + b"".join(rest), escaped, written.replace(b"\n", b"\r\n"), written + b"\n"):
        assert other != written
        assert is_refused(path, other, clock)


def test_a_line_of_another_journal_is_found(path, written, clock, tmp_path):
    """A line that is whole in itself, and has the right number, does not follow from this journal's lines."""
    other = FileJournal.open(tmp_path / "other.jsonl", clock=clock)
    for number in range(4):
        other.append("note", f"line {number}")
    other.close()
    foreign = (tmp_path / "other.jsonl").read_bytes().splitlines(keepends=True)
    assert is_refused(path, written + foreign[3], clock)


def test_a_journal_changed_while_it_is_open_takes_no_more_lines(path, clock):
    """What another hand adds or cuts off under a writer is told at the next line; nothing is added to it."""
    for change in (lambda content: content + b"hello\n", lambda content: content[:-5], lambda _content: b""):
        path.unlink(missing_ok=True)
        journal = FileJournal.open(path, clock=clock)
        journal.append("note", "first")
        path.write_bytes(change(path.read_bytes()))
        left = path.read_bytes()
        with pytest.raises(JournalCorrupt, match=r"journal\.jsonl:2: another hand has changed it"):
            journal.append("note", "second")
        with pytest.raises(Exception, match="takes no more lines: another hand"):
            journal.append("note", "third")
        assert path.read_bytes() == left
        assert [record.title for record in journal.since(0)] == ["first"]
        journal.close()


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_journal_taken_away_while_it_is_open_takes_no_more_lines(path, clock, how):
    """Nothing is written into a file that nobody could find again."""
    journal = FileJournal.open(path, clock=clock)
    journal.append("note", "first")
    if how == "removed":
        path.unlink()
    else:
        path.with_name("copy").write_bytes(path.read_bytes())
        path.with_name("copy").replace(path)
    with pytest.raises(Exception, match="takes no more lines: it was removed or replaced"):
        journal.append("note", "second")
    journal.close()
