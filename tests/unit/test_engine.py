"""The engine tells the truth about how a notebook ended, where papermill alone does not."""

import os
import resource
import signal
import tempfile
from functools import partial
from pathlib import Path

import nbformat
import pytest

from runbook.engine import Order, execute
from runbook.masking import masked
from runbook.plan import Secrets
from runbook.showing import STEP_TYPE
from tests.notebooks import statuses, write_notebook

BUNDLE = f"{{'text/plain': 'x', {STEP_TYPE!r}: {{'line': 'x'}}}}"
SHOW = f"from IPython.display import display; display({BUNDLE}, raw=True)"
HANG = f"import threading; {SHOW}; threading.Event().wait()"


@pytest.fixture
def executed(tmp_path):
    """Return a function that executes cells and returns the ending and the output's path."""

    def run(*sources, **options):
        source = write_notebook(tmp_path / "in.ipynb", *sources)
        output = tmp_path / "out.ipynb"
        environment = dict(os.environ)
        with tempfile.TemporaryFile() as log:
            order = Order(
                source=source,
                output=output,
                parameters={"x": 5},
                cwd=tmp_path,
                environment=environment,
                log=log,
                **options,
            )
            return execute(order), output

    return run


def test_a_notebook_that_ends_well_is_completed_with_its_parameters(executed):
    """The parameters given reach the cells; every cell is completed."""
    ending, output = executed("x + 1")
    assert ending.how == "completed"
    assert nbformat.read(output, as_version=4).cells[-1].outputs[0].data["text/plain"] == "6"
    assert set(statuses(output)) == {"completed"}


def test_a_refusal_shows_what_it_says_and_no_traceback(executed):
    """What a person reads under the cell is the sentence and its notes, not where it was raised."""
    raises = "from runbook.errors import NoGo\nerror = NoGo('stop here'); error.add_note('seen at 02:00')"
    ending, output = executed(f"{raises}\nraise error")
    assert (ending.how, ending.error) == ("raised", "NoGo")
    shown = [out for cell in nbformat.read(output, as_version=4).cells for out in cell.get("outputs", [])]
    errors = [out.traceback for out in shown if out.output_type == "error"]
    assert errors == [["NoGo: stop here", "seen at 02:00"]]


@pytest.mark.parametrize(
    ("cell", "how", "options"),
    [
        ("1 / 0", "raised", {}),
        ("import sys; sys.exit(0)", "raised", {}),
        ("import os; os.kill(os.getpid(), 9)", "kernel died", {}),
        (HANG, "timed out", {"timeout_s": 1}),
    ],
)
def test_the_cell_that_did_not_end_is_failed_and_those_after_it_pending(executed, cell, how, options):
    """An error, an exit, a killed kernel and a time-out are never recorded as success."""
    ending, output = executed(cell, "'never'", **options)
    assert ending.how == how
    assert statuses(output) == ["completed", "completed", "failed", "pending"]
    assert nbformat.read(output, as_version=4).metadata.papermill.exception is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_the_cell_and_ends_the_kernel(executed, tmp_path, number):
    """Ctrl-C and SIGTERM reach the step under way, which can put that on record; nothing runs after."""
    cell = f"try:\n    {HANG}\nexcept KeyboardInterrupt:\n    open('told', 'w').close(); raise"
    ending, output = executed(cell, "open('after', 'w')", hear=lambda *_: os.kill(os.getpid(), number))
    assert ending.how == "interrupted"
    assert statuses(output) == ["completed", "completed", "failed", "pending"]
    assert (tmp_path / "told").exists()
    assert not (tmp_path / "after").exists()
    assert signal.getsignal(number) is not None


def test_a_full_disk_leaves_the_notebook_before_whole(executed, tmp_path):
    """The error comes to the caller; the output is not cut off."""
    old = write_notebook(tmp_path / "out.ipynb", "'old'").read_text()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def fill(*_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, hard))

    try:
        with pytest.raises(OSError, match="too large"):
            executed(SHOW, hear=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    kept = Path(tmp_path / "out.ipynb").read_text()
    assert kept == old or nbformat.reads(kept, as_version=4)


def test_what_is_masked_is_neither_heard_nor_in_the_notebook(executed):
    """The mask sees what the kernel says before anybody hears it, and the notebook before it is written."""
    secrets = Secrets(["SECRET"], environ={"SECRET": "hunter2hunter2"})
    heard = []
    ending, output = executed(
        SHOW.replace("'x'", "'hunter2hunter2'"),
        "raise ValueError('hunter2hunter2')",
        hear=lambda *message: heard.append(message),
        mask=partial(masked, secrets),
    )
    assert heard
    assert "hunter2" not in repr(heard) + repr(ending) + output.read_text()
    assert output.read_text().count("[SECRET]") > 3
