"""What one DNS record may be, and what becomes of it: Cloudflare's normal form, rdata for the nameservers.

A record is name, type, ttl, proxied, comment, tags, and either `content` or, for types of several fields,
`data` (and then a content that the API derives). Sources: the API's description; docs,
dns/manage-dns-records: reference/ttl, reference/dns-record-types (4,096 bytes of
wire, 8,192 characters a set), how-to/batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
from dns.rdata import Rdata

from runbook.sandbox.dns.zone import to_name, txt_value
from runbook.sandbox.vendors.cloudflare.saying_no import Refusal
from runbook.sandbox.world.state import Doc

AUTOMATIC: Final = 1
AUTOMATIC_S: Final = 300
TTL_MOST_S: Final = 86_400
WIRE_BYTES: Final = 4_096
PROXIABLE: Final = frozenset({"A", "AAAA", "CNAME"})
HOSTS: Final = frozenset({"CNAME", "NS", "PTR"})
_CONTENT_CODES: Final = {
    "A": (9005, "Content for A record must be a valid IPv4 address."),
    "AAAA": (9006, "Content for AAAA record must be a valid IPv6 address."),
    "CNAME": (9007, "Content for CNAME record is invalid."),
    "MX": (9009, "Content for MX record must be a hostname."),
}
_INVALID: Final = 1004

# Fields of `data` in the order of the rdata; a star: in double quotes.
_FIELDS: Final = {
    "CAA": ("flags", "tag", "*value"),
    "CERT": ("type", "key_tag", "algorithm", "certificate"),
    "DNSKEY": ("flags", "protocol", "algorithm", "public_key"),
    "DS": ("key_tag", "algorithm", "digest_type", "digest"),
    "HTTPS": ("priority", "target", "value"),
    "NAPTR": ("order", "preference", "*flags", "*service", "*regex", "replacement"),
    "SMIMEA": ("usage", "selector", "matching_type", "certificate"),
    "SRV": ("priority", "weight", "port", "target"),
    "SSHFP": ("algorithm", "type", "fingerprint"),
    "SVCB": ("priority", "target", "value"),
    "TLSA": ("usage", "selector", "matching_type", "certificate"),
    "URI": ("weight", "*target"),
}
_NUMBERS: Final = frozenset(
    (
        *("flags", "key_tag", "algorithm", "protocol", "digest_type", "type", "priority", "weight", "port"),
        *("order", "preference", "usage", "selector", "matching_type"),
    )
)


def checked(asked: Doc, zone: str, *, least_ttl_s: int) -> Doc:
    """Return a record in Cloudflare's normal form, without id and times; Refusal names what is wrong."""
    kind = str(asked.get("type", "")).upper()
    if kind not in _MAKERS:
        raise Refusal(_INVALID, f"DNS Validation Error: type {kind or 'missing'} is not supported.")
    name = absolute(asked.get("name"), zone)
    proxied = asked.get("proxied") is True
    if proxied and kind not in PROXIABLE:
        raise Refusal(9041, "This DNS record cannot be proxied.")
    made = {
        "type": kind,
        "name": name,
        "ttl": AUTOMATIC if proxied else _ttl(asked.get("ttl"), least_ttl_s),
        "comment": asked.get("comment"),
        "tags": list(asked.get("tags") or []),
        **({"proxied": proxied} if kind in PROXIABLE else {}),
        **_MAKERS[kind](kind, asked),
    }
    if len(rdata(made).to_wire() or b"") > WIRE_BYTES:
        raise Refusal(_INVALID, f"DNS Validation Error: a record is at most {WIRE_BYTES} bytes long.")
    return made


def absolute(name: Any, zone: str) -> str:
    """Return a name as Cloudflare keeps it: whole, lower-case, in A-labels, without the last dot.

    "@" is the apex; what does not end with the zone's name is taken to be below it, whatever was meant.
    """
    if not isinstance(name, str) or not name:
        raise Refusal(9000, "DNS name is invalid.")
    text, origin = name.rstrip("."), to_name(zone)
    try:
        found = origin if name == "@" else to_name(text)
        if not found.is_subdomain(origin):
            found = to_name(f"{text}.{zone}")
    except ValueError as error:
        raise Refusal(9000, "DNS name is invalid.") from error
    return found.to_text(omit_final_dot=True)


def rdata(record: Doc) -> Rdata:
    """Return a record's rdata; Refusal when its content is none of its type."""
    kind = record["type"]
    try:
        return dns.rdata.from_text(
            dns.rdataclass.IN,
            dns.rdatatype.from_text(kind),
            _zone_file(record),
            origin=dns.name.root,
            relativize=False,
            idna_codec=dns.name.IDNA_2008_Practical,
        )
    except (dns.exception.DNSException, ValueError, KeyError) as error:
        code, words = _CONTENT_CODES.get(kind, (_INVALID, f"Content for {kind} record is invalid."))
        raise Refusal(code, words) from error


def seconds(record: Doc) -> int:
    """Return the TTL that the nameservers give."""
    return AUTOMATIC_S if record["ttl"] == AUTOMATIC else int(record["ttl"])


def _ttl(asked: Any, least_s: int) -> int:
    if asked is None or asked == AUTOMATIC:
        return AUTOMATIC
    if not isinstance(asked, int | float) or not least_s <= asked <= TTL_MOST_S:
        raise Refusal(
            9021, f"Invalid TTL. Must be between {least_s} and {TTL_MOST_S} seconds, or 1 for Automatic."
        )
    return int(asked)


def _zone_file(record: Doc) -> str:
    """Return a record's content as a zone file has it."""
    kind, content = record["type"], record["content"]
    if kind == "TXT":
        return _strings(content) if content.startswith('"') else txt_value(content)
    if kind == "URI":
        return f"{record['priority']} {content}"
    if kind == "SRV":
        return f"{record['data']['priority']} {content}"
    if kind == "MX":
        return f"{record['priority']} {content}"
    return str(content)


def _strings(content: str) -> str:
    """Return quoted strings, those of more than 255 bytes cut into several, as Cloudflare does."""
    tokens = dns.tokenizer.Tokenizer(content)
    found = []
    while not (token := tokens.get()).is_eol_or_eof():
        found.append(txt_value(token.unescape_to_bytes().value))
    return " ".join(found)


# Makers of content, data and priority, a kind of type each


def _plain(kind: str, asked: Doc) -> Doc:
    content = asked.get("content")
    if not isinstance(content, str) or not content.strip():
        code, words = _CONTENT_CODES.get(kind, (_INVALID, f"Content for {kind} record is invalid."))
        raise Refusal(code, words)
    content = content.strip()
    if kind == "TXT":
        try:
            return {"content": _strings(content) if content.startswith('"') else content}
        except dns.exception.DNSException as error:
            raise Refusal(_INVALID, "Content for TXT record has unbalanced quotation marks.") from error
    text = rdata({"type": kind, "content": content}).to_text()
    return {"content": text if text == "." else text.rstrip(".").lower()}


def _mx(kind: str, asked: Doc) -> Doc:
    priority = _number(kind, "priority", asked.get("priority"))
    host = str(asked.get("content") or "")
    found = rdata({"type": kind, "content": host, "priority": priority})
    text = found.to_text().partition(" ")[2]
    return {"content": text if text == "." else text.rstrip(".").lower(), "priority": priority}


def _fielded(kind: str, asked: Doc) -> Doc:
    data = asked.get("data")
    if not isinstance(data, dict):
        raise Refusal(9101, f"data is a required field for {kind} records.")
    names = [field.lstrip("*") for field in _FIELDS[kind]]
    kept: Doc = {}
    for name in names:
        value = data.get(name)
        if name in _NUMBERS and not (kind == "NAPTR" and name == "flags"):
            kept[name] = _number(kind, name, value)
        elif isinstance(value, str):
            kept[name] = value.strip()
        else:
            raise Refusal(9101, f"data.{name} is a required field for {kind} records.")
    if kind == "SRV" and kept["target"] != ".":
        kept["target"] = kept["target"].rstrip(".").lower()
    made: Doc = {"data": kept, "content": _joined(kind, kept)}
    if kind == "URI":
        made["priority"] = _number(kind, "priority", asked.get("priority"))
    text = rdata({"type": kind, **made}).to_text()
    if kind == "SRV":
        text = text.partition(" ")[2].rstrip(".") if kept["target"] != "." else text.partition(" ")[2]
    elif kind == "URI":
        text = text.partition(" ")[2]
    return {**made, "content": text}


def _joined(kind: str, data: Doc) -> str:
    fields = _FIELDS[kind][1:] if kind == "SRV" else _FIELDS[kind]
    parts = []
    for field in fields:
        value = data[field.lstrip("*")]
        quoted = f'"{str(value).replace(chr(34), chr(92) + chr(34))}"' if field.startswith("*") else value
        parts.append(str(quoted))
    return " ".join(parts).strip()


def _loc(kind: str, asked: Doc) -> Doc:
    data = asked.get("data")
    if not isinstance(data, dict):
        raise Refusal(9101, "data is a required field for LOC records.")
    try:
        sides = [
            f"{data[f'{side}_degrees']} {data[f'{side}_minutes']} {float(data[f'{side}_seconds']):.3f} "
            f"{data[f'{side}_direction']}"
            for side in ("lat", "long")
        ]
        metres = [f"{float(data[name]):.2f}m" for name in ("altitude", "size")]
        metres += [f"{float(data[f'precision_{name}']):.2f}m" for name in ("horz", "vert")]
    except (KeyError, TypeError, ValueError) as error:
        raise Refusal(9101, "data of a LOC record is incomplete.") from error
    content = " ".join([*sides, *metres])
    return {"data": dict(data), "content": rdata({"type": kind, "content": content}).to_text()}


def _number(kind: str, name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise Refusal(9101, f"{name} is a required field for {kind} records.")
    return int(value)


_MAKERS: Final[dict[str, Callable[[str, Doc], Doc]]] = {
    **dict.fromkeys(("A", "AAAA", "TXT", *sorted(HOSTS)), _plain),
    **dict.fromkeys(_FIELDS, _fielded),
    "MX": _mx,
    "LOC": _loc,
}
