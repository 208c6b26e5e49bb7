"""Reads what a notebook declares as its parameters by parsing its tagged cell; nothing is executed."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from runbook.errors import ParamsError, Problem
from runbook.parameters.kinds import RIGHT_TYPES, Kind, fits, kind_of, numbers_in, settled
from runbook.plan.secrecy import secret_shape, shown_safely, smells_secret, texts_in
from runbook.values import Value

LINE: Final = "`name: type = literal  # unit; what it is for; 1 to 10`"
ELSEWHERE: Final = (
    "no secret: parameters are written into the executed notebook; name an environment variable instead"
)
HEAD: Final = ("parameter", "what fits", "default", "what it is for")

_IMPORTS: Final = ("typing", "datetime", "__future__")
_NUMBER: Final = r"-?\d+(?:\.\d+)?"
_RANGE: Final = re.compile(rf"({_NUMBER}) to ({_NUMBER})")


class Parameter(Value):
    """One declared parameter; `least` and `most` are inclusive."""

    name: str
    kind: Kind
    default: JsonValue
    unit: str = ""
    help: str = ""
    least: float | None = None
    most: float | None = None

    @property
    def words(self) -> str:
        """Return what fits, with range and unit: `a whole number from 10 to 2048, in MB`, `text (path)`."""
        ranged = f" from {self.least:.15g} to {self.most:.15g}" if self.least is not None else ""
        unit = f", in {self.unit}" if self.kind.numeric else f" ({self.unit})"
        return f"{self.kind.words}{ranged}{unit if self.unit else ''}"

    def in_range(self, value: object) -> bool:
        """Whether every number in a value lies in the range, where there is one."""
        if self.least is None or self.most is None:
            return True
        return all(self.least <= number <= self.most for number in numbers_in(value))


class Schema(Value):
    """The parameters of one notebook, in its order; `file` is the notebook's name in messages."""

    file: str
    parameters: tuple[Parameter, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)

    def named(self, name: str) -> Parameter | None:
        """Return a parameter, or None where there is none of that name."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)


def describe(schema: Schema) -> list[tuple[str, str, str, str]]:
    """Return a row for each parameter, in the columns of `HEAD`."""
    return [
        (each.name, each.words, json.dumps(each.default, ensure_ascii=False), each.help)
        for each in schema.parameters
    ]


def read_schema(notebook: Path) -> Schema:
    """Return what a notebook declares; raises ParamsError with every problem of its parameters cell."""
    parts = notebook.parts
    inside = len(parts) - 1 - parts[::-1].index("notebooks") if "notebooks" in parts else len(parts) - 1
    file = "/".join(parts[inside:])
    number, source = _parameters_cell(notebook, file)
    reader = _Reader(file=file, cell=number)
    reader.read(source)
    if reader.problems:
        raise ParamsError(reader.problems)
    return Schema(file=file, parameters=tuple(reader.parameters))


def _parameters_cell(notebook: Path, file: str) -> tuple[int, str]:
    """Return number (from 1) and source of the one code cell tagged `parameters`."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tagged = [
            (number, "".join(cell["source"]))
            for number, cell in enumerate(cells, start=1)
            if cell["cell_type"] == "code" and "parameters" in cell["metadata"].get("tags", [])
        ]
    except OSError as error:
        raise _one(
            file, found=f"a file that cannot be read ({error.strerror})", expected="a notebook"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _one(
            file, found="a file that is no notebook", expected="a notebook in Jupyter's format 4"
        ) from error
    if len(tagged) != 1:
        raise _one(file, found=f"{len(tagged) or 'no'} cells tagged `parameters`", expected="exactly one")
    return tagged[0]


def _one(file: str, *, found: str, expected: str) -> ParamsError:
    return ParamsError([Problem(file=file, key="(the notebook)", found=found, expected=expected)])


@dataclass
class _Reader:
    """Goes through the cell's statements, and collects parameters and problems."""

    file: str
    cell: int
    parameters: list[Parameter] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def read(self, source: str) -> None:
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            self._problem(
                f"cell {self.cell}, line {error.lineno}", found=f"no Python ({error.msg})", expected=LINE
            )
            return
        comments = _comments(source)
        for statement in tree.body:
            self._statement(statement, comments)

    def _statement(self, statement: ast.stmt, comments: dict[int, str]) -> None:
        match statement:
            case ast.ImportFrom(module=module) if module in _IMPORTS:
                return
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                comment = comments.get(statement.end_lineno or 0, comments.get(statement.lineno, ""))
                self._declared(name, statement.annotation, value, comment, line=statement.lineno)
            case ast.AnnAssign(target=ast.Name(id=name)):
                self._problem(self._key(name, statement.lineno), found="no default", expected=LINE)
            case ast.Assign(targets=[ast.Name(id=name)]):
                self._problem(self._key(name, statement.lineno), found="no type", expected=LINE)
            case _:
                found = "a statement that declares no parameter"
                self._problem(f"cell {self.cell}, line {statement.lineno}", found=found, expected=LINE)

    def _declared(self, name: str, annotation: ast.expr, value: ast.expr, comment: str, *, line: int) -> None:
        key = self._key(name, line)
        if name in (known.name for known in self.parameters):
            self._problem(key, found="the name a second time", expected="each parameter once")
        if smells_secret(name):
            self._problem(key, found="a parameter whose name promises a secret", expected=ELSEWHERE)
        kind = kind_of(annotation)
        if kind is None:
            self._problem(key, found=f"the type {ast.unparse(annotation)}", expected=RIGHT_TYPES)
            return
        try:
            default = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            self._problem(
                key, found="a default that is computed", expected='a literal, such as 50 or "omnihub"'
            )
            return
        unit, meaning, limits = _parts(comment)
        parameter = Parameter.model_construct(
            name=name, kind=kind, default=default, unit=unit, help=meaning, least=limits[0], most=limits[1]
        )
        if found := next(self._misfits(parameter), None):
            self._problem(key, found=found[0], expected=found[1])
        else:
            self.parameters.append(parameter.model_copy(update={"default": settled(kind, default)}))

    def _misfits(self, parameter: Parameter) -> Iterator[tuple[str, str]]:
        """Return what is wrong with a declaration: its range, or its default."""
        least, most = parameter.least, parameter.most
        if least is not None and most is not None and least > most:
            yield f"the range {least:.15g} to {most:.15g}", "the smaller number first"
        if least is not None and not parameter.kind.numeric:
            yield f"a range on {parameter.kind.words}", "a range only where the type is int or float"
        default: Any = parameter.default
        if kind := next((kind for text in texts_in(default) if (kind := secret_shape(text))), None):
            yield f"a default that looks like {kind}, not shown here", ELSEWHERE
        if not fits(parameter.kind, default):
            yield f"the default {shown_safely(default, name=parameter.name)}", parameter.words
        elif not parameter.in_range(default):
            yield f"the default {shown_safely(default)}", parameter.words

    def _key(self, name: str, line: int) -> str:
        return f"{name} (cell {self.cell}, line {line})"

    def _problem(self, key: str, *, found: str, expected: str) -> None:
        self.problems.append(Problem(file=self.file, key=key, found=found, expected=expected))


def _comments(source: str) -> dict[int, str]:
    """Return the comment of each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {
        token.start[0]: token.string.lstrip("# ").strip()
        for token in tokens
        if token.type == tokenize.COMMENT
    }


def _parts(comment: str) -> tuple[str, str, tuple[float | None, float | None]]:
    """Return unit, meaning and range of a comment: `MB; size of the database; 10 to 2048`."""
    parts = [part.strip() for part in comment.split(";") if part.strip()]
    limits: tuple[float | None, float | None] = (None, None)
    if parts and (found := _RANGE.fullmatch(parts[-1])):
        limits = (float(found[1]), float(found[2]))
        parts.pop()
    unit = parts.pop(0) if len(parts) > 1 and " " not in parts[0] else ""
    return unit, "; ".join(parts), limits
