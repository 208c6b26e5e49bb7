"""Counted minutes: what cannot be counted is refused, and no data is not zero."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from runbook.journal import decode, encode
from runbook.judge.counts import Arm, Counts, Minute, Slices
from tests.minutes import BEGAN, minutes


def test_a_part_is_no_larger_than_its_whole() -> None:
    """Errors are requests, and what is slower than a second is slower than half of one."""
    with pytest.raises(ValidationError, match="errors 11 cannot be more than requests 10"):
        Counts(requests=10, errors=11)
    with pytest.raises(ValidationError, match="slow_1000 3 cannot be more than slow_500 2"):
        Counts(requests=10, errors=0, slow_500=2, slow_1000=3)
    with pytest.raises(ValidationError, match="errors is more than requests in some bucket"):
        Slices(requests=(1, 0), errors=(0, 1))


def test_columns_are_of_one_length() -> None:
    """Entry b is bucket b in every column; what a source does not have stays empty and reads zero."""
    with pytest.raises(ValidationError, match="errors has 1 buckets, requests 2"):
        Slices(requests=(1, 2), errors=(0,))
    with pytest.raises(ValidationError, match="below zero"):
        Slices(requests=(1, -2), errors=(0, 0))
    assert Slices(requests=(1, 2), errors=(0, 1)).column("slow_500").tolist() == [0, 0]


def test_both_arms_have_the_same_buckets() -> None:
    """A hash into 100 on one side and into 20 on the other cannot be compared."""
    arms = [
        Arm(total=Counts(requests=0, errors=0), newcomers=Slices(requests=(0,) * n, errors=(0,) * n))
        for n in (2, 3)
    ]
    with pytest.raises(ValidationError, match="different numbers of buckets"):
        Minute(at=BEGAN, canary_percent=5, canary=arms[0], baseline=arms[1])


@pytest.mark.parametrize("at", [BEGAN + timedelta(seconds=7), BEGAN.replace(tzinfo=None)])
def test_a_minute_begins_on_the_minute_in_a_known_zone(at: datetime) -> None:
    """What begins elsewhere would be compared with another minute."""
    with pytest.raises(ValidationError, match="whole minute"):
        Minute(at=at, canary_percent=5, canary=None, baseline=None)


def test_a_minute_goes_through_the_journal_unchanged() -> None:
    """A minute is recorded as a value and read back as the same."""
    minute = minutes(1)[0]
    assert decode(encode(minute)) == minute
    assert minute.arm("baseline") is minute.baseline
