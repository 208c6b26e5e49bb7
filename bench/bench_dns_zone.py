"""A zone of 5,000 records from Vercel to Cloudflare in the rehearsal world, every answer of it asked for.

Read, translated, planned, written in batches, and verified at both of the nameservers assigned. The goal for
all of it together: 30 s. Told beside it: the same once more as the runbook's check, and how long lowering
TTLs takes, of which Vercel allows 50 a minute (the world's clock waits, not we).

The peer is octoDNS, the field's tool for such moves. It writes 1,000 records to the same emulator, as we do
then: it sends one call for each, and Cloudflare lets 1,200 through in five minutes. It asks no nameserver.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from octodns.record import Record as TheirRecord
from octodns.zone import Zone as TheirZone
from octodns_cloudflare import CloudflareProvider

from runbook.changes import dns
from runbook.errors import StepFailed
from runbook.plan import load_environment, load_plan
from runbook.providers.dns import RecordSet
from runbook.sandbox.world.launch import WorldProcess
from runbook.sandbox.world.remote import RemoteWorld, SandboxClock
from runbook.step import Rehearsal, Step

ROOT = Path(__file__).parents[1]
DOMAIN = "omnihub.dev"
GOAL_S = 30.0
TTLS_S = (60, 300, 3600, 14_400)
ACCOUNT = "0a11ce0a11ce0a11ce0a11ce0a11ce00"
THEIRS = 1_000  # records that octoDNS can write within Cloudflare's 1,200 calls


@dataclass
class Stretches:
    """Real seconds by what they were spent on, in order."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[what] = time.monotonic() - began
        print(f"  {what:<46} {self.seconds[what]:8.2f} s", flush=True)


def zone_file(count: int) -> list[dict[str, Any]]:
    """Return own records of seven types, a name each, as Vercel's dashboard takes them from a zone file."""
    rows = []
    for number in range(count):
        kind, value, more = _row(number)
        name = f"name-{number}" if number % 50 else f"*.wild-{number}"
        name = f"_sip._tcp.name-{number}" if kind == "SRV" else name  # octoDNS takes no other
        rows.append({"name": name, "type": kind, "value": value, "ttl": TTLS_S[number % len(TTLS_S)], **more})
    return rows


def _row(number: int) -> tuple[str, str, dict[str, int]]:
    kinds: list[tuple[str, str, dict[str, int]]] = [
        ("A", f"198.51.{number // 250 % 250}.{number % 250}", {}),
        ("TXT", f'token-{number}="{number * 7919}"; ' + "k" * (number % 300), {}),
        ("CNAME", f"target-{number}.example.", {}),
        ("AAAA", f"2001:db8::{number:x}", {}),
        ("MX", f"mx{number}.mail.example.", {"mxPriority": 10}),
        ("SRV", f"5 {1024 + number % 60000} host-{number}.example.", {"priority": 10}),
        ("CAA", f'0 issue "ca-{number}.example"', {}),
    ]
    return kinds[number % len(kinds)]


def upload(world: RemoteWorld, rows: list[dict[str, Any]]) -> None:
    """Put a zone file into Vercel's dashboard, which is no part of its API."""
    url = f"{world.url}/vercel-console/domains/{DOMAIN}/zone-file"
    requests.post(url, json={"records": rows, "instead": True}, timeout=120).raise_for_status()


def make_step(world: RemoteWorld) -> Step:
    environment, plan = load_environment(ROOT, "sandbox"), load_plan(ROOT)
    reach = Rehearsal(url=world.url, secrets=world.secrets(), addresses=world.addresses())
    return Step(
        clock=SandboxClock(world),
        environment=lambda: environment,
        rollout=lambda: plan,
        rehearsal=lambda: reach,
        run_id="bench",
    )


def ours(world: RemoteWorld, count: int, *, lower: bool) -> tuple[float, float, int]:
    """Carry a zone over; return the seconds that count, those of planning and writing alone, the answers."""
    upload(world, zone_file(count))
    step, spent = make_step(world), Stretches()
    [creating] = dns.plan_zone(step, DOMAIN)
    creating.apply(step)
    with spent.of("read at Vercel"):
        state = dns.read_zone(step, DOMAIN)
    with spent.of("translate and plan"):
        [writing] = dns.plan_records(step, dns.translate_zone(step, state))
    with spent.of("write in batches, and see the list"):
        written = writing.apply(step)
        _insist(writing.observe(step) == writing.after(), "Cloudflare's list is as planned")
    with spent.of("verify at Cloudflare's nameservers"):
        writing.verify(step, written)
    told = sum(spent.seconds.values())
    with spent.of("(once more, as the runbook's check)"):
        parity = dns.compare(step, dns.read_zone(step, DOMAIN), at="cloudflare")
        _insist(parity.agrees, "every answer is as Vercel's zone says")
    if lower:
        _lower(step, state, spent)
    writing_s = spent.seconds["translate and plan"] + spent.seconds["write in batches, and see the list"]
    return told, writing_s, sum(parity.asked.values()) * len(parity.servers)


def _insist(holds: bool, what: str) -> None:
    if not holds:
        raise StepFailed(f"not so: {what}")


def _lower(step: Step, state: dns.ZoneState, spent: Stretches) -> None:
    [lowering] = dns.plan_ttls(step, state)
    began = step.clock.now()
    with spent.of(f"(lower {len(lowering.records):,} TTLs at Vercel)"):
        lowering.apply(step)
    print(f"  {'':<46} {(step.clock.now() - began).total_seconds() / 60:8.0f} min of the world's clock")


def theirs(world: RemoteWorld, sets: Iterable[RecordSet]) -> float:
    """Let octoDNS plan and write record sets; return the seconds."""
    provider = CloudflareProvider(
        "sandbox",
        token=world.secrets()["cloudflare"]["token"],
        account_id=ACCOUNT,
        api_url=f"{world.url}/cloudflare/client/v4",
        pagerules=False,
        retry_period=0,
    )
    wanted = TheirZone(f"{DOMAIN}.", [])
    for one in sets:
        name = one.name.removesuffix(f"{DOMAIN}.").removesuffix(".")
        wanted.add_record(TheirRecord.new(wanted, name, _their_data(one), lenient=True), lenient=True)
    with warnings.catch_warnings(), closing(provider._sess):  # noqa: SLF001  # it closes nothing itself
        warnings.simplefilter("ignore", DeprecationWarning)
        began = time.monotonic()
        provider.apply(provider.plan(wanted))
        return time.monotonic() - began


def _their_data(one: RecordSet) -> dict[str, Any]:
    if one.type in ("CNAME", "ALIAS"):
        return {"type": one.type, "ttl": 300, "value": one.values[0]}
    values: list[Any] = list(one.values)
    if one.type == "TXT":
        whole = ("".join(part.strip('"') for part in value.split('" "')) for value in values)
        values = [text.replace('\\"', '"').replace(";", "\\;") for text in whole]
    elif one.type == "MX":
        pairs = (value.split(" ") for value in values)
        values = [{"preference": int(first), "exchange": host} for first, host in pairs]
    elif one.type == "SRV":
        fields = ("priority", "weight", "port", "target")
        values = [dict(zip(fields, value.split(" "), strict=True)) for value in values]
    elif one.type == "CAA":
        values = [dict(zip(("flags", "tag", "value"), value.split(" "), strict=True)) for value in values]
        values = [{**value, "value": value["value"].strip('"')} for value in values]
    return {"type": one.type, "ttl": 300, "values": values}


@contextmanager
def new_world() -> Iterator[RemoteWorld]:
    with tempfile.TemporaryDirectory() as folder, WorldProcess(Path(folder) / "world") as process:
        process.remote.play("cloudflare-enterprise")
        yield process.remote


def main() -> int:
    """Return 0 when the goal is met, and octoDNS is no faster."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=5_000)
    parser.add_argument("--no-lowering", action="store_true", help="leave out the TTLs")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # octoDNS remarks on the names of a made-up zone
    with new_world() as world:
        print(f"{given.records:,} records, a name each, on a plan that allows them:")
        told_s, _, answers = ours(world, given.records, lower=not given.no_lowering)
        print(f"  {'in all':<46} {told_s:8.2f} s of {GOAL_S:g} s; {answers:,} answers compared")
    with new_world() as world:
        print(f"{THEIRS:,} records, for the peer's sake:")
        _, ours_s, _ = ours(world, THEIRS, lower=False)
        sets = dns.read_zone(make_step(world), DOMAIN).served
    with new_world() as world:
        theirs_s = theirs(world, sets)
    print(f"  planned and written: ours {ours_s:.2f} s, octoDNS {theirs_s:.2f} s: {theirs_s / ours_s:.1f} x")
    return 0 if told_s < GOAL_S and ours_s <= theirs_s else 1


if __name__ == "__main__":
    sys.exit(main())
