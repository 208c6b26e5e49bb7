"""From the lines of a journal to the account of a run: a pure fold, the same for status, report and verify.

What the lines hold in `data`:

    opened    run_id, runbook, environment, mode, params, opened_by, versions, notebook_digest, plan_digest,
              clock, made_at (by the machine's clock, also where the run's own is a world's)
    resumed   by, versions, notebook_digest, predecessor (the seal before), answer (of a person, to a doubt)
    started   verb
    done      verb, seconds, phases, remarks, result (encoded), scratch (where the result lives, or null)
    failed    verb, seconds, phases, remarks, error, message, exit_code, result (of a check: its table);
              of a parked step: until, whom
    skipped   verb, why
    asked     request (encoded): what is to be signed
    looked    look (encoded)
    change    step, number, state, in_scratch, resource, effect; observed, result, why, as the state has them
    note      redo_from: that step and all after it are done again, their scratch folder is gone;
              notebook_digest: it was edited; lost_lines: what a rollback did and could not write down
    aborted   by, reason, abandoned (a newer drill took its place)
    reviewed  request_digest, by, says: a break-glass approval was looked at afterwards
    finished  conclusion (encoded)
    ended     how, error, message, times, exit_code: as the process that drove the kernel saw it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from runbook.errors import JournalCorrupt
from runbook.gates.approvals import Approval
from runbook.journal import Kind, Record, decode
from runbook.outcome import Open, Outcome, Situation, outcome
from runbook.summary import (
    ApprovalLine,
    ChangeLine,
    ChangeStatus,
    CheckLine,
    Conclusion,
    RunStatus,
    StepLine,
    StepStatus,
    Summary,
)
from runbook.values import Checks, Phase

STATUS_OF: dict[int, RunStatus] = {0: "done", 3: "no-go", 4: "left in between", 75: "parked"}
CHANGE_STATUS: dict[str, ChangeStatus] = {
    "applying": "begun",
    "applied": "applied",
    "found": "was in place",
    "undoing": "undo begun",
    "undone": "undone",
    "stuck": "not undone",
    "stays": "stays",
}


@dataclass
class _Step:
    """A step while its lines are being read."""

    verb: str
    title: str
    began_at: str
    attempts: int = 1
    status: StepStatus = "unknown"
    seconds: float = 0.0
    message: str = ""
    exit_code: int = 0
    error: str = ""
    until: datetime | None = None
    whom: tuple[str, ...] = ()
    phases: tuple[Phase, ...] = ()
    checks: Checks | None = None
    conclusion: Conclusion | None = None
    approval: Approval | None = None

    def end(self, record: Record) -> None:
        data = record.data
        self.error = data.get("error", "")
        self.status = "done" if record.kind == "done" else "waiting" if self.error == "Parked" else "failed"
        self.seconds, self.message = data["seconds"], data.get("message", "")
        self.exit_code = data.get("exit_code", 0)
        self.until, self.whom = decode(data.get("until")), tuple(data.get("whom", ()))
        self.phases = tuple(Phase(name=name, seconds=seconds) for name, seconds in data["phases"])
        self.conclusion = _conclusion(data.get("result"))
        result = (
            decode(data["result"])
            if self.verb in ("check", "approve", "decide") and data.get("result")
            else None
        )
        self.checks = result if isinstance(result, Checks) else None
        signed = getattr(result, "approval", result)  # a decision that a person made holds its approval
        self.approval = signed if isinstance(signed, Approval) else None

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
    changes: dict[tuple[str, int], ChangeLine] = field(default_factory=dict)
    reviews: dict[str, str] = field(default_factory=dict)
    taken_up_by: list[str] = field(default_factory=list)
    verdict: Conclusion | None = None
    finished: bool = False
    aborted: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    edits: int = 0
    lost_lines: int = 0
    predecessor: str = ""

    def take(self, record: Record) -> None:
        data = record.data
        match record.kind:
            case "started":
                self._start(record, data["verb"])
            case "done" | "failed":
                self.steps[record.title].end(record)
            case "skipped":
                self._start(record, data["verb"])
                self.steps[record.title].status, self.steps[record.title].message = "skipped", data["why"]
            case "change" if not data["in_scratch"]:
                self._change(record)
            case "note":
                self._note(data)
            case "aborted":
                self.aborted = data
            case "reviewed":
                self.reviews[data["request_digest"]] = f"{data['by']}: {data['says']}"
            case _:
                self._turn(record.kind, data)

    def _turn(self, kind: Kind, data: dict[str, Any]) -> None:
        """Take what happened to the run as a whole."""
        if kind == "finished":
            self.finished, self.verdict = True, _conclusion(data["conclusion"])
        elif kind == "ended":
            self.ended = data
        elif kind == "resumed":
            self.ended, self.predecessor = {}, data.get("predecessor") or self.predecessor
            self.taken_up_by.append(data["by"])

    def _start(self, record: Record, verb: str) -> None:
        self.steps.pop(record.title, None)
        self.attempts[record.title] = self.attempts.get(record.title, 0) + 1
        self.steps[record.title] = _Step(verb, record.title, record.at, attempts=self.attempts[record.title])

    def _change(self, record: Record) -> None:
        data = record.data
        self.changes[data["step"], data["number"]] = ChangeLine(
            step=data["step"],
            number=data["number"],
            sentence=record.title,
            resource=data["resource"],
            status=CHANGE_STATUS[data["state"]],
            at=datetime.fromisoformat(record.at),
            remark=data.get("why", ""),
        )

    def _note(self, data: dict[str, Any]) -> None:
        self.edits += "notebook_digest" in data
        self.lost_lines += data.get("lost_lines", 0)
        if "redo_from" in data:
            titles = list(self.steps)
            for title in titles[titles.index(data["redo_from"]) :]:
                del self.steps[title]

    def check_lines(self) -> list[CheckLine]:
        return [
            CheckLine(step=step.title, **dict(check))
            for step in self.steps.values()
            for check in (step.checks.items if step.checks else ())
        ]

    def approval_lines(self) -> list[ApprovalLine]:
        return [
            ApprovalLine(
                step=step.title,
                says=step.approval.in_a_line(),
                request_digest=step.approval.request.digest,
                expires_at=step.approval.request.expires_at,
                break_glass=step.approval.break_glass,
                review=self.reviews.get(step.approval.request.digest, ""),
            )
            for step in self.steps.values()
            if step.approval is not None
        ]

    def open_steps(self) -> list[Open]:
        """Return the steps that did not end well, with what they began to change."""
        return [
            Open(
                verb=step.verb,
                title=step.title,
                status=step.status,
                exit_code=step.exit_code,
                error=step.error,
                message=step.message,
                checks=step.checks,
                changes=tuple(line for line in self.changes.values() if line.step == step.title),
            )
            for step in self.steps.values()
            if step.status in ("failed", "unknown", "waiting")
        ]


def _conclusion(encoded: Any) -> Conclusion | None:
    """Return a recorded Conclusion; other results are not even decoded."""
    is_one = isinstance(encoded, dict) and isinstance(encoded.get("of"), dict)
    if not is_one or not str(encoded["of"].get("class")).endswith(":Conclusion"):
        return None
    found = decode(encoded)
    return found if isinstance(found, Conclusion) else None


def is_over(records: Sequence[Record]) -> bool:
    """Whether nobody takes the run up again: it finished, was ended by hand, or came to a no-go for good.

    Nothing is decoded for it, so asking is cheap.
    """
    no_go = ""
    for record in records:
        if record.kind in ("finished", "aborted"):
            return True
        if record.kind == "failed" and record.data.get("error") == "NoGo":
            no_go = record.title
        elif record.kind in ("started", "done") and record.title == no_go:
            no_go = ""
    return bool(no_go)


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
    found = _outcome(account, alive=alive)
    concluded = [step.conclusion for step in account.steps.values() if step.conclusion]
    conclusion = account.verdict or next(reversed(concluded), Conclusion(verdict=""))
    waiting = next((s for s in reversed(account.steps.values()) if s.status == "waiting"), None)
    ended_at = None if alive else datetime.fromisoformat(records[-1].at)
    opened_at = datetime.fromisoformat(records[0].at)
    passed_s = (ended_at - opened_at).total_seconds() if ended_at else None
    times, in_world = _times(account), opened.get("clock") == "world"
    return Summary(
        run_id=opened["run_id"],
        runbook=opened["runbook"],
        environment=opened["environment"],
        mode=opened["mode"],
        status="running"
        if alive
        else "abandoned"
        if found.abandoned
        else STATUS_OF.get(found.exit_code, "failed"),
        exit_code=found.exit_code,
        verdict=found.verdict,
        reasons=found.reasons,
        opened_by=opened["opened_by"],
        opened_at=opened_at,
        ended_at=ended_at,
        wall_s=sum(phase.seconds for phase in times) if in_world and ended_at else passed_s,
        calendar_s=passed_s if in_world else None,
        times=times,
        params=opened["params"],
        checks=tuple(account.check_lines()),
        numbers=conclusion.numbers,
        steps=tuple(step.line() for step in account.steps.values()),
        changes=tuple(account.changes.values()),
        approvals=tuple(account.approval_lines()),
        waits_until=waiting.until if waiting and found.exit_code == 75 else None,  # noqa: PLR2004
        waits_for=waiting.whom if waiting and found.exit_code == 75 else (),  # noqa: PLR2004
        taken_up_by=tuple(account.taken_up_by),
        edits=account.edits,
        lost_lines=account.lost_lines,
        predecessor=account.predecessor,
        terminal=is_over(records),
        versions={**opened["versions"], **conclusion.versions},
    )


def _outcome(account: _Account, *, alive: bool) -> Outcome:
    return outcome(
        Situation(
            mode=account.opened["mode"],
            alive=alive,
            finished=account.finished,
            verdict=account.verdict.verdict if account.verdict else "",
            aborted=account.aborted,
            ended=account.ended,
            last=next(reversed(account.steps), ""),
            applied_anything=any(step.verb == "apply" for step in account.steps.values()),
            rolled_back=any(s.verb == "rollback" and s.status == "done" for s in account.steps.values()),
            open_steps=tuple(account.open_steps()),
            changes=tuple(account.changes.values()),
            checks=tuple(account.check_lines()),
        )
    )


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
