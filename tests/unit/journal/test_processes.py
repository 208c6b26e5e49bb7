"""Threads and processes at one journal: readers beside a writer, writers that are killed."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from runbook.journal import FileJournal, read_journal
from tests.journals import titles


def test_threads_of_one_process_take_turns(path, clock):
    """Lines of several threads form one chain, each there once."""
    journal = FileJournal.open(path, clock=clock)
    words = [f"{thread}.{number}" for thread in range(6) for number in range(20)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda word: journal.append("note", word), words))
    journal.close()
    assert sorted(titles(path)) == sorted(words)


WRITE = """\
journal = FileJournal.open(path, clock=WallClock())
for number in range(int(sys.stdin.readline())):
    size = 10 ** (number % 6)
    say(journal.append('note', 'x' * size, data={'size': size}).seq)
"""


def write(start, path, count):
    process = start(WRITE, path)
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    return process


def test_a_reader_beside_a_writer_sees_whole_lines_only(path, clock, start):
    """Every look at a journal that grows shows all that was acknowledged, and nothing half."""
    writer, looks = write(start, path, 200), [0]
    for acknowledged in writer.stdout:
        records = read_journal(path)
        assert all(len(record.title) == record.data["size"] for record in records)
        assert len(records) >= max(int(acknowledged), looks[-1])
        looks.append(len(records))
    assert (writer.wait(), looks[-1]) == (0, 200)


@pytest.mark.parametrize("lines", [1, 2, 5, 8, 13, 21])
def test_a_killed_writer_has_lost_nothing_that_it_acknowledged(path, clock, start, lines):
    """kill -9 at any moment: what was returned is on record, and the next process goes on."""
    writer = write(start, path, 1_000_000)
    for _ in range(lines):
        acknowledged = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(read_journal(path)) >= acknowledged == lines
    journal = FileJournal.open(path, clock=clock)
    assert journal.append("note", "next").seq > lines
    journal.close()
    assert titles(path)[-1] == "next"
