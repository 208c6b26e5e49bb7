"""A small DNS listening on 127.0.0.1 for as long as a `with` lasts, for clients that bring no event loop."""

import asyncio
import socket
import threading
from contextlib import contextmanager

from runbook.providers.dns import Network
from runbook.sandbox.dns.listening import HOST, Listener
from runbook.sandbox.world.server import Server
from runbook.step import Step
from tests.dns_worlds import SmallWorld


class Served:
    """A SmallWorld whose servers listen: `step` on its clock, `network` with routes to all of them."""

    def __init__(self, world):
        self.world = world
        self.step = Step(clock=world.clock)
        self.routes = {one.address: f"{HOST}:{one.port}" for one in world.internet.endpoints()}
        self.routes |= {name: f"{HOST}:{one.port}" for name, one in world.internet.resolvers.items()}
        self.network = Network.of(world.internet.resolvers, routes=self.routes)

    def server(self, endpoint):
        return self.network.server(endpoint.name, endpoint.address)


@contextmanager
def loop_beside():
    """Run an event loop in a thread that ends with the block; yield a function that runs work there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def served(**numbers):
    """Let a small world listen."""
    world = SmallWorld(**numbers)
    listeners = [Listener(one) for one in world.internet.endpoints()]
    with loop_beside() as there:
        try:
            for one in listeners:
                there(one.start())
            yield Served(world)
        finally:
            for one in listeners:
                there(one.close())


@contextmanager
def served_over_http(world, folder):
    """Let a world (of runbook.sandbox.world) answer over HTTP; yield its address."""

    async def begin():
        server = Server(world, folder)
        return server, await server.start()

    with loop_beside() as there:
        server, port = there(begin())
        try:
            yield f"http://{HOST}:{port}"
        finally:
            there(server.close())


def _by_udp(udp, reply):
    while (got := udp.recvfrom(65_535))[0] != b"end":
        for packet in reply(got[0]):
            udp.sendto(packet, got[1])


def _by_tcp(listener, handle):
    while True:
        connection, _ = listener.accept()
        with connection:
            if connection.recv(3, socket.MSG_PEEK) == b"end":
                return
            handle(connection)


def _one_port_for_both():
    """Return a UDP socket and a listening TCP socket on one free port."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind((HOST, 0))
        try:
            return udp, socket.create_server((HOST, udp.getsockname()[1]))
        except OSError:  # somebody's connection has that port
            udp.close()


@contextmanager
def answering(reply, *, tcp=None):
    """Listen on a port of both kinds and answer by functions of our own; yield the port.

    `reply(wire)` returns the packets to send back; `tcp(connection)` handles one connection, None: no TCP.
    """
    udp, listener = _one_port_for_both()
    port = udp.getsockname()[1]
    threads = [threading.Thread(target=_by_udp, args=(udp, reply))]
    if tcp is None:
        listener.close()
    else:
        threads.append(threading.Thread(target=_by_tcp, args=(listener, tcp)))
    with udp, listener:
        for one in threads:
            one.start()
        try:
            yield port
        finally:
            udp.sendto(b"end", (HOST, port))
            if tcp is not None:
                with socket.create_connection((HOST, port)) as last:
                    last.sendall(b"end")
            for one in threads:
                one.join()
