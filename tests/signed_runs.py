"""Runs as they are sealed, for tests: real keys, a real approval, the verbs, no kernel.

`Office` is a project whose production has people: Ada (tech lead), Bob (CTO), Carl, who opens the runs,
and a machine that seals them.
"""

import shutil
from pathlib import Path

import yaml

from runbook import approving, opening, surroundings
from runbook.errors import Parked
from runbook.sealing import seal
from runbook.signatures import KeyFile
from tests import toy
from tests.keys import allow, listed, make_key
from tests.project import OPEN, make_project

GATES = {"approvals": "signed", "break_glass": {"roles": ["tech_lead", "cto"], "review_within_h": 24}}
PEOPLE = [
    {"principal": "ada@x", "roles": ["tech_lead"]},
    {"principal": "bob@x", "roles": ["cto"]},
    {"principal": "carl@x", "roles": ["tech_lead"], "accounts": []},
]
REAL = Path(__file__).parents[1] / "outputs"


class Office:
    """A project with people in it, and what they do."""

    def __init__(self, folder: Path, **gates) -> None:
        self.root = make_project(folder / "project", cells=[OPEN])
        self.keys = {name: make_key(folder / "keys", name) for name in ("ada", "bob", "carl", "ci", "eve")}
        self.file = self.root / "params/production/environment.yaml"
        self.configure(gates=GATES | gates, people=self.people())
        self.allow()

    @staticmethod
    def people():
        *others, carl = PEOPLE
        return [*others, carl | {"accounts": [surroundings.who()]}]

    def configure(self, **parts):
        """Write parts of production's environment.yaml anew."""
        self.file.write_text(yaml.safe_dump(yaml.safe_load(self.file.read_text()) | parts))

    def allow(self, *more, **options):
        """List everybody but Eve as a signer; `options` are somebody's instead of both purposes."""
        names = [name for name in self.keys if name != "eve"]
        lines = [self.line(name, **({"options": options[name]} if name in options else {})) for name in names]
        return allow(self.root / "params/production/allowed_signers", *lines, *more)

    def line(self, name, **options):
        return listed(self.keys[name], f"{name}@x", **options)

    def key(self, name):
        return KeyFile(self.keys[name])

    def folder(self, run_id="r1"):
        return self.root / "outputs" / run_id

    def open(self, run_id="r1", x=1, environment="production"):
        opening._open_runs.clear()
        return opening.open_run("toy", environment=environment, run_id=run_id, mode="apply", params={"x": x})

    def ask(self, run_id="r1", x=1):
        """Go as far as the approval and park there."""
        run = self.open(run_id, x)
        plan = run.plan("write the number", toy.plan_write, run.read("the number", toy.read_number, x))
        try:
            run.approve(plan)
        except Parked:
            return run
        raise AssertionError("it went on without a signature")

    def approve(self, who="ada", role="tech-lead", run_id="r1", **options):
        return approving.approve(self.root, run_id, role=role, key=self.keys[who], **options)

    def go_on(self, run_id="r1", x=1):
        """Take the run up again and bring it to its end."""
        run = self.open(run_id, x)
        plan = run.plan("write the number", toy.plan_write, run.read("the number", toy.read_number, x))
        run.approve(plan)
        applied = run.apply(plan)
        run.finish(run.read("what came of it", toy.conclude, applied))
        return run

    def seal(self, who="ci", run_id="r1"):
        notebook = self.folder(run_id) / "notebook.ipynb"
        shutil.copy(self.root / "notebooks/drills/toy.ipynb", notebook)
        return seal(self.folder(run_id), key=self.key(who) if who else None)

    def whole(self, run_id="r1", x=1):
        """Make a run that parked, was sealed, approved, taken up again, finished and sealed again."""
        self.ask(run_id, x)._recorder.close()
        self.seal(run_id=run_id)
        self.approve(run_id=run_id)
        self.go_on(run_id, x)
        self.seal(run_id=run_id)
        return self.folder(run_id)

    def verify(self, run_id="r1", **options):
        return approving.verify(run_id, start=self.root, **options)
