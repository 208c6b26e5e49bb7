"""The canary's runbook in a project of its own, with phases of an hour, and a world at noon."""

import json
import shutil
from datetime import timedelta

from runbook.plan import load_environment, load_plan
from runbook.sandbox.world.remote import SandboxClock
from runbook.step import Rehearsal, Step
from tests.project import ROOT

NOTEBOOK = "notebooks/rollout/06_canary_phase.ipynb"
CANARY = "dpl_Xc5RzJ8LpN4YhDe7f3Kq9TtWm2Vb"  # staged in every new world
CURRENT = "dpl_7f3Kq9TtWm2VbXc5RzJ8LpN4YhDe"
SHORT = {  # an hour each: less would not bring enough requests to know
    "from_h: 0\n      to_h: 4\n": "from_h: 0\n      to_h: 1\n",
    "from_h: 4\n      to_h: 8\n": "from_h: 1\n      to_h: 2\n",
    "from_h: 8\n      to_h: 16\n": "from_h: 2\n      to_h: 3\n",
    "from_h: 16\n      to_h: 24\n": "from_h: 3\n      to_h: 4\n",
    "all_green_for_h: 24": "all_green_for_h: 1",
}
PARAMETERS = {"deployment": CANARY, "schema_attested_by": "the test", "look_every_s": 600.0}


def canary_project(folder):
    """Write a project with the canary's notebook and the shipped params, its phases short."""
    shutil.copytree(ROOT / "params", folder / "params")
    for name in ("rollout", "incidents"):
        shutil.copytree(ROOT / "notebooks" / name, folder / "notebooks" / name)
    plan = folder / "params/plan.yaml"
    text = plan.read_text()
    for old, new in SHORT.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    plan.write_text(text)
    return folder


def noon(world, *scenarios):
    """Make a running world what a new one is, at the next noon, and begin what is to happen in it."""
    now = world.now()
    today = now.replace(hour=12, minute=0, second=0, microsecond=0)
    world.advance_to(today if today > now else today + timedelta(days=1))
    world.reset()
    for scenario in scenarios:
        world.play(scenario)


def vercel(world):
    """Return the tables of the world's Vercel."""
    return world.dump()["vercel"]


def shares(world):
    """Return how many of 100 visitors the canary had, one after the other."""
    return [
        row["canary_percent"] if row["canary"] else (100.0 if row["current"] == CANARY else 0.0)
        for row in vercel(world)["traffic"].values()
    ]


def incidents(world):
    """Return the keys of the incidents that PagerDuty has, those of the last minute too."""
    world.advance(timedelta(minutes=1))  # an event becomes an incident a second later
    return [doc["dedup_key"] for doc in world.dump()["pagerduty"].get("incidents", {}).values()]


def lines(folder):
    """Return the lines of a journal as JSON."""
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def make_step(remote, *, run_id="r1", earlier=None):
    """Return a step of the shipped sandbox in a running world; `said` is what it remarked."""
    environment, rollout = load_environment(ROOT, "sandbox"), load_plan(ROOT)
    reach = Rehearsal(url=remote.url, secrets=remote.secrets(), addresses=remote.addresses())
    more = {} if earlier is None else {"earlier": earlier}
    return Step(
        clock=SandboxClock(remote),
        environment=lambda: environment,
        rollout=lambda: rollout,
        rehearsal=lambda: reach,
        run_id=run_id,
        **more,
    )
