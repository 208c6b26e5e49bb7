"""A zone as it stands at Vercel: every record of its API, and the nameservers that are to answer them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property

from runbook.errors import StepFailed
from runbook.providers import vercel
from runbook.providers.dns import RecordSet, absolute, for_people
from runbook.step import Step
from runbook.values import Value, html_table, shown

ROWS_SHOWN = 60
MANY_S = 600  # from here on a TTL is told in minutes or hours


class ZoneState(Value):
    """A zone at Vercel, read whole; `zone` in normal form, `nameservers` those that Vercel gives it.

    `served` is what they are to answer: an own address or alias puts out the system's of that name.
    """

    zone: str
    read_at: datetime
    records: tuple[vercel.Record, ...]
    nameservers: tuple[str, ...]

    @cached_property
    def served(self) -> tuple[RecordSet, ...]:
        return vercel.served(self.records)

    @cached_property
    def own(self) -> frozenset[tuple[str, str]]:
        """Return name and type of every record set that holds a record of ours: its TTL can be changed."""
        return frozenset((one.name, one.type) for one in self.records if not one.system)

    def rows(self) -> list[tuple[str, str]]:
        kinds = Counter(one.type for one in self.records)
        ttls = [one.ttl_s for one in self.served if one.ttl_s is not None]
        system = sum(one.system for one in self.records)
        return [
            ("zone", for_people(self.zone)),
            ("records", f"{shown(len(self.records))}, {system} of them Vercel's own"),
            ("of type", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))),
            ("TTLs", f"{lasting(min(ttls, default=0))} to {lasting(max(ttls, default=0))}"),
            ("nameservers", ", ".join(map(for_people, self.nameservers))),
            ("read", shown(self.read_at)),
        ]

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return the record sets as text, the first ones of many: name, type, TTL, values."""
        lines = [(*_row(one), cut(" | ".join(one.values))) for one in self.served[:ROWS_SHOWN]]
        left = len(self.served) - len(lines)
        return [
            *lines,
            *([("…", "", "", f"and {shown(left)} more: evidence/zone-at-vercel.txt")] if left else []),
        ]

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), "", *("  ".join(row) for row in self.table())])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        table = html_table(self.table(), head=("name", "type", "TTL", "values"))
        return html_table(self.rows()) + table


def read_zone(step: Step, zone: str) -> ZoneState:
    """Return a zone as Vercel has it now; the whole of it is kept as evidence.

    Raises StepFailed when Vercel has no records of it, VendorRefused when the domain is not the team's.
    """
    domain = plain(zone)
    found = vercel.read_domain(step, domain=domain)
    records = vercel.read_records(step, domain=domain)
    if not records:
        raise StepFailed(
            f"Vercel has no records of {domain}; expected its zone there. Name the zone that is to move "
            "(-p zone=…), or look into Vercel's dashboard, then begin anew"
        )
    state = ZoneState(
        zone=absolute(zone), read_at=step.clock.now(), records=records, nameservers=found.intended
    )
    step.evidence("zone-at-vercel.txt", listing(state.served))
    return state


def listing(sets: Iterable[RecordSet]) -> str:
    """Return record sets as lines, one value each, as a zone file has them (ALIAS is the vendors')."""
    lines = [f"{one.name}\t{_ttl(one)}\tIN\t{one.type}\t{value}" for one in sets for value in one.values]
    return "\n".join([*lines, ""])


def plain(zone: str) -> str:
    """Return a zone's name as APIs and parameter files have it: A-labels, no dot at the end."""
    return absolute(zone).removesuffix(".")


def lasting(seconds: float) -> str:
    """Return a TTL as people say it: 300 s, 90 min, 4 h."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= MANY_S and seconds % unit == 0:
            return f"{shown(seconds / unit)} {name}"
    return f"{shown(seconds)} s"


def cut(text: str, most: int = 90) -> str:
    """Return a text that fits a table; a longer one is cut in its middle."""
    if len(text) <= most:
        return text
    half = (most - 3) // 2
    return f"{text[:half]} … {text[-half:]}"


def _row(one: RecordSet) -> tuple[str, str, str]:
    return for_people(one.name), one.type, "automatic" if one.ttl_s is None else lasting(one.ttl_s)


def _ttl(one: RecordSet) -> str:
    return "" if one.ttl_s is None else str(one.ttl_s)
