"""What a vendor's table of cases is made of; cases/<vendor>.py holds one each, named VENDOR."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.contract import cases


def no_effect(_world):
    return 0


@dataclass(frozen=True)
class Case:
    """One thing a runbook does with a vendor, through our client, on its emulator.

    `do(step)` does it and returns a result; `expect(result, world)` asserts what is right. `effect(world)`
    counts what was done at the vendor: under every fault it may not grow beyond what one `do` does, a resume
    included, unless it is `at_least_once`. `arrange(world, step)` makes the ground, untouched by faults.
    `unproven` says why a success may stand where the vendor has done nothing (the fault *accepted*).
    """

    name: str
    do: Callable[[Any], Any]
    expect: Callable[[Any, Any], None]
    effect: Callable[[Any], int] = no_effect
    arrange: Callable[[Any, Any], None] = lambda _world, _step: None
    at_least_once: str = ""
    unproven: str = ""

    def see(self, result, world):
        """Hold a result against what is expected; a verdict returned, not asserted, counts too."""
        assert self.expect(result, world) in (None, True)


@dataclass(frozen=True)
class Refusal:
    """Something the vendor refuses; `do(step)` must raise VendorRefused with this `code`."""

    name: str
    do: Callable[[Any], Any]
    code: str
    arrange: Callable[[Any, Any], None] = lambda _world, _step: None


@dataclass(frozen=True)
class Foreign:
    """The vendor's own SDK, or another one, does its work on the emulator: `do(world)` asserts it."""

    name: str
    do: Callable[[Any], None]


@dataclass(frozen=True)
class Vendor:
    """One vendor's table.

    `specs` maps a path of the sandbox to the description (without .openapi.json) of what is below it,
    `let_be` a part of a finding to the reason why the description is wrong there. `on_postgres` are cases
    that need a world with a real PostgreSQL (test_postgres.py).
    """

    name: str
    specs: dict[str, str]
    cases: list[Case]
    on_postgres: list[Case] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    foreign: list[Foreign] = field(default_factory=list)
    let_be: dict[str, str] = field(default_factory=dict)


def tables():
    """Return every vendor's table, in the order of their names."""
    found = [m.name for m in pkgutil.iter_modules(cases.__path__)]
    return [importlib.import_module(f"{cases.__name__}.{name}").VENDOR for name in sorted(found)]


TABLES = tables()


def rows(kind):
    """Return (vendor, row) for every row of a kind: "cases", "on_postgres", "refusals" or "foreign"."""
    return [(vendor, row) for vendor in TABLES for row in getattr(vendor, kind)]


def row_id(value):
    return value.name if hasattr(value, "name") else None
