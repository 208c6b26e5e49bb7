"""A look may say when the next one is due; where it does not, the watch's own pace counts."""

# ruff: noqa: ARG002  # a watch without its journal hears more than it needs

from datetime import timedelta

import pytest

from runbook.gates.watching import Look
from runbook.waiting import Waiting
from tests.dns_worlds import BEGINS


class Clock:
    jumps = True

    def __init__(self):
        self.at = BEGINS

    def now(self):
        return self.at

    def sleep_until(self, when):
        self.at = max(self.at, when)


class Watch(Waiting):
    """A watch without a journal: what a look showed is kept in a list."""

    def __init__(self, clock):
        self.clock, self.kept = clock, []

    def _step(self, verb, title, inputs, work, *, effect=False):
        return work(None)

    def _looks(self, title):
        return list(self.kept)

    def _hold_until(self, step, what, until):
        self.clock.sleep_until(until)

    def _look(self, step, title, function, looks, args, kwargs):
        return function(step, tuple(looks))


@pytest.mark.parametrize(
    ("paces", "minutes"),
    [
        ((None,), [0, 10, 20, 30, 40, 50, 60]),
        ((60.0, None), [0, 1, 11, 12, 22, 23, 33, 34, 44, 45, 55, 56, 60]),
    ],
)
def test_a_look_says_when_the_next_one_is_due(paces, minutes):
    """Dense where something moves, at the watch's pace else, and never past its end."""
    clock = Clock()
    watch, seen = Watch(clock), []

    def look(step, past):
        seen.append((clock.now() - BEGINS).total_seconds() / 60)
        return Look(at=clock.now(), says="", decision="proceed", again_s=paces[len(past) % len(paces)])

    end = BEGINS + timedelta(hours=1)
    watch._watch("w", look, (), {}, until=end, every_s=600.0, max_look_gap_s=None)
    assert seen == minutes
