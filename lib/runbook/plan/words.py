"""What a key of a model accepts, in words: one source for the messages and for docs/params.md."""

from __future__ import annotations

import types
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runbook.wording import one_of

UNITS: Final = (
    ("_usd_per_month", "US dollars a month"),
    ("_minutes_per_month", "minutes a month"),
    ("percent", "percent"),
    ("_mb_s", "MB/s"),
    ("_mb", "MB"),
    ("_ms", "milliseconds"),
    ("_minutes", "minutes"),
    ("_h", "hours"),
    ("_s", "seconds"),
    ("_days", "days"),
    ("_weeks", "weeks"),
    ("_utc", "UTC"),
)


@dataclass(frozen=True)
class Words:
    """Says in words what a pattern accepts; stands in `Annotated[str, …, Words("…")]`."""

    text: str


def unit_of(name: str) -> str:
    """Return the unit that a key's name carries, or nothing."""
    return next((unit for ending, unit in UNITS if name.endswith(ending)), "")


def accepted(field: FieldInfo, *, name: str = "") -> str:
    """Return what a field accepts: `a whole number from 1 to 100, in percent`."""
    return type_in_words(field.annotation, tuple(field.metadata), unit=unit_of(name))


_COUNTS: Final = {1: "one", 2: "two"}

_SCALARS: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    date: "a date such as 2026-01-31",
    datetime: "a time such as 2026-01-31T02:00:00Z",
}


def type_in_words(annotation: Any, metadata: tuple[Any, ...] = (), *, unit: str = "") -> str:
    """Return a type with its limits as a person says it; never pydantic's terms."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if said := next((item.text for item in metadata if isinstance(item, Words)), None):
        return said
    if origin is Annotated:
        return type_in_words(arguments[0], (*metadata, *arguments[1:]), unit=unit)
    if origin is Literal:
        return one_of(arguments)
    if origin in (Union, types.UnionType):
        inner = [item for item in arguments if item is not type(None)]
        options = dict.fromkeys(type_in_words(item, metadata, unit=unit) for item in inner)
        return ", or ".join([*options, *(["null"] if len(inner) < len(arguments) else [])])
    if origin in (tuple, list):
        least = _least(metadata)
        few = f"a list of at least {_COUNTS.get(least, least)}" if least else "a list"
        return f"{few}, each {type_in_words(arguments[0], unit=unit)}"
    if origin is dict:
        return f"a mapping from names to {type_in_words(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a mapping with the keys {', '.join(annotation.model_fields)}"
    limits = (
        _range(metadata) if annotation in (int, float) else " that is not empty" if _least(metadata) else ""
    )
    return f"{_SCALARS.get(annotation, 'any plain value')}{limits}" + (
        f", in {unit}" if unit and annotation in (int, float) else ""
    )


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from item.metadata
        elif isinstance(item, annotated_types.GroupedMetadata):
            yield from item
        else:
            yield item


def _least(metadata: tuple[Any, ...]) -> int:
    return next((item.min_length for item in _flat(metadata) if isinstance(item, annotated_types.MinLen)), 0)


def _range(metadata: tuple[Any, ...]) -> str:
    """Return ` from 1 to 100`, ` above 0`, ` of at least 1` … or nothing."""
    found = {type(item): item for item in _flat(metadata)}
    least, most = found.get(annotated_types.Ge), found.get(annotated_types.Le)
    above, below = found.get(annotated_types.Gt), found.get(annotated_types.Lt)
    low = f"of at least {least.ge}" if least else f"above {above.gt}" if above else ""
    high = f"at most {most.le}" if most else f"below {below.lt}" if below else ""
    if least and most:
        return f" from {least.ge} to {most.le}"
    return f" {' and '.join(part for part in (low, high) if part)}" if low or high else ""
