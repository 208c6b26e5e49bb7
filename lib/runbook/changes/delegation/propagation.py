"""Who answers the world now: each resolver, each nameserver of both sides, and the site through each side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Final, Literal

from runbook.changes.delegation.migration import Migration, SideName, probe_name, vantages
from runbook.changes.dns.asking import RESOLVERS, Key, kinds_of, said, servers_of
from runbook.clock import Clock, WallClock
from runbook.errors import VendorError
from runbook.plan.environment import Vantage
from runbook.providers.connect import connect
from runbook.providers.dns import (
    Answer,
    Network,
    Question,
    RecordSet,
    Server,
    absolute,
    ask,
    for_people,
)
from runbook.providers.dns.asking import DIRECT
from runbook.providers.dns.doh import DIALECTS, ask_doh
from runbook.providers.dns.records import ALIAS
from runbook.providers.http import Http
from runbook.providers.registrars import network_of
from runbook.providers.site import Page, Visit, read_visits
from runbook.step import Step, no_evidence
from runbook.values import Value, shown

Where = Literal["old", "new", "failing", "silent"]
Fits = Literal["right", "wrong", "none", "silent"]
_WALL: Final = WallClock()
NOWHERE: Final = "a nameserver gives none"
COMPARED_AT_MOST: Final = 200
"""How many record sets of a zone one look compares; of larger ones each look takes the next."""


class Cell(Value):
    """What one resolver said to one question about the zone."""

    name: str
    type: str
    fits: Fits
    said: str


class Seen(Value):
    """One resolver at one time: which side answers it, and what it says of the names that matter.

    `where` "failing": it answers, and with neither side's zone; "silent": it does not, which proves nothing.
    """

    resolver: str
    weight: float
    where: Where
    says: str
    cells: tuple[Cell, ...] = ()

    @property
    def fails(self) -> bool:
        return self.where == "failing" or any(cell.fits in ("wrong", "none") for cell in self.cells)


class Apart(Value):
    """A record set to which the sides do not answer alike, or a nameserver that does not answer for it."""

    name: str
    type: str
    server: str
    observed: str
    expected: str

    def in_a_line(self) -> str:
        what = f"{for_people(self.name)} {self.type} at {for_people(self.server)}"
        return f"{what}: {self.observed}; {self.expected} expected"


class Propagation(Value):
    """All of it at one time; `addresses` by side are those that its nameservers give for the site's hosts."""

    seen: tuple[Seen, ...]
    apart: tuple[Apart, ...]
    visits_old: tuple[Visit, ...]
    visits_new: tuple[Visit, ...]

    def rows(self) -> list[tuple[str, str]]:
        counts = Counter(one.where for one in self.seen)
        fails = [f"{one.resolver}: {one.says}" for one in self.seen if one.fails]
        return [
            (
                "resolvers",
                f"{counts['new']} with Cloudflare, {counts['old']} with Vercel of {len(self.seen)}",
            ),
            *([("which fail", "; ".join(fails))] if fails else []),
            *([("did not answer", shown(counts["silent"]))] if counts["silent"] else []),
            ("users", f"{100 * self.share('new', users=True):.0f} % with Cloudflare"),
            ("the nameservers", "; ".join(one.in_a_line() for one in self.apart) or "all answer alike"),
            (
                "the site",
                f"{_went(self.visits_old)} through Vercel, {_went(self.visits_new)} through Cloudflare",
            ),
        ]

    def share(self, where: Where, *, users: bool) -> float:
        """Return the share of resolvers, or of the users behind them, that a side answers."""
        total = sum(one.weight if users else 1.0 for one in self.seen)
        there = sum(one.weight if users else 1.0 for one in self.seen if one.where == where)
        return there / total if total else 0.0

    def visits(self, side: SideName) -> tuple[Visit, ...]:
        return self.visits_new if side == "new" else self.visits_old

    def failed_share(self, side: SideName) -> float | None:
        """Return the share of visits that failed through a side; None when there was none."""
        made = self.visits(side)
        return sum(not one.ok for one in made) / len(made) if made else None


def read_propagation(step: Step, migration: Migration, *, number: int = 0, wide: bool = False) -> Propagation:
    """Ask every resolver and every nameserver, and visit the site through each side.

    Never raises for what a server does or leaves: that is what is looked at. `number` is that of the look, by
    which the record sets of a very large zone take turns. `wide` asks resolvers for mail and texts, too.
    """
    step = replace(step, clock=Instant(step.clock))
    network = network_of(step)
    pages = tuple(Page(host=one.host, path=one.path, says=one.says) for one in step.environment().pages)
    hosts = tuple(dict.fromkeys(page.host for page in pages))
    sets = _taking_turns(migration, number)
    old, new = ask_sides(step, network, migration, sets, hosts)
    asked = [answer for side in (old, new) for answers in side.hosts.values() for answer in answers]
    followed = _followed(step, network, asked)
    given = [{host: _addresses(side.hosts[host], followed) for host in hosts} for side in (old, new)]
    right = {host: {one for side in given for one in side[host] if one} for host in hosts}
    visits = read_visits(step, network, pages, {host: sorted(right[host]) for host in hosts})
    through = [_through(step, visits, pages, side) for side in given]
    held = {(absolute(host), "A"): right[host] for host in hosts}
    held |= _apex(migration, old.sets) if wide else {}
    return Propagation(
        seen=_seen(step, network, migration, held),
        apart=apart(sets, old.sets, new.sets),
        visits_old=through[0],
        visits_new=through[1],
    )


def _went(visits: Sequence[Visit]) -> str:
    return f"{sum(one.ok for one in visits)} of {len(visits)} visits went well"


class Instant:
    """A clock that stands still while one look is taken: all it shows is of one time; waiting still waits."""

    jumps: ClassVar[bool] = False

    def __init__(self, clock: Clock) -> None:
        self._clock, self._now = clock, clock.now()

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return _WALL.monotonic_s()

    def sleep_until(self, when: datetime) -> None:
        self._clock.sleep_until(when)
        self._now = self._clock.now()


# Resolvers


def _seen(
    step: Step, network: Network, migration: Migration, right: Mapping[Key, set[str]]
) -> tuple[Seen, ...]:
    """Return each resolver in the order of environment.yaml: its side by a name that nobody has asked for."""
    watched = vantages(step)
    probe = Question.of(probe_name(step, migration), "A")
    questions = [probe, *(Question.of(name, kind) for name, kind in right)]
    servers = {one.name: network.server(one.name, one.address) for one in watched if one.address}
    pairs = [(server, question) for server in servers.values() for question in questions]
    answers = ask(pairs, clock=step.clock)
    by_name = {
        name: answers[at * len(questions) : (at + 1) * len(questions)] for at, name in enumerate(servers)
    }
    by_name |= {one.name: _over_https(step, one, questions) for one in watched if one.doh}
    return tuple(_judged(one, migration, by_name[one.name], right) for one in watched)


def _over_https(step: Step, vantage: Vantage, questions: Sequence[Question]) -> tuple[Answer, ...]:
    """Return answers over HTTPS; a look is one of many, so that none of them is kept as a file."""
    if vantage.doh is None:
        return ()
    quiet = replace(step, evidence_sink=no_evidence)
    with connect(quiet, DIALECTS[vantage.doh]) as http:
        return tuple(_told(http, question) for question in questions)


def _told(http: Http, question: Question) -> Answer:
    """Return an answer over HTTPS, also where it was none."""
    try:
        return ask_doh(http, question)
    except VendorError as error:
        return Answer(
            server=Server(name=http.dialect.vendor, host=http.base_url),
            question=question,
            outcome="other",
            asked_at=http.clock.now(),
            trouble=str(error),
        )


def _judged(
    vantage: Vantage, migration: Migration, answers: Sequence[Answer], right: Mapping[Key, set[str]]
) -> Seen:
    probe, *rest = answers
    where, says = side_of(migration, probe)
    cells = tuple(_cell(answer, right[key]) for key, answer in zip(right, rest, strict=True))
    return Seen(resolver=vantage.name, weight=vantage.weight, where=where, says=says, cells=cells)


def side_of(migration: Migration, answer: Answer) -> tuple[Where, str]:
    """Return which side said that a name does not exist: its SOA stands beside (RFC 2308)."""
    soa = next((one for one in answer.authority if one.type == "SOA" and one.name == migration.zone), None)
    if soa is None:
        why = "; ".join([answer.outcome, *answer.said, *([answer.trouble] if answer.trouble else [])])
        return "silent" if answer.is_silent else "failing", why
    primary = soa.values[0].partition(" ")[0]
    for side in (migration.new, migration.old):
        if primary in (side.primary, *side.nameservers):
            return side.name, side.title
    return "failing", f"somebody else answers: {for_people(primary)}"


def _cell(answer: Answer, right: set[str]) -> Cell:
    values = set(answer.values)
    fits: Fits = (
        "silent" if answer.is_silent else "none" if not values else "right" if values <= right else "wrong"
    )
    said_ = " | ".join(sorted(values)) or "; ".join([answer.outcome, *answer.said])
    return Cell(name=answer.question.name, type=answer.question.type, fits=fits, said=said_)


# Nameservers


def _apex(migration: Migration, old: Mapping[Key, Sequence[Answer]]) -> dict[Key, set[str]]:
    """Return mail and texts at the apex as the old side answers them, where it has them."""
    found: dict[Key, set[str]] = {}
    for kind in ("MX", "TXT"):
        told = [one for one in old.get((migration.zone, kind), ()) if one.values]
        found |= {(migration.zone, kind): set(told[0].values)} if told else {}
    return found


def _taking_turns(migration: Migration, number: int) -> tuple[RecordSet, ...]:
    known = [
        RecordSet(name=one.name, type=one.type, ttl_s=None, values=()) for one in migration.deadlines.records
    ]
    if len(known) <= COMPARED_AT_MOST:
        return tuple(known)
    first = number * COMPARED_AT_MOST % len(known)
    return tuple((known + known)[first : first + COMPARED_AT_MOST])


@dataclass(frozen=True)
class Told:
    """What each of a side's nameservers says: to each record set, and of the site's hosts."""

    sets: Mapping[Key, tuple[Answer, ...]]
    hosts: Mapping[str, tuple[Answer, ...]]


def ask_sides(
    step: Step, network: Network, migration: Migration, sets: Sequence[RecordSet], hosts: Sequence[str]
) -> tuple[Told, Told]:
    """Return what the nameservers of both sides say, all of them asked at once."""
    sides = [servers_of(step, network, side.nameservers) for side in (migration.old, migration.new)]
    about = [
        (one.key, Question.of(one.name, kind, zone=migration.zone)) for one in sets for kind in kinds_of(one)
    ]
    about += [((host, ""), Question.of(host, "A", zone=migration.zone)) for host in hosts]
    rows = [
        (number, key, server, asked)
        for number, side in enumerate(sides)
        for key, asked in about
        for server in side
    ]
    answers = ask([(server, asked) for *_, server, asked in rows], manner=DIRECT, clock=step.clock)
    found: list[dict[Key, list[Answer]]] = [{}, {}]
    for (number, key, *_), answer in zip(rows, answers, strict=True):
        found[number].setdefault(key, []).append(answer)
    return _told_by(found[0], hosts), _told_by(found[1], hosts)


def _told_by(found: Mapping[Key, Sequence[Answer]], hosts: Sequence[str]) -> Told:
    of_hosts = {host: tuple(found[host, ""]) for host in hosts}
    return Told(sets={key: tuple(answers) for key, answers in found.items() if key[1]}, hosts=of_hosts)


def apart(
    sets: Sequence[RecordSet], old: Mapping[Key, Sequence[Answer]], new: Mapping[Key, Sequence[Answer]]
) -> tuple[Apart, ...]:
    """Return where a nameserver of either side does not answer as the first usable one of the old side.

    Cloudflare may name further authorities beside CAA records; addresses in place of an alias may be others,
    as long as there are some where there should be.
    """
    found = []
    for one in sets:
        right = {answer.question.type: answer for answer in reversed(old[one.key]) if _usable(answer)}
        for answer in (*old[one.key], *new[one.key]):
            wanted = right.get(answer.question.type)
            if wanted is None or not _alike(one, wanted, answer):
                found.append(
                    Apart(
                        name=one.name,
                        type=answer.question.type,
                        server=answer.server.name,
                        observed=_what(answer),
                        expected="an answer" if wanted is None else _what(wanted),
                    )
                )
    return tuple(found)


def _usable(answer: Answer) -> bool:
    return answer.outcome in ("answer", "nodata", "nxdomain", "referral")


def _alike(one: RecordSet, wanted: Answer, answer: Answer) -> bool:
    if not _usable(answer):
        return False
    left, right = said(wanted), said(answer)
    if left is None or right is None:
        return left is right
    if one.type == ALIAS:
        return True
    if one.type == "CAA":
        return set(left.values) <= set(right.values)
    return left.values == right.values


def _what(answer: Answer) -> str:
    found = said(answer)
    return answer.outcome if found is None else " | ".join(found.values)


# The site


def _followed(step: Step, network: Network, answers: Sequence[Answer]) -> Mapping[str, tuple[str, ...]]:
    """Return the addresses of what aliases lead to, as the preferred resolvers know them."""
    targets = dict.fromkeys(target for one in answers if (target := _target(one)))
    asked = [(name, server) for name in targets for server in network.resolvers[:RESOLVERS]]
    told = ask([(server, Question.of(name, "A")) for name, server in asked], clock=step.clock)
    found: dict[str, tuple[str, ...]] = {}
    for (name, _), answer in zip(asked, told, strict=True):
        found[name] = found.get(name) or answer.values
    return found


def _addresses(answers: Sequence[Answer], followed: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return every address that a side's nameservers lead to, "" where one of them leads to none."""
    given = [answer.values or followed.get(_target(answer), ()) for answer in answers]
    return tuple(dict.fromkeys(address for some in given for address in some or ("",)))


def _target(answer: Answer) -> str:
    """Return where an answer without addresses leads to, out of the zone."""
    aliases = [one.values[0] for one in answer.records if one.type == "CNAME"]
    return aliases[-1] if aliases and not answer.values else ""


def _through(
    step: Step, visits: Sequence[Visit], pages: Sequence[Page], side: Mapping[str, Sequence[str]]
) -> tuple[Visit, ...]:
    """Return the visits of a side's users; where a nameserver of it gives no address, a failed one."""
    at = step.clock.now()
    nowhere = [
        Visit(host=page.host, address="no address", at=at, status=None, latency_ms=0.0, trouble=NOWHERE)
        for page in pages
        if "" in side[page.host]
    ]
    return (*(one for one in visits if one.address in side[one.host]), *nowhere)
