"""What Vercel's nameservers make of a zone's records: names made absolute, own records before system ones."""

from __future__ import annotations

from collections.abc import Iterable

from runbook.sandbox.dns.zone import RecordSet, Zone, txt_value
from runbook.sandbox.world.state import Doc

DEFAULT_TTL_S = 60
KINDS = ("A", "AAAA", "ALIAS", "CAA", "CNAME", "HTTPS", "MX", "NS", "SRV", "TXT")
ADDRESSES = ("A", "AAAA", "ALIAS", "CNAME")


def full_name(domain: str, name: str) -> str:
    """Return a record's name as the DNS has it."""
    return f"{name}.{domain}." if name else f"{domain}."


def rdata(doc: Doc) -> str:
    """Return a record's value in zone-file form."""
    value = str(doc["value"])
    match doc["type"]:
        case "TXT":
            return txt_value(value)
        case "MX":
            return f"{doc['priority']} {dotted(value)}"
        case "SRV":
            weight, port, target = value.split(" ")
            return f"{doc['priority']} {weight} {port} {dotted(target)}"
        case "HTTPS":
            target, _, params = value.partition(" ")
            return f"{doc['priority']} {dotted(target)} {params}".rstrip()
        case "ALIAS" | "CNAME" | "NS":
            return dotted(value)
        case _:
            return value


def dotted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def served(records: Iterable[Doc]) -> list[Doc]:
    """Return the records of one name that are answered.

    An own address or alias there puts out the system's; CAA records stand together.
    """
    docs = list(records)
    own = any(doc["type"] in ADDRESSES and not doc["system"] for doc in docs)
    return [doc for doc in docs if not (own and doc["system"] and doc["type"] in ADDRESSES)]


def publish(zone: Zone, domain: str, names: Iterable[str], records: Iterable[Doc]) -> None:
    """Make a zone answer `records` at `names`, all or none; ValueError: a zone cannot hold them."""
    by_name: dict[str, list[Doc]] = {name: [] for name in names}
    for doc in records:
        if doc["name"] in by_name:
            by_name[doc["name"]].append(doc)
    with zone.change():
        for name, docs in by_name.items():
            _publish_name(zone, full_name(domain, name), served(docs))


def _publish_name(zone: Zone, name: str, docs: list[Doc]) -> None:
    sets: dict[str, list[Doc]] = {}
    for doc in docs:
        sets.setdefault(doc["type"], []).append(doc)
    apex = name == zone.origin
    for kind in _kinds(zone, name):
        if kind not in sets and not (apex and kind == "NS"):  # the zone's own, which Vercel keeps
            zone.remove(name, kind)
    for kind, members in sets.items():
        ttl_s = min(doc["ttl"] for doc in members)
        zone.put(RecordSet(name, kind, ttl_s, tuple(dict.fromkeys(rdata(doc) for doc in members))))


def _kinds(zone: Zone, name: str) -> list[str]:
    return [kind for kind in KINDS if zone.get(name, kind) is not None]
