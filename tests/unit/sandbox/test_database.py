"""PostgreSQL in the world: there when it is asked for, reached by its DSN alone, gone with the process."""

import os
import select
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest

from runbook.sandbox.omnihub import row_counts
from runbook.sandbox.world.launch import WorldProcess
from runbook.sandbox.world.world import found_parts

GONE_WITHIN_MS = 30_000


@pytest.fixture
def process(tmp_path):
    with WorldProcess(tmp_path / "world", postgres=True) as running:
        yield running


@contextmanager
def connected(process):
    dsn = process.remote.secrets()["database"]["dsn"]
    with closing(psycopg.connect(dsn, passfile="/dev/null")) as connection:
        yield connection


def ask(process, sql):
    with connected(process) as connection:
        return connection.execute(sql).fetchone()[0]


def ends(pid):
    """Wait for a process that is not our child to end; the kernel tells."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        return bool(poll.poll(GONE_WITHIN_MS))
    finally:
        os.close(handle)


def postmaster(process):
    folder = Path(ask(process, "SHOW data_directory"))
    return int((folder / "postmaster.pid").read_text().splitlines()[0]), folder


def test_it_is_there_when_it_is_asked_for():
    """A world without it starts in a third of the time."""
    assert "database" not in {part.name for part in found_parts()}
    assert "database" in {part.name for part in found_parts(postgres=True)}


def test_it_is_reached_by_its_dsn_and_filled(process):
    """Password and all; the schema is OmniHub's."""
    assert ask(process, "SELECT count(*) FROM public.orders") == row_counts(1)["public.orders"]
    status = process.remote.status()
    assert status["parts"]["database"]["databases"][0].startswith("omnihub, PostgreSQL 1")
    host, _, port = status["addresses"]["database"]["omnihub"].partition(":")
    dsn = process.remote.secrets()["database"]["dsn"]
    assert f"port={port}" in dsn
    assert host == "127.0.0.1"
    wrong = " ".join(part for part in dsn.split() if not part.startswith("password="))
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(wrong, passfile="/dev/null")


def test_it_goes_with_its_world(tmp_path):
    """Closed: server and folder are gone when the world is."""
    with WorldProcess(tmp_path / "world", postgres=True) as process:
        pid, folder = postmaster(process)
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()


def test_a_killed_world_leaves_no_server_and_is_taken_up_with_a_new_one(process, tmp_path):
    """kill -9: the keeper ends it; the next life has the data the first began with."""
    pid, _ = postmaster(process)
    with connected(process) as connection:
        connection.execute("DELETE FROM public.events")
        connection.commit()
    process.kill()
    assert ends(pid)
    with WorldProcess(tmp_path / "world", postgres=True) as again:
        assert ask(again, "SELECT count(*) FROM public.events") == row_counts(1)["public.events"]
