"""Before a phase begins: what serves, who is on call, whether the traffic will suffice to know."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np

from runbook.changes.traffic.between import Previous, UnderWay
from runbook.changes.traffic.counting import Baseline, read_baseline
from runbook.changes.traffic.moving import read_stages, share_text, state_of
from runbook.changes.traffic.order import Ground, Order, Phase
from runbook.errors import VendorError
from runbook.judge.bands import LEVEL, below_evidence
from runbook.judge.calibrating import ASSUMED
from runbook.providers import datadog, pagerduty, vercel
from runbook.providers.connect import vendor_id
from runbook.providers.vercel.releases import ALL
from runbook.step import Step
from runbook.values import Check, shown

LEVELS = (1, 2)  # of the escalation policy: primary, secondary
_MINUTES_A_HOUR = 60


def read_ground(step: Step, order: Order, previous: Previous) -> Ground:
    """Return what serves and how the project is set; of a canary under way, as its first phase found it."""
    if previous.under_way is not None:
        return previous.under_way.ground
    build = vercel.read_deployment(step, deployment=order.deployment)
    project = vercel.read_project(step)
    return Ground(
        project=vendor_id(step, "vercel", "project_name"),
        canary=build.id,
        version=build.meta.get("version", ""),
        current=project.production,
        assigns_domains=project.assigns_domains,
        stages=read_stages(step),
    )


def ordinary_day(step: Step, ground: Ground, previous: Previous) -> Baseline:
    """Return the day before the canary, measured once: later phases are judged by what the first found."""
    return previous.under_way.baseline if previous.under_way else read_baseline(step, ground)


def may_begin(step: Step, order: Order, phase: Phase, ground: Ground) -> list[Check]:
    """Compare the ground with what a phase needs: the release, the people, the alerts, the schema."""
    begins = step.clock.now()
    ends = begins + timedelta(hours=phase.hours)
    return [
        *_release(step, phase, ground),
        *_on_call(step, begins, ends),
        _alerts(step),
        _attested(order),
    ]


def _release(step: Step, phase: Phase, ground: Ground) -> Iterator[Check]:
    project, release = vercel.read_project(step), vercel.read_release(step)
    before = ground.canary if phase.percent_before else ground.current
    wanted = share_text(before, phase.percent_before or ALL)
    seen = state_of(project, release)
    yield Check.of("who serves", holds=seen == wanted, observed=seen, expected=wanted)
    queued = release.queued if release and release.active else ""
    yield Check.of(
        "builds that wait for this release",
        holds=not queued,
        observed=queued or "none",
        expected="none: it would begin its own release when this one is complete",
    )
    if phase.number > 1:
        held = not project.assigns_domains
        observed = "they wait" if held else "they go live by themselves"
        yield Check.of("production builds", holds=held, observed=observed, expected="they wait")
        return
    build = vercel.read_deployment(step, deployment=ground.canary)
    yield Check.of(
        f"{ground.canary} can be released",
        holds=build.state == "READY" and build.target == "production" and build.id != project.production,
        observed=f"{build.state}, for {build.target}, serving: {shown(build.id == project.production)}",
        expected="READY, for production, serving: no",
    )
    slots = vercel.read_release_slots(step)
    yield Check.of(
        "rolling releases may be used",
        holds=ground.stages is not None or slots.slots is None or slots.slots > 0,
        observed=slots.says,
        expected="a slot for this project (Pro plan or above)",
    )


def _on_call(step: Step, begins: datetime, ends: datetime) -> Iterator[Check]:
    duty = pagerduty.read_on_call(step, since=begins, until=ends)
    for level, name in zip(LEVELS, ("primary", "secondary"), strict=True):
        people = tuple(dict.fromkeys(one.user for one in duty.at_level(level)))
        gaps = [f"{gap.since:%d %H:%M} to {gap.until:%H:%M} UTC" for gap in duty.gaps if gap.level == level]
        observed = f"nobody {', '.join(gaps)}" if gaps else ", ".join(people) or "nobody"
        yield Check.of(
            f"{name} on call until {ends:%Y-%m-%d %H:%M} UTC",
            holds=bool(people) and not gaps,
            observed=observed,
            expected="somebody, without a gap",
        )


def _alerts(step: Step) -> Check:
    firing = [one.name for one in datadog.read_monitors(step) if one.state == "Alert"]
    return Check.of(
        "alerts that fire", holds=not firing, observed=", ".join(firing) or "none", expected="none"
    )


def _attested(order: Order) -> Check:
    """Ask for a name: that the build before runs on the schema as it is now, no vendor can tell."""
    name = order.schema_attested_by.strip()
    return Check.of(
        "the build before runs on the schema as it is now",
        holds=bool(name),
        observed=f"attested by {name}" if name else "nobody attests it",
        expected="the name of who tried it, in the parameter schema_attested_by: a rollback rests on it",
    )


def enough_traffic(step: Step, phase: Phase, baseline: Baseline) -> Check:
    """Say before a phase whether its traffic can show that errors are under the gate's limit."""
    title = "the traffic suffices to know"
    limit = phase.gate.error_rate_below_percent
    if limit is None:
        expected = "no error rate of its own"
        return Check.of(title, holds=True, observed="the gate asks for another thing", expected=expected)
    coming = requests_in(baseline, phase, step.clock.now())
    if coming is None or baseline.error_ratio is None:
        why = "Datadog has nothing of the day before"
        return Check.unchecked(title, why=why, expected="requests of the day before")
    needed = requests_needed(baseline, limit / 100)
    expected = "less than the limit on the day before" if needed is None else f"{needed:,.0f} or more"
    return Check.of(
        title,
        holds=needed is not None and coming >= needed,
        observed=f"{coming:,.0f} requests at {phase.percent:g} % in {phase.hours:g} hours",
        expected=f"{expected}, to say that errors are under {limit:g} %",
    )


def requests_in(baseline: Baseline, phase: Phase, begins: datetime) -> float | None:
    """Return how many requests the canary gets if its hours are as they were a day before."""
    known = [one for one in baseline.requests_per_minute if one is not None]
    if not known:
        return None
    mean = sum(known) / len(known)
    hours = math.ceil(phase.hours)
    total = 0.0
    for number in range(hours):
        of_hour = baseline.requests_per_minute[(begins + timedelta(hours=number)).hour]
        part = min(1.0, phase.hours - number)
        total += part * _MINUTES_A_HOUR * (mean if of_hour is None else of_hour)
    return total * phase.percent / ALL


def requests_needed(baseline: Baseline, limit: float) -> float | None:
    """Return how many requests show that the error rate is under `limit`, if it is as the day before.

    None when it is not under it then: no number of requests would.
    """
    rate = baseline.error_ratio or 0.0
    if rate >= limit:
        return None
    noise = baseline.noise.get("errors", ASSUMED).factor
    sizes = np.geomspace(10, 1e9, 400)
    enough = below_evidence(rate * sizes, sizes, limit=limit, noise=noise) >= math.log(1 / LEVEL)
    return float(sizes[enough.argmax()]) if enough.any() else None


def has_moved(step: Step, under_way: UnderWay) -> list[Check]:
    """Compare where the visitors go with the plan: as Vercel says, and as requests show it in Datadog."""
    phase, ground = under_way.phase, under_way.ground
    seen = state_of(vercel.read_project(step), vercel.read_release(step))
    wanted = share_text(ground.canary, phase.percent)
    said = Check.of("Vercel says", holds=seen == wanted, observed=seen, expected=wanted)
    return [said, _arrives(step, ground)]


def _arrives(step: Step, ground: Ground) -> Check:
    """Wait for the first whole minute since the move and say what of it reached the canary."""
    title, expected = "requests reach the canary (Datadog)", "some in a whole minute"
    begins = step.clock.now().replace(second=0, microsecond=0) + timedelta(minutes=1)
    ends = begins + timedelta(minutes=1)
    step.clock.sleep_until(ends + timedelta(seconds=datadog.SETTLED_S))
    try:
        found = datadog.read_minutes(
            step, since=begins, until=ends, deployments=(ground.canary, ground.current), bucketed="nobody"
        )
    except VendorError as error:
        return Check.unchecked(title, why=f"Datadog does not say: {error}", expected=expected)
    arms = found.minutes[0].arms if found.minutes else ()
    everybody = sum(arm.total.requests for arm in arms)
    ours = sum(arm.total.requests for arm in arms if arm.deployment == ground.canary)
    observed = f"{ours:,} of {everybody:,} at {begins:%H:%M} UTC"
    if not ours:  # with little traffic that may be chance: the watch tells
        return Check.unchecked(title, why=observed, expected=expected)
    return Check.of(title, holds=True, observed=observed, expected=expected)
