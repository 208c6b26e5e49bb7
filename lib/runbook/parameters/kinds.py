"""The types a parameter may have: read from an annotation, said in words, and held against a value."""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Final, Literal

from pydantic import JsonValue

from runbook.values import Value
from runbook.wording import one_of

Form = Literal[
    "text",
    "whole number",
    "number",
    "yes or no",
    "date",
    "time",
    "nothing",
    "choice",
    "list",
    "mapping",
    "any of",
]

RIGHT_TYPES: Final = (
    "one of str, int, float, bool, date, datetime, None, Literal[...], list[...], dict[str, ...], "
    "or several of them joined by |"
)


class Kind(Value):
    """A type: its form, the values of a choice, and the kinds inside a list, a mapping or an alternative."""

    form: Form
    choices: tuple[JsonValue, ...] = ()
    of: tuple[Kind, ...] = ()

    @property
    def words(self) -> str:
        """Return the type as a person says it."""
        match self.form:
            case "choice":
                return one_of(map(_choice_text, self.choices))
            case "list":
                return f"a list, each {self.of[0].words}"
            case "mapping":
                return f"a mapping from names to {self.of[0].words}"
            case "any of":
                return ", or ".join(kind.words for kind in self.of)
            case _:
                return _WORDS[self.form]

    @property
    def numeric(self) -> bool:
        """Whether numbers can be in it, so that a range makes sense."""
        return self.form in ("whole number", "number") or any(kind.numeric for kind in self.of)


_WORDS: Final[dict[str, str]] = {
    "text": "text",
    "whole number": "a whole number",
    "number": "a number",
    "yes or no": "true or false",
    "date": "a date such as 2026-01-31",
    "time": "a time with its zone, such as 2026-01-31T02:00:00Z",
    "nothing": "null",
}

_NAMED: Final[dict[str, Form]] = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "bool": "yes or no",
    "date": "date",
    "datetime": "time",
    "None": "nothing",
}


def kind_of(annotation: ast.expr) -> Kind | None:
    """Return the type that an annotation names, or None where it is none of ours."""
    match annotation:
        case ast.Constant(value=str() as quoted):
            return _quoted(quoted)
        case ast.Constant(value=None):
            return Kind(form="nothing")
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="datetime"), attr=name) if name in _NAMED:
            return Kind(form=_NAMED[name])
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _any_of([left, right])
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inside):
            return _subscripted(name, inside.elts if isinstance(inside, ast.Tuple) else [inside])
    return None


def _quoted(text: str) -> Kind | None:
    try:
        return kind_of(ast.parse(text, mode="eval").body)
    except SyntaxError:
        return None


def _subscripted(name: str, inside: list[ast.expr]) -> Kind | None:
    match name, inside:
        case "Literal", _:
            return _choice(inside)
        case "Union", _:
            return _any_of(inside)
        case "Optional", [one]:
            return _any_of([one, ast.Constant(value=None)])
        case "list", [item]:
            kind = kind_of(item)
            return Kind(form="list", of=(kind,)) if kind else None
        case "dict", [ast.Name(id="str"), item]:
            kind = kind_of(item)
            return Kind(form="mapping", of=(kind,)) if kind else None
    return None


def _choice(inside: list[ast.expr]) -> Kind | None:
    values = [item.value for item in inside if isinstance(item, ast.Constant)]
    if len(values) != len(inside) or not all(
        value is None or isinstance(value, str | int) for value in values
    ):
        return None
    return Kind(
        form="choice",
        choices=tuple(value for value in values if value is None or isinstance(value, str | int)),
    )


def _any_of(annotations: list[ast.expr]) -> Kind | None:
    kinds: list[Kind] = []
    for annotation in annotations:
        kind = kind_of(annotation)
        if kind is None:
            return None
        kinds += kind.of if kind.form == "any of" else [kind]
    return kinds[0] if len(kinds) == 1 else Kind(form="any of", of=tuple(kinds))


def _choice_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def fits(kind: Kind, value: object) -> bool:
    """Whether a value is of this kind; true is no whole number, "50" is none, and 50 is a number."""
    match kind.form:
        case "choice":
            return any(type(value) is type(choice) and value == choice for choice in kind.choices)
        case "list":
            return isinstance(value, list) and all(fits(kind.of[0], item) for item in value)
        case "mapping":
            return isinstance(value, dict) and all(
                isinstance(k, str) and fits(kind.of[0], v) for k, v in value.items()
            )
        case "any of":
            return any(fits(one, value) for one in kind.of)
        case form:
            return _SIMPLE[form](value)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and len(value) == len("2026-01-31") and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _is_time(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_SIMPLE: Final[dict[str, Callable[[object], bool]]] = {
    "text": lambda value: isinstance(value, str),
    "whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
    "yes or no": lambda value: isinstance(value, bool),
    "date": _is_date,
    "time": _is_time,
    "nothing": lambda value: value is None,
}


def settled(kind: Kind, value: JsonValue) -> JsonValue:
    """Return a fitting value in its one form: 20 becomes 20.0 where a number is asked for."""
    match kind.form:
        case "number":
            return float(value) if isinstance(value, int) else value
        case "list" if isinstance(value, list):
            return [settled(kind.of[0], item) for item in value]
        case "mapping" if isinstance(value, dict):
            return {name: settled(kind.of[0], item) for name, item in value.items()}
        case "any of":
            return settled(next(one for one in kind.of if fits(one, value)), value)
    return value


def numbers_in(value: object) -> Iterator[float]:
    """Return every number inside a value; true and false are none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from numbers_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers_in(item)
