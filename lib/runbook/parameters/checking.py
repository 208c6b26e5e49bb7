"""Holds given parameters against what a notebook declares: the complete set, or every problem at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue

from runbook import catalogue
from runbook.errors import ParamsError, Problem, UnknownName
from runbook.parameters.kinds import fits, settled
from runbook.parameters.schema import ELSEWHERE, Parameter, Schema, read_schema
from runbook.plan.judging import secrets_in
from runbook.plan.loading import (
    SCENARIOS_FILE,
    environments,
    known_secrets,
    load_environment,
    load_plan,
)
from runbook.plan.reading import Document, parse_document, read_document
from runbook.plan.scenarios import Scenario
from runbook.plan.secrecy import smells_secret
from runbook.plan.secrets import Secrets
from runbook.wording import nearest, one_of, unknown_names

COMMAND_LINE: Final = "-p"


def check_parameters(schema: Schema, given: Mapping[str, object], *, file: str) -> dict[str, JsonValue]:
    """Return every parameter of the notebook, defaults filled in; raises ParamsError with every problem.

    `file` says in messages where `given` comes from.
    """
    document = Document(file=file, data=_plain(given))
    return _complete(schema, [document])


def load_parameters(
    root: Path,
    environment: str,
    runbook: str,
    overrides: Sequence[str] = (),
    *,
    scenario: Scenario | None = None,
) -> dict[str, JsonValue]:
    """Return a run's parameters: params/<environment>/<runbook>.yaml, a scenario's, `name=value`s over both.

    Nothing has run when it raises: UnknownName (runbook or environment), or ParamsError with every problem of
    the notebook's declarations, the plan, the environment, the file, the scenario and the overrides.
    """
    schema = read_schema(catalogue.find(root, runbook).path)
    known = environments(root)
    if environment not in known:
        raise UnknownName(
            f"there is no environment {environment!r}; right would be {unknown_names(environment, known)}"
        )
    file = f"params/{environment}/{runbook}.yaml"
    layers = [read_document(root / file, file=file)]
    if scenario is not None:
        layers.append(Document(file=f"{SCENARIOS_FILE}, {scenario.name!r}", data=dict(scenario.params)))
    layers.append(_command_line(schema, overrides))
    surroundings = list(_problems_around(root, environment, schema, layers))
    return _complete(schema, layers, environment=environment, more=surroundings, secrets=known_secrets(root))


def _problems_around(root: Path, name: str, schema: Schema, layers: Iterable[Document]) -> Iterator[Problem]:
    """Return the problems of the plan and the environment, and databases that are not in it."""
    try:
        load_plan(root)
    except ParamsError as error:
        yield from error.problems
    try:
        environment = load_environment(root, name)
    except ParamsError as error:
        yield from error.problems
        return
    for layer in layers if "database" in schema.names else ():
        database = layer.at(("database",))
        if isinstance(database, str) and database not in environment.databases:
            right = unknown_names(database, environment.databases)
            yield layer.problem(
                ("database",), found=layer.found(("database",)), expected=f"a database of {name}: {right}"
            )


def _complete(
    schema: Schema,
    layers: Iterable[Document],
    *,
    environment: str | None = None,
    more: Iterable[Problem] = (),
    secrets: Secrets | None = None,
) -> dict[str, JsonValue]:
    """Return defaults under the layers, later ones over earlier ones; every layer is checked as a whole."""
    complete = {parameter.name: parameter.default for parameter in schema.parameters}
    if environment is not None and "environment" in complete:
        complete["environment"] = environment
    problems: list[Problem] = []
    for layer in layers:
        problems += layer.in_order([*layer.problems, *_problems(schema, layer, environment=environment)])
        for name, value in (layer.data or {}).items():
            if (parameter := schema.named(name)) and fits(parameter.kind, value):
                complete[name] = settled(parameter.kind, value)
    if problems := list(dict.fromkeys([*more, *problems])):
        raise ParamsError([_masked(problem, secrets) for problem in problems] if secrets else problems)
    return complete


def _masked(problem: Problem, secrets: Secrets) -> Problem:
    """Return a problem that shows what was found, but no secret: it was typed into the wrong place."""
    return Problem(**{name: secrets.mask(text) for name, text in vars(problem).items()})


def _problems(schema: Schema, layer: Document, *, environment: str | None) -> Iterator[Problem]:
    secret = {problem.key: problem for problem in secrets_in(layer)}
    yield from secret.values()
    for name in layer.data or {}:
        path = (name,)
        parameter = schema.named(name)
        if parameter is None:
            yield layer.problem(
                path, found=f"an unknown parameter `{name}`", expected=_right_name(schema, name)
            )
        elif name not in secret and (wrong := _wrong(parameter, layer.at(path))):
            yield layer.problem(path, found=layer.found(path), expected=wrong)
        elif name == "environment" and environment not in (None, layer.at(path)):
            yield layer.problem(
                path, found=layer.found(path), expected=f"{environment}, the environment of this run"
            )


def _wrong(parameter: Parameter, value: object) -> str | None:
    """Return what would be right when a value does not fit its parameter."""
    return None if fits(parameter.kind, value) and parameter.in_range(value) else parameter.words


def _right_name(schema: Schema, name: str) -> str:
    if smells_secret(name):
        return ELSEWHERE
    guess = nearest(name, schema.names)
    return f"`{guess}`" if guess else one_of(schema.names) or "no parameter: this notebook declares none"


def _command_line(schema: Schema, overrides: Iterable[str]) -> Document:
    """Return the `name=value` pairs as a document; each value is read as what its parameter asks for."""
    document = Document(file=COMMAND_LINE, data={})
    data: dict[str, JsonValue] = {}
    for text in overrides:
        name, equals, written = text.partition("=")
        if not equals or not name:
            problem = document.problem((name or "=",), found="no value", expected="-p name=value")
            document.problems.append(problem)
            continue
        if name in data:
            problem = document.problem(
                (name,), found="the parameter a second time", expected="each parameter once"
            )
            document.problems.append(problem)
        data[name] = _as_asked(schema.named(name), written)
    document.data = data
    return document


def _as_asked(parameter: Parameter | None, written: str) -> JsonValue:
    """Return text from the command line as papermill reads it, as YAML, or as text: what fits first."""
    readings = [_as_papermill(written), *_as_yaml(written), written]
    fitting = (value for value in readings if parameter is not None and fits(parameter.kind, value))
    return next(fitting, readings[0])


def _as_papermill(written: str) -> JsonValue:
    """Return text as papermill's `-p` does: True, False, None, int, float, else text."""
    if written in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[written]
    for number in (int, float):
        try:
            value = number(written)
        except ValueError:
            continue
        if math.isfinite(value):
            return value
    return written


def _as_yaml(written: str) -> list[JsonValue]:
    """Return what YAML makes of text, or nothing where it is no YAML value."""
    document = parse_document(f"value: {written}", file=COMMAND_LINE)
    data = document.data or {}
    return [data["value"]] if not document.problems and set(data) == {"value"} else []


def _plain(given: Mapping[str, object]) -> dict[str, Any]:
    return {str(name): list(value) if isinstance(value, tuple) else value for name, value in given.items()}
