"""The tree of exceptions: drawn, coded and documented alike."""

import inspect
import re
from pathlib import Path

import pytest

from runbook import errors
from runbook.errors import ParamsError, Problem, ProgramFailed, RunbookError

ROOT = Path(__file__).parents[2]
KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RunbookError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_exception_has_its_entry_with_its_exit_code(kind):
    """docs/messages.md names every class a caller can meet, and the code it ends with."""
    row = re.search(rf"^\| `{kind.__name__}` \| (\d+) \|", (ROOT / "docs/messages.md").read_text(), re.M)
    if kind is RunbookError:
        assert row is None
    else:
        assert row is not None
        assert int(row[1]) == kind.exit_code


def test_the_drawing_is_the_tree():
    """The module's docstring shows each class under its base."""
    drawn = re.findall(r"[├└│ ]*[├└]── (\w+)", errors.__doc__)
    assert sorted(drawn) == sorted(kind.__name__ for kind in KINDS if kind is not RunbookError)


def test_a_program_that_failed_is_named_with_its_last_words():
    """The message holds name, code and words; silence is said too."""
    assert str(ProgramFailed("initdb", 1, "no space\n")) == "initdb ended with 1: no space"
    assert "said nothing" in str(ProgramFailed("initdb", -9, ""))


def test_all_problems_are_listed_with_file_and_key():
    """One error, every problem, each on its line."""
    found = ParamsError([Problem("a.yaml", "x", "1", "2"), Problem("a.yaml", "y", "3", "4")])
    assert "2 problems" in str(found)
    assert "a.yaml: x: found 1; right would be 2" in str(found)
    assert "a.yaml: y: found 3; right would be 4" in str(found)
