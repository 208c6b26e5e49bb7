"""What the machine may do to a run: full and read-only disks, clocks set back, two at once, signals."""

import os
import resource
import signal
import subprocess
import sys
import time
from datetime import timedelta

import nbformat
import pytest

from runbook.clock import FileClock
from runbook.errors import JournalError
from runbook.journal import FileJournal, read_journal
from tests import verbs
from tests.chaos.harness import become_a_child, execute, in_a_process, summary_of
from tests.chaos.quick import quick_folder
from tests.chaos.test_every_write import Field
from tests.notebooks import statuses
from tests.project import ROOT

pytestmark = pytest.mark.chaos
NOBODY = 65534
SPARE = 100  # a record is not as long each time: seconds have more digits, or fewer
PATIENCE_S = 60


@pytest.fixture
def field(monkeypatch):
    with quick_folder() as folder:
        field = Field(folder / "project", monkeypatch, "held")
        field.fresh()
        yield field


@pytest.fixture
def expected(field):
    assert field.go() == 0
    found, size = field.proof(), (field.folder / "journal.jsonl").stat().st_size
    field.fresh()
    return found, size


def test_a_full_disk_at_any_point_loses_nothing(field, expected, capsys):
    """The system refuses the bytes of some line: a clear error; with room again the run goes on."""
    proof, size = expected
    said = 0

    def with_room_for(limit):
        def work():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            return field_go(field)

        return work

    for limit in range(1, size - SPARE, max(1, size // 60)):
        field.fresh()
        ended = in_a_process(with_room_for(limit))
        assert ended in (1, 4), limit  # the journal cannot be written: failed, or left in between
        read_journal(field.folder / "journal.jsonl") if (field.folder / "journal.jsonl").exists() else None
        said += 1
        assert field.go() == 0, limit
        assert field.proof() == proof, limit
    with capsys.disabled():
        print(f"\n  {said} full disks, each resumed with room again")


def test_a_read_only_run_folder_is_told_and_nothing_is_touched(field):
    """As somebody who may not write there: a clear error before any effect."""
    assert field.go() == 0
    before = {path: path.read_bytes() for path in field.folder.rglob("*") if path.is_file()}
    effects = len(verbs.calls())

    def as_nobody():
        if os.geteuid() == 0:  # nothing is read-only to root
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with pytest.raises(JournalError, match="cannot be"):
            FileJournal.open(field.folder / "journal.jsonl", clock=FileClock(field.clock_file))
        return 0

    field.folder.chmod(0o755)  # another user may come near, and not write
    (field.folder / "journal.jsonl").chmod(0o444)
    assert in_a_process(as_nobody) == 0
    assert {path: path.read_bytes() for path in field.folder.rglob("*") if path.is_file()} == before
    assert len(verbs.calls()) == effects


def test_a_clock_that_is_set_back_makes_no_record_run_backwards(field):
    """Lines keep their order in time; waits are by the clock, so they only last longer."""
    steps = iter([0, -7200, 3600, -86400, 0])

    class Jumping(FileClock):
        def now(self):
            return super().now() + timedelta(seconds=next(steps, 0))

    journal = FileJournal.open(field.clock_file.with_name("journal.jsonl"), clock=Jumping(field.clock_file))
    for number in range(5):
        journal.append("note", str(number))
    journal.close()
    times = [line.at for line in read_journal(field.clock_file.with_name("journal.jsonl"))]
    assert times == sorted(times)


def test_two_resumes_at_once_do_the_work_once(field, expected):
    """Of many processes that take a run up at the same instant one executes it, the others are told."""
    proof, _ = expected
    read, write = os.pipe()
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            become_a_child()
            os.close(write)
            os.read(read, 1)  # all wait for the same instant
            os._exit(field_go(field))
        children.append(child)
    os.close(read)
    os.close(write)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes[0] == 0
    assert set(codes) <= {0, 1}  # done, shown as done, or told that it is being executed
    assert field.proof() == proof


def field_go(field, *, unblock=None):
    """Execute in this process, which is a forked one: nothing may return into pytest."""
    try:
        if unblock:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {unblock})
        parameters = {"run_id": "r1", "verdict": field.verdict}
        notebook = field.project / "notebooks/drills/verbs.ipynb"
        return execute(notebook, parameters, clock=FileClock(field.clock_file))
    except BaseException:  # noqa: BLE001
        return 70


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_at_any_time_leaves_a_consistent_journal(field, expected, number, capsys):
    """Interrupted by real signals, at moments the machine chooses, it still ends as if undisturbed."""
    proof, _ = expected
    interrupted = 0
    for delay in range(40):
        signal.pthread_sigmask(signal.SIG_BLOCK, {number})  # until the child is ready to be interrupted
        child = os.fork()
        if child == 0:
            become_a_child()
            signal.signal(number, signal.default_int_handler)
            os._exit(field_go(field, unblock=number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        spin(delay / 150)
        os.kill(child, number)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        interrupted += code != 0
        if code == 0:
            break
    assert field.go() == 0
    found = field.proof()
    assert found["summary"] == proof["summary"]
    assert found["once"] == proof["once"]
    with capsys.disabled():
        print(f"\n  {interrupted} interrupts")


def spin(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        os.sched_yield()


def test_a_journal_unwritable_from_any_line_of_a_rollback_on_does_not_stop_it(tmp_path, monkeypatch, capsys):
    """Whichever line fails first, everything is undone; what could not be written is said on stderr."""
    field = Field(tmp_path / "project", monkeypatch, "rolled back")
    field.fresh()
    assert field.go() == 3
    lines = read_journal(field.folder / "journal.jsonl")
    first = next(number for number, line in enumerate(lines, start=1) if line.title == "rollback")
    for failing in range(first, len(lines) + 1):
        field.fresh()
        assert in_a_process(lambda: _full_from(field, failing)) == 0, failing  # noqa: B023
        assert verbs.state() == {"ttl": "3600", "traffic": "0"}, failing
        assert field.go() == 3, failing
        assert summary_of(field.folder)["status"] == "no-go", failing
    with capsys.disabled():
        print(
            f"\n  {len(lines) + 1 - first} points of a rollback from which the journal could not be written"
        )


def _full_from(field, failing):
    """Execute with a journal that takes no line from the given one on; the rollback must end all the same."""
    real = FileJournal.append

    def append(self, *args, **options):
        if len(self.records) + 1 >= failing:
            raise JournalError("no space left on device")
        return real(self, *args, **options)

    FileJournal.append = append
    said = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    code = field_go(field)
    os.dup2(said, 2)
    return 0 if code in (1, 3) else code


ARM = """\
import os
from tests.chaos.quick import quick_folder
from tests.chaos.harness import Death, arm
if os.environ.get("CHAOS"):
    arm(Death({number}, "{moment}"))
"""


def put_first(notebook, source):
    """Put a cell behind the parameters."""
    book = nbformat.read(notebook, as_version=4)
    book.cells.insert(2, nbformat.v4.new_code_cell(source))
    nbformat.write(book, notebook)


def command_line(field, *words, **more):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-m", "runbook.cli", *words],
        env={**os.environ, "PYTHONPATH": path, **more},
        cwd=field.project,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("dies_at", [(12, "after"), (17, "middle"), (21, "before"), (27, "after")])
def test_through_a_real_kernel_too(field, expected, dies_at):
    """Killed inside the kernel, resumed by the command line: the same end, and the notebook is whole."""
    proof, _ = expected
    number, moment = dies_at
    put_first(field.project / "notebooks/drills/verbs.ipynb", ARM.format(number=number, moment=moment))
    first = command_line(field, "run", "verbs", "--env", "sandbox", "--run-id", "r1", CHAOS="1")
    assert first.returncode in (1, 4), first.stdout + first.stderr
    assert "kernel died" in first.stdout + first.stderr or first.returncode == 4
    second = command_line(field, "resume", "r1")
    assert second.returncode == 0, second.stdout + second.stderr
    assert field.proof() == proof
    assert set(statuses(field.folder / "notebook.ipynb")) == {"completed"}
