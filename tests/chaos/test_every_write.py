"""kill -9 at every write of the journal and after every effect: resumed, the world and the record are right.

What holds is what each class of change promises: convergent and keyed effects exactly once, a message at
least once, the second marked as a repetition.
"""

import random
import shutil

import pytest

from runbook.clock import FileClock, utc_text
from runbook.journal import read_journal
from tests import verbs
from tests.chaos.harness import KILLED, MOMENTS, Death, execute, in_a_process, summary_of
from tests.chaos.quick import quick_folder
from tests.project import make_project
from tests.unit.test_verbs import START

pytestmark = pytest.mark.chaos
RUNS = 16

VARIANTS = {
    "held": ("inline_wait_s: 100000", "proceed", 0),
    "parked": ("inline_wait_s: 1", "proceed", 0),
    "rolled back": ("inline_wait_s: 100000", "rollback", 3),
}


class Field:
    """A project with the runbook of all verbs; each trial begins with a fresh copy of its world."""

    def __init__(self, folder, monkeypatch, variant):
        gates, self.verdict, self.code = VARIANTS[variant]
        cells = list(verbs.CELLS)
        if variant == "rolled back":  # a message cannot be unsaid, and would leave something
            cells[3] = 'plan = run.plan("move", verbs.plan_undoable, records)\nplan'
        self.project = make_project(folder, cells=cells, parameters=verbs.PARAMETERS, name="verbs")
        environment = self.project / "params/sandbox/environment.yaml"
        text = environment.read_text().replace("{approvals: rehearsed}", f"{{approvals: rehearsed, {gates}}}")
        environment.write_text(text)
        self.clock_file = folder / "clock"
        monkeypatch.setenv("RUNBOOK_ROOT", str(self.project))
        monkeypatch.setenv("RUNBOOK_CLOCK", str(self.clock_file))

    def fresh(self):
        for name in ("world", "outputs"):
            shutil.rmtree(self.project / name, ignore_errors=True)
        self.clock_file.write_text(utc_text(START))

    def go(self, death=None):
        """Execute the runbook, or take it up again, in a process that may be killed."""
        notebook = self.project / "notebooks/drills/verbs.ipynb"
        parameters = {"run_id": "r1", "verdict": self.verdict}
        return in_a_process(
            lambda: execute(notebook, parameters, clock=FileClock(self.clock_file)), death=death
        )

    @property
    def folder(self):
        return self.project / "outputs/r1"

    def writes(self):
        return len(read_journal(self.folder / "journal.jsonl"))

    def proof(self):
        """Return what must be the same however often the run was interrupted."""
        keys = {line["key"] for line in verbs.calls("incident")}
        once = {name: len(verbs.calls(name)) for name in ("set ttl", "set traffic", "undo")}
        messages = [line["repeated"] for line in verbs.calls("message")]
        assert messages[1:] == [True] * len(messages[1:])
        return {
            "state": verbs.state(),
            "once": once,
            "incidents": len(keys),
            "messages": bool(messages),
            "summary": summary_of(self.folder),
        }


@pytest.fixture(params=VARIANTS)
def field(request, monkeypatch):
    with quick_folder() as folder:
        yield Field(folder / "project", monkeypatch, request.param)


@pytest.fixture
def undisturbed(field):
    """Return how many writes and effects an undisturbed run has, and what it leaves."""
    field.fresh()
    assert field.go() == field.code
    return field.writes(), len(verbs.calls()), field.proof()


def test_killed_anywhere_and_resumed_it_ends_as_if_undisturbed(field, undisturbed, capsys):
    """Every write, before, in its middle and after; every effect, before it is on record."""
    writes, effects, expected = undisturbed
    deaths = [Death(number, moment) for number in range(1, writes + 1) for moment in MOMENTS]
    deaths += [Death(number, "effect") for number in range(1, effects + 1)]
    for death in deaths:
        field.fresh()
        assert field.go(death) == KILLED, death
        assert field.go() == field.code, death
        assert field.proof() == expected, death
    with capsys.disabled():
        print(f"\n  {len(deaths)} kills ({writes} writes × {len(MOMENTS)}, {effects} effects), each resumed")


def test_killed_again_and_again_it_still_ends_as_if_undisturbed(field, undisturbed, capsys):
    """Up to four kills on the way, at random instants, also while a torn line is being mended."""
    writes, effects, expected = undisturbed
    kills = 0
    for seed in range(RUNS):
        chance = random.Random(seed)
        field.fresh()
        for _ in range(4):
            moment = chance.choice((*MOMENTS, "effect"))
            number = chance.randint(1, effects if moment == "effect" else writes // 2)
            ended = field.go(Death(number, moment))
            kills += ended == KILLED
            if ended != KILLED:
                break
        assert field.go() == field.code, seed
        assert field.proof() == expected, seed
    with capsys.disabled():
        print(f"\n  {kills} kills in {RUNS} runs, each resumed to its end")
