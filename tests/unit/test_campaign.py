"""Many drills: the order that leaves no core idle, and an interruption that leaves nothing running."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

import pytest

from runbook import campaign
from runbook.campaign import Result, drill, longest_first
from runbook.plan import Scenario
from runbook.plan.scenarios import Expected, First
from runbook.summary import Summary
from tests.run_samples import summary


def row(name: str, *, first: int = 0, runbook: str = "toy") -> Scenario:
    return Scenario(
        name=name,
        runbook=runbook,
        first=tuple(First(runbook="toy") for _ in range(first)),
        expected=Expected(status="done", exit_code=0),
        in_make_drill=True,
        proves="an order",
    )


def names(rows: Sequence[Scenario]) -> list[str]:
    return [one.name for one in rows]


def order(rows: Sequence[Scenario], took_s: dict[str, float]) -> list[str]:
    return names(longest_first(rows, of=lambda one: one, took_s=took_s, worlds=["toy"]))


def test_without_a_record_the_rows_with_most_runs_begin_first() -> None:
    """Rows of as many runs stay in their order."""
    rows = [row("a"), row("chain", first=3), row("b"), row("pair", first=1)]
    assert order(rows, {}) == ["chain", "pair", "a", "b"]


def test_a_run_in_real_time_is_taken_for_longer() -> None:
    """One on a real database comes before a pair in a world, and after a chain of four."""
    rows = [row("chain", first=3), row("pair", first=1), row("database", runbook="restore")]
    assert order(rows, {}) == ["chain", "database", "pair"]


def test_what_took_longest_the_last_time_begins_first() -> None:
    """A single long run comes before a chain of short ones; other rows' names mean nothing."""
    rows = [row("chain", first=3), row("long"), row("short")]
    assert order(rows, {"toy: chain": 8.0, "toy: long": 30.0, "toy: short": 1.0, "x: short": 99.0}) == [
        "long",
        "chain",
        "short",
    ]


def test_a_new_row_is_taken_for_as_long_as_its_runs_usually_are() -> None:
    """Four runs of usually 2 s stand between 10 s and 5 s."""
    rows = [row("five"), row("new", first=3), row("ten"), row("two"), row("two too")]
    took_s = {"toy: five": 5.0, "toy: ten": 10.0, "toy: two": 2.0, "toy: two too": 2.0}
    assert order(rows, took_s)[:3] == ["new", "ten", "five"]  # the median of 2, 2, 5, 10 is 3.5 s a run


def test_results_come_in_the_order_of_the_rows() -> None:
    """Whichever ends first; each is told as it ends."""
    rows, told = [row("a"), row("b")], list[str]()
    b_ended = threading.Event()

    def run(one: Scenario, _: object) -> Result:
        if one.name == "a":
            b_ended.wait(30)
        return Result(one, None, 0.0, "")

    def tell(result: Result) -> None:
        told.append(result.scenario.name)
        if result.scenario.name == "b":
            b_ended.set()

    results = drill(rows, run=run, jobs=2, tell=tell, stop=lambda: None)
    assert [result.scenario.name for result in results] == ["a", "b"]
    assert told == ["b", "a"]


def test_what_is_done_aside_begins_before_its_row_which_gets_it_under_way() -> None:
    """So that with one job, too, nobody waits for what cannot begin."""
    done = list[str]()

    def aside(one: Scenario) -> dict[int, Callable[[], Summary]]:
        def work() -> Summary:
            done.append(f"beside {one.name}")
            return summary("no-go")

        return {4: work} if one.name == "b" else {}

    def run(one: Scenario, under_way: Mapping[int, Future[Summary]]) -> Result:
        done.append(one.name)
        return Result(one, under_way[4].result() if under_way else None, 0.0, "")

    rows = [row("a"), row("b")]
    results = drill(rows, run=run, jobs=1, tell=lambda _: None, stop=lambda: None, aside=aside)
    assert done == ["a", "beside b", "b"]
    assert [result.summary and result.summary.status for result in results] == [None, "no-go"]


@pytest.mark.parametrize(
    ("jobs", "real", "at_once"), [(2, "c", 3), (2, "cd", 3), (2, "", 2), (2, "abcd", 2), (1, "c", 1)]
)
def test_beside_several_jobs_one_more_runs_in_real_time(jobs: int, real: str, at_once: int) -> None:
    """So many rows are under way at once, and never more: each waits until that has been seen."""
    lock, seen = threading.Lock(), threading.Event()
    under_way, most = list[str](), list[int]()

    def run(one: Scenario, _: object) -> Result:
        with lock:
            under_way.append(one.name)
            most.append(len(under_way))
            if most[-1] == at_once:
                seen.set()
        assert seen.wait(30)
        with lock:
            under_way.remove(one.name)
        return Result(one, None, 0.0, "")

    rows = [row(name) for name in "abcd"]
    results = drill(
        rows,
        run=run,
        jobs=jobs,
        tell=lambda _: None,
        stop=lambda: None,
        in_real_time=lambda one: one.name in real,
    )
    assert ([result.scenario.name for result in results], max(most)) == (list("abcd"), at_once)


def test_an_interruption_ends_what_is_under_way_and_begins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is impatient stops it harder; the interruption goes on once nothing runs any more."""
    began, ended, stops = list[str](), list[str](), list[int]()
    running, enough = threading.Event(), threading.Event()

    def run(one: Scenario, _: object) -> Result:
        began.append(one.name)
        running.set()
        enough.wait(30)
        ended.append(one.name)
        return Result(one, None, 0.0, "")

    def interrupted(futures: Sequence[object], **_: object) -> object:
        running.wait(30)
        monkeypatch.undo()
        raise KeyboardInterrupt

    def stop() -> None:
        stops.append(len(stops))
        if len(stops) == 1:
            raise KeyboardInterrupt  # pressed once more
        enough.set()

    monkeypatch.setattr(campaign, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drill([row("a"), row("b"), row("c")], run=run, jobs=1, tell=lambda _: None, stop=stop)
    assert (began, ended, stops) == (["a"], ["a"], [0, 1])
