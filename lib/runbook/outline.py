"""The steps of a notebook in their order, read from its code without running it.

What is read is what always runs: calls of a run's verbs at the top of a cell, with a literal title, or
with a plan or a verdict that such a call gave. Steps inside an `if` and titles made at run time are not
known here.
"""

from __future__ import annotations

import ast
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

TITLED = ("read", "check", "plan", "wait", "watch")
FOLLOWING = {"approve": "approval", "apply": "apply", "decide": "decision"}


@dataclass(frozen=True)
class Outline:
    """A notebook's steps by title, and a digest of all that is written in its cells."""

    titles: tuple[str, ...]
    digest: str

    def before(self, title: str) -> tuple[str, ...]:
        """Return the steps that come before one, none when it is not known here."""
        return self.titles[: self.titles.index(title)] if title in self.titles else ()

    def after(self, title: str) -> tuple[str, ...]:
        """Return the steps that come after one, none when it is not known here."""
        return self.titles[self.titles.index(title) + 1 :] if title in self.titles else ()


def title_of(verb: str, of: str) -> str:
    """Return the title of a step that goes on with another: `move the zone: apply`."""
    return f"{of}: {FOLLOWING[verb]}"


def read_outline(path: Path) -> Outline:
    """Return the outline of a notebook; one that cannot be read, or whose code is no Python, has no steps.

    What a cell shows is no part of the digest: JupyterLab saves that into the file by itself.
    """
    try:
        stat = path.stat()
    except OSError:
        return Outline((), "")
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=32)
def _read(path: Path, _changed_ns: int, _size: int) -> Outline:
    try:
        cells = [(c["cell_type"], "".join(c["source"])) for c in json.loads(path.read_bytes())["cells"]]
    except (OSError, ValueError, KeyError, TypeError):
        return Outline((), "")
    digest = hashlib.sha256(json.dumps(cells, ensure_ascii=False).encode()).hexdigest()
    names: dict[str, str] = {}
    titles: list[str] = []
    for kind, source in cells:
        if kind == "code":
            titles += _titles_in(source, names)
    return Outline(tuple(dict.fromkeys(titles)), digest)


def _titles_in(source: str, names: dict[str, str]) -> list[str]:
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a magic, or a cell half-edited
        return []
    found = []
    for statement in body:
        calls = [node for node in ast.walk(statement) if isinstance(node, ast.Call)]
        if not isinstance(statement, ast.Expr | ast.Assign | ast.AnnAssign):
            continue
        for call in reversed(calls):  # the innermost runs first
            if title := _title(call, names):
                found.append(title)
                _remember(statement, title, names)
    return found


def _title(call: ast.Call, names: dict[str, str]) -> str:
    """Return the title of a verb's call, or nothing."""
    function: Any = call.func
    if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)) or not call.args:
        return ""
    first = call.args[0]
    if function.value.id != "run":
        return ""
    if function.attr in TITLED and isinstance(first, ast.Constant) and isinstance(first.value, str):
        return first.value
    if function.attr in FOLLOWING:
        of = names.get(first.id, "") if isinstance(first, ast.Name) else _title_of_call(first, names)
        return title_of(function.attr, of) if of else ""
    return ""


def _title_of_call(node: ast.expr, names: dict[str, str]) -> str:
    return _title(node, names) if isinstance(node, ast.Call) else ""


def _remember(statement: ast.stmt, title: str, names: dict[str, str]) -> None:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    for target in targets:
        if isinstance(target, ast.Name):
            names[target.id] = title
