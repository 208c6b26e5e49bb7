"""The registrar that environment.yaml names for a domain, and what runbooks ask of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from runbook.errors import StepFailed, VendorUnavailable
from runbook.providers.dns import Delegation, Network, absolute, read_delegation, rehearsal_network
from runbook.providers.registrars.book import LOOK_EVERY_S, see_in_book
from runbook.providers.registrars.godaddy import GoDaddy
from runbook.providers.registrars.interface import (
    Handed,
    Loss,
    Nameservers,
    Published,
    Registrar,
    normal,
    plain,
)
from runbook.providers.registrars.manual import Manual
from runbook.providers.registrars.namecheap import Namecheap
from runbook.providers.registrars.vercel import Vercel
from runbook.step import Step

_LOOK_AT_MOST_EVERY_S: Final = 300.0


def registrar_of(step: Step, zone: str) -> Registrar:
    """Return the registrar of a registered domain; UnknownName when environment.yaml does not have it."""
    domain = step.environment().domain(plain(absolute(zone)))
    match domain.registrar:
        case "namecheap":
            return Namecheap()
        case "godaddy":
            return GoDaddy()
        case "vercel":
            return Vercel()
        case _:
            return Manual(domain.registered_at or "", network_of(step))


def network_of(step: Step) -> Network:
    """Return the environment's resolvers as a network to ask; the sandbox's own where it names none."""
    resolvers = step.environment().resolvers
    return Network.of(resolvers) if resolvers else rehearsal_network(step)


def read_nameservers(step: Step, *, zone: str) -> Nameservers:
    """Return a domain's nameservers as its registrar has them in its book."""
    return registrar_of(step, zone).read(step, absolute(zone))


def read_losses(step: Step, *, zone: str) -> tuple[Loss, ...]:
    """Return what other nameservers would switch off at the registrar, as far as its API tells."""
    return registrar_of(step, zone).losses(step, absolute(zone))


def apply_nameservers(
    step: Step, *, zone: str, nameservers: Sequence[str], within_s: float = 300.0
) -> Handed:
    """Have a domain's nameservers be these at its registrar, and see them in its book.

    What stands there already is not asked for again, so this may be repeated at will. Raises Parked, with the
    instructions, where a person has to do it; VendorUnavailable when the registrar said yes and still shows
    other ones after `within_s` seconds. In its book is not yet in the world: see `read_published`.
    """
    registrar, zone, wanted = registrar_of(step, zone), absolute(zone), normal(nameservers)
    before = registrar.read(step, zone).names
    found = before == wanted
    if not found:
        registrar.give(step, zone, wanted, before=before)
        expected = ", ".join(wanted)
        see_in_book(
            step,
            registrar,
            zone,
            holds=lambda shown: shown.names == wanted,
            expected=expected,
            within_s=within_s,
        )
    return Handed(
        zone=zone,
        registrar=registrar.name,
        before=before,
        after=wanted,
        found=found,
        at=step.clock.now(),
    )


def read_published(
    step: Step, *, zone: str, nameservers: Sequence[str], within_s: float = 3600.0
) -> Published:
    """Wait until every server of the parent delegates a zone to these nameservers, and return that proof.

    A parent's server that says nothing usable is no proof. Raises VendorUnavailable when `within_s` seconds
    were not enough.
    """
    zone, wanted, network = absolute(zone), normal(nameservers), network_of(step)
    ends, wait_s = step.clock.now() + timedelta(seconds=within_s), LOOK_EVERY_S
    while True:
        seen = _delegation(step, network, zone)
        if isinstance(seen, Delegation) and _agrees(seen, wanted):
            return Published(zone=zone, nameservers=wanted, seen_at=step.clock.now(), delegation=seen)
        now = step.clock.now()
        if now >= ends:
            raise VendorUnavailable(
                f"the parent of {zone} does not delegate it to {', '.join(wanted)} after {within_s:g} s; "
                f"{_seen_words(seen)}. Look at the registrar whether the change went through, then resume",
                vendor=registrar_of(step, zone).name,
                call="read_published",
            )
        step.clock.sleep_until(min(ends, now + timedelta(seconds=wait_s)))
        wait_s = min(2 * wait_s, _LOOK_AT_MOST_EVERY_S)


def _delegation(step: Step, network: Network, zone: str) -> Delegation | StepFailed:
    """Return what the parent says, or why it could not be asked: that may pass while we wait."""
    try:
        return read_delegation(step, network, zone)
    except StepFailed as error:
        return error


def _agrees(seen: Delegation, wanted: tuple[str, ...]) -> bool:
    return not seen.disagreeing and not seen.silent and tuple(sorted(seen.nameservers)) == wanted


def _seen_words(seen: Delegation | StepFailed) -> str:
    if isinstance(seen, StepFailed):
        return str(seen)
    others = {"of another mind": seen.disagreeing, "silent": seen.silent}
    more = [f"{what}: {', '.join(who)}" for what, who in others.items() if who]
    return "; ".join([f"it says {', '.join(seen.nameservers)}", *more])
