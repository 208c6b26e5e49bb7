"""Who answers the world now: each resolver, each nameserver of both sides, and the site through each side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from runbook.changes.delegation.migration import Migration, Side, SideName, probe_name, vantages
from runbook.changes.dns.asking import Key, ask_sets, said, servers_of
from runbook.errors import VendorError
from runbook.plan.environment import Vantage
from runbook.providers.connect import connect
from runbook.providers.dns import Answer, Network, Question, RecordSet, Server, ask, for_people
from runbook.providers.dns.asking import DIRECT
from runbook.providers.dns.doh import DIALECTS, ask_doh
from runbook.providers.dns.records import ALIAS
from runbook.providers.http import Http
from runbook.providers.registrars import network_of
from runbook.providers.site import Page, Visit, read_visits
from runbook.step import Step
from runbook.values import Value

Where = Literal["old", "new", "failing", "silent"]
Fits = Literal["right", "wrong", "none", "silent"]
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


def read_propagation(step: Step, migration: Migration, *, number: int = 0) -> Propagation:
    """Ask every resolver and every nameserver, and visit the site through each side.

    Never raises for what a server does or leaves: that is what is looked at. `number` is that of the look, by
    which the record sets of a very large zone take turns.
    """
    network = network_of(step)
    pages = tuple(Page(host=one.host, path=one.path, says=one.says) for one in step.environment().pages)
    hosts = tuple(dict.fromkeys(page.host for page in pages))
    sets = _taking_turns(migration, number)
    old, new = (_answers(step, network, migration, side, sets) for side in (migration.old, migration.new))
    given = {
        side.name: _addresses(step, network, migration, side, hosts)
        for side in (migration.old, migration.new)
    }
    right = {host: {*given["old"][host], *given["new"][host]} for host in hosts}
    return Propagation(
        seen=_seen(step, network, migration, right),
        apart=apart(sets, old, new),
        visits_old=read_visits(step, network, pages, given["old"]),
        visits_new=read_visits(step, network, pages, given["new"]),
    )


# Resolvers


def _seen(
    step: Step, network: Network, migration: Migration, right: Mapping[str, set[str]]
) -> tuple[Seen, ...]:
    """Return each resolver in the order of environment.yaml: its side by a name that nobody has asked for."""
    watched = vantages(step)
    probe = Question.of(probe_name(step, migration), "A")
    questions = [probe, *(Question.of(host, "A") for host in right)]
    servers = {one.name: network.server(one.name, one.address) for one in watched if one.address}
    pairs = [(server, question) for server in servers.values() for question in questions]
    answers = ask(pairs, clock=step.clock)
    by_name = {
        name: answers[at * len(questions) : (at + 1) * len(questions)] for at, name in enumerate(servers)
    }
    by_name |= {one.name: _over_https(step, one, questions) for one in watched if one.doh}
    return tuple(_judged(one, migration, by_name[one.name], right) for one in watched)


def _over_https(step: Step, vantage: Vantage, questions: Sequence[Question]) -> tuple[Answer, ...]:
    if vantage.doh is None:
        return ()
    with connect(step, DIALECTS[vantage.doh]) as http:
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
    vantage: Vantage, migration: Migration, answers: Sequence[Answer], right: Mapping[str, set[str]]
) -> Seen:
    probe, *rest = answers
    where, says = side_of(migration, probe)
    cells = tuple(_cell(answer, right[host]) for host, answer in zip(right, rest, strict=True))
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


def _taking_turns(migration: Migration, number: int) -> tuple[RecordSet, ...]:
    known = [
        RecordSet(name=one.name, type=one.type, ttl_s=None, values=()) for one in migration.deadlines.records
    ]
    if len(known) <= COMPARED_AT_MOST:
        return tuple(known)
    first = number * COMPARED_AT_MOST % len(known)
    return tuple((known + known)[first : first + COMPARED_AT_MOST])


def _answers(
    step: Step, network: Network, migration: Migration, side: Side, sets: Sequence[RecordSet]
) -> Mapping[Key, tuple[Answer, ...]]:
    servers = servers_of(step, network, side.nameservers)
    return ask_sets(step, servers, migration.zone, sets)


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


def _addresses(
    step: Step, network: Network, migration: Migration, side: Side, hosts: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the addresses that a side gives for each host, an alias that leads out of the zone followed."""
    servers = servers_of(step, network, side.nameservers)
    questions = [Question.of(host, "A", zone=migration.zone) for host in hosts]
    answers = ask(
        [(one, question) for question in questions for one in servers], manner=DIRECT, clock=step.clock
    )
    found: dict[str, tuple[str, ...]] = {}
    for at, host in enumerate(hosts):
        told = [one for one in answers[at * len(servers) : (at + 1) * len(servers)] if _usable(one)]
        found[host] = _followed(step, network, told[0]) if told else ()
    return found


def _followed(step: Step, network: Network, answer: Answer) -> tuple[str, ...]:
    if answer.values:
        return answer.values
    target = next((one.values[0] for one in reversed(answer.records) if one.type == "CNAME"), None)
    if target is None:
        return ()
    question = Question.of(target, "A")
    told = ask([(one, question) for one in network.resolvers[:3]], clock=step.clock)
    return next((one.values for one in told if one.values), ())
