"""Datadog: counts by the minute, levels, objectives and their budgets, monitors, marks on its timelines.

Source: Datadog's API v1 and v2. Queries and the SLO status are v2's, where v1 itself sends its readers.
Traps that the modules meet: errors inside HTTP 200, points that come late, zeros that are not reported, times
that are left out, intervals made coarser without a word, tags in lower case, times in seconds.
"""

from runbook.providers.datadog.charges import read_charges
from runbook.providers.datadog.levels import Level, read_levels
from runbook.providers.datadog.marks import Event, Mark, apply_mark, read_events
from runbook.providers.datadog.minutes import (
    BUCKETS,
    SETTLED_S,
    Arm,
    Columns,
    Minute,
    Minutes,
    Tally,
    read_minutes,
)
from runbook.providers.datadog.objectives import (
    Downtime,
    History,
    Objective,
    Standing,
    read_slo,
    read_slo_history,
    read_slo_status,
)
from runbook.providers.datadog.watching import Monitor, read_monitors

__all__ = [
    "BUCKETS",
    "SETTLED_S",
    "Arm",
    "Columns",
    "Downtime",
    "Event",
    "History",
    "Level",
    "Mark",
    "Minute",
    "Minutes",
    "Monitor",
    "Objective",
    "Standing",
    "Tally",
    "apply_mark",
    "read_charges",
    "read_events",
    "read_levels",
    "read_minutes",
    "read_monitors",
    "read_slo",
    "read_slo_history",
    "read_slo_status",
]
