"""From the lines of a journal to the account of a run: a pure fold, the same for status, report and verify.

What the lines hold in `data`:

    opened    run_id, runbook, environment, mode, params, opened_by, versions
    resumed   by, versions: another process took the run up
    started   verb, changes (of an apply: how many it will make)
    done      verb, seconds, phases, remarks, result (encoded), scratch (where the result lives, or null)
    failed    verb, seconds, phases, remarks, error, message, exit_code, result (of a check: its table)
    skipped   verb, why
    change    step, number, state (applying, applied, found), in_scratch
    note      redo_from: that step and all after it are done again, their scratch folder is gone
    finished  conclusion (encoded)
    ended     how, error, message, times, exit_code: as the process that drove the kernel saw it
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

NAMED_AT_MOST = 3
STATUS_OF: dict[int, RunStatus] = {0: "done", 3: "no-go", 4: "left in between", 75: "parked"}


@dataclass
class _Step:
    """A step while its lines are being read; `changes` are those made outside scratch, in their order."""

    verb: str
    title: str
    began_at: str
    attempts: int = 1
    status: StepStatus = "unknown"
    seconds: float = 0.0
    message: str = ""
    exit_code: int = 0
    phases: tuple[Phase, ...] = ()
    checks: Checks | None = None
    conclusion: Conclusion | None = None
    changes: dict[str, str] = field(default_factory=dict)

    @property
    def half_done(self) -> bool:
        """Whether some of its changes were begun and it did not end well: nobody knows what holds now."""
        return self.status in ("failed", "unknown") and bool(self.changes)

    def end(self, record: Record) -> None:
        data = record.data
        self.status = "done" if record.kind == "done" else "failed"
        self.seconds, self.message = data["seconds"], data.get("message", "")
        self.exit_code = data.get("exit_code", 0)
        self.phases = tuple(Phase(name=name, seconds=seconds) for name, seconds in data["phases"])
        self.conclusion = _conclusion(data.get("result"))
        result = decode(data["result"]) if self.verb == "check" and data.get("result") else None
        self.checks = result if isinstance(result, Checks) else None

    def line(self) -> StepLine:
        return StepLine(
            verb=self.verb,
            title=self.title,
            status=self.status,
            began_at=datetime.fromisoformat(self.began_at),
            seconds=self.seconds,
            attempts=self.attempts,
            message=self.message,
            phases=self.phases,
        )


@dataclass
class _Account:
    """Everything the lines say, before it is put into words."""

    opened: dict[str, Any]
    steps: dict[str, _Step] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    verdict: Conclusion | None = None
    finished: bool = False
    ended: dict[str, Any] = field(default_factory=dict)

    def take(self, record: Record) -> None:
        data = record.data
        if record.kind == "started":
            self._start(record, data["verb"])
        elif record.kind in ("done", "failed"):
            self.steps[record.title].end(record)
        elif record.kind == "skipped":
            self._start(record, data["verb"])
            self.steps[record.title].status, self.steps[record.title].message = "skipped", data["why"]
        elif record.kind == "change" and not data["in_scratch"]:
            self.steps[data["step"]].changes[record.title] = data["state"]
        elif record.kind == "note" and "redo_from" in data:
            titles = list(self.steps)
            for title in titles[titles.index(data["redo_from"]) :]:
                del self.steps[title]
        elif record.kind == "finished":
            self.finished, self.verdict = True, _conclusion(data["conclusion"])
        elif record.kind in ("ended", "resumed"):
            self.ended = data if record.kind == "ended" else {}

    def _start(self, record: Record, verb: str) -> None:
        before = self.steps.pop(record.title, None)
        self.attempts[record.title] = self.attempts.get(record.title, 0) + 1
        step = _Step(verb, record.title, record.at, attempts=self.attempts[record.title])
        step.changes = before.changes if before else {}
        self.steps[record.title] = step

    def check_lines(self) -> list[CheckLine]:
        return [
            CheckLine(step=step.title, **dict(check))
            for step in self.steps.values()
            for check in (step.checks.items if step.checks else ())
        ]


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
    opened = records[0].data
    account = _Account(opened)
    for record in records[1:]:
        account.take(record)
    exit_code, verdict, reasons = _outcome(account, alive=alive)
    concluded = [step.conclusion for step in account.steps.values() if step.conclusion]
    conclusion = account.verdict or next(reversed(concluded), Conclusion(verdict=""))
    ended_at = None if alive else datetime.fromisoformat(records[-1].at)
    opened_at = datetime.fromisoformat(records[0].at)
    return Summary(
        run_id=opened["run_id"],
        runbook=opened["runbook"],
        environment=opened["environment"],
        mode=opened["mode"],
        status="running" if alive else STATUS_OF.get(exit_code, "failed"),
        exit_code=exit_code,
        verdict=verdict,
        reasons=reasons,
        opened_by=opened["opened_by"],
        opened_at=opened_at,
        ended_at=ended_at,
        wall_s=(ended_at - opened_at).total_seconds() if ended_at else None,
        times=_times(account),
        params=opened["params"],
        checks=tuple(account.check_lines()),
        numbers=conclusion.numbers,
        steps=tuple(step.line() for step in account.steps.values()),
        versions={**opened["versions"], **conclusion.versions},
    )


def _outcome(account: _Account, *, alive: bool) -> tuple[int, str, tuple[str, ...]]:
    """Return exit code, verdict and reasons, the most severe first."""
    last = next(reversed(account.steps.values()), None)
    open_steps = [step for step in account.steps.values() if step.status in ("failed", "unknown")]
    if alive:
        return 0, f"Running: {last.title}." if last else "Running: just opened.", ()
    for step in open_steps:
        if step.half_done:
            return 4, f"Left in between at “{step.title}”: a person is needed now.", _in_between(step)
    if account.ended.get("error") == "ReplayMismatch":
        return 2, f"Not resumed: {account.ended['message']}", ()
    if open_steps and open_steps[-1].status == "failed":
        return _refused_or_failed(account, open_steps[-1])
    if account.finished and not open_steps and account.ended.get("exit_code", 0) == 0:
        return 0, _done_verdict(account), _unchecked(account)
    what = account.ended.get("message") or ("" if account.ended else "the process ended without a word")
    where = (
        f"in “{open_steps[-1].title}”" if open_steps else f"after “{last.title}”" if last else "at its start"
    )
    said = what or "the notebook ended without run.finish()"
    return account.ended.get("exit_code") or 1, f"Failed {where}: {said}. Nothing is half-done.", ()


def _refused_or_failed(account: _Account, step: _Step) -> tuple[int, str, tuple[str, ...]]:
    exit_code = step.exit_code or 1
    if exit_code == 2 and any(other.verb == "apply" for other in account.steps.values()):  # noqa: PLR2004
        exit_code = 1  # 2 promises that nothing ran
    word = {3: "No-go", 75: "Parked"}.get(exit_code, "Failed")
    failed = step.checks.failed if step.checks else ()
    reasons = tuple(
        f"{check.title}: observed {check.observed}; expected {check.expected}" for check in failed
    )
    said = _failed_titles(step.checks) if failed and step.checks else step.message
    return exit_code, f"{word} at “{step.title}”: {said}", reasons


def _failed_titles(checks: Checks) -> str:
    """Return how many checks failed, and which: what they observed stands among the reasons."""
    titles = [check.title for check in checks.failed]
    more = f" and {len(titles) - NAMED_AT_MOST} more" if len(titles) > NAMED_AT_MOST else ""
    return f"{len(titles)} of {len(checks.items)} checks failed: {'; '.join(titles[:NAMED_AT_MOST])}{more}."


def _in_between(step: _Step) -> tuple[str, ...]:
    """Return what a person needs to know of a step that stopped between its changes."""
    words = {
        "applied": "applied",
        "found": "was in place already",
        "applying": "begun, and nobody saw it end",
    }
    stopped = f"it stopped with: {step.message}" if step.message else "its process ended in the middle"
    return (*(f"{change}: {words[state]}" for change, state in step.changes.items()), stopped)


def _done_verdict(account: _Account) -> str:
    if account.opened["mode"] == "plan":
        return "Planned only: nothing was changed."
    if account.verdict and account.verdict.verdict:
        return account.verdict.verdict
    passed = sum(line.status == "passed" for line in account.check_lines())
    return f"Done: {passed} checks passed."


def _unchecked(account: _Account) -> tuple[str, ...]:
    lines = [line for line in account.check_lines() if line.status == "not checked"]
    return tuple(f"not checked: {line.title} ({line.observed})" for line in lines)


def _times(account: _Account) -> tuple[Phase, ...]:
    """Split the wall time: what the programs under test worked, our steps, and what the driver measured.

    The driver's "kernel run" holds the steps; what is left of it went into imports, charts and waiting.
    """
    under_test_s = sum(phase.seconds for step in account.steps.values() for phase in step.phases)
    steps_s = sum(step.seconds for step in account.steps.values())
    driver = dict(account.ended.get("times", {}))
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
