"""What a migration, or a way back, comes to: a verdict in a sentence, and the numbers for the report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runbook.changes.delegation.migration import Migration
from runbook.changes.delegation.switching import Switched
from runbook.changes.dns.certifying import read_certified
from runbook.changes.dns.zone import plain
from runbook.gates.watching import Look, Verdict
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check, Checks

MOST = 0.995  # of the users: the rest is one rounding


def all_moved(step: Step, looks: Sequence[Look]) -> Checks:
    """Return whether the last look found everybody with the new side, and nothing wrong on the way."""
    del step
    last = looks[-1].numbers
    held = sum(one.decision == "hold" for one in looks)
    failed = sum((one.numbers.get("failed_new") or 0.0) > 0 for one in looks)
    users_old = last.get("users_old") or 0.0
    return Checks(
        items=(
            Check.of(
                "nobody is with Vercel any more",
                holds=users_old == 0,
                observed=f"{users_old:.0%} of users",
                expected="0 % of users once the last cache has let go",
            ),
            Check.of(
                "nameservers of both sides answer alike",
                holds=not last.get("apart"),
                observed=f"{last.get('apart') or 0:.0f} answers are not alike",
                expected="all alike",
            ),
            Check.of(
                "the site was there through Cloudflare",
                holds=not last.get("failed_new"),
                observed=f"in {len(looks) - failed} of {len(looks)} looks; {held} found something amiss",
                expected="there in the last look",
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
            f"Cloudflare answers for {plain(migration.zone)}: {last.numbers.get('users_new') or 0:.0%} of "
            f"users, {_hours(switched.seen_at, last.at):.1f} h after the switch{amiss}; {certified.follows}."
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
                limit=step.rollout().dns.propagation_at_most_h,
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


def moved_h(switched: Switched, looks: Sequence[Look], *, share: float) -> float | None:
    """Return after how many hours a share of users was first seen with the new side; None: it never was."""
    for one in looks:
        if (one.numbers.get("users_new") or 0.0) >= share:
            return round(_hours(switched.seen_at, one.at), 2)
    return None


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 1)


def _hours(since: datetime, until: datetime) -> float:
    return (until - since).total_seconds() / 3600
