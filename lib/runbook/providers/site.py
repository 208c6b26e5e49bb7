"""The site as a visitor sees it who comes by one address: whatever the DNS says, and without trust.

A page is asked for at the address that one side's nameservers give, under its own name: Host and, over TLS,
the name in the handshake are the site's, and so must the certificate be. In the sandbox the addresses lead to
ports of this machine, which speak plain HTTP.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from runbook.clock import WallClock
from runbook.errors import SurprisingReply, VendorError
from runbook.providers.dialect import DONE, Dialect
from runbook.providers.dns import Network
from runbook.providers.http import Http
from runbook.step import Step
from runbook.values import Value

HTTPS_PORT: Final = 443
OK_FROM, OK_TO = 200, 300
_WALL: Final = WallClock()  # how long a visitor waits is real time, in a rehearsal too
_ONCE: Final = Dialect(vendor="site", mount="", verdict=lambda _reply: DONE, attempts=1, patience_s=0)


class Page(Value):
    """A page that must be there: its host, its path, and words that stand in it."""

    host: str
    path: str
    says: str


class Visit(Value):
    """One visit to one page by one address; `trouble` is empty when all was as it should be.

    `status` is HTTP's, None when no whole reply came. `latency_ms` is real time.
    """

    host: str
    address: str
    at: datetime
    status: int | None
    latency_ms: float
    trouble: str = ""

    @property
    def ok(self) -> bool:
        return not self.trouble

    def in_a_line(self) -> str:
        return f"{self.host} at {self.address}: {self.trouble or self.status}"


def visit(network: Network, page: Page, address: str, *, at: datetime, timeout_s: float = 10.0) -> Visit:
    """Return how one page is at one address; never raises for what the site does or leaves."""
    route = network.routes.get(address)
    scheme, where = ("http", _parted(route)) if route else ("https", (address, HTTPS_PORT))
    began_s = _WALL.monotonic_s()
    status, trouble = None, ""
    with Http(_ONCE, f"{scheme}://{page.host}", _WALL, timeout_s=timeout_s, pinned=where) as http:
        try:
            reply = http.exchange("visit", "GET", page.path)
        except SurprisingReply as error:
            trouble = str(error)
        except VendorError as error:
            trouble = _why(error)
        else:
            status = reply.status
            trouble = _wrong(status, reply.content, page)
    latency_ms = (_WALL.monotonic_s() - began_s) * 1000
    return Visit(
        host=page.host, address=address, at=at, status=status, latency_ms=latency_ms, trouble=trouble
    )


def read_visits(
    step: Step, network: Network, pages: Sequence[Page], addresses: Mapping[str, Sequence[str]]
) -> tuple[Visit, ...]:
    """Return a visit to each page at each address that its host has in `addresses`."""
    at = step.clock.now()
    return tuple(
        visit(network, page, address, at=at) for page in pages for address in addresses.get(page.host, ())
    )


def _wrong(status: int, content: bytes, page: Page) -> str:
    if not OK_FROM <= status < OK_TO:
        return f"HTTP {status}"
    return "" if page.says.encode() in content else f"it does not say “{page.says}”"


def _why(error: VendorError) -> str:
    """Return what was wrong with the connection, without the advice: it is one look of many."""
    text = str(error)
    return text.partition("asked once (")[2].partition("); resume")[0] or text


def _parted(route: str) -> tuple[str, int]:
    host, _, port = route.rpartition(":")
    return host, int(port)
