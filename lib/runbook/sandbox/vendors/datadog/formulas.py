"""Formulas over queries: arithmetic of series, joined by tags; `default_zero` puts zeros for no data."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from runbook.sandbox.traffic.noise import Floats
from runbook.sandbox.vendors.datadog.language import Unreadable

Tags = tuple[str, ...]
Series = dict[Tags, Floats]
"""Values by the tags of their group; NaN is *no data*."""

_ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def value_of(formula: str, queries: Mapping[str, Series]) -> Series:
    """Return what a formula comes to; Unreadable when it is none, or names a query that there is not."""
    try:
        tree = ast.parse(formula, mode="eval").body
    except SyntaxError:
        raise Unreadable(f"Error parsing formula: {formula}") from None
    found = _worked_out(tree, queries, formula)
    if isinstance(found, float):
        raise Unreadable(f"Error parsing formula: {formula} names no query")
    return found


def _worked_out(node: ast.expr, queries: Mapping[str, Series], whole: str) -> Series | float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name) if name in queries:
            return queries[name]
        case ast.Call(func=ast.Name(id="default_zero"), args=[inside], keywords=[]):
            found = _worked_out(inside, queries, whole)
            if isinstance(found, dict):
                return {tags: np.nan_to_num(values) for tags, values in found.items()}
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            one, other = _worked_out(left, queries, whole), _worked_out(right, queries, whole)
            return _joined(_ARITHMETIC[type(sign)], one, other)
    raise Unreadable(f"Error parsing formula: {whole}")


def _joined(work: Callable[[Any, Any], Any], one: Series | float, other: Series | float) -> Series | float:
    """Join by tags: groups that only one side has are no data; a number goes with every group."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if isinstance(one, float) and isinstance(other, float):
            return float(work(np.float64(one), np.float64(other)))
        if isinstance(one, float) and isinstance(other, dict):
            found = {tags: work(one, values) for tags, values in other.items()}
        elif isinstance(one, dict) and isinstance(other, float):
            found = {tags: work(values, other) for tags, values in one.items()}
        elif isinstance(one, dict) and isinstance(other, dict):
            found = {tags: work(one[tags], other[tags]) for tags in one if tags in other}
    return {tags: np.where(np.isfinite(values), values, np.nan) for tags, values in found.items()}
