"""The way back in an incident: one build serves everybody again; whether that helped; who is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from runbook.changes.incident.finding import Finding
from runbook.changes.incident.picture import MINUTE, Order, Picture, Rate
from runbook.changes.interface import Change, EffectClass
from runbook.changes.traffic.counting import floor
from runbook.changes.traffic.moving import share_text, state_of
from runbook.changes.traffic.telling import Told, say
from runbook.errors import StepFailed, VendorError
from runbook.providers import datadog, pagerduty, vercel
from runbook.providers.connect import vendor_id
from runbook.providers.vercel.releases import ALL
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check

GOOD_MINUTES = 5  # on end, after which the way back has helped
_PATIENCE = timedelta(minutes=15)
_LOOK_BACK = timedelta(hours=1)


class GoBack(Change):
    """Have one build serve everybody again, whatever release is under way."""

    has_undo: ClassVar[bool] = False
    settles_within_s: ClassVar[float] = 120.0
    project: str
    found: str
    to: str
    within_s: float

    def sentence(self) -> str:
        return f"give all visitors {self.to}"

    def resource(self) -> str:
        # Not the production that a canary's run has reserved: going back outranks that.
        return f"the way back of {self.project} at Vercel"

    def before(self) -> str:
        return self.found

    def after(self) -> str:
        return share_text(self.to, ALL)

    def touches(self) -> str:
        return (
            f"every visitor of {self.project}. Environment variables and crons are then that build's; "
            "no production build goes live by itself until one is promoted"
        )

    def way_back(self) -> str:
        return "none by itself: a build that failed is released anew once it is mended"

    def observe(self, step: Step) -> str:
        return state_of(vercel.read_project(step), vercel.read_release(step))

    def apply(self, step: Step) -> vercel.Moved:
        return vercel.apply_rollback(
            step, to=self.to, reason=f"incident, run {step.run_id}", within_s=self.within_s
        )

    def result(self, step: Step) -> vercel.Moved:
        return vercel.apply_rollback(step, to=self.to, reason="", within_s=self.within_s)


class Announce(Change):
    """Say in the rollout's Slack channel what is done about an incident."""

    effect: ClassVar[EffectClass] = "at least once"
    has_undo: ClassVar[bool] = False
    run: str
    text: str

    def sentence(self) -> str:
        return f"tell Slack: {self.text}"

    def resource(self) -> str:
        return f"messages of {self.run}"

    def touches(self) -> str:
        return "people's attention; nothing else"

    def way_back(self) -> str:
        return "none: what was said stays"

    def apply(self, step: Step) -> Told:
        return say(step, self.text, since=step.clock.now() - _LOOK_BACK)


class Close(Change):
    """Resolve the alert at PagerDuty that this incident was opened for, once the errors have stayed down."""

    effect: ClassVar[EffectClass] = "keyed"
    has_undo: ClassVar[bool] = False
    key: str
    to: str

    def sentence(self) -> str:
        return f"resolve the alert {self.key} at PagerDuty, once errors are down for {GOOD_MINUTES} minutes"

    def touches(self) -> str:
        return f"the incident of {self.key}"

    def way_back(self) -> str:
        return "none: the alert fires again when it has a reason"

    def apply(self, step: Step) -> pagerduty.Event:
        found = recovery(step, self.to)
        if found.status != "passed":
            raise StepFailed(
                f"{found.title}: {found.observed}; expected {found.expected}. The alert {self.key} "
                f"stays open. Look again: runbook resume {step.run_id}"
            )
        return pagerduty.apply_event(step, dedup_key=self.key, action="resolve")


def plan_way(step: Step, order: Order, picture: Picture, finding: Finding) -> list[Change]:
    """Return the way that a finding offers: go back, say so, close the alert where the run knows its key."""
    if not finding.back_to:
        return []
    within_s = step.rollout().rollback.high_error_rate.rto_below_minutes * 60
    project = vendor_id(step, "vercel", "project_name")
    found = (
        share_text(picture.canary, picture.percent) if picture.canary else share_text(picture.production, ALL)
    )
    text = f"High error rate: it was the {finding.cause}, and {finding.back_to} serves everybody again"
    changes: list[Change] = [
        GoBack(project=project, found=found, to=finding.back_to, within_s=within_s),
        Announce(run=step.run_id, text=text),
    ]
    return [*changes, Close(key=order.incident_key, to=finding.back_to)] if order.incident_key else changes


def errors_are_down(step: Step, finding: Finding) -> Check:
    """Wait for some good minutes on end since the way back, and compare the error rate with the plan's."""
    return recovery(step, finding.back_to)


def recovery(step: Step, deployment: str) -> Check:
    """Return whether errors were under the plan's limit for some minutes on end since a build is back."""
    limit = step.rollout().slos.error_rate.target_below_percent / 100
    title = "error rate since the way back"
    expected = f"under {limit * 100:g} % for {GOOD_MINUTES} minutes on end"
    begins = _back_since(step, deployment) + MINUTE
    seen = "nothing yet"
    for number in range(int(_PATIENCE / MINUTE)):
        until = begins + (GOOD_MINUTES + number) * MINUTE
        step.clock.sleep_until(until + timedelta(seconds=datadog.SETTLED_S))
        try:
            rate, minutes = _lately(step, deployment, until)
        except VendorError as error:
            return Check.unchecked(title, why=str(error), expected=expected)
        seen = rate.in_a_line()
        if minutes == GOOD_MINUTES and rate.ratio is not None and rate.ratio < limit:
            return Check.of(title, holds=True, observed=seen, expected=expected)
    return Check.of(title, holds=False, observed=seen, expected=expected)


def _back_since(step: Step, deployment: str) -> datetime:
    move = vercel.read_project(step).move
    back = move is not None and move.to == deployment
    return floor(move.requested_at if move is not None and back else step.clock.now())


def _lately(step: Step, deployment: str, until: datetime) -> tuple[Rate, int]:
    """Return the error rate of the last minutes and how many of them were seen."""
    since = until - GOOD_MINUTES * MINUTE
    names = (deployment,)
    found = datadog.read_minutes(step, since=since, until=until, deployments=names, bucketed="nobody")
    totals = [arm.total for minute in found.minutes for arm in minute.arms]
    rate = Rate(requests=sum(one.requests for one in totals), errors=sum(one.errors for one in totals))
    return rate, len(found.minutes)


def conclude(step: Step, picture: Picture, finding: Finding) -> Conclusion:
    """Return verdict and numbers of an incident that is over."""
    del step
    did = (
        f"It was the {finding.cause}: {finding.back_to} serves everybody again, and the errors are down."
        if finding.back_to
        else f"Nothing was moved: {'; '.join(finding.grounds)}."
    )
    numbers = {
        f"error_percent_{number}": Number(
            title=f"error rate of {one.id}",
            value=None if one.lately.ratio is None else round(one.lately.ratio * 100, 4),
            unit="%",
        )
        for number, one in enumerate(picture.builds, start=1)
    }
    return Conclusion(verdict=did, numbers=numbers)
