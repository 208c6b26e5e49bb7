"""A migration of 48 hours, the whole notebook by the command line's driver: time, CPU, and where it goes.

The goal is 20 s of wall time on two cores with nothing else to do; CPU is told beside it, for a busy machine.
The peer is what is done by hand: one resolver and one nameserver asked after the other with dnspython, as a
loop of dig does. It asks the questions of one look, and knows nothing of the site, the sides, or time.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import dns.message
import dns.query

from runbook.driving import Driver
from runbook.opening import prepare
from runbook.sandbox.world.launch import WorldProcess
from runbook.sandbox.world.remote import RemoteWorld
from runbook.summary import Summary

ROOT = Path(__file__).parents[1]
ZONE = "omnihub.dev"
GOAL_S = 20.0
SWITCH_AT = datetime(2026, 12, 2, 2, 0, tzinfo=UTC)
HOSTS = (ZONE, f"www.{ZONE}")
PER_NAMESERVER = 22  # questions of a look to each of four nameservers: 17 sets, the alias twice, the hosts
ROUNDS = 5


@contextmanager
def world_and_preparation() -> Iterator[tuple[WorldProcess, Path, str]]:
    """Give a world two days after its pre-configuration, its folder, and that run's name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"RUNBOOK_ROOT": str(ROOT), "RUNBOOK_OUTPUTS": str(folder / "outputs")}
        with WorldProcess(folder / "world") as world:
            ready = run("dns_preconfiguration", folder / "world", {"zone": ZONE})
            if ready.status != "done":
                raise SystemExit(f"the pre-configuration is {ready.status}: {ready.verdict}")
            world.remote.advance_to(SWITCH_AT)
            yield world, folder / "world", ready.run_id


def run(runbook: str, world: Path, params: dict[str, str]) -> Summary:
    """Run a runbook in a world, as `runbook run` does, and return its account."""
    begin = prepare(ROOT, runbook, environment="sandbox", run_id="", mode="", params=params)
    return Driver(ROOT, world=world).run(begin)


def cpu_s() -> float:
    """Return the CPU seconds of this process and all that came of it: the world, kernels, those gone, too."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            stats[int(path.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    ours, grew = {os.getpid()}, True
    while grew:
        more = {pid for pid, (parent, _) in stats.items() if parent in ours} - ours
        ours, grew = ours | more, bool(more)
    return sum(stats[pid][1] for pid in ours if pid in stats) / os.sysconf("SC_CLK_TCK")


def one_by_one(world: RemoteWorld) -> float:
    """Return the seconds in which the questions of one look are asked one after the other."""
    addresses = world.addresses()["dns"]
    resolvers = [where for name, where in addresses.items() if name.startswith("resolver-")]
    servers = [where for name, where in addresses.items() if "vercel" in name or "cloudflare" in name][:4]
    asked = [(where, host) for where in resolvers for host in ("nobody." + ZONE, *HOSTS)]
    asked += [(where, HOSTS[1]) for where in servers for _ in range(PER_NAMESERVER)]
    began = time.monotonic()
    for where, name in asked:
        host, _, port = where.rpartition(":")
        dns.query.udp(dns.message.make_query(name, "A"), host, port=int(port), timeout=5)
    return time.monotonic() - began


def main() -> int:
    """Print the figures; exit 1 when the migration did not end done."""
    argparse.ArgumentParser(description=__doc__).parse_known_args()
    with world_and_preparation() as (world, folder, preconfiguration):
        peer_s = min(one_by_one(world.remote) for _ in range(ROUNDS))
        began, used_s = time.monotonic(), cpu_s()
        summary = run("dns_migration", folder, {"zone": ZONE, "preconfiguration": preconfiguration})
        wall_s, used_s = time.monotonic() - began, cpu_s() - used_s
    watch_s = sum(step.seconds for step in summary.steps if step.title == "the world follows")
    hours = summary.numbers["watched_h"].value if summary.numbers else None
    print(f"the migration, watched for {hours} h of the world's time: {summary.status}")
    print(f"  {'wall time of the whole notebook':<46} {wall_s:8.2f} s   goal {GOAL_S:.0f} s")
    print(f"  {'CPU of driver, kernel, sealing and world':<46} {used_s:8.2f} s")
    for step in summary.steps:
        if step.seconds >= 0.2:
            print(f"    {step.title:<44} {step.seconds:8.2f} s")
    print(f"  {'the watch':<46} {watch_s:8.2f} s")
    print(f"peer: the questions of one look, one by one {peer_s:11.3f} s")
    print(f"load of the machine meanwhile: {os.getloadavg()[0]:.1f}")
    return 0 if summary.status == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
