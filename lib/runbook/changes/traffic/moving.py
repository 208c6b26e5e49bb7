"""The canary's traffic, moved one stage up by Vercel's rolling release; its way back ends the release.

Vercel has no call back to an earlier stage and none to abort: whatever phase is undone, every visitor gets
the build from before. A rollback leaves the project so that no production build goes live by itself;
promoting the build that serves already undoes that and moves nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar

from runbook.changes.interface import Change
from runbook.changes.traffic.order import Ground, Phase
from runbook.changes.traffic.telling import StandBy
from runbook.errors import StepFailed, VendorError
from runbook.providers import datadog, vercel
from runbook.providers.datadog.minutes import SETTLED_S
from runbook.providers.vercel.releases import ALL
from runbook.step import Step
from runbook.values import Check, Value

HELD, FREE = "production builds wait to be released", "production builds go live by themselves"
STRAY_SHARE = 0.01  # of requests a minute after a rollback: pages that were open before it
_MINUTE = timedelta(minutes=1)


class Raised(Value):
    """The canary's share where it was to be, and since when, as Vercel says."""

    canary: str
    percent: float
    at: datetime


class Hold(Change):
    """Hold production builds for the canary's length: they are built, and wait to be released."""

    project: str
    current: str

    def sentence(self) -> str:
        return "hold production builds: they are built, and wait to be released"

    def resource(self) -> str:
        return resource_of(self.project)

    def before(self) -> str:
        return FREE

    def after(self) -> str:
        return HELD

    def touches(self) -> str:
        return "merges to main: they reach nobody meanwhile"

    def way_back(self) -> str:
        return "builds go live by themselves again"

    def observe(self, step: Step) -> str:
        return FREE if vercel.read_project(step).assigns_domains else HELD

    def apply(self, step: Step) -> None:
        vercel.apply_auto_assign(step, on=False)

    def undo(self, step: Step) -> None:
        free_builds(step, current=self.current)


class Free(Change):
    """Let production builds go live by themselves again, as before the canary."""

    project: str

    def sentence(self) -> str:
        return "let production builds go live by themselves again"

    def resource(self) -> str:
        return resource_of(self.project)

    def before(self) -> str:
        return HELD

    def after(self) -> str:
        return FREE

    def touches(self) -> str:
        return "what is merged to main from now on"

    def way_back(self) -> str:
        return "hold them again"

    def observe(self, step: Step) -> str:
        return FREE if vercel.read_project(step).assigns_domains else HELD

    def apply(self, step: Step) -> None:
        vercel.apply_auto_assign(step, on=True)

    def undo(self, step: Step) -> None:
        vercel.apply_auto_assign(step, on=False)


class Stages(Change):
    """Have releases go through the plan's stages, each by our approval; None: no rolling releases."""

    project: str
    found: tuple[float, ...] | None
    wanted: tuple[float, ...] | None

    def sentence(self) -> str:
        if self.wanted is None:
            return "turn rolling releases off, as they were"
        return f"have releases go through {_stages_text(self.wanted)}, each by our approval"

    def resource(self) -> str:
        return resource_of(self.project)

    def before(self) -> str:
        return _stages_text(self.found)

    def after(self) -> str:
        return _stages_text(self.wanted)

    def touches(self) -> str:
        return "releases to come"

    def way_back(self) -> str:
        return f"{_stages_text(self.found)}, as before"

    def observe(self, step: Step) -> str:
        found = vercel.read_stages(step)
        by_itself = "" if found is None or found.by_hand else ", which advance by themselves"
        return f"{_stages_text(found.percents if found else None)}{by_itself}"

    def apply(self, step: Step) -> None:
        set_stages(step, self.wanted)

    def undo(self, step: Step) -> None:
        set_stages(step, self.found)


class Raise(Change):
    """Raise the canary's share of the visitors by one stage.

    Its way back is done when everything is as before the canary: who serves, how builds go live, the stages.
    """

    settles_within_s: ClassVar[float] = 120.0
    ground: Ground
    phase: Phase

    def sentence(self) -> str:
        return f"raise {self.ground.called} to {self.phase.percent:g} % of the visitors"

    def resource(self) -> str:
        return resource_of(self.ground.project)

    def before(self) -> str:
        if self.phase.number == 1:
            return self._without(assigns_domains=False, stages=self.phase.percents)
        return share_text(self.ground.canary, self.phase.percent_before)

    def after(self) -> str:
        return share_text(self.ground.canary, self.phase.percent)

    def undone(self) -> str:
        return self._without(assigns_domains=self.ground.assigns_domains, stages=self.ground.stages)

    def is_ours(self, seen: str) -> bool:
        """Say whether the canary has visitors, whoever sent them, or a rollback was not carried through."""
        return seen.startswith((f"{self.ground.canary} to ", f"{self.ground.current} to all "))

    def touches(self) -> str:
        return f"{self.phase.percent:g} % of the visitors"

    def way_back(self) -> str:
        return (
            "the whole release is rolled back: the build before serves everybody within "
            f"{self.phase.rto_s / 60:g} minutes, with its environment variables and crons"
        )

    def observe(self, step: Step) -> str:
        project = vercel.read_project(step)
        seen = state_of(project, vercel.read_release(step))
        if seen != share_text(self.ground.current, ALL):
            return seen
        return self._without(assigns_domains=project.assigns_domains, stages=read_stages(step))

    def apply(self, step: Step) -> Raised:
        canary, stage = self.ground.canary, self.phase.number - 1
        if self.phase.is_last:
            vercel.apply_release_complete(step, canary=canary)
        elif stage == 0:
            vercel.apply_release_start(step, canary=canary)
        else:
            vercel.apply_stage(step, canary=canary, stage=stage)
        return self.result(step)

    def result(self, step: Step) -> Raised:
        release = vercel.read_release(step)
        if release is None or release.canary != self.ground.canary:
            raise StepFailed(f"Vercel shows no release of {self.ground.canary}; look there, then resume")
        at = release.started_at if self.phase.number == 1 else release.updated_at
        return Raised(canary=release.canary, percent=release.percent, at=at)

    def verify(self, step: Step, result: Value | None) -> None:
        release = vercel.read_release(step)
        if release is None or release.percents != self.phase.percents or not release.by_hand:
            found = _stages_text(release.percents) if release else "none"
            raise StepFailed(
                f"the release goes through {found}, not through {_stages_text(self.phase.percents)} by our "
                f"approval: somebody set its stages. To end it: runbook abort {step.run_id} --rollback"
            )
        del result

    def undo(self, step: Step) -> None:
        """Give everybody the build before, then put the project back as it was."""
        ground = self.ground
        reason = f"canary phase {self.phase.number} rolled back, run {step.run_id}"
        moved = vercel.apply_rollback(step, to=ground.current, reason=reason, within_s=self.phase.rto_s)
        step.remark(f"{ground.current} serves all visitors again, {moved.took_s:g} s after it was asked for")
        try:
            if read_stages(step) != ground.stages:
                set_stages(step, ground.stages)
            if ground.assigns_domains:
                free_builds(step, current=ground.current)
        except VendorError as error:
            raise StepFailed(
                f"{ground.current} serves all visitors again; what is not as before is how builds go "
                f"live: {error}"
            ) from error

    def health(self, step: Step) -> Iterable[Check]:
        project, release = vercel.read_project(step), vercel.read_release(step)
        yield Check.of(
            f"production is {self.ground.current}",
            holds=project.production == self.ground.current,
            observed=project.production,
            expected=self.ground.current,
        )
        percent = release.percent if release and release.active else 0.0
        yield Check.of(
            "visitors sent to the canary",
            holds=percent == 0,
            observed=f"{percent:g} %",
            expected="0 %",
        )
        yield visits_gone(step, self.ground.canary)

    def _without(self, *, assigns_domains: bool, stages: tuple[float, ...] | None) -> str:
        """Return the state in which nobody gets the canary."""
        builds = FREE if assigns_domains else HELD
        return f"{share_text(self.ground.current, ALL)}; {builds}; {_stages_text(stages)}"


def share_text(deployment: str, percent: float) -> str:
    """Return a share as one state: who gets the canary; the others get the build before it."""
    return f"{deployment} to {'all' if percent >= ALL else f'{percent:g} % of the'} visitors"


def state_of(project: vercel.Project, release: vercel.Release | None) -> str:
    """Return who serves the visitors, as one line."""
    if release is not None and release.active:
        return share_text(release.canary, release.percent)
    return share_text(project.production, ALL)


def resource_of(project: str) -> str:
    return f"production of {project} at Vercel"


def read_stages(step: Step) -> tuple[float, ...] | None:
    """Return the stages of releases to come; None: rolling releases are off."""
    found = vercel.read_stages(step)
    return found.percents if found else None


def set_stages(step: Step, percents: tuple[float, ...] | None) -> None:
    if percents is None:
        vercel.apply_stages_off(step)
    else:
        vercel.apply_stages(step, percents=percents)


def free_builds(step: Step, *, current: str) -> None:
    """Let production builds go live by themselves again, also after a rollback."""
    if vercel.read_project(step).rolled_back:
        vercel.apply_promotion(step, to=current)
    vercel.apply_auto_assign(step, on=True)


def visits_gone(step: Step, canary: str) -> Check:
    """Wait for the first whole minute from now, and compare what reached the canary in it with nothing."""
    title, expected = "requests that still reach the canary", f"under {STRAY_SHARE:.0%} in a whole minute"
    begins = step.clock.now().replace(second=0, microsecond=0) + _MINUTE
    step.clock.sleep_until(begins + _MINUTE + timedelta(seconds=SETTLED_S))
    try:
        found = datadog.read_minutes(
            step, since=begins, until=begins + _MINUTE, deployments=(canary,), bucketed="nobody"
        )
    except VendorError as error:
        return Check.unchecked(title, why=f"Datadog does not say: {error}", expected=expected)
    if not found.minutes:
        return Check.unchecked(title, why="Datadog has nothing of that minute", expected=expected)
    arms = found.minutes[0].arms
    everybody = sum(arm.total.requests for arm in arms)
    strays = sum(arm.total.requests for arm in arms if arm.deployment == canary)
    observed = f"{strays:,} of {everybody:,} at {begins:%H:%M} UTC"
    return Check.of(title, holds=strays <= STRAY_SHARE * everybody, observed=observed, expected=expected)


def plan_phase(step: Step, phase: Phase, ground: Ground) -> list[Change]:
    """Return what a phase changes: in the first the project is made ready for the canary, too."""
    told = StandBy(
        run=step.run_id,
        phase=phase,
        canary=ground.called,
        current=ground.current,
        planned_at=step.clock.now(),
    )
    ready: list[Change] = []
    if phase.number == 1:
        ready = [Stages(project=ground.project, found=ground.stages, wanted=phase.percents)]
        if ground.assigns_domains:
            ready.insert(0, Hold(project=ground.project, current=ground.current))
    return [told, *ready, Raise(ground=ground, phase=phase)]


def plan_closing(step: Step, phase: Phase, ground: Ground) -> list[Change]:
    """Return what the last phase gives back: stages and builds as they were before the canary."""
    del step
    changes: list[Change] = []
    if ground.stages != phase.percents:
        changes.append(Stages(project=ground.project, found=phase.percents, wanted=ground.stages))
    if ground.assigns_domains:
        changes.append(Free(project=ground.project))
    return changes


def _stages_text(percents: tuple[float, ...] | None) -> str:
    return " / ".join(f"{one:g} %" for one in percents) if percents else "no rolling releases"
