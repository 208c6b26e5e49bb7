"""What the tests of the journal share: a clock, a place for a journal, and processes that write one."""

import subprocess
import sys
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from runbook.clock import VirtualClock

PRELUDE = """\
import os, resource, signal, sys
from pathlib import Path
from runbook.clock import WallClock
from runbook.errors import JournalError, RunBusy
from runbook.journal import FileJournal, is_held, read_journal
def say(text):
    print(text, flush=True)
path = Path(sys.argv[1])
"""


@pytest.fixture
def clock():
    return VirtualClock(datetime(2026, 1, 1, 2, tzinfo=UTC))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run-1" / "journal.jsonl"


@pytest.fixture(autouse=True)
def folder(path):
    path.parent.mkdir()
    return path.parent


@pytest.fixture
def start():
    """Start a process that runs some Python with `path` in hand; killed when the test ends, if need be."""
    with ExitStack() as stack:

        def begin(code, path):
            process = subprocess.Popen(
                [sys.executable, "-c", PRELUDE + code, str(path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin
