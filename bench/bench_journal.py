"""The journal: an append beside a bare write+fsync of the same bytes, a replay beside DBOS Transact.

Appends and bare writes take turns, line by line, on the disk that outputs/ lies on; what counts is the
ratio of medians. For the replay a process records the steps through a run's own verbs and is killed, then
another one opens the run and asks for every step again. DBOS Transact does the same work as it is shipped
(SQLite with its rollback journal, synchronous=FULL): a workflow of as many steps, killed after the last one,
then launched again, which recovers it. Both return the same results, and each process is a fresh one.
The goals: an append costs at most 2 x write+fsync, 10,000 steps are replayed in less than 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from runbook import open_run
from runbook.clock import WallClock
from runbook.journal import FileJournal
from runbook.step import Step
from runbook.values import Check, Checks

GOAL_APPEND = 2.0
GOAL_REPLAY_S = 1.0
ROOT = Path(__file__).parents[1]
RUN_ID = "bench"
# Records in a line, and by how much fewer turns its size is content with.
SIZES = {"a step's result": (3, 1), "a table of 64 kB": (400, 5), "a table of 5 MB": (31_000, 50)}


# What the steps do: the same for all, so small that recording it is all the work there is


def records(number: int, count: int = 3) -> list[dict[str, Any]]:
    """Return what a look at a zone returns, about 160 bytes for each record."""
    return [
        {
            "name": f"host-{number}-{place}.omnihub.example",
            "type": "CNAME",
            "ttl_s": 300,
            "values": [f"edge-{place}.vercel-dns.example.", "cname.fallback.example."],
            "proxied": bool(place % 2),
        }
        for place in range(count)
    ]


def compared(number: int) -> Checks:
    """Return what a comparison returns: three checks that hold."""
    titles = [f"{record['name']} answers as before" for record in records(number)]
    return Checks(items=tuple(Check.of(t, holds=True, observed="300 s", expected="300 s") for t in titles))


def look(_step: Step, zone: str, *, number: int) -> list[dict[str, Any]]:
    del zone
    return records(number)


def compare(_step: Step, zone: str, *, number: int) -> Checks:
    del zone
    return compared(number)


# Appends


def append_times(folder: Path, count: int, rounds: int) -> tuple[list[float], list[float], int]:
    """Return the seconds of appends, of bare writes of the same bytes in turns, and the bytes of a line."""
    path = folder / "journal.jsonl"
    journal = FileJournal.open(path, clock=WallClock())
    bare = os.open(folder / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    ours, theirs, size = [], [], 0
    for number in range(rounds):
        data = {"verb": "read", "seconds": 0.25, "phases": [], "result": records(number, count)}
        before = path.stat().st_size
        began = time.perf_counter()
        journal.append("done", f"records of zone {number}", key=f"{number:032x}", data=data)
        ours.append(time.perf_counter() - began)
        with path.open("rb") as file:
            file.seek(before)
            line = file.read()
        began = time.perf_counter()
        os.write(bare, line)
        os.fsync(bare)
        theirs.append(time.perf_counter() - began)
        size = len(line)
    os.close(bare)
    journal.close()
    return ours, theirs, size


def appends(folder: Path, rounds: int) -> None:
    """Print how appends compare with bare writes, by size of the line."""
    print(f"{'append, median':<20}{'bytes':>12}{'ours':>12}{'write+fsync':>14}{'ratio':>8}")
    for name, (count, fewer) in SIZES.items():
        with tempfile.TemporaryDirectory(dir=folder) as place:
            ours, theirs, size = append_times(Path(place), count, rounds // fewer)
        mine, bare = statistics.median(ours), statistics.median(theirs)
        held = "" if mine <= GOAL_APPEND * bare else "  missed"
        print(f"{name:<20}{size:>12,}{mine * 1e6:>9.0f} µs{bare * 1e6:>11.0f} µs{mine / bare:>8.2f}{held}")


# Runs of many steps, each in a process of its own


def our_verbs(steps: int) -> None:
    """Open the run and ask for every step of it; a step on record is returned from there."""
    began = time.perf_counter()
    run = open_run("db_restore_drill", environment="sandbox", run_id=RUN_ID, mode="plan")
    opened = time.perf_counter()
    for number in range(steps):
        if number % 2:
            run.check(f"zone {number} answers as before", compare, "omnihub.example", number=number)
        else:
            run.read(f"records of zone {number}", look, "omnihub.example", number=number)
    tell(opened - began, time.perf_counter() - opened)


def their_verbs(steps: int) -> None:
    """Launch DBOS and let it do, or recover, the workflow."""
    from dbos import DBOS, SetWorkflowID  # noqa: PLC0415  # ours must not wait for its import

    done = threading.Event()

    @DBOS.step()
    def look_at(zone: str, number: int) -> list[dict[str, Any]]:
        del zone
        return records(number)

    @DBOS.step()
    def compare_with(zone: str, number: int) -> Checks:
        del zone
        return compared(number)

    @DBOS.workflow()
    def rollout(steps: int) -> None:
        entered = time.perf_counter()
        for number in range(steps):
            (compare_with if number % 2 else look_at)("omnihub.example", number)
        tell(entered - began, time.perf_counter() - entered)
        done.set()
        threading.Event().wait()  # it is never seen to end, so that it is recovered

    DBOS(config={"name": RUN_ID, "system_database_url": "sqlite:///dbos.sqlite", "log_level": "ERROR"})
    began = time.perf_counter()
    fresh = not Path("dbos.sqlite").exists()
    DBOS.launch()
    if fresh:
        with SetWorkflowID(RUN_ID):
            DBOS.start_workflow(rollout, steps)
    done.wait()


def tell(opening_s: float, steps_s: float) -> None:
    print(json.dumps([opening_s, steps_s]), flush=True)


PARTS: dict[str, Callable[[int], None]] = {"runbook": our_verbs, "DBOS Transact": their_verbs}


def play(name: str, folder: Path, steps: int) -> tuple[float, float]:
    """Let a process open and do all steps, and return the seconds of both; then it kills itself."""
    surroundings = os.environ | {"RUNBOOK_ROOT": str(ROOT), "RUNBOOK_OUTPUTS": str(folder)}
    command = [sys.executable, __file__, "--part", name, "--steps", str(steps)]
    said = subprocess.run(command, cwd=folder, env=surroundings, stdout=subprocess.PIPE, check=False)
    if said.returncode != -signal.SIGKILL:
        raise SystemExit(f"{name}: its process ended with {said.returncode} before it was killed")
    opening_s, steps_s = json.loads(said.stdout.splitlines()[-1])
    return opening_s, steps_s


def replays(folder: Path, steps: int, rounds: int) -> None:
    """Print how long recording and replaying take, in turns."""
    print(f"{steps:,} steps{'recorded':>14}{'a step':>12}{'opened':>10}{'replayed':>10}{'together':>10}")
    for name, medians in measured(folder, steps, rounds):
        recorded, opened, replayed, together = medians
        verdict = ""
        if name == "runbook" and steps == 10_000:
            verdict = "  holds" if together < GOAL_REPLAY_S else "  missed"
        print(
            f"{name:<16}{recorded:>8.2f} s{recorded / steps * 1e6:>9.0f} µs"
            f"{opened:>8.2f} s{replayed:>8.2f} s{together:>8.2f} s{verdict}"
        )


def measured(folder: Path, steps: int, rounds: int) -> Iterator[tuple[str, list[float]]]:
    """Return the median seconds of each contender: to record, to open, to replay, the last two together."""
    places = {name: Path(tempfile.mkdtemp(dir=folder)) for name in PARTS}
    recorded = {name: play(name, place, steps)[1] for name, place in places.items()}
    again: dict[str, list[tuple[float, float]]] = {name: [] for name in PARTS}
    for _ in range(rounds):
        for name, place in places.items():
            again[name].append(play(name, place, steps))
    for name, times in again.items():
        opened, replayed = zip(*times, strict=True)
        together = statistics.median(map(sum, times))
        yield name, [recorded[name], statistics.median(opened), statistics.median(replayed), together]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--appends", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args()
    if options.part:
        PARTS[options.part](options.steps)
        os.kill(os.getpid(), signal.SIGKILL)
    (ROOT / "outputs").mkdir(exist_ok=True)
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds of replay",
        flush=True,
    )
    with tempfile.TemporaryDirectory(dir=ROOT / "outputs", prefix=".bench-") as folder:
        appends(Path(folder), options.appends)
        print()
        replays(Path(folder), options.steps, options.rounds)


if __name__ == "__main__":
    main()
