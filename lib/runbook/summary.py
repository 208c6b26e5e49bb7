"""The machine-readable account of a run, as summary.json holds it; report and index show nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from runbook.values import Check, Phase, Value, shown

RunStatus = Literal["running", "done", "no-go", "failed", "parked", "left in between", "abandoned"]
StepStatus = Literal["done", "failed", "skipped", "waiting", "unknown"]
ChangeStatus = Literal["begun", "applied", "was in place", "undo begun", "undone", "not undone", "stays"]


class Number(Value):
    """A number for other notebooks and for charts: a value with its unit, and its limit where it has one."""

    title: str
    value: float | None
    unit: str
    limit: float | None = None


class Conclusion(Value):
    """What a runbook hands to `finish`: its verdict in a sentence, its numbers, the versions it met."""

    verdict: str
    numbers: dict[str, Number] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        numbers = [(n.title, _with_limit(n)) for n in self.numbers.values()]
        return [("verdict", self.verdict), *numbers, *self.versions.items()]


def _with_limit(number: Number) -> str:
    if number.value is None:
        return "unknown"
    limit = f" (limit {shown(number.limit)} {number.unit})" if number.limit is not None else ""
    return f"{shown(number.value)} {number.unit}{limit}"


class StepLine(Value):
    """One step as it ended; `unknown` was started and never finished."""

    verb: str
    title: str
    status: StepStatus
    began_at: datetime
    seconds: float
    attempts: int = 1
    message: str = ""
    phases: tuple[Phase, ...] = ()


class ChangeLine(Value):
    """One change outside scratch as it stands: `at` is when its state was put on record."""

    step: str
    number: int
    sentence: str
    resource: str
    status: ChangeStatus
    at: datetime
    remark: str = ""


class ApprovalLine(Value):
    """An approval on record: of what, by whom, until when; `break_glass` is the reason of an emergency."""

    step: str
    says: str
    request_digest: str
    expires_at: datetime
    break_glass: str = ""
    review: str = ""


class CheckLine(Check):
    """A check of the run, with the step it belongs to."""

    step: str


class Summary(Value):
    """What a run came to. `verdict` is one sentence for a reader in a hurry; `reasons` are its grounds.

    `times` says where the wall time went: what others worked (the phases of steps), and the rest. In a
    rehearsal `calendar_s` went by on the world's clock meanwhile; its times are that clock's.
    A parked run waits until a time, for people's signatures, or both. `predecessor` is the SHA-256 of the
    SHA256SUMS that the run was sealed with before it was taken up again; of a `terminal` run nobody takes
    it up again. `lost_lines` counts what a rollback did and could not write down.
    """

    format: Literal[1] = 1
    run_id: str
    runbook: str
    environment: str
    mode: Literal["plan", "apply"]
    status: RunStatus
    exit_code: int
    verdict: str
    reasons: tuple[str, ...] = ()
    opened_by: str
    opened_at: datetime
    ended_at: datetime | None
    wall_s: float | None
    calendar_s: float | None = None
    times: tuple[Phase, ...] = ()
    params: dict[str, JsonValue]
    checks: tuple[CheckLine, ...]
    numbers: dict[str, Number]
    steps: tuple[StepLine, ...]
    changes: tuple[ChangeLine, ...] = ()
    approvals: tuple[ApprovalLine, ...] = ()
    waits_until: datetime | None = None
    waits_for: tuple[str, ...] = ()
    taken_up_by: tuple[str, ...] = ()
    edits: int = 0
    lost_lines: int = 0
    predecessor: str = ""
    terminal: bool = False
    versions: dict[str, str]
    signature: Literal["unsigned", "signed"] = "unsigned"
