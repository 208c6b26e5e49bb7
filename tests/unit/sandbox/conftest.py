"""Real PostgreSQL for these tests."""

from tests.clusters import copied, lost, programs, running, scratch
from tests.hubs import hub, hub_cluster

__all__ = ["copied", "hub", "hub_cluster", "lost", "programs", "running", "scratch"]
