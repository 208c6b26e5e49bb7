"""Who is told of a canary: Slack of its course, PagerDuty of its end; each message once as far as can be.

A message names its run and is found again in the channel by its text; a page has a key. What Slack does not
take is remarked and nothing waits for it; a page that is not taken is a failure, for somebody must come.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from runbook.changes.interface import Change, EffectClass
from runbook.changes.notices import only_by_webhook
from runbook.changes.traffic.order import Phase
from runbook.errors import InputError, LeftInBetween, RunbookError, VendorError
from runbook.gates.watching import Verdict
from runbook.providers import datadog, pagerduty, slack
from runbook.providers.datadog.marks import Tone
from runbook.step import Step
from runbook.values import Value

WATCH = "the canary at its share"  # the notebook's watch, whose verdict says why
_LOOK_BACK = timedelta(hours=1)
_MARKED_BACK = timedelta(hours=16)  # Datadog takes no event that is older
_REASONS_LONG, _PAGE_LONG = 900, 1024


class Told(Value):
    """What was said, and the trouble there was in saying it."""

    text: str
    trouble: str = ""

    def rows(self) -> list[tuple[str, str]]:
        return [("not told" if self.trouble else "told", self.trouble or self.text)]


def say(step: Step, text: str, *, since: datetime) -> Told:
    """Say something in the rollout's Slack channel, unless it was said since `since`; never raises for Slack.

    With a webhook alone nobody can look: it is said again after an interruption.
    """
    whole = f"{text} (run {step.run_id})"
    try:
        if only_by_webhook(step):
            slack.apply_webhook(step, text=whole)
        else:
            slack.apply_message(step, text=whole, since=since)
    except (VendorError, LeftInBetween, InputError) as error:
        step.remark(f"Slack did not take a message, and the work goes on: {error}")
        return Told(text=whole, trouble=str(error))
    return Told(text=whole)


def say_status(step: Step, head: str, text: str, *, since: datetime) -> Told:
    """Say how it stands, once for each `head`: by that it is found again, for the numbers move on."""
    began = f"{head}: "
    try:
        said = any(m.text.startswith(began) and step.run_id in m.text for m in _history(step, since))
    except (VendorError, LeftInBetween, InputError) as error:
        step.remark(f"Slack did not take a message, and the work goes on: {error}")
        return Told(text=head, trouble=str(error))
    return Told(text=head) if said else say(step, f"{began}{text}", since=since)


def _history(step: Step, since: datetime) -> tuple[slack.Message, ...]:
    return () if only_by_webhook(step) else slack.read_history(step, since=since)


def page(step: Step, *, what: str, summary: str, severity: pagerduty.Severity = "critical") -> None:
    """Call whoever is on call; the same `what` of a run joins the incident that there is already."""
    key = f"{step.run_id}/{what}"
    pagerduty.apply_event(
        step, dedup_key=key, summary=summary[:_PAGE_LONG], source=f"runbook {step.run_id}", severity=severity
    )


def mark(step: Step, *, what: str, title: str, text: str, at: datetime, tone: Tone) -> None:
    """Mark a moment on Datadog's timelines; never raises for Datadog."""
    try:
        key = f"{step.run_id}/{what}"
        datadog.apply_mark(step, key=key, title=title, text=text, at=at, tone=tone, tags=("canary",))
    except (VendorError, LeftInBetween) as error:
        step.remark(f"Datadog did not take a mark, and the work goes on: {error}")


class StandBy(Change):
    """Say that a phase begins, and stand by to say that it was rolled back.

    Applied first, so undone last: the traffic is back before anybody is told. Nobody can tell from outside
    what was said; saying it again is harmless.
    """

    effect: ClassVar[EffectClass] = "at least once"
    run: str
    phase: Phase
    canary: str
    current: str
    planned_at: datetime

    def sentence(self) -> str:
        return f"tell Slack and Datadog that phase {self.phase.number} of {self.canary} begins"

    def resource(self) -> str:
        return f"messages of {self.run}"

    def touches(self) -> str:
        return "people's attention"

    def way_back(self) -> str:
        return "what was said stays; a rollback pages, and is told in Slack and Datadog"

    def apply(self, step: Step) -> Told:
        text = (
            f"Canary phase {self.phase.number} of {len(self.phase.percents)} begins: {self.canary} goes to "
            f"{self.phase.percent:g} % of the visitors, for {self.phase.hours:g} h"
        )
        now = step.clock.now()
        at = self.planned_at if now - self.planned_at < _MARKED_BACK else now
        mark(step, what="began", title=text, text=text, at=at, tone="info")
        return say(step, text, since=self.planned_at - _LOOK_BACK)

    def undo(self, step: Step) -> None:
        text = (
            f"Canary phase {self.phase.number} of {self.canary} was rolled back from {self.phase.percent:g} %"
            f": {self.current} is to serve all visitors"
        )
        why = reasons(step)
        now = step.clock.now()
        try:
            page(step, what="rollback", summary=f"{text}. {why}")
        finally:
            say(step, f"{text}. {why}", since=self.planned_at)
            mark(step, what="rollback", title=text, text=why, at=now, tone="error")


def reasons(step: Step) -> str:
    """Return why, as the watch has it on record; without one, where to look."""
    look = f"See: runbook status {step.run_id}"
    try:
        verdict = step.earlier(step.run_id).result(WATCH)
    except (RunbookError, RuntimeError, OSError):  # a rollback is told whatever became of its record
        return look
    if not isinstance(verdict, Verdict) or verdict.decision != "rollback":
        return look
    return f"Because: {'; '.join(verdict.reasons)[:_REASONS_LONG]}. {look}"
