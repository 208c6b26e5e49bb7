"""The rehearsal world: how soon it is up, how many calls it answers, how fast its days go by; beside limits.

Up: from the start of the process to the first answered call, without and with PostgreSQL. The limits, in the
same rounds: a bare aiohttp server of the same Python, and that plus `initdb`, a server's start and the first
connection. The goals: under 1 s and under 3 s.

Calls: one core for the world, another for a client that keeps 16 connections busy: a read (who is on call),
and a message that is posted, kept on disk before its reply leaves. The limit: a bare aiohttp server that
answers each call with as many bytes. The goal: 5,000 calls/s.

A day: 24 h in 48 steps with work that is due in them: a nameserver switch that resolvers' caches follow, a
zone that becomes active and gets its certificate, a build and a rolling release in stages, an incident an
hour; at each step every one of the 24 resolvers is asked for the site, through its cache. The limit: as many
calls to the bare server. The goal: under 1 s; and when the clock is moved in one call.

CPU seconds are what the servers and their children used: what it takes when nobody else is on the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from runbook.plan import load_environment
from runbook.postgres.cluster import create_cluster
from runbook.postgres.programs import find_programs
from runbook.sandbox.world.launch import WorldProcess
from runbook.sandbox.world.remote import RemoteWorld
from runbook.scratch import open_scratch

HOST = "127.0.0.1"
UP_S, UP_WITH_POSTGRES_S, DAY_S, CALLS_PER_S = 1.0, 3.0, 1.0, 5_000
CONNECTIONS = 16
STEPS = 48  # of half an hour
HOUR = timedelta(hours=1)
SITE = "www.omnihub.dev"
STAGES = [{"targetPercentage": share, "duration": 60} for share in (5, 25, 50)] + [{"targetPercentage": 100}]


@dataclass
class Times:
    """What one contender took, round by round."""

    seconds: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def line(self, name: str) -> str:
        span = f"{self.median:>9.3f}{min(self.seconds):>9.3f}{max(self.seconds):>9.3f}"
        return f"{name:<44}{span}{statistics.median(self.cpu_s):>9.3f}"

    def goal(self, name: str, most_s: float) -> str:
        """Say what became of a goal in seconds; on a busy machine its CPU seconds tell more."""
        cpu_s = statistics.median(self.cpu_s)
        return f"{name} under {most_s:g} s: {verdict(self.median < most_s)} ({cpu_s:.2f} CPU s)"


HEAD = f"{'':<44}{'median s':>9}{'min':>9}{'max':>9}{'CPU s':>9}"


def verdict(holds: bool) -> str:
    return "holds" if holds else "missed"


# A bare server: what the same Python and aiohttp can do at all


async def serve_bare(size: int) -> None:
    """Answer every call with `size` bytes; say where, and end when the parent's end of the pipe is closed."""
    body = json.dumps({"ok": True, "filler": "x" * max(0, size - 24)}).encode()

    async def handle(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(body=body, content_type="application/json")

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, HOST, 0)
    await site.start()
    server: Any = site._server  # noqa: SLF001  # aiohttp has no other way to tell the port
    sys.stdout.write(f"http://{HOST}:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def bare(*, size: int = 100, core: int | None = None) -> Iterator[tuple[str, int]]:
    """Run the bare server; yield its address and the process's number."""
    command = [sys.executable, __file__, "--serve", str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        _pin(child.pid, core)
        try:
            yield child.stdout.readline().strip() if child.stdout else "", child.pid
        finally:
            child.communicate()  # it ends when its input does


def _pin(pid: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(pid, {core})


# Up


def check_up(rounds: int) -> list[str]:
    """Return how long each takes to its first answer, and what became of the goals."""
    contenders: dict[str, Callable[[], float]] = {
        "bare aiohttp": _bare_up,
        "world": lambda: _world_up(postgres=False),
        "bare aiohttp + initdb + server": lambda: _bare_up() + _postgres_up(),
        "world with PostgreSQL": lambda: _world_up(postgres=True),
    }
    times = {name: Times() for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            before = _children_s()
            times[name].seconds.append(run())
            times[name].cpu_s.append(_children_s() - before)
    goals = {"world": UP_S, "world with PostgreSQL": UP_WITH_POSTGRES_S}
    return [
        HEAD,
        *(one.line(name) for name, one in times.items()),
        *(times[name].goal(name + " up", most_s) for name, most_s in goals.items()),
    ]


def _children_s() -> float:
    """Return the CPU seconds of all processes that we have started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bare_up() -> float:
    began = time.monotonic()
    with bare() as (url, _):
        _get(url)
        return time.monotonic() - began


def _world_up(*, postgres: bool) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with WorldProcess(Path(folder) / "world", postgres=postgres) as process:
            process.remote.now()
            return time.monotonic() - began


def _postgres_up() -> float:
    with open_scratch() as scratch:
        programs = find_programs(scratch=scratch.folder)
        began = time.monotonic()
        cluster = create_cluster(programs, scratch.folder / "bare", tcp=True)
        cluster.start(programs)
        with closing(cluster.connect()):
            took = time.monotonic() - began
        cluster.stop(mode="immediate")
    return took


def _get(url: str) -> None:
    with urllib.request.urlopen(url) as reply:  # noqa: S310  # our own server on loopback
        reply.read()


# Calls


def request(url: str, method: str, path: str, *, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"Host: {urlsplit(url).netloc}"]
    lines += [f"{name}: {value}" for name, value in {**headers, "Content-Length": str(len(body))}.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def blast(url: str, data: bytes, seconds: float) -> tuple[int, float]:
    """Keep some connections busy with one call for so long; return how many were answered, and in what time.

    Every reply must be of one length and a 200: the first one tells the length.
    """
    where = (HOST, urlsplit(url).port or 0)
    with closing(selectors.DefaultSelector()) as selector:
        came, began = 0, time.monotonic()
        left: dict[socket.socket, int] = {}
        sockets = [socket.create_connection(where) for _ in range(CONNECTIONS)]
        try:
            for one in sockets:
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(one, selectors.EVENT_READ)
                one.sendall(data)
                left[one] = 0
            ends = began + seconds
            while time.monotonic() < ends:
                for key, _ in selector.select(1.0):
                    one: Any = key.fileobj  # type: ignore[no-redef]
                    came += _take(one, left, data)
        finally:
            for one in sockets:
                one.close()
        return came, time.monotonic() - began


def _take(one: socket.socket, left: dict[socket.socket, int], data: bytes) -> int:
    """Take what has come; when a reply is whole, send the next call and return 1."""
    chunk = one.recv(65_536)
    if not left[one]:
        head, _, rest = chunk.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"a call was not answered well: {chunk[:200]!r}")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        left[one] = length - len(rest)
    else:
        left[one] -= len(chunk)
    if left[one] > 0:
        return 0
    left[one] = 0
    one.sendall(data)
    return 1


@dataclass
class Rates:
    """Calls/s of one contender, round by round, in wall and in the server's CPU time."""

    per_s: list[float] = field(default_factory=list)
    per_cpu_s: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        span = f"{min(self.per_s):>9,.0f}{max(self.per_s):>9,.0f}"
        cpu = f"{statistics.median(self.per_cpu_s):>11,.0f}"
        return f"{name:<44}{statistics.median(self.per_s):>9,.0f}{span}{cpu}"


def check_calls(seconds: float, rounds: int) -> list[str]:
    """Return calls/s of each, and what became of the goal."""
    cores = sorted(os.sched_getaffinity(0))
    core = cores[0] if len(cores) > 1 else None
    with tempfile.TemporaryDirectory() as folder, WorldProcess(Path(folder) / "world") as process:
        read, post = _read_of(process.remote), _post_of(process.remote)
        size = len(_answer(process.url, read).partition(b"\r\n\r\n")[2])
        with bare(size=size, core=core) as (bare_url, bare_pid):
            _pin(process.pid, core)
            os.sched_setaffinity(0, set(cores[1:]) or set(cores))
            contenders = {
                f"bare aiohttp, replies of {size:,} bytes": (bare_url, bare_pid, read),
                "world, who is on call": (process.url, process.pid, read),
                "world, a message posted": (process.url, process.pid, post),
            }
            rates = {name: Rates() for name in contenders}
            for _ in range(rounds):
                for name, (url, pid, data) in contenders.items():
                    before = _cpu_s(pid)
                    came, took = blast(url, data, seconds)
                    rates[name].per_s.append(came / took)
                    rates[name].per_cpu_s.append(came / (_cpu_s(pid) - before))
            os.sched_setaffinity(0, cores)
        _see_well(process.remote)
    return _calls_table(rates)


def _calls_table(rates: dict[str, Rates]) -> list[str]:
    lines = [f"{'':<44}{'calls/s':>9}{'min':>9}{'max':>9}{'per CPU s':>11}"]
    lines += [one.line(name) for name, one in rates.items()]
    limit, *ours = rates.values()
    worst = min(statistics.median(one.per_s) for one in ours)
    per_cpu_s = min(statistics.median(one.per_cpu_s) for one in ours)
    share = per_cpu_s / statistics.median(limit.per_cpu_s)
    holds = verdict(worst >= CALLS_PER_S)
    lines.append(f"{CALLS_PER_S:,} calls/s on one core: {holds} ({per_cpu_s:,.0f} per CPU second)")
    return [*lines, f"the slower of both is {share:.0%} of the bare server, per CPU second"]


def _see_well(world: RemoteWorld) -> None:
    """End the benchmark when the world did something wrong: its figures would mean nothing."""
    health = world.health()
    if health != {"bugs": [], "unsaved": []}:
        raise SystemExit(f"the world is not well after it: {health}")


def _read_of(world: RemoteWorld) -> bytes:
    token = world.secrets()["pagerduty"]["token"]
    return request(world.url, "GET", "/pagerduty/oncalls", headers={"Authorization": f"Token token={token}"})


def _post_of(world: RemoteWorld) -> bytes:
    token = world.secrets()["slack"]["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps({"channel": "C0DEPLOYS0", "text": "Canary at 25 %: 0.2 % errors"}).encode()
    return request(world.url, "POST", "/slack/api/chat.postMessage", headers=headers, body=body)


def _answer(url: str, data: bytes) -> bytes:
    with socket.create_connection((HOST, urlsplit(url).port or 0)) as one:
        one.sendall(data)
        return one.recv(1 << 20)


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# A day


class Script:
    """Asks a world's vendors as a script would, with nothing but the standard library."""

    def __init__(self, world: RemoteWorld) -> None:
        self.world = world
        self._secrets = world.secrets()
        self._ids = {
            n: v.ids for n, v in load_environment(Path(__file__).parents[1], "sandbox").vendors.items()
        }

    def ask(self, vendor: str, method: str, path: str, body: Any = None) -> Any:
        """Return what a vendor answers, parsed; SystemExit when it is a refusal."""
        headers = {"Content-Type": "application/json"}
        if "token" in self._secrets.get(vendor, {}):
            headers["Authorization"] = f"Bearer {self._secrets[vendor]['token']}"
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(self.world.url + path, data, headers, method=method)  # noqa: S310
        try:
            with urllib.request.urlopen(asked) as reply:  # noqa: S310
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{vendor} {method} {path}: {error.code} {error.read()[:300]!r}") from error

    def arrange(self) -> str:
        """Begin a day's work; return the zone's id at Cloudflare."""
        project = f"/vercel/v1/projects/{self._ids['vercel']['project']}/rolling-release"
        team = f"?teamId={self._ids['vercel']['team']}"
        zone = self.ask(
            "cloudflare",
            "POST",
            "/cloudflare/client/v4/zones",
            {"name": "omnihub.dev", "account": {"id": self._ids["cloudflare"]["account"]}, "type": "full"},
        )["result"]["id"]
        for name in (SITE, "omnihub.dev"):
            record = {"type": "A", "name": name, "content": "203.0.113.80", "ttl": 1, "proxied": True}
            self.ask("cloudflare", "POST", f"/cloudflare/client/v4/zones/{zone}/dns_records", record)
        self.world.play("person-switches-nameservers")
        config = {"enabled": True, "advancementType": "automatic", "stages": STAGES}
        self.ask("vercel", "PATCH", f"{project}/config{team}", config)
        build = {"name": "omnihub-web", "target": "production", "deploymentId": self._production()}
        self.ask("vercel", "POST", f"/vercel/v13/deployments{team}", build)
        return str(zone)

    def incident(self, number: int) -> None:
        """Have somebody be called."""
        payload = {"summary": f"Alert {number}", "source": "bench", "severity": "critical"}
        event = {"event_action": "trigger", "dedup_key": f"bench-{number}", "payload": payload}
        key = self._secrets["pagerduty"]["routing_key"]
        self.ask("", "POST", "/pagerduty-events/v2/enqueue", {**event, "routing_key": key})

    def visit(self) -> dict[str, tuple[str, ...]]:
        """Ask every resolver for the site; return the addresses each gives."""
        said = self.ask("", "GET", f"/dns/answers?name={SITE}&type=A")
        return {
            name: tuple(sorted(value for _, _, kind, value in one["records"] if kind == "A"))
            for name, one in said.items()
        }

    def done(self, zone: str) -> list[str]:
        """Return what of the day's work is not done."""
        base = f"/cloudflare/client/v4/zones/{zone}"
        status = self.ask("cloudflare", "GET", base)["result"]["status"]
        packs = self.ask("cloudflare", "GET", f"{base}/ssl/certificate_packs?status=all")["result"]
        ids = self._ids["vercel"]
        path = f"/vercel/v1/projects/{ids['project']}/rolling-release?teamId={ids['team']}"
        release = self.ask("vercel", "GET", path)["rollingRelease"]
        found = {
            "zone": status == "active",
            "certificate": [pack["status"] for pack in packs] == ["active"],
            "release": release["state"] == "COMPLETE",
        }
        return [name for name, well in found.items() if not well]

    def _production(self) -> str:
        ids = self._ids["vercel"]
        path = f"/vercel/v6/deployments?teamId={ids['team']}&target=production&state=READY&limit=1"
        return str(self.ask("vercel", "GET", path)["deployments"][0]["uid"])


@dataclass(frozen=True)
class Day:
    """A way to let a day go by, and the server whose CPU time it takes."""

    run: Callable[[], None]
    pid: int


def check_day(rounds: int) -> list[str]:
    """Return how long a day takes, step by step and at once, and what became of the goals."""
    calls = 2 * STEPS + 24
    limit, steps, once = f"bare aiohttp, {calls} calls", f"a day in {STEPS} steps", "a day at once"
    times = {name: Times() for name in (limit, steps, once)}
    seen: list[dict[str, tuple[str, ...]]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        WorldProcess(Path(folder) / "world") as process,
        bare() as (url, pid),
    ):
        for _ in range(rounds):
            seen.clear()
            _time(times[limit], Day(lambda: _calls(url, calls), pid))
            for name, go_by in ((steps, lambda one: _day_in_steps(one, seen)), (once, _day_at_once)):
                script, zone = _new_day(process)
                _time(times[name], Day(lambda go_by=go_by, one=script: go_by(one), process.pid))  # type: ignore[misc]
                _see_done(script, zone)
            if any(not one for visit in seen for one in visit.values()):
                raise SystemExit("a resolver had no answer for the site: somebody was cut off")
        _see_well(process.remote)
    switched = sum(one != seen[0][name] for name, one in seen[-1].items())
    return [
        HEAD,
        *(one.line(name) for name, one in times.items()),
        f"after the day {switched} of {len(seen[0])} resolvers give the new side's answer, by their caches",
        *(times[name].goal(name, DAY_S) for name in (steps, once)),
    ]


def _time(times: Times, day: Day) -> None:
    before, began = _cpu_s(day.pid), time.monotonic()
    day.run()
    times.seconds.append(time.monotonic() - began)
    times.cpu_s.append(_cpu_s(day.pid) - before)


def _day_at_once(script: Script) -> None:
    script.world.advance(24 * HOUR)


def _calls(url: str, count: int) -> None:
    for _ in range(count):
        _get(url)


def _new_day(process: WorldProcess) -> tuple[Script, str]:
    process.remote.reset()
    script = Script(process.remote)
    return script, script.arrange()


def _day_in_steps(script: Script, seen: list[dict[str, tuple[str, ...]]]) -> None:
    for step in range(STEPS):
        if step % (STEPS // 24) == 0:
            script.incident(step)
        seen.append(script.visit())
        script.world.advance(24 * HOUR / STEPS)


def _see_done(script: Script, zone: str) -> None:
    if undone := script.done(zone):
        raise SystemExit(f"the day is over, and this is not done: {', '.join(undone)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options, _ = parser.parse_known_args()
    if options.serve is not None:
        asyncio.run(serve_bare(options.serve))
        return
    load = os.getloadavg()[0]
    print(f"up, {options.rounds} rounds, {os.cpu_count()} cores, load {load:.1f} before it", flush=True)
    print("\n".join(check_up(options.rounds)), flush=True)
    print("\none server process on one core, the client on another", flush=True)
    print("\n".join(check_calls(options.seconds, options.rounds)), flush=True)
    print("\na day with work due in it", flush=True)
    print("\n".join(check_day(options.rounds)), flush=True)


if __name__ == "__main__":
    main()
