"""A runbook of the tests that is rehearsed in a world: looks back, waits a day, writes a number."""

from datetime import datetime, timedelta

from runbook.errors import StepFailed
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Value
from tests.project import PARAMETERS, make_project

SANDBOX = """\
name: sandbox
says: for tests
default_mode: apply
worlds: [toy]
gates: {approvals: rehearsed, inline_wait_s: %s}
vendors:
  slack: {base_url: null, ids: {channel: C0DEPLOYS0}}
"""
CELLS = (
    """\
from runbook import open_run
from tests import outings, toy
run = open_run("toy", environment=environment, run_id=run_id, mode=mode, params={"x": x, "before": before})
run""",
    'seen = run.read("the world", outings.look_around)\nseen',
    'run.read("the run before", outings.look_back, before)',
    'run.wait("a day", until=outings.day_after(seen))',
    'plan = run.plan("write the number", toy.plan_write, x)\nplan',
    "run.approve(plan)",
    "applied = run.apply(plan)\napplied",
    'run.finish(run.read("what came of it", outings.conclude, applied))',
)


class Around(Value):
    """The world as a step saw it."""

    at: datetime


def outing_project(folder, *, inline_wait_s=1_000_000):
    """Write a project whose runbook is rehearsed in a world; waits longer than `inline_wait_s` park."""
    parameters = PARAMETERS + 'before: str = ""  # a run; the one that came before\n'
    made = make_project(folder, cells=CELLS, parameters=parameters)
    (made / "params/sandbox/environment.yaml").write_text(SANDBOX % inline_wait_s)
    return made


def look_around(step: Step) -> Around:
    if not step.rehearsal().secrets["slack"]:
        raise StepFailed("the world has no vendors")
    return Around(at=step.clock.now())


def day_after(seen: Around) -> datetime:
    return seen.at + timedelta(days=1)


def look_back(step: Step, before: str) -> str:
    if not before:
        return "nothing came before"
    earlier = step.earlier(before)
    around = earlier.result("the world")
    return f"{earlier.summary.status}, {len(earlier.problems)} problems, saw {around.at:%A %H:%M}"


def conclude(step: Step, applied) -> Conclusion:
    number = Number(title="number written", value=applied.result.number, unit="")
    return Conclusion(
        verdict=f"Wrote {number.value:g} at {step.clock.now():%A %H:%M}.", numbers={"written": number}
    )
