"""What a change is: a sentence plus an action. Previewing prints the sentence, applying performs it.

A change is data (a frozen `Value`), so that a plan can be shown, digested, signed and replayed; its
methods act on the world through the `Step` they are given.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from runbook.journal import digest
from runbook.step import Step
from runbook.values import Value, html_table

EffectClass = Literal["convergent", "keyed", "at least once", "asks"]
"""What a repeated application promises; see DESIGN: no class promises more than its name."""


class Change(Value):
    """One effect. Subclasses hold the data and say the rest.

    `effect` is what applying it twice does; `in_scratch` marks effects that live and die with the
    process's scratch folder, so that an interrupted one leaves nothing behind.
    """

    effect: ClassVar[EffectClass] = "convergent"
    in_scratch: ClassVar[bool] = False

    def sentence(self) -> str:
        """Return what will be done, verb first."""
        raise NotImplementedError

    def touches(self) -> str:
        """Return the blast radius: what is touched and what is not."""
        raise NotImplementedError

    def way_back(self) -> str:
        """Return how it is undone, or that it has no undo."""
        raise NotImplementedError

    def observe(self, step: Step) -> Value | None:
        """Return the result when the change is already in place, None when it is still to be applied."""
        del step
        return None

    def apply(self, step: Step) -> Value | None:
        """Do it; return what later steps need to know of it."""
        raise NotImplementedError

    def verify(self, step: Step, result: Value | None) -> None:
        """Raise StepFailed unless the effect is really there."""


class Plan(Value):
    """Changes in their order, under one title; nothing of it has been done yet."""

    title: str
    changes: tuple[Change, ...]

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what would be done, in hex."""
        return digest(self.changes)

    def table(self) -> list[tuple[str, str, str]]:
        return [(change.sentence(), change.touches(), change.way_back()) for change in self.changes]

    def __repr__(self) -> str:
        lines = [f"{self.title}: {len(self.changes)} to do, digest {self.digest[:12]}"]
        for sentence, touches, way_back in self.table():
            lines += [f"  {sentence}", f"    touches: {touches}", f"    way back: {way_back}"]
        return "\n".join(lines)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        table = html_table(self.table(), head=("what will be done", "touches", "way back"))
        return f"{table}<small>plan digest {self.digest[:12]}</small>"


class Applied(Value):
    """What an apply did: one result per change of the plan, in order."""

    title: str
    results: tuple[Value | None, ...]

    @property
    def result(self) -> Any:
        """Return the last change's result, the usual one to go on with."""
        return self.results[-1]

    def __repr__(self) -> str:
        return "\n".join(repr(result) for result in self.results if result is not None) or "done"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        shown = [result._repr_html_() for result in self.results if result is not None]
        return "".join(shown) or "done"
