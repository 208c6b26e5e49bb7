"""Runs that are rehearsed: each gets a world, a drill's runs share one, and nothing of it is left."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from html import unescape
from pathlib import Path

import pytest

from runbook.clock import WallClock
from runbook.drilling import in_real_time, places_aside, prepare_drill
from runbook.journal import read_journal
from runbook.plan import load_scenarios
from runbook.sandbox.world.launch import WorldProcess, find_world
from tests.notebooks import write_notebook
from tests.outings import outing_project
from tests.project import CELLS, PARAMETERS
from tests.runbooks.test_driving import environment, runbook, wait_for

RUN = ("run", "toy", "--env", "sandbox", "--run-id", "r1")


@pytest.fixture
def project(tmp_path):
    return outing_project(tmp_path / "project")


def worlds(project):
    return sorted(path.name for path in (project / "outputs/.worlds").glob("*"))


def lines(project, run_id="r1"):
    return read_journal(project / "outputs" / run_id / "journal.jsonl")


def scenarios(project, *rows):
    common = {"expected": {"status": "done", "exit_code": 0}, "in_make_drill": True, "proves": "a rehearsal"}
    rows = [{"runbook": "toy", "params": {"x": 1}, **common, **row} for row in rows]
    (project / "params/sandbox/scenarios.yaml").write_text(json.dumps({"scenarios": rows}))


def drilled(project, *args):
    done = runbook(project, "drill", "--json", *args)
    assert done.stdout, done.stderr
    return done, json.loads(done.stdout)


def test_a_run_gets_a_world_of_its_own_and_leaves_nothing_of_it(project):
    """A day goes by in no time, on the world's calendar; afterwards there is no world and no folder."""
    done = runbook(project, *RUN)
    assert done.returncode == 0, done.stderr
    assert "Wrote 1 at Tuesday 01:00" in done.stdout
    assert lines(project)[0].at.startswith("2026-11-30T01:00")
    assert worlds(project) == []
    assert runbook(project, "verify", "r1").returncode == 0


def test_its_account_tells_the_worlds_time_from_ours(project):
    """A day on the calendar took seconds here, and the report says both."""
    runbook(project, *RUN)
    summary = json.loads((project / "outputs/r1/summary.json").read_text())
    assert summary["calendar_s"] == 86400
    assert 0 < summary["wall_s"] < 3600
    said = unescape((project / "outputs/r1/report.html").read_text())
    assert "d of the world's clock" in said


def test_a_parked_run_finds_its_world_where_it_was_and_its_time_come(tmp_path):
    """Its world ends with the process and stands again when it is taken up, at the time it waited for."""
    project = outing_project(tmp_path / "project", inline_wait_s=60)
    assert runbook(project, *RUN).returncode == 75
    assert worlds(project) == ["r1"]
    assert find_world(project / "outputs/.worlds/r1") is None
    resumed = runbook(project, "resume", "r1")
    assert resumed.returncode == 0, resumed.stderr
    assert "Wrote 1 at Tuesday 01:00" in resumed.stdout
    assert worlds(project) == []


def test_a_run_whose_world_is_gone_is_not_taken_up(tmp_path):
    """What it changed there cannot be observed any more; the message says what to do."""
    project = outing_project(tmp_path / "project", inline_wait_s=60)
    assert runbook(project, *RUN).returncode == 75
    (project / "outputs/.worlds/r1").rename(tmp_path / "elsewhere")
    refused = runbook(project, "resume", "r1")
    assert refused.returncode == 2
    assert "runbook abort r1" in refused.stderr
    assert runbook(project, "abort", "r1", "--reason", "its world is gone").returncode == 0


def test_a_rehearsed_run_is_rolled_back_in_its_world(tmp_path):
    """`abort --rollback` starts the world that the run was left in, and ends it."""
    project = outing_project(tmp_path / "project", inline_wait_s=60)
    runbook(project, *RUN)
    done = runbook(project, "abort", "r1", "--rollback", "--reason", "enough")
    assert done.returncode == 0, done.stderr
    assert worlds(project) == []


def test_plain_papermill_has_a_world_that_ends_with_its_kernel(project):
    """Nobody drives it, so the kernel starts the world, and it goes with the kernel."""
    source = project / "notebooks/drills/toy.ipynb"
    papermill = [sys.executable, "-m", "papermill", "-p", "run_id", "r1"]
    done = subprocess.run(
        [*papermill, str(source), str(project / "out.ipynb")],
        env=environment(project),
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert lines(project)[0].at.startswith("2026-11-30T01:00")
    assert worlds(project) == []


def test_a_persons_sandbox_is_shared_where_it_runs(project):
    """`runbook sandbox up` leaves one running: runs meet that one, and leave it running."""
    with WorldProcess(project / "outputs/.sandbox") as persons:
        before = persons.remote.now()
        assert runbook(project, *RUN).returncode == 0
        assert (persons.remote.now() - before).days == 1
    assert worlds(project) == []


def test_the_runs_of_a_drill_share_a_world_and_know_each_other(project):
    """The first gives its name to the next; both are on one calendar; what is to happen happened."""
    scenarios(
        project,
        {
            "name": "two",
            "first": [{"runbook": "toy", "params": {"x": 2}, "gives": "before"}],
            "at": "2026-12-03T02:00:00Z",
            "world": ["ds-left-at-parent"],
        },
    )
    done, (found,) = drilled(project)
    assert done.returncode == 0, done.stderr
    second = lines(project, found["run_id"])
    said = next(line for line in second if line.title == "the run before" and line.kind == "done")
    assert said.data["result"] == "done, 0 problems, saw Monday 01:00"
    assert second[0].at.startswith("2026-12-03T02:00")
    assert worlds(project) == []


def test_a_run_that_measures_real_time_meets_no_world(project):
    """Its row's world is for the runs that environment.yaml lists, whatever comes before or after them."""
    here = project / "notebooks/drills"
    (here / "plain.ipynb").write_text((here / "toy.ipynb").read_text().replace('\\"toy\\"', '\\"plain\\"'))
    (project / "params/sandbox/plain.yaml").write_text("x: 1\n")
    own = {"name": "real time", "runbook": "plain", "first": [{"runbook": "toy", "params": {"x": 2}}]}
    scenarios(project, own)
    _, (found,) = drilled(project)
    assert "needs a rehearsal world, and none runs for it" in found["why"]
    (first,) = (path.name for path in (project / "outputs").glob("toy-*"))
    clocks = [lines(project, run_id)[0].data["clock"] for run_id in (first, found["run_id"])]
    assert clocks == ["world", "machine"]


MEETS_TOY = """
import os, pathlib, time
until = time.monotonic() + 60
while not pathlib.Path("world.txt").exists():
    assert time.monotonic() < until, "nobody came"
    os.sched_yield()"""


def real_time(project, *, x):
    """Add a runbook that meets no world, and waits until the toy has written; return a row's run of it."""
    cells = [cell.replace('"toy"', '"plain"') for cell in CELLS]
    cells[0] += MEETS_TOY if x == 1 else ""
    write_notebook(project / "notebooks/drills/plain.ipynb", *cells, parameters=PARAMETERS)
    (project / "params/sandbox/plain.yaml").write_text("x: 1\n")
    return {"runbook": "plain", "params": {"x": x}}


def test_a_run_that_meets_no_world_is_made_beside_the_others(project):
    """With several jobs one more is there for it; with one, the runs are made in the order of their row."""
    first = [real_time(project, x=1), {"runbook": "toy", "params": {"x": 2}}]
    scenarios(project, {"name": "aside", "first": first, "params": {"x": 3}})
    done = runbook(project, "drill", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted((project / "world.txt").read_text().split()) == ["1", "2", "3"]
    assert [f"run {number} of 3" in done.stdout for number in (1, 2, 3)] == [True, True, True]
    assert done.stdout.count("aside · toy · to end done") == 1
    (project / "world.txt").write_text("0\n")
    assert runbook(project, "drill", "--jobs", "1").returncode == 0
    assert (project / "world.txt").read_text().split() == ["0", "1", "2", "3"]


def test_a_run_beside_the_others_that_does_not_end_done_is_the_drills_result(project):
    """As one in its turn would be; what ran meanwhile has its record."""
    first = [real_time(project, x=99), {"runbook": "toy", "params": {"x": 2}}]
    scenarios(project, {"name": "aside", "first": first, "params": {"x": 3}})
    done, (found,) = drilled(project, "--jobs", "2")
    assert done.returncode == 1
    assert "before it, is no-go" in found["why"]
    assert (project / "world.txt").read_text() == "2\n"


def test_a_run_that_the_next_asks_for_waits_for_its_turn(project):
    """So does one that meets the world, and the last one, which is the drill.

    A drill that has another run in its turn than those of the world is one that waits for real.
    """
    plain, toy = {**real_time(project, x=1), "gives": "before"}, {"runbook": "toy", "params": {"x": 2}}
    other = real_time(project, x=1)
    scenarios(
        project,
        {"name": "asked for", "first": [plain, toy]},
        {"name": "not asked for", "first": [other, toy, other]},
        {"name": "itself", "runbook": "plain", "first": [toy]},
    )
    drills = {row.name: prepare_drill(project, row) for row in load_scenarios(project).scenarios}
    aside = {name: places_aside(project, one) for name, one in drills.items()}
    assert aside == {"asked for": (), "not asked for": (0, 2), "itself": ()}
    real = {name: in_real_time(project, one) for name, one in drills.items()}
    assert real == {"asked for": True, "not asked for": False, "itself": True}


def test_a_rehearsed_run_says_when_it_was_really_made(project):
    """The calendar is the world's; the machine's time stands beside it in the first line."""
    began = WallClock().now().replace(microsecond=0)
    assert runbook(project, *RUN).returncode == 0
    opened = lines(project)[0]
    assert opened.at.startswith("2026-11-30T01:00")
    assert began <= datetime.fromisoformat(opened.data["made_at"]) <= WallClock().now()


def test_drills_side_by_side_have_worlds_of_their_own(project):
    """No clock is moved by another drill."""
    scenarios(project, *({"name": f"n{n}", "params": {"x": n}} for n in range(4)))
    done, found = drilled(project, "--jobs", "4")
    assert done.returncode == 0, done.stderr
    assert {lines(project, one["run_id"])[0].at[:16] for one in found} == {"2026-11-30T01:00"}
    assert worlds(project) == []


def test_a_run_before_a_drill_that_does_not_end_done_is_the_drills_result(project):
    """The drill has not been made, and the result names the run that kept it from it."""
    first = {"runbook": "toy", "params": {"x": 2, "before": "nobody"}}
    scenarios(project, {"name": "two", "first": [first]})
    done, (found,) = drilled(project)
    assert done.returncode == 1
    assert "before it, is" in found["why"]
    assert "no run 'nobody'" in found["why"]


@pytest.mark.parametrize(("signed", "says"), [("no", "waits for"), ("another plan", "another plan")])
def test_a_rehearsal_may_go_unsigned(project, signed, says):
    """Nobody signs, or somebody signs something else: the run parks, and says what does not count."""
    parked = {"status": "parked", "exit_code": 75, "because": says}
    scenarios(project, {"name": "unsigned", "signed": signed, "expected": parked})
    done, (found,) = drilled(project)
    assert done.returncode == 0, found["why"] + done.stderr


def test_a_rehearsal_leaves_one_page_and_the_line_that_says_why(project):
    """Each row is on a page that the index leads to; what is not as expected is exit 1 and told."""
    scenarios(
        project,
        {"name": "good"},
        # another number: the toy's file is not the world's, and what is signed must not be done by the other
        {
            "name": "bad",
            "params": {"x": 2},
            "expected": {"status": "no-go", "exit_code": 3, "because": "never"},
        },
    )
    done = runbook(project, "drill", "--jobs", "2")
    assert done.returncode == 1, done.stderr
    said = "toy: bad: expected no-go (3) because “never”; got done (0)"
    assert said in done.stdout
    page = unescape((project / "outputs/rehearsal.html").read_text())
    assert "1 of 2\N{NO-BREAK SPACE}drills did not end as expected." in page
    assert said.partition("bad: ")[2] in page
    assert "./rehearsal.html" in (project / "outputs/index.html").read_text()
    assert list(json.loads((project / "outputs/.rehearsal.json").read_text())) == ["toy: good"]


def test_an_interrupted_rehearsal_leaves_nothing_running(project):
    """Ctrl-C in a terminal: kernels, worlds and the forking process are gone, and the records say why."""
    book = project / "notebooks/drills/toy.ipynb"
    stuck = "pathlib.Path(f'stuck{x}').touch() or threading.Event().wait()"
    source = json.dumps(f"import pathlib, threading; {stuck}")[1:-1]
    book.write_text(book.read_text().replace("run.wait(", f"{source}\\nrun.wait(", 1))
    scenarios(project, *({"name": f"n{n}", "params": {"x": n}} for n in range(3)))
    mark = f"mark-{project.parent.name}-{os.getpid()}"
    command = [sys.executable, "-m", "runbook.cli", "drill", "--jobs", "2"]
    process = subprocess.Popen(
        command,
        env=environment(project, REHEARSAL_MARK=mark),
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for(project / "stuck0")
    wait_for(project / "stuck1")
    assert len(marked(mark)) > 3  # ours, the forking process, kernels, worlds
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "interrupted" in said
    assert not (project / "stuck2").exists()
    deadline = time.monotonic() + 30
    while marked(mark) and time.monotonic() < deadline:
        os.sched_yield()
    assert marked(mark) == []
    statuses = {json.loads(p.read_text())["status"] for p in (project / "outputs").glob("*/summary.json")}
    assert statuses == {"failed"}


def marked(mark):
    """Return the programs of the processes that have our mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"REHEARSAL_MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found
