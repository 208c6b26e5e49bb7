"""Sockets for a DNS server: UDP and TCP on one port of 127.0.0.1, in the event loop of whoever starts them.

UDP is read by a callback of our own that empties the socket at each wake-up: several times the packets of
asyncio's datagram protocol, which takes one. TCP clients may send many queries in a row (RFC 7766).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from runbook.sandbox.dns.wire import Endpoint

HOST = "127.0.0.1"
BATCH = 64  # packets read at one wake-up, before the loop's other work gets its turn
PACKET_BYTES = 65_535
BUFFER_BYTES = 4 * 2**20
IDLE_S = 10.0  # how long a TCP client may be silent
CONNECTIONS = 100  # TCP clients at once, per server
TRIES = 20


def _nothing() -> None:
    """Do nothing: there is no record to write."""


class Listener:
    """An endpoint's sockets. `start` and `close` are called in the loop's thread.

    `after` is called before answers leave: the time to write down what a resolver learnt.
    """

    def __init__(self, endpoint: Endpoint, *, after: Callable[[], None] = _nothing) -> None:
        self.endpoint = endpoint
        self._after = after
        self._udp: socket.socket | None = None
        self._tcp: asyncio.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on the endpoint's port, or on a free one when it has none or that is taken."""
        self._loop = asyncio.get_running_loop()
        self._udp, tcp = _pair(self.endpoint.port)
        self.endpoint.port = self._udp.getsockname()[1]
        self._loop.add_reader(self._udp.fileno(), self._read)
        self._tcp = await asyncio.start_server(self._serve, sock=tcp)

    async def close(self) -> None:
        """Stop listening, cut the clients off; closing twice is fine."""
        if self._udp is not None and self._loop is not None:
            self._loop.remove_reader(self._udp.fileno())
            self._udp.close()
            self._udp = None
        if self._tcp is not None:
            self._tcp.close()
            clients = list(self._clients)
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
            await self._tcp.wait_closed()
            self._tcp = None

    def _read(self) -> None:
        sock, handle = self._udp, self.endpoint.handle
        if sock is None or self._loop is None:
            return
        answers = []
        for _ in range(BATCH):
            try:
                wire, client = sock.recvfrom(PACKET_BYTES)
            except OSError:  # nothing more there, or a client's port is closed
                break
            answer = handle(wire)
            if answer is not None:
                answers.append((answer, client))
        self._after()
        if self.endpoint.delay_s:
            self._loop.call_later(self.endpoint.delay_s, self._send, answers)
        else:
            self._send(answers)

    def _send(self, answers: list[tuple[bytes, Any]]) -> None:
        if self._udp is None:
            return
        for answer, client in answers:
            with suppress(OSError):  # a full buffer loses packets, as UDP does
                self._udp.sendto(answer, client)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the type checker: a coroutine runs in a task
        self._clients.add(task)
        try:
            if len(self._clients) <= CONNECTIONS:
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # the client is gone or silent
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(IDLE_S):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                wire = await reader.readexactly(length)
            answer = self.endpoint.handle(wire, tcp=True)
            self._after()
            if answer is None:
                if self.endpoint.mute:
                    continue
                return  # what is no query ends the conversation
            await asyncio.sleep(self.endpoint.delay_s)
            writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()


def _pair(wanted: int) -> tuple[socket.socket, socket.socket]:
    """Return a UDP and a TCP socket on one port: the wanted one if it is free."""
    for port in [wanted, *[0] * TRIES]:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.bind((HOST, port))
            tcp.bind((HOST, udp.getsockname()[1]))
        except OSError:
            udp.close()
            tcp.close()
            continue
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        udp.setblocking(False)
        tcp.setblocking(False)
        return udp, tcp
    raise OSError(f"no port of {HOST} is free for both UDP and TCP after {TRIES} tries")
