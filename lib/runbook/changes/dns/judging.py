"""Judges what nameservers said to a question against what a zone is to answer; pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from runbook.changes.dns.asking import said
from runbook.changes.dns.zone import cut
from runbook.providers.dns import Answer, RecordSet, for_people
from runbook.providers.dns.records import ALIAS
from runbook.values import Value

Kind = Literal["missing", "extra", "values", "ttl", "no answer"]
Ttl = Literal["exact", "at most", "any"]
_ISSUE: Final = re.compile(r"\d+ issue(wild)? ")
_NONE: Final = ("nodata", "nxdomain")


class Disagreement(Value):
    """A record set that is not as it should be: at which servers (or in which API's list), and how."""

    name: str
    type: str
    kind: Kind
    at: tuple[str, ...]
    expected: str
    observed: str

    def in_a_line(self) -> str:
        where, name = ", ".join(one.rstrip(".") for one in self.at), for_people(self.name)
        return f"{name} {self.type} ({self.kind}) at {where}: {self.observed}; expected {self.expected}"


@dataclass(frozen=True)
class Expected:
    """What servers are to say to a question about `one`.

    No values: there must be no such record, and where `absent` is "name" not even the name. `ttl` says how
    its TTL is held against the one given. For an ALIAS, `addresses` are those it may be answered with.
    `hidden_by` is the NS set of the zone cut at or above the name: who asks is sent on.
    `more_issuers` lets CAA records stand that name further authorities: Cloudflare adds its own to the answer
    wherever a zone has any, and shows them nowhere else.
    """

    one: RecordSet
    ttl: Ttl = "exact"
    absent: Literal["", "type", "name"] = ""
    addresses: frozenset[str] = frozenset()
    more_issuers: bool = False
    hidden_by: RecordSet | None = None


def judge(expected: Expected, answers: Sequence[Answer]) -> list[Disagreement]:
    """Return where the answers of some servers to one record set are not as expected, alike ones together."""
    found: dict[tuple[Kind, str], list[str]] = {}
    for server in dict.fromkeys(answer.server.name for answer in answers):
        of_server = [answer for answer in answers if answer.server.name == server]
        wrong = _wrong(expected, of_server)
        if wrong is not None:
            found.setdefault(wrong, []).append(server)
    return [
        Disagreement(
            name=expected.one.name,
            type=expected.one.type,
            kind=kind,
            at=tuple(servers),
            expected=_wanted(expected),
            observed=observed,
        )
        for (kind, observed), servers in found.items()
    ]


def _wrong(expected: Expected, answers: Sequence[Answer]) -> tuple[Kind, str] | None:
    """Return what is wrong with one server's answers, and how that looks; None when nothing is."""
    silent = [one for one in answers if one.outcome not in ("answer", "referral", *_NONE)]
    if silent:
        return "no answer", "; ".join([silent[0].outcome, *filter(None, [silent[0].trouble])])
    if expected.hidden_by is not None:
        return _wrong_cut(expected.hidden_by, answers[0])
    if not expected.one.values:
        return _wrong_presence(expected, answers[0])
    if expected.one.type == ALIAS:
        return _wrong_alias(expected, answers)
    found = said(answers[0])
    if found is None:
        return "missing", _seen(answers[0])
    if not _same_values(expected, found):
        return "values", _text(found)
    return _wrong_ttl(expected, found.ttl_s)


def _wrong_cut(cut_set: RecordSet, answer: Answer) -> tuple[Kind, str] | None:
    """Judge a name at or below a zone cut: whoever asks is sent on to the other zone's nameservers."""
    found = next((one for one in answer.authority if one.type == "NS"), None)
    if answer.outcome == "referral" and found is not None and found.values == cut_set.values:
        return None
    return "values", _seen(answer) if found is None else _text(found)


def _wrong_presence(expected: Expected, answer: Answer) -> tuple[Kind, str] | None:
    wanted = ("nxdomain",) if expected.absent == "name" else _NONE
    return None if answer.outcome in wanted else ("extra", _seen(answer))


def _wrong_alias(expected: Expected, answers: Sequence[Answer]) -> tuple[Kind, str] | None:
    """Judge a flattened name: addresses of its target, whichever of them; none where the target has none."""
    values = {value for one in map(said, answers) if one is not None for value in one.values}
    if not values:
        return ("missing", _seen(answers[0])) if expected.addresses else None
    if values <= expected.addresses:
        return _wrong_ttl(expected, max((one.ttl_s or 0) for one in map(said, answers) if one is not None))
    return "values", " | ".join(sorted(values))


def _same_values(expected: Expected, found: RecordSet) -> bool:
    wanted, there = set(expected.one.values), set(found.values)
    more = there - wanted
    allowed = expected.more_issuers and all(_ISSUE.match(value) for value in more)
    return wanted <= there and (not more or allowed)


def _wrong_ttl(expected: Expected, ttl_s: int | None) -> tuple[Kind, str] | None:
    wanted = expected.one.ttl_s
    if expected.ttl == "any" or wanted is None or ttl_s is None:
        return None
    fits = ttl_s == wanted if expected.ttl == "exact" else ttl_s <= wanted
    return None if fits else ("ttl", f"TTL {ttl_s} s")


def _wanted(expected: Expected) -> str:
    one = expected.one
    if expected.hidden_by is not None:
        return f"a referral to {' | '.join(expected.hidden_by.values)}"
    if not one.values:
        return "no such name" if expected.absent == "name" else "no such record"
    if one.type == ALIAS:
        return cut(f"addresses of {one.values[0]}: {' | '.join(sorted(expected.addresses)) or 'none'}")
    return _text(one)


def _text(one: RecordSet) -> str:
    ttl = "" if one.ttl_s is None else f"{one.ttl_s} s: "
    return ttl + cut(" | ".join(one.values))


def _seen(answer: Answer) -> str:
    if answer.outcome in _NONE:
        return "no such name" if answer.outcome == "nxdomain" else "no such record"
    return (
        " | ".join(_text(one) + f" ({one.type})" for one in answer.records or answer.authority)
        or answer.outcome
    )


def merged(found: Iterable[Disagreement]) -> tuple[Disagreement, ...]:
    """Return disagreements in the order of their names."""
    return tuple(sorted(found, key=lambda one: (one.name, one.type, one.at)))
