"""Which deployment serves production, and what share of the visitors, at every moment of the world.

The table `traffic` of the part `vercel` has one row for each change, in order of time; a row holds until
the next one begins:

| field | what |
|---|---|
| at | since when (ISO 8601, UTC) |
| current | the deployment that serves production |
| canary | the deployment that is rolled out, null when none is |
| canary_percent | how many of 100 visitors get the canary, the others get `current` |
| why | what changed it, in a few words |

Other parts read it through `world.part("vercel").traffic`. The split is by visitor, not by request, and an
advance reaches a visitor with the next page load: what that means for requests is theirs to model.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbook.clock import utc_text
from runbook.sandbox.vendors.vercel.desk import Desk
from runbook.sandbox.world.state import Doc

WHOLE = 100.0


@dataclass(frozen=True)
class Share:
    """How visitors are split while it holds."""

    at: datetime
    current: str
    canary: str | None
    canary_percent: float

    def of(self, deployment: str) -> float:
        """Return how many of 100 visitors a deployment gets."""
        if deployment == self.canary:
            return self.canary_percent
        return WHOLE - self.canary_percent if deployment == self.current else 0.0


class Traffic(Desk):
    """Writes and reads the table."""

    def turn(
        self, current: str, canary: str | None, percent: float, why: str, *, at: datetime | None = None
    ) -> None:
        """Split so from now on (or `at`, in a world that is being made); nothing when it is so already."""
        rows = self.table("traffic")
        new: Doc = {"current": current, "canary": canary, "canary_percent": percent}
        last = rows[str(len(rows))] if rows else {}
        if new != {key: last.get(key) for key in new}:
            rows.put(str(len(rows) + 1), {"at": utc_text(at or self.now), **new, "why": why})

    def share(self, when: datetime | None = None) -> Share:
        """Return how visitors are split at a time (now); before the first row it is as in the first."""
        shares = self.shares()
        return shares[max(0, bisect_right([one.at for one in shares], when or self.now) - 1)]

    def shares(self) -> list[Share]:
        """Return every split there was, oldest first."""
        return [
            Share(datetime.fromisoformat(row["at"]), row["current"], row["canary"], row["canary_percent"])
            for row in self.table("traffic").values()
        ]

    def between(self, since: datetime, until: datetime) -> list[tuple[datetime, datetime, Share]]:
        """Return the splits that hold within [since, until), each with the stretch it holds for."""
        shares = self.shares()
        ends = [*(one.at for one in shares[1:]), max(until, shares[-1].at + timedelta(seconds=1))]
        begins = [min(since, shares[0].at), *(one.at for one in shares[1:])]
        clipped = [
            (max(begin, since), min(end, until), share)
            for begin, end, share in zip(begins, ends, shares, strict=True)
        ]
        return [(begin, end, share) for begin, end, share in clipped if begin < end]

    def lines(self) -> list[str]:
        """Return the table as a person reads it."""
        return [
            f"{row['at'][:16]}Z {row['canary_percent']:g} % canary {row['canary'] or 'none'}, "
            f"current {row['current']} ({row['why']})"
            for row in self.table("traffic").values()
        ]
