"""The restore drill on what is not its own: a running server, dumps of every format, a base backup."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from runbook.postgres.backup import take_base_backup
from runbook.postgres.cluster import create_cluster
from runbook.postgres.programs import find_programs
from runbook.postgres.receiving import finish_segment, start_receiver, stop_receiver
from runbook.sandbox.omnihub import fill
from runbook.sandbox.workload import start_workload, stop_workload, wait_for_serial
from runbook.scratch import open_scratch
from runbook.step import Step
from tests.project import ROOT


@pytest.fixture(scope="module")
def live():
    """A running, filled PostgreSQL that is not the drill's, with a base backup and its archive."""
    with open_scratch() as scratch:
        programs = find_programs(scratch=scratch.folder)
        cluster = create_cluster(programs, scratch.folder / "live", tcp=True)
        cluster.start(programs)
        archive = scratch.folder / "archive"
        receiver = start_receiver(programs, cluster, archive)
        fill(Step(), cluster.connect, size_mb=10)
        take_base_backup(programs, cluster, scratch.folder / "base", wal_archive=archive)
        workload = start_workload(cluster.conninfo(), ledger=scratch.folder / "ledger", folder=scratch.folder)
        wait_for_serial(workload, 10)
        stop_workload(workload)
        finish_segment(cluster, archive)
        yield programs, cluster, scratch.folder
        stop_receiver(cluster, receiver)
        cluster.stop()


@pytest.fixture
def outputs(monkeypatch):
    with tempfile.TemporaryDirectory(prefix="drill-test-") as folder:
        monkeypatch.setenv("RUNBOOK_OUTPUTS", folder)
        monkeypatch.setenv("RUNBOOK_ROOT", str(ROOT))
        yield Path(folder)


def drill(outputs, *options, env="sandbox", code=0, **variables):
    """Run the drill and return its summary."""
    command = [sys.executable, "-m", "runbook.cli", "run", "db_restore_drill", "--env", env, "--run-id", "r1"]
    environment = {**os.environ, **variables}
    done = subprocess.run([*command, *options], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads((outputs / "r1" / "summary.json").read_text())


def statuses(summary, title):
    return [check["status"] for check in summary["checks"] if title in check["title"]]


def test_a_live_database_is_dumped_restored_and_compared_without_a_trace_of_its_password(live, outputs):
    """Row for row as under the snapshot; the source is not written to; no file holds the password."""
    _, cluster, _ = live
    password = cluster.passfile.read_text().rsplit(":", 1)[1].strip()
    dsn = f"postgresql://postgres:{password}@127.0.0.1:{cluster.port}/postgres"
    with psycopg.connect(dsn) as connection:
        query = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
        before = connection.execute(query).fetchone()
    summary = drill(outputs, "--mode", "apply", env="staging", OMNIHUB_STAGING_DSN=dsn)
    with psycopg.connect(dsn) as connection:
        assert connection.execute(query).fetchone() == before
    assert summary["status"] == "done"
    assert statuses(summary, "public.orders: rows and checksum") == ["passed"]
    assert statuses(summary, "RPO") == ["not checked"]
    written = b"".join(path.read_bytes() for path in outputs.rglob("*") if path.is_file())
    assert password.encode() not in written


def test_production_is_dry_unless_told_otherwise(outputs):
    """Without --mode apply nothing is dumped; not even the DSN is asked for."""
    summary = drill(outputs, env="production")
    assert {step["status"] for step in summary["steps"] if step["verb"] == "apply"} == {"skipped"}
    assert not list(outputs.rglob("scratch.json"))


def test_a_missing_dsn_is_named(outputs):
    """The variable that is not set is named, nothing else is done."""
    summary = drill(outputs, "--mode", "apply", env="production", code=1, OMNIHUB_PRODUCTION_DSN="")
    assert "OMNIHUB_PRODUCTION_DSN" in summary["verdict"]


@pytest.mark.parametrize("kind", ["custom", "directory", "plain"])
def test_a_dump_of_every_format_is_restored(live, outputs, kind):
    """What pg_dump writes, and what a service's daily backups give."""
    programs, cluster, folder = live
    path = folder / f"dump.{kind}"
    programs.run("pg_dump", f"--format={kind}", f"--file={path}", cluster.conninfo())
    summary = drill(outputs, "-p", "source=dump", "-p", f"backup_path={path}")
    assert summary["status"] == "done"
    assert statuses(summary, "dump is whole") == ["passed"]
    assert summary["numbers"]["rows"]["value"] > 1000


def test_a_base_backup_with_its_archive_is_restored_to_the_end(live, outputs):
    """Everything the archive holds comes back, the workload's commits too."""
    _, _, folder = live
    options = (
        "source=basebackup",
        f"backup_path={folder / 'base'}",
        f"wal_archive_path={folder / 'archive'}",
    )
    summary = drill(outputs, *(part for option in options for part in ("-p", option)))
    assert summary["status"] == "done"
    assert statuses(summary, "WAL archive has no gap") == ["passed"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["source=basebackup"], "backup_path"),
        (["source=dump", "backup_path=/nowhere/x.dump"], "is not there"),
        (["source=live"], "no dsn_variable"),
    ],
)
def test_an_order_that_lacks_something_says_what(outputs, options, says):
    """Nothing is started; the message names the parameter."""
    summary = drill(outputs, *(part for option in options for part in ("-p", option)), code=2)
    assert says in summary["verdict"]
