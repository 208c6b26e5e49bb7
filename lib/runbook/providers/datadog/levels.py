"""How a deployment has been over a stretch of time: one number for each thing, from scalar queries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from runbook.errors import SurprisingReply
from runbook.providers.connect import connect
from runbook.providers.datadog.api import API, milliseconds, our, scope
from runbook.providers.datadog.minutes import Unit
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

_TIMES: Final = {
    "p50_ms": ("latency", "p50"),
    "p95_ms": ("latency", "p95"),
    "database_ms": ("database_latency", "avg"),
    "database_p95_ms": ("database_latency", "p95"),
}


class Level(Value):
    """A deployment over a stretch of time; None: no data. Times in ms, `database_ms` is the mean."""

    deployment: str
    requests: float | None
    errors: float | None
    p50_ms: float | None
    p95_ms: float | None
    database_ms: float | None
    database_p95_ms: float | None

    @property
    def error_ratio(self) -> float | None:
        """Errors by requests; None without requests, nought without errors (a zero is not reported)."""
        return None if not self.requests else (self.errors or 0.0) / self.requests


class _Meta(Shape):
    unit: tuple[Unit | None, ...] | None


class _Groups(Shape):
    type: Literal["group"]
    name: str
    values: tuple[tuple[str, ...], ...]


class _Numbers(Shape):
    type: Literal["number"]
    name: str
    values: tuple[float | None, ...]
    meta: _Meta


_Column = Annotated[_Groups | _Numbers, Field(discriminator="type")]


class _Attributes(Shape):
    columns: tuple[_Column, ...]


class _Data(Shape):
    attributes: _Attributes


class _Reply(Shape):
    data: _Data


def read_levels(
    step: Step,
    *,
    since: datetime,
    until: datetime,
    deployments: tuple[str, ...] = (),
    times: bool = True,
) -> tuple[Level, ...]:
    """Return how each deployment was over [since, until); `deployments` gives Vercel's spelling of their ids.

    Without `times` only requests and errors are asked for; the others are None.
    The newest two minutes may lack points. A deployment without any is not in the list: no data is no zero.
    """
    within, tag = scope(step), our(step, "deployment_tag")
    queries = [
        _query(name, "sum", f"sum:{our(step, name)}{{{within}}} by {{{tag}}}.as_count()")
        for name in ("requests", "errors")
    ]
    queries += [
        _query(
            name,
            "percentile" if how.startswith("p") else "avg",
            f"{how}:{our(step, of)}{{{within}}} by {{{tag}}}",
        )
        for name, (of, how) in _TIMES.items()
        if times
    ]
    attributes = {
        "from": milliseconds(since),
        "to": milliseconds(until),
        "queries": queries,
        "formulas": [{"formula": query["name"]} for query in queries],
    }
    body = {"data": {"type": "scalar_request", "attributes": attributes}}
    with connect(step, API) as http:
        reply = http.call("query_scalar", "POST", "/api/v2/query/scalar", json=body, into=_Reply, once=False)
    spelled = {one.lower(): one for one in deployments}
    columns = reply.data.attributes.columns
    groups = next((column.values for column in columns if isinstance(column, _Groups)), ())
    numbers = {column.name: column for column in columns if isinstance(column, _Numbers)}
    return tuple(
        Level(
            deployment=spelled.get(group[0], group[0]),
            **{name: _value(numbers, name, place) for name in ("requests", "errors", *_TIMES)},
        )
        for place, group in enumerate(groups)
    )


def _query(name: str, aggregator: str, text: str) -> dict[str, str]:
    return {"data_source": "metrics", "name": name, "aggregator": aggregator, "query": text}


def _value(numbers: dict[str, _Numbers], name: str, place: int) -> float | None:
    column = numbers.get(name)
    value = column.values[place] if column else None
    if value is None or column is None or name not in _TIMES:
        return value
    unit = column.meta.unit[0] if column.meta.unit else None
    if unit is None or unit.family != "time":
        raise SurprisingReply(
            f"datadog answered query_scalar: {name} has no unit of time; set it on its metric, then resume",
            vendor="datadog",
            call="query_scalar",
        )
    return value * unit.scale_factor * 1000
