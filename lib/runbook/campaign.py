"""A campaign: many drills, each a run in the sandbox with a scenario, held against what its row expects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from statistics import median
from typing import Any, Final, TypeVar

from runbook.errors import UnknownName
from runbook.plan import Scenario
from runbook.summary import Summary

R = TypeVar("R")
# What a drill lets be heard beside what its kernels show: which of its runs begins.
RUN_BEGINS: Final = "a run begins"
PATIENCE_S = 10.0  # for a run that was interrupted to put that on record
GUESS_S = 20.0  # what a run takes, as long as none is on record
IN_REAL_TIME = 3  # a run that meets no world takes as long as so many that do (`make drill`)


@dataclass(frozen=True)
class Result:
    """What a scenario's row expected and what its run came to; `why` is empty when they agree."""

    scenario: Scenario
    summary: Summary | None
    seconds: float
    why: str

    @property
    def as_expected(self) -> bool:
        return not self.why


def chosen(
    scenarios: Iterable[Scenario], *, names: Iterable[str], scenario: str, all_rows: bool
) -> list[Scenario]:
    """Return the rows to drill: by runbook, by scenario, all, or those of `make drill`.

    Raises UnknownName when a name picks nothing.
    """
    rows = list(scenarios)
    for name in names:
        if all(row.runbook != name for row in rows):
            raise UnknownName(f"no scenario drills a runbook named {name!r}")
    wanted = set(names)
    rows = [row for row in rows if not wanted or row.runbook in wanted]
    if scenario:
        named = [row for row in rows if row.name == scenario]
        if not named:
            raise UnknownName(f"no scenario {scenario!r}; there are: {', '.join(row.name for row in rows)}")
        return named
    return rows if all_rows else [row for row in rows if row.in_make_drill]


def judge(scenario: Scenario, summary: Summary) -> str:
    """Return why a run is not what its row expects, or nothing."""
    expected = scenario.expected
    said = (summary.verdict, *summary.reasons)
    if expected.met_by(status=summary.status, exit_code=summary.exit_code, texts=said):
        return ""
    because = f" because “{expected.because}”" if expected.because else ""
    return (
        f"expected {expected.status} ({expected.exit_code}){because}; "
        f"got {summary.status} ({summary.exit_code}): {' '.join(said)}"
    )


def name_of(scenario: Scenario) -> str:
    """Return a row's name, unique among all rows."""
    return f"{scenario.runbook}: {scenario.name}"


def longest_first(
    rows: Sequence[R],
    *,
    of: Callable[[R], Scenario],
    took_s: Mapping[str, float],
    worlds: Collection[str],
) -> list[R]:
    """Return the rows in the order that leaves no core idle at the end.

    `took_s` is what rows took the last time, by name; one that is not on record is taken for as long as its
    runs usually are. Runbooks that are not in `worlds` run in real time, on a PostgreSQL of their own.
    """

    def runs(scenario: Scenario) -> int:
        names = (scenario.runbook, *(one.runbook for one in scenario.first))
        return sum(1 if name in worlds else IN_REAL_TIME for name in names)

    scenarios = [of(row) for row in rows]
    known = [took_s[name_of(one)] / runs(one) for one in scenarios if name_of(one) in took_s]
    usual_s = median(known) if known else GUESS_S

    def length_s(row: R) -> float:
        scenario = of(row)
        return took_s.get(name_of(scenario), usual_s * runs(scenario))

    return sorted(rows, key=length_s, reverse=True)


def drill(
    rows: Sequence[R],
    *,
    run: Callable[[R, Mapping[int, Future[Summary]]], Result],
    jobs: int,
    tell: Callable[[Result], None],
    stop: Callable[[], None],
    aside: Callable[[R], Mapping[int, Callable[[], Summary]]] = lambda _: {},
    in_real_time: Callable[[R], bool] = lambda _: False,
) -> list[Result]:
    """Run the rows, `jobs` at a time, tell each result as it comes, return them in the order of the rows.

    What of a row may be done `aside` is a job, too; it begins before its row, which is handed it under way.
    Beside several jobs there is one more for what runs `in_real_time`, or aside: it mostly waits.

    When it is interrupted, `stop` must end the runs that are under way, harder when it is called again; no
    further one begins, and none is under way any more when the interruption goes on to the caller.
    """

    def one(row: R, begun: Mapping[int, Future[Summary]]) -> Result:
        result = run(row, begun)
        tell(result)
        return result

    with ThreadPoolExecutor(max_workers=jobs) as pool, ThreadPoolExecutor(max_workers=1) as one_more:
        patient = pool if jobs == 1 or all(map(in_real_time, rows)) else one_more
        waiting, beside = list[Future[Result]](), list[Future[Summary]]()
        for row in rows:
            begun = {place: patient.submit(work) for place, work in aside(row).items()}
            beside += begun.values()
            waiting.append((patient if in_real_time(row) else pool).submit(one, row, begun))
        try:
            wait(waiting, return_when=FIRST_EXCEPTION)
        except BaseException:
            for threads in (pool, one_more):
                threads.shutdown(wait=False, cancel_futures=True)
            _stopped([*waiting, *beside], stop)
            raise
    return [future.result() for future in waiting]


def _stopped(waiting: Sequence[Future[Any]], stop: Callable[[], None]) -> None:
    """Stop what is under way until nothing is; whoever is impatient stops it harder."""
    left = {one for one in waiting if not one.cancelled()}  # nobody waits for what never began
    while left:
        try:
            stop()  # also what was about to begin when it was called before
            left = wait(left, timeout=PATIENCE_S).not_done
        except KeyboardInterrupt:
            continue
