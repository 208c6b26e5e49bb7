"""What becomes of each record of Vercel's at Cloudflare: an entry, perhaps otherwise written, or a refusal.

Nothing is dropped: a record is carried over, or named with the reason why it cannot be. Limits are those of
Cloudflare's documentation: 4,096 bytes a record, 8,192 characters a set, TTL 60 to 86,400 s, an alias at the
apex only, nothing beside NS below the apex, nothing beside a CNAME.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import dns.rdata
import dns.rdataclass
import dns.rdatatype

from runbook.changes.dns.zone import ROWS_SHOWN, ZoneState, cut, lasting, listing
from runbook.providers import cloudflare
from runbook.providers.cloudflare.wire import PROXIABLE
from runbook.providers.dns import RecordSet, for_people
from runbook.providers.dns.records import ALIAS
from runbook.step import Step
from runbook.values import Check, Checks, Value, html_table, shown

CARRIED: Final = frozenset({"A", "AAAA", "ALIAS", "CAA", "CNAME", "HTTPS", "MX", "NS", "SRV", "TXT"})
TTL_LEAST_S, TTL_MOST_S = 60, 86_400
RECORD_BYTES, SET_CHARACTERS = 4_096, 8_192


class Left(Value):
    """A record set that cannot be carried over, and why."""

    name: str
    type: str
    values: tuple[str, ...]
    why: str

    def in_a_line(self) -> str:
        return f"{for_people(self.name)} {self.type}: {self.why}"


class Noted(Value):
    """Something about a record set that is written otherwise at Cloudflare; `kind` is its type there."""

    name: str
    kind: str
    what: str


class Translation(Value):
    """Vercel's zone as Cloudflare's entries; `left` must be empty before anything is written."""

    zone: str
    entries: tuple[cloudflare.Entry, ...]
    noted: tuple[Noted, ...]
    left: tuple[Left, ...]

    def rows(self) -> list[tuple[str, str]]:
        kinds = Counter(one.type for one in self.entries)
        proxied = sum(one.proxied for one in self.entries)
        return [
            ("records", f"{shown(len(self.entries))} are carried over"),
            ("of type", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))),
            (
                "proxied",
                f"{proxied} of them"
                if proxied
                else "none: the nameservers answer with the records themselves",
            ),
            ("cannot be carried", "; ".join(one.in_a_line() for one in self.left) or "none"),
        ]

    def table(self) -> list[tuple[str, str, str, str, str]]:
        """Return the entries as text, the first ones of many: name, type, TTL, value, what is otherwise."""
        otherwise: dict[tuple[str, str], list[str]] = {}
        for one in self.noted:
            otherwise.setdefault((one.name, one.kind), []).append(one.what)
        lines = [
            (
                for_people(one.name),
                one.type,
                "proxied" if one.proxied else lasting(one.ttl_s or 0),
                cut(one.value),
                "; ".join(otherwise.get((one.name, one.type), ())),
            )
            for one in self.entries[:ROWS_SHOWN]
        ]
        left = len(self.entries) - len(lines)
        return [*lines, *([("…", "", "", f"and {shown(left)} more", "")] if left else [])]

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), "", *("  ".join(row).rstrip() for row in self.table())])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        head = ("name", "type", "TTL", "value", "otherwise than at Vercel")
        return html_table(self.rows()) + html_table(self.table(), head=head)


def translate(
    sets: Iterable[RecordSet], *, zone: str, ttl_s: int, proxied: frozenset[str] = frozenset()
) -> Translation:
    """Return record sets (in normal form) as entries of Cloudflare's, with TTLs of `ttl_s` at the most.

    A low TTL there is what lets a wrong record be mended within minutes after the switch. `proxied` are names
    whose addresses are to be proxied: those that a certificate serves.
    """
    known = list(sets)
    company = _company(known)
    entries: list[cloudflare.Entry] = []
    noted: list[Noted] = []
    left: list[Left] = []
    for one in known:
        why = _why_not(one, company[one.name], zone=zone)
        if why:
            left.append(Left(name=one.name, type=one.type, values=one.values, why=why))
            continue
        kind = "CNAME" if one.type == ALIAS and one.name != zone else one.type
        through = one.name in proxied and kind in PROXIABLE
        ttl = None if through else _within(min(one.ttl_s or ttl_s, ttl_s))
        entries += [
            cloudflare.Entry(name=one.name, type=kind, value=value, ttl_s=ttl, proxied=through)
            for value in one.values
        ]
        noted += [Noted(name=one.name, kind=kind, what=what) for what in _notes(one, kind, ttl, through)]
    return Translation(zone=zone, entries=tuple(entries), noted=tuple(noted), left=tuple(left))


def translate_zone(step: Step, state: ZoneState, *, proxied: Sequence[str] = ()) -> Translation:
    """Return a zone of Vercel's as it is to stand at Cloudflare, by the rollout plan's TTL.

    The whole of it is kept as evidence, for those who sign.
    """
    lowered_s = step.rollout().dns.ttl_lowered_s
    made = translate(state.served, zone=state.zone, ttl_s=lowered_s, proxied=frozenset(proxied))
    step.evidence("records-for-cloudflare.txt", listing(cloudflare.record_sets(made.entries)))
    return made


def all_carried(step: Step, translation: Translation) -> Checks:
    """Return that every record can be carried over, and each one that cannot, with what to do about it."""
    del step
    total = len(translation.entries) + sum(len(one.values) for one in translation.left)
    whole = Check.of(
        "every record can be carried over",
        holds=not translation.left,
        observed=f"{len(translation.entries)} of {total}",
        expected=total,
    )
    rows = [
        Check.of(
            f"{for_people(one.name)} {one.type}",
            holds=False,
            observed=f"{one.why}: {cut(' | '.join(one.values))}",
            expected="a record that Cloudflare can hold; change it at Vercel, then begin anew",
        )
        for one in translation.left
    ]
    return Checks(items=(whole, *rows))


def _company(sets: Sequence[RecordSet]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for one in sets:
        found.setdefault(one.name, set()).add(one.type)
    return {name: frozenset(kinds) for name, kinds in found.items()}


def _why_not(one: RecordSet, kinds: frozenset[str], *, zone: str) -> str:
    """Return why a set cannot be carried over, or nothing."""
    others = ", ".join(sorted(kinds - {one.type}))
    at_apex = one.name == zone
    if one.type not in CARRIED:
        return f"records of type {one.type} are not written to Cloudflare by this tool"
    if "\\" in one.name:
        return "a name with characters that Cloudflare's API cannot be told"
    if at_apex and one.type == "NS":
        return "the nameservers at the apex are each side's own"
    if at_apex and one.type == "CNAME":
        return "a CNAME at the apex beside the zone's own records"
    if not at_apex and others and one.type in ("ALIAS", "CNAME"):
        return (
            f"an alias beside {others}: below the apex Cloudflare answers nothing else at a name with a CNAME"
        )
    if not at_apex and "NS" in kinds and kinds != {"NS"}:
        beside = ", ".join(sorted(kinds - {"NS"}))
        return f"another zone begins here, and Cloudflare lets nothing stand beside its NS, so not {beside}"
    if one.type in ("ALIAS", "CNAME") and len(one.values) > 1:
        return "several aliases at one name"
    return _too_long(one) or _not_plain(one)


def _too_long(one: RecordSet) -> str:
    kind = "CNAME" if one.type == ALIAS else one.type
    longest = max(len(_rdata(kind, value).to_wire() or b"") for value in one.values)
    if longest > RECORD_BYTES:
        return f"a record of {longest} bytes; Cloudflare holds {RECORD_BYTES}"
    characters = sum(map(len, one.values))
    if characters > SET_CHARACTERS:
        return f"{characters} characters at one name and type; Cloudflare holds {SET_CHARACTERS}"
    return ""


def _not_plain(one: RecordSet) -> str:
    """Refuse a CAA whose value Cloudflare's API, which takes it as text, could not be told for certain."""
    if one.type == "CAA" and any("\\" in value for value in one.values):
        return "a CAA value with quotes, backslashes or unseen characters"
    return ""


def _rdata(kind: str, value: str) -> Any:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind), value, relativize=False)


def _within(ttl_s: int) -> int:
    return max(TTL_LEAST_S, min(TTL_MOST_S, ttl_s))


def _notes(one: RecordSet, kind: str, ttl_s: int | None, proxied: bool) -> list[str]:
    """Return what is written otherwise than at Vercel, in words."""
    found = []
    if one.type == ALIAS:
        found.append(
            "a CNAME, flattened at the apex" if kind == ALIAS else "a CNAME: nothing else stands at the name"
        )
    if proxied:
        found.append("proxied, with Cloudflare's TTL")
    elif ttl_s != one.ttl_s:
        found.append(f"TTL was {lasting(one.ttl_s or 0)}")
    return found
