"""A small project for tests: the real plan, a sandbox without a database, and a toy runbook."""

import shutil
from pathlib import Path

from tests.notebooks import write_notebook

ROOT = Path(__file__).parents[1]

SANDBOX = """\
name: sandbox
says: for tests
default_mode: apply
secret_variables: [TOY_TOKEN]
gates: {approvals: rehearsed}
"""
PRODUCTION = """\
name: production
says: for tests
default_mode: plan
secret_variables: [TOY_TOKEN]
"""

SCENARIOS = """\
scenarios:
  - name: fine
    runbook: toy
    params: {x: 1}
    expected: {status: done, exit_code: 0}
    in_make_drill: true
    proves: that a run ends well
  - name: refused
    runbook: toy
    params: {x: 99}
    expected: {status: no-go, exit_code: 3, because: too large}
    in_make_drill: false
    proves: that a check stops a run
"""

PARAMETERS = """\
from typing import Literal

environment: str = "sandbox"  # a folder of params/
run_id: str = ""  # the run's name; empty makes one
mode: Literal["", "plan", "apply"] = ""  # what the run may do; empty: as the environment says
x: int = 1  # number; for tests; 0 to 100
"""

OPEN = """\
from runbook import open_run
from tests import toy
run = open_run("toy", environment=environment, run_id=run_id, mode=mode, params={"x": x})
run"""

CELLS = (
    OPEN,
    'number = run.read("the number", toy.read_number, x)\nnumber',
    'run.check("the number is right", toy.check_number, number)',
    'plan = run.plan("write the number", toy.plan_write, number)\nplan',
    "applied = run.apply(plan)\napplied",
    'conclusion = run.read("what came of it", toy.conclude, applied)\nrun.finish(conclusion)',
)


def make_project(folder, *, cells=CELLS, parameters=PARAMETERS, name="toy"):
    """Write a project with one runbook into `folder` and return it."""
    for environment, text in (("sandbox", SANDBOX), ("production", PRODUCTION)):
        (folder / "params" / environment).mkdir(parents=True)
        (folder / "params" / environment / "environment.yaml").write_text(text)
        (folder / "params" / environment / f"{name}.yaml").write_text("x: 1\n" if name == "toy" else "{}\n")
    (folder / "params" / "sandbox" / "scenarios.yaml").write_text(SCENARIOS)
    shutil.copy(ROOT / "params" / "plan.yaml", folder / "params" / "plan.yaml")
    write_notebook(folder / "notebooks" / "drills" / f"{name}.ipynb", *cells, parameters=parameters)
    return folder
