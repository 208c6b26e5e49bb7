"""Inputs and results survive the record, or are refused when they are recorded."""

import math
from datetime import UTC, date, datetime, time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import JournalCorrupt
from runbook.journal import decode, digest, encode
from runbook.values import Check, Checks, Phase

keys = st.text().filter(lambda key: key != "$")
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text().filter(lambda k: k != "$"), inner)
    ),
    max_leaves=12,
)


@given(plain)
def test_plain_data_comes_back_equal(value):
    """decode(encode(x)) == x for everything JSON can hold, tuples kept apart from lists."""
    assert decode(encode(value)) == value


def test_values_times_and_paths_come_back_equal():
    """Models nested in models, UTC times, dates and paths keep their types."""
    check = Check.of("rows", holds=True, observed=3, expected=3)
    value = (
        Checks(items=(check,)),
        [Phase(name="copy", seconds=0.25)],
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
        date(2026, 1, 2),
        time(2, 30),
        Path("a b/c"),
    )
    assert decode(encode(value)) == value


def test_a_data_frame_comes_back_equal():
    """Columns, types and rows of a table survive."""
    frame = pd.DataFrame({"n": np.array([1, 2], dtype="int64"), "x": [1 / 3, None], "s": ["a", "ü"]})
    pd.testing.assert_frame_equal(decode(encode(frame)), frame)
    with pytest.raises(TypeError, match="index of its own"):
        encode(frame.set_index("n"))


NAIVE = datetime.fromisoformat("2026-01-01T00:00:00")


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, object(), {1: "a"}, {"$": 1}, NAIVE, b"x", {1}, encode]
)
def test_what_cannot_be_recorded_is_refused_when_it_is_recorded(value):
    """The error comes at the step that returned it, not weeks later at replay."""
    with pytest.raises(TypeError):
        encode(value)


@pytest.mark.parametrize(
    "data",
    [
        {"$": "pickle", "of": ""},
        {"$": "value", "of": {"class": "os:system", "fields": {}}},
        {"$": "value", "of": {"class": "subprocess:Popen", "fields": {}}},
        {"$": "value", "of": {"class": "runbook.errors:NoGo", "fields": {}}},
        {"$": "value", "of": {"class": "runbook.values:Gone", "fields": {}}},
        {"$": "value", "of": {"class": "runbook.nowhere:Check", "fields": {}}},
    ],
)
def test_a_record_cannot_name_foreign_code(data):
    """Only recorded values of this package are made from a record; nothing else is imported or called."""
    with pytest.raises(JournalCorrupt):
        decode(data)


def test_a_digest_depends_on_content_not_on_order_of_keys():
    """Equal inputs have equal digests; a change anywhere changes it."""
    assert digest({"a": 1, "b": (1, 2)}) == digest({"b": (1, 2), "a": 1})
    assert digest((1, 2)) != digest([1, 2])
