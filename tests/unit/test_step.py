"""A step's working surface: phases measured, progress paced, evidence under plain names."""

import pytest

from runbook.step import Progress, Step


def test_a_phase_is_on_record_also_when_it_fails():
    """What took time before a failure is known."""
    step = Step()
    with pytest.raises(KeyError), step.phase("copy"):
        raise KeyError("x")
    assert [phase.name for phase in step.phases] == ["copy"]


def test_progress_tells_how_far_and_how_long_yet_but_not_each_time():
    """A million calls are not a million messages; the last one is always told."""
    told = []
    step = Step(progress_sink=told.append)
    with step.progress("hash", total=1000, unit="rows") as bar:
        for _ in range(1000):
            bar.add(1)
    assert len(told) < 50
    assert told[-1].finished
    assert told[-1].done == 1000
    assert told[-1].left_s == 0


def test_what_cannot_be_known_is_none():
    """Without a total, or before anything is done, nobody knows how long yet."""
    told = []
    Progress("x", None, "", told.append).close()
    Progress("x", 5, "", told.append).close()
    assert [state.left_s for state in told] == [None, None]


@pytest.mark.parametrize("name", ["", "../x", "a/b", "/etc/passwd", ".."])
def test_evidence_stays_in_its_folder(name):
    """Only plain file names."""
    with pytest.raises(ValueError, match="plain file name"):
        Step().evidence(name, "x")
