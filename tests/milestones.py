"""Milestones for tests: a stretch of a world's time, and what its raw traffic says of it, worked out anew."""

from datetime import UTC, datetime, timedelta

import numpy as np

from runbook.costs import Charge, month_bounds, month_costs
from runbook.milestone.backups import BackupRecord
from runbook.milestone.costing import Costing
from runbook.milestone.gathering import Gathered, Phase
from runbook.milestone.judging import Sources
from runbook.milestone.people import Calls
from runbook.milestone.period import Period
from runbook.milestone.relying import Kept
from runbook.milestone.rollbacks import Rollbacks
from runbook.milestone.service import Day, ServiceRecord
from runbook.plan import load_plan
from runbook.providers import pagerduty
from runbook.summary import Number
from tests.project import ROOT

PLAN = load_plan(ROOT)
MINUTE_S = 60
DOWN_FROM = 0.05  # of a minute's requests: what the uptime objective calls down


def period(since, until, milestone="T+24 h"):
    return Period(milestone=milestone, since=since, until=until, counted_from="the test")


def at(month, day, hour=0, minute=0, year=2026):
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def raw_minutes(world, since, until):
    """Return (requests, errors, told) of every minute, added up over all builds and buckets, one by one."""
    traffic = world.world.part("traffic")
    first, last = int(since.timestamp()) // MINUTE_S, int(until.timestamp()) // MINUTE_S
    requests, errors = np.zeros(last - first), np.zeros(last - first)
    begins = max(first, int(traffic.begins.timestamp()) // MINUTE_S)
    for stream in traffic.streams(begins, last, ("requests", "errors")):
        for name, sums in (("requests", requests), ("errors", errors)):
            for place, cells in enumerate(stream.counts[name]):
                sums[begins - first + place] += cells.sum()
    told = (requests > 0) & ~traffic.trouble.silent(first, last)
    return requests, errors, told


def expected(world, since, until):
    """Return what a report must say of [since, until): minutes down and untold, requests, errors."""
    requests, errors, told = raw_minutes(world, since, until)
    down = sum(1 for r, e, t in zip(requests, errors, told, strict=True) if t and e / r >= DOWN_FROM)
    return {
        "down_min": down,
        "silent_min": int((~told).sum()),
        "requests": float(requests[told].sum()),
        "errors": float(errors[told].sum()),
    }


def days_between(since, until):
    """Return [begin, end) of each UTC day, clipped: a plain loop over midnights."""
    found, begins = [], since
    while begins < until:
        midnight = (begins + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        found.append((begins, min(midnight, until)))
        begins = midnight
    return found


# A good rollout, to be made worse part by part.

DEPLOYED = at(12, 5, 18)
DECEMBER = DEPLOYED.date()
NUMBERS = {
    "db_restore_drill": {"rto_s": (12.5, "s"), "rpo_s": (0.0, "s")},
    "canary_phase": {"error_percent": (0.21, "%")},
}


def kept(part, run_id, **changes):
    numbers = {
        name: Number(title=name, value=value, unit=unit)
        for name, (value, unit) in NUMBERS.get(run_id.partition("-")[0], {}).items()
    }
    fields = {
        "problems": (),
        "status": "done",
        "verdict": "it went well",
        "opened_at": at(11, 30, 2),
        "ended_at": at(11, 30, 3),
        "numbers": numbers,
    }
    return Kept(part=part, run_id=run_id, **{**fields, **changes})


def phase(number, **changes):
    begun = at(12, 4, 2) + timedelta(hours=(0, 4, 8, 16)[number - 1])
    run = kept(f"canary, phase {number}", f"canary_phase-x-{number}", decision="proceed", **changes)
    known = {"began_at": begun, "ends_at": begun + timedelta(hours=(4, 4, 8, 24)[number - 1])}
    return Phase(
        number=number, percent=(5, 25, 50, 100)[number - 1], run=run, **(known if run.relied_on else {})
    )


def gathered(**changes):
    fields = {
        "drill": kept("restore drill", "db_restore_drill-x"),
        "preconfiguration": kept("DNS pre-configuration", "dns_preconfiguration-x"),
        "migration": kept("DNS migration", "dns_migration-x", decision="proceed"),
        "phases": tuple(map(phase, (1, 2, 3, 4))),
        "deployed_at": DEPLOYED,
        "build": "dpl_1",
        "version": "v8.0.0",
    }
    return Gathered(**{**fields, **changes})


def day(since, until, **changes):
    fields = {
        "down_min": 0,
        "silent_min": 0,
        "requests": 4e6,
        "errors": 8e3,
        "p95_ms": 300,
        "database_ms": 40,
    }
    return Day(day=since.date(), since=since, until=until, **{**fields, **changes})


def service(since=DEPLOYED, length=timedelta(days=1), each=None, **changes):
    """Return a service record; `each(number)` gives what is not ordinary about a day."""
    until = since + length
    days = [
        day(*ends, **(each(number) if each else {})) for number, ends in enumerate(days_between(since, until))
    ]
    told = [one.requests for one in days if one.requests is not None]
    fields = {
        "since": since,
        "until": until,
        "objective": 0.999,
        "p95_limit_ms": 500,
        "database_limit_ms": 100,
        "requests": sum(told) if told else None,
        "errors": sum(one.errors or 0 for one in days) if told else None,
        "p95_ms": max((one.p95_ms for one in days if one.p95_ms is not None), default=None),
        "database_ms": max((one.database_ms for one in days if one.database_ms is not None), default=None),
        "days": tuple(days),
    }
    return ServiceRecord(**{**fields, **changes})


def incident(number=1, *, answered_min=4.0, since=DEPLOYED):
    begun = since + timedelta(hours=number)
    answered = None if answered_min is None else begun + timedelta(minutes=answered_min)
    return pagerduty.Answered(
        incident=pagerduty.Incident(
            id=f"Q{number}", number=number, title="errors over 5 %", status="resolved", created_at=begun
        ),
        notified="Ada Okafor",
        notified_at=begun + timedelta(seconds=30),
        answered_by="" if answered is None else "Ada Okafor",
        answered_at=answered,
        resolved_at=begun + timedelta(hours=1),
    )


def charge(name, cost_usd, month=DECEMBER, *, recurring=True, days=None):
    """Return a price of a whole month, or what [first, last) day of it cost."""
    begins, ends = month_bounds(month)
    if days:
        begins, ends = begins + timedelta(days=days[0] - 1), begins + timedelta(days=days[1] - 1)
    source = "unknown" if cost_usd is None and recurring else "billed"
    return Charge(
        service=name,
        what="test",
        cost_usd=cost_usd,
        since=begins,
        until=ends,
        source=source,
        recurring=recurring,
    )


def costing(charges=None, months=(DECEMBER,), as_of=DEPLOYED + timedelta(days=1)):
    costs = PLAN.costs
    given = charges or [
        charge(one.service, one.cost_usd_per_month, month) for month in months for one in costs.lines
    ]
    return Costing(
        months=tuple(
            month_costs(given, plan=costs, month=month, as_of=as_of, tolerance_percent=10) for month in months
        ),
        limit_usd=costs.total_usd_per_month * 1.1,
        warning_usd=costs.warning_usd_per_month,
        critical_usd=costs.critical_usd_per_month,
    )


def sources(**changes):
    since, until = DEPLOYED, DEPLOYED + timedelta(days=1)
    fields = {
        "gathered": gathered(),
        "period": period(since, until),
        "service": service(),
        "calls": Calls(since=since, until=until, incidents=()),
        "rollbacks": Rollbacks(since=since, until=until, marks=(), marks_of_canaries=8),
        "backups": BackupRecord(
            pitr=False,
            every_days=1,
            days=1,
            days_listed=1,
            days_without=(),
            newest_at=at(12, 6, 3),
            covered=True,
        ),
        "costing": costing(),
    }
    return Sources(**{**fields, **changes})
