"""What a parent zone says of a zone, read from the parent's own nameservers: NS, DS, and their TTLs.

A resolver's answer will not do: it shows what is left of a TTL, and of the NS sets the zone's own. The parent
is found with resolvers, then each of its servers is asked without recursion.
"""

from __future__ import annotations

from collections.abc import Sequence

from runbook.errors import InputError, StepFailed
from runbook.providers.dns.answers import Answer, Question, Server
from runbook.providers.dns.asking import DIRECT, ask
from runbook.providers.dns.network import Network, ask_resolvers, read_servers
from runbook.providers.dns.records import RecordSet, absolute, parse_name
from runbook.step import Step
from runbook.values import Value


class Delegation(Value):
    """A zone's delegation: `ns` and `ds` as its parent gives them, with the parent's TTLs.

    `ds` None: the parent says there is none, and that is kept for `ds_negative_ttl_s`. `disagreeing` are the
    parent's servers that say something else (a change on its way), `silent` those that said nothing usable.
    """

    zone: str
    parent: str
    ns: RecordSet
    ds: RecordSet | None
    ds_negative_ttl_s: int | None
    disagreeing: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()

    @property
    def nameservers(self) -> tuple[str, ...]:
        return self.ns.values


def find_parent(step: Step, network: Network, zone: str) -> tuple[str, tuple[str, ...]]:
    """Return the zone that delegates `zone`, and that zone's nameservers.

    Raises InputError for the root, StepFailed when no resolver answers.
    """
    name = parse_name(zone)
    if len(name.labels) == 1:
        raise InputError("the root has no parent; name a zone such as omnihub.dev")
    while len(name.labels) > 1:
        name = name.parent()
        found = ask_resolvers(step, network, Question.of(name.to_text(), "NS"))
        own = found.found
        if own is not None and own.name == name.to_text():
            return own.name, own.values
    raise StepFailed(
        f"no zone above {zone} was found, not even the root; check the resolvers named, then resume"
    )


def read_delegation(step: Step, network: Network, zone: str) -> Delegation:
    """Return a zone's delegation.

    Raises StepFailed when none of the parent's servers can be asked, or the zone is not delegated.
    """
    zone = absolute(zone)
    parent, hosts = find_parent(step, network, zone)
    servers = [one for found in read_servers(step, network, hosts).values() for one in found]
    if not servers:
        raise StepFailed(f"no nameserver of {parent} has an address; resume when the resolvers know them")
    ns, ds = _ask_parent(step, servers, parent, zone)
    usable = [
        (one, _ns_of(one, zone), other)
        for one, other in zip(ns, ds, strict=True)
        if _ns_of(one, zone) is not None and other.outcome in ("answer", "nodata", "nxdomain")
    ]
    if not usable:
        heard = "; ".join(one.in_a_line() for one in (*ns, *ds))
        raise StepFailed(f"{zone} is not delegated by {parent}, or nobody there answers: {heard}")
    views = [(found, other.found) for _, found, other in usable]
    first = views[0]
    negative = usable[0][2].ttl_s if first[1] is None else None
    assert first[0] is not None  # noqa: S101  # for the type checker: only such are usable
    return Delegation(
        zone=zone,
        parent=parent,
        ns=first[0],
        ds=first[1],
        ds_negative_ttl_s=negative,
        disagreeing=tuple(
            one.server.name for (one, _, _), view in zip(usable, views, strict=True) if view != first
        ),
        silent=tuple(one.server.name for one in ns if one not in [each[0] for each in usable]),
    )


def _ask_parent(
    step: Step, servers: Sequence[Server], parent: str, zone: str
) -> tuple[tuple[Answer, ...], tuple[Answer, ...]]:
    questions = [Question.of(zone, kind, zone=parent) for kind in ("NS", "DS")]
    answers = ask([(one, each) for each in questions for one in servers], manner=DIRECT, clock=step.clock)
    return answers[: len(servers)], answers[len(servers) :]


def _ns_of(answer: Answer, zone: str) -> RecordSet | None:
    """Return the NS set of the zone cut: in a referral, or in an answer of a server that hosts both."""
    section = answer.authority if answer.outcome == "referral" else answer.records
    return next((one for one in section if one.key == (zone, "NS")), None)
