"""The exceptions of this package: one class for each decision the caller can take.

    RunbookError                       exit code
    ├── StepFailed                 1   a step did not do its work; nothing is half-done; resume tries it again
    │   ├── ProgramFailed              a program we started ended badly (its name, exit code, last words)
    │   └── VendorError                a vendor's API did not do what was asked
    │       ├── VendorRefused          it said no: mend credential, input or ground, then resume
    │       ├── VendorUnavailable      it did not answer, or asks for time: resume later
    │       └── SurprisingReply        its reply has not the expected shape: look before going on
    ├── JournalError               1   the record of a run cannot be read or written
    │   ├── JournalCorrupt             a line, the chain or the order is not what was written
    │   └── RunBusy                    another process is executing this run
    ├── InputError                 2   fix what was typed or written; nothing ran
    │   ├── ParamsError                every problem of the parameter files at once
    │   ├── UnknownName                no such runbook, environment, run or scenario
    │   ├── UnfinishedRun              a run of this runbook is still open: resume it or begin another
    │   ├── OutOfOrder                 a step before this one is missing: run its cell first
    │   └── ReplayMismatch             the notebook and its journal have parted
    ├── Refused                    3   a check, gate or approval said no
    │   ├── CheckFailed                mend what it names, then resume
    │   ├── ApprovalRefused            a signature does not count, or what was signed is no longer so
    │   ├── OverLimit                  a plan changes more than params allow: split it, or raise the limit
    │   ├── Reserved                   another run holds what would be changed: wait, or release it
    │   ├── Drifted                    the world is neither as planned from nor as planned to: look, plan anew
    │   ├── SignatureRefused           a signature does not count: who, what, when or for what
    │   └── NoGo                       terminal: this run does not go on
    ├── LeftInBetween              4   a person is needed now
    │   └── OutcomeUnknown             a call that must not be repeated was sent; nobody knows if it was done
    └── Parked                    75   waits for a time, a window or a signature

Every message names what was observed, what was expected and what to type next.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar


class RunbookError(Exception):
    """Base of all; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 1

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows of it in a notebook: what it says, not a page of traceback."""
        return [f"{type(self).__name__}: {self}", *getattr(self, "__notes__", [])]


class StepFailed(RunbookError):
    """A step did not do its work; nothing is half-done, running it again is safe."""


class ProgramFailed(StepFailed):
    """A program we started ended badly.

    `program` is its name, `returncode` its exit code (negative: the signal), `said` its last words.
    """

    def __init__(self, program: str, returncode: int, said: str) -> None:
        self.program, self.returncode, self.said = program, returncode, said.strip()
        super().__init__(f"{program} ended with {returncode}: {self.said or 'it said nothing'}")


class VendorError(StepFailed):
    """A vendor's API did not do what was asked.

    `vendor` and `call` name the operation; `status` is HTTP's (None: no reply), `code` the vendor's own,
    `request_id` what its support asks for.
    """

    def __init__(
        self,
        message: str,
        *,
        vendor: str = "",
        call: str = "",
        status: int | None = None,
        code: str = "",
        request_id: str = "",
    ) -> None:
        self.vendor, self.call, self.status = vendor, call, status
        self.code, self.request_id = code, request_id
        super().__init__(message)


class VendorRefused(VendorError):
    """The vendor said no; asking again as things are will not help."""


class VendorUnavailable(VendorError):
    """The vendor did not answer, failed, or asks for time; nothing was done that a resume would double."""


class SurprisingReply(VendorError):
    """A vendor's reply has not the shape its documentation promises; nothing is made of it."""


class JournalError(RunbookError):
    """The record of a run cannot be read or written."""


class JournalCorrupt(JournalError):
    """A line, the chain of hashes or the order of a journal is not what was written."""


class RunBusy(JournalError):
    """Another process is executing this run."""


class InputError(RunbookError):
    """What was typed or written is wrong; nothing ran."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input: where, what was found, what would be right."""

    file: str
    key: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: found {self.found}; right would be {self.expected}"


class ParamsError(InputError):
    """Parameters are wrong; `problems` lists all of them."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__("\n  ".join([f"{count} in the parameters, nothing was run:", *map(str, problems)]))


class UnknownName(InputError):
    """No runbook, environment, run or scenario of that name."""


class OutOfOrder(InputError):
    """A step was asked for while one before it is not on record."""


class UnfinishedRun(InputError):
    """A run of the same runbook, environment and parameters is still open."""


class ReplayMismatch(InputError):
    """The notebook asks for another step than its journal holds at this place."""


class Refused(RunbookError):
    """A check, a gate or an approval said no."""

    exit_code = 3


class CheckFailed(Refused):
    """A check did not hold; mend what it names and resume. `checks` is the whole table it stood in."""

    def __init__(self, message: str, *, checks: object = None) -> None:
        self.checks = checks
        super().__init__(message)


class ApprovalRefused(Refused):
    """A signature does not count, or what was signed no longer holds; nothing was done."""


class OverLimit(Refused):
    """A plan changes more than the environment's limits allow; nothing was done."""


class Reserved(Refused):
    """What would be changed is held by another run; nothing was done."""


class Drifted(Refused):
    """What is there is neither what the change starts from nor what it leads to; somebody else was here."""


class SignatureRefused(Refused):
    """A signature does not count.

    `why` is one of: missing, malformed, content, namespace, foreign, expired, revoked.
    """

    def __init__(self, why: str, message: str) -> None:
        self.why = why
        super().__init__(message)


class NoGo(Refused):
    """Terminal: this run does not go on."""


class LeftInBetween(RunbookError):
    """An effect is half-done or unknown and a person is needed now."""

    exit_code = 4


class OutcomeUnknown(LeftInBetween):
    """A call that must not be repeated was sent and not answered: look before sending it again."""

    def __init__(self, message: str, *, vendor: str = "", call: str = "", request_id: str = "") -> None:
        self.vendor, self.call, self.request_id = vendor, call, request_id
        super().__init__(message)


class Parked(RunbookError):
    """The run waits, and no process has to: for a time (`until`, a window too), or for people (`whom`)."""

    exit_code = 75

    def __init__(self, message: str, *, until: datetime | None = None, whom: tuple[str, ...] = ()) -> None:
        self.until, self.whom = until, whom
        super().__init__(message)


def exit_code_of(name: str) -> int:
    """Return the exit code of an exception known only by its name, 1 for one that is not ours."""
    kind = globals().get(name)
    return kind.exit_code if isinstance(kind, type) and issubclass(kind, RunbookError) else 1
