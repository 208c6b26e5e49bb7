"""A zone's records: read whole, changed one by one or as a batch; every change converges.

A batch is one transaction: deletes, patches, posts, or none of them. More than the plan's batch holds goes in
several, so a run that is stopped between them leaves some done: run again, only what is missing is sent. That
the change reaches every nameserver is another matter: the API's transaction says nothing of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

from runbook.errors import InputError, VendorRefused
from runbook.providers.cloudflare.dialect import API, One, Page, read_whole, settle
from runbook.providers.cloudflare.wire import Entry, Raw, Record, attributes_of, body_of, record_of
from runbook.providers.cloudflare.zones import Zone
from runbook.providers.connect import connect
from runbook.providers.dns.records import ALIAS, parse_name
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step

_PAGE: Final = 200
_GONE: Final = "81044"
_HELD: Final = frozenset({"81057", "81058"})
_DONE_BEFORE: Final = _HELD | {_GONE}
_List = Literal["deletes", "patches", "posts"]
_RECORDS: Final = "/zones/{zone}/dns_records"
_RECORD: Final = "/zones/{zone}/dns_records/{record}"


class _Id(Shape):
    id: str


class _Done(Shape):
    posts: tuple[Raw, ...] = ()


class _Edits:
    """What is missing: ids to delete, changes of held records, new ones; by the name they are about."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[tuple[_List, dict[str, Any]]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def add(self, name: str, what: _List, body: dict[str, Any]) -> None:
        self._by_name.setdefault(name, []).append((what, body))

    def batches(self, most: int) -> Iterator[dict[str, Any]]:
        """Yield batches of at most `most`; one name's go in one: it is not gone between two."""
        rows: list[tuple[_List, dict[str, Any]]] = []
        for about in self._by_name.values():
            if rows and len(rows) + len(about) > most:
                yield _batch(rows)
                rows = []
            rows += about
            while len(rows) > most:
                yield _batch(rows[:most])
                rows = rows[most:]
        if rows:
            yield _batch(rows)


def _batch(rows: Sequence[tuple[_List, dict[str, Any]]]) -> dict[str, Any]:
    batch: dict[str, Any] = {}
    for what, body in rows:
        batch.setdefault(what, []).append(body)
    return batch


def read_records(step: Step, zone: Zone) -> tuple[Record, ...]:
    """Return every record of a zone; its SOA and the NS at its apex are Cloudflare's own, not among them."""
    with connect(step, API) as http:
        return _read(http, zone)


def read_record(step: Step, zone: Zone, *, record_id: str) -> Record:
    """Return one record; VendorRefused (81044) when it is not there."""
    with connect(step, API) as http:
        return _one(http, zone, record_id)


def apply_records(
    step: Step, zone: Zone, *, put: Sequence[Entry] = (), remove: Sequence[Entry] = ()
) -> tuple[Record, ...]:
    """Have every record of `put` in the zone as it is there, and none of `remove`; leave all others alone.

    A record is itself by name, type and value; one in `put` that is held otherwise (TTL, proxied, comment) is
    changed. What may not stand beside it (another CNAME at the name) goes into `remove`: what is removed goes
    first, in the same transaction. Returns the records of `put` as Cloudflare holds them, in their order.
    Raises VendorRefused with Cloudflare's code when a record cannot be (81053 and 81054 beside a CNAME, 81045
    quota, 9021 TTL …).
    """
    _fit(zone, [*put, *remove])
    with connect(step, API) as http:
        missing = _Edits()

        def look() -> tuple[Record, ...] | None:
            nonlocal missing
            held = {record.key: record for record in _read(http, zone)}
            missing = _missing(held, put, remove)
            return None if missing else tuple(held[entry.key] for entry in put)

        def act() -> None:
            for batch in missing.batches(zone.batch_at_most):
                _call(http, "batch_records", "POST", f"{_RECORDS}/batch", zone, json=batch, into=One[_Done])

        return settle(look, act, call="batch_records", there=_DONE_BEFORE)


def apply_record(step: Step, zone: Zone, *, entry: Entry) -> Record:
    """Have one record in the zone, by a call of its own; see `apply_records`."""
    _fit(zone, [entry])
    with connect(step, API) as http:
        held: Record | None = None

        def look() -> Record | None:
            nonlocal held
            name = parse_name(entry.name).to_text(omit_final_dot=True)
            held = next((one for one in _read(http, zone, name=name) if one.key == entry.key), None)
            return held if held is not None and held.is_as(entry) else None

        def act() -> None:
            if held is None:
                _call(http, "create_record", "POST", _RECORDS, zone, json=body_of(entry), into=One[Raw])
            else:
                _call(
                    http, "change_record", "PATCH", _RECORD, zone, held.id, json=body_of(entry), into=One[Raw]
                )

        return settle(look, act, call="create_record", there=_HELD)


def apply_record_overwritten(step: Step, zone: Zone, *, record_id: str, entry: Entry) -> Record:
    """Make a record another one, keeping its id: the way to move a CNAME without a moment without it."""
    _fit(zone, [entry])
    with connect(step, API) as http:

        def look() -> Record | None:
            found = _one(http, zone, record_id)
            return found if found.is_as(entry) else None

        def act() -> None:
            body = body_of(entry)
            _call(http, "overwrite_record", "PUT", _RECORD, zone, record_id, json=body, into=One[Raw])

        return settle(look, act, call="overwrite_record")


def apply_record_removed(step: Step, zone: Zone, *, record_id: str) -> bool:
    """Have a record gone; True once it is."""
    with connect(step, API) as http:

        def look() -> bool | None:
            try:
                _one(http, zone, record_id)
            except VendorRefused as error:
                if error.code != _GONE:
                    raise
                return True
            return None

        def act() -> None:
            _call(http, "delete_record", "DELETE", _RECORD, zone, record_id, into=One[_Id])

        return settle(look, act, call="delete_record", there=frozenset({_GONE}))


def _read(http: Http, zone: Zone, *, name: str | None = None) -> tuple[Record, ...]:
    args, query = {"zone": zone.id}, {"name": name}
    raw = read_whole(http, "read_records", _RECORDS, Page[Raw], size=_PAGE, args=args, query=query)
    return tuple(record_of(one, zone.name) for one in raw)


def _one(http: Http, zone: Zone, record_id: str) -> Record:
    args = {"zone": zone.id, "record": record_id}
    raw = http.call("read_record", "GET", _RECORD, args=args, into=One[Raw]).result
    return record_of(raw, zone.name)


def _call(
    http: Http,
    name: str,
    method: str,
    path: str,
    zone: Zone,
    record_id: str = "",
    *,
    into: type[Any],
    json: Any = None,
) -> None:
    """Make a change; repeating it is harmless: what is there already is refused as identical."""
    args = {"zone": zone.id, "record": record_id}
    http.call(name, method, path, args=args, json=json, into=into, once=False)


def _missing(
    held: dict[tuple[str, str, str], Record], put: Sequence[Entry], remove: Sequence[Entry]
) -> _Edits:
    edits = _Edits()
    for entry in remove:
        if entry.key in held:
            edits.add(entry.name, "deletes", {"id": held[entry.key].id})
    for entry in put:
        found = held.get(entry.key)
        if found is None:
            edits.add(entry.name, "posts", body_of(entry))
        elif not found.is_as(entry):
            edits.add(entry.name, "patches", {"id": found.id, **attributes_of(entry)})
    return edits


def _fit(zone: Zone, entries: Sequence[Entry]) -> None:
    """Refuse what would land elsewhere: Cloudflare puts the zone's name behind one that lacks it."""
    origin = parse_name(zone.name)
    for entry in entries:
        if not parse_name(entry.name).is_subdomain(origin):
            raise InputError(f"{entry.name} is not in the zone {zone.name}; name records of that zone")
        if entry.type == ALIAS and parse_name(entry.name) != origin:
            raise InputError(f"{entry.name} ALIAS: Cloudflare flattens the apex only; write a CNAME there")
        if entry.type == "CNAME" and parse_name(entry.name) == origin:
            raise InputError(f"{entry.name} CNAME: at the apex it is an ALIAS; write that")
