"""DNS over HTTPS at two public resolvers, through the one HTTP session.

Google and Cloudflare answer in JSON of one pattern, no standard: `Status` is the RCODE inside HTTP 200, an
empty `Answer` is left out, Google's TXT come without quotes, `Comment` is text or a list. Both are anycast
caches: an answer is one vantage point of many.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import dns.rcode
import dns.rdatatype
from dns.rcode import Rcode
from pydantic import Field

from runbook.errors import SurprisingReply, VendorUnavailable
from runbook.providers.connect import connect
from runbook.providers.dialect import Dialect
from runbook.providers.dns.answers import Answer, Outcome, Question, Server
from runbook.providers.dns.records import RecordSet, absolute, gather, normal_value, txt_value
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step

ACCEPT: Final = {"Accept": "application/dns-json"}
GOOGLE: Final = Dialect(vendor="google_dns", mount="/doh/google", headers=ACCEPT, attempts=3, patience_s=30)
CLOUDFLARE: Final = Dialect(
    vendor="cloudflare_dns", mount="/doh/cloudflare", headers=ACCEPT, attempts=3, patience_s=30
)
CALLS: Final = {GOOGLE.vendor: ("resolve", "/resolve"), CLOUDFLARE.vendor: ("dns_query", "/dns-query")}
HTTPS_PORT: Final = 443
Which = Literal["google", "cloudflare"]
DIALECTS: Final[dict[Which, Dialect]] = {"google": GOOGLE, "cloudflare": CLOUDFLARE}
QUOTED: Final = CLOUDFLARE.vendor  # who writes a TXT as a zone file has it


class _Record(Shape):
    name: str
    type: int
    ttl_s: int = Field(alias="TTL")
    data: str


class _Reply(Shape):
    status: int = Field(alias="Status")
    truncated: bool = Field(alias="TC")
    authentic: bool = Field(alias="AD")
    answer: tuple[_Record, ...] = Field(alias="Answer", default=())
    authority: tuple[_Record, ...] = Field(alias="Authority", default=())
    comment: Annotated[str | tuple[str, ...], Field(alias="Comment")] = ()


def read_doh(step: Step, question: Question, *, which: Which = "google") -> Answer:
    """Return what a public resolver says over HTTPS.

    Raises VendorUnavailable when it is out of reach, VendorRefused for a question it will not take,
    SurprisingReply for JSON of another shape.
    """
    with connect(step, DIALECTS[which]) as http:
        return _asked(http, question)


def ask_doh(http: Http, question: Question) -> Answer:
    """Return the same over an open session, for one vantage point of many: out of reach is an answer, too."""
    asked_at = http.clock.now()
    try:
        return _asked(http, question)
    except VendorUnavailable as error:
        return Answer(
            server=_server(http),
            question=question,
            outcome="unreachable",
            asked_at=asked_at,
            trouble=str(error),
        )


def _server(http: Http) -> Server:
    return Server(name=http.dialect.vendor, host=http.base_url, port=HTTPS_PORT)


def _asked(http: Http, question: Question) -> Answer:
    vendor = http.dialect.vendor
    asked_at, began_s = http.clock.now(), http.clock.monotonic_s()
    name, path = CALLS[vendor]
    reply = http.call(name, "GET", path, query={"name": question.name, "type": question.type}, into=_Reply)
    records = _record_sets(reply.answer, vendor)
    comment = (reply.comment,) if isinstance(reply.comment, str) else reply.comment
    return Answer(
        server=_server(http),
        question=question,
        outcome=_outcome(reply, records, question),
        asked_at=asked_at,
        rcode=dns.rcode.to_text(Rcode.make(reply.status)),
        records=records,
        authority=_record_sets(reply.authority, vendor),
        authentic=reply.authentic,
        said=comment,
        latency_ms=(http.clock.monotonic_s() - began_s) * 1000,
    )


def _outcome(reply: _Reply, records: tuple[RecordSet, ...], question: Question) -> Outcome:
    named: dict[int, Outcome] = {
        Rcode.SERVFAIL: "servfail",
        Rcode.REFUSED: "refused",
        Rcode.NXDOMAIN: "nxdomain",
    }
    if reply.status != Rcode.NOERROR:
        return named.get(reply.status, "other")
    return "answer" if any(one.type == question.type for one in records) else "nodata"


def _record_sets(records: tuple[_Record, ...], vendor: str) -> tuple[RecordSet, ...]:
    """Return records as sets in the order they came: aliases first."""
    found = [_record_set(one, vendor) for one in records]
    order = list(dict.fromkeys(one.key for one in found))
    return tuple(sorted(gather(found), key=lambda one: order.index(one.key)))


def _record_set(record: _Record, vendor: str) -> RecordSet:
    kind = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(record.type))
    try:
        is_plain = kind == "TXT" and vendor != QUOTED
        value = txt_value(record.data) if is_plain else normal_value(kind, record.data)
        return RecordSet(name=absolute(record.name), type=kind, ttl_s=record.ttl_s, values=(value,))
    except ValueError as error:
        raise SurprisingReply(
            f"{vendor} answered with a record that is none: {error}", vendor=vendor, call="resolve"
        ) from error
