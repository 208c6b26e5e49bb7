"""A zone as Cloudflare's own BIND export: kept as text, and read back to see that it is whole."""

from __future__ import annotations

import re
from typing import Final

from runbook.errors import SurprisingReply
from runbook.providers.cloudflare.dialect import API
from runbook.providers.cloudflare.wire import AUTOMATIC, Entry, record_sets
from runbook.providers.cloudflare.zones import Zone
from runbook.providers.connect import connect
from runbook.providers.dns.records import ALIAS, RecordSet, absolute, normal_value
from runbook.step import Step
from runbook.values import Value

_PROXIED: Final = re.compile(r";\s*cf_tags=.*cf-proxied:true")
_OWN: Final = frozenset({"SOA", "NS"})


class Export(Value):
    """The export of a zone; `records` without the SOA and the NS at the apex, which are Cloudflare's."""

    zone: str
    text: str
    records: tuple[RecordSet, ...]

    def rows(self) -> list[tuple[str, str]]:
        return [("zone", self.zone), ("record sets", str(len(self.records)))]


def read_export(step: Step, zone: Zone) -> Export:
    """Return the zone's export; SurprisingReply when a line of it cannot be read."""
    with connect(step, API) as http:
        reply = http.exchange(
            "export_records", "GET", "/zones/{zone}/dns_records/export", args={"zone": zone.id}
        )
    text = reply.text()
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        try:
            entry = _entry(line, zone.name)
        except ValueError as error:
            raise SurprisingReply(
                f"cloudflare export_records: line {number} is no record of a zone file; look into the run's "
                "evidence/",
                vendor="cloudflare",
                call="export_records",
            ) from error
        if entry is not None:
            entries.append(entry)
    return Export(zone=zone.name, text=text, records=record_sets(entries))


def _entry(line: str, zone: str) -> Entry | None:
    name, ttl, _in, kind, value = line.split(None, 4)
    owner = absolute(name)
    at_apex = owner == zone
    if kind in _OWN and at_apex:
        return None
    kind = ALIAS if kind == "CNAME" and at_apex else kind
    value = value.partition(" ;")[0] if kind == ALIAS else value
    proxied = bool(_PROXIED.search(line)) and not value.startswith('"')
    ttl_s = None if proxied or int(ttl) == AUTOMATIC else int(ttl)
    return Entry(name=owner, type=kind, value=normal_value(kind, value), ttl_s=ttl_s, proxied=proxied)
