"""Whatever goes wrong around a run: a kernel or a driver that is killed, a full disk, a seal that fails."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from tests.secrets.harness import (
    RUN,
    environment,
    leaks_of,
    outputs_of,
    papermill,
    project_of,
    runbook,
    wait_for,
)

SPEAK = "places.print_them(); places.write_past_python(); places.log_them()"
STEPS = ("places.keep_evidence(run)", "places.show_progress(run)")


@pytest.mark.chaos
@pytest.mark.parametrize("run", ["papermill", "runbook"])
def test_a_killed_kernel(tmp_path, run):
    """It dies in the middle of a cell that has just spoken; what it said is masked in all that is left."""
    project = project_of(tmp_path, *STEPS, f"{SPEAK}\nimport os; os.kill(os.getpid(), 9)")
    done = runbook(project, *RUN) if run == "runbook" else papermill(project)
    assert done.returncode != 0
    assert leaks_of(project, done) == {}


def test_a_crash_that_speaks_to_the_kernels_log(tmp_path):
    """What a process says past Python is kept as evidence, masked."""
    code = "import sys\nsys.__stderr__.write(places.VALUES['TOY_TOKEN'] + chr(10))\nsys.__stderr__.flush()"
    project = project_of(tmp_path, f"{SPEAK}\n{code}")
    done = runbook(project, *RUN)
    assert leaks_of(project, done) == {}
    assert "[TOY_TOKEN]" in (project / "outputs/r1/evidence/kernel.log").read_text()


@pytest.mark.chaos
def test_a_killed_driver(tmp_path):
    """Nothing that waited to be masked lies on the disk when the driver is gone without a word."""
    project = project_of(
        tmp_path, *STEPS, f"{SPEAK}\nimport sys; sys.stdout.flush()", "run.read('wait', toy.wait_for_ever)"
    )
    driver = subprocess.Popen(
        [sys.executable, "-m", "runbook.cli", *RUN],
        env=environment(project),
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(project / "waiting")
    kernel = int((project / "waiting").read_text())
    driver.kill()
    stdout, stderr = driver.communicate(timeout=60)
    os.kill(kernel, signal.SIGKILL)
    done = subprocess.CompletedProcess([], driver.returncode, stdout, stderr)
    assert leaks_of(project, done) == {}
    assert runbook(project, "seal", "r1").returncode in (0, 1)
    assert leaks_of(project, runbook(project, "status", "r1")) == {}


def test_a_step_that_fails_and_is_resumed(tmp_path):
    """Neither the attempt that failed nor the one after it, nor the notebook shown anew, holds a canary."""
    project = project_of(tmp_path, *STEPS, "places.fail_with_ours(run)")
    first, second = runbook(project, *RUN), runbook(project, "resume", "r1")
    assert first.returncode == second.returncode == 1
    assert leaks_of(project, first) == leaks_of(project, second) == {}
    assert "[TOY_DSN]" in outputs_of(project / "outputs/r1/notebook.ipynb")["places.fail_with_ours(run)"]


@pytest.mark.parametrize("room_bytes", [3_000, 30_000, 100_000])
def test_a_full_disk(tmp_path, room_bytes):
    """No file can grow beyond a size: what was written up to there, and what is said of it, is masked."""
    project = project_of(tmp_path, *STEPS, SPEAK, "places.fail_with_theirs(run)")

    def fill():
        resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, room_bytes))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = runbook(project, *RUN, preexec_fn=fill)
    assert done.returncode == 1
    assert leaks_of(project, done) == {}


@pytest.mark.parametrize("name", ["report.html", "SHA256SUMS", "notebook.ipynb", "charts"])
def test_a_seal_that_fails(tmp_path, name):
    """Something stands where the seal would write: the refusal holds no canary, nor does the rest."""
    project = project_of(tmp_path, *STEPS, "places.show_figures()", SPEAK)
    blocked = project / "outputs/r1" / name
    if name == "charts":
        blocked.parent.mkdir(parents=True)
        blocked.write_text("in the way")
    else:
        blocked.mkdir(parents=True)
    done = runbook(project, *RUN)
    assert done.returncode == 1, done.stdout
    assert leaks_of(project, done) == {}
