"""The metrics query language, as far as runbooks and monitors speak it; what is left out is refused.

    sum:omnihub.web.requests{env:production,!newcomer:true} by {deployment}.as_count().rollup(sum, 60)

An aggregator, a metric, a scope (`*`, or tags joined by commas or AND, `!` before one that must not be there,
`*` at the end of a value, `key IN (a, b)`), groups, and the modifiers as_count, as_rate, rollup and fill.
Left out: OR, functions around a query, and template variables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SPACE: Final = ("sum", "avg", "min", "max", "count", "p50", "p75", "p90", "p95", "p99")
TIME: Final = ("sum", "avg", "min", "max", "count")
_SHAPE: Final = re.compile(
    r"(?P<aggregator>\w+):(?P<metric>[A-Za-z][\w.]*)\{(?P<scope>[^{}]*)\}"
    r"(?:\s*by\s*\{(?P<by>[^{}]*)\})?(?P<rest>(?:\.\w+\([^()]*\))*)"
)
_MODIFIER: Final = re.compile(r"\.(\w+)\(([^()]*)\)")
_TAG: Final = re.compile(r"(?P<key>[a-z][\w.-]*):(?P<value>[^\s,!()*$]+)(?P<any>\*)?")
_IN: Final = re.compile(r"(?P<key>[a-z][\w.-]*)\s+(?P<no>NOT\s+)?IN\s*\((?P<values>[^()]+)\)")


class Unreadable(ValueError):
    """A query that cannot be read; the text is the vendor's."""


@dataclass(frozen=True)
class Tag:
    """A condition on a tag: its value is one of `values`, or begins so; `wanted` False: it is not."""

    key: str
    values: tuple[str, ...]
    wanted: bool = True
    prefix: bool = False

    def holds(self, value: str | None) -> bool:
        if value is None:
            return not self.wanted
        found = any(value.startswith(one) if self.prefix else value == one for one in self.values)
        return found == self.wanted


@dataclass(frozen=True)
class Query:
    """A query that was read; `over` is how points within an interval become one, `every_s` the interval."""

    text: str
    aggregator: str
    metric: str
    scope: tuple[Tag, ...]
    by: tuple[str, ...]
    over: str = ""
    every_s: int = 0
    rate: bool = False
    fill_zero: bool = False


@lru_cache(maxsize=256)
def read_query(text: str) -> Query:
    """Read a query; Unreadable when it is none, or speaks of what is left out."""
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise Unreadable(f"Error parsing query: \nunable to parse {text}")
    if found["aggregator"] not in SPACE:
        raise Unreadable(f"Error parsing query: unknown aggregator {found['aggregator']}")
    by = tuple(key.strip().lower() for key in (found["by"] or "").split(",") if key.strip())
    given = _modifiers(found["rest"], text)
    return Query(text, found["aggregator"], found["metric"], _scope(found["scope"], text), by, **given)  # type: ignore[arg-type]


def _scope(text: str, whole: str) -> tuple[Tag, ...]:
    if text.strip() == "*":
        return ()
    lists = [_of_in(found) for found in _IN.finditer(text)]
    left = _IN.sub("", text)
    parts = [part.strip() for part in re.split(r",|\sAND\s|\bAND\b", left)]
    tags = [_tag(part, whole) for part in parts if part]
    if not lists and not tags:
        raise Unreadable(f"Error parsing query: \nunable to parse {whole}: empty scope")
    return (*lists, *tags)


def _of_in(found: re.Match[str]) -> Tag:
    values = tuple(value.strip().lower() for value in found["values"].split(","))
    return Tag(found["key"], values, wanted=not found["no"])


def _tag(part: str, whole: str) -> Tag:
    wanted = not re.match(r"!|-|NOT\s", part)
    found = _TAG.fullmatch(re.sub(r"^(!|-|NOT\s+)\s*", "", part))
    if found is None:
        raise Unreadable(f"Error parsing query: \nunable to parse {whole}: {part}")
    return Tag(found["key"], (found["value"].lower(),), wanted=wanted, prefix=bool(found["any"]))


def _modifiers(text: str, whole: str) -> dict[str, object]:
    given: dict[str, object] = {}
    for name, inside in _MODIFIER.findall(text):
        arguments = [part.strip() for part in inside.split(",") if part.strip()]
        match name, arguments:
            case "as_count", []:
                given.setdefault("over", "sum")
            case "as_rate", []:
                given |= {"over": given.get("over", "sum"), "rate": True}
            case "rollup", [method, *seconds] if method in TIME and all(s.isdigit() for s in seconds[:1]):
                given |= {"over": method, "every_s": int(seconds[0]) if seconds else 0}
            case "fill", ["zero" | "0"]:
                given["fill_zero"] = True
            case "fill", ["null"]:
                given["fill_zero"] = False
            case _:
                raise Unreadable(f"Error parsing query: \nunable to parse {whole}: .{name}({inside})")
    return given
