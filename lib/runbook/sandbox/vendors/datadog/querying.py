"""Timeseries and scalar queries of v2: several queries, formulas over them, one answer.

- `times` holds only those at which something has a point: a gap is a time that is not there.
- More points than 1,500 for a series are not given: the interval grows without a word.
- What goes wrong while it is worked out comes as `errors` inside HTTP 200.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson

from runbook.sandbox.traffic.noise import Floats
from runbook.sandbox.traffic.part import Traffic
from runbook.sandbox.traffic.split import MINUTE_S
from runbook.sandbox.vendors.datadog.formulas import Series, Tags, value_of
from runbook.sandbox.vendors.datadog.language import Query, Unreadable, read_query
from runbook.sandbox.vendors.datadog.metrics import Window, points, unit_of, window_of
from runbook.sandbox.world.part import Answer
from runbook.sandbox.world.state import Doc

POINTS_AT_MOST: Final = 1500
POINTS_UNASKED: Final = 300
INTERVALS_S: Final = (60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)
AGGREGATORS: Final = ("avg", "min", "max", "sum", "last", "percentile", "mean", "l2norm", "area")
_SCALAR: Final[dict[str, Callable[[Floats], Any]]] = {
    "avg": np.nanmean,
    "mean": np.nanmean,
    "min": np.nanmin,
    "max": np.nanmax,
    "sum": np.nansum,
}


@dataclass(frozen=True)
class Asked:
    """A request that was read."""

    since: datetime
    until: datetime
    interval_s: int
    queries: dict[str, Query]
    aggregators: dict[str, str]
    formulas: tuple[str, ...]
    limits: tuple[Doc, ...]


def read_request(body: Any, kind: str) -> Asked:
    """Read a request's body; Unreadable says what is wrong with it."""
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict) or data.get("type") != kind or not isinstance(data.get("attributes"), dict):
        raise Unreadable(f"Invalid request: data.type must be {kind}")
    given = data["attributes"]
    since, until = (_time(given.get(name), name) for name in ("from", "to"))
    if since >= until:
        raise Unreadable("Invalid request: from must be before to")
    asked = given.get("queries")
    if not isinstance(asked, list) or not asked:
        raise Unreadable("Invalid request: queries is required")
    queries, aggregators = {}, {}
    for number, one in enumerate(asked):
        if one.get("data_source") != "metrics":
            raise Unreadable(f"Invalid request: data_source {one.get('data_source')} is not available")
        name = one.get("name") or f"query{number}"
        queries[name] = read_query(str(one.get("query", "")))
        aggregators[name] = one.get("aggregator", "")
        if kind == "scalar_request" and aggregators[name] not in AGGREGATORS:
            raise Unreadable(f"Invalid request: aggregator {aggregators[name]!r} of {name}")
    formulas = given.get("formulas") or [{"formula": name} for name in queries]
    return Asked(
        since,
        until,
        int(given.get("interval") or 0) // 1000,
        queries,
        aggregators,
        tuple(str(one.get("formula", "")) for one in formulas),
        tuple(one.get("limit") or {} for one in formulas),
    )


def _time(value: Any, name: str) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unreadable(f"Invalid request: {name} must be milliseconds since 1970")
    try:
        return datetime.fromtimestamp(value / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        raise Unreadable(f"Invalid request: {name} is no time") from None


# Timeseries


def timeseries(traffic: Traffic, body: Any) -> Answer:
    """Answer POST /api/v2/query/timeseries."""
    asked = read_request(body, "timeseries_request")
    every_s = _interval_s(asked)
    window = window_of(asked.since, asked.until, every_s)
    found = points(traffic, asked.queries, window)
    shown: list[Doc] = []
    lines: list[Floats] = [np.empty(0)]
    for number, formula in enumerate(asked.formulas):
        unit = _unit(asked, formula)
        column = value_of(formula, found)
        told = unit and [unit, None]
        shown += [{"group_tags": tags, "query_index": number, "unit": told} for tags in column]
        lines += column.values()
    matrix = np.concatenate(lines).reshape(-1, window.size)
    some = ~np.isnan(matrix).all(axis=0)
    times = (window.since + window.every * np.flatnonzero(some)) * MINUTE_S * 1000
    attributes = {"series": shown, "times": times.tolist(), "values": np.ascontiguousarray(matrix[:, some])}
    data = {"data": {"type": "timeseries_response", "attributes": attributes}}
    return Answer(200, orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY))


def _interval_s(asked: Asked) -> int:
    """Return the interval: as the queries' rollups or the request ask for, coarser when it must be."""
    wanted = max([asked.interval_s, *(query.every_s for query in asked.queries.values())])
    most = POINTS_AT_MOST if wanted else POINTS_UNASKED
    length_s = (asked.until - asked.since).total_seconds()
    return next((s for s in _steps(wanted) if length_s / s <= most), INTERVALS_S[-1])


def _steps(wanted: int) -> list[int]:
    own = -(-wanted // MINUTE_S) * MINUTE_S
    return [*([own] if own else []), *(one for one in INTERVALS_S if one > own)]


def _unit(asked: Asked, formula: str) -> Doc | None:
    """Return a formula's unit: that of the query that it is, none for what is worked out."""
    query = asked.queries.get(formula.strip())
    return unit_of(query) if query else None


# Scalars


def scalar(traffic: Traffic, body: Any) -> Answer:
    """Answer POST /api/v2/query/scalar: one number for each group over the whole time."""
    asked = read_request(body, "scalar_request")
    found = {
        name: _over_all(traffic, query, asked, asked.aggregators[name])
        for name, query in asked.queries.items()
    }
    columns = [
        _limited(value_of(formula, found), limit)
        for formula, limit in zip(asked.formulas, asked.limits, strict=True)
    ]
    groups = list(dict.fromkeys(tags for series in columns for tags in series))
    by = next((query.by for query in asked.queries.values() if query.by), ())
    shown: list[Doc] = [
        {
            "name": key,
            "type": "group",
            "values": [[tags[place].partition(":")[2]] for tags in groups],
        }
        for place, key in enumerate(by)
    ]
    for formula, series in zip(asked.formulas, columns, strict=True):
        unit = _unit(asked, formula)
        values = [_number(series, tags) for tags in groups]
        shown.append(
            {"name": formula, "type": "number", "values": values, "meta": {"unit": unit and [unit, None]}}
        )
    return Answer(200, {"data": {"type": "scalar_response", "attributes": {"columns": shown}}})


def _over_all(traffic: Traffic, query: Query, asked: Asked, aggregator: str) -> Series:
    """Bring a query's points together over the whole time."""
    if aggregator == "percentile" or query.aggregator.startswith("p"):
        length = int((asked.until - asked.since).total_seconds())
        whole = window_of(asked.since, asked.until, MINUTE_S)
        one = Window(whole.since, max(1, whole.size), 1)
        return points(traffic, {"": replace(query, every_s=length)}, one)[""]
    every_s = max(query.every_s, MINUTE_S)
    length_s = (asked.until - asked.since).total_seconds()
    every_s = next((s for s in _steps(every_s) if length_s / s <= POINTS_AT_MOST), INTERVALS_S[-1])
    series = points(traffic, {"": query}, window_of(asked.since, asked.until, every_s))[""]
    return {tags: np.array([_single(aggregator, values, every_s)]) for tags, values in series.items()}


def _single(aggregator: str, values: Floats, every_s: int) -> float:
    there = values[~np.isnan(values)]
    match aggregator:
        case "last":
            return float(there[-1])
        case "area":
            return float(there.sum() * every_s)
        case "l2norm":
            return float(np.sqrt((there**2).sum()))
    return float(_SCALAR[aggregator](there))


def _limited(series: Series, limit: Mapping[str, Any]) -> Series:
    if not limit:
        return series
    ordered = sorted(
        series.items(), key=lambda item: float(item[1][0]), reverse=limit.get("order", "desc") == "desc"
    )
    return dict(ordered[: int(limit.get("count", len(ordered)))])


def _number(series: Series, tags: Tags) -> float | None:
    value = series.get(tags)
    return None if value is None or np.isnan(value[0]) else float(value[0])
