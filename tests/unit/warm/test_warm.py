"""Kernels are forked warm, each a process of its own, and what goes wrong with that is no harm."""

import json
import os
import signal
import tempfile
from pathlib import Path

import nbformat
import pytest

from runbook import warm
from runbook.engine import Order, execute
from runbook.warm import asking
from tests.notebooks import write_notebook

FOR_EVER = "while True: os.sched_yield()"
LONG = {"LONG": "x" * 100_000, "LONGER": "y" * 120_000}
LOOK = """\
import json, os, random, sys, threading
import numpy, uuid
print(json.dumps({
    "pid": os.getpid(), "parent": os.getppid(), "session": os.getsid(0), "cwd": os.getcwd(),
    "loaded": "pandas" in sys.modules and "matplotlib.pyplot" in sys.modules,
    "dice": [random.random(), float(numpy.random.random()), uuid.uuid4().hex],
    "mine": os.environ.get("MINE"), "left": globals().get("left"), "input": sys.stdin.isatty(),
}))
left = "from the run before"
"""


@pytest.fixture
def kernel(tmp_path):
    """Return a function that executes one cell and returns the ending and what the cell printed."""

    def run(cell=LOOK, *, env=None, **options):
        source, output = write_notebook(tmp_path / "in.ipynb", cell), tmp_path / "out.ipynb"
        with tempfile.TemporaryFile() as log:
            order = Order(
                source=source,
                output=output,
                parameters={},
                cwd=tmp_path,
                environment={**os.environ, **(env or {})},
                log=log,
                **options,
            )
            ending = execute(order)
            log.seek(0)
            said = log.read().decode()
        outputs = nbformat.read(output, as_version=4).cells[-1].outputs
        text = "".join(out.text for out in outputs if out.output_type == "stream")
        return ending, (json.loads(text) if text.startswith("{") else text), said

    yield run
    warm.cool_down()


@pytest.mark.parametrize("what", ["kernel", "notebook"])
def test_a_kernel_has_what_it_needs_loaded_and_is_its_own_process(kernel, what):
    """It was forked; its session, folder, environment, dice and variables are its own.

    One of many has all that notebooks import; a single one imports it when it is asked for.
    """
    warm.warm_up(what)
    first, one, said = kernel(env={"MINE": "1"})
    second, two, _ = kernel()
    assert (first.how, second.how, said) == ("completed", "completed", "")
    forking = asking.kernels_forking()._process.pid
    assert one["parent"] == two["parent"] == forking
    assert one["pid"] != two["pid"]
    assert one["session"] == one["pid"]
    assert (one["loaded"], two["loaded"]) == (what == "notebook",) * 2
    assert all(a != b for a, b in zip(one["dice"], two["dice"], strict=True))
    assert (one["mine"], two["mine"]) == ("1", None)
    assert (one["left"], two["left"]) == (None, None)


CHART = """
import json, os, matplotlib, matplotlib.pyplot as plt
print(json.dumps({"backend": matplotlib.get_backend(), "variable": os.environ["MPLBACKEND"]}))"""


def test_a_cold_kernel_shows_the_same(kernel):
    """What a notebook sees does not depend on how its kernel came to be."""
    seen = []
    for options, what in (({}, "kernel"), ({}, "notebook"), ({"cold": True}, "kernel")):
        warm.warm_up(what)
        (_, look, _), (_, chart, _) = kernel(**options), kernel(CHART, **options)
        seen.append([look[name] for name in ("cwd", "mine", "left", "input")] + [chart])
        warm.cool_down()
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("cold", [False, True])
def test_a_kernel_that_is_done_is_asked_to_end_and_not_interrupted(kernel, monkeypatch, cold):
    """Jupyter interrupts before it asks: it found no cell to stop, and at times left an error in the log."""
    sent = []
    monkeypatch.setattr(os, "killpg", lambda _group, number: sent.append(number))
    ending, _, said = kernel("print('done')", cold=cold)
    assert (ending.how, said, sent) == ("completed", "", [])


def test_a_kernel_that_still_speaks_when_it_is_to_end_is_not_waited_for(kernel, monkeypatch):
    """ipykernel ends the thread that outputs go through while another waits for it; ours waits before."""
    sent = []
    monkeypatch.setattr(os, "killpg", lambda _group, number: sent.append(number))
    ending, _, said = kernel(
        "import sys, threading, time\nflush = sys.stdout.flush\n"
        "def slowly():\n"
        "    if threading.current_thread().name == 'Control':\n        time.sleep(0.2)\n"
        "    flush()\n"
        "sys.stdout.flush = slowly\nprint('done')"
    )
    assert (ending.how, said, sent) == ("completed", "", [])


def test_it_holds_no_descriptor_of_others(kernel):
    """Neither the order socket nor another kernel's: it could forge, or keep alive, what is not its own."""
    _, held, _ = kernel("import os\nprint(sorted(os.readlink(f'/proc/self/fd/{n}') for n in range(3)))")
    assert "/dev/null" in held
    _, sockets, _ = kernel(
        "import os\nseq = [l.split() for l in open('/proc/net/unix')][1:]\n"
        "mine = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
        " if os.path.exists(f'/proc/self/fd/{n}')]\n"
        "packets = {f'socket:[{row[6]}]' for row in seq if row[4] == '0005'}\n"
        "print([name for name in mine if name in packets])"
    )
    assert sockets == "[]\n"


def test_a_killed_kernel_is_noticed(kernel):
    """As that of a process of our own would be."""
    ending, _, _ = kernel("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert ending.how == "kernel died"


def test_the_end_of_the_forking_process_ends_its_kernels_and_the_next_is_forked_by_another(kernel):
    """No kernel outlives who could tell how it ended."""
    kernel()
    before = asking.the_forking()._process.pid
    ending, _, _ = kernel(f"import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n{FOR_EVER}")
    assert ending.how == "kernel died"
    again, seen, _ = kernel()
    assert again.how == "completed"
    assert seen["parent"] not in (before, os.getpid())


def test_other_paths_than_those_it_has_looked_at_make_a_kernel_start_cold(kernel):
    """A fork has its modules already; with another PYTHONPATH it might have the wrong ones."""
    _, seen, _ = kernel("import os\nprint(os.getppid())", env={"PYTHONPATH": "/elsewhere"})
    assert int(seen) == os.getpid()


def test_an_order_that_is_too_long_makes_a_kernel_start_cold(kernel):
    """An environment of megabytes does not fit into a message; the run goes on all the same."""
    ending, seen, _ = kernel("import os\nprint(os.getppid())", env=LONG)
    assert (ending.how, int(seen)) == ("completed", os.getpid())


def test_nothing_is_left_of_it(kernel):
    """Its process is gone when it is cooled down, and so would its kernels be."""
    kernel()
    pid = asking.the_forking()._process.pid
    warm.cool_down()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_an_atexit_handler_of_a_notebook_runs(kernel, tmp_path):
    """A fork ends as a process does: scratch folders are closed by such handlers."""
    kernel(f"import atexit, pathlib\natexit.register(pathlib.Path({str(tmp_path / 'ended')!r}).touch)")
    assert (tmp_path / "ended").exists()


def test_an_interrupt_reaches_the_cell(kernel):
    """SIGINT is what a person's Ctrl-C and a time-out send."""
    ending, _, _ = kernel(f"import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n{FOR_EVER}")
    assert ending.message.startswith("KeyboardInterrupt")


def test_the_signing_key_is_not_in_its_reach(monkeypatch):
    """What is meant for the driver alone is not handed to what it starts."""
    monkeypatch.setenv("RUNBOOK_SIGNING_KEY", "secret")
    forking = asking.Forking()
    try:
        environ = Path(f"/proc/{forking._process.pid}/environ").read_bytes()
        assert b"RUNBOOK_SIGNING_KEY" not in environ
    finally:
        forking.close()
    assert -forking._process.returncode == signal.SIGKILL
