"""Scratch clusters: private, reachable by us alone, started and stopped for certain, gone with us."""

import json
import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from runbook import keeper
from runbook.errors import StepFailed
from runbook.postgres.cluster import (
    SOCKET_PATH_BYTES,
    Cluster,
    create_cluster,
    free_port,
    listed,
    prepare_folder,
    setting,
)

PATIENCE_S = 60


def shown(cluster, name):
    with cluster.connect() as connection:
        return connection.execute(f"SHOW {name}").fetchone()[0]


def test_a_cluster_is_private_and_has_page_checksums(running):
    """Its folder is 0700, it listens on its socket only, and it leaves nothing in /dev/shm."""
    assert stat.S_IMODE(running.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(running.data.stat().st_mode) == 0o700
    assert shown(running, "data_checksums") == "on"
    assert shown(running, "listen_addresses") == ""
    assert shown(running, "dynamic_shared_memory_type") == "mmap"
    assert shown(running, "fsync") == "on"


def test_a_cluster_can_be_rebuilt_from_its_record(running):
    """A step may return a cluster: its record alone is enough to connect."""
    again = Cluster.model_validate_json(running.model_dump_json())
    assert again == running
    assert shown(again, "server_version").startswith(running.version)


def test_variables_of_the_user_do_not_reach_a_connection(running, monkeypatch):
    """PG* variables of whoever runs us change neither where nor how we connect."""
    for name, value in {
        "PGHOST": "elsewhere",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGDATABASE": "none",
        "PGOPTIONS": "-c nonsense=1",
        "PGSSLMODE": "require",
        "PGTARGETSESSIONATTRS": "standby",
    }.items():
        monkeypatch.setenv(name, value)
    with running.connect() as connection:
        assert connection.execute("SELECT current_user, current_database()").fetchone() == (
            "postgres",
            "postgres",
        )


def test_programs_connect_with_the_same_words(programs, running):
    """PostgreSQL's own programs, which may run as another user, take the same connection string."""
    assert programs.run("psql", "-XAtc", "SELECT 40 + 2", running.conninfo()) == "42\n"


def test_over_tcp_a_password_is_needed(programs, scratch):
    """With tcp a cluster also listens on 127.0.0.1, where only the password in the passfile opens it."""
    cluster = create_cluster(programs, scratch / "tcp", tcp=True)
    cluster.start(programs)
    try:
        assert stat.S_IMODE(cluster.passfile.stat().st_mode) == 0o600
        password = cluster.passfile.read_text().rsplit(":", 1)[1]
        assert password not in cluster.model_dump_json()
        assert password not in cluster.conninfo(tcp=True)
        with psycopg.connect(cluster.conninfo(tcp=True)) as connection:
            row = connection.execute("SELECT host(inet_server_addr()), current_user").fetchone()
            assert row == ("127.0.0.1", "postgres")
        assert programs.run("psql", "-XAtc", "SELECT 1", cluster.conninfo(tcp=True)) == "1\n"
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(cluster.conninfo(tcp=True, passfile="/nonexistent"))
    finally:
        cluster.stop(mode="immediate")


def test_a_deep_folder_does_not_break_the_socket(programs, scratch):
    """Where the socket's path would be too long for the kernel, it gets a short folder of its own."""
    deep = programs.make_folder(scratch / ("deep" + "p" * 60))
    cluster = create_cluster(programs, deep / ("er" + "r" * 60))
    assert len(os.fsencode(cluster.folder / "socket" / ".s.PGSQL.5432")) > SOCKET_PATH_BYTES
    assert stat.S_IMODE(cluster.socket_folder.stat().st_mode) == 0o700
    cluster.start(programs)
    assert shown(cluster, "unix_socket_directories") == f'"{cluster.socket_folder}"'
    cluster.stop(mode="immediate")


def test_odd_names_do_not_break_anything(programs, scratch):
    """Spaces, quotes, commas and percent signs in a path are only characters."""
    cluster = create_cluster(programs, scratch / """we'ird "one", 100 %p""")
    cluster.start(programs)
    assert shown(cluster, "server_encoding") == "UTF8"
    cluster.stop()


def test_settings_are_read_at_the_next_start(programs, scratch):
    """A later setting of the same name counts; starting and stopping can be repeated."""
    cluster = create_cluster(programs, scratch / "set", settings={"work_mem": "7MB"}, checksums=False)
    cluster.start(programs)
    assert shown(cluster, "work_mem") == "7MB"
    assert shown(cluster, "data_checksums") == "off"
    assert cluster.status() == "ready"
    cluster.stop()
    assert (cluster.status(), cluster.postmaster()) == ("", None)
    cluster.configure(programs, {"work_mem": "9MB", "cluster_name": 'it\'s, "odd" \\ too'})
    cluster.start(programs)
    assert shown(cluster, "work_mem") == "9MB"
    assert shown(cluster, "cluster_name") == 'it\'s, "odd" \\ too'
    cluster.stop(mode="immediate")
    cluster.stop()  # nothing runs: nothing happens


def test_a_server_that_does_not_start_says_why(programs, scratch):
    """The error carries the server's own words."""
    cluster = create_cluster(programs, scratch / "bad", settings={"shared_buffers": "a lot"})
    with pytest.raises(StepFailed, match='invalid value for parameter "shared_buffers": "a lot"'):
        cluster.start(programs)
    cluster.configure(programs, {"shared_buffers": "16MB"})
    (cluster.data / "global" / "pg_control").unlink()
    with pytest.raises(StepFailed, match=r"could not (find the database system|open file)"):
        cluster.start(programs)


def test_a_server_that_is_not_ready_in_time_is_stopped(programs, scratch):
    """A start has a limit, and what did not come up in time does not stay behind."""
    cluster = create_cluster(programs, scratch / "slow")
    with pytest.raises(StepFailed, match="was not ready after 0 s"):
        cluster.start(programs, timeout_s=0, until=("never",))
    assert cluster.postmaster() is None


def test_a_stale_pid_file_is_not_believed(programs, scratch):
    """A number left in postmaster.pid that is now somebody else's is no postmaster."""
    cluster = prepare_folder(programs, scratch / "stale", settings={})
    programs.make_folder(cluster.data)
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n0\n5432\n\n\n0 0\nready\n")
    assert cluster.postmaster() is None
    cluster.stop(mode="immediate")
    assert cluster.status(pid=1) == ""


def test_names_and_values_are_quoted():
    """Nothing in a value ends it early."""
    assert setting("a", "it's \\ odd") == "a = 'it''s \\\\ odd'\n"
    assert listed(Path('/a "b", c')) == '"/a ""b"", c"'


def test_a_free_port_is_outside_what_outgoing_connections_use():
    """Ports below the ephemeral range are not taken by a passing connection."""
    assert 20000 <= free_port() < 32000


OWNER = """
import sys
from pathlib import Path
from runbook.postgres.cluster import create_cluster
from runbook.postgres.programs import find_programs
from runbook.scratch import open_scratch
scratch = open_scratch(receipt=Path(sys.argv[1]))
programs = find_programs(scratch=scratch.folder)
cluster = create_cluster(programs, scratch.folder / "cluster")
cluster.start(programs)
connection = cluster.connect()
connection.execute("SET statement_timeout = 0")
lines = (cluster.data / "postmaster.pid").read_text().splitlines()
print(scratch.folder, lines[0], lines[6].split()[1], scratch.keeper_pid, sep="\\n", flush=True)
connection.execute("SELECT pg_sleep(600)")
"""


@pytest.mark.chaos
@pytest.mark.parametrize("postmaster_first", [False, True])
def test_a_server_dies_with_its_owner(tmp_path, postmaster_first):
    """After kill -9 of the owner no server, folder or shared memory is left, also of a killed postmaster."""
    receipt = tmp_path / "receipt.json"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(receipt)], stdout=subprocess.PIPE, text=True)
    folder, postmaster, segment, guard = (owner.stdout.readline().strip() for _ in range(4))
    watched = os.pidfd_open(int(guard))
    if postmaster_first:
        os.kill(int(postmaster), signal.SIGKILL)
    owner.kill()
    owner.communicate(timeout=PATIENCE_S)
    assert select.select([watched], [], [], PATIENCE_S)[0], "the keeper did not end"
    os.close(watched)
    assert not Path(folder).exists()
    assert not keeper.started(int(postmaster))
    segments = [line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]]
    assert segment not in segments
    record = json.loads(receipt.read_text())
    assert record["left"] == []
    assert ("postmaster" in record["processes"]) is not postmaster_first
    assert record["shared_memory_segments"] == int(postmaster_first)
