"""What must be true of a database's content, as params say it: what a query returns, a row's greatest age."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Final

from pydantic import Field

from runbook.plan.judging import Params, Wrong
from runbook.plan.words import Words
from runbook.values import shown

_ONE_QUERY: Final = re.compile(r"(?is)\s*(?:select|with|values|table)\b[^;]*;?\s*")

Query = Annotated[
    str,
    Field(min_length=1),
    Words("one SQL query (SELECT …) that returns one value and changes nothing"),
]
Table = Annotated[
    str,
    Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]*\.[A-Za-z_][A-Za-z0-9_$]*$"),
    Words("a table with its schema, such as public.orders"),
]


def _not_one_query(sql: str) -> Iterator[Wrong]:
    if not _ONE_QUERY.fullmatch(sql):
        yield Wrong(("sql",), repr(sql[:40]), "one query that begins with SELECT, WITH, VALUES or TABLE")


class Invariant(Params):
    """Something that is true while the data is whole: what `sql` returns equals a value, or lies in a band.

    `min` and `max` are inclusive. NULL, no row and an error all mean that it does not hold.
    """

    name: Annotated[str, Field(min_length=1)] = Field(
        description="what is true, in words; unique in its database"
    )
    sql: Query = Field(description="the query: one row, one value")
    equals: bool | int | float | str | None = Field(default=None, description="the only value that is right")
    min: float | None = Field(default=None, description="the smallest number that is right")
    max: float | None = Field(default=None, description="the largest number that is right")
    table: Table | None = Field(default=None, description="where to look for the cause when it fails; a hint")

    def wrongs(self) -> Iterator[Wrong]:
        yield from _not_one_query(self.sql)
        banded = self.min is not None or self.max is not None
        if banded == (self.equals is not None):
            yield Wrong(
                (),
                "`equals` and a band" if banded else "no limit",
                "either `equals`, or `min` or `max` or both",
            )
        if self.min is not None and self.max is not None and self.max < self.min:
            yield Wrong(("max",), f"{self.max:g}", f"{self.min:g} or more, which is `min`")

    @property
    def expected(self) -> str:
        """Return what the query must answer, in words."""
        if self.equals is not None:
            return shown(self.equals)
        low, high = (None if edge is None else shown(edge) for edge in (self.min, self.max))
        if low and high:
            return f"{low} to {high}"
        return f"{low} or more" if low else f"{high} or less"

    def holds(self, value: object) -> bool:
        """Whether a value that the query returned is as expected; true is not 1, and NULL never is."""
        if self.equals is not None:
            return value == self.equals and isinstance(value, bool) == isinstance(self.equals, bool)
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return False
        low = self.min is None or value >= self.min
        return low and (self.max is None or value <= self.max)


class Freshness(Params):
    """How old the newest row may be, for instance in a backup that somebody hands in."""

    sql: Query = Field(description="the query: the time of the newest row, with its zone")
    max_age_s: Annotated[float, Field(gt=0)] = Field(description="the greatest age that is fresh")

    def wrongs(self) -> Iterator[Wrong]:
        return _not_one_query(self.sql)
