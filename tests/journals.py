"""What tests of the journal do to it: small journals, failing calls, and looks at what is left."""

import os

from runbook.journal import FileJournal, read_journal


def titles(path):
    return [record.title for record in read_journal(path)]


def asides(path):
    return {place.name: place.read_bytes() for place in path.parent.glob("*.torn-*")}


def three_lines(path, clock):
    """Write a journal of three lines and return their bytes."""
    journal = FileJournal.open(path, clock=clock)
    for word in ("first", "second", "thïrd"):
        journal.append("note", word, data={"of": [1, "x"]})
    journal.close()
    return path.read_bytes().splitlines(keepends=True)


def failing(monkeypatch, call, ending, *, after=0):
    """Let `os.<call>` raise `ending` once, after it has succeeded `after` times."""
    real, calls = getattr(os, call), []

    def stand_in(*arguments):
        calls.append(arguments)
        if len(calls) == after + 1:
            raise ending
        return real(*arguments)

    monkeypatch.setattr(os, call, stand_in)


def trouble(number):
    return OSError(number, os.strerror(number))


def partly(monkeypatch, share, ending):
    """Let the next `os.write` write only a share of what it is given, and the one after that fail."""
    real, calls = os.write, []

    def stand_in(handle, content):
        calls.append(handle)
        if share and len(calls) == 1:
            return real(handle, content[: int(len(content) * share)])
        raise ending

    monkeypatch.setattr(os, "write", stand_in)
