"""The metrics that OmniHub reports, and what a query makes of them.

- A count has a point only where something was counted: no errors is *no point*, not zero. `heartbeat` has
  one for every deployment that could be reached, so that *nothing happened* and *nothing came* differ.
- Distributions carry no bucket: a tag that is not configured for a metric reads `N/A`. They are in seconds.
- Tags are lower case, whatever was sent: `dpl_Xc5R…` comes back as `dpl_xc5r…`.
- Points come late: of a minute that has just ended a part is there, after 90 s all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from runbook.sandbox.traffic.draws import BINNED, BUCKETED, Ints
from runbook.sandbox.traffic.noise import Floats
from runbook.sandbox.traffic.part import Stream, Traffic
from runbook.sandbox.traffic.split import MINUTE_S, minute_of
from runbook.sandbox.traffic.timing import Timing, quantile_ms
from runbook.sandbox.vendors.datadog.formulas import Series, Tags
from runbook.sandbox.vendors.datadog.language import Query
from runbook.sandbox.world.state import Doc

ENV, SERVICE = "production", "omnihub-web"
ALL_THERE: Final = timedelta(seconds=90)
PARTLY_THERE: Final = timedelta(seconds=20)
PART: Final = 0.7
"""Of a minute's points that are there 20 s after it, before all are."""

COUNTS: Final = {
    f"omnihub.{'db' if name.startswith('database') else 'web'}.{name.removeprefix('database_')}": name
    for name in BUCKETED
}
DISTRIBUTIONS: Final = {"omnihub.web.latency": "latency", "omnihub.db.latency": "database_latency"}
HEARTBEAT: Final = "omnihub.web.heartbeat"
SECOND: Final = {
    "family": "time",
    "scale_factor": 1.0,
    "name": "second",
    "plural": "seconds",
    "short_name": "s",
}
_NEWCOMER: Final = ("true", "false")
_NOT_THERE: Final = "N/A"
_ANY_BUCKET: Final = f"visitor_bucket:{_NOT_THERE}"
_SPLIT: Final = ("newcomer", "visitor_bucket")


@dataclass(frozen=True)
class Window:
    """Whole intervals of `every` minutes, from `since` on, as many as `size`; minutes counted since 1970."""

    since: int
    every: int
    size: int

    @property
    def until(self) -> int:
        return self.since + self.every * self.size


def unit_of(query: Query) -> Doc | None:
    """Return the unit of a query's values."""
    return SECOND if query.metric in DISTRIBUTIONS and query.aggregator != "count" else None


def points(traffic: Traffic, queries: Mapping[str, Query], window: Window) -> dict[str, Series]:
    """Return what each query comes to: values by group, one for each interval.

    Groups without a single point are left out.
    """
    names = {name for query in queries.values() if (name := _count_of(query))}
    since = max(window.since, minute_of(traffic.begins))
    streams = traffic.streams(since, window.until, names)
    part = there(traffic, window)
    return {name: _series(query, window, streams, since, part) for name, query in queries.items()}


def _count_of(query: Query) -> str | None:
    """Return the count behind a metric, None when nobody reports it."""
    if query.metric == HEARTBEAT:
        return "visitors"
    return COUNTS.get(query.metric) or DISTRIBUTIONS.get(query.metric)


def _series(query: Query, window: Window, streams: list[Stream], since: int, part: Floats) -> Series:
    name = _count_of(query)
    if name is None:
        return {}
    found: dict[Tags, list[Ints]] = {}
    for stream in streams:
        counts = stream.counts[name]
        if query.metric == HEARTBEAT:
            counts = np.ones((len(counts), 1, 1), dtype=np.int64)
        for names, cells in _parts(stream, counts, query):
            found.setdefault(_tags(query, names), []).append(_whole(cells, window, since))
    series: Series = {}
    for tags, parts in found.items():
        cells = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        series |= _worked_out(query, window, tags, np.floor(cells * part[:, None, None]))
    return series


def _whole(cells: Ints, window: Window, since: int) -> Ints:
    """Return [minutes, …] of the whole window: nothing before anything is known, or after now."""
    size = window.until - window.since
    if len(cells) == size:
        return cells
    whole = np.zeros((size, *cells.shape[1:]), dtype=cells.dtype)
    whole[since - window.since :][: len(cells)] = cells
    return whole


def there(traffic: Traffic, window: Window) -> Floats:
    """Return which part of each minute's points is there by now."""
    ends = (np.arange(window.since, window.until) + 1) * float(MINUTE_S)
    age = traffic.now.timestamp() - ends
    part = np.where(age >= ALL_THERE.total_seconds(), 1.0, PART)
    part = np.where(age < PARTLY_THERE.total_seconds(), 0.0, part)
    now: Floats = np.where(traffic.silent(window.since, window.until), 0.0, part)
    return now


def _parts(stream: Stream, counts: Ints, query: Query) -> list[tuple[dict[str, str], Ints]]:
    """Return what the scope lets through of a deployment: tags, and [minutes, newcomers or others, cells]."""
    names = {
        "env": ENV,
        "service": SERVICE,
        "deployment": stream.deployment.lower(),
        "version": stream.version.lower(),
    }
    if not all(tag.holds(names.get(tag.key)) for tag in query.scope if tag.key not in _SPLIT):
        return []
    rows = _NEWCOMER if counts.shape[1] > 1 else (None,)
    kept = [place for place, row in enumerate(rows) if _lets(query, "newcomer", row)]
    if any(tag.key == "visitor_bucket" for tag in query.scope):
        cells = map(str, range(counts.shape[2])) if _has_buckets(query) else [None] * counts.shape[2]
        counts = counts * np.array([_lets(query, "visitor_bucket", cell) for cell in cells])
    if "newcomer" in query.by and len(rows) > 1:
        return [({**names, "newcomer": _NEWCOMER[row]}, counts[:, row : row + 1]) for row in kept]
    return [(names, counts[:, kept])] if kept else []


def _has_buckets(query: Query) -> bool:
    return query.metric in COUNTS


def _lets(query: Query, key: str, value: str | None) -> bool:
    """Return whether the scope lets a value of a tag through."""
    return all(tag.holds(value) for tag in query.scope if tag.key == key)


def _tags(query: Query, names: dict[str, str]) -> Tags:
    return tuple(f"{key}:{names.get(key, _NOT_THERE)}" for key in query.by)


def _worked_out(query: Query, window: Window, tags: Tags, cells: Floats) -> Series:
    """Return the series of [minutes, parts, cells]: over time first, then over what belongs together."""
    shaped = cells.reshape(window.size, window.every, *cells.shape[1:])
    timing = BINNED.get(DISTRIBUTIONS.get(query.metric, ""))
    if timing is not None:
        values = np.array([_of_bins(query.aggregator, bins, timing) for bins in shaped.sum(axis=(1, 2))])
        return {} if np.isnan(values).all() else {tags: values}
    over = _over(query.over or "avg", np.where(shaped > 0, shaped, np.nan), axis=1)
    if query.rate:
        over = over / (window.every * MINUTE_S)
    if not ("visitor_bucket" in query.by and _has_buckets(query)):
        over = over.reshape(window.size, -1, 1)
    values = _over(query.aggregator, over, axis=1)
    if query.fill_zero:
        values = np.nan_to_num(values)
    there = np.flatnonzero(~np.isnan(values).all(axis=0)).tolist()
    if _ANY_BUCKET not in tags or not _has_buckets(query):
        return {tags: values[:, 0]} if there else {}
    at = tags.index(_ANY_BUCKET)
    return {(*tags[:at], f"visitor_bucket:{n}", *tags[at + 1 :]): values[:, n] for n in there}


def _over(how: str, values: Floats, *, axis: int) -> Floats:
    """Bring values together; where there is none, there is none after it."""
    if values.shape[axis] == 1 and how != "count":
        return values.squeeze(axis)
    there = ~np.isnan(values)
    number = there.sum(axis=axis)
    match how:
        case "sum":
            found = np.nansum(values, axis=axis)
        case "count":
            found = number.astype(np.float64)
        case "min":
            found = np.where(there, values, np.inf).min(axis=axis)
        case "max":
            found = np.where(there, values, -np.inf).max(axis=axis)
        case _:
            found = np.nansum(values, axis=axis) / np.maximum(number, 1)
    result: Floats = np.where(number > 0, found, np.nan)
    return result


def _of_bins(aggregator: str, bins: Floats, timing: Timing) -> float:
    """Return a distribution's value in seconds (a count as it is)."""
    number = float(bins.sum())
    if not number:
        return float("nan")
    edges = np.array((timing.edges[0] / 2, *timing.edges, timing.edges[-1] * 2))
    middles = np.sqrt(edges[:-1] * edges[1:])
    match aggregator:
        case "count":
            return number
        case "sum":
            return float(bins @ middles) / 1000
        case "avg":
            return float(bins @ middles) / number / 1000
        case "min":
            return float(middles[np.flatnonzero(bins)[0]]) / 1000
        case "max":
            return float(middles[np.flatnonzero(bins)[-1]]) / 1000
    found = quantile_ms(bins, timing, int(aggregator[1:]) / 100)
    return float("nan") if found is None else found / 1000


def window_of(since: datetime, until: datetime, every_s: int) -> Window:
    """Return the intervals that begin in [since, until), aligned to whole multiples of their length."""
    every = max(1, every_s // MINUTE_S)
    first = -(-int(since.timestamp()) // (every * MINUTE_S)) * every
    last = -(-int(until.timestamp()) // (every * MINUTE_S)) * every
    return Window(first, every, max(0, last - first) // every)
