"""Real packets on 127.0.0.1: UDP and TCP on one port, and nothing a client does ends the server."""

import asyncio
import socket
import struct
from contextlib import asynccontextmanager

import dns.asyncquery
import dns.flags
import dns.message
import pytest

from runbook.sandbox.dns.listening import CONNECTIONS, HOST, Listener
from runbook.sandbox.dns.zone import RecordSet, txt_value
from tests.dns_worlds import OLD, ZONE, SmallWorld

WWW = f"www.{ZONE}"


@asynccontextmanager
async def listening(endpoint, **options):
    listener = Listener(endpoint, **options)
    await listener.start()
    try:
        yield endpoint.port
    finally:
        await listener.close()


def test_udp_and_tcp_answer_on_one_port():
    """A client of another making (dnspython's) asks both ways; a long answer comes by TCP after TC."""

    async def scene():
        world = SmallWorld()
        values = tuple(txt_value(f"{n:02d}" + "x" * 250) for n in range(30))
        world.zones["vercel"].put(RecordSet(f"big.{ZONE}", "TXT", 60, values))
        async with listening(world.nameserver("vercel")) as port:
            query = dns.message.make_query(WWW, "A")
            udp = await dns.asyncquery.udp(query, HOST, port=port, timeout=5)
            tcp = await dns.asyncquery.tcp(query, HOST, port=port, timeout=5)
            big = dns.message.make_query(f"big.{ZONE}", "TXT")
            whole, used_tcp = await dns.asyncquery.udp_with_fallback(big, HOST, port=port, timeout=5)
        return udp.answer[0][0].address, tcp.answer[0][0].address, len(whole.answer[0]), used_tcp

    assert asyncio.run(scene()) == (OLD, OLD, 30, True)


def test_many_queries_come_through_one_connection_in_order():
    """Queries sent in a row over TCP, also split in the middle, are answered one after the other."""

    async def scene():
        async with listening(SmallWorld().nameserver("vercel")) as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            queries = [dns.message.make_query(WWW, "A", id=number) for number in range(1, 6)]
            sent = b"".join(struct.pack("!H", len(q.to_wire())) + q.to_wire() for q in queries)
            writer.write(sent[:31])
            await writer.drain()
            writer.write(sent[31:])
            ids = []
            for _ in queries:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                ids.append(dns.message.from_wire(await reader.readexactly(length)).id)
            writer.close()
            await writer.wait_closed()
        return ids

    assert asyncio.run(scene()) == [1, 2, 3, 4, 5]


def test_what_is_no_query_ends_the_connection_and_not_the_server():
    """Nonsense over UDP and TCP, and clients that leave in the middle; then a good question is answered."""

    async def scene():
        async with listening(SmallWorld().nameserver("vercel")) as port:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                for junk in (b"", b"x", b"\0" * 11, b"\xff" * 600):
                    client.sendto(junk, (HOST, port))
            ends = []
            for junk in (b"\0\x05hello", b"\0\0", b"\xff\xff" + b"\x80" * 70_000):
                reader, writer = await asyncio.open_connection(HOST, port)
                writer.write(junk)
                writer.write_eof()
                ends.append(await reader.read())
                writer.close()
            reply = await dns.asyncquery.udp(dns.message.make_query(WWW, "A"), HOST, port=port, timeout=5)
        return ends[:2], reply.answer[0][0].address

    assert asyncio.run(scene()) == ([b"", b""], OLD)


def test_a_server_that_says_nothing_lets_a_tcp_client_wait():
    """Mute means silence, not a closed connection; closing the server then cuts the client off."""

    async def scene():
        world = SmallWorld()
        server = world.nameserver("vercel")
        world.internet.break_server(server.name, mute=True)
        asked = asyncio.Event()
        async with listening(server, after=asked.set) as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            query = dns.message.make_query(WWW, "A").to_wire()
            writer.write(struct.pack("!H", len(query)) + query)
            await asked.wait()
            silent = not reader.at_eof()
        ended = await reader.read()
        writer.close()
        return silent, ended

    assert asyncio.run(scene()) == (True, b"")


def test_too_many_connections_are_turned_away():
    """Beyond its number of TCP clients a server closes at once; those it has are still served."""

    async def scene():
        async with listening(SmallWorld().nameserver("vercel")) as port:
            clients = [await asyncio.open_connection(HOST, port) for _ in range(CONNECTIONS)]
            turned = await asyncio.open_connection(HOST, port)
            answer = await turned[0].read()
            query = dns.message.make_query(WWW, "A").to_wire()
            clients[0][1].write(struct.pack("!H", len(query)) + query)
            (length,) = struct.unpack("!H", await clients[0][0].readexactly(2))
            for _, writer in [*clients, turned]:
                writer.close()
        return answer, length > 0

    assert asyncio.run(scene()) == (b"", True)


def test_a_port_that_is_taken_is_exchanged_for_a_free_one():
    """The port asked for is used when it is free; starting again takes the same one."""

    async def scene():
        world = SmallWorld()
        first, second = world.nameserver("vercel", 0), world.nameserver("vercel", 1)
        async with listening(first) as port:
            second.port = port
            async with listening(second) as other:
                pass
        async with listening(first) as again:
            pass
        return port, other, again

    port, other, again = asyncio.run(scene())
    assert port != other
    assert port == again


def test_closing_twice_is_fine_and_frees_the_port():
    """Nothing is left open behind a listener."""

    async def scene():
        server = SmallWorld().nameserver("vercel")
        listener = Listener(server)
        await listener.start()
        await listener.close()
        await listener.close()
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((HOST, server.port))

    asyncio.run(scene())


@pytest.mark.parametrize("tcp", [False, True])
def test_a_late_server_answers_after_its_delay(tcp):
    """The delay is asked of the event loop, not slept: nothing else waits for it."""

    async def scene():
        world = SmallWorld()
        server = world.nameserver("vercel")
        world.internet.break_server(server.name, delay_s=0.001)
        ask = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        async with listening(server) as port:
            replies = await asyncio.gather(
                *(ask(dns.message.make_query(WWW, "A"), HOST, port=port, timeout=5) for _ in range(20))
            )
        return {reply.answer[0][0].address for reply in replies}

    assert asyncio.run(scene()) == {OLD}


def test_what_was_learnt_is_written_down_after_the_answers():
    """The listener says when queries were answered, once for those that came together."""

    async def scene():
        heard = []
        async with listening(SmallWorld().resolver(1), after=lambda: heard.append(1)) as port:
            await dns.asyncquery.udp(dns.message.make_query(WWW, "A"), HOST, port=port, timeout=5)
            await dns.asyncquery.tcp(dns.message.make_query(WWW, "A"), HOST, port=port, timeout=5)
        return len(heard)

    assert asyncio.run(scene()) == 2
