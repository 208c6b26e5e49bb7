"""Time to writable of a restored cluster, beside `cp -a` of the same bytes and pgBackRest's restore.

All three take turns in one run, so a busy machine slows them alike; what counts is the ratio of medians.
pgBackRest runs where it is installed: uncompressed repository, one process per core, its own archive-get.
The goal: at most 1.5 x `cp -a` plus the replay of the log, and faster than pgBackRest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from runbook.postgres.backup import take_base_backup
from runbook.postgres.cluster import Cluster, create_cluster, prepare_folder
from runbook.postgres.control import read_control
from runbook.postgres.programs import Programs, find_programs
from runbook.postgres.receiving import finish_segment, start_receiver, stop_receiver
from runbook.postgres.restore import PROBE, SETTINGS, phases_of, restore
from runbook.postgres.values import Backup, Target
from runbook.scratch import open_scratch

TABLES = 8
ROW_BYTES = 960
STANZA = "bench"
GOAL = 1.5


@dataclass
class Times:
    """What one contender took, run by run, and how much of that was the replay of the log."""

    seconds: list[float] = field(default_factory=list)
    replay: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def without_replay(self) -> float:
        pairs = zip(self.seconds, self.replay, strict=True)
        return statistics.median(seconds - replay for seconds, replay in pairs)


@dataclass(frozen=True)
class Rival:
    """pgBackRest with a repository of the same cluster in it."""

    program: str
    config: Path

    def run(self, programs: Programs, *command: str) -> None:
        programs.run(self.program, f"--config={self.config}", f"--stanza={STANZA}", *command, timeout_s=3600)


def fill(cluster: Cluster, *, size_mb: int, first: int) -> None:
    """Write about so many MB into the tables, all of them growing alike."""
    rows = size_mb * (1 << 20) // ROW_BYTES // TABLES
    with cluster.connect() as connection:
        for number in range(TABLES):
            connection.execute(f"CREATE TABLE IF NOT EXISTS t{number} (i int, filler text)")
            connection.execute(
                f"INSERT INTO t{number} SELECT i, repeat(md5(i::text), 28) "  # noqa: S608  # our own number
                f"FROM generate_series({first}, {first + rows}) i"
            )


def find_rival(programs: Programs, folder: Path, cluster: Cluster) -> Rival | None:
    """Set pgBackRest up beside the cluster, None where it is not installed."""
    program = shutil.which("pgbackrest")
    if program is None:
        return None
    places = {
        name: programs.make_folder(folder / f"rival-{name}") for name in ("repo", "log", "lock", "spool")
    }
    lines = [
        "[global]",
        f"repo1-path={places['repo']}",
        f"log-path={places['log']}",
        f"lock-path={places['lock']}",
        f"spool-path={places['spool']}",
        f"process-max={os.cpu_count() or 1}",
        "compress-type=none",
        "start-fast=y",
        "log-level-console=error",
        f"[{STANZA}]",
        f"pg1-path={cluster.data}",
        f"pg1-socket-path={cluster.socket_folder}",
        f"pg1-port={cluster.port}",
        f"pg1-user={cluster.user}",
    ]
    config = programs.own_file(folder / "rival.conf", "\n".join(lines) + "\n")
    rival = Rival(program, config)
    archive = f"{program} --config={config} --stanza={STANZA} archive-push %p"
    cluster.configure(programs, {"archive_mode": "on", "archive_command": archive})
    cluster.stop()
    cluster.start(programs)
    rival.run(programs, "stanza-create")
    return rival


def prepare(programs: Programs, folder: Path, *, size_mb: int, wal_mb: int) -> tuple[Backup, Rival | None]:
    """Make a primary, back it up both ways, write some more, and stop it."""
    primary = create_cluster(programs, folder / "primary", settings={"max_wal_size": "8GB"})
    primary.start(programs)
    rival = find_rival(programs, folder, primary)
    fill(primary, size_mb=size_mb, first=1)
    receiver = start_receiver(programs, primary, folder / "archive")
    backup = take_base_backup(programs, primary, folder / "base", wal_archive=folder / "archive")
    if rival is not None:
        rival.run(programs, "--type=full", "backup")
    fill(primary, size_mb=wal_mb, first=100_000_000)
    finish_segment(primary, folder / "archive")
    stop_receiver(primary, receiver)
    if rival is not None:
        rival.run(programs, "check")
    primary.stop()
    shutil.rmtree(primary.folder)
    return backup, rival


def ours(programs: Programs, backup: Backup, folder: Path, ways: set[str]) -> tuple[float, float]:
    """Return the seconds to writable and those of the replay within them; add to `ways` how it copied."""
    began = time.monotonic()
    restored = restore(programs, backup, folder, target=Target(kind="end of WAL", sentence="benchmark"))
    took = time.monotonic() - began
    restored.cluster.stop(mode="immediate")
    ways.add(restored.copied_by)
    return took, sum(phase.seconds for phase in restored.phases if phase.name == "replay")


def theirs(programs: Programs, backup: Backup, rival: Rival, folder: Path) -> tuple[float, float]:
    """Return the same of pgBackRest's restore, started with the same settings."""
    began = time.monotonic()
    control = read_control(programs, backup.path)
    cluster = prepare_folder(programs, folder, settings={**SETTINGS, **control.at_least})
    programs.make_folder(cluster.data)
    rival.run(programs, f"--pg1-path={cluster.data}", "restore")
    # It brings the source's settings back, the synchronous standby among them: every commit would wait.
    programs.own_file(cluster.data / "postgresql.auto.conf", "synchronous_standby_names = ''\n")
    started = time.monotonic()
    cluster.start(programs)
    total_s = time.monotonic() - started
    with cluster.connect() as connection:
        connection.execute(PROBE)
    took = time.monotonic() - began
    replay = sum(
        phase.seconds for phase in phases_of(cluster.log_since(0), total_s=total_s) if phase.name == "replay"
    )
    cluster.stop(mode="immediate")
    return took, replay


def plain_copy(backup: Backup, folder: Path) -> tuple[float, float]:
    """Return the seconds of `cp -a` of the bytes; it may not share blocks where the file system could."""
    began = time.monotonic()
    subprocess.run(["cp", "-a", "--reflink=never", backup.path, folder], check=True)
    return time.monotonic() - began, 0.0


def measure(
    contenders: dict[str, Callable[[Path], tuple[float, float]]], folder: Path, *, rounds: int
) -> dict[str, Times]:
    """Let all take turns; each begins with nothing left to be written to disk."""
    times = {name: Times() for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            os.sync()
            seconds, replay = run(folder / "turn")
            shutil.rmtree(folder / "turn")
            if number:  # the first round fills the page cache
                times[name].seconds.append(seconds)
                times[name].replay.append(replay)
    return times


def table(times: dict[str, Times]) -> str:
    """Return the table of results and what became of the goal."""
    copy = times["cp -a"]
    lines = [f"{'':<22}{'median s':>9}{'min':>7}{'max':>7}{'replay':>8}{'without replay : cp -a':>24}"]
    for name, one in times.items():
        ratio = one.without_replay / copy.median
        replay = statistics.median(one.replay)
        span = f"{min(one.seconds):>7.2f}{max(one.seconds):>7.2f}"
        lines.append(f"{name:<22}{one.median:>9.2f}{span}{replay:>8.2f}{ratio:>24.2f}")
    mine = times["restore to writable"]
    held = mine.without_replay <= GOAL * copy.median
    lines.append(f"at most {GOAL} x cp -a plus replay: {'holds' if held else 'missed'}")
    if (rival := times.get("pgBackRest")) is None:
        lines.append("faster than pgBackRest: not measured, it is not installed")
    else:
        verdict = "holds" if mine.median < rival.median else "missed"
        lines.append(f"faster than pgBackRest: {verdict} ({rival.median / mine.median:.1f} times)")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=1500)
    parser.add_argument("--wal-mb", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options, _ = parser.parse_known_args()
    with open_scratch() as scratch:
        programs = find_programs(scratch=scratch.folder)
        folder = scratch.folder
        backup, rival = prepare(programs, folder, size_mb=options.size_mb, wal_mb=options.wal_mb)
        ways: set[str] = set()
        contenders: dict[str, Callable[[Path], tuple[float, float]]] = {
            "cp -a": lambda place: plain_copy(backup, place),
            "restore to writable": lambda place: ours(programs, backup, place, ways),
        }
        if rival is not None:
            contenders["pgBackRest"] = lambda place: theirs(programs, backup, rival, place)
        print(
            f"PostgreSQL {programs.version}, {backup.size_bytes / 1e6:,.0f} MB, "
            f"{options.wal_mb} MB written since, {os.cpu_count()} cores, {options.rounds} rounds",
            flush=True,
        )
        print(table(measure(contenders, folder, rounds=options.rounds)))
        print(f"copied by {', '.join(sorted(ways))}")


if __name__ == "__main__":
    main()
