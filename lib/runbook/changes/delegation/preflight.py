"""What must hold before nameservers are switched, and is looked at again in the hour of the switch."""

from __future__ import annotations

from datetime import timedelta

from runbook.changes.delegation.migration import Migration
from runbook.changes.dns import read_certified
from runbook.changes.dns.parity import zone_at_cloudflare
from runbook.changes.dns.zone import plain
from runbook.providers import cloudflare, pagerduty, registrars
from runbook.providers.dns import Delegation, for_people, read_delegation
from runbook.providers.registrars import network_of
from runbook.step import Step
from runbook.values import Check, Checks, shown

LEVELS = (1, 2)  # primary and secondary


def prepared_well(step: Step, migration: Migration) -> Checks:
    """Return whether the pre-configuration can be relied on: done, of this zone, sealed and verified."""
    del step
    return Checks(
        items=(
            Check.of(
                f"the record of {migration.preconfiguration}",
                holds=not migration.problems,
                observed="; ".join(migration.problems) or "done, sealed, signed and verified",
                expected="a run of dns_preconfiguration of this zone that is done and whose seal verifies",
            ),
        )
    )


def old_ttls_gone(step: Step, migration: Migration) -> Checks:
    """Return whether every cache has let go of what it kept with a TTL from before the lowering."""
    now, deadlines = step.clock.now(), migration.deadlines
    return Checks(
        items=(
            Check.of(
                "old TTLs are gone",
                holds=now >= deadlines.old_ttls_gone_at,
                observed=f"it is {now:%Y-%m-%d %H:%M} UTC",
                expected=f"{deadlines.old_ttls_gone_at:%Y-%m-%d %H:%M} UTC or later; resume the run then",
            ),
            Check.of(
                "the plan's wait after the lowering is over",
                holds=now >= deadlines.switch_from,
                observed=f"it is {now:%Y-%m-%d %H:%M} UTC",
                expected=f"{deadlines.switch_from:%Y-%m-%d %H:%M} UTC or later "
                f"({deadlines.waits_s / 3600:g} h); resume the run then",
            ),
        )
    )


def parent_ready(step: Step, migration: Migration) -> Checks:
    """Return whether the parent delegates to the old side still, without a DS that nobody could answer."""
    seen = read_delegation(step, network_of(step), migration.zone)
    there = set(seen.nameservers)
    return Checks(
        items=(
            Check.of(
                f"{for_people(migration.zone)} is delegated to {migration.old.title}",
                holds=there == set(migration.old.nameservers) and not seen.disagreeing,
                observed=", ".join(map(for_people, sorted(there)))
                + (f"; of another mind: {', '.join(seen.disagreeing)}" if seen.disagreeing else ""),
                expected=", ".join(map(for_people, migration.old.nameservers)),
            ),
            _no_ds(seen),
        )
    )


def zone_ready(step: Step, migration: Migration) -> Checks:
    """Return whether Cloudflare's zone can take over: its nameservers, its quota, the time it has left."""
    there = zone_at_cloudflare(step, migration.zone)
    goes_at, now = there.deleted_at, step.clock.now()
    gone = migration.deadlines.all_gone_at(now)
    return Checks(
        items=(
            Check.of(
                "Cloudflare's nameservers are those of the pre-configuration",
                holds=set(there.nameservers) == set(migration.new.nameservers),
                observed=", ".join(map(for_people, there.nameservers)),
                expected=", ".join(map(for_people, migration.new.nameservers)),
            ),
            Check.of(
                "the zone is not about to be deleted",
                holds=goes_at is None or goes_at > gone,
                observed=f"{there.status} on {there.plan}"
                + (f", deleted at {shown(goes_at)} unless active" if goes_at else ""),
                expected=f"there beyond {gone:%Y-%m-%d %H:%M} UTC",
            ),
            _certificate(step, migration),
        )
    )


def people_ready(step: Step, migration: Migration) -> Checks:
    """Return whether somebody is on call, at both levels, until the last cache has let go."""
    since = step.clock.now()
    until = migration.deadlines.all_gone_at(since + timedelta(hours=1))
    found = pagerduty.read_on_call(step, since=since, until=until)
    rows = []
    for level in LEVELS:
        duties = found.at_level(level)
        gaps = [gap for gap in found.gaps if gap.level == level]
        what = "; ".join(f"nobody {gap.since:%m-%d %H:%M} to {gap.until:%m-%d %H:%M}" for gap in gaps)
        who = ", ".join(dict.fromkeys(duty.user for duty in duties))
        rows.append(
            Check.of(
                f"on call, level {level}",
                holds=bool(duties) and not gaps,
                observed=what or who or "nobody",
                expected=f"somebody from now until {until:%Y-%m-%d %H:%M} UTC; mend the schedule, resume",
            )
        )
    return Checks(items=tuple(rows))


def registrar_ready(step: Step, migration: Migration) -> Checks:
    """Return whether the registrar answers and shows what the parent shows, and what it would switch off."""
    book = registrars.read_nameservers(step, zone=migration.zone)
    losses = registrars.read_losses(step, zone=migration.zone)
    lost = "; ".join(f"{one.what} {one.name} → {one.leads_to}" for one in losses)
    return Checks(
        items=(
            Check.of(
                f"the book of {book.registrar} says what the parent says",
                holds=set(book.names) == set(migration.old.nameservers),
                observed=", ".join(map(for_people, book.names)),
                expected=", ".join(map(for_people, migration.old.nameservers)),
            ),
            Check.of(
                "nothing is switched off at the registrar",
                holds=not losses,
                observed=lost or "nothing known",
                expected=f"no forwarding, no host records of {plain(migration.zone)}",
            ),
        )
    )


def _no_ds(seen: Delegation) -> Check:
    what = "none" if seen.ds is None else " | ".join(seen.ds.values)
    return Check.of(
        f"a DS at {for_people(seen.parent)}",
        holds=seen.ds is None,
        observed=what,
        expected="none: with one, resolvers that validate answer SERVFAIL after the switch. A person removes "
        "it at the registrar; once its TTL has run out, pre-configure anew",
    )


def _certificate(step: Step, migration: Migration) -> Check:
    """Return whether what is proxied has a certificate: without one it fails in every browser."""
    certified = read_certified(step, migration.zone)
    there = zone_at_cloudflare(step, migration.zone)
    proxied = {one.name for one in cloudflare.read_records(step, there) if one.proxied}
    bare = sorted(proxied - set(certified.proxied))
    return Check.of(
        "no name is proxied without a certificate",
        holds=not bare,
        observed=", ".join(map(for_people, bare)) or certified.follows,
        expected="records unproxied until Cloudflare's certificate serves them",
    )
