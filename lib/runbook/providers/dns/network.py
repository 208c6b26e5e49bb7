"""Where to ask: the resolvers, the addresses of nameservers, and where those are reached from here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Self

from pydantic import Field

from runbook.errors import InputError, StepFailed
from runbook.providers.dns.answers import Answer, Question, Server
from runbook.providers.dns.asking import ask, read_answers
from runbook.providers.dns.records import absolute
from runbook.step import Step
from runbook.values import Value

RESOLVER = "resolver-"  # how the names of the sandbox's resolvers begin
ASKED = 3  # resolvers asked for the address of a nameserver; the first that knows is believed


class Network(Value):
    """Resolvers to ask, in order of preference, and detours.

    `routes` maps an address or host name to `host:port`: where the sandbox's servers listen. Empty elsewhere.
    `ipv6` says that IPv6 addresses of nameservers can be reached from here.
    """

    resolvers: tuple[Server, ...] = Field(min_length=1)
    routes: dict[str, str] = Field(default_factory=dict)
    ipv6: bool = False

    @classmethod
    def of(
        cls, resolvers: Iterable[str], *, routes: Mapping[str, str] | None = None, ipv6: bool = False
    ) -> Self:
        """Return a network of resolvers given as addresses, or as names that `routes` knows.

        Raises InputError when there is none, or one that is neither.
        """
        ways = dict(routes or {})
        found = tuple(_server(ways, text, text) for text in resolvers)
        if not found:
            raise InputError("no resolver to ask; name at least one, such as 1.1.1.1")
        return cls(resolvers=found, routes=ways, ipv6=ipv6)

    def server(self, name: str, address: str) -> Server:
        """Return the server of that name at an address, or where its route leads."""
        return _server(self.routes, name, address)

    def knows(self, host: str) -> bool:
        """Say whether a host is reached by a route of its own, so that its address need not be asked."""
        return host in self.routes or host.rstrip(".") in self.routes


def _server(routes: Mapping[str, str], name: str, address: str) -> Server:
    route = next((routes[key] for key in (address, name, name.rstrip(".")) if key in routes), address)
    return Server.parse(route, name=name)


def rehearsal_network(step: Step) -> Network:
    """Return the sandbox's network: its resolvers in order, routes to all of its servers and to its site."""
    listening = step.rehearsal().addresses
    servers = listening.get("dns", {})
    resolvers = sorted(name for name in servers if name.startswith(RESOLVER))
    return Network.of(resolvers, routes={**listening.get("site", {}), **servers})


def read_servers(step: Step, network: Network, hosts: Sequence[str]) -> dict[str, list[Server]]:
    """Return the servers behind nameservers' host names, an empty list for a host without an address.

    Raises StepFailed when no resolver answers for a host.
    """
    names = list(dict.fromkeys(map(absolute, hosts)))
    found = {name: [network.server(name, name)] for name in names if network.knows(name)}
    kinds = ("A", "AAAA") if network.ipv6 else ("A",)
    questions = [Question.of(name, kind) for name in names if name not in found for kind in kinds]
    resolvers = network.resolvers[:ASKED]
    answers = ask([(one, question) for question in questions for one in resolvers], clock=step.clock)
    for at, question in enumerate(questions):
        told = _first_told(answers[at * len(resolvers) : (at + 1) * len(resolvers)])
        found.setdefault(question.name, [])
        found[question.name] += [network.server(question.name, address) for address in told.values]
    return {name: found[name] for name in names}


def ask_resolvers(step: Step, network: Network, question: Question) -> Answer:
    """Return the first answer of the preferred resolvers; StepFailed when none of them gives one."""
    return _first_told(read_answers(step, network.resolvers[:ASKED], [question]))


def _first_told(answers: Sequence[Answer]) -> Answer:
    told = [one for one in answers if one.outcome in ("answer", "nodata", "nxdomain")]
    if told:
        return told[0]
    heard = "; ".join(one.in_a_line() for one in answers)
    raise StepFailed(f"no resolver answers: {heard}. Check the network and the resolvers named, then resume")
