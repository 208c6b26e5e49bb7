"""One world for a worker's contract tests, reset before each; all that crosses its wire is checked."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from runbook.plan import load_environment
from runbook.sandbox.world.launch import WorldProcess
from runbook.sandbox.world.remote import SandboxClock
from runbook.step import Rehearsal, Step
from tests.contract.wire import Exchange

ROOT = Path(__file__).parents[2]
CLIENT_TIMEOUT_S = 0.25
HANGS_AFTER_S = 60


@pytest.fixture(scope="session")
def process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with WorldProcess(folder / "state", wire=folder / "wire") as running:
        yield running


@pytest.fixture(scope="session")
def recorded(process):
    """What was recorded since it was last asked."""
    path = next((process.folder.parent / "wire").glob("*.jsonl"))
    with path.open() as file:
        yield lambda: [Exchange.of(line) for line in file.readlines()]


@pytest.fixture
def world(process, checker, recorded):
    """A new world; after the test, all that crossed its wire is as described, and nothing is left unsaved."""
    yield from held_to_it(process, checker, recorded)


def held_to_it(process, checker, recorded):
    process.remote.reset()
    recorded()
    yield process.remote
    health = process.remote.health()
    assert health == {"bugs": [], "unsaved": []}
    if checker is not None:
        assert [wrong for exchange in recorded() for wrong in checker.wrongs(exchange)] == []


@pytest.fixture(scope="session")
def postgres_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp("postgres-world")
    with WorldProcess(folder / "state", wire=folder / "wire", postgres=True) as running:
        yield running


@pytest.fixture
def postgres_world(postgres_process, checker):
    """A new world with a real PostgreSQL, which keeps what is in it from test to test."""
    path = next((postgres_process.folder.parent / "wire").glob("*.jsonl"))
    with path.open() as file:
        yield from held_to_it(
            postgres_process, checker, lambda: [Exchange.of(line) for line in file.readlines()]
        )


class Kept(dict):
    """The evidence of a step, by name."""

    def __call__(self, name, content):
        self[name] = content.decode()


def make_step(remote, *, timeout_s=CLIENT_TIMEOUT_S):
    environment = load_environment(ROOT, "sandbox")
    vendors = {n: v.model_copy(update={"timeout_s": timeout_s}) for n, v in environment.vendors.items()}
    environment = environment.model_copy(update={"vendors": vendors})
    reach = Rehearsal(url=remote.url, secrets=remote.secrets(), addresses=remote.addresses())
    step = Step(clock=SandboxClock(remote), environment=lambda: environment, rehearsal=lambda: reach)
    return replace(step, evidence_sink=Kept())


@pytest.fixture
def step(world):
    return make_step(world)


@pytest.fixture
def new_step(world):
    """Makes steps on the world, for a test that resets it."""
    return lambda: make_step(world)


@pytest.fixture(autouse=True)
def _no_hang():
    """A client that hangs fails its test instead of stopping the suite."""

    def hung(_number, _frame):
        pytest.fail(f"the client was still not back after {HANGS_AFTER_S} s")

    before = signal.signal(signal.SIGALRM, hung)
    signal.alarm(HANGS_AFTER_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
