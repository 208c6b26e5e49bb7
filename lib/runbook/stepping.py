"""How a step is done: returned from the record, left out, or worked and put on record before it returns."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from runbook import errors, showing
from runbook.errors import (
    CheckFailed,
    InputError,
    JournalError,
    LeftInBetween,
    NoGo,
    OutOfOrder,
    Parked,
    ReplayMismatch,
    RunbookError,
    StepFailed,
)
from runbook.gates.checks import require
from runbook.journal import Record, decode, encode
from runbook.recording import ROLLBACK, Place, Recorder, Verb, ended, key_of
from runbook.scratch import Scratch, open_scratch
from runbook.step import Step
from runbook.values import Checks, Skipped, printable, skipped_input


class Stepping:
    """Does the steps of one run; its verbs stand in run.py."""

    def __init__(self, place: Place, recorder: Recorder) -> None:
        self._place, self._recorder = place, recorder
        self._scratch: Scratch | None = None
        self._begun: dict[
            str, str
        ] = {}  # the applies that have changed something outside scratch, and their keys
        self._keys: dict[str, str] = {}
        self._outline_digest = ""
        self._done = self._still_standing()
        self._unasked = set(self._done)  # on record, and this process was not asked for it yet
        self._seen = 0
        self._learn(done=False)

    # One step

    def _step(
        self, verb: Verb, title: str, inputs: object, work: Callable[[Step], Any], *, effect: bool = False
    ) -> Any:
        """Return the result of a step: as recorded, else worked. Effects are left out in mode plan."""
        key = key_of(verb, title, inputs)
        self._learn()
        if title in self._done:
            return self._replay(title, verb, key)
        if not self._recorder.is_open:
            raise self._recorded_failure(verb, title)
        self._recorder.hold()
        self._learn()
        if title in self._done:  # somebody else went on with a parked run in the meantime
            return self._replay(title, verb, key)
        if not self._recorder.is_open:  # or ended it
            raise self._recorded_failure(verb, title)
        self._refuse_after_rollback(verb, title)
        self._refuse_out_of_order(title)
        self._refuse_other_effects(title, key)
        self._note_edit()
        why = skipped_input(inputs)
        if not why and effect and self._recorder.opened["mode"] != "apply":
            why = "mode plan changes nothing"
        if why:
            return self._skip(verb, title, key, why)
        return self._work(verb, title, key, work)

    def _work(self, verb: Verb, title: str, key: str, work: Callable[[Step], Any]) -> Any:
        step = replace(self._new_step(), held={})
        self._recorder.append("started", title, key, {"verb": verb})
        began = time.monotonic()
        try:
            result = work(step)
            if isinstance(result, Checks):
                require(title, result)
            seconds = time.monotonic() - began
            data = ended(verb, seconds, step) | {"result": encode(result), "scratch": self._scratch_name()}
            self._recorder.append("done", title, key, data)
        except BaseException as error:
            self._learn()
            if title not in self._done:  # an interrupt may come when all is on record already
                self._fail(verb, title, key, step, time.monotonic() - began, error)
            raise
        finally:
            step.let_go()
        showing.show_line("✓", verb, title, f"{seconds:.2f} s")
        return decode(data["result"])  # what a replay would return, so that the two cannot differ

    def _fail(
        self, verb: Verb, title: str, key: str, step: Step, seconds: float, error: BaseException
    ) -> None:
        """Put a failure on record; what keeps it from being recorded is told beside the failure itself."""
        checks = error.checks if isinstance(error, CheckFailed) and isinstance(error.checks, Checks) else None
        words = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
        data = ended(verb, seconds, step) | {
            "error": type(error).__name__,
            "message": printable(words),
            "exit_code": error.exit_code if isinstance(error, RunbookError) else 1,
            "result": encode(checks),
        }
        if isinstance(error, Parked):
            data |= {"until": encode(error.until), "whom": list(error.whom)}
        try:
            self._recorder.append("failed", title, key, self._place.masked(data))
            self._recorder.write_summary()
        except (JournalError, OSError) as trouble:
            error.add_note(f"And this could not be put on record: {trouble}")
        mark = "…" if isinstance(error, Parked) else "✗"
        self._show_failure(mark, verb, title, seconds, checks)
        error.add_note(f"Step: {verb} “{title}”. {self._way_on(error)}")
        if isinstance(error, Parked):
            self._recorder.park()
        elif isinstance(error, NoGo):
            self._recorder.close()

    def _way_on(self, error: BaseException) -> str:
        run = self._recorder.run_id
        if isinstance(error, NoGo):
            return f"The run is over; what became of it: runbook status {run}"
        if isinstance(error, Parked) and error.whom:
            role = error.whom[0].replace("_", "-")
            return f"To sign: runbook approve {run} --as {role} --key FILE; then: runbook resume {run}"
        if isinstance(error, Parked):
            return f"To go on when it is due: runbook resume {run}"
        return f"To go on once it is mended: runbook resume {run}"

    @staticmethod
    def _show_failure(mark: str, verb: str, title: str, seconds: float, checks: object) -> None:
        showing.show_line(mark, verb, title, f"{seconds:.2f} s")
        if checks is not None:
            showing.show_value(checks)

    def _replay(self, title: str, verb: Verb, key: str) -> Any:
        recorded = self._done[title]
        self._unasked.discard(title)
        if recorded.key != key:
            raise ReplayMismatch(
                f"“{recorded.title}” is on record with other inputs than the notebook now gives it. "
                "A step that has run keeps its inputs, and a title names one step: "
                "put them back, or open a new run"
            )
        result = decode(recorded.data["result"]) if recorded.kind == "done" else self._skipped(recorded)
        if self._place.replay_only:
            showing.show_line("✓", verb, recorded.title, f"{recorded.data.get('seconds', 0.0):.2f} s")
        else:
            undone = " and undone since" if verb == "apply" and ROLLBACK in self._done else ""
            said = f"on record since {recorded.at[:19]}Z{undone}, not repeated"
            showing.show_line("=", verb, recorded.title, said)
        return result

    def _recorded_failure(self, verb: Verb, title: str) -> RunbookError:
        """Return what stopped the run at `title`, to be raised again where a run is only being shown."""
        ends = [line for line in self._recorder.lines() if line.kind == "failed" and line.title == title]
        waits = bool(ends) and ends[-1].data["error"] == "Parked" and not self._place.replay_only
        if not ends or waits:  # what it waited for when another hand ended it, nobody waits for now
            run = self._recorder.run_id
            return StepFailed(
                f"the run {run} is over and did not come to “{title}”; how it ended: runbook status {run}"
            )
        data = ends[-1].data
        mark = "…" if data["error"] == "Parked" else "✗"
        self._show_failure(mark, verb, title, data["seconds"], decode(data["result"]))
        kind = getattr(errors, data["error"], None)
        plain = isinstance(kind, type) and issubclass(kind, RunbookError) and kind is not errors.ProgramFailed
        return kind(data["message"]) if plain and kind is not None else StepFailed(data["message"])

    def _skip(self, verb: Verb, title: str, key: str, why: str) -> Skipped:
        record = self._recorder.append("skipped", title, key, {"verb": verb, "why": why})
        showing.show_line("–", verb, title, f"skipped: {why}")
        return self._skipped(record)

    @staticmethod
    def _skipped(record: Record) -> Skipped:
        return Skipped(title=record.title, why=record.data["why"])

    # What a step may not do

    def _refuse_after_rollback(self, verb: Verb, title: str) -> None:
        """Let no run that was rolled back wait or watch: what it would wait for is undone."""
        rolled_back = ROLLBACK in self._done and self._done[ROLLBACK].kind == "done"
        if rolled_back and verb in ("wait", "watch"):
            raise NoGo(f"this run was rolled back, so it does not go on to “{title}”; open a new one")

    def _refuse_out_of_order(self, title: str) -> None:
        """Hold the notebook to its record: nothing is skipped, put before, or taken out of what has run."""
        titles = self._place.outline().titles
        missing = [t for t in self._place.outline().before(title) if t not in self._done]
        if missing:
            raise OutOfOrder(
                f"“{title}” comes after “{missing[0]}”, which is not on record as done; run its cell first"
            )
        for recorded in self._done.keys() & self._unasked if self._unasked else ():
            if recorded not in titles:
                raise ReplayMismatch(
                    f"“{recorded}” is on record, and the notebook went on to “{title}” without it. "
                    "What has run stays in the notebook: put the step back, or open a new run"
                )
            if title in titles and titles.index(recorded) > titles.index(title):
                raise ReplayMismatch(
                    f"“{title}” is not on record, and “{recorded}”, which comes after it, is. "
                    "Only steps after the recorded ones may be new: move it behind them, or open a new run"
                )

    def _refuse_other_effects(self, title: str, key: str) -> None:
        """Refuse another plan under the title of an apply that has begun to change things."""
        if self._begun.get(title, key) != key:
            raise ReplayMismatch(
                f"“{title}” has begun to change things with another plan than the notebook now gives it. "
                f"Put it back and resume, or undo what was done: runbook abort {self._recorder.run_id} "
                "--rollback --reason …"
            )

    def _note_edit(self) -> None:
        """Put on record that the notebook was edited since its digest was last written down."""
        now, known = self._place.outline().digest, self._outline_digest
        if now and known and now != known:
            self._recorder.append("note", "the notebook was edited", "", {"notebook_digest": now})

    # The record

    def _learn(self, *, done: bool = True) -> None:
        """Learn from the journal, and from nothing else, which steps are done and what was begun."""
        for line in self._recorder.since(self._seen):
            self._seen += 1
            self._outline_digest = line.data.get("notebook_digest", self._outline_digest)
            if line.kind in ("done", "skipped") and done:
                self._done[line.title] = line
            elif line.kind == "started":
                self._keys[line.title] = line.key
            elif line.kind == "change" and not line.data["in_scratch"]:
                self._begun[line.data["step"]] = self._keys[line.data["step"]]

    def _still_standing(self) -> dict[str, Record]:
        """Return the steps that need not be done again.

        What was made in a scratch folder is gone with the process that made it, and all that came
        after may rest on it: from the first such step on, the work is done again.
        """
        done: dict[str, Record] = {}
        for line in self._recorder.lines():
            if line.kind not in ("done", "skipped"):
                continue
            if line.data.get("scratch") and not self._place.replay_only:
                if self._recorder.is_open:
                    said = f"done again from “{line.title}” on: its scratch folder is gone"
                    self._recorder.append("note", said, "", {"redo_from": line.title})
                break
            done[line.title] = line
        return done

    # What a step may use

    def _new_step(self) -> Step:
        return Step(
            clock=self._place.clock,
            scratch=self._scratch_folder,
            secret=self._place.secrets.value,
            environment=lambda: self._place.environment,
            rollout=lambda: self._place.rollout,
            rehearsal=self._place.rehearsal,
            earlier=self._place.read_earlier,
            runs=self._place.list_runs,
            progress_sink=showing.ProgressBar(),
            evidence_sink=self._place.evidence_sink(),
            run_id=self._recorder.run_id,
        )

    def _scratch_folder(self) -> Path:
        if self._scratch is None:
            (self._place.folder / "evidence").mkdir(mode=0o755, exist_ok=True)
            self._scratch = open_scratch(receipt=self._place.folder / "evidence" / "scratch.json")
            said = {"scratch": str(self._scratch.folder)}
            self._recorder.append("note", "a scratch folder was opened", "", said)
        return self._scratch.folder

    def _scratch_name(self) -> str | None:
        return str(self._scratch.folder.name) if self._scratch else None

    def _refuse_effect_beside_scratch(self) -> None:
        if self._scratch is not None:
            raise InputError("a run that works in a scratch folder changes nothing outside it")

    def _destroy_scratch(self) -> None:
        if self._scratch is not None:
            destroyed = self._scratch.close()
            self._scratch = None
            if destroyed is not None and destroyed.left:
                raise LeftInBetween(
                    f"the scratch folder could not be destroyed: {', '.join(destroyed.left)} is left. "
                    "It may hold personal data: remove it by hand, then run this cell again"
                )
            self._recorder.append("note", "the scratch folder was destroyed", "", {"what": encode(destroyed)})
