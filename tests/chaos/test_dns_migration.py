"""The migration killed at every write up to the end of the switch, and again and again while it watches.

One world lives on through all of it, as the real one would. Whatever instant a kill comes at, the registrar
is told once, the parent names one side and then the other and never the first again, no message is doubled.
"""

import os

import pytest

from runbook import catalogue, opening
from runbook.journal import read_journal
from runbook.providers import registrars
from tests.chaos.harness import KILLED, MOMENTS, Death, in_a_process
from tests.chaos.quick import quick_folder
from tests.moving import delegated, execute_until, messages, prepared
from tests.project import ROOT

pytestmark = pytest.mark.chaos
LIVES_AT_MOST = 200
WATCHED = 9  # writes that a life has while it watches


@pytest.fixture
def place(monkeypatch):
    """Give a run's outputs, its world, and the run that prepared it."""
    with quick_folder() as folder:
        monkeypatch.setenv("RUNBOOK_ROOT", str(ROOT))
        monkeypatch.setenv("RUNBOOK_OUTPUTS", str(folder / "outputs"))
        monkeypatch.setenv("RUNBOOK_WORLD", "")
        with prepared(folder) as (world, preconfiguration):
            yield folder / "outputs/m1/journal.jsonl", world, preconfiguration


def live(preconfiguration, *, last="", death=None, after_the_call=False):
    """Execute the migration in a process of its own, to a cell or to its death; return its exit code."""
    notebook = catalogue.find(ROOT, "dns_migration").path

    def work():
        opening._open_runs.clear()
        if after_the_call:
            registrars.apply_nameservers = dying(registrars.apply_nameservers)
        execute_until(notebook, {"run_id": "m1", "preconfiguration": preconfiguration}, last=last)
        return 0

    return in_a_process(work, death=death)


def dying(call):
    """Let the registrar have been told, and nobody know of it."""

    def die(*args, **kwargs):
        call(*args, **kwargs)
        os.kill(os.getpid(), 9)

    return die


def done(journal):
    """Return how many steps are on record as done."""
    records = read_journal(journal) if journal.exists() else []
    return sum(line.kind == "done" for line in records)


def test_killed_at_every_write_nameservers_never_flap_and_nothing_is_doubled(place, capsys):
    """A life dies at a write; the next one at the same, or at the one after it when that led nowhere."""
    journal, world, preconfiguration = place
    sides, lives, number, code = [delegated(world)[0]], 0, 1, KILLED
    while code == KILLED:
        lives += 1
        assert lives < LIVES_AT_MOST
        before = done(journal)
        death = Death(number, MOMENTS[lives % len(MOMENTS)])
        code = live(preconfiguration, last="read_switched", death=death)
        number = 3 if done(journal) > before else number + 1
        sides.append(delegated(world)[0])
        assert delegated(world)[1] <= 1
    assert code == 0
    assert len(dict.fromkeys(sides)) == 2, "the delegation went from one side to the other, once"
    assert sides == sorted(sides, key=lambda side: "cloudflare" in side)
    assert len([text for text in messages(world) if "migration" in text]) == 1
    with capsys.disabled():
        print(f"\n  {lives} lives of the migration up to the end of the switch")


def test_killed_when_the_registrar_has_it_and_nobody_knows(place):
    """Nothing of the switch is on record, and it is not made a second time: its book is asked first."""
    _, world, preconfiguration = place
    assert live(preconfiguration, last="read_switched", after_the_call=True) == KILLED
    assert delegated(world)[1] == 1
    assert live(preconfiguration, last="read_switched") == 0
    servers, changes = delegated(world)
    assert changes == 1
    assert "cloudflare" in servers


def test_killed_again_and_again_while_it_watches_nobody_is_told_twice(place, capsys):
    """A life has a few looks; what it said is not said again by the next, and the end is reached."""
    _, world, preconfiguration = place
    lives, code = 0, KILLED
    while code == KILLED:
        lives += 1
        assert lives < LIVES_AT_MOST
        moment = MOMENTS[lives % len(MOMENTS)]
        code = live(preconfiguration, death=Death(WATCHED, moment) if lives > 1 else Death(60, moment))
    assert code == 0
    said = [text for text in messages(world) if "migration" in text]
    assert len(said) == len(set(said))
    assert delegated(world)[1] == 1
    with capsys.disabled():
        print(f"\n  {lives} lives of the migration while it watches")
