"""What the registrars' emulators share: domains in a table, whose delegation follows a change after a while.

    table "domains"  domain → nameservers (as shown), given (as last asked for) and the vendor's own fields
    table "changes"  one line for each change of a domain's nameservers, the same ones again being none

A registrar's answer is its own book. What the world asks is the registry's zone, `world.part("dns")`, which
hears of a change `published_after` later; its DS stays as it is, whoever the nameservers are.

Of the books of several registrars' emulators the main domain may stand in more than one, so that a rehearsal
can be led to each by environment.yaml alone; a run that goes through one of them never looks into another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from runbook.clock import utc_text
from runbook.sandbox.dns.internet import Internet
from runbook.sandbox.dns.zone import Delegation
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.state import Doc

MAIN = "omnihub.dev"
BY_HAND: Mapping[str, str] = {
    "person-switches-nameservers": f"somebody logs in and gives {MAIN} Cloudflare's nameservers",
    "person-reverts-nameservers": f"somebody logs in and gives {MAIN} Vercel's nameservers back",
}
_SIDES = {"person-switches-nameservers": "cloudflare", "person-reverts-nameservers": "vercel"}


class Registrar(Part):
    """Base of a registrar's emulator."""

    published_after: ClassVar[timedelta]
    shown_after: ClassVar[timedelta] = timedelta(0)
    scenarios: ClassVar[Mapping[str, str]] = BY_HAND

    def register(self, domain: str, nameservers: Sequence[str], **fields: Any) -> None:
        """Put a domain into the book, delegated unless it is so already; the main one is long in caches."""
        names = list(nameservers)
        self.table("domains").put(domain, {**fields, "nameservers": names, "given": names})
        if self.internet.delegation(domain) is None:
            self._publish(domain, names)
            if domain == MAIN:
                self.internet.warm(domain)

    def give(self, domain: str, nameservers: Iterable[str]) -> bool:
        """Change a domain's nameservers in the book; the registry hears of it later. Return if it is one."""
        doc, names = self.table("domains")[domain], list(nameservers)
        if sorted(names) == sorted(doc["given"]):
            return False
        self.table("domains").change(domain, given=names)
        self.table("changes").put(
            self.token(12), {"at": utc_text(self.now), "domain": domain, "from": doc["given"], "to": names}
        )
        if self.shown_after:
            self.later("show", after=self.shown_after, domain=domain, names=names)
        else:
            self.table("domains").change(domain, nameservers=names)
        self.later("publish", after=self.published_after, domain=domain, names=names)
        return True

    def on_due(self, what: str, data: Doc) -> None:
        domain, names = data["domain"], data["names"]
        if what == "publish":
            self._publish(domain, names)
        elif domain in self.table("domains"):
            self.table("domains").change(domain, nameservers=names)

    def play(self, scenario: str) -> None:
        if scenario in _SIDES and MAIN in self.table("domains"):
            self.give(MAIN, self.servers(_SIDES[scenario]))

    def status(self) -> Doc:
        """Return each domain with its nameservers, as the registrar shows them."""
        return {
            "domains": [
                f"{name}: {', '.join(doc['nameservers'])}" for name, doc in self.table("domains").items()
            ]
        }

    def servers(self, side: str) -> list[str]:
        """Return the nameservers a side of the DNS gives the main domain, without the dot at the end."""
        return [name.rstrip(".") for name in self.internet.assigned(side, MAIN)]

    def delegated(self) -> list[str]:
        """Return the nameservers that the registry has for the main domain, Vercel's when it has none."""
        found = self.internet.delegation(MAIN)
        return [name.rstrip(".") for name in found.nameservers] if found else self.servers("vercel")

    @property
    def internet(self) -> Internet:
        dns: Any = self.world.part("dns")
        found: Internet = dns.internet
        return found

    def _publish(self, domain: str, names: Sequence[str]) -> None:
        """Let the registry's zone say what the book says; it takes host names with a dot at the end."""
        hosts = tuple(f"{name}." for name in names)
        found = self.internet.delegation(domain) or Delegation(f"{domain}.", hosts)
        self.internet.delegate(replace(found, nameservers=hosts))
