"""The way back: undoing what a run applied, newest first, whatever stands in the way of recording it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from runbook import showing
from runbook.changes.applying import Answer, Site, State, undo_change
from runbook.changes.interface import Change, RolledBack
from runbook.errors import JournalError, LeftInBetween, RunBusy, StepFailed
from runbook.journal import decode, digest, encode
from runbook.outline import title_of
from runbook.recording import ROLLBACK, ended, key_of
from runbook.step import Step
from runbook.stepping import Stepping
from runbook.values import Check, Skipped


class Undoing(Stepping):
    """Rolls back."""

    def _rollback(self) -> RolledBack | Skipped:
        if not self._recorder.is_open:
            return self._shown_rollback()
        if self._recorder.opened["mode"] != "apply":
            return self._nothing_to_undo()
        try:
            self._recorder.hold()
            self._learn()
        except RunBusy:
            raise
        except JournalError as error:
            self._recorder.tell(f"the journal cannot be opened ({error}); the rollback goes on without it")
        else:
            if not self._recorder.is_open:  # another hand ended the run while it was parked
                return self._shown_rollback()
        return self._roll_back_now()

    def _nothing_to_undo(self) -> Skipped:
        """In mode plan nothing was applied; that is said once."""
        key = key_of("rollback", ROLLBACK, ())
        self._recorder.hold()
        self._learn()
        if ROLLBACK in self._done:
            skipped: Skipped = self._replay(ROLLBACK, "rollback", key)
            return skipped
        return self._skip("rollback", ROLLBACK, key, "mode plan changed nothing")

    def _shown_rollback(self) -> RolledBack:
        if ROLLBACK in self._done:
            result: RolledBack = self._replay(ROLLBACK, "rollback", key_of("rollback", ROLLBACK, ()))
            return result
        if any(line.kind == "failed" and line.title == ROLLBACK for line in self._recorder.lines()):
            raise self._recorded_failure("rollback", ROLLBACK)
        run = self._recorder.run_id
        raise StepFailed(
            f"the run {run} is over; to undo what it applied after all: "
            f"runbook abort {run} --rollback --reason …"
        )

    def _roll_back_now(self) -> RolledBack:
        step, key, began = self._new_step(), key_of("rollback", ROLLBACK, ()), time.monotonic()
        sites = [
            (change, self._site(step, title, number, change, tell=True))
            for title, number, change in reversed(self._applied())
        ]
        ours = [(change, site) for change, site in sites if site.ours]
        if not ours and ROLLBACK in self._done:
            return self._shown_rollback()
        self._recorder.append_or_tell("started", ROLLBACK, key, {"verb": "rollback"})
        undone: list[str] = []
        left: list[str] = []
        stays: list[str] = []
        for change, site in ours:
            if not change.has_undo:
                site.note("stays", {"why": change.way_back()})
                stays.append(f"{change.sentence()} ({change.way_back()})")
                continue
            why = undo_change(change, site)
            (left if why else undone).append(why or change.sentence())
            showing.show_line("✗" if why else "↩", "rollback", change.sentence(), why or "undone")
        touched = [change for change, site in sites if site.began]  # also what a killed rollback undid before
        health = tuple(_health(step, touched))
        left += [
            f"{c.title}: observed {c.observed}; expected {c.expected}" for c in health if c.status == "failed"
        ]
        result = RolledBack(undone=tuple(undone), stays=tuple(stays), left=tuple(left), health=health)
        data = ended("rollback", time.monotonic() - began, step) | {"result": encode(result), "scratch": None}
        if not left:
            self._recorder.append_or_tell("done", ROLLBACK, key, data)
            self._learn()
            return result
        abort = f"runbook abort {self._recorder.run_id}"
        error = LeftInBetween(
            f"the rollback undid {len(undone)} of {len(undone) + len(left)}; left: {'; '.join(left)}. "
            f"Mend what it names, then: {abort} --rollback --reason …, or leave it as it is: "
            f"{abort} --reason …"
        )
        told = {"error": "LeftInBetween", "message": str(error), "exit_code": 4}
        self._recorder.append_or_tell("failed", ROLLBACK, key, data | told)
        raise error

    def _applied(self) -> list[tuple[str, int, Change]]:
        """Return the changes outside scratch that were begun, in the order in which they were."""
        seen = dict.fromkeys(
            (line.data["step"], line.data["number"])
            for line in self._recorder.lines()
            if line.kind == "change" and not line.data["in_scratch"]
        )
        plans = {
            title_of("apply", line.title): decode(line.data["result"])
            for line in self._recorder.lines()
            if line.kind == "done" and line.data.get("verb") == "plan"
        }
        return [(title, number, plans[title].changes[number - 1]) for title, number in seen]

    def _site(self, step: Step, title: str, number: int, change: Change, *, tell: bool = False) -> Site:
        """Return what applying or undoing one change needs; `tell`: go on when a line cannot be recorded."""
        past = [
            line.data
            for line in self._recorder.lines()
            if line.kind == "change" and (line.data["step"], line.data["number"]) == (title, number)
        ]
        append = self._recorder.append_or_tell if tell else self._recorder.append
        about = {"step": title, "number": number, "in_scratch": change.in_scratch, "effect": change.effect}

        def note(state: State, data: dict[str, Any]) -> None:
            append(
                "change",
                change.sentence(),
                "",
                {**about, "resource": change.resource(), "state": state, **data},
            )

        own = replace(
            step,
            key=digest([self._recorder.run_id, title, number])[:32],
            repeated=any(line["state"] == "applying" for line in past),
        )
        return Site(step=own, clock=self._place.clock, past=past, note=note, answer=self._answer())

    def _answer(self) -> Answer:
        """Return what a person said when the run was taken up last, of a change that nobody can tell of."""
        said = [line.data.get("answer", "") for line in self._recorder.lines() if line.kind == "resumed"]
        answer: Answer = said[-1] if said else ""
        return answer


def _health(step: Step, touched: list[Change]) -> list[Check]:
    """Return what the touched things say of themselves now, each thing asked once."""
    asked: dict[tuple[type, str], Change] = {(type(c), c.resource()): c for c in touched}
    found: list[Check] = []
    for change in asked.values():
        try:
            found += change.health(step)
        except Exception as error:  # noqa: BLE001  # what cannot be looked at is not healthy
            found.append(
                Check.of(
                    f"{change.resource()} is healthy", holds=False, observed=str(error), expected="an answer"
                )
            )
    return found
