"""Asks chosen nameservers for every record set of a zone, and reads what they said to each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from runbook.errors import StepFailed
from runbook.providers.dns import Answer, Network, Question, RecordSet, Server, for_people, read_servers
from runbook.providers.dns.asking import DIRECT, ask
from runbook.providers.dns.records import ALIAS, parse_name
from runbook.step import Step

Key = tuple[str, str]
FLATTENED = ("A", "AAAA")
"""What is answered in place of an ALIAS."""

RESOLVERS = 3
"""How many of the preferred resolvers are asked for the addresses of an alias' target."""


def servers_of(step: Step, network: Network, hosts: Sequence[str]) -> tuple[Server, ...]:
    """Return the servers behind nameservers' names; StepFailed when one of them has no address."""
    found = read_servers(step, network, hosts)
    missing = [for_people(host) for host, servers in found.items() if not servers]
    if missing:
        raise StepFailed(
            f"the nameserver {missing[0]} has no address; expected one for each of "
            f"{', '.join(map(for_people, hosts))}. See what the resolvers say of it, then resume"
        )
    return tuple(server for servers in found.values() for server in servers)


def ask_sets(
    step: Step, servers: Sequence[Server], zone: str, sets: Iterable[RecordSet]
) -> dict[Key, tuple[Answer, ...]]:
    """Return what every server says to each record set, by name and type; an ALIAS is asked as A and AAAA."""
    asked = [(one.key, Question.of(one.name, kind, zone=zone)) for one in sets for kind in kinds_of(one)]
    found: dict[Key, list[Answer]] = {}
    pairs = [(server, question) for _, question in asked for server in servers]
    keys = [key for key, _ in asked for _ in servers]
    with step.progress("asking nameservers", total=len(pairs), unit="questions") as bar:
        for key, answer in zip(keys, ask(pairs, manner=DIRECT, clock=step.clock), strict=True):
            found.setdefault(key, []).append(answer)
        bar.at(len(pairs))
    return {key: tuple(answers) for key, answers in found.items()}


def kinds_of(one: RecordSet) -> tuple[str, ...]:
    """Return the types that are asked for a record set."""
    return FLATTENED if one.type == ALIAS else (one.type,)


def said(answer: Answer) -> RecordSet | None:
    """Return the set that an answer holds for exactly what was asked, a zone cut's NS out of a referral."""
    section = answer.authority if answer.outcome == "referral" else answer.records
    key = (answer.question.name, answer.question.type)
    return next((one for one in section if one.key == key), None)


def seen_ttl_s(answers: Iterable[Answer]) -> list[int]:
    """Return the TTLs, in seconds, that answers give for what was asked."""
    return [one.ttl_s for one in map(said, answers) if one is not None and one.ttl_s is not None]


def cuts_of(zone: str, sets: Iterable[RecordSet]) -> tuple[str, ...]:
    """Return the names below the apex at which other nameservers take over."""
    return tuple(dict.fromkeys(one.name for one in sets if one.type == "NS" and one.name != zone))


def cut_over(one: RecordSet, cuts: Sequence[str]) -> str | None:
    """Return the zone cut that hides a record set from being answered, None where it is answered."""
    if not cuts:
        return None
    name = parse_name(one.name)
    hiding = (cut for cut in cuts if name.is_subdomain(parse_name(cut)))
    return next((cut for cut in hiding if one.key != (cut, "NS")), None)


def addresses(step: Step, network: Network, names: Iterable[str]) -> Mapping[str, frozenset[str]]:
    """Return the addresses that resolvers know of host names, IPv4 and IPv6; none for one without any."""
    wanted = list(dict.fromkeys(names))
    questions = [Question.of(name, kind) for name in wanted for kind in FLATTENED]
    resolvers = network.resolvers[:RESOLVERS]
    pairs = [(resolver, question) for question in questions for resolver in resolvers]
    found: dict[str, set[str]] = {name: set() for name in wanted}
    for answer in ask(pairs, clock=step.clock):
        found[answer.question.name].update(answer.values)
    return {name: frozenset(values) for name, values in found.items()}
