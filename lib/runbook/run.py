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

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from runbook import errors, showing
from runbook.account import summarize
from runbook.changes.interface import Applied, Change, Plan
from runbook.clock import Clock
from runbook.errors import CheckFailed, InputError, ReplayMismatch, RunbookError, StepFailed
from runbook.files import write_atomically
from runbook.gates.checks import as_checks, require
from runbook.journal import FileJournal, Record, decode, digest, encode
from runbook.plan import Environment, RolloutPlan, Secrets
from runbook.scratch import Scratch, open_scratch
from runbook.step import Step
from runbook.summary import Conclusion, Summary
from runbook.values import Check, Checks, Skipped, Value, html_table, printable, skipped_input

P = ParamSpec("P")
R = TypeVar("R")
Verb = Literal["read", "check", "plan", "apply", "finish"]


@dataclass(frozen=True)
class Place:
    """Where and with what a run is executed."""

    folder: Path
    clock: Clock
    rollout: RolloutPlan
    environment: Environment
    secrets: Secrets
    replay_only: bool


class Run:
    """One execution of a runbook; made by `open_run`."""

    def __init__(self, *, place: Place, journal: FileJournal | None, records: list[Record]) -> None:
        self._place, self._journal = place, journal
        self._opened = records[0].data
        self._scratch: Scratch | None = None
        self._keys: dict[str, str] = {}
        self._done = self._still_standing(records)
        self._seen = len(self._records())
        self.apply_mode: bool = self._opened["mode"] == "apply"

    # What a notebook reads

    @property
    def run_id(self) -> str:
        return str(self._opened["run_id"])

    @property
    def rollout(self) -> RolloutPlan:
        """The rollout plan, params/plan.yaml."""
        return self._place.rollout

    @property
    def environment(self) -> Environment:
        return self._place.environment

    def rows(self) -> list[tuple[str, str]]:
        opened = self._opened
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
        inputs = (function, args, kwargs)
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

        result: Checks = self._step("check", title, (function, args, kwargs), work)
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

        result: Plan = self._step("plan", title, (function, args, kwargs), work)
        return result

    def apply(self, plan: Plan) -> Applied:
        """Make the changes of `plan`, each observed before and verified after."""
        title = f"{plan.title}: apply"

        def work(step: Step) -> Applied:
            results = tuple(self._apply_change(step, change) for change in plan.changes)
            return Applied(title=plan.title, results=results)

        result: Applied = self._step("apply", title, (plan,), work, effect=True)
        return result

    def finish(self, conclusion: Conclusion | None = None) -> Summary:
        """Close the record: destroy the scratch folder, keep the conclusion, leave the numbers as scraps."""
        why = skipped_input((conclusion,))
        said = None if why else conclusion
        if self._journal and not self._is_finished():
            self._destroy_scratch()
            self._journal.append("finished", "finish", data={"conclusion": encode(said)})
            self._write_summary()
        summary = self.summary()
        for name, number in summary.numbers.items():
            showing.show_scrap(name, number.value)
        showing.show_scrap("run_id", summary.run_id)
        return summary

    def summary(self) -> Summary:
        """Return the account of this run as it stands."""
        return summarize(self._records(), alive=not self._is_finished())

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
        key = _key(verb, title, inputs)
        self._claim_title(title, key)
        self._catch_up()
        recorded = self._done.get(title)
        if recorded is not None:
            return self._replay(recorded, verb, key)
        if self._place.replay_only:
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
            self._refuse_secrets(title, result)
            if isinstance(result, Checks):
                require(title, result)
            seconds = time.monotonic() - began
            data = _ended(verb, seconds, step) | {"result": encode(result), "scratch": self._scratch_name()}
            self._append("done", title, key, data)
        except BaseException as error:
            self._catch_up()
            if title not in self._done:  # an interrupt may come when all is on record already
                self._fail(verb, title, key, step, time.monotonic() - began, error)
            raise
        mark = "?" if isinstance(result, Checks) and not result.holds else "✓"
        showing.show_line(mark, verb, title, f"{seconds:.2f} s")
        return result

    def _fail(
        self, verb: Verb, title: str, key: str, step: Step, seconds: float, error: BaseException
    ) -> None:
        exit_code = error.exit_code if isinstance(error, RunbookError) else 1
        message = printable(self._place.secrets.mask(str(error) or type(error).__name__))
        if isinstance(error, KeyboardInterrupt):
            message = "interrupted"
        data = _ended(verb, seconds, step) | {
            "error": type(error).__name__,
            "message": message,
            "exit_code": exit_code,
            "result": encode(getattr(error, "checks", None)),
        }
        self._append("failed", title, key, data)
        self._write_summary()
        self._show_failure(verb, title, seconds, getattr(error, "checks", None))
        error.add_note(f"Step: {verb} “{title}”. To go on once it is mended: runbook resume {self.run_id}")

    @staticmethod
    def _show_failure(verb: str, title: str, seconds: float, checks: object) -> None:
        showing.show_line("✗", verb, title, f"{seconds:.2f} s")
        if checks is not None:
            showing.show_value(checks)

    def _apply_change(self, step: Step, change: Change) -> Value | None:
        sentence = change.sentence()
        found = change.observe(step)
        if found is not None:
            self._append("change", sentence, "", {"state": "found", "in_scratch": change.in_scratch})
            return found
        self._append("change", sentence, "", {"state": "applying", "in_scratch": change.in_scratch})
        result = change.apply(step)
        change.verify(step, result)
        self._append("change", sentence, "", {"state": "applied", "in_scratch": change.in_scratch})
        return result

    def _replay(self, recorded: Record, verb: Verb, key: str) -> Any:
        if recorded.key != key:
            raise ReplayMismatch(
                f"“{recorded.title}” is on record with other inputs than the notebook now gives it. "
                "A step that has run keeps its inputs: put them back, or open a new run"
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
            return ReplayMismatch(f"the run {self.run_id} did not come to “{title}”")
        data = ends[-1].data
        self._show_failure(verb, title, data["seconds"], decode(data["result"]))
        kind = getattr(errors, data["error"], StepFailed)
        return CheckFailed(data["message"]) if kind is CheckFailed else StepFailed(data["message"])

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

    def _append(self, kind: Any, title: str, key: str, data: dict[str, Any]) -> Record:
        if self._journal is None:
            raise InputError(f"the run {self.run_id} is finished; open a new one")
        return self._journal.append(kind, title, key=key, data=data)

    def _catch_up(self) -> None:
        """Learn from the journal, and from nothing else, which steps are done."""
        if self._journal is not None:
            new = self._journal.since(self._seen)
            self._seen += len(new)
            self._done |= {record.title: record for record in new if record.kind in ("done", "skipped")}

    def _is_finished(self) -> bool:
        return any(record.kind == "finished" for record in self._records())

    def _claim_title(self, title: str, key: str) -> None:
        if self._keys.setdefault(title, key) != key:
            raise InputError(f"two different steps are titled “{title}”; a title names one piece of work")

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
                    self._journal.append("note", f"done again from “{record.title}” on: its scratch is gone")
                break
            done[record.title] = record
        return done

    def _refuse_secrets(self, title: str, result: Any) -> None:
        names = self._place.secrets.found_in(str(encode(result)))
        if names:
            raise StepFailed(
                f"the result of “{title}” holds the value of {', '.join(names)}; it is not recorded"
            )

    def _write_summary(self) -> None:
        text = self.summary().model_dump_json(indent=1)
        write_atomically(self._place.folder / "summary.json", self._place.secrets.mask(text) + "\n")

    # What a step may use

    def _new_step(self) -> Step:
        return Step(
            clock=self._place.clock,
            scratch=self._scratch_folder,
            secret=self._place.secrets.value,
            progress_sink=showing.ProgressBar(),
            evidence_sink=self._keep_evidence,
        )

    def _keep_evidence(self, name: str, content: bytes) -> None:
        folder = self._place.folder / "evidence"
        folder.mkdir(exist_ok=True)
        text = content.decode("utf-8", errors="surrogateescape")
        masked = self._place.secrets.mask(text).encode("utf-8", errors="surrogateescape")
        write_atomically(folder / name, masked)

    def _scratch_folder(self) -> Path:
        if self._scratch is None:
            (self._place.folder / "evidence").mkdir(exist_ok=True)
            self._scratch = open_scratch(receipt=self._place.folder / "evidence" / "scratch.json")
        return self._scratch.folder

    def _scratch_name(self) -> str | None:
        return str(self._scratch.folder.name) if self._scratch else None

    def _destroy_scratch(self) -> None:
        if self._scratch is not None and self._journal is not None:
            destroyed = self._scratch.close()
            self._scratch = None
            self._journal.append("note", "the scratch folder was destroyed", data={"what": encode(destroyed)})


def _key(verb: Verb, title: str, inputs: object) -> str:
    try:
        return digest([verb, title, inputs])[:32]
    except TypeError as error:
        raise InputError(f"the inputs of “{title}” cannot be recorded: {error}") from error


def _ended(verb: Verb, seconds: float, step: Step) -> dict[str, Any]:
    phases = [[phase.name, round(phase.seconds, 6)] for phase in step.phases]
    return {"verb": verb, "seconds": round(seconds, 6), "phases": phases}
