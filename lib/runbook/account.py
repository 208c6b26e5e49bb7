"""From the lines of a journal to the account of a run: a pure fold, the same for status, report and verify.

What the lines hold in `data`:

    opened    run_id, runbook, environment, mode, params, opened_by, versions
    started   verb, inputs (digest)
    done      verb, seconds, phases, result (encoded), scratch (the folder the result lives in, or null)
    failed    verb, seconds, phases, error, message, exit_code, result (of a check: its table)
    skipped   verb, why
    change    state (applying, applied, found), in_scratch
    finished  conclusion (encoded)
    ended     how, message, times, exit_code
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runbook.errors import JournalCorrupt
from runbook.journal import Record, decode
from runbook.summary import CheckLine, Conclusion, RunStatus, StepLine, StepStatus, Summary
from runbook.values import Checks, Phase

STATUS_OF: dict[int, RunStatus] = {0: "done", 3: "no-go", 4: "left in between", 75: "parked"}


@dataclass
class _Step:
    """A step while its lines are being read."""

    verb: str
    title: str
    began_at: str
    attempts: int = 0
    status: StepStatus = "unknown"
    seconds: float = 0.0
    message: str = ""
    exit_code: int = 0
    phases: tuple[Phase, ...] = ()
    checks: Checks | None = None
    conclusion: Conclusion | None = None

    def end(self, record: Record) -> None:
        data = record.data
        self.status = "done" if record.kind == "done" else "failed"
        self.seconds, self.message = data["seconds"], data.get("message", "")
        self.exit_code = data.get("exit_code", 0)
        self.conclusion = _conclusion(data.get("result"))
        self.phases = tuple(Phase(name=name, seconds=seconds) for name, seconds in data["phases"])
        result = decode(data["result"]) if self.verb == "check" and data.get("result") else None
        self.checks = result if isinstance(result, Checks) else None

    def line(self) -> StepLine:
        return StepLine(
            verb=self.verb,
            title=self.title,
            status=self.status,
            began_at=datetime.fromisoformat(self.began_at),
            seconds=self.seconds,
            attempts=max(1, self.attempts),
            message=self.message,
            phases=self.phases,
        )


@dataclass
class _Account:
    """Everything the lines say, before it is put into words."""

    opened: Record
    steps: dict[str, _Step] = field(default_factory=dict)
    verdict: Conclusion | None = None
    finished: bool = False
    ended: Record | None = None
    half_done: str = ""

    def take(self, record: Record) -> None:
        if record.kind == "started":
            self._start(record)
        elif record.kind in ("done", "failed"):
            self.steps[record.title].end(record)
            self.half_done = "" if record.kind == "done" else self.half_done
        elif record.kind == "skipped":
            self.steps[record.title] = _Step(record.data["verb"], record.title, record.at, status="skipped")
            self.steps[record.title].message = record.data["why"]
        elif record.kind == "change":
            applying = record.data["state"] == "applying" and not record.data["in_scratch"]
            self.half_done = record.title if applying else ""
        elif record.kind == "finished":
            self.finished, self.verdict = True, _conclusion(record.data["conclusion"])
        elif record.kind in ("ended", "resumed"):
            self.ended = record if record.kind == "ended" else None

    def _start(self, record: Record) -> None:
        again = self.steps.pop(record.title, None)
        step = _Step(record.data["verb"], record.title, record.at)
        step.attempts = 1 + (again.attempts if again else 0)
        self.steps[record.title] = step


def _conclusion(encoded: Any) -> Conclusion | None:
    """Return a recorded Conclusion; other results are not even decoded."""
    is_one = isinstance(encoded, dict) and isinstance(encoded.get("of"), dict)
    if not is_one or not str(encoded["of"].get("class")).endswith(":Conclusion"):
        return None
    found = decode(encoded)
    return found if isinstance(found, Conclusion) else None


def summarize(records: Sequence[Record], *, alive: bool = False) -> Summary:
    """Return the account of a run from its journal; `alive` says that a process is executing it now.

    Raises JournalCorrupt when the lines are not those of a run.
    """
    if not records or records[0].kind != "opened":
        raise JournalCorrupt("a run's journal begins with the line 'opened'; this one does not")
    account = _Account(records[0])
    for record in records[1:]:
        account.take(record)
    exit_code, verdict, reasons = _outcome(account, alive=alive)
    opened = records[0].data
    concluded = [step.conclusion for step in account.steps.values() if step.conclusion]
    conclusion = account.verdict or next(reversed(concluded), Conclusion(verdict=""))
    ended_at = None if alive else datetime.fromisoformat(records[-1].at)
    opened_at = datetime.fromisoformat(records[0].at)
    return Summary(
        run_id=opened["run_id"],
        runbook=opened["runbook"],
        environment=opened["environment"],
        mode=opened["mode"],
        status="running" if alive and not account.finished else STATUS_OF.get(exit_code, "failed"),
        exit_code=exit_code,
        verdict=verdict,
        reasons=reasons,
        opened_by=opened["opened_by"],
        opened_at=opened_at,
        ended_at=ended_at,
        wall_s=(ended_at - opened_at).total_seconds() if ended_at else None,
        times=_times(account),
        params=opened["params"],
        checks=tuple(_check_lines(account)),
        numbers=conclusion.numbers,
        steps=tuple(step.line() for step in account.steps.values()),
        versions={**opened["versions"], **conclusion.versions},
    )


def _outcome(account: _Account, *, alive: bool) -> tuple[int, str, tuple[str, ...]]:
    """Return exit code, verdict and reasons, the most severe first."""
    last = next(reversed(account.steps.values()), None)
    if account.finished:
        return 0, _done_verdict(account), _unchecked(account)
    if account.half_done:
        return 4, f"Left in between: “{account.half_done}” was begun and nobody saw it end.", ()
    if alive:
        return 0, f"Running: {last.title}." if last else "Running: just opened.", ()
    if last and last.status == "failed":
        word = {3: "No-go", 75: "Parked"}.get(last.exit_code, "Failed")
        return last.exit_code or 1, f"{word} at “{last.title}”: {last.message}", _failed(last)
    ended: dict[str, Any] = account.ended.data if account.ended else {}
    where = f"in “{last.title}”" if last else "before the first step"
    what = ended.get("message") or "the process ended without a word"
    return ended.get("exit_code") or 1, f"Failed {where}: {what}. Nothing is half-done.", ()


def _done_verdict(account: _Account) -> str:
    if account.opened.data["mode"] == "plan":
        return "Planned only: nothing was changed."
    if account.verdict and account.verdict.verdict:
        return account.verdict.verdict
    passed = sum(line.status == "passed" for line in _check_lines(account))
    return f"Done: {passed} checks passed."


def _unchecked(account: _Account) -> tuple[str, ...]:
    lines = [line for line in _check_lines(account) if line.status == "not checked"]
    return tuple(f"not checked: {line.title} ({line.observed})" for line in lines)


def _failed(step: _Step) -> tuple[str, ...]:
    failed = step.checks.failed if step.checks else ()
    return tuple(f"{check.title}: observed {check.observed}; expected {check.expected}" for check in failed)


def _check_lines(account: _Account) -> list[CheckLine]:
    return [
        CheckLine(step=step.title, **dict(check))
        for step in account.steps.values()
        for check in (step.checks.items if step.checks else ())
    ]


def _times(account: _Account) -> tuple[Phase, ...]:
    """Split the wall time: what the programs under test worked, our steps, and what the driver measured.

    The driver's "kernel run" holds the steps; what is left of it went into imports, charts and waiting.
    """
    under_test_s = sum(phase.seconds for step in account.steps.values() for phase in step.phases)
    steps_s = sum(step.seconds for step in account.steps.values())
    driver = dict(account.ended.data.get("times", {})) if account.ended else {}
    between_s = driver.pop("kernel run", steps_s) - steps_s
    ours = {
        "the steps' own work": steps_s - under_test_s,
        "imports, charts, between steps": between_s,
        **driver,
    }
    return (
        Phase(name="PostgreSQL and other programs", seconds=under_test_s),
        *(Phase(name=name, seconds=max(0.0, seconds)) for name, seconds in ours.items()),
    )
