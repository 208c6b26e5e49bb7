"""Real PostgreSQL for these tests."""

from tests.clusters import copied, lost, programs, running, scratch
from tests.databases import origin

__all__ = ["copied", "lost", "origin", "programs", "running", "scratch"]
