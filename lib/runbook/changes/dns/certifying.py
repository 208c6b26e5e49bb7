"""What Cloudflare's certificates say about proxying: without one that serves, records stay unproxied."""

from __future__ import annotations

from runbook.changes.dns.zone import plain
from runbook.providers import cloudflare, vercel
from runbook.providers.dns import absolute, for_people
from runbook.step import Step
from runbook.values import Value


class Certified(Value):
    """The state of the zone's certificates at Cloudflare, and the names it lets us proxy at the switch.

    `status` is the zone's, None where there is no zone yet; `site` are the names that our project answers to.
    """

    zone: str
    status: cloudflare.zones.ZoneStatus | None
    packs: tuple[cloudflare.Certificate, ...]
    site: tuple[str, ...]

    @property
    def proxied(self) -> tuple[str, ...]:
        """Return the names to be proxied: those of the site that a certificate serves, in an active zone."""
        if self.status != "active":
            return ()
        serving = [pack for pack in self.packs if pack.is_serving]
        return tuple(name for name in self.site if any(pack.covers(name) for pack in serving))

    @property
    def follows(self) -> str:
        """Return in a sentence what follows for the switch."""
        if self.proxied and len(self.proxied) == len(self.site):
            return "the site's names are proxied: a certificate serves them"
        if self.proxied:
            return f"only {', '.join(map(for_people, self.proxied))} proxied: no certificate serves the rest"
        if self.status != "active":
            return (
                "every record stays unproxied at the switch: Cloudflare issues its certificate 15 minutes to "
                "24 hours after the zone has become active, and visitors keep Vercel's until then"
            )
        return "every record stays unproxied at the switch: no certificate of the zone serves yet"

    def rows(self) -> list[tuple[str, str]]:
        packs = [f"{one.kind}: {one.status}" for one in self.packs]
        return [
            ("zone at Cloudflare", self.status or "not there yet"),
            ("certificates", ", ".join(packs) or "none yet"),
            ("the site's names", ", ".join(map(for_people, self.site))),
            ("what follows", self.follows),
        ]


def read_certified(step: Step, zone: str) -> Certified:
    """Return how far the zone's certificates are at Cloudflare, which may not have the zone yet."""
    there = cloudflare.read_zone(step, name=plain(zone))
    names = (absolute(one.name) for one in vercel.read_project_domains(step))
    origin = absolute(zone)
    return Certified(
        zone=origin,
        status=None if there is None else there.status,
        packs=() if there is None else cloudflare.read_certificates(step, there),
        site=tuple(name for name in names if name == origin or name.endswith(f".{origin}")),
    )
