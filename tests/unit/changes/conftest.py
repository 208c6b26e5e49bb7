"""One world for the tests of what runbooks change; each begins at the next noon, with all as in a new one."""

import pytest

from runbook.sandbox.world.launch import WorldProcess
from tests.canary_projects import make_step, noon


@pytest.fixture(scope="session")
def process(tmp_path_factory):
    with WorldProcess(tmp_path_factory.mktemp("changes") / "world") as started:
        yield started


@pytest.fixture
def world(process):
    noon(process.remote)
    yield process.remote
    process.remote.lift_faults()
    assert process.remote.health() == {"bugs": [], "unsaved": []}


@pytest.fixture
def step(world):
    return make_step(world)
