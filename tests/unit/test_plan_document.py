"""docs/params.md and the models say the same."""

from pathlib import Path

import pytest

from runbook.plan import Environment, RolloutPlan, Scenarios, document
from runbook.plan.words import type_in_words, unit_of
from runbook.wording import nearest

ROOT = Path(__file__).parents[2]


def test_the_document_is_what_the_code_writes():
    """docs/params.md is up to date; write it anew with: python -m runbook.plan.document docs/params.md"""
    assert (ROOT / "docs/params.md").read_text(encoding="utf-8") == document.params_document()


@pytest.mark.parametrize("top", [RolloutPlan, Environment, Scenarios])
def test_every_key_says_what_it_means(top):
    """Each key of each model, however deep, has a type in words and a meaning."""
    models = {}
    document._collect(top, "", models)
    fields = [(name, field) for model in models for name, field in model.model_fields.items()]
    assert len(fields) > len(top.model_fields)
    assert [name for name, field in fields if not field.description] == []
    said = {name: type_in_words(field.annotation, tuple(field.metadata)) for name, field in fields}
    assert [name for name, words in said.items() if "any plain value" in words] == (
        ["params"] if top is Scenarios else []
    )


def test_units_come_from_names():
    """A key's unit is read off the end of its name."""
    assert unit_of("rto_below_minutes") == "minutes"
    assert unit_of("total_usd_per_month") == "US dollars a month"
    assert unit_of("name") == ""


def test_the_nearest_name_is_suggested():
    """A slip of the pen finds the name that was meant; what is far from all finds none."""
    assert nearest("Perecnt", ["percent", "from_h"]) == "percent"
    assert nearest("zzz", ["percent", "from_h"]) is None


def test_types_are_said_in_words():
    """No type is shown in Python's terms."""
    assert type_in_words(tuple[int, ...]) == "a list, each a whole number"
    assert type_in_words(float | None) == "a number, or null"
