"""One look at a migration under way: what is seen, what it would decide, when to look again, whom to tell.

proceed   the new side answers as the old one does, the site is there through both
hold      something is not as it should be, and a person can mend it: a nameserver that is lame or stale,
          records that differ, resolvers that say otherwise or have not moved when they must have; or the
          site's own error rate is over the alert's, which no request tells the side of
rollback  the site fails through the new side and not through the old one, for longer than the plan's
          least time of recovery: the nameservers go back
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from runbook.changes.delegation.migration import Migration
from runbook.changes.delegation.propagation import Propagation, Where, read_propagation
from runbook.changes.delegation.service import Service, read_service
from runbook.changes.delegation.switching import Switched
from runbook.changes.dns.parity import zone_at_cloudflare
from runbook.changes.dns.zone import plain
from runbook.changes.notices import tell
from runbook.gates.watching import Decision, Look
from runbook.providers import cloudflare
from runbook.providers.dns import for_people
from runbook.step import Step

PACE: Final[tuple[tuple[timedelta, float], ...]] = (
    (timedelta(minutes=10), 60.0),
    (timedelta(hours=1), 300.0),
    (timedelta(hours=6), 900.0),
)
"""Until how long after the switch, and how many seconds between looks; afterwards `RARELY_S`."""

RARELY_S, OFTEN_S = 3_600.0, 60.0
NAMED: Final = 3  # of many that are in trouble, how many are named
WHERE: Final[tuple[Where, ...]] = ("new", "old", "failing", "silent")
_ASKED_AGAIN_S: Final = 3_600.0


def look(step: Step, past: Sequence[Look], migration: Migration, switched: Switched) -> Look:
    """Return what one look shows, told to people where the plan wants it; a look of `run.watch`."""
    now, last = step.clock.now(), (past[-1] if past else None)
    limits = step.rollout().rollback
    seen = read_propagation(step, migration, number=len(past))
    numbers, service = measured(seen), read_service(step)
    numbers["error_rate"] = service.rate
    over = (limits.high_error_rate.error_rate_above_percent or 0.0) / 100
    numbers["failing_since_s"] = failing_since(numbers, last, over=over, now=now)
    numbers |= _activated(step, migration, last, now)
    numbers["amiss_since_s"] = amiss_since(seen, service, last, now=now, ends_at=switched.ends_at)
    patience = timedelta(minutes=limits.dns_issues.rto_at_least_minutes or 0.0)
    ends_at, kept = switched.ends_at, switched.ends_at - switched.seen_at
    decision, says = judge(
        seen, numbers, service=service, now=now, ends_at=ends_at, patience=patience, kept=kept
    )
    found = Look(
        at=now,
        says=says,
        decision=decision,
        ends=decision == "rollback",
        numbers=numbers,
        again_s=pace(numbers, now=now, since_switch=now - switched.seen_at),
    )
    _tell(step, found, last, migration, switched)
    return found


def measured(seen: Propagation) -> dict[str, float | None]:
    """Return a look in numbers: shares of resolvers and users by side, what failed, what is not alike."""
    numbers: dict[str, float | None] = {}
    for where in WHERE:
        numbers[f"resolvers_{where}"] = seen.share(where, users=False)
        numbers[f"users_{where}"] = seen.share(where, users=True)
    return numbers | {
        "failed_new": seen.failed_share("new"),
        "failed_old": seen.failed_share("old"),
        "apart": float(len(seen.apart)),
        "wrong": float(sum(cell.fits in ("wrong", "none") for one in seen.seen for cell in one.cells)),
    }


def failing_since(
    numbers: dict[str, float | None], last: Look | None, *, over: float, now: datetime
) -> float | None:
    """Return since when (seconds since 1970) the site fails through the new side alone, look after look.

    `over` is the share of visits that may fail. Where it fails through both sides, the DNS is not to blame.
    """
    new, old = numbers["failed_new"] or 0.0, numbers["failed_old"] or 0.0
    if new <= over or old > over:
        return None
    before = last.numbers.get("failing_since_s") if last is not None else None
    return now.timestamp() if before is None else before


def judge(
    seen: Propagation,
    numbers: dict[str, float | None],
    *,
    service: Service,
    now: datetime,
    ends_at: datetime,
    patience: timedelta,
    kept: timedelta,
) -> tuple[Decision, str]:
    """Return what a look decides, and why; pure. `kept` is for how long caches keep the delegation."""
    since_s = numbers.get("failing_since_s")
    troubles = _troubles(seen, service, over=now >= ends_at)
    if since_s is not None and now.timestamp() - since_s >= patience.total_seconds():
        broken = [one.in_a_line() for one in seen.visits_new if not one.ok]
        return "rollback", (
            f"the site fails through Cloudflare alone, since "
            f"{datetime.fromtimestamp(since_s, now.tzinfo):%H:%M} UTC ({broken[0] if broken else 'all'}). "
            f"{percent(numbers['users_new'] or 0.0)} of users are there, and back when their caches let go, "
            f"by {now + kept:%Y-%m-%d %H:%M} UTC; until then mend Cloudflare's records (dns_failure)"
        )
    stands = _stands(seen, numbers)
    return ("hold", f"{'; '.join(troubles)}. {stands}") if troubles else ("proceed", stands)


def amiss_since(
    seen: Propagation, service: Service, last: Look | None, *, now: datetime, ends_at: datetime
) -> float | None:
    """Return since when (seconds since 1970) something is amiss, look after look; None: nothing is."""
    if not _troubles(seen, service, over=now >= ends_at):
        return None
    before = last.numbers.get("amiss_since_s") if last is not None else None
    return now.timestamp() if before is None else before


def pace(numbers: dict[str, float | None], *, now: datetime, since_switch: timedelta) -> float:
    """Return in how many seconds to look again: dense after the switch, and from when something is amiss.

    While the site fails, nothing is spared: how long it does decides.
    """
    if numbers.get("failing_since_s") is not None:
        return OFTEN_S
    amiss_s = numbers.get("amiss_since_s")
    since = since_switch if amiss_s is None else timedelta(seconds=now.timestamp() - amiss_s)
    return next((seconds for until, seconds in PACE if since < until), RARELY_S)


def status(numbers: dict[str, float | None]) -> str:
    """Return how far a migration is, in one sentence that stands by itself."""
    users, resolvers = (numbers.get(f"{what}_new") or 0.0 for what in ("users", "resolvers"))
    return f"{percent(users)} of users and {percent(resolvers)} of the resolvers are with Cloudflare"


def percent(share: float) -> str:
    """Return a share of one as people read it."""
    return f"{100 * share:.0f} %"


def _troubles(seen: Propagation, service: Service, *, over: bool) -> list[str]:
    failing = [f"{one.resolver} ({one.says})" for one in seen.seen if one.where == "failing"]
    wrong = [
        f"{one.resolver} {for_people(cell.name)} {cell.type}: {cell.said}"
        for one in seen.seen
        for cell in one.cells
        if cell.fits in ("wrong", "none")
    ]
    visits = [one.in_a_line() for one in (*seen.visits_new, *seen.visits_old) if not one.ok]
    late = [one.resolver for one in seen.seen if over and one.where == "old"]
    found = {
        "the nameservers do not answer alike": [one.in_a_line() for one in seen.apart],
        "resolvers fail": failing,
        "resolvers give other addresses": wrong,
        "the site fails": visits,
        "more of the site's requests fail than may": [service.in_a_line()] if service.fails else [],
        "resolvers still ask Vercel, although every cache must have let go": late,
    }
    return [f"{what}: {_named(which)}" for what, which in found.items() if which]


def _stands(seen: Propagation, numbers: dict[str, float | None]) -> str:
    silent = [one.resolver for one in seen.seen if one.where == "silent"]
    visits = [*seen.visits_old, *seen.visits_new]
    opened = sum(one.ok for one in visits)
    more = f"; {len(silent)} did not answer" if silent else ""
    return f"{status(numbers)}{more}; {opened} of {len(visits)} visits to the site went well"


def _named(which: Sequence[str]) -> str:
    left = len(which) - NAMED
    return ", ".join([*which[:NAMED], *([f"and {left} more"] if left > 0 else [])])


def _activated(step: Step, migration: Migration, last: Look | None, now: datetime) -> dict[str, float | None]:
    """Ask Cloudflare to look at the delegation, once an hour until its zone is active."""
    before = {} if last is None else last.numbers
    if before.get("active"):
        return {"active": 1.0, "asked_at_s": before.get("asked_at_s")}
    asked_s = before.get("asked_at_s")
    if asked_s is not None and now.timestamp() - asked_s < _ASKED_AGAIN_S:
        there = zone_at_cloudflare(step, migration.zone)
        return {"active": float(there.status == "active"), "asked_at_s": asked_s}
    there = cloudflare.apply_activation_check(step, zone_at_cloudflare(step, migration.zone))
    return {"active": float(there.status == "active"), "asked_at_s": now.timestamp()}


# Messages


def _tell(step: Step, found: Look, last: Look | None, migration: Migration, switched: Switched) -> None:
    """Tell people what has changed for them, and how it stands every few hours.

    A message names its time by what is on record, not by this look: one that is made again after a kill
    sends the same words, which are found in the channel.
    """
    text = message(found, last, zone=plain(migration.zone), switched=switched, every_h=_status_every_h(step))
    if text:
        tell(step, text).model_copy(update={"since": switched.seen_at}).apply(step)


def message(found: Look, last: Look | None, *, zone: str, switched: Switched, every_h: float) -> str:
    """Return what a look has to say to people, nothing when there is nothing new; pure."""
    about = f"DNS migration of {zone}"
    ends_at = f"{switched.ends_at:%Y-%m-%d %H:%M} UTC"
    if found.decision == "rollback":
        return f"{about}: the nameservers go back to Vercel. {found.says}"
    if found.at >= switched.ends_at and found.decision == "proceed":
        return f"{about} is complete: every cache has let go of Vercel's nameservers, and all agree"
    was = "proceed" if last is None else last.decision
    if found.decision == "hold" and (was == "proceed" or found.at >= switched.ends_at):
        return f"{about}: trouble. {found.says}"
    if found.decision == "proceed" and was == "hold" and last is not None:
        return f"{about}: what was wrong at {last.at:%H:%M} UTC is mended. {status(last.numbers)}"
    if last is not None and _slot(found.at, switched, every_h) > _slot(last.at, switched, every_h):
        return (
            f"{about}, at {last.at:%Y-%m-%d %H:%M} UTC: {status(last.numbers)}; until {ends_at} at the latest"
        )
    return ""


def _slot(at: datetime, switched: Switched, every_h: float) -> int:
    return int((at - switched.seen_at) / timedelta(hours=every_h))


def _status_every_h(step: Step) -> float:
    return float(step.rollout().communication.status_every_h)
