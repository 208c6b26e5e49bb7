"""Writes docs/params.md from the models: every key, its type and unit, and what it means.

python -m runbook.plan.document docs/params.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from runbook.plan.environment import Environment
from runbook.plan.rollout import RolloutPlan
from runbook.plan.scenarios import Scenarios
from runbook.plan.words import type_in_words, unit_of

_HEAD: Final = """\
# Parameters

Written from the code by `python -m runbook.plan.document docs/params.md`; a test holds the two together.

| file | what |
|---|---|
| `params/plan.yaml` | the rollout plan, each number in one place |
| `params/<environment>/environment.yaml` | where things are in one environment |
| `params/<environment>/<runbook>.yaml` | a runbook's parameters; `runbook show NAME` tells what each is for |
| `params/sandbox/scenarios.yaml` | the one list of drills |

How the files are read:

- Every mistake is reported at once, with file, line and key, before anything runs (exit code 2).
- YAML in UTF-8, one document in a file, no key twice; no anchors, aliases, merges or tags; at most 256 KiB.
- Numbers are written plainly: `010` (octal) and `1:30` (base 60) are refused. A time of day stands in quotes.
- A secret never stands in a file. Write down the name of the environment variable that holds it.
- A key without a default must be there. `null` says that something is left open on purpose.
- `RUNBOOK_ROOT` names the project's folder when a command is not started inside it.

## A runbook's own parameters

A notebook declares them in its cell tagged `parameters`, one statement each:

```python
size_mb: int = 50  # MB; size of the seeded database; 10 to 2048
```

The comment holds, parted by semicolons, the unit (one word), what the parameter is for, and an inclusive
range. Types are `str`, `int`, `float`, `bool`, `date`, `datetime`, `None`, `Literal[...]`, `list[...]`,
`dict[str, ...]` and unions of them. Later ones win: the notebook's default, the file, a drill's scenario,
`-p name=value`. A value after `-p` is read as papermill reads it, as YAML, or as text: what fits first.
"""

_FILES: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("params/plan.yaml", RolloutPlan),
    ("params/<environment>/environment.yaml", Environment),
    ("params/sandbox/scenarios.yaml", Scenarios),
)

_HELD: Final = {"": "keys, below", "[]": "a list, below", ".<name>": "a mapping from names, below"}


def params_document() -> str:
    """Return docs/params.md."""
    parts = [_HEAD]
    for file, model in _FILES:
        parts += [f"## `{file}`\n", *_sections(model)]
    return "\n".join(parts)


def _sections(top: type[BaseModel]) -> Iterator[str]:
    """Return a table of keys for each model in a file; one that stands in several places comes once."""
    places: dict[type[BaseModel], list[str]] = {}
    _collect(top, "", places)
    for model, paths in places.items():
        names = ", ".join(f"`{path}`" for path in paths if path)
        yield "\n".join([*([f"### {names}\n"] if names else []), *_section(model)])


def _collect(model: type[BaseModel], path: str, places: dict[type[BaseModel], list[str]]) -> None:
    places.setdefault(model, []).append(path)
    for name, field in model.model_fields.items():
        if held := _model_in(field.annotation):
            _collect(held[0], f"{path}.{name}{held[1]}".lstrip("."), places)


def _section(model: type[BaseModel]) -> Iterator[str]:
    says = (model.__doc__ or "").strip().partition("\n\n")
    yield says[0] + "\n"
    if says[2]:
        yield " ".join(says[2].split()) + "\n"
    yield "| key | what fits | default | meaning |"
    yield "|---|---|---|---|"
    yield from (_row(name, field) for name, field in model.model_fields.items())
    yield ""


def _row(name: str, field: FieldInfo) -> str:
    fits = type_in_words(field.annotation, tuple(field.metadata), unit=unit_of(name))
    if held := _model_in(field.annotation):
        fits = _HELD[held[1]] + (", or null" if type(None) in get_args(field.annotation) else "")
    cells = (f"`{name}`", fits, _default(field), field.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "must be there"
    if field.default is None:
        return "null"
    return str(field.default) if field.default and isinstance(field.default, str) else "empty"


def _model_in(annotation: Any) -> tuple[type[BaseModel], str] | None:
    """Return the model inside an annotation, and how it is held: directly, in a list, in a mapping."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if origin in (Annotated, Union, UnionType):
        return next((held for item in arguments if (held := _model_in(item))), None)
    if origin is tuple and (held := _model_in(arguments[0])):
        return held[0], "[]"
    if origin is dict and (held := _model_in(arguments[1])):
        return held[0], ".<name>"
    return None


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(params_document(), encoding="utf-8")
