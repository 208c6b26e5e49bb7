"""The DNS itself: chosen nameservers asked directly, many resolvers at once, parents, DNSSEC, DoH.

    records.py     record sets in one normal form, and how two lists of them differ
    answers.py     Server, Question, Answer: every way to fail told apart
    asking.py      many questions to many servers at once
    network.py     which resolvers, and how nameservers are reached
    delegation.py  what the parent zone says: NS, DS, their TTLs
    dnssec.py      whether a zone is signed, and whether its DS fits
    doh.py         two public resolvers over HTTPS

    network = Network.of(["1.1.1.1", "8.8.8.8"])
    delegation = read_delegation(step, network, "omnihub.dev")
    servers = read_servers(step, network, delegation.nameservers)
    answers = read_answers(step, network.resolvers, [Question.of("www.omnihub.dev", "A")])

In the sandbox `rehearsal_network(step)` leads to its servers, by the names and addresses its DNS gives.
"""

from runbook.providers.dns.answers import Answer, Outcome, Question, Server
from runbook.providers.dns.asking import DIRECT, PATIENT, Manner, ask, read_answers
from runbook.providers.dns.delegation import Delegation, find_parent, read_delegation
from runbook.providers.dns.dnssec import Security, read_proof, read_security
from runbook.providers.dns.doh import ask_doh, read_doh
from runbook.providers.dns.network import Network, ask_resolvers, read_servers, rehearsal_network
from runbook.providers.dns.records import (
    Difference,
    RecordSet,
    absolute,
    differences,
    for_people,
    gather,
    normal_value,
    record_set,
    txt_value,
)

__all__ = [
    "DIRECT",
    "PATIENT",
    "Answer",
    "Delegation",
    "Difference",
    "Manner",
    "Network",
    "Outcome",
    "Question",
    "RecordSet",
    "Security",
    "Server",
    "absolute",
    "ask",
    "ask_doh",
    "ask_resolvers",
    "differences",
    "find_parent",
    "for_people",
    "gather",
    "normal_value",
    "read_answers",
    "read_delegation",
    "read_doh",
    "read_proof",
    "read_security",
    "read_servers",
    "record_set",
    "rehearsal_network",
    "txt_value",
]
