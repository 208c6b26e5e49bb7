"""Monitors: which alerts there are, and how each stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from runbook.providers.connect import connect
from runbook.providers.datadog.api import API, our
from runbook.providers.paging import by_number
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

State = Literal["Alert", "Ignored", "No Data", "OK", "Skipped", "Unknown", "Warn"]
_PAGE: Final = 100


class Monitor(Value):
    """A monitor as it stands: what it asks, whom its message names."""

    id: int
    name: str
    state: State
    query: str
    message: str
    tags: tuple[str, ...]


class _Monitor(Shape):
    id: int
    name: str
    overall_state: State
    query: str
    message: str
    tags: tuple[str, ...]


def read_monitors(step: Step) -> tuple[Monitor, ...]:
    """Return our service's monitors, whole: the list has pages only when it is asked for one."""
    tag = f"service:{our(step, 'service')}"
    with connect(step, API) as http:

        def fetch(page: int) -> tuple[Sequence[_Monitor], bool]:
            found = http.call(
                "read_monitors",
                "GET",
                "/api/v1/monitor",
                query={"monitor_tags": tag, "page": page, "page_size": _PAGE},
                into=tuple[_Monitor, ...],
            )
            return found, len(found) == _PAGE

        monitors = by_number(fetch, what="datadog read_monitors", first=0)
    return tuple(
        Monitor(
            id=one.id,
            name=one.name,
            state=one.overall_state,
            query=one.query,
            message=one.message,
            tags=one.tags,
        )
        for one in monitors
    )
