"""Counts by the minute, by deployment and by visitor bucket, from Datadog's timeseries queries.

What Datadog tells, and what it does not:

- Points come late. A minute is handed out once it is SETTLED_S old; what is younger is left for later.
- A count that was zero is not reported. A minute in which a deployment gave a sign of life (its heartbeat)
  and counted nothing is zeros; one without a sign of life is missing. Minutes in which nobody reported are
  gaps.
- A reply's `times` are those at which anything has a point, not the minutes that were asked for.
- Asked for more than 1,500 points Datadog makes the interval coarser without a word, so a call asks for less,
  and a reply whose times are wider apart than a minute is refused.
- Tags come back in lower case; deployments are told apart by that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from runbook.errors import SurprisingReply
from runbook.providers.connect import connect
from runbook.providers.datadog.api import API, QUERY_TIMESERIES, milliseconds, our, ours, scope
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value, shown

Floats = npt.NDArray[np.float64]
Who = Literal["newcomers", "everybody", "nobody"]
MINUTE: Final = timedelta(minutes=1)
MINUTE_MS: Final = 60_000
SETTLED_S: Final = 120
"""A minute's points are all there two minutes after it: Datadog takes them in within seconds, as a rule."""

BUCKETS: Final = 100
CHUNK: Final = timedelta(hours=4)
"""Asked for in one call: 240 points of each series, of the 1,500 that are given."""

COLUMNS: Final = (
    "requests",
    "errors",
    "slow_500",
    "slow_1000",
    "slow_2000",
    "database_calls",
    "database_slow_100",
)
_BY: Final = "by_"
_DATABASE_S: Final = "database_s"
_NONE: Final = (0,) * BUCKETS
_TELLING: Final = 4
"""So many times show what lies between them; fewer may be all that gaps have left."""

_WHOLE: Final = 1e-6


class Tally(Value):
    """What a deployment did in a minute: requests over 500, 1000, 2000 ms, database calls over 100 ms."""

    requests: int
    errors: int
    slow_500: int = 0
    slow_1000: int = 0
    slow_2000: int = 0
    database_calls: int = 0
    database_slow_100: int = 0
    database_ms: float = 0.0


class Columns(Value):
    """The same by visitor bucket: entry b of each column is bucket b."""

    visitors: tuple[int, ...]
    requests: tuple[int, ...]
    errors: tuple[int, ...]
    slow_500: tuple[int, ...]
    slow_1000: tuple[int, ...]
    slow_2000: tuple[int, ...]
    database_calls: tuple[int, ...]
    database_slow_100: tuple[int, ...]

    def rows(self) -> Iterable[tuple[str, str]]:
        return [(name, shown(sum(getattr(self, name)))) for name in ("visitors", "requests", "errors")]


class Arm(Value):
    """One deployment in one minute; `buckets` are of those visitors that were asked for."""

    deployment: str
    total: Tally
    buckets: Columns | None = None


class Minute(Value):
    """One whole minute, `at` its first second: those deployments that reported."""

    at: datetime
    arms: tuple[Arm, ...]

    def arm(self, deployment: str) -> Arm | None:
        """Return a deployment's counts, None when it did not report."""
        return next((arm for arm in self.arms if arm.deployment == deployment), None)


class Minutes(Value):
    """What is known of [since, settled_until); what came after it is not settled yet.

    `gaps` are minutes in which no deployment reported. `bucketed` says whose counts the buckets hold.
    """

    since: datetime
    settled_until: datetime
    minutes: tuple[Minute, ...]
    gaps: tuple[datetime, ...]
    bucketed: Who

    def rows(self) -> Iterable[tuple[str, str]]:
        deployments = dict.fromkeys(arm.deployment for minute in self.minutes for arm in minute.arms)
        return [
            ("since", shown(self.since)),
            ("settled until", shown(self.settled_until)),
            ("minutes", shown(len(self.minutes))),
            ("gaps", shown(len(self.gaps))),
            ("deployments", shown(tuple(deployments))),
        ]


class Unit(Shape):
    """Of a time: how many seconds `name` has."""

    family: str
    scale_factor: float


class _Series(Shape):
    group_tags: tuple[str, ...]
    query_index: int
    unit: tuple[Unit | None, ...] | None


class _Attributes(Shape):
    series: tuple[_Series, ...]
    times: tuple[int, ...]
    values: tuple[tuple[float | None, ...], ...]


class _Data(Shape):
    attributes: _Attributes


class _Reply(Shape):
    data: _Data


def read_minutes(
    step: Step,
    *,
    since: datetime,
    until: datetime,
    deployments: Sequence[str] = (),
    bucketed: Who = "newcomers",
) -> Minutes:
    """Return what every deployment did in each minute of [since, until) that is settled by now.

    `deployments` gives Vercel's spelling of their ids; others are named as Datadog does. `bucketed` says
    whose counts are told by bucket: those of visitors who came first after the release under way began, those
    of everybody, or nobody's; without the tags in environment.yaml there are none.
    Raises SurprisingReply for counts that are no whole numbers, or times wider apart than a minute.
    """
    settled = _minute(step.clock.now() - timedelta(seconds=SETTLED_S))
    since, ends = _minute(since), min(_minute(until), settled)
    who: Who = bucketed if _has_tags(step, bucketed) else "nobody"
    spelled = {one.lower(): one for one in deployments}
    minutes: list[Minute] = []
    with connect(step, API) as http:
        begins = since
        while begins < ends:
            chunk = min(begins + CHUNK, ends)
            minutes += _read(step, http, begins, chunk, spelled, who)
            begins = chunk
    reported = {minute.at for minute in minutes}
    gaps = [at for at in _each(since, ends) if at not in reported]
    return Minutes(
        since=since,
        settled_until=max(since, ends),
        minutes=tuple(minutes),
        gaps=tuple(gaps),
        bucketed=who,
    )


def _read(
    step: Step, http: Http, since: datetime, until: datetime, spelled: Mapping[str, str], who: Who
) -> list[Minute]:
    queries = {**_totals(step), **_by_bucket(step, who)}
    attributes = {
        "from": milliseconds(since),
        "to": milliseconds(until),
        "interval": MINUTE_MS,
        "queries": [{"data_source": "metrics", "name": n, "query": q} for n, q in queries.items()],
        "formulas": [{"formula": name} for name in queries],
    }
    body = {"data": {"type": "timeseries_request", "attributes": attributes}}
    reply = http.call(
        QUERY_TIMESERIES, "POST", "/api/v2/query/timeseries", json=body, into=_Reply, once=False
    )
    return _taken(reply.data.attributes, tuple(queries), since, until, spelled)


def _totals(step: Step) -> dict[str, str]:
    """Return the queries of all visitors, by the name of what they count."""
    within, tag = scope(step), our(step, "deployment_tag")
    names = dict.fromkeys(COLUMNS, "sum")
    queries = {name: _count(our(step, name), within, tag) for name in names}
    queries[_DATABASE_S] = f"sum:{our(step, 'database_latency')}{{{within}}} by {{{tag}}}.rollup(sum, 60)"
    if beat := ours(step, "heartbeat"):
        queries["heartbeat"] = _count(beat, within, tag)
    return queries


def _by_bucket(step: Step, who: Who) -> dict[str, str]:
    if who == "nobody":
        return {}
    newcomers = [f"{our(step, 'newcomer_tag')}:true"] if who == "newcomers" else []
    within = scope(step, *newcomers)
    tags = f"{our(step, 'deployment_tag')},{our(step, 'bucket_tag')}"
    return {_BY + name: _count(our(step, name), within, tags) for name in ("visitors", *COLUMNS)}


def _count(metric: str, within: str, tags: str) -> str:
    return f"sum:{metric}{{{within}}} by {{{tags}}}.as_count().rollup(sum, 60)"


def _has_tags(step: Step, who: Who) -> bool:
    needed = {"newcomers": ("bucket_tag", "newcomer_tag"), "everybody": ("bucket_tag",), "nobody": ()}[who]
    return all(ours(step, name) for name in needed)


# From series to minutes


@dataclass
class _Taken:
    """One deployment's counts: [minutes] of all its visitors, [minutes, buckets] of those asked for.

    A minute without a point is NaN in `total`, and zero in `buckets`.
    """

    total: dict[str, list[float]] = field(default_factory=dict)
    buckets: dict[str, list[list[int]]] = field(default_factory=dict)

    def reported(self, minute: int) -> bool:
        """Return whether there was a sign of life in a minute, or a request."""
        points = (self.total[name][minute] for name in ("heartbeat", "requests") if name in self.total)
        return any(not math.isnan(point) for point in points)


def _taken(
    told: _Attributes, names: Sequence[str], since: datetime, until: datetime, spelled: Mapping[str, str]
) -> list[Minute]:
    size = int((until - since) / MINUTE)
    found = _by_deployment(told, names, _places(told.times, since, until), size)
    arms = {spelled.get(name, name): taken for name, taken in sorted(found.items())}
    bucketed = any(name.startswith(_BY) for name in names)
    minutes = []
    for number in range(size):
        there = tuple(
            _arm(name, taken, number, bucketed=bucketed)
            for name, taken in arms.items()
            if taken.reported(number)
        )
        if there:
            minutes.append(Minute(at=since + number * MINUTE, arms=there))
    return minutes


def _by_deployment(
    told: _Attributes, names: Sequence[str], places: list[int], size: int
) -> dict[str, _Taken]:
    """Return the counts of each deployment, as they are spelled by Datadog."""
    values = np.array(told.values, dtype=np.float64).reshape(len(told.series), len(places))
    rows: dict[tuple[str, str], dict[int | None, int]] = {}
    for row, series in enumerate(told.series):
        name = names[series.query_index]
        deployment, bucket = _group(series.group_tags, bucketed=name.startswith(_BY))
        if deployment is not None and (bucket is not None or not name.startswith(_BY)):
            rows.setdefault((deployment, name), {})[bucket] = row
    found: dict[str, _Taken] = {}
    for (deployment, name), mine in rows.items():
        taken, chosen = found.setdefault(deployment, _Taken()), list(mine.values())
        if name == _DATABASE_S:
            line = values[chosen[0]] * _seconds(told.series[chosen[0]].unit)
            taken.total[name] = _spread(line, places, size).tolist()
            continue
        counts = _counted(values[chosen], name)
        if name.startswith(_BY):
            whole = np.zeros((size, BUCKETS), dtype=np.int64)
            whole[np.array(places)[:, None], np.array(list(mine))] = np.nan_to_num(counts).T
            taken.buckets[name.removeprefix(_BY)] = whole.tolist()
        else:
            taken.total[name] = _spread(counts[0], places, size).tolist()
    return found


def _spread(line: Floats, places: list[int], size: int) -> Floats:
    """Return a line of points in the minutes that they are of."""
    whole = np.full(size, np.nan)
    whole[places] = line
    return whole


def _places(times: Sequence[int], since: datetime, until: datetime) -> list[int]:
    """Return which minutes the reply's times are; some may lack, but not every second or third."""
    begins, ends = milliseconds(since), milliseconds(until)
    apart = math.gcd(*(later - earlier for earlier, later in pairwise(times)))
    wrong = [time for time in times if time % MINUTE_MS or not begins <= time < ends]
    if wrong or (apart > MINUTE_MS and len(times) >= _TELLING):
        raise _surprising("its times are not the minutes that were asked for: its interval is coarser")
    return [(time - begins) // MINUTE_MS for time in times]


@lru_cache(maxsize=4096)
def _group(tags: tuple[str, ...], *, bucketed: bool) -> tuple[str | None, int | None]:
    """Return the deployment and the bucket of a group; None for what carries no such tag (`N/A`)."""
    values = [tag.partition(":")[2] for tag in tags]
    deployment = None if values[0] == "N/A" else values[0]
    if not bucketed or values[1] == "N/A":
        return deployment, None
    if not values[1].isdigit() or int(values[1]) >= BUCKETS:
        raise _surprising(f"a bucket is a number below {BUCKETS}, not {values[1]!r}")
    return deployment, int(values[1])


def _counted(values: Floats, name: str) -> Floats:
    there = values[~np.isnan(values)]
    if np.abs(there - np.round(there)).max(initial=0.0) > _WHOLE or (there < 0).any():
        raise _surprising(f"{name} is no count: a value is not a whole number; is its metric a count?")
    return np.round(values)


def _seconds(unit: tuple[Unit | None, ...] | None) -> float:
    """Return how many seconds a value of a time's unit has."""
    first = unit[0] if unit else None
    if first is None or first.family != "time":
        raise _surprising("the database's latency has no unit of time; set it on its metric")
    return first.scale_factor


def _arm(name: str, taken: _Taken, number: int, *, bucketed: bool) -> Arm:
    def of(column: str) -> float:
        value = taken.total[column][number] if column in taken.total else math.nan
        return 0.0 if math.isnan(value) else value

    counts = {column: int(of(column)) for column in COLUMNS}
    total = Tally(**counts, database_ms=of(_DATABASE_S) * 1000)
    if not bucketed:
        return Arm(deployment=name, total=total)
    columns = {
        column: tuple(taken.buckets[column][number]) if column in taken.buckets else _NONE
        for column in ("visitors", *COLUMNS)
    }
    return Arm(deployment=name, total=total, buckets=Columns(**columns))


def _surprising(what: str) -> SurprisingReply:
    return SurprisingReply(
        f"datadog answered {QUERY_TIMESERIES} unlike documented: {what}. See docs/providers.md, then resume",
        vendor="datadog",
        call=QUERY_TIMESERIES,
    )


def _minute(when: datetime) -> datetime:
    return when.astimezone(UTC).replace(second=0, microsecond=0)


def _each(since: datetime, until: datetime) -> Iterable[datetime]:
    at = since
    while at < until:
        yield at
        at += MINUTE
