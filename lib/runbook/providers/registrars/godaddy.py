"""GoDaddy: domains over JSON, waits told in the body, a transfer code in every reading.

Source: GoDaddy's Domains API v1. A change is 200 without a body, and reading may show the old nameservers for
a while. A domain comes with its transfer code and its owner's address; they are read past and never kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from runbook.providers.connect import connect
from runbook.providers.dialect import Dialect, Reply, Verdict, by_status, retry_after
from runbook.providers.dns import absolute
from runbook.providers.paging import by_cursor
from runbook.providers.registrars.interface import Loss, Nameservers, plain
from runbook.providers.shape import Shape
from runbook.step import Step

VENDOR: Final = "godaddy"
_OWN: Final = ".domaincontrol.com."
_PAGE: Final = 100
_BY_HAND: Final = "set `registrar: manual` for this domain in environment.yaml, and a person can change it"
_HINTS: Final = {
    403: f"its API is open to accounts with enough domains or a Discount Domain Club plan only; {_BY_HAND}",
    409: f"a protected or high-value domain wants a second factor, which no API call can bring; {_BY_HAND}",
}


def _verdict(reply: Reply) -> Verdict:
    """Judge by status, and say what lies behind those refusals that no other key or input would mend."""
    verdict = by_status(reply)
    hint = _HINTS.get(reply.status)
    return replace(verdict, words=f"{verdict.words}; {hint}") if hint else verdict


def _later(reply: Reply, now: datetime) -> datetime | None:
    """Return when to ask again: `retryAfterSec` of the body, else the header."""
    data = reply.data()
    wait_s = data.get("retryAfterSec") if isinstance(data, dict) else None
    if isinstance(wait_s, int) and not isinstance(wait_s, bool) and wait_s >= 0:
        return now + timedelta(seconds=wait_s)
    return retry_after(reply, now)


API: Final = Dialect(
    vendor=VENDOR,
    mount="/godaddy",
    secrets=("key", "secret"),
    authorize=lambda secrets: {"Authorization": f"sso-key {secrets['key']}:{secrets['secret']}"},
    headers={"Accept": "application/json"},
    verdict=_verdict,
    later=_later,
    hidden=frozenset({"authCode", "contactRegistrant", "contactAdmin", "contactBilling", "contactTech"}),
    blind_wait_s=60.0,  # its window
)


class _Domain(Shape):
    domain: str
    nameServers: tuple[str, ...]  # noqa: N815  # its name


class _Listed(Shape):
    domain: str


class GoDaddy:
    """GoDaddy as one of the registrars."""

    name = VENDOR

    def read(self, step: Step, zone: str) -> Nameservers:
        with connect(step, API) as http:
            args = {"domain": plain(zone)}
            found = http.call("read_domain", "GET", "/v1/domains/{domain}", args=args, into=_Domain)
        names = tuple(sorted(map(absolute, found.nameServers)))
        return Nameservers(
            zone=zone,
            registrar=VENDOR,
            names=names,
            own_dns=any(name.endswith(_OWN) for name in names),
        )

    def give(self, step: Step, zone: str, names: tuple[str, ...], *, before: tuple[str, ...]) -> None:
        """Put nameservers into its book; it takes them only without the dot at their end."""
        del before
        with connect(step, API) as http:
            http.exchange(
                "update_domain",
                "PATCH",
                "/v1/domains/{domain}",
                args={"domain": plain(zone)},
                json={"nameServers": [plain(name) for name in names]},
                once=False,
            )

    def losses(self, step: Step, zone: str) -> tuple[Loss, ...]:
        """Name none: its API lists records only, which the runbook's parity of the zones shows."""
        del step, zone
        return ()


def read_domains(step: Step) -> tuple[str, ...]:
    """Return the domains of the account."""
    with connect(step, API) as http:

        def fetch(marker: str | None) -> tuple[Sequence[str], str | None]:
            query = {"limit": _PAGE, "marker": marker}
            found = http.call("read_domains", "GET", "/v1/domains", query=query, into=tuple[_Listed, ...])
            names = [one.domain for one in found]
            return names, names[-1] if len(names) >= _PAGE else None

        # Whether a page begins at its marker or after it, the vendor does not say.
        return tuple(dict.fromkeys(by_cursor(fetch, what=f"{VENDOR} read_domains")))
