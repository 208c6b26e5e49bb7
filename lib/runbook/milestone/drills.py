"""Past restore drills: how long each took and how much it lost, those that cannot be relied on by name."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from runbook.milestone.gathering import DRILL
from runbook.milestone.relying import examine
from runbook.step import Step
from runbook.values import Value, html_table, shown

AT_MOST: Final = 24
"""The newest so many are verified: each costs a signature's check."""


class PastDrill(Value):
    """A drill that is verified; RTO and RPO are None where it did not get that far."""

    run_id: str
    at: datetime
    status: str
    rto_s: float | None
    rpo_s: float | None


class PastDrills(Value):
    """The newest drills, oldest first; `doubtful` cannot be relied on, `left_out` older ones are not read."""

    drills: tuple[PastDrill, ...]
    doubtful: tuple[str, ...]
    left_out: int
    rto_limit_s: float
    rpo_limit_s: float

    def rows(self) -> list[tuple[str, str]]:
        rows = [(f"{one.at:%Y-%m-%d %H:%M}", f"{one.status}, {_times(one)}") for one in self.drills]
        more = [("cannot be relied on", ", ".join(self.doubtful))] if self.doubtful else []
        return [*rows, *more, ("older ones, not read", shown(self.left_out))]

    def _repr_html_(self) -> str:
        cells = [
            (f"{one.at:%Y-%m-%d %H:%M}", one.status, *_times(one).split(", "), one.run_id)
            for one in self.drills
        ]
        return html_table(cells, head=("opened (UTC)", "ended", "RTO", "RPO", "run")) + html_table(
            self.rows()[len(self.drills) :]
        )


def read_past_drills(step: Step) -> PastDrills:
    """Return the environment's restore drills, each verified before a number of it is taken."""
    limits = step.rollout().rollback.database_corruption
    mine = [one for one in step.runs() if one.runbook == DRILL and one.environment == step.environment().name]
    drills, doubtful = list[PastDrill](), list[str]()
    for one in mine[:AT_MOST]:
        earlier, problems = examine(step, one.run_id, runbook=DRILL)
        if earlier is None or problems:
            doubtful.append(one.run_id)
            continue
        numbers = {name: number.value for name, number in earlier.summary.numbers.items()}
        drills.append(
            PastDrill(
                run_id=one.run_id,
                at=earlier.summary.opened_at,
                status=earlier.summary.status,
                rto_s=numbers.get("rto_s"),
                rpo_s=numbers.get("rpo_s"),
            )
        )
    return PastDrills(
        drills=tuple(sorted(drills, key=lambda one: one.at)),
        doubtful=tuple(doubtful),
        left_out=max(0, len(mine) - AT_MOST),
        rto_limit_s=limits.rto_below_minutes * 60,
        rpo_limit_s=(limits.rpo_below_minutes or 0) * 60,
    )


def _times(one: PastDrill) -> str:
    rto = "no RTO" if one.rto_s is None else f"{one.rto_s:.1f} s"
    return f"{rto}, {'no RPO' if one.rpo_s is None else f'{one.rpo_s:g} s'}"
