"""kill -9 at the writes of a canary phase: traffic never goes up twice, and a rollback once begun ends."""

import shutil
from datetime import timedelta

import pytest

from runbook.account import summarize
from runbook.journal import read_journal
from runbook.sandbox.world.launch import WorldProcess
from tests.canary_projects import (
    CANARY,
    CURRENT,
    NOTEBOOK,
    PARAMETERS,
    canary_project,
    incidents,
    noon,
    shares,
    vercel,
)
from tests.chaos.harness import KILLED, MOMENTS, Death, execute, in_a_process
from tests.chaos.quick import quick_folder

pytestmark = pytest.mark.chaos
EVERY = 9  # of the writes that touch nothing; those around effects are all taken

VARIANTS = {
    "good": ((), 0, "done", [0.0, 5.0], "opened"),
    "bad": (("bad-release",), 3, "no-go", [0.0, 5.0, 0.0], "looked"),
}


class Rollout:
    """A project, and a world that is made new for every trial."""

    def __init__(self, folder, world, variant):
        self.scenarios, self.code, self.status, self.shares, self.since = VARIANTS[variant]
        self.folder, self.world = folder, world

    def fresh(self):
        shutil.rmtree(self.folder / "outputs", ignore_errors=True)
        noon(self.world, *self.scenarios)

    def go(self, death=None):
        parameters = {**PARAMETERS, "run_id": "r1"}
        return in_a_process(lambda: execute(self.folder / NOTEBOOK, parameters), death=death)

    def lines(self):
        return read_journal(self.folder / "outputs/r1/journal.jsonl")

    def proof(self):
        """Return what must be the same however often the run was killed."""
        self.world.advance(timedelta(minutes=1))  # an event becomes an incident a second later
        state, found = vercel(self.world), summarize(self.lines())
        project = next(iter(state["project"].values()))
        return {
            "status": found.status,
            "changes": [(line.sentence, line.status) for line in found.changes],
            "shares": shares(self.world),
            "releases": len(state["releases"]),
            "production": project["production"],
            "held": not project["auto_assign"] or project["rolled_back"],
            "paged": incidents(self.world),
        }


@pytest.fixture(params=VARIANTS)
def rollout(request, monkeypatch):
    with quick_folder() as folder, WorldProcess(folder / "world") as world:
        project = canary_project(folder / "project")
        monkeypatch.setenv("RUNBOOK_ROOT", str(project))
        monkeypatch.setenv("RUNBOOK_WORLD", str(folder / "world"))
        yield Rollout(project, world.remote, request.param)


@pytest.mark.parametrize("every", [EVERY, pytest.param(1, marks=pytest.mark.exhaustive)])
def test_killed_and_resumed_it_ends_as_if_undisturbed(rollout, every, capsys):
    """Around every effect and at a sample of other writes: one release, one rise, one rollback, one page."""
    rollout.fresh()
    assert rollout.go() == rollout.code
    expected = rollout.proof()
    assert (expected["status"], expected["shares"]) == (rollout.status, rollout.shares)
    assert expected["production"] == CURRENT
    assert expected["paged"] == (["r1/rollback"] if rollout.code else [])
    assert expected["releases"] == 1
    deaths = list(sampled(rollout.lines(), since=rollout.since, every=every))
    for death in deaths:
        rollout.fresh()
        assert rollout.go(death) == KILLED, death
        assert rollout.go() == rollout.code, death
        assert rollout.proof() == expected, death
    with capsys.disabled():
        print(f"\n  {len(deaths)} kills of {CANARY}'s first phase, each resumed")


def sampled(lines, *, since, every):
    """Return a death at each line of a change, at the rollback's, and at each so many of the others.

    `since` is the kind of line before which another variant has been killed already.
    """
    first = next(line.seq for line in lines if line.kind == since)
    for line in lines[first - 1 :]:
        touches = line.kind == "change" or line.title == "rollback"
        if touches or line.seq % every == 0:
            yield Death(line.seq, MOMENTS[line.seq % len(MOMENTS)])
