"""A zone checked at many resolvers, beside a loop of `dig` and dnspython's resolver; and the server alone.

40 records at 20 resolvers, each reply held back 20 ms by the sandbox's servers, as a network would. All ask
the same servers in one run, and all must come to the same answers. The goals: at least 50 x faster than the
loop of `dig` (where it is installed), no slower than dnspython's resolver at its best number of queries at
once.

Then the sandbox's nameserver and resolver on one core, a client on another, beside a bare asyncio server that
sends each packet back: 40 names in turn, and names that were never asked before. The goal for the former:
15,000 answers/s. Per CPU second is what a core gives when nobody else is on it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

import dns.asyncresolver
import dns.message

from runbook.clock import VirtualClock
from runbook.providers.dns import Question, Server, ask
from runbook.sandbox.dns.internet import Internet
from runbook.sandbox.dns.listening import HOST, Listener
from runbook.sandbox.dns.zone import Delegation, RecordSet

ZONE = "omnihub.dev."
NAMES = [f"host-{number:02d}.{ZONE}" for number in range(40)]
RESOLVERS = 20
DELAY_S = 0.020
WINDOW = 64  # packets on their way to a server that is measured
FASTER = 50
ANSWERS_PER_S = 15_000
FRESH = 100_000  # names of which none is asked twice
AT_ONCE = (50, 200, 800)  # dnspython's resolver is given its best of these
Answers = list[tuple[str, ...]]


# The servers, in a process of their own


class Echo(asyncio.DatagramProtocol):
    """Sends each packet back: what a Python server on asyncio can do at all."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


def world() -> Internet:
    """Return a DNS with the zone, known to all resolvers."""
    clock = VirtualClock(datetime(2026, 11, 30, tzinfo=UTC))
    internet = Internet(clock.now, resolvers=RESOLVERS)
    internet.create()
    zone = internet.host("vercel", ZONE)
    for number, name in enumerate(NAMES):
        zone.put(RecordSet(name, "A", 300, (f"203.0.113.{number}",)))
    internet.delegate(Delegation(ZONE, internet.assigned("vercel", ZONE)))
    internet.warm(ZONE)
    return internet


async def serve(delay_s: float) -> None:
    """Listen, say where, and end when the parent's end of the pipe is closed."""
    internet = world()
    servers = [*internet.resolvers.values(), internet.nameservers["ns1.vercel-dns.com."]]
    for one in servers:
        one.delay_s = delay_s
        await Listener(one).start()
    loop = asyncio.get_running_loop()
    echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=(HOST, 0))
    ports = {one.name: one.port for one in servers} | {"echo": echo.get_extra_info("sockname")[1]}
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)


@contextmanager
def serving(*, delay_s: float, core: int | None = None) -> Iterator[tuple[dict[str, int], int]]:
    """Run the servers; yield their ports and the process's number."""
    command = [sys.executable, __file__, "--serve", str(delay_s)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        if core is not None:
            os.sched_setaffinity(child.pid, {core})
        try:
            yield json.loads(child.stdout.readline() if child.stdout else ""), child.pid
        finally:
            child.communicate()  # it ends when its input does


# A zone at many resolvers


def by_dig(ports: list[int]) -> Answers:
    """Return the answers of `dig`, started once for each question."""
    found = []
    for port in ports:
        for name in NAMES:
            command = ["dig", f"@{HOST}", "-p", str(port), "+short", name, "A"]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found.append(tuple(said.split()))
    return found


def by_dnspython(ports: list[int], at_once: int) -> Answers:
    """Return the answers of dnspython's own async resolver, so many at once."""

    async def scene() -> Answers:
        places = asyncio.Semaphore(at_once)

        async def one(resolver: dns.asyncresolver.Resolver, name: str) -> tuple[str, ...]:
            async with places:
                answer = await resolver.resolve(name, "A")
            return tuple(sorted(rdata.to_text() for rdata in answer))

        work = []
        for port in ports:
            resolver = dns.asyncresolver.Resolver(configure=False)
            resolver.nameservers, resolver.port, resolver.lifetime = [HOST], port, 30.0
            work += [one(resolver, name) for name in NAMES]
        return list(await asyncio.gather(*work))

    return asyncio.run(scene())


def by_us(ports: list[int]) -> Answers:
    """Return the answers of providers/dns."""
    servers = [Server(name=str(port), host=HOST, port=port) for port in ports]
    questions = [Question.of(name, "A") for name in NAMES]
    pairs = [(server, question) for server in servers for question in questions]
    return [one.values for one in ask(pairs)]


def compare(answers: Answers, right: Answers) -> None:
    """End the benchmark when a contender came to other answers: its time would mean nothing."""
    if answers != right:
        wrong = sum(one != other for one, other in zip(answers, right, strict=True))
        raise SystemExit(f"{wrong} of {len(right)} answers are not as the zone has them")


@dataclass
class Times:
    """What one contender took, round by round."""

    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def line(self, name: str, total: int) -> str:
        span = f"{min(self.seconds):>8.3f}{max(self.seconds):>8.3f}"
        return f"{name:<30}{self.median:>9.3f}{span}{total / self.median:>12,.0f}"


def check_zone(rounds: int) -> list[str]:
    """Let all contenders take turns, `dig` once; return the table and what became of the goals."""
    with serving(delay_s=DELAY_S) as (found, _):
        ports = [port for name, port in found.items() if name.startswith("resolver-")]
        contenders: dict[str, Callable[[], Answers]] = {"providers/dns": lambda: by_us(ports)}
        for at_once in AT_ONCE:
            contenders[f"dnspython, {at_once} at once"] = lambda at_once=at_once: by_dnspython(ports, at_once)  # type: ignore[misc]
        times = {name: Times() for name in contenders}
        right = by_us(ports)  # and the resolvers know all of it now
        compare(right, [(f"203.0.113.{number}",) for number in range(len(NAMES))] * len(ports))
        for _ in range(rounds):
            for name, run in contenders.items():
                times[name].seconds.append(_timed(run, right))
        if shutil.which("dig"):
            times["dig, one after the other"] = Times([_timed(lambda: by_dig(ports), right)])
    return _zone_table(times, len(NAMES) * len(ports))


def _timed(run: Callable[[], Answers], right: Answers) -> float:
    began = time.monotonic()
    answers = run()
    took = time.monotonic() - began
    compare(answers, right)
    return took


def _zone_table(times: dict[str, Times], total: int) -> list[str]:
    lines = [f"{'':<30}{'median s':>9}{'min':>8}{'max':>8}{'answers/s':>12}"]
    lines += [one.line(name, total) for name, one in times.items()]
    mine = times["providers/dns"].median
    peer = min(one.median for name, one in times.items() if name.startswith("dnspython"))
    verdict = "holds" if mine <= peer else "missed"
    lines.append(f"no slower than dnspython's resolver: {verdict} ({peer / mine:.1f} times)")
    dig = times.get("dig, one after the other")
    if dig is None:
        return [*lines, f"at least {FASTER} x faster than dig: not measured, dig is not installed"]
    verdict = "holds" if dig.median >= FASTER * mine else "missed"
    return [
        *lines,
        f"at least {FASTER} x faster than a loop of dig: {verdict} ({dig.median / mine:.0f} times)",
    ]


# The server on one core


def queries(names: list[str]) -> list[bytes]:
    return [dns.message.make_query(name, "A", id=at % 65_536).to_wire() for at, name in enumerate(names)]


def blast(port: int, wires: Iterator[bytes], seconds: float) -> int:
    """Keep a window of queries on their way to a port for so long; return how many answers came."""
    came = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((HOST, port))
        client.settimeout(1.0)
        for wire in islice(wires, WINDOW):
            client.send(wire)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for wire in islice(wires, WINDOW):
                client.recv(4096)
                client.send(wire)
                came += 1
    return came


@dataclass
class Rates:
    """Answers/s of one server, round by round, and the CPU seconds it took for how many."""

    per_s: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    answers: int = 0

    def line(self, name: str) -> str:
        span = f"{min(self.per_s):>10,.0f}{max(self.per_s):>10,.0f}"
        return f"{name:<30}{statistics.median(self.per_s):>12,.0f}{span}{self.answers / self.cpu_s:>16,.0f}"


def check_server(seconds: float, rounds: int) -> list[str]:
    """Return answers/s of each server, in wall and in CPU time, and what became of the goal."""
    cores = sorted(os.sched_getaffinity(0))
    known = queries(NAMES)
    fresh = iter(queries([f"new-{number}.{ZONE}" for number in range(FRESH)]))
    with serving(delay_s=0.0, core=cores[0] if len(cores) > 1 else None) as (ports, pid):
        os.sched_setaffinity(0, set(cores[1:]) or set(cores))
        contenders = {
            "bare asyncio echo": (ports["echo"], cycle(known)),
            "nameserver": (ports["ns1.vercel-dns.com."], cycle(known)),
            "resolver": (ports["resolver-01"], cycle(known)),
            "nameserver, names never asked": (ports["ns1.vercel-dns.com."], fresh),
        }
        rates = {name: Rates() for name in contenders}
        for _ in range(rounds):
            for name, (port, wires) in contenders.items():
                rate, before, began = rates[name], _cpu_s(pid), time.monotonic()
                came = blast(port, wires, seconds)
                rate.per_s.append(came / (time.monotonic() - began))
                rate.cpu_s += _cpu_s(pid) - before
                rate.answers += came
        os.sched_setaffinity(0, cores)
    lines = [f"{'':<30}{'answers/s':>12}{'min':>10}{'max':>10}{'per CPU second':>16}"]
    lines += [rate.line(name) for name, rate in rates.items()]
    worst = min(statistics.median(rates[name].per_s) for name in ("nameserver", "resolver"))
    verdict = "holds" if worst >= ANSWERS_PER_S else "missed"
    return [*lines, f"{ANSWERS_PER_S:,} answers/s on one core: {verdict}"]


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options, _ = parser.parse_known_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve))
        return
    print(f"{len(NAMES)} records at {RESOLVERS} resolvers, {DELAY_S * 1000:.0f} ms away", flush=True)
    print("\n".join(check_zone(options.rounds)), flush=True)
    print(f"\none server process, {os.cpu_count()} cores", flush=True)
    print("\n".join(check_server(options.seconds, options.rounds)))


if __name__ == "__main__":
    main()
