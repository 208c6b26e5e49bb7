"""What is ordered: which milestone after the deployment, and which runs the rollout was made of."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal

from runbook.values import Value

Milestone = Literal["T+24 h", "T+1 week", "T+1 month"]
MILESTONES: Final[tuple[Milestone, ...]] = ("T+24 h", "T+1 week", "T+1 month")

SPANS: Final[dict[Milestone, timedelta]] = {
    "T+24 h": timedelta(hours=24),
    "T+1 week": timedelta(days=7),
    "T+1 month": timedelta(days=30),
}
"""A month is the 30 days of an error budget: 43.2 bad minutes at 99.9 %."""


class Order(Value):
    """The notebook's own parameters: a run's name each, empty where the newest one is to be found.

    `canary` is the run of the last phase; those before it are named by its own record.
    """

    milestone: Milestone
    drill: str
    preconfiguration: str
    migration: str
    canary: str
    report_before: str
