"""Whether a zone is signed, and whether what its parent says of its keys still holds (RFC 4035 §5.2)."""

from __future__ import annotations

from typing import Literal

import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdata import Rdata

from runbook.errors import StepFailed
from runbook.providers.dns.answers import Answer, Question
from runbook.providers.dns.asking import Manner, read_answers
from runbook.providers.dns.delegation import Delegation
from runbook.providers.dns.network import Network, read_servers
from runbook.providers.dns.records import RecordSet, absolute
from runbook.step import Step
from runbook.values import Value

State = Literal["unsigned", "signed", "broken", "island"]
MEANING: dict[State, str] = {
    "unsigned": "no DS at the parent, no keys in the zone",
    "signed": "a key of the zone fits a DS at the parent",
    "broken": "the parent has a DS that no key of the zone fits: who validates sees SERVFAIL",
    "island": "the zone has keys that its parent does not know: nobody validates it",
}


class Security(Value):
    """A zone's DNSSEC: the parent's DS against the keys its nameservers show. `silent` did not answer."""

    zone: str
    state: State
    meaning: str
    ds: RecordSet | None
    keys: RecordSet | None
    silent: tuple[str, ...] = ()


def read_security(
    step: Step, network: Network, delegation: Delegation, *, nameservers: tuple[str, ...] = ()
) -> Security:
    """Return what a delegation's DS and the keys at `nameservers` (its own unless named) amount to.

    Naming other nameservers tells beforehand what a switch to them would do. The worst of what the servers
    show counts: one without the key breaks the zone for those who ask it. StepFailed when none answers.
    """
    hosts = nameservers or delegation.nameservers
    servers = [one for found in read_servers(step, network, hosts).values() for one in found]
    question = Question.of(delegation.zone, "DNSKEY", zone=delegation.zone)
    manner = Manner(recursive=False, dnssec=True)
    answers = read_answers(step, servers, [question], manner=manner)
    told = [one for one in answers if one.outcome in ("answer", "nodata")]
    if not told:
        heard = "; ".join(one.in_a_line() for one in answers) or "they have no addresses"
        raise StepFailed(f"none of {', '.join(hosts)} tells the keys of {delegation.zone}: {heard}")
    keys = min((one.found for one in told), key=lambda found: _fits(delegation.zone, delegation.ds, found))
    state = _state(delegation.zone, delegation.ds, keys)
    return Security(
        zone=delegation.zone,
        state=state,
        meaning=MEANING[state],
        ds=delegation.ds,
        keys=keys,
        silent=tuple(one.server.name for one in answers if one not in told),
    )


def read_proof(step: Step, network: Network, name: str, kind: str) -> tuple[Answer, ...]:
    """Return what each resolver says; `authentic` tells who validated it, "servfail" who could not."""
    return read_answers(step, network.resolvers, [Question.of(name, kind)], manner=Manner(dnssec=True))


def _state(zone: str, ds: RecordSet | None, keys: RecordSet | None) -> State:
    if ds is None:
        return "unsigned" if keys is None else "island"
    return "signed" if _fits(zone, ds, keys) else "broken"


def _fits(zone: str, ds: RecordSet | None, keys: RecordSet | None) -> bool:
    """Say whether any key is one that any DS speaks of; without a DS, whether there are keys."""
    if ds is None or keys is None:
        return keys is not None
    name = dns.name.from_text(absolute(zone))
    pairs = ((one, key) for one in ds.values for key in keys.values)
    return any(_is_of(name, _rdata("DS", one), _rdata("DNSKEY", key)) for one, key in pairs)


def _rdata(kind: str, text: str) -> Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), text)


def _is_of(zone: dns.name.Name, ds: Rdata, key: Rdata) -> bool:
    try:
        made = dns.dnssec.make_ds(zone, key, ds.digest_type, validating=True)  # type: ignore[attr-defined]
    except (dns.exception.DNSException, ValueError):
        return False  # a digest that we cannot make proves nothing
    return bool(made == ds)
