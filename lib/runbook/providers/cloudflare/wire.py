"""Records between our normal form (providers/dns/records.py) and the fields of Cloudflare's API.

Types of several fields travel as `data`; TXT in double quotes, as the API wants them since 2024 (unquoted
ones are still read back from zones made before). A CNAME at the apex is flattened by Cloudflare: here it is
an ALIAS.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdata import Rdata

from runbook.errors import InputError, SurprisingReply
from runbook.providers.dns.records import (
    ALIAS,
    IDNA,
    RecordSet,
    absolute,
    gather,
    normal_value,
    parse_name,
    txt_value,
)
from runbook.providers.shape import Shape
from runbook.values import Value

AUTOMATIC: Final = 1
PROXIABLE: Final = frozenset({"A", "AAAA", "CNAME", ALIAS})
_NAMED: Final = frozenset({"CNAME", "NS", "PTR"})
_FIELDS: Final = {
    "DNSKEY": ("flags", "protocol", "algorithm", "public_key"),
    "DS": ("key_tag", "algorithm", "digest_type", "digest"),
    "SMIMEA": ("usage", "selector", "matching_type", "certificate"),
    "SSHFP": ("algorithm", "type", "fingerprint"),
    "TLSA": ("usage", "selector", "matching_type", "certificate"),
}
"""Types whose values are whole numbers and then one blob."""


class Entry(Value):
    """One record as it should be: name and value in normal form; `ttl_s` None: Cloudflare decides (300 s).

    `proxied` is for A, AAAA, CNAME and ALIAS, and makes the TTL Cloudflare's.
    """

    name: str
    type: str
    value: str
    ttl_s: int | None = None
    proxied: bool = False
    comment: str = ""

    @classmethod
    def of(
        cls,
        name: str,
        kind: str,
        value: str,
        *,
        ttl_s: int | None = None,
        proxied: bool = False,
        comment: str = "",
    ) -> Entry:
        """Return an entry from any spelling of name and value; ValueError when they are none."""
        return cls(
            name=absolute(name),
            type=kind.upper(),
            value=normal_value(kind, value),
            ttl_s=None if proxied else ttl_s,
            proxied=proxied,
            comment=comment,
        )

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what makes it this record and no other."""
        return self.name, self.type, self.value

    def in_a_line(self) -> str:
        ttl = "proxied" if self.proxied else "automatic" if self.ttl_s is None else f"{self.ttl_s} s"
        return f"{self.name} {self.type} {ttl}: {self.value}"


class Record(Entry):
    """One record as Cloudflare holds it."""

    id: str

    def is_as(self, entry: Entry) -> bool:
        """Say whether nothing is to be changed about it to make it `entry`."""
        fields = ("key", "ttl_s", "proxied", "comment")
        return all(getattr(self, field) == getattr(entry, field) for field in fields)


class Raw(Shape):
    """One record as the API shows it."""

    id: str
    name: str
    type: str
    content: str
    ttl: int
    proxied: bool = False
    priority: int | None = None
    data: dict[str, Any] | None = None
    comment: str | None = None


def record_sets(records: Iterable[Entry]) -> tuple[RecordSet, ...]:
    """Return records as sets, to be compared with another vendor's."""
    return gather(
        RecordSet(name=one.name, type=one.type, ttl_s=one.ttl_s, values=(one.value,)) for one in records
    )


def record_of(raw: Raw, zone: str) -> Record:
    """Return a record of the zone named `zone`; SurprisingReply when its content is none of its type."""
    try:
        name = absolute(raw.name)
        at_apex = parse_name(name) == parse_name(zone)
        kind = ALIAS if raw.type == "CNAME" and at_apex else raw.type
        value = _value(raw, kind)
    except (ValueError, KeyError) as error:
        raise SurprisingReply(
            f"cloudflare shows a record {raw.id} of type {raw.type} whose content is none: {error}",
            vendor="cloudflare",
            call="read_records",
        ) from error
    return Record(
        id=raw.id,
        name=name,
        type=kind,
        value=value,
        ttl_s=None if raw.ttl == AUTOMATIC or raw.proxied else raw.ttl,
        proxied=raw.proxied,
        comment=raw.comment or "",
    )


def body_of(entry: Entry) -> dict[str, Any]:
    """Return an entry as the API wants it; InputError for a type that is not written here."""
    kind = "CNAME" if entry.type == ALIAS else entry.type
    name = parse_name(entry.name).to_text(omit_final_dot=True)
    return {"name": name, "type": kind, **_content(kind, entry.value), **attributes_of(entry)}


def attributes_of(entry: Entry) -> dict[str, Any]:
    """Return what can be changed about a record that stays itself."""
    ttl = AUTOMATIC if entry.proxied or entry.ttl_s is None else entry.ttl_s
    proxied = {"proxied": entry.proxied} if entry.type in PROXIABLE else {}
    return {"ttl": ttl, **proxied, "comment": entry.comment or None}


def _value(raw: Raw, kind: str) -> str:
    data = raw.data or {}
    match raw.type:
        case "TXT" if not raw.content.lstrip().startswith('"'):
            return txt_value(raw.content)
        case "MX":
            text = f"{raw.priority} {raw.content}"
        case "SRV":
            text = f"{data['priority']} {data['weight']} {data['port']} {data['target']}"
        case "URI":
            text = f"{raw.priority} {raw.content}"
        case _:
            text = raw.content
    return normal_value(kind, text)


def _content(kind: str, value: str) -> dict[str, Any]:
    if kind in ("A", "AAAA", "TXT"):
        return {"content": value}
    if kind in _NAMED:
        return {"content": _bare(value)}
    if kind in _FIELDS:
        return {"data": _fields(kind, value)}
    parsed: Any = _parsed(kind, value)
    match kind:
        case "MX":
            return {"priority": parsed.preference, "content": _bare(parsed.exchange.to_text())}
        case "SRV":
            target = _bare(parsed.target.to_text())
            numbers = {"priority": parsed.priority, "weight": parsed.weight, "port": parsed.port}
            return {"data": {**numbers, "target": target}}
        case "CAA":
            return {"data": {"flags": parsed.flags, "tag": _text(parsed.tag), "value": _text(parsed.value)}}
        case "URI":
            data = {"weight": parsed.weight, "target": _text(parsed.target)}
            return {"priority": parsed.priority, "data": data}
        case "HTTPS" | "SVCB":
            priority, target, *rest = value.split(" ", 2)
            return {"data": {"priority": int(priority), "target": target, "value": rest[0] if rest else ""}}
        case "NAPTR":
            words = {"flags": parsed.flags, "service": parsed.service, "regex": parsed.regexp}
            numbers = {"order": parsed.order, "preference": parsed.preference}
            replacement = {"replacement": parsed.replacement.to_text()}
            return {"data": {**numbers, **{k: _text(v) for k, v in words.items()}, **replacement}}
    raise InputError(
        f"records of type {kind} are not written to Cloudflare by this tool; make {value!r} by hand in its "
        "dashboard, then resume"
    )


def _fields(kind: str, value: str) -> dict[str, Any]:
    *numbers, blob = _FIELDS[kind]
    parts = value.split(" ", len(numbers))
    found: dict[str, Any] = {name: int(part) for name, part in zip(numbers, parts, strict=False)}
    return {**found, blob: parts[-1].replace(" ", "")}


def _parsed(kind: str, value: str) -> Rdata:
    rdtype = dns.rdatatype.from_text(kind)
    return dns.rdata.from_text(dns.rdataclass.IN, rdtype, value, relativize=False, idna_codec=IDNA)


def _bare(name: str) -> str:
    return name if name == "." else name.rstrip(".")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
