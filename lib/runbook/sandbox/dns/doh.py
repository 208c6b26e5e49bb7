"""DNS over HTTPS in front of a resolver: Google's and Cloudflare's JSON, and RFC 8484's bytes.

Both shapes hold `Status` (the RCODE) inside HTTP 200 and leave `Answer` out when it is empty. They differ:
Google joins a TXT's strings without quotes and gives `Comment` as text, Cloudflare keeps quotes and gives a
list; Cloudflare wants `Accept: application/dns-json`, without which the same path speaks bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype
from dns.edns import EDEOption
from dns.message import Message
from dns.rdatatype import RdataType
from dns.rrset import RRset

from runbook.sandbox.dns.wire import Endpoint
from runbook.sandbox.dns.zone import to_name

Vendor = Literal["google", "cloudflare"]
JSON = "application/dns-json"
WIRE = "application/dns-message"
FALSE, TRUE = ("", "0", "false"), ("1", "true")
BAD, NOT_TAKEN = 400, 415


@dataclass(frozen=True)
class Response:
    """An HTTP response: status, type and body."""

    status: int
    content_type: str
    body: bytes


def answer_json(resolver: Endpoint, vendor: Vendor, query: dict[str, str]) -> Response:
    """Answer `?name=&type=&cd=&do=` in a vendor's JSON; an invalid question is HTTP 400 with `error`."""
    try:
        message = _asked(query)
    except ValueError as error:
        return Response(BAD, JSON, json.dumps({"error": str(error)}).encode())
    wire = resolver.handle(message.to_wire(), tcp=True)
    if wire is None:
        return Response(BAD, JSON, json.dumps({"error": "the resolver does not answer"}).encode())
    body = _shown(dns.message.from_wire(wire), vendor, resolver.address)
    return Response(200, "application/json; charset=UTF-8" if vendor == "google" else JSON, body)


def answer_wire(resolver: Endpoint, message: bytes | str) -> Response:
    """Answer a DNS message, or its base64url form from `?dns=` (RFC 8484 §4.1)."""
    try:
        wire = message if isinstance(message, bytes) else _unpadded(message)
    except (binascii.Error, ValueError):
        return Response(BAD, "text/plain", b"dns is no base64url")
    answer = resolver.handle(wire, tcp=True)
    if answer is None:
        return Response(BAD, "text/plain", b"no DNS query")
    return Response(200, WIRE, answer)


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _asked(query: dict[str, str]) -> Message:
    """Return the question as a message; ValueError says what is wrong with it."""
    name = query.get("name", "")
    if not name:
        raise ValueError("Invalid query name: it must not be empty.")
    message = dns.message.make_query(to_name(name), _type(query.get("type") or "A"), use_edns=0)
    message.flags |= dns.flags.AD
    if _flag(query, "cd"):
        message.flags |= dns.flags.CD
    if _flag(query, "do"):
        message.want_dnssec()
    return message


def _type(text: str) -> RdataType:
    try:
        return RdataType.make(int(text) if text.isdigit() else text.upper())
    except (dns.exception.DNSException, ValueError) as error:
        raise ValueError(f"Invalid query type `{text}`.") from error


def _flag(query: dict[str, str], name: str) -> bool:
    text = query.get(name, "").lower()
    if text not in (*FALSE, *TRUE):
        right = "Expected to be empty or one of `0`, `false`, `1`, or `true`."
        raise ValueError(f"Invalid {name.upper()} flag `{text}`. {right}")
    return text in TRUE


def _shown(reply: Message, vendor: Vendor, address: str) -> bytes:
    flags = {one: bool(reply.flags & dns.flags.Flag[one]) for one in ("TC", "RD", "RA", "AD", "CD")}
    asked = [{"name": one.name.to_text(), "type": int(one.rdtype)} for one in reply.question]
    shown: dict[str, Any] = {"Status": int(reply.rcode()), **flags, "Question": asked}
    for title, section in (("Answer", reply.answer), ("Authority", reply.authority)):
        if section:
            shown[title] = list(_records(section, vendor))
    said = [one.text or "" for one in reply.options if isinstance(one, EDEOption)]
    if vendor == "cloudflare" and said:
        shown["Comment"] = said
    elif vendor == "google":
        shown["Comment"] = "; ".join([*said, f"Response from {address}."])
    return json.dumps(shown).encode()


def _records(section: Iterable[RRset], vendor: Vendor) -> Iterable[dict[str, Any]]:
    for records in section:
        for rdata in records:
            text = rdata.to_text()
            if vendor == "google" and records.rdtype == RdataType.TXT:
                text = b"".join(rdata.strings).decode("utf-8", "backslashreplace")
            kind = int(records.rdtype)
            yield {"name": records.name.to_text(), "type": kind, "TTL": records.ttl, "data": text}
