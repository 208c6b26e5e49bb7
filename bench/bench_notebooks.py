"""The rows of `make drill`: `runbook drill` beside plain papermill, one notebook after the other.

papermill is called as anybody would: its command line once for each notebook, with the same parameters, in
the same rehearsal worlds. What it leaves is not sealed, and no run may rest on it: `runbook seal` makes the
report, the sums and their signature, as ours has them for every run. That time stands beside papermill's and
does not count for the goal. The results are compared: how each row ended, its steps, checks, changes and
numbers; what is measured anew each time by name and limit.
The goal: at least 3 x faster. `--each-once` takes the first row of each runbook; `--jobs` as for drill.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from runbook import catalogue
from runbook.account import summarize
from runbook.campaign import name_of
from runbook.drilling import Drill, prepare_drill
from runbook.harming import harm
from runbook.journal import read_journal
from runbook.opening import Beginning
from runbook.plan import First, Played, Scenario, load_environment, load_scenarios
from runbook.sandbox.world.launch import WorldProcess
from runbook.summary import Summary

GOAL = 3.0
ROOT = Path(__file__).parents[1]
MEASURED = ("s", "bytes", "MB", "commits", "rows")
RUN = re.compile(r"[a-z_]+-sandbox-\d{8}T\d{6}Z-[0-9a-f]{4}")


def rows(*, each_once: bool) -> list[Scenario]:
    """Return the rows to drill."""
    found = [row for row in load_scenarios(ROOT).scenarios if row.in_make_drill]
    if not each_once:
        return found
    return list({row.runbook: row for row in reversed(found)}.values())[::-1]


# Ours


def ours(outputs: Path, scenarios: list[Scenario], *, jobs: int) -> dict[str, Summary]:
    """Drill the rows as a person would; return the last run of each."""
    outputs.mkdir()
    found = {}
    for command in commands(scenarios):
        done = subprocess.run(
            [sys.executable, "-m", "runbook.cli", "drill", "--json", "--jobs", str(jobs), *command],
            env={**os.environ, "RUNBOOK_ROOT": str(ROOT), "RUNBOOK_OUTPUTS": str(outputs)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        )
        for one in json.loads(done.stdout):
            text = (outputs / one["run_id"] / "summary.json").read_bytes()
            found[f"{one['runbook']}: {one['scenario']}"] = Summary.model_validate_json(text)
    return found


def commands(scenarios: list[Scenario]) -> list[list[str]]:
    """Return what to type after `drill`: nothing for the rows of make drill, else one row after the other."""
    if len(scenarios) == len(rows(each_once=False)):
        return [[]]
    return [[row.runbook, "--scenario", row.name] for row in scenarios]


# papermill


def papermill(outputs: Path, scenarios: list[Scenario]) -> tuple[dict[str, Summary], float]:
    """Run each notebook by papermill's command line, and seal it; return last runs, and what sealing took."""
    outputs.mkdir()
    rehearsed = load_environment(ROOT, "sandbox").worlds
    found, sealing_s = {}, 0.0
    for row in scenarios:
        drill = prepare_drill(ROOT, row)
        any_world = any(begin.runbook in rehearsed for begin in drill.begins)
        with world_of(outputs, drill) if any_world else nullcontext() as world:
            for played, begin in drill.parts():
                set_the_scene(world, played)
                environment = environment_of(outputs, drill, world if begin.runbook in rehearsed else None)
                execute(outputs, begin, environment)
                sealing_s += seal(begin.run_id, environment)
                if isinstance(played, First):
                    harm(outputs / begin.run_id, played.afterwards)
        found[name_of(row)] = summarize(read_journal(outputs / drill.begins[-1].run_id / "journal.jsonl"))
    return found, sealing_s


def set_the_scene(world: WorldProcess | None, played: Played) -> None:
    if world is not None:
        if played.at is not None:
            world.remote.advance_to(played.at)
        for name in played.world:
            world.remote.play(name)


@contextmanager
def world_of(outputs: Path, drill: Drill) -> Iterator[WorldProcess]:
    with WorldProcess(outputs / ".worlds" / drill.begins[-1].run_id) as world:
        yield world


def environment_of(outputs: Path, drill: Drill, world: WorldProcess | None) -> dict[str, str]:
    return {
        **os.environ,
        "RUNBOOK_ROOT": str(ROOT),
        "RUNBOOK_OUTPUTS": str(outputs),
        "RUNBOOK_REHEARSED_SIGNATURES": drill.scenario.signed,
        "RUNBOOK_WORLD": str(world.folder) if world else "",
    }


def execute(outputs: Path, begin: Beginning, environment: dict[str, str]) -> None:
    """Execute one notebook; a run that ends no-go is an exception to papermill, and its exit code is 1."""
    own = {"environment": begin.environment, "run_id": begin.run_id, "mode": begin.mode}
    source, output = catalogue.find(ROOT, begin.runbook).path, outputs / f"{begin.run_id}.ipynb"
    given = ["--no-progress-bar", "-y", json.dumps({**own, **begin.params})]
    command = [sys.executable, "-m", "papermill", str(source), str(output), *given]
    silent = subprocess.DEVNULL
    subprocess.run(command, env=environment, cwd=ROOT, stdout=silent, stderr=silent, check=False)


def seal(run_id: str, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    command = [sys.executable, "-m", "runbook.cli", "seal", run_id]
    subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


# Comparing


def told(summary: Summary) -> dict[str, Any]:
    """Return what a run came to, without what is another each time: run's names, what is measured."""
    numbers = summary.numbers.items()
    found = {
        "status": (summary.status, summary.exit_code),
        "steps": [(step.verb, step.title, step.status) for step in summary.steps],
        "checks": [(check.step, check.title, check.status) for check in summary.checks],
        "changes": [(line.sentence, line.status) for line in summary.changes],
        "numbers": [(name, n.unit, n.limit, n.unit in MEASURED or n.value) for name, n in numbers],
    }
    return {what: RUN.sub("RUN", repr(value)) for what, value in found.items()}


def differences(mine: dict[str, Summary], theirs: dict[str, Summary]) -> Iterator[str]:
    for name in mine | theirs:
        if name not in mine or name not in theirs:
            yield f"{name}: on one side only"
            continue
        one, other = told(mine[name]), told(theirs[name])
        for what in one:
            if one[what] != other[what]:
                yield f"{name}: {what}: {one[what]} / {other[what]}"


def timed(work: Any) -> tuple[Any, float, float]:
    """Return what work returns, the seconds it took, and the CPU seconds of the processes it ended."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result, time.perf_counter() - began, cpu


def main() -> int:
    """Return 0 when ours was fast enough and the results are the same."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 2)
    options.add_argument("--each-once", action="store_true")
    given, _ = options.parse_known_args()
    scenarios = rows(each_once=given.each_once)
    count = sum(1 + len(row.first) for row in scenarios)
    with tempfile.TemporaryDirectory(prefix="bench-notebooks-") as place:
        mine, ours_s, ours_cpu = timed(lambda: ours(Path(place, "ours"), scenarios, jobs=given.jobs))
        (theirs, sealing_s), whole_s, plain_cpu = timed(lambda: papermill(Path(place, "plain"), scenarios))
    alone_s = whole_s - sealing_s
    print(f"{count} notebooks of {len(scenarios)} rows; ours {given.jobs} at a time")
    print(f"  runbook drill        {ours_s:7.1f} s   CPU {ours_cpu:6.1f} s")
    print(f"  plain papermill      {alone_s:7.1f} s   nothing sealed, no report")
    print(f"  papermill, and seal  {whole_s:7.1f} s   CPU {plain_cpu:6.1f} s   {whole_s / ours_s:.1f} x")
    found = list(differences(mine, theirs))
    print("\n".join(f"  DIFFERENT: {line}" for line in found) or "  results: the same")
    ratio = alone_s / ours_s
    print(f"  {ratio:.1f} x faster; goal: {GOAL:g} x: {'reached' if ratio >= GOAL else 'MISSED'}")
    return 0 if ratio >= GOAL and not found else 1


if __name__ == "__main__":
    sys.exit(main())
