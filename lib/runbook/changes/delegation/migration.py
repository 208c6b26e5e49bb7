"""What a migration goes by: the pre-configuration's record, both sides, and how to tell them apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from runbook.changes.dns import Deadlines
from runbook.changes.dns.asking import servers_of
from runbook.changes.dns.parity import zone_at_cloudflare
from runbook.changes.dns.zone import plain
from runbook.errors import StepFailed
from runbook.plan.environment import Vantage
from runbook.providers import vercel
from runbook.providers.dns import Question, absolute, for_people
from runbook.providers.dns.asking import DIRECT, read_answers
from runbook.providers.dns.records import is_wildcard
from runbook.providers.registrars import network_of
from runbook.step import Step
from runbook.values import Value, shown

SideName = Literal["old", "new"]
PEOPLE: dict[SideName, str] = {"old": "Vercel", "new": "Cloudflare"}
LET_GO = "when caches let go"  # the step of dns_preconfiguration that returns its Deadlines
PRECONFIGURATION = "dns_preconfiguration"


class Side(Value):
    """One of the two places that answer for the zone; `primary` is what its SOA names, and so tells it."""

    name: SideName
    nameservers: tuple[str, ...]
    primary: str

    @property
    def title(self) -> str:
        return PEOPLE[self.name]


class Migration(Value):
    """A zone that is to move from `old` to `new`, by what its pre-configuration left on record.

    `problems` say why that record cannot be relied on. `leaf` is a name below which nothing exists, so that a
    name below it shows who answers a resolver now, and not what it remembers.
    """

    zone: str
    preconfiguration: str
    problems: tuple[str, ...]
    deadlines: Deadlines
    old: Side
    new: Side
    leaf: str
    read_at: datetime

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("zone", for_people(self.zone)),
            ("pre-configured by", self.preconfiguration),
            ("its record", "; ".join(self.problems) or "sealed, signed and verified"),
            ("from", _people(self.old)),
            ("to", _people(self.new)),
            ("the switch may begin", shown(self.deadlines.switch_from)),
            ("a delegation is kept", f"{self.deadlines.delegation_ttl_s / 3600:g} h at the longest"),
        ]


def read_migration(step: Step, zone: str, *, preconfiguration: str) -> Migration:
    """Return what the pre-configuration's run left on record, and both sides as they are now.

    Raises UnknownName when there is no such run, StepFailed when it came to no deadlines, or when the sides
    cannot be told apart.
    """
    earlier = step.earlier(preconfiguration)
    deadlines = earlier.result(LET_GO)
    if not isinstance(deadlines, Deadlines):
        raise StepFailed(
            f"“{LET_GO}” of {preconfiguration} returned {type(deadlines).__name__}, not deadlines; name a "
            f"run of {PRECONFIGURATION} (-p preconfiguration=…)"
        )
    return make_migration(
        step,
        zone,
        preconfiguration=preconfiguration,
        deadlines=deadlines,
        problems=_problems(step, zone, preconfiguration),
    )


def make_migration(
    step: Step, zone: str, *, preconfiguration: str, deadlines: Deadlines, problems: Sequence[str] = ()
) -> Migration:
    """Return the migration of a zone whose deadlines are known."""
    origin = absolute(zone)
    there = zone_at_cloudflare(step, origin)
    intended = vercel.read_domain(step, domain=plain(origin)).intended
    old = _side(step, origin, "old", intended)
    new = _side(step, origin, "new", there.nameservers)
    if old.primary == new.primary:
        raise StepFailed(
            f"both sides of {plain(origin)} name {old.primary} in their SOA, so nobody can tell which "
            "of them answers a resolver; see that Cloudflare's zone has a SOA of its own, then resume"
        )
    return Migration(
        zone=origin,
        preconfiguration=preconfiguration,
        problems=tuple(problems),
        deadlines=deadlines,
        old=old,
        new=new,
        leaf=_leaf(origin, [one.name for one in deadlines.records if one.type != "NS"]),
        read_at=step.clock.now(),
    )


def vantages(step: Step) -> tuple[Vantage, ...]:
    """Return the resolvers that are watched; StepFailed when environment.yaml names none."""
    found = step.environment().propagation
    if not found:
        raise StepFailed(
            "no resolver is named to be watched while nameservers change; list some in "
            f"params/{step.environment().name}/environment.yaml under `propagation`, then resume"
        )
    return found


def probe_name(step: Step, migration: Migration) -> str:
    """Return a name that nobody has asked for yet and that does not exist: who says so answers now."""
    text = f"{step.run_id} {step.clock.now().isoformat()}"
    return f"probe-{hashlib.sha256(text.encode()).hexdigest()[:16]}.{migration.leaf}"


def _problems(step: Step, zone: str, run_id: str) -> tuple[str, ...]:
    """Return why an earlier run is not the pre-configuration of this zone, or may not be believed."""
    earlier = step.earlier(run_id)
    summary, found = earlier.summary, list(earlier.problems)
    if summary.runbook != PRECONFIGURATION:
        found.append(f"it is a run of {summary.runbook}, not of {PRECONFIGURATION}")
    if summary.status != "done":
        found.append(f"it ended {summary.status}: {summary.verdict}")
    if summary.mode != "apply":
        found.append("it was opened in mode plan, so it changed nothing")
    if absolute(str(summary.params.get("zone", "."))) != absolute(zone):
        found.append(f"it is of {summary.params.get('zone')}, not of {plain(zone)}")
    return tuple(found)


def _side(step: Step, zone: str, name: SideName, hosts: Sequence[str]) -> Side:
    servers = servers_of(step, network_of(step), hosts)
    answers = read_answers(step, servers, [Question.of(zone, "SOA", zone=zone)], manner=DIRECT)
    told = [one for one in answers if one.found is not None]
    if not told:
        heard = "; ".join(one.in_a_line() for one in answers)
        raise StepFailed(f"no nameserver of {PEOPLE[name]} answers for {plain(zone)}: {heard}")
    primary = told[0].values[0].partition(" ")[0]
    return Side(name=name, nameservers=tuple(sorted(map(absolute, hosts))), primary=primary)


def _leaf(zone: str, names: Iterable[str]) -> str:
    """Return an existing name with no wildcard below it: a name below that one does not exist (RFC 4592)."""
    known = set(names)
    wild = {name.removeprefix("*.") for name in known if is_wildcard(name)}
    plain_ones = [name for name in known - wild if not is_wildcard(name)]
    shortest = min(plain_ones, key=lambda name: (len(name), name), default="")
    return shortest or (zone if zone not in wild else f"*.{zone}")


def _people(side: Side) -> str:
    return f"{side.title}: {', '.join(map(for_people, side.nameservers))}"
