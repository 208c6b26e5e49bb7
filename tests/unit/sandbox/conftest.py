"""Real PostgreSQL for these tests."""

from tests.clusters import copied, lost, programs, running, scratch

__all__ = ["copied", "lost", "programs", "running", "scratch"]
