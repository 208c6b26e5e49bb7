"""The command line on a toy runbook: exit codes, files of a run, and the truth about how it ended."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import papermill
import pytest
import scrapbook

from tests.notebooks import statuses
from tests.project import CELLS, OPEN, ROOT, make_project

RUN = ("run", "toy", "--env", "sandbox", "--run-id", "r1")
FILES = {"journal.jsonl", "notebook.ipynb", "report.html", "summary.json", "evidence", "SHA256SUMS"}


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path / "a project, with spaces")


def environment(project, **more):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "RUNBOOK_ROOT": str(project), "PYTHONPATH": path, **more}


def runbook(project, *args, **more):
    """Run the command line as a person would, without a terminal."""
    command = [sys.executable, "-m", "runbook.cli", *args]
    return subprocess.run(
        command, env=environment(project, **more), cwd=project, capture_output=True, text=True, check=False
    )


def wait_for(path):
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        os.sched_yield()


def run_folder(project, run_id="r1"):
    return project / "outputs" / run_id


def test_a_run_leaves_all_its_files_and_verifies_with_the_stock_tool(project):
    """Exit 0; the files of a run are there; sha256sum finds them as sealed; so do we."""
    done = runbook(project, *RUN)
    assert done.returncode == 0, done.stderr
    assert "Wrote 1." in done.stdout
    folder = run_folder(project)
    assert {path.name for path in folder.iterdir()} >= FILES
    checked = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
    assert checked.returncode == 0
    assert runbook(project, "verify", "r1").returncode == 0
    assert "r1" in (project / "outputs/index.html").read_text()


def test_scrapbook_reads_the_numbers(project):
    """The numbers left for other notebooks come back through scrapbook itself."""
    assert runbook(project, *RUN).returncode == 0
    book = scrapbook.read_notebook(str(run_folder(project) / "notebook.ipynb"))
    assert book.scraps.data_dict == {"written": 1.0, "run_id": "r1"}


@pytest.mark.parametrize(
    ("params", "code", "says"),
    [
        (["x=99"], 3, "No-go"),
        (["x=many", "y=1"], 2, "2 problems"),
        (["x=101"], 2, "0 to 100"),
    ],
)
def test_exit_codes_tell_no_go_from_bad_parameters(project, params, code, says):
    """3 with the check named; 2 before anything ran, nothing written."""
    options = [part for param in params for part in ("-p", param)]
    done = runbook(project, *RUN, *options)
    assert done.returncode == code
    assert says in done.stdout + done.stderr
    assert run_folder(project).exists() == (code == 3)
    if code == 3:
        summary = json.loads((run_folder(project) / "summary.json").read_text())
        assert summary["status"] == "no-go"
        assert statuses(run_folder(project) / "notebook.ipynb")[-1] == "pending"


@pytest.mark.parametrize("name", ["nowhere", "toys"])
def test_an_unknown_name_is_a_usage_error(project, name):
    """Exit 2, with what would be right."""
    done = runbook(project, "run", name, "--env", "sandbox")
    assert done.returncode == 2
    assert "no runbook" in done.stderr


def test_usage_errors_are_two_and_help_is_zero(project):
    """A mistyped option is not a failed runbook."""
    assert runbook(project, "run", "toy", "--nonsense").returncode == 2
    assert runbook(project, "--help").returncode == 0


def test_a_failed_run_resumes_where_it_stopped(project):
    """Mended, the run goes on: what was done is not done again, and its record tells both attempts."""
    cells = [*CELLS]
    cells.insert(-1, "from pathlib import Path; run.read('the door', toy.look_at_door)")
    make = make_project(project.parent / "door", cells=cells)
    first = runbook(make, *RUN)
    assert first.returncode == 1
    assert "door is shut" in first.stdout
    (make / "door").touch()
    second = runbook(make, "resume", "r1")
    assert second.returncode == 0, second.stdout + second.stderr
    assert (make / "world.txt").read_text() == "1\n"
    attempts = {step["title"]: step["attempts"] for step in _summary(make)["steps"]}
    assert attempts["the door"] == 2
    assert attempts["write the number: apply"] == 1
    assert runbook(make, "resume", "r1").returncode == 2


def _summary(project, run_id="r1"):
    return json.loads((run_folder(project, run_id) / "summary.json").read_text())


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("import os; os.kill(os.getpid(), 9)", "kernel died"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_notebook_that_falls_over_between_steps_is_failed(project, cell, says):
    """What no verb saw, the driver saw: exit 1, the reason in words, the files sealed all the same."""
    broken = make_project(project.parent / "broken", cells=[OPEN, cell])
    done = runbook(broken, *RUN)
    assert done.returncode == 1
    assert says.lower() in done.stdout.lower()
    assert _summary(broken)["status"] == "failed"
    assert runbook(broken, "verify", "r1").returncode == 0


def test_a_change_killed_in_the_middle_is_left_in_between(project):
    """Exit 4: nobody saw the effect end, a person is needed."""
    cells = [*CELLS[:4], "run.apply(run.plan('fall', toy.plan_fall))"]
    broken = make_project(project.parent / "broken", cells=cells)
    done = runbook(broken, *RUN)
    assert done.returncode == 4
    assert "fall over" in done.stdout


def test_plain_papermill_works_and_seal_writes_the_report(project, monkeypatch):
    """papermill alone runs the notebook; `runbook seal` shows it again from its record and seals it."""
    for name, value in environment(project).items():
        monkeypatch.setenv(name, value)
    source = project / "notebooks/drills/toy.ipynb"
    out = project / "out.ipynb"
    papermill.execute_notebook(
        str(source), str(out), {"x": 3, "run_id": "r1"}, cwd=str(project), progress_bar=False
    )
    assert _summary(project)["status"] == "done"
    before = (run_folder(project) / "journal.jsonl").read_bytes()
    sealed = runbook(project, "seal", "r1")
    assert sealed.returncode == 0, sealed.stderr
    assert {path.name for path in run_folder(project).iterdir()} >= FILES
    assert (run_folder(project) / "journal.jsonl").read_bytes() == before
    shown = nbformat.read(run_folder(project) / "notebook.ipynb", as_version=4)
    assert set(statuses(run_folder(project) / "notebook.ipynb")) == {"completed"}
    assert "Wrote 3." in json.dumps(shown)
    assert (project / "world.txt").read_text() == "3\n"


def test_status_list_show_and_json(project):
    """What a program reads is JSON; what a person reads names the run and what to type."""
    assert "drill" in runbook(project, "status").stdout
    runbook(project, *RUN, "-p", "x=99")
    assert json.loads(runbook(project, "list", "--json").stdout)[0]["name"] == "toy"
    assert json.loads(runbook(project, "show", "toy", "--json").stdout)["parameters"]
    assert json.loads(runbook(project, "status", "--json").stdout)[0]["run_id"] == "r1"
    told = runbook(project, "status", "r1").stdout
    assert "no-go" in told
    assert "runbook resume r1" in told
    assert runbook(project, "status", "r9").returncode == 2


def test_a_drill_passes_when_its_run_ends_as_its_row_says(project):
    """A no-go that was expected is a pass; one that was not is exit 1 and says why."""
    passed = runbook(project, "drill", "--all", "--json", "--jobs", "2")
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert [row["got"] for row in json.loads(passed.stdout)] == ["done", "no-go"]
    rows = project / "params/sandbox/scenarios.yaml"
    rows.write_text(rows.read_text().replace("because: too large", "because: too green"))
    failed = runbook(project, "drill", "--scenario", "refused")
    assert failed.returncode == 1
    assert "too green" in failed.stdout


def test_verify_names_what_was_changed(project):
    """Any changed, added or missing file is named."""
    runbook(project, *RUN)
    folder = run_folder(project)
    (folder / "added.txt").write_text("x")
    (folder / "report.html").write_text((folder / "report.html").read_text() + " ")
    (folder / "evidence/number.txt").unlink()
    done = runbook(project, "verify", "r1")
    assert done.returncode == 1
    for named in ("added.txt: not in", "report.html: its content", "evidence/number.txt: missing"):
        assert named in done.stderr


@pytest.mark.parametrize("number", [2, 15])
def test_a_signal_ends_the_run_with_a_consistent_record(project, number):
    """Ctrl-C and SIGTERM: the step is recorded as interrupted, the run is sealed, the kernel gone."""
    cells = [OPEN, "run.read('wait', toy.wait_for_ever)"]
    broken = make_project(project.parent / "broken", cells=cells)
    command = [sys.executable, "-m", "runbook.cli", *RUN]
    process = subprocess.Popen(
        command, env=environment(broken), cwd=broken, stdout=subprocess.PIPE, text=True
    )
    wait_for(broken / "waiting")
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted" in said
    assert runbook(broken, "verify", "r1").returncode == 0
    kernel = int((broken / "waiting").read_text())
    assert not Path(f"/proc/{kernel}").exists()


def test_two_processes_at_once_execute_a_run_once(project):
    """The second is told that the run is being executed, does nothing and leaves no line in its record."""
    cells = [OPEN, "run.read('wait', toy.wait_for_ever)"]
    busy = make_project(project.parent / "busy", cells=cells)
    command = [sys.executable, "-m", "runbook.cli", *RUN]
    first = subprocess.Popen(command, env=environment(busy), cwd=busy, stdout=subprocess.PIPE, text=True)
    wait_for(busy / "waiting")
    before = (run_folder(busy) / "journal.jsonl").read_bytes()
    second = runbook(busy, "resume", "r1")
    assert second.returncode == 1
    assert "being executed" in second.stderr
    assert (run_folder(busy) / "journal.jsonl").read_bytes() == before
    assert "running" in runbook(busy, "status", "r1").stdout
    first.send_signal(2)
    first.communicate(timeout=60)


def test_a_secret_in_an_exception_does_not_reach_the_files_of_a_run(project):
    """Not by the step, not by what the driver saw of it, not by the notebook or the kernel log."""
    secret = "s3cr3t-s3cr3t-s3cr3t"
    cells = [OPEN, "run.read('leak', toy.leak)"]
    leaky = make_project(project.parent / "leaky", cells=cells)
    done = runbook(leaky, *RUN, TOY_TOKEN=secret)
    assert done.returncode == 1
    assert secret not in done.stdout + done.stderr
    written = b"".join(path.read_bytes() for path in leaky.rglob("*") if path.is_file())
    assert secret.encode() not in written
    assert b"[TOY_TOKEN]" in written


def test_sealing_does_not_replace_a_notebook_by_one_that_parted_from_its_record(project):
    """Edited after the run, the notebook cannot be shown from the record: exit 2, nothing is replaced."""
    assert runbook(project, *RUN).returncode == 0
    before = (run_folder(project) / "notebook.ipynb").read_bytes()
    source = project / "notebooks/drills/toy.ipynb"
    source.write_text(source.read_text().replace("toy.read_number, x)", "toy.read_number, x + 1)"))
    sealed = runbook(project, "seal", "r1")
    assert sealed.returncode == 2
    assert "the number" in sealed.stderr
    assert (run_folder(project) / "notebook.ipynb").read_bytes() == before


def test_an_empty_record_is_named_and_hides_no_other_run(project):
    """A kill before the first line leaves an empty journal: status goes on, resume says what it is."""
    assert runbook(project, *RUN).returncode == 0
    run_folder(project, "r2").mkdir()
    (run_folder(project, "r2") / "journal.jsonl").touch()
    listed = runbook(project, "status")
    assert listed.returncode == 0
    assert "r1" in listed.stdout
    assert "r2" in listed.stderr
    assert runbook(project, "resume", "r2").returncode == 2


def test_an_unfinished_run_is_named_before_another_begins(project):
    """Outside the sandbox, the same runbook with the same parameters is not begun twice."""
    cells = [OPEN, "1 / 0"]
    broken = make_project(project.parent / "broken", cells=cells)
    assert runbook(broken, "run", "toy", "--env", "production").returncode == 1
    again = runbook(broken, "run", "toy", "--env", "production")
    assert again.returncode == 2
    assert "runbook resume toy-production-" in again.stderr
