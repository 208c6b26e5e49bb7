"""The restore drill as people run it: by papermill, cell by cell, killed in the middle; nothing stays."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

from tests.project import ROOT
from tests.runbooks.machine import PATIENCE_S, left_behind, orphaned_memory, wait_until

pytestmark = pytest.mark.chaos  # run alone: they look at the whole machine for what is left

NOTEBOOK = ROOT / "notebooks/drills/db_restore_drill.ipynb"
SMALL = {"size_mb": 10}


@pytest.fixture
def place(monkeypatch):
    """Give a run outputs and a temporary folder of its own, and prove that nothing is left there."""
    folder = Path(tempfile.mkdtemp(prefix="drill-test-"))
    folder.chmod(0o755)  # PostgreSQL's own user must get through when we are root
    for name, where in (("TMPDIR", "tmp"), ("RUNBOOK_OUTPUTS", "outputs")):
        (folder / where).mkdir()
        monkeypatch.setenv(name, str(folder / where))
    monkeypatch.setenv("RUNBOOK_ROOT", str(ROOT))
    before = orphaned_memory()
    yield folder
    wait_until(lambda: not left_behind(folder / "tmp") and not list((folder / "tmp").glob("runbook-*")))
    assert left_behind(folder / "tmp") == []
    assert [path.name for path in (folder / "tmp").glob("runbook-*")] == []
    assert orphaned_memory() <= before
    shutil.rmtree(folder)


def summary(place, run_id):
    return json.loads((place / "outputs" / run_id / "summary.json").read_text())


def start(run_id, *params):
    options = [part for param in ("size_mb=10", *params) for part in ("-p", param)]
    command = [sys.executable, "-m", "runbook.cli", "run", "db_restore_drill", "--env", "sandbox"]
    return subprocess.Popen(
        [*command, "--run-id", run_id, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def journal(place, run_id):
    path = place / "outputs" / run_id / "journal.jsonl"
    return path.read_text() if path.exists() else ""


def test_plain_papermill_runs_the_drill(place):
    """papermill with the parameters file, as the README has it, nothing else of ours."""
    out = place / "out.ipynb"
    papermill.execute_notebook(
        str(NOTEBOOK), str(out), {**SMALL, "run_id": "plain"}, cwd=str(place), progress_bar=False
    )
    found = summary(place, "plain")
    assert found["status"] == "done"
    assert found["numbers"]["rpo_s"]["value"] == 0
    assert json.loads((place / "outputs/plain/evidence/scratch.json").read_text())["left"] == []


def test_stepping_through_cell_by_cell_shows_every_result(place):
    """As in JupyterLab: each cell on its own, some of them twice; every code cell shows something."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    parameters = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    parameters.source = parameters.source.replace("size_mb: int = 50", "size_mb: int = 10")
    client = NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
    )
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            client.execute_cell(cell, index)
            client.execute_cell(cell, index)
            assert cell.outputs or "parameters" in cell.metadata.get("tags", [])
    (run,) = (place / "outputs").iterdir()
    assert summary(place, run.name)["status"] == "done"
    assert {step["attempts"] for step in summary(place, run.name)["steps"]} == {1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_in_the_middle_leaves_nothing_behind_but_the_record(place, number):
    """Server, workload, receiver and folder are gone; the run says that it was interrupted."""
    process = start("stopped")
    wait_until(lambda: '"applying"' in journal(place, "stopped"))
    process.send_signal(number)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, said
    assert "interrupted" in said
    assert summary(place, "stopped")["status"] == "failed"


def kernel_of(process):
    """Return the kernel's process id: the child of the process that the driver's kernels are forked from."""
    for child in children_of(process.pid):
        if b"runbook.warm.forking" in Path(f"/proc/{child}/cmdline").read_bytes():
            (kernel,) = children_of(child)
            return kernel
    raise AssertionError("the driver has no kernel")


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_killed_kernel_leaves_nothing_behind_and_the_run_can_be_resumed(place):
    """kill -9 in the middle: exit 1, all processes gone; resumed, the drill begins anew and passes."""
    process = start("killed")
    wait_until(lambda: "damage: rows deleted" in journal(place, "killed"))
    os.kill(kernel_of(process), signal.SIGKILL)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, said
    assert "kernel died" in said
    assert left_behind(place / "tmp") == []
    assert (place / "outputs/killed/evidence/scratch.json").exists()
    verify = [sys.executable, "-m", "runbook.cli", "verify", "killed"]
    assert subprocess.run(verify, check=False).returncode == 0
    command = [sys.executable, "-m", "runbook.cli", "resume", "killed"]
    resumed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert summary(place, "killed")["numbers"]["rpo_s"]["value"] == 0


def test_a_killed_driver_takes_everything_with_it(place):
    """kill -9 of the command line itself: kernel, server and folder go too."""
    process = start("orphaned")
    wait_until(lambda: '"applying"' in journal(place, "orphaned"))
    kernel = kernel_of(process)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not list((place / "tmp").glob("runbook-*")) and not Path(f"/proc/{kernel}").exists())
    assert not Path(f"/proc/{kernel}").exists()


def test_mode_plan_touches_nothing(place):
    """The drill says what it would do; no server is started, no scratch folder opened."""
    command = [sys.executable, "-m", "runbook.cli", "run", "db_restore_drill", "--env", "sandbox"]
    done = subprocess.run(
        [*command, "--mode", "plan", "--run-id", "dry"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary(place, "dry")["verdict"] == "Planned only: nothing was changed."
    assert not (place / "outputs/dry/evidence/scratch.json").exists()


def test_a_persons_own_libpq_settings_lead_nowhere(place, monkeypatch):
    """PGHOSTADDR and its kind would take our connections to somebody else's server, or spoil them."""
    hostile = {
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": "1",
        "PGSERVICE": "nosuch",
        "PGDATESTYLE": "German",
        "PGTZ": "Asia/Tokyo",
        "PGOPTIONS": "-c default_transaction_read_only=on",
        "PGREQUIREAUTH": "md5",
    }
    for name, value in hostile.items():
        monkeypatch.setenv(name, value)
    process = start("hostile")
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    assert summary(place, "hostile")["status"] == "done"
