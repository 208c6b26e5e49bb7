"""What Sentry knows of errors: each that a visitor met is an event of a release, told a little late."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from runbook.sandbox.traffic.draws import Ints
from runbook.sandbox.traffic.part import Traffic
from runbook.sandbox.traffic.split import MINUTE_S, begin_of, minute_of

ORGANIZATION, PROJECT, PROJECT_ID, ENVIRONMENT = "omnihub", "omnihub-web", 4_507_000_000_000_001, "production"
COMES_AFTER: Final = timedelta(seconds=60)
_TERM: Final = re.compile(r'(?P<no>!)?(?P<key>[\w.]+):(?:"(?P<quoted>[^"]*)"|(?P<value>\S+))')


class Invalid(ValueError):
    """A query that Sentry does not take; the text is its own."""


@dataclass(frozen=True)
class Kind:
    """An issue: what its events say; `part` of a release's errors are of it."""

    key: str
    title: str
    culprit: str
    part: float


KNOWN: Final = (
    Kind("5901000001", "TimeoutError: query took longer than 5000 ms", "GET /api/orders", 0.6),
    Kind("5901000002", "Error: upstream answered 502", "POST /api/checkout", 0.4),
)
NEW: Final = Kind(
    "5902", "TypeError: Cannot read properties of null (reading 'plan')", "GET /app/billing", 0.9
)
"""Of a release with a fault of its own: nine of ten of its errors are of this issue."""


@dataclass(frozen=True)
class Found:
    """One release's errors by minute."""

    release: str
    errors: Ints


def release_name(version: str) -> str:
    """Return a version as Sentry has it: `omnihub-web@8.0.0`."""
    return f"{PROJECT}@{version.removeprefix('v')}"


def terms(query: str) -> list[tuple[str, str, bool]]:
    """Read a search as (key, value, wanted); Invalid when a word of it is none."""
    left = _TERM.sub("", query).strip()
    if left and left != "AND":
        raise Invalid(f"Invalid query. Could not read {left.split()[0]!r}")
    return [
        (found["key"], found["value"] if found["quoted"] is None else found["quoted"], not found["no"])
        for found in _TERM.finditer(query)
    ]


def events(traffic: Traffic, since: datetime, until: datetime, query: str) -> list[Found]:
    """Return the errors of each release in [since, until) that a search lets through, as far as they came."""
    wanted = terms(query)
    for key, _, _ in wanted:
        if key not in ("release", "environment", "level", "project"):
            raise Invalid(f"Invalid query. {key} is no field of errors here")
    fixed = {"environment": ENVIRONMENT, "level": "error", "project": PROJECT}
    first = max(minute_of(since), minute_of(traffic.begins))
    last = min(minute_of(until), minute_of(traffic.now - COMES_AFTER))
    sums: dict[str, Ints] = {}
    for stream in traffic.totals(first, last, ["errors"]):
        name = release_name(stream.version)
        if all((({**fixed, "release": name}[key] == value) == want) for key, value, want in wanted):
            errors = stream.counts["errors"]
            sums[name] = sums[name] + errors if name in sums else errors
    return [Found(name, errors) for name, errors in sums.items() if errors.any()]


def per_interval(
    found: Iterable[Found], since: datetime, until: datetime, begins: datetime, every: int
) -> list[tuple[datetime, int]]:
    """Return how many errors came in each interval of `every` minutes from `since` on."""
    first = minute_of(since)
    size = -(-(minute_of(until) - first) // every)
    sums = np.zeros(size * every, dtype=np.int64)
    offset = max(0, minute_of(begins) - first)
    for one in found:
        sums[offset:][: len(one.errors)] += one.errors
    return [
        (begin_of(first + number * every), int(value))
        for number, value in enumerate(sums.reshape(size, every).sum(axis=1))
    ]


@dataclass(frozen=True)
class Issue:
    """An issue as the list tells it."""

    key: str
    kind: Kind
    first_release: str
    count: int
    first_seen: datetime
    last_seen: datetime


def issues(traffic: Any, since: datetime, until: datetime) -> list[Issue]:
    """Return the issues with events in [since, until), the newest first."""
    found: list[Issue] = []
    first = max(minute_of(since), minute_of(traffic.begins))
    known: dict[str, Ints] = {}
    last = min(minute_of(until), minute_of(traffic.now - COMES_AFTER))
    for stream in traffic.totals(first, last, ["errors"]):
        errors = stream.counts["errors"]
        if traffic.trouble.is_ill(stream.deployment):
            mine = np.round(errors * NEW.part).astype(np.int64)
            found += _issue(
                NEW.key + stream.version.strip("v").replace(".", ""), NEW, stream.version, mine, first
            )
            errors = errors - mine
        for kind in KNOWN:
            part = np.round(errors * kind.part).astype(np.int64)
            known[kind.key] = known[kind.key] + part if kind.key in known else part
    oldest = next(iter(traffic.split.rolled_out))
    for kind in KNOWN:
        if kind.key in known:
            found += _issue(kind.key, kind, traffic.version(oldest), known[kind.key], first)
    return sorted(found, key=lambda one: one.first_seen, reverse=True)


def _issue(key: str, kind: Kind, version: str, errors: Ints, first: int) -> list[Issue]:
    places = np.flatnonzero(errors)
    if not len(places):
        return []
    seen = [begin_of(first + int(place)) for place in (places[0], places[-1])]
    return [Issue(key, kind, release_name(version), int(errors.sum()), seen[0], seen[1])]


def interval_of(text: str) -> int:
    """Return an interval in minutes; Sentry takes milliseconds, and goes by a minute at least."""
    return max(1, int(text) // (MINUTE_S * 1000)) if text.isdigit() else 60
