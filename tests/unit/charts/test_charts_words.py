"""Quantities in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.charts.words import (
    clock_text,
    clock_unit,
    count_text,
    quantity_text,
    seconds_text,
    share_text,
    size_text,
)


def spaced(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0004, "0 s"),
        (0.0006, "1 ms"),
        (0.35, "350 ms"),
        (0.9996, "1 s"),
        (4.2, "4.2 s"),
        (9.96, "10 s"),
        (42.3, "42 s"),
        (59.6, "1 min"),
        (123, "2 min 3 s"),
        (3600, "1 h"),
        (4680, "1 h 18 min"),
        (187_200, "2 d 4 h"),
        (-4.2, "−4.2 s"),
    ],
)
def test_a_length_of_time_takes_the_unit_a_person_would(seconds: float, text: str) -> None:
    """Rounding never yields a full next unit: 59.6 s reads 1 min, not 60 s."""
    assert spaced(seconds_text(seconds)) == text


@given(st.floats(min_value=0.000501, max_value=1e7))
def test_a_length_of_time_above_nothing_never_reads_as_nothing(seconds: float) -> None:
    """Only what is below half a millisecond reads 0 s."""
    assert not seconds_text(seconds).startswith("0")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999_960, "1 MB"),
        (54_931_210, "54.9 MB"),
        (1.6e9, "1.6 GB"),
        (2e18, "2000 PB"),
    ],
)
def test_a_size_is_in_decimal_units(size: float, text: str) -> None:
    """Sizes step by a thousand, and stop at the largest unit there is."""
    assert spaced(size_text(size)) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.00005, "< 0.01 %"), (0.0012, "0.12 %"), (0.05, "5 %"), (0.37, "37 %"), (1.283, "128 %")],
)
def test_a_share_never_rounds_something_to_nothing(share: float, text: str) -> None:
    """A share above zero never reads 0 %."""
    assert spaced(share_text(share)) == text


def test_a_column_of_times_has_one_form() -> None:
    """All rows of a column take the form that its sum asks for."""
    assert spaced(clock_text(0.034, of_s=4.2)) == "0.03 s"
    assert spaced(clock_text(4.21, of_s=48)) == "4.2 s"
    assert clock_text(55, of_s=2100) == "0:55"
    assert clock_text(55, of_s=4620) == "0:00:55"
    assert [clock_unit(of_s) for of_s in (4, 2100, 4620)] == [
        "Seconds",
        "Minutes and seconds",
        "Hours, minutes, seconds",
    ]


def test_counts_agree_with_their_noun() -> None:
    """One is singular, none is said in words."""
    assert [spaced(count_text(count, "commit")) for count in (0, 1, 12_340)] == [
        "no commits",
        "1 commit",
        "12,340 commits",
    ]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "s", "not measured"),
        (3600.0, "s", "1 h"),
        (54_931_210.0, "bytes", "54.9 MB"),
        (0.002, "ratio", "0.2 %"),
        (450_000.0, "rows", "450,000 rows"),
        (1.25, "", "1.25"),
    ],
)
def test_a_number_is_shown_as_its_unit_asks(value: float | None, unit: str, text: str) -> None:
    """What was not measured says so, and is never a zero."""
    assert spaced(quantity_text(value, unit)) == text
