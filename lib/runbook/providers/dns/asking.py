"""Asks many servers at once, over UDP and where an answer is cut short over TCP.

Each server gets one socket on a port the system draws, many queries on it apart by random IDs; what does not
fit an open query to the byte of its question is ignored. What cannot be read is ignored too, until the time
is up: a forger must not be able to end a query.
"""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
from dns.message import Message

from runbook.clock import Clock, WallClock
from runbook.providers.dns.answers import (
    Answer,
    Outcome,
    Question,
    Received,
    Server,
    answer_of,
    received,
)
from runbook.step import Step

T = TypeVar("T")
HEADER_BYTES, ID_BYTES = 12, 2
OUR_UDP_BYTES = 1232  # no fragments, DNS Flag Day 2020
IDS = 2**16
WALL = WallClock()


@dataclass(frozen=True)
class Manner:
    """How to ask: `attempts` times for `timeout_s` each; so many queries at once, in all and per server.

    `recursive` sets RD, `dnssec` DO, `unchecked` CD (the answer even where validation fails).
    """

    timeout_s: float = 2.0
    attempts: int = 3
    at_once: int = 1_000
    per_server: int = 50
    recursive: bool = True
    dnssec: bool = False
    unchecked: bool = False


PATIENT = Manner()
DIRECT = Manner(recursive=False)


def ask(
    pairs: Iterable[tuple[Server, Question]],
    *,
    manner: Manner = PATIENT,
    clock: Clock = WALL,
) -> tuple[Answer, ...]:
    """Put each question to its server, all at once; return the answers in the order asked.

    Never raises for what a server does or leaves: the answer's `outcome` tells. `clock` is the run's, for
    `asked_at`; waiting is in real time.
    """
    asked = list(pairs)
    return tuple(finished(_ask_all(asked, manner, clock.now()))) if asked else ()


def read_answers(
    step: Step, servers: Iterable[Server], questions: Iterable[Question], *, manner: Manner = PATIENT
) -> tuple[Answer, ...]:
    """Return what each server says to each question, server by server, in the questions' order."""
    asked = list(questions)
    return ask([(one, question) for one in servers for question in asked], manner=manner, clock=step.clock)


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine returns, also where an event loop runs already, as in a notebook's kernel."""
    results: list[T] = []

    async def kept() -> None:  # a task that returned it would be shown with it, whenever its loop ends
        results.append(await work)

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(kept())
    else:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, kept()).result()
    return results[0]


async def _ask_all(
    pairs: Sequence[tuple[Server, Question]], manner: Manner, asked_at: datetime
) -> list[Answer]:
    places = asyncio.Semaphore(manner.at_once)
    wires: dict[tuple[str, str], bytes] = {}
    lines: dict[tuple[str, int], _Line] = {}
    for server, question in pairs:
        if (question.name, question.type) not in wires:
            wires[question.name, question.type] = _query(question, manner).to_wire()
        if (server.host, server.port) not in lines:
            lines[server.host, server.port] = await _Line.open(server, manner)

    async def one(server: Server, question: Question) -> Answer:
        line = lines[server.host, server.port]
        async with line.places, places:
            wire = wires[question.name, question.type]
            return await _Asking(server, question, manner, asked_at, line).run(wire)

    try:
        return list(await asyncio.gather(*(one(*pair) for pair in pairs)))
    finally:
        for line in lines.values():
            line.close()
        await asyncio.sleep(0)  # the transports close in the loop's next turn


def _query(question: Question, manner: Manner) -> Message:
    query = dns.message.make_query(question.name, question.type, use_edns=0, payload=OUR_UDP_BYTES, id=0)
    query.flags = dns.flags.AD | (dns.flags.RD if manner.recursive else 0)
    query.flags |= dns.flags.CD if manner.unchecked else 0
    if manner.dnssec:
        query.want_dnssec()
    return query


class _Line(asyncio.DatagramProtocol):
    """A socket to one server with its open queries by ID."""

    def __init__(self, manner: Manner) -> None:
        self.places = asyncio.Semaphore(manner.per_server)
        self.trouble = ""
        self._transport: asyncio.DatagramTransport | None = None
        self._open: dict[int, _Waiting] = {}

    @classmethod
    async def open(cls, server: Server, manner: Manner) -> _Line:
        """Return a line; one that cannot be opened says why in `trouble`."""
        line = cls(manner)
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: line, remote_addr=(server.host, server.port)
            )
        except OSError as error:
            line.trouble = _words(error)
        return line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def send(self, wire: bytes) -> _Waiting:
        """Send a query under an ID of its own and return what waits for its reply."""
        assert self._transport is not None  # noqa: S101  # for the type checker: the caller looked at `trouble`
        number = secrets.randbelow(IDS)
        while number in self._open:
            number = secrets.randbelow(IDS)
        waiting = _Waiting(number, wire[HEADER_BYTES:], asyncio.get_running_loop().create_future())
        self._open[number] = waiting
        self._transport.sendto(struct.pack("!H", number) + wire[2:])
        return waiting

    def forget(self, waiting: _Waiting) -> None:
        self._open.pop(waiting.number, None)

    def datagram_received(self, data: bytes, _addr: Any) -> None:
        waiting = self._open.get(int.from_bytes(data[:2], "big")) if len(data) > 1 else None
        if waiting is None or waiting.reply.done():
            return
        told = waiting.read(data)
        if told is not None:
            waiting.reply.set_result(told)

    def error_received(self, exc: Exception) -> None:
        for waiting in self._open.values():
            if not waiting.reply.done():
                waiting.reply.set_exception(exc)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@dataclass
class _Waiting:
    """A query under way; `malformed` says what was wrong with something that came for it."""

    number: int
    rest: bytes  # of the query after its header: the question, then its options
    reply: asyncio.Future[Received]
    malformed: str = field(default="")

    def give_up(self) -> None:
        """Let its time be over; less than an `asyncio.timeout` for each of many thousand queries."""
        if not self.reply.done():
            self.reply.set_exception(TimeoutError())

    def read(self, data: bytes) -> Received | None:
        """Return the reply in `data`, None when it is none of this query."""
        try:
            told = received(data[ID_BYTES:])
        except (dns.exception.DNSException, ValueError) as error:
            self.malformed = f"what came is no DNS message: {error}"
            return None
        if told.asked is not None and self.rest.startswith(told.asked):
            return told
        self.malformed = "what came answers another question"
        return None


@dataclass
class _Asking:
    """One question on its way to one server."""

    server: Server
    question: Question
    manner: Manner
    asked_at: datetime
    line: _Line
    attempts: int = 0

    async def run(self, wire: bytes) -> Answer:
        if self.line.trouble:
            return self._failed("unreachable", self.line.trouble)
        malformed = ""
        for _ in range(self.manner.attempts):
            self.attempts += 1
            loop = asyncio.get_running_loop()
            began, waiting = loop.time(), self.line.send(wire)
            patience = loop.call_later(self.manner.timeout_s, waiting.give_up)
            try:
                told = await waiting.reply
            except TimeoutError:
                malformed = waiting.malformed or malformed
                continue
            except OSError as error:
                return self._failed("unreachable", _words(error))
            finally:
                patience.cancel()
                self.line.forget(waiting)
            if told.message.flags & dns.flags.TC:
                return await self._over_tcp(wire)
            return self._answered(told, began)
        if malformed:
            return self._failed("malformed", malformed)
        return self._failed("timeout", f"no reply within {self.manner.timeout_s:g} s")

    async def _over_tcp(self, wire: bytes) -> Answer:
        query = dns.message.from_wire(wire)
        query.id = secrets.randbelow(IDS)
        began = asyncio.get_running_loop().time()
        outcome: Outcome
        try:
            message = await dns.asyncquery.tcp(
                query, self.server.host, timeout=self.manner.timeout_s, port=self.server.port
            )
        except dns.exception.Timeout:
            outcome, why = "timeout", f"no reply within {self.manner.timeout_s:g} s"
        except (OSError, EOFError) as error:
            outcome, why = "unreachable", _words(error)
        except (dns.exception.DNSException, ValueError) as error:
            outcome, why = "malformed", str(error)
        else:
            return self._answered(Received(message), began, over_tcp=True)
        return self._failed(outcome, f"too long for UDP, and over TCP: {why}", over_tcp=True)

    def _answered(self, told: Received, began: float, *, over_tcp: bool = False) -> Answer:
        return answer_of(
            told,
            self.server,
            self.question,
            asked_at=self.asked_at,
            latency_ms=(asyncio.get_running_loop().time() - began) * 1000,
            attempts=self.attempts,
            over_tcp=over_tcp,
        )

    def _failed(self, outcome: Outcome, trouble: str, *, over_tcp: bool = False) -> Answer:
        return Answer(
            server=self.server,
            question=self.question,
            outcome=outcome,
            asked_at=self.asked_at,
            trouble=trouble,
            attempts=max(1, self.attempts),
            over_tcp=over_tcp,
        )


def _words(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return strerror or str(error) or type(error).__name__
