"""OmniHub's zone as it stands at Vercel in a new world: what the system made, and what a zone file brought.

Several records of a zone file are created in the same millisecond, and so are those of the system.
"""

from __future__ import annotations

from typing import Any, Final

EDGE: Final = "cname.vercel-dns.com."
EDGE_IPV4: Final = ("203.0.113.21", "203.0.113.61")

# name, type, value
SYSTEM: Final = (
    ("", "CAA", '0 issue "letsencrypt.org"'),
    ("", "ALIAS", EDGE),
    ("*", "CNAME", EDGE),
)

_DKIM: Final = (
    "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"
    "iK2ZWeqhFWCEPyYngFb51yBMWXaSCrUZoL8g5ubbbPIa84yRnBUbHoWC8FJowoRoWD8s7bA16J7PglOU3shVv5UTG7"
    "9BG16QmtsL4F28GzL2cEpVZzAQlxJ4SXRVxfCQGgXkH1zxFUbEctT2NLLzPkkGoaXmI63JozGw82KwD6rQJM9UayY2"
    "0948VGZiHXJnB8dE3xKJm8GAF0wAwaIINYNvDMbZoOlJLl3fZJZ207qc18Ref3bCaWWrprhZNlwsekkqH8kQrPTsDS"
    "uFEhbtyvAYmqgq5UGn9MB0bobzjcU9kCTGRBI1oOZSHCoHPbzRKZuQOBdVti9n4dte2et68tVkAKqiaJ42cL0n"
    "QIDAQAB"
)

# name, type, value, TTL in seconds, priority
OWN: Final[tuple[tuple[str, str, str, int, int | None], ...]] = (
    ("", "MX", "mx1.mail.example.", 3600, 10),
    ("", "MX", "mx2.mail.example.", 3600, 20),
    ("", "TXT", "v=spf1 include:_spf.mail.example ~all", 3600, None),
    ("", "TXT", 'note="quoted; and with a \\ in it"', 3600, None),
    ("", "CAA", '0 issue "pki.goog"', 3600, None),
    ("", "CAA", '0 iodef "mailto:security@omnihub.dev"', 3600, None),
    ("", "HTTPS", ". alpn=h2", 300, 1),
    ("_dmarc", "TXT", "v=DMARC1; p=quarantine; rua=mailto:dmarc@omnihub.dev", 3600, None),
    ("s1._domainkey", "TXT", _DKIM, 3600, None),
    ("_sip._tcp", "SRV", "5 5061 sip.omnihub.dev.", 3600, 10),
    ("sip", "A", "203.0.113.40", 3600, None),
    ("sip", "AAAA", "2001:db8::40", 3600, None),
    ("www", "CNAME", EDGE, 60, None),
    ("api", "CNAME", EDGE, 300, None),
    ("status", "CNAME", "omnihub.statuspage.example.", 14400, None),
    ("*.preview", "CNAME", EDGE, 60, None),
    ("xn--mnchen-3ya", "A", "203.0.113.41", 3600, None),
)


def record(domain: str, name: str, kind: str, value: str, ttl_s: int, priority: int | None) -> dict[str, Any]:
    """Return a record as the emulator keeps it, but for who made it, and when."""
    return {
        "domain": domain,
        "name": name,
        "type": kind,
        "value": value,
        "ttl": ttl_s,
        "priority": priority,
        "system": False,
        "creator": "",
        "created": 0,
        "updated": 0,
        "comment": "",
    }
