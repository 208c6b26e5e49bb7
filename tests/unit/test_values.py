"""Values show themselves alike in a terminal and in a notebook, and nothing in them can break out."""

import math

import pytest
from pydantic import ValidationError

from runbook.values import Check, Checks, Phase, Skipped, html_table, shown, skipped_input

PASSED = Check.of("rows", holds=True, observed=1234, expected=1234)
FAILED = Check.of("sum", holds=False, observed=1.5, expected=2)
OPEN = Check.unchecked("indexes", why="no amcheck here", expected="sound")


def test_values_are_frozen_and_strict():
    """No field changes, none is added, and no NaN comes in."""
    with pytest.raises(ValidationError):
        PASSED.title = "x"
    with pytest.raises(ValidationError):
        Phase(name="x", seconds=1, colour="red")
    with pytest.raises(ValidationError):
        Phase(name="x", seconds=math.nan)


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "yes"), (None, "–"), (1234567, "1,234,567"), (0.1 + 0.2, "0.3"), ([1, 2], "1, 2"), ([], "–")],
)
def test_a_value_is_shown_as_a_person_reads_it(value, text):
    """Thousands are grouped, floats lose their tail, nothing is a dash."""
    assert shown(value) == text


def test_a_table_of_checks_holds_only_if_something_passed_and_nothing_failed():
    """All unchecked is not passed; nothing at all is not passed."""
    assert Checks(items=(PASSED, OPEN)).holds
    assert not Checks(items=(PASSED, FAILED)).holds
    assert not Checks(items=(OPEN,)).holds
    assert not Checks(items=()).holds


def test_failures_are_shown_first_with_a_sign_and_a_word():
    """Status never rests on colour alone."""
    rows = Checks(items=(PASSED, OPEN, FAILED)).table()
    assert [row[0] for row in rows] == ["✗ failed", "? not checked", "✓ passed"]


def test_text_cannot_break_out_of_a_table():
    """Names from a database are data, whatever they say."""
    markup = html_table([("<script>alert(1)</script>", '"><img src=x>')])
    assert "<script" not in markup
    assert "<img" not in markup


def test_a_skipped_result_skips_what_needs_it():
    """Whatever is asked of it is itself, and it is found wherever it is among the inputs."""
    skipped = Skipped(title="restore", why="mode plan changes nothing")
    assert skipped.result.phases() is skipped
    assert "restore" in skipped_input((1, {"a": [skipped]}))
    assert skipped_input((1, {"a": [2]})) == ""
