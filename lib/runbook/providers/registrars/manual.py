"""A registrar without an API: tells a person exactly what to do, and sees at the parent that it is done."""

from __future__ import annotations

from dataclasses import dataclass

from runbook.errors import Parked
from runbook.providers.dns import Network, read_delegation
from runbook.providers.registrars.interface import Loss, Nameservers, plain
from runbook.step import Step


@dataclass(frozen=True)
class Manual:
    """A person at a registrar's web page; its book is what the parent zone says."""

    registered_at: str
    network: Network
    name: str = "manual"

    def read(self, step: Step, zone: str) -> Nameservers:
        found = read_delegation(step, self.network, zone)
        return Nameservers(zone=zone, registrar=self.name, names=tuple(sorted(found.nameservers)))

    def give(self, step: Step, zone: str, names: tuple[str, ...], *, before: tuple[str, ...]) -> None:
        """Park, with the instructions; the resumed run reads the parent, and goes on when it is done."""
        del step
        raise Parked(instructions(zone, self.registered_at, names, before=before))

    def losses(self, step: Step, zone: str) -> tuple[Loss, ...]:
        """Name none: only the person who logs in can see them."""
        del step, zone
        return ()


def instructions(zone: str, registered_at: str, names: tuple[str, ...], *, before: tuple[str, ...]) -> str:
    """Return what a person must do, step by step, and how it will be known to be done."""
    new = "\n".join(f"       {plain(name)}" for name in names)
    old = ", ".join(map(plain, before)) or "none"
    return (
        f"a person must change the nameservers of {plain(zone)} now:\n"
        f"  1. Log in at {registered_at}.\n"
        f"  2. Open {plain(zone)} and its nameservers (not its DNS records). "
        f"The world is sent to these now: {old}.\n"
        f"  3. Choose custom nameservers and put in exactly these {len(names)}, removing all others:\n{new}\n"
        "  4. Leave DNSSEC and everything else as it is. Save, and confirm what the registrar asks about.\n"
        f"  5. Resume the run: it reads the parent zone, and goes on once {plain(zone)} is delegated so.\n"
        f"The way back is the same with {old}"
    )
