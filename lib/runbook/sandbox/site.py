"""The site behind the DNS: OmniHub's pages at Vercel's edge, and at Cloudflare's where a record is proxied.

Every address that the DNS gives for the site leads to a port of its own, as nameservers do; a visitor names
the host. Plain HTTP stands for HTTPS: where the handshake would fail, the connection ends without a reply.

- Vercel's edge knows the project's hosts and nobody else's.
- Cloudflare's edge serves what is proxied in an active zone, once there is a certificate for it, and fetches
  it at Vercel; a host that it does not know is refused (error 1001).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from aiohttp import web

from runbook.sandbox.registrar import MAIN
from runbook.sandbox.vendors.cloudflare.zones import EDGE as CLOUDFLARE
from runbook.sandbox.vendors.vercel.zonefile import EDGE_IPV4 as VERCEL
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.world import World

HERE: Final = "127.0.0.1"
HOSTS: Final = frozenset({MAIN, f"www.{MAIN}", f"api.{MAIN}"})
ADDRESSES: Final = (*VERCEL, *CLOUDFLARE["A"])
FAILS: Final = "site-fails-at-cloudflare"
PAGE: Final = "<!doctype html><title>OmniHub</title><h1>OmniHub</h1>\n"
_NO_SUCH_DEPLOYMENT: Final = "The deployment could not be found on Vercel.\n\nDEPLOYMENT_NOT_FOUND\n"


@dataclass(frozen=True)
class Page:
    """What one visit gets."""

    status: int
    body: str
    server: str


class Site(Part):
    """Ports on which the site is served, by the address that the DNS gives for it."""

    name = "site"
    scenarios: ClassVar[Mapping[str, str]] = {
        FAILS: "half an hour after Cloudflare's zone is active somebody proxies the site there, and its edge "
        "cannot reach the origin"
    }

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._runner: web.ServerRunner | None = None
        self._by_port: dict[int, str] = {}

    def addresses(self) -> Mapping[str, str]:
        return {address: f"{HERE}:{port}" for port, address in self._by_port.items()}

    def status(self) -> dict[str, Any]:
        """Return what a visitor to the main domain gets at each address, in sentences."""
        pages = [(address, self.visit(address, MAIN)) for address in ADDRESSES]
        return {
            MAIN: [f"{where}: {'no connection' if page is None else page.status}" for where, page in pages]
        }

    def play(self, scenario: str) -> None:
        self.table("habits").put(scenario, {})

    def visit(self, address: str, host: str) -> Page | None:
        """Return what a visitor gets at an address for a host; None: no connection comes about."""
        if address in VERCEL:
            return _at_vercel(host)
        return self._at_cloudflare(host) if address in CLOUDFLARE["A"] else None

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle))
        await self._runner.setup()
        for address in ADDRESSES:
            kept = self.table("ports").get(address, {"port": 0})["port"]
            port = await _listen(self._runner, kept)
            self._by_port[port] = address
            self.table("ports").put(address, {"port": port})
        self.world.state.save()

    async def stop(self) -> None:
        self._by_port.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        port = transport.get_extra_info("sockname")[1] if transport is not None else 0
        page = self.visit(self._by_port.get(port, ""), request.host.partition(":")[0].lower())
        if page is None:
            if transport is not None:
                transport.abort()
            return web.Response()
        return web.Response(
            status=page.status, text=page.body, content_type="text/html", headers={"Server": page.server}
        )

    def _at_cloudflare(self, host: str) -> Page | None:
        cloudflare: Any = self.world.part("cloudflare")
        if not cloudflare.is_proxied(host):
            return Page(403, "error code: 1001\n", "cloudflare")
        if not cloudflare.has_certificate(host):
            return None
        if FAILS in self.table("habits"):
            return Page(525, "error code: 525\n", "cloudflare")
        page = _at_vercel(host)
        return Page(page.status, page.body, "cloudflare")


def _at_vercel(host: str) -> Page:
    if host in HOSTS:
        return Page(200, PAGE, "Vercel")
    return Page(404, _NO_SUCH_DEPLOYMENT, "Vercel")


async def _listen(runner: web.ServerRunner, wanted: int) -> int:
    """Listen on a port, on a free one when that is taken; return it."""
    for port in (wanted, 0):
        site = web.TCPSite(runner, HERE, port)
        try:
            await site.start()
        except OSError:
            if not port:
                raise
            continue
        server: Any = site._server  # noqa: SLF001  # aiohttp has no other way to tell the port
        return int(server.sockets[0].getsockname()[1])
    raise AssertionError("a free port was refused")


PART = Site
