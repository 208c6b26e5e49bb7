"""Two service level objectives of OmniHub's, worked out from what was reported.

- *uptime* is of time slices: a minute is down in which 5 % of the requests fail. No data counts as uptime.
- *requests* counts: good requests of all. Without any there is no value, and an error inside HTTP 200.
- A history's error budget is that of the asked window; a `target` makes the timeframe `custom`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from runbook.sandbox.traffic.noise import Floats
from runbook.sandbox.traffic.part import Traffic
from runbook.sandbox.traffic.split import MINUTE_S, minute_of
from runbook.sandbox.vendors.datadog.metrics import ENV, SERVICE, Window, there
from runbook.sandbox.world.part import Answer, Call
from runbook.sandbox.world.state import Doc

UPTIME, REQUESTS = "5d1f0c6e8b2a4f7c9e3d6a1b8c4f2e70", "a8c4f2e705d1f0c6e8b2a4f7c9e3d6a1"
DOWN_FROM: Final = 0.05
WHOLE: Final = 100.0
SPAN_PRECISION: Final = 2
HISTORY_POINTS: Final = 100
_SCOPE: Final = f"env:{ENV},service:{SERVICE}"
_BAD: Final = f"sum:omnihub.web.errors{{{_SCOPE}}}.as_count()"
_ALL: Final = f"sum:omnihub.web.requests{{{_SCOPE}}}.as_count()"
UP, DOWN, NO_DATA = 0, 1, 2


@dataclass(frozen=True)
class Objective:
    """What is promised: `target` percent over `timeframe`."""

    key: str
    name: str
    kind: str
    target: float
    warning: float
    timeframe: str = "30d"


OBJECTIVES: Final = {
    UPTIME: Objective(UPTIME, "OmniHub uptime", "time_slice", 99.9, 99.95),
    REQUESTS: Objective(REQUESTS, "OmniHub requests without error", "metric", 99.0, 99.5),
}


@dataclass(frozen=True)
class Told:
    """What was reported of some minutes: requests and errors, NaN where nothing was."""

    since: int
    requests: Floats
    errors: Floats

    @property
    def down(self) -> Floats:
        """Return 0, 1 or 2 for each minute: up, down, no data."""
        with np.errstate(invalid="ignore", divide="ignore"):
            ratio = self.errors / self.requests
        return np.where(np.isnan(ratio), NO_DATA, np.where(ratio >= DOWN_FROM, DOWN, UP))


def told(traffic: Traffic, since: int, until: int) -> Told:
    """Return what was reported of the minutes [since, until)."""
    first = min(max(since, minute_of(traffic.begins)), until)
    sums = {name: np.zeros(until - since) for name in ("requests", "errors")}
    for stream in traffic.totals(first, until, sums):
        for name, counts in stream.counts.items():
            sums[name][first - since :][: len(counts)] += counts
    part = there(traffic, Window(since, 1, until - since))
    requests, errors = (np.floor(sums[name] * part) for name in ("requests", "errors"))
    return Told(since, np.where(requests > 0, requests, np.nan), np.where(requests > 0, errors, np.nan))


def sli(objective: Objective, found: Told) -> float | None:
    """Return the indicator in percent; None when there is nothing to count."""
    if objective.kind == "time_slice":
        return float(WHOLE * (1 - (found.down == DOWN).sum() / max(1, len(found.requests))))
    requests = float(np.nansum(found.requests))
    return WHOLE * (1 - float(np.nansum(found.errors)) / requests) if requests else None


def budget_left(value: float, target: float) -> float:
    """Return what is left of the error budget, in percent of it; below zero when it is overspent."""
    return WHOLE * (value - target) / (WHOLE - target)


# The API


def listing(call: Call) -> Answer:
    """Answer GET /api/v1/slo."""
    wanted = [key for key in call.one("ids").split(",") if key]
    words, tags = call.one("query").lower(), call.one("tags_query")
    found = [
        one
        for one in OBJECTIVES.values()
        if (not wanted or one.key in wanted) and words in one.name.lower() and (not tags or tags in _tags())
    ]
    offset, limit = call.number("offset", 0), call.number("limit", 1000, least=1, most=1000)
    page = {"total_count": len(OBJECTIVES), "total_filtered_count": len(found)}
    return Answer(
        200,
        {
            "data": [_shown(one) for one in found[offset : offset + limit]],
            "errors": [],
            "metadata": {"page": page},
        },
    )


def single(call: Call) -> Answer:
    """Answer GET /api/v1/slo/{slo_id}."""
    objective = OBJECTIVES.get(call.args["slo_id"])
    return Answer(200, {"data": _shown(objective), "errors": []}) if objective else missing(call)


def missing(call: Call) -> Answer:
    return Answer(404, {"errors": [f"SLO with id {call.args['slo_id']} not found"]})


def history(traffic: Traffic, call: Call) -> Answer:
    """Answer GET /api/v1/slo/{slo_id}/history."""
    objective = OBJECTIVES.get(call.args["slo_id"])
    if objective is None:
        return missing(call)
    span = _span(call)
    if span is None:
        return Answer(400, {"errors": ["Invalid parameters: from_ts must be before to_ts, both in seconds"]})
    target = float(call.one("target")) if call.one("target") else None
    found = told(traffic, span[0] // MINUTE_S, -(-span[1] // MINUTE_S))
    value = sli(objective, found)
    frame = objective.timeframe if target is None else "custom"
    overall: Doc = {
        "sli_value": value,
        "span_precision": SPAN_PRECISION,
        "precision": {frame: SPAN_PRECISION},
    }
    if value is None:
        words = {"error_message": "The denominator is zero valued", "error_type": "ZERO_VALUED_DENOMINATOR"}
        overall |= {"errors": [words], "uptime": None}
    else:
        left = budget_left(value, objective.target if target is None else target)
        overall |= {"error_budget_remaining": {frame: left}, "uptime": value}
    if objective.kind == "time_slice":
        overall["history"] = list(_transitions(found))
    data: Doc = {
        "from_ts": span[0],
        "to_ts": span[1],
        "type": objective.kind,
        "type_id": {"metric": 1, "time_slice": 2}[objective.kind],
        "thresholds": {frame: _threshold(objective, target, frame)},
        "overall": overall,
    }
    if objective.kind == "metric":
        data |= {"group_by": [], "series": _series(found)}
    return Answer(200, {"data": data, "errors": None})


def status(traffic: Traffic, call: Call) -> Answer:
    """Answer GET /api/v2/slo/{slo_id}/status."""
    objective = OBJECTIVES.get(call.args["slo_id"])
    if objective is None:
        return Answer(404, {"errors": [{"title": "Not Found", "detail": "SLO not found", "status": "404"}]})
    span = _span(call)
    if span is None:
        wrong = {"title": "Bad Request", "detail": "from_ts must be before to_ts", "status": "400"}
        return Answer(400, {"errors": [wrong]})
    found = told(traffic, span[0] // MINUTE_S, -(-span[1] // MINUTE_S))
    value = sli(objective, found)
    left = 0.0 if value is None else budget_left(value, objective.target)
    whole = float(span[1] - span[0]) if objective.kind == "time_slice" else float(np.nansum(found.requests))
    unit = "seconds" if objective.kind == "time_slice" else "requests"
    attributes = {
        "sli": 0.0 if value is None else value,
        "error_budget_remaining": left,
        "raw_error_budget_remaining": {
            "unit": unit,
            "value": left / WHOLE * whole * (WHOLE - objective.target) / WHOLE,
        },
        "span_precision": SPAN_PRECISION,
        "state": _state(objective, value),
    }
    return Answer(200, {"data": {"id": objective.key, "type": "slo_status", "attributes": attributes}})


def _state(objective: Objective, value: float | None) -> str:
    if value is None:
        return "no_data"
    if value < objective.target:
        return "breached"
    return "warning" if value < objective.warning else "ok"


def _span(call: Call) -> tuple[int, int] | None:
    texts = call.one("from_ts"), call.one("to_ts")
    if not all(text.isdigit() for text in texts):
        return None
    since, until = map(int, texts)
    return (since, until) if since < until else None


def _transitions(found: Told) -> Iterable[list[float]]:
    """Return when it went up or down, or silent: pairs of a time and a state."""
    down = found.down
    for place in np.flatnonzero(np.diff(down, prepend=-1)).tolist():
        yield [float((found.since + place) * MINUTE_S), float(down[place])]


def _series(found: Told) -> Doc:
    """Return good and all requests over time, some hundred points of each."""
    every = -(-len(found.requests) // HISTORY_POINTS)
    edges = np.arange(0, len(found.requests), every)
    requests = np.add.reduceat(np.nan_to_num(found.requests), edges)
    good = requests - np.add.reduceat(np.nan_to_num(found.errors), edges)
    return {
        "res_type": "time_series",
        "resp_version": 2,
        "interval": every * MINUTE_S,
        "query": f"{_ALL} - {_BAD}, {_ALL}",
        "message": "",
        "times": ((found.since + edges) * float(MINUTE_S * 1000)).tolist(),
        "numerator": {"values": good.tolist(), "sum": float(good.sum()), "count": len(edges)},
        "denominator": {"values": requests.tolist(), "sum": float(requests.sum()), "count": len(edges)},
    }


def _threshold(objective: Objective, target: float | None, frame: str) -> Doc:
    if target is not None:
        return {"timeframe": frame, "target": target, "target_display": f"{target:g}"}
    return {
        "timeframe": frame,
        "target": objective.target,
        "target_display": f"{objective.target:g}",
        "warning": objective.warning,
        "warning_display": f"{objective.warning:g}",
    }


def _tags() -> list[str]:
    return [f"env:{ENV}", f"service:{SERVICE}"]


def _shown(objective: Objective) -> Doc:
    made = int(datetime(2026, 11, 16, tzinfo=UTC).timestamp())
    queries = [
        {"name": name, "data_source": "metrics", "query": query}
        for name, query in (("bad", _BAD), ("all", _ALL))
    ]
    own: Doc = {"query": {"numerator": f"{_ALL} - {_BAD}", "denominator": _ALL}}
    if objective.kind == "time_slice":
        query = {"formulas": [{"formula": "default_zero(bad) / all"}], "queries": queries}
        slices = {"query": query, "comparator": "<", "threshold": DOWN_FROM}
        own = {"sli_specification": {"time_slice": {**slices, "query_interval_seconds": MINUTE_S}}}
    return {
        "id": objective.key,
        "name": objective.name,
        "description": "",
        "type": objective.kind,
        "tags": _tags(),
        "monitor_tags": [],
        "thresholds": [_threshold(objective, None, objective.timeframe)],
        "timeframe": objective.timeframe,
        "target_threshold": objective.target,
        "warning_threshold": objective.warning,
        "creator": {"name": "Ada Okafor", "handle": "ada@omnihub.dev", "email": "ada@omnihub.dev"},
        "created_at": made,
        "modified_at": made,
        **own,
    }
