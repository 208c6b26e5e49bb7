"""The writer's process: it starts, writes at its pace, survives damage next door, and ends when told to."""

import os
import signal
import subprocess
import sys

import pytest

from runbook.errors import StepFailed
from runbook.postgres.cluster import create_cluster
from runbook.postgres.fingerprint import compare, fingerprint
from runbook.sandbox import omnihub
from runbook.sandbox import workload as room
from runbook.sandbox.ledger import read_ledger, truth_at
from runbook.sandbox.workload import is_running, start_workload, stop_workload, wait_for_serial
from runbook.step import Step


@pytest.fixture
def folder(scratch, tmp_path):
    """A working folder inside the scratch folder, so that nothing outlives the tests."""
    made = scratch / tmp_path.name
    made.mkdir()
    return made


@pytest.fixture
def begin(hub, folder):
    """Start writers that are stopped after the test."""
    started = []

    def run(**more):
        given = {"ledger": folder / "ledger", "folder": folder, "rate_per_s": 500.0} | more
        started.append(start_workload(hub.conninfo(), **given))
        return started[-1]

    yield run
    for workload in started:
        stop_workload(workload)


def test_it_writes_until_it_is_stopped(hub, begin):
    """Serials come without a gap, and after the end the database holds what the ledger says."""
    seeded = fingerprint(Step(), hub.connect)
    workload = begin()
    wait_for_serial(workload, 60)
    newest = stop_workload(workload)
    entries = read_ledger(workload.ledger)
    assert list(entries) == list(range(1, newest + 1))
    assert all(entry.committed_at and entry.lsn for entry in entries.values())
    times = [entry.committed_at for entry in entries.values()]
    assert times == sorted(times)
    assert not is_running(workload)
    checks = compare(truth_at(seeded, workload.ledger, serial=newest), fingerprint(Step(), hub.connect))
    assert {check.status for check in checks} == {"passed"}


def test_it_goes_on_where_it_stopped(begin):
    """A second writer over the same ledger continues the numbers."""
    first = stop_workload(begin())
    workload = begin()
    assert wait_for_serial(workload, first + 2) >= first + 2
    stop_workload(workload)
    assert list(read_ledger(workload.ledger)) == list(range(1, max(read_ledger(workload.ledger)) + 1))


def test_a_table_that_goes_away_does_not_end_it(hub, begin):
    """The transaction that met the missing table is written without it, under the same serial."""
    workload = begin()
    reached = wait_for_serial(workload, 5)
    with hub.connect() as connection:
        connection.execute("DROP TABLE orders CASCADE")
    newest = wait_for_serial(workload, reached + 20)
    stop_workload(workload)
    entries = read_ledger(workload.ledger)
    assert "public.orders" in entries[1].tables
    assert "public.orders" not in entries[newest].tables
    assert list(entries) == list(range(1, max(entries) + 1))


def test_it_ends_by_itself_when_the_server_goes_away(programs, scratch, folder):
    """A lost server ends the writer in order, saying so; what was acknowledged stays known."""
    cluster = create_cluster(programs, scratch / "to be lost", settings={"fsync": "off"})
    cluster.start(programs)
    omnihub.fill(Step(), cluster.connect, size_mb=1)
    workload = start_workload(cluster.conninfo(), ledger=folder / "ledger", folder=folder)
    cluster.stop(mode="immediate")
    with pytest.raises(StepFailed, match="the workload ended before serial 1000000; its newest is"):
        wait_for_serial(workload, 1_000_000)
    assert "the server went away" in workload.log.read_text()
    assert stop_workload(workload) >= 1


def test_a_server_that_is_not_there_is_told(folder):
    """Without a first commit there is no workload, and the server's words say why."""
    with pytest.raises(StepFailed, match="it said: the server went away"):
        start_workload(f"host={folder} dbname=none", ledger=folder / "ledger", folder=folder)


def test_it_can_be_stopped_from_another_process(begin):
    """Whoever has the record can end it: whether it lives, its lock on the ledger tells."""
    workload = begin()
    script = (
        "import sys; from runbook.sandbox.workload import *; "
        "w = Workload.model_validate_json(sys.argv[1]); print(is_running(w)); stop_workload(w)"
    )
    command = [sys.executable, "-c", script, workload.model_dump_json()]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert said.strip() == "True"
    assert room._children[workload.pid].wait(20) == 0


def test_one_that_hangs_is_killed(hub, begin, monkeypatch):
    """A commit that never ends (it waits for a lock here) does not keep us from stopping."""
    workload = begin()
    with hub.connect() as connection, connection.transaction():
        connection.execute("LOCK TABLE workload_serials")
        stop_workload(workload, timeout_s=0.2)
    assert not is_running(workload)


def test_it_dies_with_its_parent(hub, folder):
    """A writer whose parent was killed ends by itself."""
    script = (
        "import sys; from pathlib import Path; from runbook.sandbox.workload import *; "
        "w = start_workload(sys.argv[1], ledger=Path(sys.argv[2]) / 'ledger', folder=Path(sys.argv[2])); "
        "print(w.model_dump_json(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, hub.conninfo(), str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        workload = room.Workload.model_validate_json(parent.stdout.readline())
        assert is_running(workload)
        parent.kill()
    with pytest.raises(StepFailed, match="the workload ended before"):
        wait_for_serial(workload, 1_000_000)


def test_the_rate_is_kept(begin):
    """The pace is what was asked for: over a stretch of serials the commits are no closer together."""
    workload = begin(rate_per_s=100.0)
    wait_for_serial(workload, 40)
    stop_workload(workload)
    times = [entry.committed_at for entry in read_ledger(workload.ledger).values()]
    assert (times[39] - times[9]).total_seconds() >= 0.25  # 30 transactions at 100 a second, some late before


def test_a_signal_between_two_transactions_ends_it_in_order(begin):
    """SIGTERM ends it with exit code 0 and no word."""
    workload = begin()
    os.kill(workload.pid, signal.SIGTERM)
    child = room._children[workload.pid]
    assert child.wait(20) == 0
    assert workload.log.read_text() == ""
