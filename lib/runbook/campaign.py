"""A campaign: many drills, each a run in the sandbox with a scenario, held against what its row expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TypeVar

from runbook.errors import UnknownName
from runbook.plan import Scenario
from runbook.summary import Summary

R = TypeVar("R")


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


def drill(
    rows: Sequence[R],
    *,
    run: Callable[[R], Result],
    jobs: int,
    tell: Callable[[Result], None],
    stop: Callable[[], None],
) -> list[Result]:
    """Run the rows, `jobs` at a time, tell each result as it comes, return them in the order of the rows.

    When it is interrupted, `stop` must end the runs that are under way; no further one begins.
    """

    def one(row: R) -> Result:
        result = run(row)
        tell(result)
        return result

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        waiting = [pool.submit(one, row) for row in rows]
        try:
            wait(waiting, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise
    return [future.result() for future in waiting]
