"""The sides of the sandbox's DNS: root, registries, Vercel, Cloudflare, hosting of plain host names.

TTLs and times are those the vendors' zones were seen with or document (Cloudflare: SOA 1800 s, NS 24 h;
.com: delegations 48 h, DS 24 h, SOA 900 s); Vercel's NS and SOA times are assumed alike. The addresses are of
the documentation blocks (RFC 5737): 192.0.2.0/24 nameservers, 198.51.100.0/24 resolvers.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from runbook.sandbox.dns.zone import Soa

DAY_S = 86_400


@dataclass(frozen=True)
class Side:
    """Who hosts zones: the host names of its nameservers, how many of them a zone is given (None: all)."""

    name: str
    nameservers: tuple[str, ...]
    mailbox: str
    per_zone: int | None = None
    ns_ttl_s: int = DAY_S
    refresh_s: int = 10_000
    retry_s: int = 2_400
    expire_s: int = 604_800
    minimum_s: int = 1_800
    soa_ttl_s: int = 1_800

    def assign(self, origin: str, *, turn: int) -> tuple[str, ...]:
        """Return the nameservers of a zone; when it was deleted and made anew (`turn`), other ones."""
        if self.per_zone is None:
            return self.nameservers
        first = zlib.crc32(origin.encode()) + turn * self.per_zone
        return tuple(self.nameservers[(first + n) % len(self.nameservers)] for n in range(self.per_zone))

    def soa(self, nameservers: tuple[str, ...]) -> Soa:
        """Return the start of authority of a zone with these nameservers."""
        times = (self.refresh_s, self.retry_s, self.expire_s, self.minimum_s, self.soa_ttl_s)
        return Soa(nameservers[0], self.mailbox, *times)


_POOL = ("ada", "bob", "cleo", "dan", "elle", "finn", "gail", "hugh", "iris", "jay", "kate", "lee")

ROOT = Side(
    "root",
    ("a.root-servers.net.",),
    "nstld.verisign-grs.com.",
    ns_ttl_s=518_400,
    minimum_s=DAY_S,
    soa_ttl_s=DAY_S,
)
REGISTRY = Side(
    "registry",
    ("a.gtld-servers.net.", "b.gtld-servers.net."),
    "nstld.verisign-grs.com.",
    ns_ttl_s=2 * DAY_S,
    minimum_s=900,
    soa_ttl_s=900,
)
VERCEL = Side(
    "vercel",
    ("ns1.vercel-dns.com.", "ns2.vercel-dns.com."),
    "hostmaster.nsone.net.",
    minimum_s=3_600,
    soa_ttl_s=3_600,
)
CLOUDFLARE = Side(
    "cloudflare", tuple(f"{one}.ns.cloudflare.com." for one in _POOL), "dns.cloudflare.com.", per_zone=2
)
HOSTING = Side("hosting", ("ns1.hosting.example.", "ns2.hosting.example."), "hostmaster.hosting.example.")
SIDES = (ROOT, REGISTRY, VERCEL, CLOUDFLARE, HOSTING)
