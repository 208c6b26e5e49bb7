"""A world in memory for the changes of DNS."""

import pytest

from tests.memory_worlds import memory_world


@pytest.fixture
def world():
    with memory_world() as made:
        yield made


@pytest.fixture
def step(world):
    return world.step()
