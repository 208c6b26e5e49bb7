"""A prepared migration for tests: a world in which the pre-configuration is done and sealed, two days on."""

import os
from contextlib import contextmanager
from datetime import UTC, datetime

from runbook.driving import Driver
from runbook.opening import prepare
from runbook.sandbox.world.launch import WorldProcess
from tests.chaos.harness import cells_of
from tests.project import ROOT

ZONE = "omnihub.dev"
SWITCH_AT = datetime(2026, 12, 2, 2, 0, tzinfo=UTC)


@contextmanager
def prepared(folder, *, scenarios=()):
    """Give a running world and the name of the pre-configuration's run; RUNBOOK_OUTPUTS must be set."""
    with WorldProcess(folder / "world") as world:
        for name in scenarios:
            world.remote.play(name)
        begin = prepare(
            ROOT, "dns_preconfiguration", environment="sandbox", run_id="", mode="", params={"zone": ZONE}
        )
        summary = Driver(ROOT, world=folder / "world").run(begin)
        assert summary.status == "done", summary.verdict
        world.remote.advance_to(SWITCH_AT)
        os.environ["RUNBOOK_WORLD"] = str(folder / "world")
        yield world.remote, summary.run_id


def execute_until(notebook, parameters, *, last=""):
    """Execute a notebook's cells in this process up to the first that holds `last`; return the names left."""
    names = {}
    for number, cell in enumerate(cells_of(notebook)):
        exec(compile(cell, f"cell {number}", "exec"), names)  # noqa: S102  # it is our own notebook
        if number == 0:
            names |= parameters
        if last and last in cell:
            break
    return names


def delegated(world):
    """Return the nameservers at the parent, and how often the registrar was told to change them."""
    dump = world.dump()
    changes = dump["namecheap"].get("changes", {})
    [line] = [one for one in world.status()["parts"]["dns"]["zones"] if "hosted at" in one]
    return line.partition("delegated to ")[2].partition(";")[0], len(changes)


def messages(world):
    """Return what was said in the channel, oldest first."""
    held = world.dump()["slack"]["messages"].values()
    return [doc["text"] for doc in sorted(held, key=lambda doc: float(doc["ts"]))]
