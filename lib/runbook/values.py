"""The values that rooms hand to each other: frozen, strict, and fit for the journal.

A step returns a `Value` (or plain JSON data); it shows itself as a small table in a notebook and as
equally complete text in a terminal.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """Base of every recorded value: immutable, no unknown fields, NaN and infinity refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def rows(self) -> Iterable[tuple[str, str]]:
        """Return what is shown of the value: (name, text) pairs; override to show less or other."""
        return [(name.replace("_", " "), shown(getattr(self, name))) for name in type(self).model_fields]

    def in_a_line(self) -> str:
        """Return it as it stands inside another value."""
        return ", ".join(f"{name} {text}" for name, text in self.rows() if text != shown(None))

    def __repr__(self) -> str:
        pairs = list(self.rows())
        width = max((len(name) for name, _ in pairs), default=0)
        return "\n".join(f"{name:<{width}}  {text}" for name, text in pairs)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_table(self.rows())


def shown(value: Any) -> str:
    """Return one value as a person reads it: units stay in the names, floats lose their tail."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, Value):
        return value.in_a_line()
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d} UTC"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(shown(item) for item in value) or "–"
    if isinstance(value, dict):
        return ", ".join(f"{key} {shown(item)}" for key, item in value.items()) or "–"
    return printable(str(value))


def printable(text: str) -> str:
    """Return text that any file can hold: a lone surrogate (an odd file name) is written as its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


# Control characters, direction overrides and lone surrogates: shown by their number, never obeyed.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)


def plain(text: str) -> str:
    """Return text whose unseen characters can be seen: `⟨U+202E⟩` instead of the character."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text)


def in_one_line(text: str) -> str:
    """Return others' text as it may stand in a terminal: unseen characters and line ends by their numbers."""
    return plain(text).replace("\n", "⟨U+000A⟩").replace("\t", "⟨U+0009⟩")


def html_table(rows: Iterable[Iterable[str]], head: Iterable[str] = ()) -> str:
    """Return rows of text as an HTML table, every cell escaped; a first column without `head` is a header."""
    names = list(head)
    top = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = [f"<thead><tr>{top}</tr></thead>"] if names else []
    for row in rows:
        first, *rest = (html.escape(cell) for cell in row)
        mark = "td" if names else "th"
        lines.append(f"<tr><{mark}>{first}</{mark}>" + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>")
    return f'<table class="runbook">{"".join(lines)}</table>'


Status = Literal["passed", "failed", "not checked"]


class Check(Value):
    """One thing looked at: what was expected, what was observed, and whether they agree."""

    title: str
    status: Status
    observed: str
    expected: str

    @classmethod
    def of(cls, title: str, *, holds: bool, observed: object, expected: object) -> Check:
        """Return a check that passed iff `holds`."""
        return cls(
            title=title,
            status="passed" if holds else "failed",
            observed=shown(observed),
            expected=shown(expected),
        )

    @classmethod
    def unchecked(cls, title: str, *, why: str, expected: object) -> Check:
        """Return a check that could not be made; it never reads passed."""
        return cls(title=title, status="not checked", observed=why, expected=shown(expected))


MARKS: dict[Status, str] = {"passed": "✓", "failed": "✗", "not checked": "?"}


class Checks(Value):
    """A table of checks; it holds when none failed and at least one passed."""

    items: tuple[Check, ...]

    def __iter__(self) -> Iterator[Check]:  # type: ignore[override]  # a table iterates over its rows
        return iter(self.items)

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.items if check.status == "failed")

    @property
    def holds(self) -> bool:
        return not self.failed and any(check.status == "passed" for check in self.items)

    def counts(self) -> list[tuple[str, str]]:
        """Return how many there are of each status, as (status, number) texts."""
        statuses = [check.status for check in self.items]
        return [(status, str(statuses.count(status))) for status in MARKS if status in statuses]

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return the rows as text: status, title, observed, expected; failures first."""
        order = sorted(self.items, key=lambda check: ("failed", "not checked", "passed").index(check.status))
        return [(f"{MARKS[c.status]} {c.status}", c.title, c.observed, c.expected) for c in order]

    def __repr__(self) -> str:
        return "\n".join("  ".join(row) for row in self.table())

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return html_table(self.table(), head=("", "check", "observed", "expected"))


class Phase(Value):
    """A stretch of a step's time, in seconds of real time."""

    name: str
    seconds: float

    def in_a_line(self) -> str:
        return f"{self.name} {self.seconds:.2f} s"


class Skipped(Value):
    """Stands for the result of a step that was left out; whatever needs it is left out too."""

    title: str
    why: str
    is_skipped: bool = True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self

    def __call__(self, *_args: object, **_kwargs: object) -> Any:
        return self

    def rows(self) -> list[tuple[str, str]]:
        return [("skipped", self.why)]


def skipped_input(inputs: object) -> str:
    """Return why a step that was given `inputs` is left out, or nothing."""
    if isinstance(inputs, Skipped):
        return f"“{inputs.title}” was skipped"
    if isinstance(inputs, dict):
        return skipped_input(tuple(inputs.values()))
    if isinstance(inputs, tuple | list):
        return next((why for why in map(skipped_input, inputs) if why), "")
    return ""
