"""Connections to vendors: one session's, or those of all the sessions of a step."""

from __future__ import annotations

import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

IDLE_S: Final = 4.0
"""After that a connection is not used again: servers let go after five seconds and more, at times unheard."""


class Line(HTTPAdapter):
    """Connections that stay open from call to call, to whatever host, and are closed when they should be."""

    def __init__(self) -> None:
        super().__init__()
        self._used_s = time.monotonic()

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request, on a connection that is open or a new one."""
        if time.monotonic() - self._used_s > IDLE_S:
            self.drop()
        try:
            return super().send(request, *args, **kwargs)
        finally:
            self._used_s = time.monotonic()

    def drop(self) -> None:
        """Close what is open; the next call opens a new connection."""
        # urllib3 leaves closing to the garbage collector; an error's traceback would keep sockets open.
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118  # it has no __iter__
                manager.pools[key].close()
            manager.clear()

    def close(self) -> None:
        self.drop()
        super().close()


class Pinned(Line):
    """Connects to one address, whatever the DNS says, and asks there for the host of the URL.

    Name (SNI) and certificate are still the host's: an address that cannot prove to be it is refused.
    """

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        where, how = super().build_connection_pool_key_attributes(request, verify, cert)
        named = {"server_hostname": where["host"]} if where["scheme"] == "https" else {}
        return {**where, "host": self._address, "port": self._port}, {**how, **named}

    def add_headers(self, request: requests.PreparedRequest, **_: Any) -> None:
        request.headers["Host"] = urlsplit(request.url or "").netloc

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send it without a proxy: one would ask the DNS itself."""
        return super().send(request, *args, **{**kwargs, "proxies": None})
