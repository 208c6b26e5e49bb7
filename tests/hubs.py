"""A real PostgreSQL with the rehearsal database, for tests."""

import secrets
from functools import partial

import pytest

from runbook.postgres.cluster import create_cluster
from runbook.sandbox import omnihub
from runbook.step import Step

SIZE_MB = 2


@pytest.fixture(scope="session")
def hub_cluster(programs, scratch):
    """A running cluster whose database `pattern` is OmniHub's; each test takes a copy of it."""
    made = create_cluster(programs, scratch / "hubs", settings={"track_commit_timestamp": "on"})
    made.start(programs)
    with made.connect() as connection:
        connection.execute("CREATE DATABASE pattern")
    omnihub.fill(Step(), partial(made.connect, database="pattern"), size_mb=SIZE_MB, seed=7)
    yield made
    made.stop(mode="immediate")


@pytest.fixture
def hub(hub_cluster):
    """The record of a cluster, leading to a filled database of the test's own."""
    name = f"hub {secrets.token_hex(4)}"
    with hub_cluster.connect() as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE pattern')
    yield hub_cluster.model_copy(update={"database": name})
    with hub_cluster.connect() as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
