"""Hold a file against its model: a frozen model, or every problem in words with file, line and key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError, model_validator

from runbook.errors import Problem
from runbook.plan.reading import Document, KeyPath, key_text
from runbook.plan.secrecy import secret_shape
from runbook.plan.words import accepted, type_in_words
from runbook.values import Value
from runbook.wording import nearest


@dataclass(frozen=True)
class Wrong:
    """One thing that does not fit together: where inside the model, what was found, what would be right."""

    at: KeyPath
    found: str
    expected: str


class _Misfit(ValueError):
    """Carries what `Params.wrongs` found through pydantic."""

    def __init__(self, wrongs: list[Wrong]) -> None:
        self.wrongs = wrongs
        super().__init__(
            "; ".join(f"{key_text(w.at)}: found {w.found}; right would be {w.expected}" for w in wrongs)
        )


class Params(Value):
    """Base of everything read from params/: a Value whose parts must also fit together."""

    refers: ClassVar[tuple[str, ...]] = ()
    """The keys that `misfits` looks at."""

    def wrongs(self) -> Iterator[Wrong]:
        """Return what does not fit together inside this model; override to check."""
        return iter(())

    @classmethod
    def misfits(cls, parts: Mapping[str, Any]) -> Iterator[Wrong]:
        """Return what does not fit between the keys named in `refers`; override to check.

        `parts` holds those of them that are well in themselves: an error in one hides no misfit in others.
        """
        del parts
        return iter(())

    @model_validator(mode="after")
    def _fits(self) -> Params:
        wrongs = list(self.wrongs())
        wrongs += self.misfits({name: getattr(self, name) for name in self.refers})
        if wrongs:
            raise _Misfit(wrongs)
        return self


M = TypeVar("M", bound=Params)


def judge(model: type[M], document: Document) -> tuple[M | None, list[Problem]]:
    """Return the model (None when anything is wrong) and all problems in the order of the file."""
    problems = list(document.problems)
    if document.data is None:
        return None, problems
    unread = {problem.key for problem in problems}
    value, found = _validated(model, document)
    # A secret in the wrong place is one problem, not two: what it is says more than what would fit.
    secrets = {(problem.key, problem.found): problem for problem in secrets_in(document)}
    found = [problem for problem in found if (problem.key, problem.found) not in secrets]
    problems += [problem for problem in (*secrets.values(), *found) if problem.key not in unread]
    return (None if problems else value), document.in_order(problems)


def secrets_in(document: Document) -> Iterator[Problem]:
    """Return a problem for every value that looks like a secret; the value itself is never shown."""
    for path, text in _leaves((), document.data):
        if kind := secret_shape(text):
            expected = (
                "no secret in a file: put it in an environment variable and write down the variable's name"
            )
            yield document.problem(path, found=f"what looks like {kind}, not shown here", expected=expected)


def _leaves(path: KeyPath, value: JsonValue) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves((*path, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves((*path, index), item)


def _validated(model: type[M], document: Document) -> tuple[M | None, list[Problem]]:
    try:
        # JSON mode is the strict one that still takes a list for a tuple and text for a date.
        return model.model_validate_json(json.dumps(document.data), strict=True), []
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    problems = list(dict.fromkeys(p for item in errors for p in _problems_of(item, model, document)))
    if all(len(item["loc"]) for item in errors):
        parts = _good_parts(model, document, bad={item["loc"][0] for item in errors})
        problems += [_placed(wrong, (), document) for wrong in model.misfits(parts)]
    return None, problems


def _good_parts(model: type[Params], document: Document, *, bad: set[int | str]) -> dict[str, Any]:
    """Return the keys of `refers` that are well in themselves."""
    data = document.data or {}
    return {
        name: TypeAdapter(cast("Any", model.model_fields[name].annotation)).validate_json(
            json.dumps(data[name]), strict=True
        )
        for name in model.refers
        if name not in bad and name in data
    }


def _placed(wrong: Wrong, base: KeyPath, document: Document) -> Problem:
    return document.problem((*base, *wrong.at), found=wrong.found, expected=wrong.expected)


def _problems_of(error: Any, model: type[BaseModel], document: Document) -> Iterable[Problem]:
    """Return the problems behind one pydantic error, in words made from the model and not from pydantic's."""
    path = _path_of(error, document)
    misfit = error.get("ctx", {}).get("error")
    if isinstance(misfit, _Misfit):
        return [_placed(wrong, path, document) for wrong in misfit.wrongs]
    if error["type"] == "extra_forbidden":
        return [_unknown_key(path, model, document)]
    if error["loc"] and error["loc"][-1] == "[key]":
        names = get_args(_type_at(model, path[:-1]))[0]
        return [document.problem(path, found=f"the name {path[-1]}", expected=type_in_words(names))]
    field_name = next((part for part in reversed(path) if isinstance(part, str)), "")
    expected = expected_at(model, path)
    if error["type"] == "missing":
        described = _field_at(model, path)
        meaning = f" ({described.description})" if described is not None and described.description else ""
        return [document.problem(path, found="no such key", expected=f"`{field_name}`: {expected}{meaning}")]
    return [document.problem(path, found=document.found(path), expected=expected)]


def _path_of(error: Any, document: Document) -> KeyPath:
    """Return where an error is in the file; pydantic adds its own words for the options of a union."""
    path: KeyPath = tuple(error["loc"])
    lacks = error["type"] == "missing"
    while path and not document.has(path[:-1] if lacks else path):
        path = path[:-1]
    return path


def _unknown_key(path: KeyPath, model: type[BaseModel], document: Document) -> Problem:
    around = _type_at(model, path[:-1])
    names = list(around.model_fields) if isinstance(around, type) and issubclass(around, BaseModel) else []
    guess = nearest(str(path[-1]), names)
    expected = f"`{guess}`" if guess else f"one of the keys: {', '.join(names)}"
    return document.problem(path, found=f"an unknown key `{path[-1]}`", expected=expected)


def expected_at(model: type[BaseModel], path: KeyPath) -> str:
    """Return in words what belongs at `path` of a model."""
    if (field := _field_at(model, path)) is not None:
        return accepted(field, name=str(path[-1]))
    return type_in_words(_type_at(model, path))


def _field_at(model: type[BaseModel], path: KeyPath) -> Any:
    around = _type_at(model, path[:-1]) if path else None
    if isinstance(around, type) and issubclass(around, BaseModel):
        return around.model_fields.get(str(path[-1]))
    return None


def _type_at(model: Any, path: KeyPath) -> Any:
    """Return the type that belongs at `path`: through fields, list items, mapping values and `… | None`."""
    here = model
    for part in path:
        here = _bare(here)
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = here.model_fields.get(str(part))
            here = None if field is None else field.annotation
        else:
            arguments = get_args(here)
            here = arguments[1] if get_origin(here) is dict else arguments[0] if arguments else None
    return _bare(here)


def _bare(annotation: Any) -> Any:
    """Return the annotation without `| None`."""
    arguments = get_args(annotation)
    if type(None) in arguments:
        return _bare(next(item for item in arguments if item is not type(None)))
    return annotation
