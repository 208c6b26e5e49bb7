"""The templates: they escape all they are given and let no unseen character through."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from runbook.charts.words import count_text, size_text
from runbook.report.clean import plain
from runbook.report.view import utc


@cache
def environment() -> Environment:
    """Return the one environment of both pages."""
    templates = Environment(
        loader=PackageLoader("runbook.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(size=size_text, trusted=Markup, count=count_text, utc=utc)
    return templates


def _finalized(value: object) -> object:
    return plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value
