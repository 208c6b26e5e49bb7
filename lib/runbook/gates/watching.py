"""What waiting and watching come to: a wait that is over, a look, a verdict with its reasons."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from runbook.values import Value, shown

Decision = Literal["proceed", "hold", "rollback"]


class Waited(Value):
    """A wait that is over: the time it was for, and when that was seen."""

    until: datetime
    seen_at: datetime


class Look(Value):
    """One look of a watch: what it showed, in a sentence, and what it would decide if it were the last.

    `ends` says that no further look can change the decision, so that the watch ends early. `numbers` are
    what the next look and the charts need of it. `again_s` is how soon to look again where that is not
    every so often: dense while things move, rare afterwards.
    """

    at: datetime
    says: str
    decision: Decision
    ends: bool = False
    numbers: dict[str, float | None] = Field(default_factory=dict)
    again_s: float | None = Field(default=None, gt=0)


class Verdict(Value):
    """What a watch came to, and why; `gaps_s` are stretches in which nobody looked for too long.

    `numbers` are the last look's.
    """

    title: str
    decision: Decision
    reasons: tuple[str, ...]
    looks: int
    began_at: datetime
    ended_at: datetime
    gaps_s: tuple[float, ...] = ()
    numbers: dict[str, float | None] = Field(default_factory=dict)

    def rows(self) -> list[tuple[str, str]]:
        rows = [("decision", self.decision), *(("because", reason) for reason in self.reasons)]
        rows += [("looked", f"{self.looks} times, {shown(self.began_at)} to {shown(self.ended_at)}")]
        unwatched = f"{len(self.gaps_s)} gaps, {sum(self.gaps_s) / 60:.0f} minutes in all"
        return [*rows, *([("not watched", unwatched)] if self.gaps_s else [])]
