"""The collection: which runbooks there are, by the names and first lines of their notebooks."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import InputError, UnknownName

_NUMBER = re.compile(r"^\d+_")


@dataclass(frozen=True)
class Entry:
    """A runbook: its name is its file's, without folder and number; `group` is its folder."""

    name: str
    group: str
    path: Path

    @property
    def preface(self) -> str:
        """Return the first cell: what it does, blast radius, preconditions, how long, how to undo."""
        try:
            cells = json.loads(self.path.read_text(encoding="utf-8"))["cells"]
            return "".join(cells[0]["source"]) if cells else ""
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path.name} is no notebook that can be read: {error!r}") from error

    @property
    def title(self) -> str:
        """Return the notebook's heading."""
        return self.preface.partition("\n")[0].lstrip("# ").strip()


def entries(root: Path) -> list[Entry]:
    """Return all runbooks of the project, rollout first, in the order of their numbers."""
    groups = ("rollout", "drills", "incidents")
    return [
        Entry(name=_NUMBER.sub("", path.stem), group=group, path=path)
        for group in groups
        for path in sorted((root / "notebooks" / group).glob("*.ipynb"))
    ]


def find(root: Path, name: str) -> Entry:
    """Return the runbook of that name; UnknownName tells the nearest ones."""
    known = {entry.name: entry for entry in entries(root)}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else "see them with: runbook list"
    raise UnknownName(f"there is no runbook {name!r}; {hint}")
