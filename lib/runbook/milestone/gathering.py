"""Gathers the rollout's runs: those named, else the newest of each kind; none is left out in silence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from runbook.changes import traffic
from runbook.milestone.order import Order
from runbook.milestone.relying import NONE, Kept, examine, keep, result_of
from runbook.step import Earlier, Sighting, Step
from runbook.values import Value, html_table, shown

DRILL, PRECONFIGURATION, MIGRATION, CANARY = (
    "db_restore_drill",
    "dns_preconfiguration",
    "dns_migration",
    "canary_phase",
)
LOOKS_AT_MOST: Final = 20
"""How many runs of one kind are verified in search of one that can be relied on."""

WORLD_FOLLOWS: Final = "the world follows"  # titles of steps in the runs' notebooks
AT_ITS_SHARE: Final = "the canary at its share"
WHO_SERVES: Final = "who serves"
UNDER_WAY: Final = "the phase under way"


class Phase(Value):
    """A canary phase as its run's record has it; without a run that is relied on, only its number."""

    number: int
    percent: float
    run: Kept
    began_at: datetime | None = None
    ends_at: datetime | None = None


class Stretch(Value):
    """A run in time, with what came of it in a word; without times nothing that is relied on tells them."""

    title: str
    since: datetime | None
    until: datetime | None
    word: str
    good: bool

    @classmethod
    def of(cls, run: Kept, *, since: datetime | None = None, until: datetime | None = None) -> Stretch:
        unknown = "no run" if not run.run_id else "not relied on"
        decision = "hold, signed" if run.decision == "hold" and run.status == "done" else run.decision
        word = (decision or run.status) if run.relied_on else unknown
        return cls(
            title=run.part,
            since=since or run.opened_at,
            until=until or run.ended_at,
            word=f"{word}?" if run.passed_over and run.relied_on else word,
            good=run.stands,
        )


class Gathered(Value):
    """The runs that the rollout was made of, its phases in order, and what was released when.

    `deployed_at` is when the last phase ended; None when no record that can be relied on says so.
    """

    drill: Kept
    preconfiguration: Kept
    migration: Kept
    phases: tuple[Phase, ...]
    deployed_at: datetime | None
    build: str
    version: str

    def timeline(self) -> tuple[Stretch, ...]:
        """Return the runs in time, as a chart draws them; of a phase, the time that it was watched.

        The drill is not among them: it is practice, and its clock is the real one also in a rehearsal.
        """
        before = [Stretch.of(one) for one in (self.preconfiguration, self.migration)]
        phases = [Stretch.of(one.run, since=one.began_at, until=one.ends_at) for one in self.phases]
        return (*before, *phases)

    def all(self) -> tuple[Kept, ...]:
        """Return every run that the rollout needs, in its order."""
        return (self.drill, self.preconfiguration, self.migration, *(phase.run for phase in self.phases))

    def rows(self) -> list[tuple[str, str]]:
        deployed = shown(self.deployed_at) if self.deployed_at else "not known: no last phase is relied on"
        return [*((one.part, one.standing()) for one in self.all()), ("deployed", deployed)]

    def _repr_html_(self) -> str:
        rows = [(one.part, one.standing(), one.verdict or "–") for one in self.all()]
        return html_table(rows, head=("part of the rollout", "its record", "what it came to"))


def gather(step: Step, order: Order) -> Gathered:
    """Return the rollout's runs, each verified; what is missing or cannot be relied on is among them."""
    drill, _ = _one(step, "restore drill", order.drill, runbook=DRILL)
    before, _ = _one(step, "DNS pre-configuration", order.preconfiguration, runbook=PRECONFIGURATION)
    migration, _ = _one(step, "DNS migration", order.migration, runbook=MIGRATION, decision=WORLD_FOLLOWS)
    phases, ground = _phases(step, order.canary)
    last = phases[-1].run
    return Gathered(
        drill=drill,
        preconfiguration=before,
        migration=migration,
        phases=phases,
        deployed_at=last.ended_at if last.relied_on and last.status == "done" else None,
        build=ground.canary if ground else "",
        version=ground.version if ground else "",
    )


def find(step: Step, runbook: str) -> tuple[str, tuple[str, ...]]:
    """Return the newest run of a runbook that can be relied on, and the newer ones that cannot.

    Runs of mode plan and those under way or parked are no evidence and are not counted. One whose first line
    is damaged is in doubt whenever it was: its time is not known either. Empty: there is none.
    """
    environment, passed = step.environment().name, list[str]()
    others = [one for one in step.runs() if one.run_id != step.run_id]
    passed += [one.run_id for one in others if one.damaged and _may_be(one, runbook)]
    whole = [one for one in others if not one.damaged and runbook in (one.runbook, _stem(one.run_id))]
    mine = [one for one in whole if one.environment == environment]
    for one in mine[:LOOKS_AT_MOST]:
        earlier, problems = examine(step, one.run_id, runbook=runbook)
        if earlier is not None and _no_evidence(earlier):
            continue
        if not problems:
            return one.run_id, tuple(passed)
        passed.append(one.run_id)
    return "", tuple(passed)


def _may_be(damaged: Sighting, runbook: str) -> bool:
    """Whether a run whose first line is damaged may be of a runbook: by its name, or by a name of its own."""
    return _stem(damaged.run_id) == runbook or "-" not in damaged.run_id


def _stem(run_id: str) -> str:
    return run_id.partition("-")[0]


def _no_evidence(earlier: Earlier) -> bool:
    summary = earlier.summary
    return summary.mode == "plan" or summary.status in ("running", "parked", "abandoned")


def _one(
    step: Step, part: str, named: str, *, runbook: str, decision: str = ""
) -> tuple[Kept, Earlier | None]:
    run_id, passed = (named, ()) if named else find(step, runbook)
    if not run_id:
        why = f"none of {', '.join(passed)} can be relied on" if passed else NONE
        return Kept(part=part, run_id="", problems=(why,), passed_over=passed), None
    return keep(step, part, run_id, runbook=runbook, decision=decision, passed_over=passed)


def _phases(step: Step, named: str) -> tuple[tuple[Phase, ...], traffic.Ground | None]:
    """Return the plan's phases, found from the last run back: each names the run before it."""
    plan = step.rollout().canary.phases
    found = {number: (kept, earlier) for number, kept, earlier in _chain(step, named, len(plan))}
    ground = next(
        (g for _, e in found.values() if isinstance(g := _result(e, WHO_SERVES), traffic.Ground)), None
    )
    phases = []
    for number, planned in enumerate(plan, start=1):
        missing = Kept(
            part=f"canary, phase {number}", run_id="", problems=("no record leads to a run of it",)
        )
        kept, earlier = found.get(number, (missing, None))
        way = _result(earlier, UNDER_WAY)
        at = (way.began_at, way.ends_at) if isinstance(way, traffic.UnderWay) else (None, None)
        phases.append(Phase(number=number, percent=planned.percent, run=kept, began_at=at[0], ends_at=at[1]))
    return tuple(phases), ground


def _chain(step: Step, named: str, last: int) -> Iterator[tuple[int, Kept, Earlier | None]]:
    """Yield (phase, run, record) from the last phase back, until a record leads no further.

    A run that cannot be relied on says nothing of which phase it was: it stands for the one looked for.
    """
    run_id, wanted = named, last
    while wanted > 0:
        part = f"canary, phase {wanted}"
        kept, earlier = _one(step, part, run_id, runbook=CANARY, decision=AT_ITS_SHARE)
        number = _number(earlier) if earlier else wanted
        if earlier is not None and (number < 1 or (number != wanted and run_id != named)):
            wrong = f"its record says that it was phase {number}, not {wanted}"
            kept, earlier, number = Kept(part=part, run_id=kept.run_id, problems=(wrong,)), None, wanted
        yield number, kept.model_copy(update={"part": f"canary, phase {number}"}), earlier
        run_id = str(earlier.summary.params.get("previous") or "") if earlier else ""
        if not run_id:
            return
        wanted = number - 1


def _number(earlier: Earlier) -> int:
    found = earlier.summary.params.get("phase")
    return found if isinstance(found, int) else 0


def _result(earlier: Earlier | None, title: str) -> Value | None:
    return result_of(earlier, title) if earlier else None
