"""A small world for runs that use every verb: three changes of different classes, a watch, a conclusion.

Everything lies in the project's world/: `state.json` (what observing shows), `calls.jsonl` (each effect as
it reached the world, with its idempotency key), `messages.txt`. So a test can see what really happened.
"""

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from runbook.changes.interface import Change
from runbook.clock import utc_text
from runbook.gates.watching import Look
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check, Value
from tests.project import make_project

CALLS, STATE = "calls.jsonl", "state.json"


def begin_project(tmp_path, monkeypatch, *, at):
    """Make a project whose notebook has no steps yet, with a clock of its own, and go by both."""
    folder = make_project(tmp_path / "project", cells=CELLS[:1], parameters=PARAMETERS, name="verbs")
    (tmp_path / "clock").write_text(utc_text(at))
    monkeypatch.setenv("RUNBOOK_ROOT", str(folder))
    monkeypatch.setenv("RUNBOOK_CLOCK", str(tmp_path / "clock"))
    return folder


def world():
    return Path(os.environ["RUNBOOK_ROOT"]) / "world"


def state():
    file = world() / STATE
    return json.loads(file.read_text()) if file.exists() else {"ttl": "3600", "traffic": "0"}


def put(name, value):
    world().mkdir(exist_ok=True)
    (world() / f"{STATE}.new").write_text(json.dumps(state() | {name: value}))
    (world() / f"{STATE}.new").replace(world() / STATE)


def call(what, **more):
    """Let an effect reach the world: from here on it has happened."""
    world().mkdir(exist_ok=True)
    with (world() / CALLS).open("a") as file:
        file.write(json.dumps({"what": what, **more}) + "\n")
    happened()


def calls(what=""):
    file = world() / CALLS
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [line for line in lines if line["what"].startswith(what)]


def happened():
    """Be the moment after an effect and before its record: the chaos suite kills here."""


class Records(Value):
    """What was read: a TTL, and when an old one has run out."""

    ttl: str
    read_at: datetime


class SetValue(Change):
    """Set a value of the world: convergent."""

    name: str
    was: str
    to: str

    def sentence(self):
        return f"set {self.name} to {self.to}"

    def resource(self):
        return f"value {self.name}"

    def touches(self):
        return f"the world's {self.name}"

    def way_back(self):
        return f"set it to {self.was} again"

    def before(self):
        return f"{self.name} {self.was}"

    def after(self):
        return f"{self.name} {self.to}"

    def amounts(self) -> Mapping[str, float]:
        return {"values": 1}

    def observe(self, step: Step):
        del step
        return f"{self.name} {state()[self.name]}"

    def apply(self, step: Step):
        put(self.name, self.to)
        call(f"set {self.name} {self.to}")
        return self.result(step)

    def result(self, step: Step):
        del step
        return Records(ttl=state()["ttl"], read_at=datetime.fromisoformat("2026-01-01T00:00:00Z"))

    def undo(self, step: Step):
        del step
        put(self.name, self.was)
        call(f"undo {self.name} {self.was}")

    def health(self, step: Step):
        del step
        return [Check.of(f"{self.name} answers", holds=True, observed="yes", expected="yes")]


class OpenIncident(Change):
    """Tell the pager: it takes a key, and the same key twice is one incident."""

    effect: ClassVar = "keyed"

    def sentence(self):
        return "open an incident"

    def resource(self):
        return "pager"

    def touches(self):
        return "the pager"

    def way_back(self):
        return "resolve it"

    def apply(self, step: Step):
        call("incident", key=step.key)

    def undo(self, step: Step):
        call("resolve", key=step.key)


class Post(Change):
    """Post a message: nobody can tell whether it arrived, so a second one says that it may be one."""

    effect: ClassVar = "at least once"
    has_undo: ClassVar = False

    def sentence(self):
        return "post a message"

    def resource(self):
        return "channel"

    def touches(self):
        return "a channel"

    def way_back(self):
        return "no undo: what was said was said"

    def apply(self, step: Step):
        call("message", repeated=step.repeated)


class Order(Post):
    """Order something that must not be ordered twice: a person decides."""

    effect: ClassVar = "asks"

    def sentence(self):
        return "order a certificate"

    def apply(self, step: Step):
        del step
        call("order")


def read_records(step: Step) -> Records:
    step.evidence("records.txt", "ttl 3600")
    return Records(ttl=state()["ttl"], read_at=step.clock.now())


def ttl_is_known(step: Step, records: Records) -> Check:
    del step
    return Check.of(
        "the TTL is known", holds=records.ttl.isdigit(), observed=records.ttl, expected="a number"
    )


def plan_move(step: Step, records: Records) -> list[Change]:
    del step
    moves = [SetValue(name="ttl", was=records.ttl, to="300"), SetValue(name="traffic", was="0", to="5")]
    return [*moves, OpenIncident(), Post()]


def plan_undoable(step: Step, records: Records) -> list[Change]:
    return plan_move(step, records)[:3]


def plan_order(step: Step) -> Order:
    del step
    return Order()


def look(step: Step, past: tuple[Look, ...], *, verdict: str = "proceed") -> Look:
    ends = verdict == "rollback" and len(past) >= 1
    said = f"{len(past) + 1} looks, {verdict if ends or verdict != 'rollback' else 'fine'}"
    return Look(
        at=step.clock.now(),
        says=said,
        decision=verdict if ends or verdict != "rollback" else "proceed",
        ends=ends,
    )


def conclude(step: Step, verdict) -> Conclusion:
    del step
    return Conclusion(
        verdict="Moved.", numbers={"looks": Number(title="looks", value=verdict.looks, unit="")}
    )


def in_an_hour(records: Records):
    return records.read_at + timedelta(hours=1)


CELLS = (
    """\
from datetime import timedelta
from runbook import open_run
from tests import verbs
run = open_run("verbs", environment=environment, run_id=run_id, mode=mode, params={"verdict": verdict})
run""",
    'records = run.read("records", verbs.read_records)\nrecords',
    'run.check("the TTL is known", verbs.ttl_is_known, records)',
    'plan = run.plan("move", verbs.plan_move, records)\nplan',
    "run.approve(plan)",
    "run.apply(plan)",
    'run.wait("old TTLs have run out", until=verbs.in_an_hour(records))',
    "half_an_hour_on = verbs.in_an_hour(records) + timedelta(minutes=30)\n"
    'seen = run.watch("canary", verbs.look, until=half_an_hour_on, every_s=600, verdict=verdict)\nseen',
    "run.decide(seen)",
    'conclusion = run.read("what it comes to", verbs.conclude, seen)\nrun.finish(conclusion)',
)
PARAMETERS = """\
from typing import Literal

environment: str = "sandbox"  # a folder of params/
run_id: str = ""  # the run's name; empty makes one
mode: Literal["", "plan", "apply"] = ""  # what the run may do; empty: as the environment says
verdict: Literal["proceed", "hold", "rollback"] = "proceed"  # what the watch sees
"""
