"""The one list of drills: params/sandbox/scenarios.yaml, each row with the outcome its runbook must reach."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue

from runbook.errors import UnknownName
from runbook.plan.gates import Moment
from runbook.plan.judging import Params, Wrong
from runbook.plan.service import Name, Text
from runbook.wording import unknown_names

EXIT_CODES: Final = {"done": 0, "failed": 1, "no-go": 3, "left in between": 4, "parked": 75}


class Expected(Params):
    """How a drill must end to pass."""

    status: Literal["done", "failed", "no-go", "left in between", "parked"] = Field(
        description="the run's status"
    )
    exit_code: Annotated[int, Field(ge=0, le=255)] = Field(
        description="the exit code that belongs to the status"
    )
    because: str = Field(
        default="",
        description="words that must stand in the verdict or its reasons, in any case; empty: none",
    )

    def wrongs(self) -> Iterator[Wrong]:
        right = EXIT_CODES[self.status]
        if self.exit_code != right:
            yield Wrong(("exit_code",), str(self.exit_code), f"{right}, which belongs to {self.status}")
        if self.status in ("no-go", "failed") and not self.because:
            yield Wrong(
                ("because",), "nothing", f"words that show that it is {self.status} for the right reason"
            )

    def met_by(self, *, status: str, exit_code: int, texts: tuple[str, ...]) -> bool:
        """Whether a run that ended so, with `texts` as its verdict and reasons, passes the drill."""
        said = any(self.because.lower() in text.lower() for text in texts)
        return (status, exit_code) == (self.status, self.exit_code) and (said or not self.because)


class Played(Params):
    """A run of a rehearsal: a runbook, its parameters, and what happens in the world before it begins."""

    runbook: Name = Field(description="the runbook that is run")
    params: dict[str, JsonValue] = Field(
        default={}, description="parameters that differ from the runbook's file in params/sandbox"
    )
    at: Moment | None = Field(default=None, description="when it begins, on the world's clock; null: at once")
    world: tuple[Text, ...] = Field(default=(), description="what begins in the world before it, by name")


class First(Played):
    """A run that comes before a drill; it must end done."""

    gives: Name | None = Field(
        default=None, description="the parameter of the runs after it that gets this run's name"
    )
    afterwards: Literal["nothing", "summary changed", "signature removed", "run removed"] = Field(
        default="nothing", description="what somebody does to its record once it is sealed"
    )


class Scenario(Played):
    """One drill: a runbook, what happens around it, and how it must end."""

    name: Text = Field(description="the scenario's name; unique for its runbook")
    first: tuple[First, ...] = Field(default=(), description="runs that come before it, in the same world")
    signed: Literal["yes", "no", "plans", "another plan"] = Field(
        default="yes",
        description="what the rehearsal signs when an approval is asked for: that, nothing, plans but no "
        "decision to go on where a run holds, or another plan",
    )
    expected: Expected = Field(description="how the drill must end")
    in_make_drill: bool = Field(description="whether `make drill` runs it; `--all` runs every row")
    proves: Text = Field(description="what a passed drill shows")


class Scenarios(Params):
    """All drills."""

    scenarios: tuple[Scenario, ...] = Field(min_length=1, description="the drills, in the order they run")

    def wrongs(self) -> Iterator[Wrong]:
        seen: set[tuple[str, str]] = set()
        for index, row in enumerate(self.scenarios):
            if (row.runbook, row.name) in seen:
                yield Wrong(
                    ("scenarios", index, "name"),
                    f"{row.name!r} a second time for {row.runbook}",
                    "each name once",
                )
            seen.add((row.runbook, row.name))

    def of(self, runbook: str, *, only_make_drill: bool = False) -> tuple[Scenario, ...]:
        """Return the drills of one runbook, in order."""
        return tuple(
            row
            for row in self.scenarios
            if row.runbook == runbook and (row.in_make_drill or not only_make_drill)
        )

    def named(self, runbook: str, name: str) -> Scenario:
        """Return one drill; UnknownName tells the nearest ones."""
        rows = {row.name: row for row in self.of(runbook)}
        if name not in rows:
            raise UnknownName(
                f"{runbook} has no scenario {name!r}; right would be {unknown_names(name, rows)}"
            )
        return rows[name]
