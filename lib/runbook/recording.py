"""What putting a step on record needs: where the run is, what identifies a step, how its end is written."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from runbook.clock import Clock
from runbook.errors import InputError
from runbook.files import write_atomically
from runbook.journal import digest
from runbook.plan import Environment, RolloutPlan, Secrets
from runbook.step import Step

Verb = Literal["read", "check", "plan", "apply"]


@dataclass(frozen=True)
class Place:
    """Where and with what a run is executed."""

    folder: Path
    clock: Clock
    rollout: RolloutPlan
    environment: Environment
    secrets: Secrets
    replay_only: bool

    def masked(self, data: Any) -> Any:
        """Return JSON data with every secret in its texts replaced by its name."""
        if isinstance(data, str):
            return self.secrets.mask(data)
        if isinstance(data, list):
            return [self.masked(item) for item in data]
        return {key: self.masked(item) for key, item in data.items()} if isinstance(data, dict) else data

    def keep_evidence(self, name: str, content: bytes) -> None:
        """Keep a file under evidence/, masked."""
        folder = self.folder / "evidence"
        folder.mkdir(mode=0o755, exist_ok=True)
        text = content.decode("utf-8", errors="surrogateescape")
        write_atomically(folder / name, self.secrets.mask(text).encode("utf-8", errors="surrogateescape"))


def named(function: Callable[..., Any]) -> str:
    """Return what identifies a step's function; a method would hide the object it belongs to."""
    if not inspect.isfunction(function):
        raise InputError(f"{function!r} is no plain function; a step's function stands at a module's top")
    return f"{function.__module__}:{function.__qualname__}"


def key_of(verb: Verb, title: str, inputs: object) -> str:
    try:
        return digest([verb, title, inputs])[:32]
    except TypeError as error:
        raise InputError(f"the inputs of “{title}” cannot be recorded: {error}") from error


def ended(verb: Verb, seconds: float, step: Step) -> dict[str, Any]:
    phases = [[phase.name, round(phase.seconds, 6)] for phase in step.phases]
    said = {"verb": verb, "seconds": round(seconds, 6), "phases": phases}
    return said | ({"remarks": step.remarks} if step.remarks else {})
