"""Service level objectives: what is promised, how it stands, how it went.

An objective's budget is that of a window: the thirty days before now, unless another one is asked for.
`read_slo_history` with a `target_percent` of one's own may ask for any.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import Field

from runbook.errors import VendorUnavailable
from runbook.providers.connect import connect
from runbook.providers.datadog.api import API, our
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

Kind = Literal["metric", "monitor", "time_slice"]
_DOWN: Final = 1
_SILENT: Final = 2


class Objective(Value):
    """What is promised: `target_percent` over the last `window_days`."""

    id: str
    name: str
    kind: Kind
    target_percent: float
    window_days: int


class Standing(Value):
    """How an objective stands over [since, until); None: there was nothing to count.

    `budget_left_percent` is what is left of the error budget, below zero when it is overspent;
    `budget_left` the same in `budget_unit`.
    """

    objective: str
    since: datetime
    until: datetime
    sli_percent: float | None
    budget_left_percent: float | None
    budget_left: float | None
    budget_unit: str
    state: str


class Downtime(Value):
    """A stretch in which an objective of time was missed, or could not be told."""

    since: datetime
    until: datetime


class History(Value):
    """How an objective went over [since, until); None: there was nothing to count.

    `down` are the bad stretches of an objective of time, `silent` those without data, which Datadog counts as
    uptime; `good` and `total` the counts of one of requests.
    """

    objective: str
    kind: Kind
    since: datetime
    until: datetime
    target_percent: float
    sli_percent: float | None
    budget_left_percent: float | None
    down: tuple[Downtime, ...] = ()
    silent: tuple[Downtime, ...] = ()
    good: float | None = None
    total: float | None = None

    @property
    def down_minutes(self) -> float:
        return sum((one.until - one.since).total_seconds() for one in self.down) / 60

    @property
    def silent_minutes(self) -> float:
        return sum((one.until - one.since).total_seconds() for one in self.silent) / 60


class _Threshold(Shape):
    timeframe: str
    target: float


class _Slo(Shape):
    id: str
    name: str
    type: Kind
    thresholds: tuple[_Threshold, ...]


class _SloReply(Shape):
    data: _Slo


class _Raw(Shape):
    unit: str
    value: float


class _Status(Shape):
    sli: float
    error_budget_remaining: float
    raw_error_budget_remaining: _Raw
    state: str


class _StatusData(Shape):
    attributes: _Status


class _StatusReply(Shape):
    data: _StatusData


class _Error(Shape):
    error_type: str
    error_message: str


class _Overall(Shape):
    sli_value: float | None = None
    error_budget_remaining: Mapping[str, float] = Field(default={})
    errors: tuple[_Error, ...] = ()
    history: tuple[tuple[float, float], ...] = ()


class _Sum(Shape):
    sum: float


class _Series(Shape):
    numerator: _Sum
    denominator: _Sum


class _History(Shape):
    type: Kind
    overall: _Overall
    thresholds: dict[str, _Threshold]
    series: _Series | None = None


class _HistoryReply(Shape):
    data: _History


_NOTHING_TO_COUNT: Final = "ZERO_VALUED_DENOMINATOR"


def read_slo(step: Step, *, slo: str) -> Objective:
    """Return an objective; `slo` is its name among our ids (`slo_uptime`)."""
    with connect(step, API) as http:
        reply = http.call("read_slo", "GET", "/api/v1/slo/{id}", args={"id": our(step, slo)}, into=_SloReply)
    first = reply.data.thresholds[0]
    return Objective(
        id=reply.data.id,
        name=reply.data.name,
        kind=reply.data.type,
        target_percent=first.target,
        window_days=int(first.timeframe.removesuffix("d")),
    )


def read_slo_status(step: Step, *, slo: str, since: datetime, until: datetime) -> Standing:
    """Return how an objective stands over [since, until): that window's budget, at its own target."""
    with connect(step, API) as http:
        reply = http.call(
            "read_slo_status",
            "GET",
            "/api/v2/slo/{id}/status",
            args={"id": our(step, slo)},
            query=_span(since, until),
            into=_StatusReply,
        )
    told = reply.data.attributes
    counted = told.state != "no_data"
    return Standing(
        objective=slo,
        since=since,
        until=until,
        sli_percent=told.sli if counted else None,
        budget_left_percent=told.error_budget_remaining if counted else None,
        budget_left=told.raw_error_budget_remaining.value if counted else None,
        budget_unit=told.raw_error_budget_remaining.unit,
        state=told.state,
    )


def read_slo_history(
    step: Step, *, slo: str, since: datetime, until: datetime, target_percent: float | None = None
) -> History:
    """Return how an objective went over [since, until); the budget is that window's.

    `target_percent` puts another promise in the place of the objective's own. Without anything to count the
    indicator is None. Raises VendorUnavailable when Datadog could not work it out.
    """
    more = {} if target_percent is None else {"target": f"{target_percent:g}"}
    with connect(step, API) as http:
        reply = http.call(
            "read_slo_history",
            "GET",
            "/api/v1/slo/{id}/history",
            args={"id": our(step, slo)},
            query={**_span(since, until), **more},
            into=_HistoryReply,
        )
    told, overall = reply.data, reply.data.overall
    wrong = [one for one in overall.errors if one.error_type != _NOTHING_TO_COUNT]
    if wrong:
        raise VendorUnavailable(
            f"datadog could not work out the history of {slo} ({wrong[0].error_type}: "
            f"{wrong[0].error_message}); resume in some minutes",
            vendor="datadog",
            call="read_slo_history",
        )
    frame, threshold = next(iter(told.thresholds.items()))
    return History(
        objective=slo,
        kind=told.type,
        since=since,
        until=until,
        target_percent=threshold.target,
        sli_percent=overall.sli_value,
        budget_left_percent=overall.error_budget_remaining.get(frame),
        down=_stretches(overall.history, until, state=_DOWN),
        silent=_stretches(overall.history, until, state=_SILENT),
        good=told.series.numerator.sum if told.series else None,
        total=told.series.denominator.sum if told.series else None,
    )


def _span(since: datetime, until: datetime) -> dict[str, int]:
    return {"from_ts": int(since.timestamp()), "to_ts": int(until.timestamp())}


def _stretches(
    transitions: tuple[tuple[float, float], ...], until: datetime, *, state: int
) -> tuple[Downtime, ...]:
    """Return the stretches of one state, from the times at which it changed."""
    times = [datetime.fromtimestamp(at, UTC) for at, _ in transitions]
    ends = [*times, until][1:]
    return tuple(
        Downtime(since=begun, until=ended)
        for begun, ended, (_, entered) in zip(times, ends, transitions, strict=True)
        if entered == state
    )
