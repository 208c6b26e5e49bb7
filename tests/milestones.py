"""Milestones for tests: a stretch of a world's time, and what its raw traffic says of it, worked out anew."""

from datetime import UTC, datetime, timedelta

import numpy as np

from runbook.milestone.period import Period

MINUTE_S = 60
DOWN_FROM = 0.05  # of a minute's requests: what the uptime objective calls down


def period(since, until, milestone="T+24 h"):
    return Period(milestone=milestone, since=since, until=until, counted_from="the test")


def at(month, day, hour=0, minute=0, year=2026):
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def raw_minutes(world, since, until):
    """Return (requests, errors, told) of every minute, added up over all builds and buckets, one by one."""
    traffic = world.world.part("traffic")
    first, last = int(since.timestamp()) // MINUTE_S, int(until.timestamp()) // MINUTE_S
    requests, errors = np.zeros(last - first), np.zeros(last - first)
    begins = max(first, int(traffic.begins.timestamp()) // MINUTE_S)
    for stream in traffic.streams(begins, last, ("requests", "errors")):
        for name, sums in (("requests", requests), ("errors", errors)):
            for place, cells in enumerate(stream.counts[name]):
                sums[begins - first + place] += cells.sum()
    told = (requests > 0) & ~traffic.trouble.silent(first, last)
    return requests, errors, told


def expected(world, since, until):
    """Return what a report must say of [since, until): minutes down and untold, requests, errors."""
    requests, errors, told = raw_minutes(world, since, until)
    down = sum(1 for r, e, t in zip(requests, errors, told, strict=True) if t and e / r >= DOWN_FROM)
    return {
        "down_min": down,
        "silent_min": int((~told).sum()),
        "requests": float(requests[told].sum()),
        "errors": float(errors[told].sum()),
    }


def days_between(since, until):
    """Return [begin, end) of each UTC day, clipped: a plain loop over midnights."""
    found, begins = [], since
    while begins < until:
        midnight = (begins + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        found.append((begins, min(midnight, until)))
        begins = midnight
    return found
