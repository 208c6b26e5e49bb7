"""Handing a run over: what state it is in, whether that is safe, whose it is, what to type next.

A pure reading of a run's account, the same for `runbook status`, the report and the index. It never says more
than the record does: what nobody saw end is in doubt, whatever is likely.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from runbook.charts.words import count_text, seconds_text
from runbook.gates.reservations import Reservation
from runbook.summary import ApprovalLine, ChangeLine, ChangeStatus, StepLine, Summary
from runbook.values import Value

Safe = Literal["yes", "busy", "look", "no"]
"""Whether a run can be left as it is.

yes    nothing is half-done, nothing is in doubt
busy   a process is at work on it now
look   nothing is half-done, but something is in place that nobody looks after
no     something is half-done, in doubt or left, or the record cannot tell
"""
NAMED_AT_MOST = 4
BAD_INPUT = 2
IN_DOUBT: tuple[ChangeStatus, ...] = ("begun", "undo begun")
HAPPENED: dict[ChangeStatus, str] = {
    "begun": "begun, and nobody saw it end",
    "applied": "applied and verified",
    "was in place": "in place before this run",
    "undo begun": "its undo was begun, and nobody saw it end",
    "undone": "undone and verified",
    "stays": "it has no undo, and stays",
    "not undone": "its undo failed",
}


class Command(Value):
    """What to type, and what it is for."""

    type: str
    why: str


class Handover(Value):
    """What whoever takes a run over needs to know; `next` is in the order of preference."""

    state: str
    last_effect: str
    safe: Safe
    safety: str
    owner: str
    next: tuple[Command, ...]

    def rows(self) -> list[tuple[str, str]]:
        about = [("state", self.state), ("last effect", self.last_effect), ("safe now?", self.safety)]
        return [*about, ("owner", self.owner), *(("type next", command.type) for command in self.next)]


def handover(
    summary: Summary,
    *,
    held: Iterable[Reservation] = (),
    sealed: bool = True,
    now: datetime | None = None,
) -> Handover:
    """Return how a run is handed over.

    `held` are the reservations that are there, of any run; `sealed` says that its report and sums were
    written; with `now`, times to come are also told as how far off they are.
    """
    ours = [reservation for reservation in held if reservation.run_id == summary.run_id]
    safe, words = safety(summary)
    return Handover(
        state=_state(summary, now),
        last_effect=_last_effect(summary),
        safe=safe,
        safety=words,
        owner=_owner(summary, ours),
        next=tuple(_commands(summary, ours, sealed=sealed)),
    )


# What state


def _state(run: Summary, now: datetime | None) -> str:
    if run.status == "parked":
        return f"parked {waiting_for(run, now) or 'until somebody takes it up'}"
    if run.status == "running":
        return f"running: “{run.steps[-1].title}”" if run.steps else "running: just opened"
    if run.status == "done":
        return "done: it only planned" if run.mode == "plan" else "done"
    if run.status == "no-go":
        return "no-go, and over" if run.terminal else "no-go: it goes on once what it names is mended"
    if run.status == "failed":
        return "failed: it goes on once what it names is mended"
    if run.status == "abandoned":
        return "abandoned: another run took its place"
    return "left in between: a person is needed now"


def waiting_for(run: Summary, now: datetime | None = None) -> str:
    """Return until when and for whom a parked run waits, nothing when it waits for neither."""
    until = f"until {_when(run.waits_until)}{_far(run.waits_until, now)}" if run.waits_until else ""
    whom = f"for the signature of {_roles(run.waits_for)}" if run.waits_for else ""
    return ", ".join(filter(None, (until, whom)))


def _far(when: datetime, now: datetime | None) -> str:
    if now is None:
        return ""
    left_s = (when - now).total_seconds()
    return f" (in {seconds_text(left_s)})" if left_s > 0 else f" (due since {seconds_text(-left_s)})"


def _when(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _roles(roles: Sequence[str]) -> str:
    return " or ".join(role.replace("_", " ") for role in roles)


# The last effect


def _last_effect(run: Summary) -> str:
    done = [change for change in run.changes if change.status != "was in place"]
    if not done:
        return "none" if not run.changes else "none: all it asked for was in place before"
    last = max(done, key=lambda change: change.at)
    under_way = run.status == "running" and last.status in IN_DOUBT
    words = "under way" if under_way else HAPPENED[last.status]
    why = f" ({last.remark})" if last.remark else ""
    where = "" if last.resource in last.sentence else f" ({last.resource})"
    return f"“{last.sentence}”{where}: {words}{why}, {_when(last.at)}"


# Is it safe now?


def safety(run: Summary) -> tuple[Safe, str]:
    """Return whether a run can be left as it is, and why, in one sentence that promises nothing."""
    if run.status == "running":
        return "busy", f"A process is at work on it: change nothing that it changes. {_so_far(run)}"
    if wrong := list(_unsafe(run)):
        return "no", f"No: {'; '.join(wrong)}."
    if run.status == "left in between":
        return "no", f"No: {_open(run).message or run.verdict}" if run.steps else f"No: {run.verdict}"
    return _settled(run)


def _so_far(run: Summary) -> str:
    applied = _of(run, "applied")
    return f"So far {_are(applied)} in place." if applied else "So far nothing is changed."


def _unsafe(run: Summary) -> Iterator[str]:
    """Yield what the record lost, what is in doubt, what could not be undone, and what is half-done."""
    if run.lost_lines:
        lines = "1 line was" if run.lost_lines == 1 else f"{run.lost_lines:,} lines were"
        where = ", ".join(dict.fromkeys(change.resource for change in run.changes)) or "what it changes"
        yield f"{lines} lost of the record of a rollback; they went to stderr, look for yourself at {where}"
    for status in (*IN_DOUBT, "not undone"):
        if found := _of(run, status):
            yield f"{_named(found)}: {HAPPENED[status]}"
    for step in _not_ended(run):
        if step.verb == "rollback" and (stays := _of(run, "applied")):
            yield f"{_named(stays)}: in place still, after a rollback that did not end well"
        elif step.verb == "apply" and (stays := [c for c in _of(run, "applied") if c.step == step.title]):
            yield f"{_named(stays)}: in place, and the rest of “{step.title}” is not"


def _not_ended(run: Summary) -> list[StepLine]:
    return [step for step in run.steps if step.status in ("failed", "unknown", "waiting")]


def _settled(run: Summary) -> tuple[Safe, str]:
    """Return the words for a run of which nothing is in doubt."""
    applied, undone = _of(run, "applied"), _of(run, "undone")
    if not applied:
        return "yes", f"Yes: {_nothing_in_place(run, undone)}."
    back = f"; {_are(undone, past=True)} undone" if undone else ""
    place = f"{_are(applied)} in place and verified{back}"
    if run.status == "done":
        return "yes", f"Yes: {place}."
    if run.terminal:
        return "look", f"Nothing is half-done, but {place}, and this run is over: {_named(applied)}."
    if run.status != "parked":
        return (
            "look",
            f"Nothing is half-done, but {place}, and the run did not come to its end: {_named(applied)}.",
        )
    if run.steps and _open(run).verb == "watch":
        return "look", f"Nothing is half-done, but {place}, and nobody watches until it is taken up again."
    return "yes", f"Yes, as it stands: {place}; nothing is half-done."


def _nothing_in_place(run: Summary, undone: Sequence[ChangeLine]) -> str:
    if undone:
        stays = _of(run, "stays")
        beside = f"; what has no undo stays: {_named(stays)}" if stays else ""
        return f"rolled back, {_are(undone, past=True)} undone and verified{beside}"
    if run.mode == "plan":
        return "it only plans, nothing was changed"
    if run.status == "parked":
        return "it parked before any effect, nothing was changed"
    if run.changes:
        return "it changed nothing; what it asked for was in place before"
    return "nothing was changed outside its scratch folder"


def _of(run: Summary, status: ChangeStatus) -> list[ChangeLine]:
    return [change for change in run.changes if change.status == status]


def _are(changes: Sequence[ChangeLine], *, past: bool = False) -> str:
    one, many = ("was", "were") if past else ("is", "are")
    return f"1 change {one}" if len(changes) == 1 else f"{len(changes):,} changes {many}"


def _named(changes: Sequence[ChangeLine]) -> str:
    told = [f"“{c.sentence}”{f' ({c.remark})' if c.remark else ''}" for c in changes[:NAMED_AT_MOST]]
    more = len(changes) - NAMED_AT_MOST
    return ", ".join([*told, *([f"{count_text(more, 'more change')}"] if more > 0 else [])])


def _open(run: Summary) -> StepLine:
    """Return the last step that did not end well, else the last one; there is one."""
    return (_not_ended(run) or list(run.steps))[-1]


# Whose it is


def _owner(run: Summary, ours: Sequence[Reservation]) -> str:
    parts = [f"opened by {run.opened_by}, {_when(run.opened_at)}"]
    if run.taken_up_by:
        last, times = run.taken_up_by[-1], len(run.taken_up_by)
        parts.append(f"taken up by {last}" if times == 1 else f"taken up {times} times, last by {last}")
    if run.status == "parked" and run.waits_for:
        parts.append(f"it waits for {_roles(run.waits_for)}")
    if held := [f"{r.resource} since {_when(r.since)}{_kept(r)}" for r in ours]:
        parts.append(f"it holds {', '.join(held)}")
    return "; ".join(parts)


def _kept(reservation: Reservation) -> str:
    return f" (kept for the next run of {reservation.kept_for})" if reservation.kept_for else ""


# What to type next


def unreviewed(run: Summary) -> list[ApprovalLine]:
    """Return the approvals by one person alone that nobody else has looked at since."""
    return [approval for approval in run.approvals if approval.break_glass and not approval.review]


def _commands(run: Summary, ours: Sequence[Reservation], *, sealed: bool) -> Iterator[Command]:
    if run.status == "running":
        yield Command(type=f"runbook status {run.run_id}", why="look again; it works")
    elif run.terminal:
        yield from _when_over(run, ours, sealed=sealed)
    else:
        yield from _to_go_on(run)
        yield from _to_end(run)
    if run.status != "running" and not sealed:
        yield Command(type=f"runbook seal {run.run_id}", why="write its notebook, report, sums and signature")
    if unreviewed(run):
        yield Command(
            type=f"runbook approve {run.run_id} --review --as ROLE --key FILE --reason …",
            why="another person looked at the approval that one gave alone",
        )


def _to_go_on(run: Summary) -> Iterator[Command]:
    resume = f"runbook resume {run.run_id}"
    if run.status == "parked":
        for role in run.waits_for:
            told = f"sign as {role.replace('_', ' ')}; it shows first what is signed"
            yield Command(
                type=f"runbook approve {run.run_id} --as {role.replace('_', '-')} --key FILE", why=told
            )
        when = f"from {_when(run.waits_until)} on" if run.waits_until else "once it is signed"
        yield Command(type=resume, why=f"go on, {when}; resume --due does it by itself")
    elif any(step.verb == "rollback" for step in _not_ended(run)):
        return  # forward again is no way on from half a way back
    elif run.status == "left in between":
        if run.steps and f"{resume} --took-effect" in _open(run).message:
            yield Command(
                type=f"{resume} --took-effect", why="you looked, and the change in doubt is in place"
            )
            yield Command(
                type=f"{resume} --try-again", why="you looked, and the change in doubt is not in place"
            )
        else:
            yield Command(type=resume, why="each change is observed first; only what is missing is applied")
    elif run.exit_code == BAD_INPUT:
        yield Command(type=resume, why="go on, once notebook and parameters are as they were recorded")
    else:
        yield Command(type=resume, why="go on, once what it names is mended; finished steps are not repeated")


def _to_end(run: Summary) -> Iterator[Command]:
    abort = f"runbook abort {run.run_id}"
    if any(change.status not in ("was in place", "undone") for change in run.changes):
        yield Command(
            type=f"{abort} --rollback --reason …", why="undo what it applied, newest first, and end it"
        )
        # A rollback that came to its end may have left what nobody can undo: a message that was sent.
        went_back = any(step.verb == "rollback" and step.status == "failed" for step in _not_ended(run))
        if went_back or run.status != "left in between":
            yield Command(type=f"{abort} --reason …", why="end it and leave in place what it applied")
    else:
        yield Command(type=f"{abort} --reason …", why="end it; nothing of it stays")


def _when_over(run: Summary, ours: Sequence[Reservation], *, sealed: bool) -> Iterator[Command]:
    for reservation in ours:
        if not reservation.kept_for:
            resource = shlex.quote(reservation.resource)
            yield Command(
                type=f"runbook release {resource} --env {run.environment} --reason …",
                why="the run is over and still holds it",
            )
    if run.status == "done" and run.mode == "plan":
        yield Command(type=_applying(run), why="do what was planned: a new run, which plans anew")
    elif run.status == "no-go":
        if any(change.status in ("applied", *IN_DOUBT, "not undone") for change in run.changes):
            undo = f"runbook abort {run.run_id} --rollback --reason …"
            yield Command(type=undo, why="undo what stays in place after all")
        again = f"runbook run {run.runbook} --env {run.environment}"
        yield Command(type=again, why="a new run, once the ground has changed")
    if sealed and run.status != "abandoned":
        yield Command(type=f"runbook verify {run.run_id}", why="is the record as it was sealed?")


def _applying(run: Summary) -> str:
    words = ["runbook", "run", run.runbook, "--env", run.environment, "--mode", "apply"]
    for name, value in run.params.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        words += ["-p", f"{name}={text}"]
    return shlex.join(words)
