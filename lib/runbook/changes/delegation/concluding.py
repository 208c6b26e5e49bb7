"""What a migration, or a way back, comes to: a verdict in a sentence, and the numbers for the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runbook.changes.delegation.migration import Migration
from runbook.changes.delegation.propagation import read_propagation
from runbook.changes.delegation.switching import Switched
from runbook.changes.dns.certifying import Certified, read_certified
from runbook.changes.dns.zone import plain
from runbook.gates.watching import Look, Verdict
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check, Checks

NAMED = 3  # of many that are amiss
MOST = 0.995  # of the users: the rest is one rounding


def all_moved(step: Step, migration: Migration, verdict: Verdict) -> Checks:
    """Return whether everybody is with the new side now, and both sides and the site are as they should."""
    del verdict  # without a watch nobody can have moved
    seen = read_propagation(step, migration)
    late = [one.resolver for one in seen.seen if one.where == "old"]
    failed = [one.in_a_line() for one in seen.visits_new if not one.ok]
    return Checks(
        items=(
            Check.of(
                "nobody is with Vercel any more",
                holds=not late,
                observed=", ".join(late) or f"none of {len(seen.seen)} resolvers",
                expected="none of the resolvers watched; see whether their caches let go, then resume",
            ),
            Check.of(
                "the nameservers of both sides answer alike",
                holds=not seen.apart,
                observed="; ".join(one.in_a_line() for one in seen.apart[:NAMED]) or "all alike",
                expected="all alike; mend Cloudflare's records with dns_failure, then resume",
            ),
            Check.of(
                "the site is there through Cloudflare",
                holds=not failed,
                observed="; ".join(failed[:NAMED]) or f"{len(seen.visits_new)} visits went well",
                expected="every visit; open dns_failure, then resume",
            ),
        )
    )


def conclude(
    step: Step, migration: Migration, switched: Switched, verdict: Verdict, looks: Sequence[Look]
) -> Conclusion:
    """Return the end of a migration that went on: how long it took, for whom, and what comes next."""
    certified = read_certified(step, migration.zone)
    last = looks[-1]
    held = sum(one.decision == "hold" for one in looks)
    amiss = f", although {held} of {len(looks)} looks found something amiss" if held else ""
    return Conclusion(
        verdict=(
            f"Cloudflare answers for {plain(migration.zone)}: {_percent(last.numbers.get('users_new'))} % of "
            f"users, {_hours(switched.seen_at, last.at):.1f} h after the switch{amiss}; "
            f"{_certificate(certified)}."
        ),
        numbers={
            "users_new_percent": Number(
                title="Users with Cloudflare", value=_percent(last.numbers.get("users_new")), unit="%"
            ),
            "half_moved_h": Number(
                title="Half of the users had moved after", value=moved_h(switched, looks, share=0.5), unit="h"
            ),
            "all_moved_h": Number(
                title="All users had moved after",
                value=moved_h(switched, looks, share=MOST),
                unit="h",
            ),
            "watched_h": Number(
                title="Watched for", value=round(_hours(verdict.began_at, verdict.ended_at), 2), unit="h"
            ),
            "looks_amiss": Number(title="Looks that found something amiss", value=held, unit="looks"),
            "visits_failed_percent": Number(
                title="Visits through Cloudflare that failed, at the worst",
                value=_percent(max((one.numbers.get("failed_new") or 0.0 for one in looks), default=0.0)),
                unit="%",
                limit=step.rollout().rollback.high_error_rate.error_rate_above_percent,
            ),
        },
    )


def _certificate(certified: Certified) -> str:
    """Return what comes next of proxying, which nothing in this run waits for."""
    if certified.proxied:
        return f"its certificate serves {len(certified.proxied)} names, which may be proxied now"
    return "records stay unproxied until Cloudflare's certificate serves them"


def moved_h(switched: Switched, looks: Sequence[Look], *, share: float) -> float | None:
    """Return after how many hours a share of users was first seen with the new side; None: it never was."""
    for one in looks:
        if (one.numbers.get("users_new") or 0.0) >= share:
            return round(_hours(switched.seen_at, one.at), 2)
    return None


def _percent(share: float | None) -> float:
    return round(100 * (share or 0.0), 1)


def _hours(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() / 3600
