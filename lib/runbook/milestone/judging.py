"""Holds what was gathered against the plan's success criteria; a missing number is never a good one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from runbook.milestone.backups import BackupRecord
from runbook.milestone.costing import Costing
from runbook.milestone.gathering import Gathered
from runbook.milestone.people import Calls
from runbook.milestone.period import Period
from runbook.milestone.relying import Kept
from runbook.milestone.rollbacks import Rollbacks
from runbook.milestone.scorecard import Criterion, Scorecard
from runbook.milestone.service import WHOLE, ServiceRecord
from runbook.plan import RolloutPlan
from runbook.step import Step
from runbook.values import Value

SILENT_AT_MOST: Final = 0.05
"""Share of minutes without data up to which a mean over the rest still speaks for the whole."""

DATADOG, PAGERDUTY, SUPABASE, BILLS, RECORDS = (
    "Datadog",
    "PagerDuty",
    "Supabase",
    "bills and declared prices",
    "the runs' sealed records",
)


class Sources(Value):
    """All that was gathered, as it is judged."""

    gathered: Gathered
    period: Period
    service: ServiceRecord
    calls: Calls
    rollbacks: Rollbacks
    backups: BackupRecord
    costing: Costing


def judge(
    step: Step,
    gathered: Gathered,
    period: Period,
    service: ServiceRecord,
    calls: Calls,
    rollbacks: Rollbacks,
    backups: BackupRecord,
    costing: Costing,
) -> Scorecard:
    """Return every criterion of the plan with its evidence and finding."""
    sources = Sources(
        gathered=gathered,
        period=period,
        service=service,
        calls=calls,
        rollbacks=rollbacks,
        backups=backups,
        costing=costing,
    )
    return scorecard(step.rollout(), sources)


def scorecard(plan: RolloutPlan, sources: Sources) -> Scorecard:
    """Return the scorecard of what was gathered: a pure function."""
    return Scorecard(
        milestone=sources.period.milestone,
        since=sources.period.since,
        until=sources.period.until,
        deployed_at=sources.gathered.deployed_at,
        criteria=(
            *_record(sources),
            *_technical(plan, sources),
            *_business(plan, sources),
            *_operational(plan, sources),
        ),
    )


def _record(sources: Sources) -> Iterator[Criterion]:
    for one in sources.gathered.all():
        yield Criterion.of(
            "record",
            one.part,
            holds=one.stands,
            observed=one.standing(),
            expected="done, sealed, signed and verified",
            source=f"runbook verify {one.run_id}" if one.run_id else RECORDS,
        )


def _technical(plan: RolloutPlan, sources: Sources) -> Iterator[Criterion]:
    success, service = plan.success, sources.service
    yield Criterion.of_a_person(
        "technical",
        "staging tests pass",
        expected=f"{success.staging_pass_percent:g} % for {success.staging_days} days",
        known="staging's tests run in CI, which this report does not read",
    )
    yield _deployed(success.rollbacks_at_most, sources)
    ratio, limit = service.error_ratio, plan.slos.error_rate.target_below_percent
    yield Criterion.of(
        "technical",
        "error rate",
        holds=_known(sources, None if ratio is None else ratio * WHOLE < limit),
        observed=f"{_number(ratio, WHOLE, '%', 3)} of {_count(service.requests)} requests{_silence(service)}",
        expected=f"under {limit:g} % ({success.requests_ok_at_least_percent:g} % and more succeed)",
        source=f"{DATADOG}, objective of requests",
        value=None if ratio is None else ratio * WHOLE,
        unit="%",
        limit=f"{limit:g} %",
        share=None if ratio is None else ratio * WHOLE / limit,
    )
    for title, value, below in (
        ("P95 latency", service.p95_ms, plan.slos.p95_latency.target_below_ms),
        ("database latency", service.database_ms, plan.slos.database_latency.target_below_ms),
    ):
        yield Criterion.of(
            "technical",
            title,
            holds=_known(sources, None if value is None else value < below),
            observed=f"{_number(value, 1, 'ms', 0)}{_silence(service)}",
            expected=f"under {below:g} ms",
            source=f"{DATADOG}, the slowest build{', its mean' if title.startswith('database') else ''}",
            value=value,
            unit="ms",
            limit=f"{below:g} ms",
            share=None if value is None else value / below,
        )
    yield _uptime(plan, sources)
    yield Criterion.of(
        "technical",
        "automated backups",
        holds=_anchored(sources, sources.backups.holds),
        observed=sources.backups.observed(),
        expected=f"one every {sources.backups.every_days:g} day",
        source=SUPABASE,
    )


def _deployed(at_most: int, sources: Sources) -> Criterion:
    """Judge the deployment by marks on Datadog's timelines and by the phases' records, the worse of both."""
    phases, marks = sources.gathered.phases, sources.rollbacks.marks
    through = all(one.run.stands for one in phases)
    doubtful = [one.run.part for one in phases if not one.run.stands]
    beyond = len(marks) > at_most
    untold = f"; not known of: {', '.join(doubtful)}" if doubtful else ""
    unmarked = through and not sources.rollbacks.marks_of_canaries
    note = "; no canary left a mark there" if unmarked else ""
    return Criterion.of(
        "technical",
        "production deployment without a rollback",
        holds=False if beyond else None if not through or unmarked else True,
        observed=f"{len(marks)} rollbacks marked{note}{untold}",
        expected=f"{at_most} rollbacks, every phase through",
        source=f"{DATADOG}'s events, {RECORDS}",
        value=float(len(marks)),
        unit="rollbacks",
    )


def _uptime(plan: RolloutPlan, sources: Sources) -> Criterion:
    """Judge uptime from both ends: silent minutes are neither up nor down.

    Met if it is even with every silent minute down, not met if it is not even with every one up.
    """
    service, target = sources.service, plan.slos.uptime.target_percent / WHOLE
    at_most = 1 - service.down_min / service.minutes
    holds = True if service.uptime_at_least > target else None if at_most > target else False
    budget = service.budget
    return Criterion.of(
        "technical",
        "uptime",
        holds=_anchored(sources, holds),
        observed=(
            f"{_number(service.uptime, WHOLE, '%', 3)}: {service.down_min:g} minutes down, "
            f"{budget.remaining * WHOLE:.1f} % of the month's budget left{_silence(service)}"
        ),
        expected=(
            f"over {plan.slos.uptime.target_percent:g} % "
            f"(under {plan.success.downtime_below_minutes_per_month:g} minutes a month)"
        ),
        source=f"{DATADOG}, objective of uptime",
        value=None if service.uptime is None else service.uptime * WHOLE,
        unit="%",
        limit=f"{budget.allowed:.1f} bad minutes",
        share=None if service.uptime is None else budget.used / budget.allowed,
    )


def _business(plan: RolloutPlan, sources: Sources) -> Iterator[Criterion]:
    success, costing = plan.success, sources.costing
    yield Criterion.of(
        "business",
        "cost within the budget",
        holds=_anchored(sources, costing.within),
        observed=costing.observed(),
        expected=f"${plan.costs.total_usd_per_month:,.2f} a month, ${costing.limit_usd:,.2f} at the most",
        source=BILLS,
        value=None if costing.latest.unknown else costing.latest.forecast_usd,
        unit="USD",
        limit=f"{costing.limit_usd:,.2f} USD",
        share=None if costing.latest.unknown else costing.latest.forecast_usd / costing.limit_usd,
    )
    yield _incidents(success.user_incidents_at_most, sources)
    yield Criterion.of_a_person(
        "business",
        "support tickets",
        expected=f"fewer than {success.support_tickets_below_per_week:g} a week",
    )
    for says in success.business:
        yield Criterion.of_a_person("business", says, expected="as said")


def _incidents(at_most: int, sources: Sources) -> Criterion:
    """Judge incidents: none and nothing down is met, both is not; where one came alone, a person knows."""
    found, service = sources.calls.incidents, sources.service
    title, expected = "incidents that users notice", f"{at_most}"
    told = f"{len(found)} incidents, {len(sources.calls.unanswered)} not answered"
    down = f"{service.down_min:g} minutes down"
    many, was_down = len(found) > at_most, service.down_min > 0
    if many != was_down:
        return Criterion.of_a_person("business", title, expected=expected, known=f"{told}; {down}")
    return Criterion.of(
        "business",
        title,
        holds=False if many else _known(sources, True),
        observed=f"{told}, {down}{_silence(service)}",
        expected=expected,
        source=f"{PAGERDUTY} and {DATADOG}; complaints that reached nobody's pager are not in it",
        value=float(len(found)),
        unit="incidents",
    )


def _operational(plan: RolloutPlan, sources: Sources) -> Iterator[Criterion]:
    """Yield the plan's own words; the one about the restore is judged by the drill's record."""
    limits = plan.rollback.database_corruption
    for says in plan.success.operational:
        if "restore" in says.lower():
            rto_s, rpo_s = limits.rto_below_minutes * 60, (limits.rpo_below_minutes or 0) * 60
            yield _drilled(says, sources.gathered.drill, rto_limit_s=rto_s, rpo_limit_s=rpo_s)
        else:
            yield Criterion.of_a_person("operational", says, expected="as said")


def _drilled(says: str, drill: Kept, *, rto_limit_s: float, rpo_limit_s: float) -> Criterion:
    rto_s, rpo_s = drill.number("rto_s"), drill.number("rpo_s")
    within = None if rto_s is None or rpo_s is None else rto_s < rto_limit_s and rpo_s < rpo_limit_s
    failed = drill.relied_on and drill.status != "done"
    told = f"RTO {_number(rto_s, 1, 's', 1)}, RPO {_number(rpo_s, 1, 's', 1)}; {drill.standing()}"
    return Criterion.of(
        "operational",
        says,
        holds=False if failed else within if drill.stands else None,
        observed=told,
        expected=f"RTO under {rto_limit_s:g} s, RPO under {rpo_limit_s:g} s",
        source=RECORDS,
        value=rto_s,
        unit="s",
        limit=f"{rto_limit_s:g} s",
        share=None if rto_s is None else rto_s / rto_limit_s,
    )


def _known(sources: Sources, holds: bool | None) -> bool | None:
    """Return a finding about the whole time; a good one is not known where too much of it is silent."""
    service = sources.service
    silent = service.silent_min > SILENT_AT_MOST * service.minutes
    return _anchored(sources, None if holds and silent else holds)


def _anchored(sources: Sources, holds: bool | None) -> bool | None:
    """Return a finding about the milestone; a good one is not known where no record tells when that was.

    Else who damages the last phase's record would choose which days are looked at.
    """
    return None if holds and sources.gathered.deployed_at is None else holds


def _silence(service: ServiceRecord) -> str:
    return (
        f"; {service.silent_min:g} of {service.minutes:,.0f} minutes without data"
        if service.silent_min
        else ""
    )


def _number(value: float | None, times: float, unit: str, digits: int) -> str:
    return "not known" if value is None else f"{value * times:,.{digits}f} {unit}"


def _count(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"
