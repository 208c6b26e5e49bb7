"""A run: what a notebook holds. Its verbs put every step on record before they return.

    read    look at the world; the result is recorded
    check   compare; a check that fails stops the run until what it names is mended
    plan    say what would be changed
    apply   change it: observe, apply, verify, for each change of a plan
    finish  close the record: conclusion, numbers for other notebooks, where to go next

The world is touched inside a verb, by the function handed to it, never in the verb's arguments. A step
that is recorded as done is returned from the record when it is asked for again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from runbook import errors, showing
from runbook.account import summarize
from runbook.changes.interface import Applied, Change, Plan
from runbook.errors import (
    CheckFailed,
    InputError,
    JournalError,
    LeftInBetween,
    ReplayMismatch,
    RunbookError,
    StepFailed,
)
from runbook.files import write_atomically
from runbook.gates.checks import as_checks, require
from runbook.journal import FileJournal, Kind, Record, decode, encode
from runbook.recording import Place, Verb, ended, key_of, named
from runbook.scratch import Scratch, open_scratch
from runbook.step import Step
from runbook.summary import Conclusion, Summary
from runbook.values import Check, Checks, Skipped, Value, html_table, printable, skipped_input

P = ParamSpec("P")
R = TypeVar("R")


class Run:
    """One execution of a runbook; made by `open_run`."""

    def __init__(self, *, place: Place, journal: FileJournal | None, records: list[Record]) -> None:
        self._place, self._journal = place, journal
        self.opened: Mapping[str, Any] = records[0].data
        self._scratch: Scratch | None = None
        self._done = self._still_standing(records)
        self._seen = len(self._records())
        self.apply_mode: bool = self.opened["mode"] == "apply"

    # What a notebook reads

    @property
    def run_id(self) -> str:
        return str(self.opened["run_id"])

    @property
    def params(self) -> dict[str, Any]:
        """The runbook's own parameters, checked and complete."""
        return dict(self.opened["params"])

    def rows(self) -> list[tuple[str, str]]:
        opened = self.opened
        mode = "apply: changes are made" if self.apply_mode else "plan: nothing is changed"
        doing = f"{len(self._done)} steps are on record" if self._done else "nothing is on record yet"
        return [
            ("run", self.run_id),
            ("environment", f"{opened['environment']}, mode {mode}"),
            ("opened", f"by {opened['opened_by']}, {doing}"),
            ("record", f"outputs/{self._place.folder.name}/"),
        ]

    def __repr__(self) -> str:
        return "\n".join(f"{name:<12} {text}" for name, text in self.rows())

    def _repr_html_(self) -> str:
        return html_table(self.rows())

    # The verbs

    def read(
        self, title: str, function: Callable[Concatenate[Step, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call `function(step, *args, **kwargs)`, which looks and changes nothing; record what it returns."""
        inputs = (named(function), args, kwargs)
        result: R = self._step("read", title, inputs, lambda step: function(step, *args, **kwargs))
        return result

    def check(
        self,
        title: str,
        function: Callable[Concatenate[Step, P], Check | Checks | Iterable[Check]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Checks:
        """Call `function`, which compares; raise CheckFailed when one of its checks does not hold."""

        def work(step: Step) -> Checks:
            return as_checks(function(step, *args, **kwargs))

        result: Checks = self._step("check", title, (named(function), args, kwargs), work)
        return result

    def plan(
        self,
        title: str,
        function: Callable[Concatenate[Step, P], Change | Iterable[Change]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Plan:
        """Call `function`, which looks and returns the changes that would be made."""

        def work(step: Step) -> Plan:
            changes = function(step, *args, **kwargs)
            return Plan(title=title, changes=(changes,) if isinstance(changes, Change) else tuple(changes))

        result: Plan = self._step("plan", title, (named(function), args, kwargs), work)
        return result

    def apply(self, plan: Plan) -> Applied:
        """Make the changes of `plan`, each observed before and verified after."""
        title = f"{plan.title}: apply"

        def work(step: Step) -> Applied:
            numbered = enumerate(plan.changes, start=1)
            results = [self._apply_change(step, title, number, change) for number, change in numbered]
            return Applied(title=plan.title, results=tuple(results))

        result: Applied = self._step("apply", title, (plan,), work, effect=True)
        return result

    def finish(self, conclusion: Conclusion | None = None) -> Summary:
        """Close the record: destroy the scratch folder, keep the conclusion, leave the numbers as scraps.

        Raises what stopped the run as long as a step of it has failed and was not mended.
        """
        if self._journal is not None:
            self._refuse_open_steps()
            why = skipped_input((conclusion,))
            self._destroy_scratch()
            self._append("finished", "finish", "", {"conclusion": encode(None if why else conclusion)})
            self._close()
        summary = self.summary()
        for name, number in summary.numbers.items():
            showing.show_scrap(name, number.value)
        showing.show_scrap("run_id", summary.run_id)
        return summary

    def summary(self) -> Summary:
        """Return the account of this run as it stands."""
        return summarize(self._records(), alive=self._journal is not None)

    def _refuse_open_steps(self) -> None:
        for step in self.summary().steps:
            if step.status in ("failed", "unknown"):
                raise StepFailed(f"the run cannot finish: “{step.title}” did not end well. {step.message}")

    def _close(self) -> None:
        """Write the summary and give the journal up: from now on the run is only shown."""
        self._write_summary()
        if self._journal is not None:
            self._replayed = list(self._journal.records)
            self._journal.close()
            self._journal = None

    # How a step is done

    def _step(
        self,
        verb: Verb,
        title: str,
        inputs: object,
        work: Callable[[Step], Any],
        *,
        effect: bool = False,
    ) -> Any:
        key = key_of(verb, title, inputs)
        self._catch_up()
        recorded = self._done.get(title)
        if recorded is not None:
            return self._replay(recorded, verb, key)
        if self._journal is None:
            raise self._recorded_failure(verb, title)
        why = skipped_input(inputs) or ("mode plan changes nothing" if effect and not self.apply_mode else "")
        if why:
            return self._skip(verb, title, key, why)
        return self._work(verb, title, key, work)

    def _work(self, verb: Verb, title: str, key: str, work: Callable[[Step], Any]) -> Any:
        step = self._new_step()
        self._append("started", title, key, {"verb": verb})
        began = time.monotonic()
        try:
            result = work(step)
            if isinstance(result, Checks):
                require(title, result)
            seconds = time.monotonic() - began
            data = ended(verb, seconds, step) | {"result": encode(result), "scratch": self._scratch_name()}
            self._append("done", title, key, data)
        except BaseException as error:
            self._catch_up()
            if title not in self._done:  # an interrupt may come when all is on record already
                self._fail(verb, title, key, step, time.monotonic() - began, error)
            raise
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
        try:
            self._append("failed", title, key, self._place.masked(data))
            self._write_summary()
        except (JournalError, OSError) as trouble:
            error.add_note(f"And this could not be put on record: {trouble}")
        self._show_failure(verb, title, seconds, checks)
        error.add_note(f"Step: {verb} “{title}”. To go on once it is mended: runbook resume {self.run_id}")

    @staticmethod
    def _show_failure(verb: str, title: str, seconds: float, checks: object) -> None:
        showing.show_line("✗", verb, title, f"{seconds:.2f} s")
        if checks is not None:
            showing.show_value(checks)

    def _apply_change(self, step: Step, title: str, number: int, change: Change) -> Value | None:
        if self._scratch is not None and not change.in_scratch:
            raise InputError("a run that works in a scratch folder changes nothing outside it")
        data = {"step": title, "number": number, "in_scratch": change.in_scratch}
        found = change.observe(step)
        if found is not None:
            change.verify(step, found)
            self._append("change", change.sentence(), "", {**data, "state": "found"})
            return found
        self._append("change", change.sentence(), "", {**data, "state": "applying"})
        result = change.apply(step)
        change.verify(step, result)
        self._append("change", change.sentence(), "", {**data, "state": "applied"})
        return result

    def _replay(self, recorded: Record, verb: Verb, key: str) -> Any:
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
            showing.show_line("=", verb, recorded.title, f"on record since {recorded.at[:19]}Z, not repeated")
        return result

    def _recorded_failure(self, verb: Verb, title: str) -> RunbookError:
        """Return what stopped the run at `title`, to be raised again where a run is only being shown."""
        ends = [record for record in self._replayed if record.kind == "failed" and record.title == title]
        if not ends:
            return StepFailed(f"the run {self.run_id} is over and did not come to “{title}”")
        data = ends[-1].data
        self._show_failure(verb, title, data["seconds"], decode(data["result"]))
        kind = getattr(errors, data["error"], None)
        plain = isinstance(kind, type) and issubclass(kind, RunbookError) and kind is not errors.ProgramFailed
        return kind(data["message"]) if plain and kind is not None else StepFailed(data["message"])

    def _skip(self, verb: Verb, title: str, key: str, why: str) -> Skipped:
        record = self._append("skipped", title, key, {"verb": verb, "why": why})
        showing.show_line("–", verb, title, f"skipped: {why}")
        return self._skipped(record)

    @staticmethod
    def _skipped(record: Record) -> Skipped:
        return Skipped(title=record.title, why=record.data["why"])

    # The record

    def _records(self) -> list[Record]:
        return list(self._journal.records) if self._journal else self._replayed

    def _append(self, kind: Kind, title: str, key: str, data: dict[str, Any]) -> Record:
        """Put a line on record; one that holds a secret is refused."""
        if self._journal is None:
            raise InputError(f"the run {self.run_id} is over; open a new one")
        names = self._place.secrets.found_in(json.dumps([title, data], ensure_ascii=False))
        if names:
            raise StepFailed(
                f"“{title}”: {kind} would hold the value of {', '.join(names)}; it is not recorded"
            )
        return self._journal.append(kind, title, key=key, data=data)

    def _catch_up(self) -> None:
        """Learn from the journal, and from nothing else, which steps are done."""
        if self._journal is not None:
            new = self._journal.since(self._seen)
            self._seen += len(new)
            self._done |= {record.title: record for record in new if record.kind in ("done", "skipped")}

    def _still_standing(self, records: list[Record]) -> dict[str, Record]:
        """Return the steps that need not be done again.

        What was made in a scratch folder is gone with the process that made it, and all that came
        after may rest on it: from the first such step on, the work is done again.
        """
        self._replayed = records
        done: dict[str, Record] = {}
        for record in records:
            if record.kind not in ("done", "skipped"):
                continue
            if record.data.get("scratch") and not self._place.replay_only:
                if self._journal:
                    said = f"done again from “{record.title}” on: its scratch folder is gone"
                    self._journal.append("note", said, data={"redo_from": record.title})
                break
            done[record.title] = record
        return done

    def _write_summary(self) -> None:
        text = summarize(self._records()).model_dump_json(indent=1)
        write_atomically(self._place.folder / "summary.json", self._place.secrets.mask(text) + "\n")

    # What a step may use

    def _new_step(self) -> Step:
        return Step(
            clock=self._place.clock,
            scratch=self._scratch_folder,
            secret=self._place.secrets.value,
            environment=lambda: self._place.environment,
            rollout=lambda: self._place.rollout,
            progress_sink=showing.ProgressBar(),
            evidence_sink=self._place.keep_evidence,
        )

    def _scratch_folder(self) -> Path:
        if self._scratch is None:
            (self._place.folder / "evidence").mkdir(mode=0o755, exist_ok=True)
            self._scratch = open_scratch(receipt=self._place.folder / "evidence" / "scratch.json")
            said = {"scratch": str(self._scratch.folder)}
            self._append("note", "a scratch folder was opened", "", said)
        return self._scratch.folder

    def _scratch_name(self) -> str | None:
        return str(self._scratch.folder.name) if self._scratch else None

    def _destroy_scratch(self) -> None:
        if self._scratch is not None and self._journal is not None:
            destroyed = self._scratch.close()
            self._scratch = None
            if destroyed is not None and destroyed.left:
                raise LeftInBetween(
                    f"the scratch folder could not be destroyed: {', '.join(destroyed.left)} is left. "
                    "It may hold personal data: remove it by hand, then run this cell again"
                )
            self._journal.append("note", "the scratch folder was destroyed", data={"what": encode(destroyed)})
