"""DNS records at Vercel: listed whole, in the normal form of `providers.dns`; created, changed and removed.

A listing holds the system's records as well. They cannot be edited or removed, and Vercel does not answer
with a system address where an own one stands at the name: `served` is what its nameservers are to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from runbook.errors import InputError, SurprisingReply, VendorRefused
from runbook.providers.dns import RecordSet, absolute, gather, normal_value, txt_value
from runbook.providers.request import Query
from runbook.providers.shape import Shape
from runbook.providers.vercel.api import NOT_FOUND, VENDOR, Api, Paging, at, open_api
from runbook.step import Step
from runbook.values import Value

TTL_LEAST_S: Final = 60
TTL_DEFAULT_S: Final = 60
_ADDRESSES: Final = ("A", "AAAA", "ALIAS", "CNAME")
_NAMES: Final = ("ALIAS", "CNAME", "NS")
_SRV_FIELDS: Final = 3


class Record(Value):
    """One record: name and value in normal form. `system` ones are Vercel's own and cannot be changed."""

    id: str
    name: str
    type: str
    value: str
    ttl_s: int
    system: bool
    created_at: datetime | None
    updated_at: datetime | None = None
    comment: str = ""

    def in_a_line(self) -> str:
        return f"{self.name} {self.type} {self.ttl_s} s: {self.value}" + (" (system)" if self.system else "")


class Retimed(Value):
    """Records whose TTL is as asked for: `before_s` by the records' ids, for the way back."""

    domain: str
    ttls_s: dict[str, int]
    before_s: dict[str, int]


class _Record(Shape):
    id: str
    name: str
    type: str
    value: str
    creator: str
    ttl: int | None = None
    mxPriority: int | None = None  # noqa: N815  # its name
    priority: int | None = None
    createdAt: int | None  # noqa: N815  # its name
    updatedAt: int | None = None  # noqa: N815
    comment: str = ""


class _Records(Shape):
    records: tuple[_Record, ...]
    pagination: Paging


class _Created(Shape):
    uid: str


class _Changed(Shape):
    id: str
    ttl: int


def read_records(step: Step, *, domain: str) -> tuple[Record, ...]:
    """Return every record of a domain, the system's among them."""
    with open_api(step) as api:
        return _records(api, domain)


def served(records: Iterable[Record]) -> tuple[RecordSet, ...]:
    """Return what Vercel's nameservers are to answer: an own address or alias puts out the system's."""
    known = list(records)
    own = {one.name for one in known if one.type in _ADDRESSES and not one.system}
    shown = [one for one in known if not (one.system and one.type in _ADDRESSES and one.name in own)]
    return gather(
        RecordSet(name=one.name, type=one.type, ttl_s=one.ttl_s, values=(one.value,)) for one in shown
    )


def above(records: Iterable[Record], ttl_s: int) -> dict[str, int]:
    """Return the TTLs to ask for, by record, so that no own record has a longer one."""
    return {one.id: ttl_s for one in records if not one.system and one.ttl_s > ttl_s}


def apply_ttls(step: Step, *, domain: str, ttls_s: Mapping[str, int]) -> Retimed:
    """Let records, by their ids, have these TTLs in seconds, and see them in the listing.

    Fifty a minute are allowed; the rest waits. Raises InputError below 60 s, VendorRefused for a record that
    is not there or is the system's.
    """
    low = sorted(set(ttls_s.values()))[:1]
    if low and low[0] < TTL_LEAST_S:
        raise InputError(
            f"Vercel takes no TTL below {TTL_LEAST_S} s, so not {low[0]} s; ask for {TTL_LEAST_S}"
        )
    with open_api(step) as api:
        before: dict[str, int] = {}

        def look() -> bool | None:
            now = {one.id: one.ttl_s for one in _records(api, domain)}
            before.update(now if not before else {})
            return True if all(now.get(key) == ttl_s for key, ttl_s in ttls_s.items()) else None

        def act() -> None:
            missing = {key: ttl_s for key, ttl_s in ttls_s.items() if before.get(key) != ttl_s}
            with step.progress("TTLs at Vercel", total=len(missing), unit="records") as bar:
                for key, ttl_s in missing.items():
                    path, args = "/v1/domains/records/{record}", {"record": key}
                    api.call(
                        "update_record",
                        "PATCH",
                        path,
                        args=args,
                        json={"ttl": ttl_s},
                        into=_Changed,
                        once=False,
                    )
                    bar.add(1)

        what = f"{len(ttls_s)} records of {domain} have the TTLs asked for"
        api.brought_about(look, act, what=what, call="update_record")
    return Retimed(
        domain=domain, ttls_s=dict(ttls_s), before_s={key: before[key] for key in ttls_s if key in before}
    )


def apply_record(
    step: Step,
    *,
    domain: str,
    name: str,
    kind: str,
    value: str,
    ttl_s: int = TTL_DEFAULT_S,
    comment: str = "",
) -> Record:
    """Have a record in a domain: `name` absolute or relative to it, `value` in zone-file form.

    An own record of that name, type and value is left as it is, its TTL too. A hundred creations an hour are
    allowed. Raises OutcomeUnknown when the reply was lost and the record does not show.
    """
    wanted, body = _wanted(domain, name, kind, value)
    with open_api(step) as api:

        def look() -> Record | None:
            found = (one for one in _records(api, domain) if not one.system)
            return next((one for one in found if (one.name, one.type, one.value) == wanted), None)

        def act() -> None:
            json = {**body, "ttl": ttl_s, **({"comment": comment} if comment else {})}
            path, args = "/v2/domains/{domain}/records", {"domain": domain}
            api.call("create_record", "POST", path, args=args, json=json, into=_Created)

        what = f"{wanted[0]} {wanted[1]} is a record of {domain}"
        return api.brought_about(look, act, what=what, call="create_record")[0]


def apply_removal(step: Step, *, domain: str, record_id: str) -> None:
    """Have a record no longer in a domain; fine when it is not there. VendorRefused: it is the system's."""
    with open_api(step) as api:

        def look() -> bool | None:
            return None if any(one.id == record_id for one in _records(api, domain)) else True

        def act() -> None:
            args = {"domain": domain, "record": record_id}
            try:
                api.send("delete_record", "DELETE", "/v2/domains/{domain}/records/{record}", args=args)
            except VendorRefused as error:
                if error.status != NOT_FOUND:
                    raise

        what = f"the record {record_id} of {domain} is gone"
        api.brought_about(look, act, what=what, call="delete_record")


def _records(api: Api, domain: str) -> tuple[Record, ...]:
    def fetch(query: Query) -> tuple[Sequence[_Record], Paging]:
        path, args = "/v4/domains/{domain}/records", {"domain": domain}
        reply = api.call("read_records", "GET", path, args=args, query=query, into=_Records)
        return reply.records, reply.pagination

    return tuple(_told(one, domain) for one in api.pages("read_records", fetch, key=lambda one: one.id))


def _told(one: _Record, domain: str) -> Record:
    try:
        name, value = absolute(one.name, zone=domain), _value(one)
    except ValueError as error:
        raise SurprisingReply(
            f"{VENDOR} lists the record {one.id} of {domain}, which cannot be read: {error}; look there",
            vendor=VENDOR,
            call="read_records",
        ) from None
    return Record(
        id=one.id,
        name=name,
        type=one.type,
        value=value,
        ttl_s=TTL_DEFAULT_S if one.ttl is None else one.ttl,
        system=one.creator == "system",
        created_at=None if one.createdAt is None else at(one.createdAt),
        updated_at=None if one.updatedAt is None else at(one.updatedAt),
        comment=one.comment,
    )


def _value(one: _Record) -> str:
    """Return a value in normal form; Vercel keeps the priority of MX, SRV and HTTPS beside it."""
    priority = one.priority if one.mxPriority is None else one.mxPriority
    match one.type:
        case "TXT":
            return txt_value(one.value)
        case "SRV" if len(one.value.split()) > _SRV_FIELDS:
            return normal_value("SRV", one.value)
        case "MX" | "SRV" | "HTTPS":
            if priority is None:
                raise ValueError(f"a {one.type} record without its priority")
            target = _dotted(one.value) if one.type == "MX" else one.value
            return normal_value(one.type, f"{priority} {target}")
        case _:
            return normal_value(one.type, _dotted(one.value) if one.type in _NAMES else one.value)


def _dotted(name: str) -> str:
    return name if name.endswith(".") else f"{name}."


def _wanted(domain: str, name: str, kind: str, value: str) -> tuple[tuple[str, str, str], dict[str, Any]]:
    """Return a record's identity, and the body that asks for it."""
    try:
        full = absolute(name, zone=domain) if not name.endswith(".") else absolute(name)
        normal = normal_value(kind, value)
        zone = absolute(domain)
        if full != zone and not full.endswith(f".{zone}"):
            raise ValueError(f"{name} is not in {domain}")
        body = _body(kind, normal)
    except ValueError as error:
        raise InputError(f"this is no record for {domain}: {error}; mend it and run it again") from None
    relative = full.removesuffix(zone).removesuffix(".")
    return (full, kind, normal), {"name": relative, "type": kind, **body}


def _body(kind: str, value: str) -> dict[str, Any]:
    first, _, rest = value.partition(" ")
    match kind:
        case "MX":
            return {"mxPriority": int(first), "value": rest}
        case "SRV":
            weight, port, target = rest.split(" ")
            numbers = {"priority": int(first), "weight": int(weight), "port": int(port)}
            return {"srv": {**numbers, "target": target}}
        case "HTTPS":
            target, _, params = rest.partition(" ")
            return {"https": {"priority": int(first), "target": target, "params": params}}
        case "TXT":
            parsed: Any = dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.TXT, value)
            return {"value": b"".join(parsed.strings).decode()}
        case _:
            return {"value": value}
