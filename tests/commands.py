"""Command lines as documents and messages give them, held against the real command line."""

import re
import shlex
from typing import Any

from typer.main import get_command

from runbook.cli import app as _application

PLACEHOLDERS = {"FILE": "key", "ROLE": "cto", "RUN": "r1", "RESOURCE": "zone", "NAME": "toy", "E": "sandbox"}


def parse(command: str) -> list[str]:
    """Return the words of `runbook …` after its command, having let the real parser take them.

    Raises what the parser raises: an unknown command or option, a missing argument, a value of another kind.
    """
    program, name, *words = [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
    if program.rpartition("/")[2] != "runbook":
        raise ValueError(f"not a command of ours: {command}")
    group: Any = get_command(_application.app)
    context = group.make_context("runbook", [name, *words])
    _, found, rest = group.resolve_command(context, [name, *words])
    found.make_context(name, rest, parent=context)
    return [name, *words]


def commands_in(script: str) -> list[str]:
    """Return the commands of ours that a shell script runs, comments and chains taken apart."""
    joined = re.sub(r"\\\n\s*", " ", script)
    lines = [
        part.strip() for line in joined.splitlines() for part in re.split(r"&&|;|\|", _uncommented(line))
    ]
    found = [re.sub(r"^(?:exec|sudo -u \w+)\s+", "", line) for line in lines]
    return [line for line in found if re.match(r"(?:\S*/)?runbook\s", line)]


def make_targets_in(script: str) -> list[str]:
    """Return the targets that a shell script makes."""
    return [
        word
        for line in script.splitlines()
        for found in re.findall(r"(?:^|&&|;|sudo )\s*make ([^&;#]+)", line)
        for word in re.sub(r"-C \S+|\S+=\S*", "", found).split()
    ]


def _uncommented(line: str) -> str:
    return re.sub(r"\s#.*$", "", line)
