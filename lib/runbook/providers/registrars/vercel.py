"""Vercel's registrar, for domains bought there: the same interface over Vercel's client."""

from __future__ import annotations

from typing import Final

from runbook.errors import InputError
from runbook.providers import vercel
from runbook.providers.registrars.interface import Loss, Nameservers, plain
from runbook.step import Step

VENDOR: Final = "vercel"


class Vercel:
    """Vercel as one of the registrars."""

    name = VENDOR

    def read(self, step: Step, zone: str) -> Nameservers:
        """Return what its book says; InputError for a domain that was bought elsewhere."""
        found = vercel.read_domain(step, domain=plain(zone))
        if not found.bought_here:
            raise InputError(
                f"{plain(zone)} was not bought at Vercel, which so cannot change its nameservers; name its "
                f"registrar in params/{step.environment().name}/environment.yaml under `domains`"
            )
        names = found.custom or found.intended
        return Nameservers(zone=zone, registrar=VENDOR, names=names, own_dns=names == found.intended)

    def give(self, step: Step, zone: str, names: tuple[str, ...], *, before: tuple[str, ...]) -> None:
        del before
        vercel.apply_nameservers(step, domain=plain(zone), nameservers=names)

    def losses(self, step: Step, zone: str) -> tuple[Loss, ...]:
        """Name none: what Vercel's nameservers serve is its list of records, which parity compares."""
        del step, zone
        return ()
