"""Waiting, watching and deciding: short waits hold the process, long ones park the run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from runbook.changes.interface import Plan
from runbook.effects import Effects
from runbook.errors import NoGo, Parked, StepFailed
from runbook.gates.approvals import Approval
from runbook.gates.watching import Look, Verdict, Waited
from runbook.journal import decode, encode
from runbook.outline import title_of
from runbook.recording import named
from runbook.step import Step
from runbook.values import Value, skipped_input

SLICE_S, SLICES = 1.0, 100  # how often a bar moves while a process waits, at most


class Decided(Value):
    """That the run goes on, and on whose word; `approval` where a person had to say so."""

    decision: str
    by: str
    approval: Approval | None = None

    def rows(self) -> list[tuple[str, str]]:
        return [("decision", self.decision), ("by", self.by)]


class Waiting(Effects):
    """Waits, watches and decides."""

    def _wait(self, title: str, until: datetime) -> Waited:
        def work(step: Step) -> Waited:
            self._hold_until(step, title, until)
            return Waited(until=until, seen_at=self._place.clock.now())

        result: Waited = self._step("wait", title, (until,), work, effect=True)
        return result

    def _hold_until(self, step: Step, what: str, until: datetime) -> None:
        """Return once `until` is past, with a bar; raises Parked when that is too far off to be held."""
        clock = self._place.clock
        left_s = (until - clock.now()).total_seconds()
        if left_s > self._place.environment.gates.inline_wait_s:
            raise Parked(f"“{what}” waits until {until:%Y-%m-%d %H:%M:%S} UTC", until=until)
        if left_s <= 0:
            return
        if clock.jumps:
            clock.sleep_until(until)
            return
        slice_s = max(SLICE_S, left_s / SLICES)
        with step.progress(what, total=left_s, unit="s") as bar:
            while (now := clock.now()) < until:
                bar.at(left_s - (until - now).total_seconds())
                clock.sleep_until(min(until, now + timedelta(seconds=slice_s)))

    def _watch(
        self,
        title: str,
        function: Callable[..., Look],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        until: datetime,
        every_s: float,
        max_look_gap_s: float | None,
    ) -> Verdict:
        def work(step: Step) -> Verdict:
            looks = self._looks(title)
            while not looks or not (looks[-1].ends or looks[-1].at >= until):
                if looks:
                    due = min(until, looks[-1].at + timedelta(seconds=looks[-1].again_s or every_s))
                    self._hold_until(step, title, due)
                looks.append(self._look(step, title, function, looks, args, kwargs))
            return _verdict(title, looks, max_look_gap_s)

        inputs = (named(function), args, kwargs, until, every_s, max_look_gap_s)
        result: Verdict = self._step("watch", title, inputs, work, effect=True)
        return result

    def _look(
        self,
        step: Step,
        title: str,
        function: Callable[..., Look],
        looks: list[Look],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Look:
        look = function(step, tuple(looks), *args, **kwargs)
        if not isinstance(look, Look):
            raise StepFailed(f"“{title}”: a look must return a Look, not a {type(look).__name__}")
        self._recorder.append("looked", title, "", {"look": encode(look)})
        return look

    def _looks(self, title: str) -> list[Look]:
        found = [
            decode(line.data["look"])
            for line in self._recorder.lines()
            if line.kind == "looked" and line.title == title
        ]
        return [look for look in found if isinstance(look, Look)]

    def _decide(self, verdict: Verdict) -> Value:
        title = title_of("decide", str(verdict.title))
        skipped = bool(skipped_input(verdict))
        if (
            not skipped
            and verdict.decision == "rollback"
            and self._recorder.is_open
            and title not in self._done
        ):
            self._rollback()  # before anything is written down of the decision: it waits for no disk

        def work(step: Step) -> Decided:
            because = "; ".join(verdict.reasons)
            if verdict.decision == "rollback":
                raise NoGo(f"rolled back: {because}")
            if verdict.decision == "proceed":
                return Decided(decision="proceed", by=f"“{verdict.title}”: {because}")
            plan = Plan(title=f"{verdict.title}: go on although: {because}", changes=())
            try:
                approval = self._signed(step, title, lambda: self._request(step, plan, kind="decision"))
            except Parked as waits:
                raise Parked(f"{because}; it {waits}", until=waits.until, whom=waits.whom) from None
            return Decided(decision="proceed", by=approval.in_a_line(), approval=approval)

        result: Value = self._step("decide", title, (verdict,), work, effect=True)
        return result


def _verdict(title: str, looks: list[Look], max_look_gap_s: float | None) -> Verdict:
    last = looks[-1]
    apart = [(b.at - a.at).total_seconds() for a, b in pairwise(looks)]
    gaps = [gap for gap in apart if max_look_gap_s is not None and gap > max_look_gap_s]
    return Verdict(
        title=title,
        decision=last.decision,
        reasons=(last.says,),
        looks=len(looks),
        began_at=looks[0].at,
        ended_at=last.at,
        gaps_s=tuple(gaps),
        numbers=last.numbers,
    )
