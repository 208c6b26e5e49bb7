"""The plan's alerts as monitors, each in the state that what was reported puts it into."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from runbook.sandbox.traffic.part import Traffic
from runbook.sandbox.vendors.datadog.formulas import value_of
from runbook.sandbox.vendors.datadog.language import read_query
from runbook.sandbox.vendors.datadog.metrics import ENV, SERVICE, points, window_of
from runbook.sandbox.world.part import Answer, Call
from runbook.sandbox.world.state import Doc

EVALUATED_AFTER: Final = timedelta(seconds=120)
"""A monitor looks at points that are all there."""

PAGE_MOST: Final = 1000
_SCOPE: Final = f"env:{ENV},service:{SERVICE}"
TAGS: Final = (f"env:{ENV}", f"service:{SERVICE}", "team:devops")
MADE: Final = "2026-11-16T09:00:00.000000+00:00"


@dataclass(frozen=True)
class Watch:
    """Queries, a formula over them for each minute, and how many minutes in a row make an alert."""

    key: int
    name: str
    queries: dict[str, str]
    formula: str
    critical: float
    warning: float | None
    for_minutes: int
    message: str

    @property
    def text(self) -> str:
        words = self.formula
        for name, query in self.queries.items():
            words = words.replace(name, query)
        return f"min(last_{self.for_minutes}m):{words} > {self.critical:g}"


WATCHES: Final = (
    Watch(
        171_000_001,
        "High error rate",
        {
            "bad": f"sum:omnihub.web.errors{{{_SCOPE}}}.as_count()",
            "every": f"sum:omnihub.web.requests{{{_SCOPE}}}.as_count()",
        },
        "default_zero(bad) / every * 100",
        5.0,
        2.0,
        5,
        "@pagerduty-omnihub @slack-incidents docs/runbooks/high-error-rate.md",
    ),
    Watch(
        171_000_002,
        "Database high latency",
        {"took": f"avg:omnihub.db.latency{{{_SCOPE}}}"},
        "took",
        1.0,
        0.5,
        10,
        "@slack-devops docs/runbooks/database-latency.md",
    ),
    Watch(
        171_000_003,
        "P95 latency",
        {"took": f"p95:omnihub.web.latency{{{_SCOPE}}}"},
        "took",
        2.0,
        1.0,
        5,
        "@slack-devops",
    ),
)


def state_of(traffic: Traffic, watch: Watch) -> str:
    """Return a monitor's state by the minutes that it looks at."""
    until = traffic.now - EVALUATED_AFTER
    window = window_of(until - timedelta(minutes=watch.for_minutes), until, 60)
    found = points(traffic, {name: read_query(text) for name, text in watch.queries.items()}, window)
    values = value_of(watch.formula, found).get((), np.array([np.nan]))
    if np.isnan(values).all():
        return "No Data"
    least = float(np.nanmin(values))
    if least > watch.critical:
        return "Alert"
    return "Warn" if watch.warning is not None and least > watch.warning else "OK"


def listing(traffic: Traffic, call: Call) -> Answer:
    """Answer GET /api/v1/monitor: all of them unless a page is asked for."""
    wanted = {tag.strip() for tag in call.one("monitor_tags").split(",") if tag.strip()}
    name = call.one("name").lower()
    fitting = [one for one in WATCHES if wanted <= set(TAGS) and name in one.name.lower()]
    fitting = [one for one in fitting if one.key > call.number("id_offset", 0)]
    if call.one("page"):
        size = call.number("page_size", 100, least=1, most=PAGE_MOST)
        fitting = fitting[call.number("page", 0) * size :][:size]
    return Answer(200, [_shown(traffic, one) for one in fitting])


def single(traffic: Traffic, call: Call) -> Answer:
    """Answer GET /api/v1/monitor/{monitor_id}."""
    found = next((one for one in WATCHES if str(one.key) == call.args["monitor_id"]), None)
    if found is None:
        return Answer(404, {"errors": ["Monitor not found"]})
    return Answer(200, _shown(traffic, found))


def _shown(traffic: Traffic, watch: Watch) -> Doc:
    thresholds = {"critical": watch.critical}
    if watch.warning is not None:
        thresholds["warning"] = watch.warning
    return {
        "id": watch.key,
        "name": watch.name,
        "type": "query alert",
        "query": watch.text,
        "message": watch.message,
        "tags": list(TAGS),
        "overall_state": state_of(traffic, watch),
        "options": {
            "thresholds": thresholds,
            "notify_no_data": False,
            "evaluation_delay": int(EVALUATED_AFTER.total_seconds()),
            "include_tags": True,
            "require_full_window": False,
        },
        "multi": False,
        "priority": None,
        "restricted_roles": None,
        "created": MADE,
        "modified": MADE,
        "deleted": None,
        "creator": {"name": "Ada Okafor", "handle": "ada@omnihub.dev", "email": "ada@omnihub.dev"},
    }
