"""The pre-configuration killed at every write of its journal, in a world that lives on, and resumed.

Whatever instant the kill comes at: no record, zone or message is doubled, the nameservers stay where they
were, and the end is that of an undisturbed run. The moment of a write (before, in its middle, after) changes
from one to the next; with `make exhaustive` each write has all three.
"""

import shutil
from collections import Counter

import pytest

from runbook import catalogue
from runbook.journal import read_journal
from runbook.sandbox.world.launch import WorldProcess
from tests.chaos.harness import KILLED, MOMENTS, Death, execute, in_a_process, summary_of
from tests.chaos.quick import quick_folder
from tests.project import ROOT

PARAMETERS = {"run_id": "r1"}
WRITES_A_LIFE = 3  # and up to two more: what comes before only says that the run goes on
LIVES_AT_MOST, KILLS_AT_LEAST = 150, 20


@pytest.fixture
def place(monkeypatch):
    """Give the runs outputs and a world of their own, which outlives each of their processes."""
    with quick_folder() as folder, WorldProcess(folder / "world") as world:
        monkeypatch.setenv("RUNBOOK_OUTPUTS", str(folder / "outputs"))
        monkeypatch.setenv("RUNBOOK_ROOT", str(ROOT))
        monkeypatch.setenv("RUNBOOK_WORLD", str(folder / "world"))
        yield folder, world.remote


def seen(world):
    """Return what the vendors hold, without ids and times: records, zones, TTLs, messages, the delegation."""
    dump = world.dump()
    held, listed = dump["cloudflare"], dump["vercel"]["records"]
    records = [doc for name, table in held.items() if name.startswith("records ") for doc in table.values()]
    [line] = [one for one in world.status()["parts"]["dns"]["zones"] if "hosted at" in one]
    return {
        "records": Counter((one["type"], one["name"], one["content"], one["ttl"]) for one in records),
        "zones": [doc["name"] for doc in held.get("zones", {}).values()],
        "ttls": Counter((doc["name"], doc["type"], doc["value"], doc["ttl"]) for doc in listed.values()),
        "messages": [doc["text"] for doc in dump["slack"]["messages"].values()],
        "delegated": line.partition("delegated to ")[2],
    }


@pytest.fixture
def undisturbed(place):
    """What an undisturbed run comes to: its lines, its summary, and what the vendors hold after it."""
    folder, world = place
    before = seen(world)["delegated"]
    assert go() == 0
    there = seen(world)
    assert max(there["records"].values()) == 1
    assert there["delegated"] == before
    return len(lines(folder)), told(folder / "outputs/r1"), there


def go(death=None):
    notebook = catalogue.find(ROOT, "dns_preconfiguration").path
    return in_a_process(lambda: execute(notebook, PARAMETERS), death=death)


def lines(folder):
    return read_journal(folder / "outputs/r1/journal.jsonl")


def begin_anew(folder, world):
    shutil.rmtree(folder / "outputs")
    world.reset()


@pytest.mark.chaos
def test_killed_again_and_again_on_its_way_it_ends_as_if_undisturbed(place, undisturbed, capsys):
    """Some forty lives, each ended a few writes on, before, in the middle of or after one."""
    (folder, world), (_, expected, there) = place, undisturbed
    begin_anew(folder, world)
    kills = 0
    for life in range(LIVES_AT_MOST):
        death = Death(WRITES_A_LIFE + life % 3, MOMENTS[life % len(MOMENTS)])
        if (code := go(death)) == 0:
            break
        assert code == KILLED, life
        assert seen(world)["delegated"] == there["delegated"], life
        kills += 1
    assert kills > KILLS_AT_LEAST
    assert told(folder / "outputs/r1") == expected
    assert seen(world) == there
    with capsys.disabled():
        print(f"\n  {kills} kills of one pre-configuration, each resumed")


@pytest.mark.exhaustive
@pytest.mark.parametrize("turn", range(len(MOMENTS)))
def test_killed_at_every_write_nothing_is_doubled_and_nameservers_stay(place, undisturbed, capsys, turn):
    """Every line of the record is once the last one; what the vendors hold in the end is the same."""
    (folder, world), (writes, expected, there) = place, undisturbed
    for number in range(1, writes + 1):
        begin_anew(folder, world)
        death = Death(number, MOMENTS[(number + turn) % len(MOMENTS)])
        assert go(death) == KILLED, death
        assert seen(world)["delegated"] == there["delegated"], death
        assert go() == 0, death
        assert told(folder / "outputs/r1") == expected, death
        assert seen(world) == there, death
    with capsys.disabled():
        print(f"\n  {writes} kills of the pre-configuration, each resumed")


def told(folder):
    """Return what a run came to, without what says when."""
    summary = summary_of(folder)
    checks = [
        (check["step"], check["title"].split("(")[0], check["status"]) for check in summary.pop("checks")
    ]
    for change in summary["changes"]:
        change.pop("remark")
    for approval in summary["approvals"]:
        approval.pop("request_digest", None)
    return {**summary, "checks": checks, "verdict": summary["verdict"][:60]}
