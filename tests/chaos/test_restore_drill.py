"""The restore drill killed at every write of its journal, on a real PostgreSQL, and resumed.

Its effects live in a scratch folder that dies with the process, so a resumed drill begins that part anew:
the end must be that of an undisturbed one, and nothing may be left on the machine. A drill takes seconds, so
each run is killed several times on its way, a write later each time, before it is let go to its end; which
moment of a write the kill comes at (before, in its middle, after) changes from one write to the next.
"""

import shutil
import tempfile

import pytest

from runbook import catalogue
from runbook.journal import read_journal
from tests.chaos.harness import KILLED, MOMENTS, Death, execute, in_a_process, summary_of
from tests.chaos.quick import quick_folder
from tests.project import ROOT
from tests.runbooks.machine import left_behind, orphaned_memory, wait_until

pytestmark = pytest.mark.chaos
KILLS_A_RUN = 8
PARAMETERS = {"run_id": "r1", "size_mb": 10}


@pytest.fixture
def place(monkeypatch):
    """Give the drill outputs and a temporary folder of its own."""
    with quick_folder() as folder:
        folder.chmod(0o755)  # PostgreSQL's own user must get through when we are root
        for name, where in (("TMPDIR", "tmp"), ("RUNBOOK_OUTPUTS", "outputs")):
            (folder / where).mkdir()
            monkeypatch.setenv(name, str(folder / where))
        monkeypatch.setenv("RUNBOOK_ROOT", str(ROOT))
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield folder


def test_killed_at_every_write_and_resumed_it_ends_as_if_undisturbed(place, capsys):
    """Every line of the record is once the last one; afterwards no process, folder or memory is left."""
    notebook, folder = catalogue.find(ROOT, "db_restore_drill").path, place / "outputs/r1"

    def go(death=None):
        return in_a_process(lambda: execute(notebook, PARAMETERS), death=death)

    memory = orphaned_memory()
    assert go() == 0
    writes, expected = len(read_journal(folder / "journal.jsonl")), told(folder)
    for first in range(1, writes + 1, KILLS_A_RUN):
        shutil.rmtree(folder)
        for number in range(first, min(first + KILLS_A_RUN, writes + 1)):
            death = Death(number, MOMENTS[number % len(MOMENTS)])
            assert go(death) == KILLED, death
        assert go() == 0, first
        assert told(folder) == expected, first
    wait_until(lambda: not left_behind(place / "tmp") and not list((place / "tmp").glob("runbook-*")))
    assert left_behind(place / "tmp") == []
    assert list((place / "tmp").glob("runbook-*")) == []
    assert orphaned_memory() <= memory
    with capsys.disabled():
        print(f"\n  {writes} kills of the restore drill, each resumed")


def told(folder):
    """Return what a drill came to, without what each restore measures anew."""
    summary = summary_of(folder)
    numbers = {name: number["limit"] for name, number in summary.pop("numbers").items()}
    checks = [(check["step"], check["title"], check["status"]) for check in summary.pop("checks")]
    return {**summary, "numbers": numbers, "checks": checks, "verdict": summary["verdict"][:20]}
