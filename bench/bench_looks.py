"""Looks at a canary through Datadog's API: what one costs, and a day of them, one a minute; beside a limit.

A look asks for the newest minutes, every count of both builds, all visitors and 100 buckets of newcomers, by
our client, over HTTP, from a world in a process of its own; the reply is parsed, checked, made into values.
The limit: `requests`, in one session, gets as many bytes from a bare server of the same Python. The goals: a
look under 10 ms, and a day's rollout (5, 25, 50 %, then everybody), looked at in each of its 1,440 minutes,
under 30 s, the world's time and visitors included.

CPU time is of client and world together, in turn: what it takes when nobody else is on the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import requests
from bench_world import bare

from runbook.plan import load_environment
from runbook.providers import datadog, vercel
from runbook.sandbox.vendors.vercel.deployments import CURRENT, STAGED
from runbook.sandbox.world.launch import WorldProcess
from runbook.sandbox.world.remote import RemoteWorld, SandboxClock
from runbook.step import Rehearsal, Step

ROOT = Path(__file__).parents[1]
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SETTLED = timedelta(seconds=datadog.SETTLED_S)
STAGES = ((5, 4), (25, 4), (50, 8), (100, 8))  # percent, hours
LOOK_MS, DAY_S, WARM = 10.0, 30.0, 5


def step_on(world: RemoteWorld) -> Step:
    """Return a step whose clock is the world's."""
    environment = load_environment(ROOT, "sandbox")
    reach = Rehearsal(url=world.url, secrets=world.secrets(), addresses=world.addresses())
    return Step(clock=SandboxClock(world), environment=lambda: environment, rehearsal=lambda: reach)


@contextmanager
def released(percent: int) -> Iterator[tuple[WorldProcess, Step]]:
    """Run a world in which the staged build is being released to so many of 100 visitors."""
    with tempfile.TemporaryDirectory() as folder, WorldProcess(Path(folder) / "world") as process:
        step = step_on(process.remote)
        percents = [one for one, _ in STAGES if one >= percent]
        vercel.apply_stages(step, percents=percents)
        vercel.apply_release_start(step, canary=STAGED)
        yield process, step


def look(step: Step, since: datetime, until: datetime) -> datadog.Minutes:
    """Look at what is new, as the canary's watch does."""
    found = datadog.read_minutes(step, since=since, until=until, deployments=(CURRENT, STAGED))
    if any(minute.arm(STAGED) is None for minute in found.minutes) or found.gaps:
        raise SystemExit(f"a look did not see both builds: {found!r}")
    return found


@dataclass
class Times:
    """What each of many took."""

    name: str
    ms: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.ms)

    def take(self, run: Callable[[], object]) -> None:
        began = time.perf_counter()
        run()
        self.ms.append((time.perf_counter() - began) * 1000)

    def line(self) -> str:
        p95 = statistics.quantiles(self.ms, n=20)[-1]
        return f"{self.name:<44}{self.median:>9.2f}{p95:>9.2f}{min(self.ms):>9.2f}"


def check_look(rounds: int, minutes: int) -> list[str]:
    """Return what a look costs at 50 %, when all buckets have visitors, and what became of the goal."""
    limit, looks = Times("requests, as many bytes, bare server"), Times(f"a look, {minutes} minutes")
    cpu_ms = 0.0
    with released(50) as (process, step):
        process.remote.advance(HOUR)
        size = _bytes_of_a_look(process, step, minutes)
        with bare(size=size) as (url, _), requests.Session() as session:
            for number in range(rounds + WARM):
                until = process.remote.advance(MINUTE) - SETTLED
                since = until - minutes * MINUTE
                one, other = (limit, looks) if number >= WARM else (Times(""), Times(""))
                one.take(lambda: session.get(url, timeout=5).content)
                before = _cpu_s(process.pid)
                other.take(lambda since=since, until=until: look(step, since, until))  # type: ignore[misc]
                cpu_ms += (_cpu_s(process.pid) - before) * 1000 * (number >= WARM)
    return [
        f"{'a look of ' + format(size / 1000, '.0f') + ' kB':<44}{'median ms':>9}{'p95':>9}{'min':>9}",
        limit.line(),
        looks.line(),
        f"a look under {LOOK_MS:g} ms: {'holds' if looks.median < LOOK_MS else 'missed'} "
        f"({cpu_ms / rounds:.1f} CPU ms)",
    ]


def _bytes_of_a_look(process: WorldProcess, step: Step, minutes: int) -> int:
    """Return how long the reply to a look is."""
    until = process.remote.now() - SETTLED
    body: list[int] = []
    sent = requests.Session.request

    def heard(self: requests.Session, *args: object, **more: object) -> requests.Response:
        reply = sent(self, *args, **more)  # type: ignore[arg-type]
        body.append(int(reply.headers["Content-Length"]))
        return reply

    requests.Session.request = heard  # type: ignore[method-assign]
    try:
        look(step, until - minutes * MINUTE, until)
    finally:
        requests.Session.request = sent  # type: ignore[method-assign]
    return max(body)


def check_day() -> list[str]:
    """Return how long a day of looks takes, and what became of the goal."""
    with released(5) as (process, step):
        before, began = _cpu_s(process.pid), time.monotonic()
        seen = _day(process.remote, step)
        took, cpu_s = time.monotonic() - began, _cpu_s(process.pid) - before
    if seen != 24 * 60:
        raise SystemExit(f"of a day's 1,440 minutes {seen} were seen")
    return [
        f"a day of {seen:,} looks: {took:.1f} s ({cpu_s:.1f} CPU s), {took / seen * 1000:.1f} ms a minute",
        f"a day under {DAY_S:g} s: {'holds' if took < DAY_S else 'missed'}",
    ]


def _day(world: RemoteWorld, step: Step) -> int:
    """Let a rollout of four phases go by, a look in each minute; return how many minutes were seen."""
    seen = 0
    for stage, (percent, hours) in enumerate(STAGES):
        if percent == STAGES[-1][0]:
            vercel.apply_release_complete(step, canary=STAGED)
        elif stage:
            vercel.apply_stage(step, canary=STAGED, stage=stage)
        for _ in range(hours * 60):
            now = world.advance(MINUTE)
            found = datadog.read_minutes(
                step, since=now - SETTLED - MINUTE, until=now - SETTLED, deployments=(CURRENT, STAGED)
            )
            seen += len(found.minutes)
    return seen


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds of another process and of this one."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + time.process_time()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options, _ = parser.parse_known_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it", flush=True)
    print("\n".join(check_look(20 * options.rounds, minutes=5)), flush=True)
    print("\n".join(check_day()), flush=True)


if __name__ == "__main__":
    main()
