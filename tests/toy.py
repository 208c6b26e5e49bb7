"""What the toy runbook of the tests does: reads a number, checks it, writes it to a file."""

import os
import signal
import threading
from pathlib import Path
from typing import ClassVar

from runbook.changes.interface import Change
from runbook.errors import StepFailed
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check, Value

LIMIT = 10


class Written(Value):
    """A number that was written."""

    number: int
    path: Path


class WriteNumber(Change):
    """Write a number to world.txt, a line each time, so that doubled effects show."""

    number: int
    in_scratch: ClassVar[bool] = False

    def sentence(self):
        return f"write {self.number} to world.txt"

    def touches(self):
        return "world.txt"

    def way_back(self):
        return "delete the line"

    def before(self):
        return f"{self.number} is not there"

    def after(self):
        return f"{self.number} is there"

    def observe(self, step):
        del step
        return self.after() if str(self.number) in written() else self.before()

    def apply(self, step):
        with WORLD().open("a") as file:
            file.write(f"{self.number}\n")
        return self.result(step)

    def result(self, step):
        del step
        return Written(number=self.number, path=WORLD())

    def undo(self, step):
        del step
        WORLD().write_text("".join(f"{line}\n" for line in written() if line != str(self.number)))


def written():
    return WORLD().read_text().split() if WORLD().exists() else []


def WORLD():  # noqa: N802  # the one place a toy touches
    return Path(os.environ["RUNBOOK_ROOT"]) / "world.txt"


def read_number(step: Step, x: int) -> int:
    with step.phase("reading"):
        step.evidence("number.txt", f"x is {x}")
    return x


def check_number(step: Step, number: int) -> list[Check]:
    del step
    title = "too large" if number > LIMIT else "small enough"
    return [Check.of(title, holds=number <= LIMIT, observed=number, expected=f"at most {LIMIT}")]


def plan_write(step: Step, number: int) -> WriteNumber:
    del step
    return WriteNumber(number=number)


def conclude(step: Step, applied) -> Conclusion:
    del step
    written = Number(title="number written", value=applied.result.number, unit="")
    return Conclusion(verdict=f"Wrote {applied.result.number}.", numbers={"written": written})


def look_at_door(step: Step) -> str:
    del step
    if not (WORLD().parent / "door").exists():
        raise StepFailed("the door is shut")
    return "open"


class Fall(WriteNumber):
    """A change in whose middle the process dies."""

    def sentence(self):
        return "fall over"

    def apply(self, step):
        del step
        os.kill(os.getpid(), signal.SIGKILL)


def plan_fall(step: Step) -> Fall:
    del step
    return Fall(number=7)


def wait_for_ever(step: Step) -> None:
    del step
    (WORLD().parent / "waiting.new").write_text(str(os.getpid()))
    (WORLD().parent / "waiting.new").rename(WORLD().parent / "waiting")
    threading.Event().wait()


def leak(step: Step) -> None:
    raise StepFailed(f"refused token {step.secret('TOY_TOKEN')}")
