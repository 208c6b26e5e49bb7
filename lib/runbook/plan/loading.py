"""Finds the project and loads its files from params/."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from runbook.errors import InputError, ParamsError, UnknownName
from runbook.plan.environment import Environment
from runbook.plan.judging import Params, judge
from runbook.plan.reading import read_document
from runbook.plan.rollout import RolloutPlan
from runbook.plan.scenarios import Scenarios
from runbook.plan.secrecy import texts_in
from runbook.plan.secrets import Secrets
from runbook.wording import unknown_names

ROOT_VARIABLE: Final = "RUNBOOK_ROOT"
PLAN_FILE: Final = "params/plan.yaml"
SIGNING_KEY_VARIABLE: Final = "RUNBOOK_SIGNING_KEY"
SCENARIOS_FILE: Final = "params/sandbox/scenarios.yaml"
_VARIABLE_NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_ENVIRONMENT_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

M = TypeVar("M", bound=Params)


def project_root(start: Path) -> Path:
    """Return the project's folder: RUNBOOK_ROOT, or the nearest from `start` upward.

    A project has params/plan.yaml and notebooks/. Raises InputError when there is none.
    """
    if configured := os.environ.get(ROOT_VARIABLE):
        root = Path(configured).expanduser().resolve()
        if not _is_project(root):
            raise InputError(
                f"{ROOT_VARIABLE} is {configured}, which has no {PLAN_FILE} and notebooks/; "
                "point it at the project or unset it"
            )
        return root
    here = start.resolve()
    for folder in (here, *here.parents):
        if _is_project(folder):
            return folder
    raise InputError(
        f"no project at {here} or above it (looked for {PLAN_FILE} beside notebooks/); "
        f"change into the project's folder, or set {ROOT_VARIABLE} to it"
    )


def _is_project(folder: Path) -> bool:
    return (folder / PLAN_FILE).is_file() and (folder / "notebooks").is_dir()


def load_plan(root: Path) -> RolloutPlan:
    """Return params/plan.yaml; raises ParamsError with every problem."""
    return _load(RolloutPlan, root, PLAN_FILE)


def environments(root: Path) -> tuple[str, ...]:
    """Return the names of the environments that have a folder under params/."""
    return tuple(sorted(path.parent.name for path in (root / "params").glob("*/environment.yaml")))


def load_environment(root: Path, name: str) -> Environment:
    """Return params/<name>/environment.yaml; raises UnknownName, or ParamsError with every problem."""
    known = environments(root)
    if name not in known or not _ENVIRONMENT_NAME.fullmatch(name):
        raise UnknownName(
            f"there is no environment {name!r} under params/; right would be {unknown_names(name, known)}"
        )
    file = f"params/{name}/environment.yaml"
    document = read_document(root / file, file=file)
    environment, problems = judge(Environment, document)
    if document.data and document.data.get("name") not in (None, name):
        problems.append(
            document.problem(
                ("name",), found=document.found(("name",)), expected=f"{name}, the folder's name"
            )
        )
    if environment is None or problems:
        raise ParamsError(document.in_order(problems))
    return environment


def known_secrets(root: Path) -> Secrets:
    """Return the secrets of every environment, and the key of runs: what is masked wherever we show anything.

    Never raises for what is wrong in a file: the message that says so is masked with what can be read.
    """
    names = [SIGNING_KEY_VARIABLE]
    for name in environments(root):
        file = f"params/{name}/environment.yaml"
        with suppress(OSError):
            names += _variables(read_document(root / file, file=file).data)
    return Secrets(name for name in names if _VARIABLE_NAME.fullmatch(name))


def _variables(data: object) -> Iterator[str]:
    """Return the names of variables that an environment's file gives, whatever else is in it."""
    if isinstance(data, dict):
        for key, item in data.items():
            yield from texts_in(item) if key in ("secret_variables", "dsn_variable") else _variables(item)


def load_scenarios(root: Path) -> Scenarios:
    """Return params/sandbox/scenarios.yaml; raises ParamsError with every problem."""
    return _load(Scenarios, root, SCENARIOS_FILE)


def _load(model: type[M], root: Path, file: str) -> M:
    value, problems = judge(model, read_document(root / file, file=file))
    if value is None:
        raise ParamsError(problems)
    return value
