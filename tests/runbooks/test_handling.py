"""A production run handled from the command line: parked, signed, taken up, ended by hand, released."""

import json
import os
import subprocess
import sys

import pytest

from tests.notebooks import statuses, write_notebook
from tests.project import CELLS, PARAMETERS, ROOT
from tests.signed_runs import Office

# A record names classes of this package only, or such as are loaded: the toy's changes must be.
COMMAND_LINE = "import tests.toy; from runbook.cli import main; main()"
APPROVED = [*CELLS[:4], "run.approve(plan)", *CELLS[4:]]
FAILING = [*APPROVED[:-1], "1 / 0"]


@pytest.fixture
def office(tmp_path):
    office = Office(tmp_path)
    notebook(office, APPROVED)
    return office


def notebook(office, cells):
    path = office.root / "notebooks/drills/toy.ipynb"
    path.unlink()
    write_notebook(path, *cells, parameters=PARAMETERS)


def environment(office):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return {
        **os.environ,
        "RUNBOOK_ROOT": str(office.root),
        "PYTHONPATH": path,
        "RUNBOOK_SIGNING_KEY_FILE": str(office.keys["ci"]),
    }


def start(office, *words):
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND_LINE, *words],
        env=environment(office),
        cwd=office.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def runbook(office, *words):
    """Run the command line; return its exit code and what it said."""
    process = start(office, *words)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def parked(office, run_id="r1"):
    code, said = runbook(office, "run", "toy", "--env", "production", "--mode", "apply", "--run-id", run_id)
    assert code == 75, said
    assert "waits for the signature of Tech Lead or CTO" in said
    return said


def sign(office, run_id="r1"):
    code, said = runbook(office, "approve", run_id, "--as", "tech-lead", "--key", str(office.keys["ada"]))
    assert code == 0, said
    return said


def written(office):
    world = office.root / "world.txt"
    return world.read_text() if world.exists() else ""


def summary(office, run_id="r1"):
    return json.loads((office.folder(run_id) / "summary.json").read_text())


def test_a_signed_run_is_taken_up_once_by_however_many_crons(office):
    """Parked without a process; signed in full view; of several `resume --due` one does the work, once."""
    parked(office)
    assert runbook(office, "resume", "--due") == (0, "")
    assert "set" not in written(office)
    said = sign(office)
    assert "write 1 to world.txt" in said
    assert "runbook resume r1" in said
    crons = [start(office, "resume", "--due") for _ in range(3)]
    assert [cron.wait(120) for cron in crons] == [0, 0, 0]
    for cron in crons:
        cron.communicate()
    assert written(office) == "1\n"
    assert summary(office)["status"] == "done"
    assert set(statuses(office.folder() / "notebook.ipynb")) == {"completed"}
    code, said = runbook(office, "verify", "r1")
    assert code == 0, said
    assert "signed by ci@x" in said
    assert "ada@x" in said
    assert summary(office)["predecessor"]


def test_a_loop_goes_on_until_it_is_stopped(office):
    """A rollout host's process takes up what becomes due, and ends at once when told to."""
    parked(office)
    loop = start(office, "resume", "--due", "--loop", "--every-s", "1")
    sign(office)
    while "Wrote 1." not in (line := loop.stdout.readline()):
        assert line, "the loop ended"
    loop.terminate()
    loop.communicate(timeout=60)
    assert written(office) == "1\n"


def test_a_failed_run_is_rolled_back_by_hand(office):
    """Applied, then something fell over: abort --rollback undoes it, ends the run, and seals it."""
    notebook(office, FAILING)
    parked(office)
    sign(office)
    code, said = runbook(office, "resume", "r1")
    assert code == 1, said
    assert "in place: write 1 to world.txt" in said
    code, said = runbook(office, "abort", "r1", "--rollback", "--reason", "the release is bad")
    assert code == 0, said
    assert written(office) == ""
    found = summary(office)
    assert (found["status"], found["terminal"]) == ("no-go", True)
    assert "the release is bad" in found["verdict"]
    assert runbook(office, "verify", "r1")[0] == 0
    code, said = runbook(office, "resume", "r1")
    assert code == 2
    assert "is over" in said


def test_a_parked_run_is_aborted_and_frees_its_place(office):
    """Nothing of it stays; another may be opened with the same parameters without a name."""
    parked(office)
    code, said = runbook(office, "abort", "r1", "--reason", "not today")
    assert code == 0, said
    assert "nothing of it stays" in said
    code, _ = runbook(office, "run", "toy", "--env", "production", "--mode", "apply")
    assert code == 75


def test_what_a_dead_run_holds_is_released_with_a_reason(office):
    """The next run is refused with the command to type; typed, it goes on, and both records say so."""
    notebook(office, FAILING)
    parked(office)
    sign(office)
    assert runbook(office, "resume", "r1")[0] == 1
    (office.root / "world.txt").unlink()
    notebook(office, APPROVED)
    code, said = runbook(
        office, "run", "toy", "--env", "production", "--mode", "apply", "--run-id", "r2", "-p", "x=2"
    )
    assert code == 75
    sign(office, "r2")
    code, said = runbook(office, "resume", "r2")
    assert code == 3, said
    assert "runbook release world.txt --reason" in said
    code, said = runbook(office, "release", "world.txt", "--reason", "r1's host burned down")
    assert code == 0, said
    assert runbook(office, "resume", "r2")[0] == 0
    assert written(office) == "2\n"
    released = (office.root / "outputs/.reservations/released.jsonl").read_text()
    assert "burned down" in released
    assert runbook(office, "verify", "r1")[0] == 0


def test_status_answers_what_a_person_at_night_asks(office):
    """State, last effect, safe now, owner, what to type next: in text, and for a program."""
    parked(office)
    code, said = runbook(office, "status", "r1")
    assert code == 0
    for words in ("state", "last effect", "safe now?", "owner", "runbook approve r1 --as tech-lead"):
        assert words in said
    code, said = runbook(office, "status", "r1", "--json")
    found = json.loads(said)
    assert (found["status"], found["waits_for"]) == ("parked", ["tech_lead", "cto"])
