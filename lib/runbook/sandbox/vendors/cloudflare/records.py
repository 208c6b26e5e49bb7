"""The DNS records of the zones: the calls on them, one by one or as a batch, and the BIND export.

A batch is deletes, patches, puts, posts in that order; the first refusal is returned and nothing is applied.
There are no idempotency keys: a POST that came through twice is refused as identical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from runbook.clock import utc_text
from runbook.sandbox.vendors.cloudflare.content import PROXIABLE, absolute, rdata
from runbook.sandbox.vendors.cloudflare.saying_no import BAD, NOT_FOUND, Refusal, page, success
from runbook.sandbox.vendors.cloudflare.sheet import Sheet
from runbook.sandbox.vendors.cloudflare.zones import PLANS, Zones
from runbook.sandbox.world.part import HEX, Answer, Call, Part
from runbook.sandbox.world.state import Doc, Table

_PAGE, _PAGE_MOST = 100, 5_000_000
_ORDERS: Final = ("type", "name", "content", "ttl", "proxied")
_LISTS: Final = ("deletes", "patches", "puts", "posts")
_HEADER: Final = """;;
;; Domain:     {zone}.
;; Exported:   {at}
;;
;; For information and archival only; edit it before another server uses it: SOA and NS are Cloudflare's.
;;
"""


class Records:
    """Answers /zones/{zone_id}/dns_records."""

    def __init__(self, part: Part, zones: Zones) -> None:
        self._part, self._zones = part, zones

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Call], Answer]]]:
        """Return (method, path below the API, name of the call, handler)."""
        here = "/zones/{zone_id}/dns_records"
        yield "GET", here, "read_records", self.listed
        yield "POST", here, "create_record", self.create
        yield "POST", f"{here}/batch", "batch_records", self.batch
        yield "GET", f"{here}/export", "export_records", self.export
        yield "GET", f"{here}/usage", "read_usage", self.usage
        yield "GET", here + "/{record_id}", "read_record", self.one
        yield "PUT", here + "/{record_id}", "overwrite_record", self.put
        yield "PATCH", here + "/{record_id}", "change_record", self.patch
        yield "DELETE", here + "/{record_id}", "delete_record", self.delete

    # Reading

    def listed(self, call: Call) -> Answer:
        zone = self._zones.of(call)
        found = [record for record in self.table(zone).values() if _fits(record, call, zone["name"])]
        order, reverse = call.one("order", "type"), call.one("direction", "asc") == "desc"
        if order in _ORDERS:
            found.sort(key=lambda record: (str(record.get(order, "")), record["name"]), reverse=reverse)
        size = call.number("per_page", _PAGE, least=1, most=_PAGE_MOST)
        return page(found, call.number("page", 1, least=1), size, show=_shown)

    def one(self, call: Call) -> Answer:
        record = self.table(self._zones.of(call)).get(call.args["record_id"])
        if record is None:
            raise Refusal(81044, "Record does not exist.", status=NOT_FOUND)
        return success(_shown(record))

    def usage(self, call: Call) -> Answer:
        zone = self._zones.of(call)
        return success({"record_quota": PLANS[zone["plan"]].quota, "record_usage": len(self.table(zone))})

    def export(self, call: Call) -> Answer:
        """Answer with the zone in BIND's form: TTL 1 stands for automatic, the apex alias is a CNAME."""
        zone = self._zones.of(call)
        name, soa = zone["name"], self._zones.served(zone)
        lines = [_HEADER.format(zone=name, at=utc_text(self._part.now)[:19].replace("T", " "))]
        lines.append(f";; SOA Record\n{name}\t3600\tIN\tSOA\t{soa.soa.text(soa.serial)}\n\n;; NS Records")
        lines += [f"{name}.\t86400\tIN\tNS\t{server}" for server in zone["servers"]]
        records = list(self.table(zone).values())
        for kind in sorted({record["type"] for record in records}):
            lines.append(f"\n;; {kind} Records")
            lines += [_line(record) for record in records if record["type"] == kind]
        return Answer(200, "\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")

    # Changing

    def create(self, call: Call) -> Answer:
        return self._changed(call, lambda sheet: sheet.post(_object(call.json())))

    def put(self, call: Call) -> Answer:
        return self._changed(call, lambda sheet: sheet.put(call.args["record_id"], _object(call.json())))

    def patch(self, call: Call) -> Answer:
        return self._changed(call, lambda sheet: sheet.patch(call.args["record_id"], _object(call.json())))

    def delete(self, call: Call) -> Answer:
        zone, key = self._zones.of(call), call.args["record_id"]
        sheet = self._sheet(zone)
        sheet.delete(key)
        self._commit(zone, sheet)
        return Answer(200, {"result": {"id": key}})  # the one reply without the envelope

    def batch(self, call: Call) -> Answer:
        zone, asked = self._zones.of(call), _object(call.json())
        wanted = {name: [_object(item) for item in asked.get(name) or []] for name in _LISTS}
        most = PLANS[zone["plan"]].batch
        if sum(map(len, wanted.values())) > most:
            raise Refusal(1004, f"DNS Validation Error: a batch has at most {most} operations on this plan.")
        sheet = self._sheet(zone)
        done = {
            "deletes": [sheet.delete(_key(item)) for item in wanted["deletes"]],
            "patches": [sheet.patch(_key(item), _without_id(item)) for item in wanted["patches"]],
            "puts": [sheet.put(_key(item), _without_id(item)) for item in wanted["puts"]],
            "posts": [sheet.post(item) for item in wanted["posts"]],
        }
        self._commit(zone, sheet)
        return success({name: [_shown(record) for record in found] for name, found in done.items()})

    def table(self, zone: Doc) -> Table:
        return self._zones.records(zone)

    def meddle(self, zone: Doc, name: str, **fields: Any) -> None:
        """Change the addresses or the alias at a name, as a colleague in the dashboard does."""
        sheet = self._sheet(zone)
        for key, record in list(self.table(zone).items()):
            if record["name"] == name and record["type"] in PROXIABLE:
                sheet.patch(key, fields)
        self._commit(zone, sheet)

    def _changed(self, call: Call, change: Callable[[Sheet], Doc]) -> Answer:
        zone = self._zones.of(call)
        sheet = self._sheet(zone)
        record = change(sheet)
        self._commit(zone, sheet)
        return success(_shown(record))

    def _sheet(self, zone: Doc) -> Sheet:
        plan = PLANS[zone["plan"]]
        return Sheet(
            zone["name"],
            self.table(zone),
            least_ttl_s=plan.least_ttl_s,
            quota=plan.quota,
            stamp=utc_text(self._part.now),
            token=lambda: self._part.token(32, HEX),
        )

    def _commit(self, zone: Doc, sheet: Sheet) -> None:
        table = self.table(zone)
        for key in sheet.touched:
            if key in sheet.records:
                table.put(key, sheet.records[key])
            elif key in table:
                table.drop(key)
        self._zones.serve(zone, sheet.names)


def _object(asked: Any) -> Doc:
    if not isinstance(asked, dict):
        raise Refusal(9207, "Request body is invalid.", status=BAD)
    return asked


def _key(asked: Doc) -> str:
    return str(asked.get("id", ""))


def _without_id(asked: Doc) -> Doc:
    return {name: value for name, value in asked.items() if name != "id"}


def _shown(record: Doc) -> Doc:
    return {**record, "proxiable": record["type"] in PROXIABLE, "meta": {}}


def _fits(record: Doc, call: Call, zone: str) -> bool:
    wanted: Doc = {name: call.one(name) for name in ("type", "content", "comment") if call.one(name)}
    if name := call.one("name"):
        wanted["name"] = absolute(name, zone)
    checks = [record.get(field) == value for field, value in wanted.items()]
    if proxied := call.one("proxied"):
        checks.append(record.get("proxied", False) == (proxied == "true"))
    if words := call.one("search"):
        checks.append(words in record["name"] or words in record["content"])
    return (any if checks and call.one("match") == "any" else all)(checks)


def _line(record: Doc) -> str:
    proxied = f" ; cf_tags=cf-proxied:{str(record['proxied']).lower()}" if "proxied" in record else ""
    value = rdata(record).to_text()
    return f"{record['name']}.\t{record['ttl']}\tIN\t{record['type']}\t{value}{proxied}"
