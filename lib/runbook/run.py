"""A run: what a notebook holds. Its verbs put every step on record before they return.

    read      look at the world; the result is recorded
    check     compare; a check that fails stops the run until what it names is mended
    plan      say what would be changed
    approve   wait for signatures under exactly that
    apply     change it: observe, apply, verify, for each change of a plan
    wait      until a time that follows from what is on record
    watch     look again and again until a time, or until what is seen ends it early
    decide    go on, ask a person, or roll back
    rollback  undo what was applied, newest first
    finish    close the record: conclusion, numbers for other notebooks, where to go next

The world is touched inside a verb, by the function handed to it, never in the verb's arguments. A step
that is recorded as done is returned from the record when it is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

from runbook import showing
from runbook.account import summarize
from runbook.changes.interface import Applied, Change, Plan, RolledBack
from runbook.errors import OutOfOrder, StepFailed
from runbook.gates.checks import as_checks
from runbook.gates.limits import require_within
from runbook.gates.watching import Look, Verdict, Waited
from runbook.journal import encode
from runbook.recording import named
from runbook.step import Step
from runbook.summary import Conclusion, Summary
from runbook.values import Check, Checks, Skipped, Value, html_table, skipped_input
from runbook.waiting import Waiting

P = ParamSpec("P")
R = TypeVar("R")


class Run(Waiting):
    """One execution of a runbook; made by `open_run`."""

    # What a notebook reads

    @property
    def run_id(self) -> str:
        return self._recorder.run_id

    @property
    def opened(self) -> Mapping[str, Any]:
        """What the run was opened with: the data of its first line."""
        return self._recorder.opened

    @property
    def params(self) -> dict[str, Any]:
        """The runbook's own parameters, checked and complete."""
        return dict(self.opened["params"])

    def looks(self, verdict: Verdict | Skipped) -> tuple[Look, ...] | Skipped:
        """Return the looks behind a verdict, as they are on record; of a watch that was skipped, that."""
        return verdict if isinstance(verdict, Skipped) else tuple(self._looks(verdict.title))

    def rows(self) -> list[tuple[str, str]]:
        opened = self.opened
        mode = "apply: changes are made" if opened["mode"] == "apply" else "plan: nothing is changed"
        steps = len(self._done)
        doing = (
            f"{steps} step{'s are' if steps > 1 else ' is'} on record"
            if steps
            else "nothing is on record yet"
        )
        coming = [title for title in self._place.outline().titles if title not in self._done]
        return [
            ("run", self.run_id),
            ("environment", f"{opened['environment']}, mode {mode}"),
            ("opened", f"by {opened['opened_by']}, {doing}"),
            *self._gate_rows(),
            ("comes next", coming[0] if coming else "nothing: every step is on record"),
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
        """Call `function`, which looks and returns the changes that would be made.

        Raises OverLimit when they are more than the environment allows.
        """

        def work(step: Step) -> Plan:
            changes = function(step, *args, **kwargs)
            plan = Plan(title=title, changes=(changes,) if isinstance(changes, Change) else tuple(changes))
            require_within(title, plan.amounts(), self._place.environment.gates.limits)
            return plan

        result: Plan = self._step("plan", title, (named(function), args, kwargs), work)
        return result

    def apply(self, plan: Plan) -> Applied:
        """Make the changes of `plan`, each observed before and verified after, once its gates are passed."""
        return self._apply(plan)

    def approve(self, plan: Plan) -> Value:
        """Return the approval of `plan`; raises Parked until enough people have signed exactly that."""
        return self._approve(plan)

    def wait(self, title: str, *, until: datetime) -> Waited:
        """Return once `until` is past; a long wait parks the run."""
        return self._wait(title, until)

    def watch(
        self,
        title: str,
        function: Callable[..., Look],
        *args: Any,
        until: datetime,
        every_s: float = 60.0,
        max_look_gap_s: float | None = None,
        **kwargs: Any,
    ) -> Verdict:
        """Call `function(step, past looks, *args, **kwargs)` every `every_s` until `until`, or an early end.

        A look may say itself how soon the next one is due (`Look.again_s`). `max_look_gap_s` is how long
        nobody may look; longer gaps stand in the verdict.
        """
        return self._watch(
            title, function, args, kwargs, until=until, every_s=every_s, max_look_gap_s=max_look_gap_s
        )

    def decide(self, verdict: Verdict) -> Value:
        """Go on when the verdict says proceed; else ask a person (hold), or roll back and raise NoGo."""
        return self._decide(verdict)

    def rollback(self) -> RolledBack | Skipped:
        """Undo what this run applied, newest first, and look after it.

        It needs no approval, no window and no writable record. What has no undo stays, and is named. Raises
        LeftInBetween when something is left that should not be.
        """
        return self._rollback()

    def finish(self, conclusion: Conclusion | None = None, *, keep_for: str = "") -> Summary:
        """Close the record: destroy the scratch folder, keep the conclusion, leave the numbers as scraps.

        What the run reserved is given back; `keep_for` names a runbook whose next run takes it over.
        Raises what stopped the run as long as a step of it has failed and was not mended.
        """
        if self._recorder.is_open:
            self._recorder.hold()
        if self._recorder.is_open:  # nobody ended it while it was parked
            self._learn()
            self._refuse_open_steps()
            self._refuse_missing_steps()
            why = skipped_input((conclusion,))
            self._destroy_scratch()
            data = {"conclusion": encode(None if why else conclusion)}
            if keep_for:  # before the run is over: else a death in between would free what the next one needs
                self._give_back(keep_for)
            self._recorder.append("finished", "finish", "", data)
            if not keep_for:
                self._give_back("")
            self._recorder.write_summary()
            self._recorder.close()
        summary = self.summary()
        for name, number in summary.numbers.items():
            if number.value is not None:  # what is unknown leaves no scrap: scrapbook cannot read it back
                showing.show_scrap(name, number.value)
        showing.show_scrap("run_id", summary.run_id)
        return summary

    def abort(self, *, by: str, reason: str) -> None:
        """End the run for good, by a person's hand: `runbook abort`. What it holds is free again."""
        data = {"by": by, "reason": reason, "abandoned": False}
        self._recorder.append_or_tell("aborted", "aborted", "", data)
        self._give_back("")

    def leave(self) -> None:
        """Let go of the record; another process may take the run up."""
        self._recorder.close()

    def summary(self) -> Summary:
        """Return the account of this run as it stands."""
        return summarize(self._recorder.lines(), alive=self._recorder.is_held)

    def _refuse_missing_steps(self) -> None:
        """Refuse an end that skips steps of the notebook; one that was rolled back may end early."""
        if "rollback" in self._done:
            return
        missing = [title for title in self._place.outline().titles if title not in self._done]
        if missing:
            raise OutOfOrder(
                f"the run cannot finish: “{missing[0]}” is not on record as done; run its cell first. To end "
                f"it as it stands: runbook abort {self.run_id} --reason …"
            )

    def _refuse_open_steps(self) -> None:
        for step in self.summary().steps:
            if step.status in ("failed", "unknown", "waiting"):
                raise StepFailed(f"the run cannot finish: “{step.title}” did not end well. {step.message}")
