"""DNS records as Vercel's API has them, and what its nameservers answer for them.

- Names are relative, "" is the apex; MX, SRV and HTTPS keep their priority beside the value.
- A listing holds the system's records too. They cannot be changed, and an own address or alias puts them out.
- A TTL is 60 s at least; a type cannot be changed; the reply to a change calls the type `recordType`.
- CAA parameters other than `cansignhttpexchanges` are refused, as Vercel does by mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from runbook.sandbox.dns.zone import Zone
from runbook.sandbox.vendors.vercel.desk import MOUNT, USER, Desk, Limit, missing, ms, no, page
from runbook.sandbox.vendors.vercel.serving import DEFAULT_TTL_S, publish
from runbook.sandbox.vendors.vercel.zonefile import OWN, SYSTEM, record
from runbook.sandbox.world.part import HEX, Answer, Call, Route
from runbook.sandbox.world.state import Doc

SIDE: Final = "vercel"
CONSOLE: Final = "/vercel-console/domains"
AT_ONCE: Final = 7  # records of a zone file in one millisecond
TYPES: Final = ("A", "AAAA", "ALIAS", "CAA", "CNAME", "HTTPS", "MX", "SRV", "TXT", "NS")
TTL_LEAST, TTL_MOST = 60, 2147483647
CREATES: Final = Limit("dns record creations", 100, timedelta(hours=1), tells=False)
UPDATES: Final = Limit("dns record updates", 50, timedelta(minutes=1), tells=True)
SYSTEM_COMMENT: Final = "Vercel automatically manages this record. It may change without notice"
_COMMON: Final = {"name", "type", "ttl", "comment"}
_OF_TYPE: Final[Mapping[str, set[str]]] = {"MX": {"value", "mxPriority"}, "SRV": {"srv"}, "HTTPS": {"https"}}
_CHANGEABLE: Final = {"name", "type", "ttl", "comment", "value", "mxPriority", "srv", "https"}
_CAA: Final = re.compile(r'^\d+ [a-z]+ "[^"]*"$')


class Wrong(ValueError):
    """What a record says cannot be."""


class Records(Desk):
    """The records of every domain, in the table `records`."""

    def routes(self) -> Iterable[Route]:
        listed = f"{MOUNT}/v4/domains/{{domain}}/records"
        yield Route("GET", listed, "read_records", self.listing)
        yield Route("POST", f"{MOUNT}/v2/domains/{{domain}}/records", "create_record", self.create)
        yield Route("PATCH", f"{MOUNT}/v1/domains/records/{{record}}", "update_record", self.update)
        yield Route("POST", f"{CONSOLE}/{{domain}}/zone-file", "upload_zone_file", self.upload, open=True)
        yield Route(
            "DELETE", f"{MOUNT}/v2/domains/{{domain}}/records/{{record}}", "delete_record", self.delete
        )

    def seed(self, domain: str) -> None:
        """Make the zone anew, with what the system put there and what a zone file brought."""
        self._zone(domain, anew=True)
        born, imported = ms(self.now - timedelta(days=400)), ms(self.now - timedelta(days=90))
        for name, kind, value in SYSTEM:
            doc = record(domain, name, kind, value, DEFAULT_TTL_S, None)
            born_so = {"created": born, "updated": born, "comment": SYSTEM_COMMENT}
            self._put({**doc, **born_so, "system": True, "creator": "system"})
        self.bring(domain, [record(domain, *row) for row in OWN], at=imported)

    def bring(
        self, domain: str, rows: Sequence[Doc], *, at: int | None = None, instead: bool = False
    ) -> None:
        """Add records as an uploaded zone file does: without a limit, several in one millisecond.

        `instead` of the own ones that are there. ValueError adds none and drops none.
        """
        first = self._moment(domain) if at is None else at
        docs = [
            {**row, "creator": USER, "created": (moment := first + number // AT_ONCE), "updated": moment}
            for number, row in enumerate(rows)
        ]
        dropped = {key for key, doc in self.table("records").items() if self._goes(doc, domain) and instead}
        left = [doc for key, doc in self.table("records").items() if key not in dropped]
        kept = [doc for doc in left if doc["domain"] == domain]
        publish(self._zone(domain), domain, self._names(domain, docs), [*kept, *docs])
        for key in dropped:
            self.table("records").drop(key)
        for doc in docs:
            self._put(doc)

    @staticmethod
    def _goes(doc: Doc, domain: str) -> bool:
        return bool(doc["domain"] == domain and not doc["system"])

    def upload(self, call: Call) -> Answer:
        """Do what the dashboard does with a zone file: `records` as a listing has them, all or none of them.

        `instead`: own records that are there go first. It is no part of Vercel's API.
        """
        domain, body = call.args["domain"], call.json()
        if domain not in self.table("domains"):
            return missing("Domain")
        asked = body.get("records") if isinstance(body, dict) else None
        if not isinstance(asked, list):
            return no(400, "bad_request", "Invalid request: `records` should be array.")
        try:
            rows = [_uploaded(domain, one) for one in asked]
            self.bring(domain, rows, instead=bool(body.get("instead")))
        except ValueError as error:
            return _refused(error)
        return Answer(200, {"records": len(rows)})

    def of(self, domain: str) -> list[Doc]:
        return [doc for doc in self.table("records").values() if doc["domain"] == domain]

    def drift(self, name: str, value: str) -> None:
        """Change a record behind everybody's back, as a colleague in the dashboard does."""
        key = next(key for key, doc in self.table("records").items() if doc["name"] == name)
        self._change(key, {"value": value})

    # Calls

    def listing(self, call: Call) -> Answer:
        domain = call.args["domain"]
        if domain not in self.table("domains"):
            return missing("Domain")
        found = [item for item in self.table("records").items() if item[1]["domain"] == domain]
        chosen, pagination = page(call, found, lambda item: int(item[1]["created"]))
        return Answer(200, {"records": [_listed(*item) for item in chosen], "pagination": pagination})

    def create(self, call: Call) -> Answer:
        return CREATES.take(self.table("limits"), self.now, lambda: self._create(call))

    def _create(self, call: Call) -> Answer:
        domain, body = call.args["domain"], call.json()
        if domain not in self.table("domains"):
            return missing("Domain")
        try:
            doc = self._new(domain, body)
            self._publish(domain, doc["name"], [*self.of(domain), doc])
        except ValueError as error:
            return _refused(error)
        return Answer(200, {"uid": self._put(doc), "updated": ms(self.now)})

    def update(self, call: Call) -> Answer:
        return UPDATES.take(self.table("limits"), self.now, lambda: self._update(call))

    def _update(self, call: Call) -> Answer:
        key, body = call.args["record"], call.json()
        doc = self.table("records").get(key)
        if doc is None:
            return missing("DNS record")
        if doc["system"]:
            return no(403, "forbidden", "System records cannot be changed.")
        try:
            fields = _changes(doc, body)
            changed = self._change(key, fields)
        except ValueError as error:
            return _refused(error)
        return Answer(200, _changed(key, changed))

    def delete(self, call: Call) -> Answer:
        key, domain = call.args["record"], call.args["domain"]
        doc = self.table("records").get(key)
        if doc is None or doc["domain"] != domain:
            return missing("DNS record")
        if doc["system"]:
            return no(403, "forbidden", "System records cannot be deleted.")
        self.table("records").drop(key)
        self._publish(domain, doc["name"], self.of(domain))
        return Answer(200, {})

    # What it keeps

    def _new(self, domain: str, body: Any) -> Doc:
        asked = _asked(body, lambda kind: _COMMON | _OF_TYPE.get(kind, {"value"}))
        value, priority = _value(asked)
        ttl_s = _ttl(asked.get("ttl", DEFAULT_TTL_S))
        doc = record(domain, str(asked.get("name", "")), asked["type"], value, ttl_s, priority)
        _check(doc)
        same = ("name", "type", "value", "priority")
        if any(not r["system"] and all(r[key] == doc[key] for key in same) for r in self.of(domain)):
            raise Wrong("record_already_exists: A record with that name, type and value already exists.")
        moment = self._moment(domain)
        told = {"creator": USER, "comment": asked.get("comment", "")}
        return {**doc, **told, "created": moment, "updated": moment}

    def _moment(self, domain: str) -> int:
        """Return a creation time later than every other: two calls never share a millisecond."""
        return max([ms(self.now), *(int(doc["created"]) + 1 for doc in self.of(domain))])

    def _put(self, doc: Doc) -> str:
        key = "rec_" + self.part.token(24, HEX)
        self.table("records").put(key, doc)
        return key

    def _change(self, key: str, fields: Doc) -> Doc:
        old = self.table("records")[key]
        new = {**old, **fields, "updated": ms(self.now)}
        domain = old["domain"]
        names = {old["name"], new["name"]}
        others = [doc for doc in self.of(domain) if doc["name"] in names and doc is not old]
        publish(self._zone(domain), domain, names, [*others, new])
        return self.table("records").put(key, new)

    def _publish(self, domain: str, name: str, docs: Iterable[Doc]) -> None:
        publish(self._zone(domain), domain, {name}, docs)

    def _names(self, domain: str, docs: Iterable[Doc]) -> set[str]:
        return {doc["name"] for doc in (*self.of(domain), *docs)}

    def _zone(self, domain: str, *, anew: bool = False) -> Zone:
        """Return the zone that the nameservers serve; made when it is not there."""
        internet = self.part.world.part("dns").internet  # type: ignore[attr-defined]  # the DNS part has one
        hosted = internet.hosted(SIDE, domain)
        if hosted is not None and anew:
            internet.drop(SIDE, domain)
            hosted = None
        zone: Zone = internet.host(SIDE, domain) if hosted is None else hosted.zone
        return zone


def _uploaded(domain: str, one: Any) -> Doc:
    """Return a record of a zone file as the emulator keeps it."""
    try:
        priority = one.get("mxPriority", one.get("priority"))
        doc = record(domain, one["name"], one["type"], one["value"], _ttl(one["ttl"]), priority)
    except (AttributeError, KeyError, TypeError) as error:
        raise Wrong(f"a record lacks {error}.") from error
    _check(doc)
    return doc


def _refused(error: ValueError) -> Answer:
    code, colon, words = str(error).partition(": ")
    if isinstance(error, Wrong) and colon and re.fullmatch(r"[a-z_]+", code):
        return no(409 if code == "record_already_exists" else 400, code, words)
    return no(400, "bad_request", f"Invalid request: {error}")


def _asked(body: Any, allowed: Any) -> Doc:
    if not isinstance(body, dict):
        raise Wrong("should be object.")
    kind = body.get("type")
    if kind not in TYPES:
        raise Wrong("`type` should be equal to one of the allowed values.")
    unknown = sorted(body.keys() - allowed(kind))
    if unknown:
        raise Wrong(f"should NOT have additional property `{unknown[0]}`.")
    return body


def _ttl(asked: Any) -> int:
    if not isinstance(asked, int) or not TTL_LEAST <= asked <= TTL_MOST:
        raise Wrong(f"`ttl` should be an integer from {TTL_LEAST} to {TTL_MOST}.")
    return asked


def _value(asked: Doc) -> tuple[str, int | None]:
    """Return a record's value and its priority, as the listing will have them."""
    try:
        match asked["type"]:
            case "MX":
                return str(asked["value"]), int(asked["mxPriority"])
            case "SRV":
                srv = asked["srv"]
                return f"{srv['weight']} {srv['port']} {srv['target']}", int(srv["priority"])
            case "HTTPS":
                https = asked["https"]
                return f"{https['target']} {https.get('params') or ''}".rstrip(), int(https["priority"])
            case _:
                return str(asked["value"]), None
    except (KeyError, TypeError) as error:
        raise Wrong(f"missing required property {error}.") from error


def _check(doc: Doc) -> None:
    if doc["type"] == "NS" and not doc["name"]:
        raise Wrong("`name` should NOT be empty for NS records.")
    if doc["type"] == "CAA":
        if not _CAA.match(doc["value"]):
            raise Wrong("invalid_value: Invalid CAA value.")
        if ";" in doc["value"] and not re.search(r'; ?cansignhttpexchanges=yes"$', doc["value"]):
            raise Wrong('invalid_value: Unexpected "cansignhttpexchanges" value.')


def _changes(doc: Doc, body: Any) -> Doc:
    """Return the fields of a record that a PATCH changes; null leaves a field as it is."""
    if not isinstance(body, dict) or body.keys() - _CHANGEABLE:
        raise Wrong("should NOT have additional properties.")
    asked = {key: value for key, value in body.items() if value is not None}
    if asked.get("type", doc["type"]) != doc["type"]:
        raise Wrong("The type of a record cannot be changed.")
    fields: Doc = {key: asked[key] for key in ("name", "comment") if key in asked}
    if "ttl" in asked:
        fields["ttl"] = _ttl(asked["ttl"])
    if asked.keys() & {"value", "mxPriority", "srv", "https"}:
        whole = {"value": doc["value"], "mxPriority": doc["priority"], **asked, "type": doc["type"]}
        fields["value"], fields["priority"] = _value(whole)
    _check({**doc, **fields})
    return fields


def _listed(key: str, doc: Doc) -> Doc:
    """Return a record as a listing shows it."""
    item = {
        "id": key,
        "slug": key.removeprefix("rec_"),
        "name": doc["name"],
        "type": doc["type"],
        "value": doc["value"],
        "creator": doc["creator"],
        "created": doc["created"],
        "updated": doc["updated"],
        "createdAt": doc["created"],
        "updatedAt": doc["updated"],
        "ttl": doc["ttl"],
    }
    if doc["comment"]:
        item["comment"] = doc["comment"]
    if doc["priority"] is not None:
        item["mxPriority" if doc["type"] == "MX" else "priority"] = doc["priority"]
    return item


def _changed(key: str, doc: Doc) -> Doc:
    """Return a record as the reply to a change shows it, which is not as a listing does."""
    return {
        "id": key,
        "domain": doc["domain"],
        "name": doc["name"],
        "recordType": doc["type"],
        "type": "record",
        "creator": doc["creator"],
        "value": doc["value"],
        "ttl": doc["ttl"],
        "createdAt": doc["created"],
        **({"comment": doc["comment"]} if doc["comment"] else {}),
    }
