"""What a comparison came to, and its table: a line for each type, and for each record set not as expected."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Literal

from runbook.changes.dns.judging import Disagreement
from runbook.providers.dns import for_people
from runbook.values import Check, Checks, Value, shown

Side = Literal["vercel", "cloudflare"]
PEOPLE: dict[Side, str] = {"vercel": "Vercel", "cloudflare": "Cloudflare"}
FAILED_ROWS = 50


class Parity(Value):
    """What a side's nameservers answer, held against Vercel's zone as it was at `compared_with`.

    `silent` are servers that do not answer for the zone, so that nothing else was asked of them. `asked`
    counts record sets by type, `absent` questions for what should not be there, `probes` are names that
    stand for all names that are not there.
    """

    zone: str
    side: Side
    compared_with: datetime
    asked_at: datetime
    servers: tuple[str, ...]
    silent: tuple[str, ...] = ()
    asked: dict[str, int]
    absent: int
    probes: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]

    @property
    def agrees(self) -> bool:
        return not self.disagreements

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("nameservers asked", ", ".join(map(for_people, self.servers))),
            ("record sets", shown(sum(self.asked.values()))),
            ("as expected", "all" if self.agrees else f"{len(self.disagreements)} are not"),
        ]


def parity_checks(parity: Parity) -> Checks:
    """Return a comparison as a table; nothing in it has passed that a nameserver was not asked for."""
    left = len(parity.disagreements) - FAILED_ROWS
    rows = [*_type_rows(parity), _probe_row(parity), _absent_row(parity)]
    rows += [
        Check.of(
            f"{for_people(one.name)} {one.type}, {one.kind}",
            holds=False,
            observed=f"{one.observed} at {', '.join(name.rstrip('.') for name in one.at)}",
            expected=one.expected,
        )
        for one in parity.disagreements[:FAILED_ROWS]
    ]
    if left > 0:
        rows.append(Check.of("further ones", holds=False, observed=f"{left}, see evidence", expected=0))
    return Checks(items=tuple(rows))


def _type_rows(parity: Parity) -> list[Check]:
    found = [one for one in parity.disagreements if one.kind != "extra" and one.name not in parity.probes]
    wrong = Counter(kind for _, kind in {(one.name, one.type) for one in found})
    return [
        _row(
            parity,
            f"{kind} at {PEOPLE[parity.side]}",
            holds=not wrong[kind],
            observed=f"{count - wrong[kind]} of {count} alike",
            expected=f"{count} at each of {len(parity.servers)} nameservers",
        )
        for kind, count in parity.asked.items()
    ]


def _probe_row(parity: Parity) -> Check:
    names = ", ".join(f"*{name[name.index('.') :]}" for name in map(for_people, parity.probes))
    strange = {one.name for one in parity.disagreements} & set(parity.probes)
    return _row(
        parity,
        f"names that are not there ({names})",
        holds=not strange,
        observed=f"{len(parity.probes) - len(strange)} of {len(parity.probes)} alike",
        expected="the wildcard's records, or no such name",
    )


def _absent_row(parity: Parity) -> Check:
    title, expected = "types that a name should not have", "no such record"
    if not parity.absent:
        why = "too many questions for a zone of this size"
        if parity.side == "cloudflare":
            why += "; the API's list was compared instead"
        return Check.unchecked(title, why=why, expected=expected)
    extra = [one for one in parity.disagreements if one.kind == "extra" and one.name not in parity.probes]
    there = (
        f"{len(extra)} besides {parity.absent} asked for" if extra else f"none of {parity.absent} is there"
    )
    return _row(parity, title, holds=not extra, observed=there, expected=expected)


def _row(parity: Parity, title: str, *, holds: bool, observed: str, expected: str) -> Check:
    """Return a row that cannot pass while a nameserver was not asked."""
    if parity.silent:
        observed = f"{observed} where it could be asked: not at {len(parity.silent)} nameservers"
    return Check.of(title, holds=holds and not parity.silent, observed=observed, expected=expected)
