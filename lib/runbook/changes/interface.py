"""What a change is: a sentence plus an action. Previewing prints the sentence, applying performs it.

A change is data (a frozen `Value`), so that a plan can be shown, digested, signed and replayed; its
methods act on the world through the `Step` they are given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from runbook.journal import digest
from runbook.step import Step
from runbook.values import Check, Value, html_table

EffectClass = Literal["convergent", "keyed", "at least once", "asks"]
"""What a second application does.

convergent      observing tells all; only what is missing is applied
keyed           the vendor takes an idempotency key (`step.key`): applied again, nothing is doubled
at least once   nobody can tell: applied again, and its text says so (`step.repeated`)
asks            nobody can tell, and a second time would harm: a person decides
"""


class Change(Value):
    """One effect. Subclasses hold the data and say the rest.

    A state is one line of text, normalised so that nothing in it changes by itself. `in_scratch` marks
    effects that live and die with the process's scratch folder: they need no state, gate or undo.
    """

    effect: ClassVar[EffectClass] = "convergent"
    in_scratch: ClassVar[bool] = False
    has_undo: ClassVar[bool] = True
    settles_within_s: ClassVar[float] = 60.0
    look_every_s: ClassVar[float] = 1.0

    def sentence(self) -> str:
        """Return what will be done, verb first."""
        raise NotImplementedError

    def resource(self) -> str:
        """Return what is changed, and reserved while the run is open: `zone omnihub.dev`."""
        return "" if self.in_scratch else self.touches()

    def before(self) -> str:
        """Return the state that the change starts from."""
        return ""

    def after(self) -> str:
        """Return the state that the change leads to."""
        return ""

    def partly(self) -> str | None:
        """Return the state in which some of it is done, None when it is done as a whole or not at all.

        One that we began goes on from there, and is undone from there.
        """
        return None

    def touches(self) -> str:
        """Return the blast radius: what is touched and what is not."""
        raise NotImplementedError

    def way_back(self) -> str:
        """Return how it is undone, or that it has no undo."""
        raise NotImplementedError

    def amounts(self) -> Mapping[str, float]:
        """Return how much is changed, by what it counts, for the limits of params: {"records": 1}."""
        return {}

    def observe(self, step: Step) -> str | None:
        """Return the state as it is now, None when it cannot be told."""
        del step
        return None

    def apply(self, step: Step) -> Value | None:
        """Do it; return what later steps need to know of it."""
        raise NotImplementedError

    def result(self, step: Step) -> Value | None:
        """Return what `apply` would have returned, of a change that is in place already."""
        del step
        return None

    def verify(self, step: Step, result: Value | None) -> None:
        """Raise StepFailed unless the effect is really there; `observe` has said so already."""

    def undone(self) -> str:
        """Return the state that `undo` leads to: the one before, unless the way back goes further."""
        return self.before()

    def is_ours(self, seen: str) -> bool:
        """Say whether a state is one to undo; any other is left as it is, for somebody else made it."""
        return seen in (self.after(), self.partly())

    def undo(self, step: Step) -> None:
        """Lead to the state of `undone`."""
        del step
        raise NotImplementedError(f"{type(self).__name__} has no undo")

    def health(self, step: Step) -> Iterable[Check]:
        """Return checks of what the change touches, made after a rollback."""
        del step
        return ()


class Plan(Value):
    """Changes in their order, under one title; nothing of it has been done yet."""

    title: str
    changes: tuple[Change, ...]

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what would be done, in hex."""
        return digest(self.changes)

    @property
    def in_scratch(self) -> bool:
        """Whether all of it lives and dies with the scratch folder."""
        return all(change.in_scratch for change in self.changes)

    @property
    def resources(self) -> tuple[str, ...]:
        """Return what would be changed outside scratch, each thing once, in order."""
        return tuple(dict.fromkeys(c.resource() for c in self.changes if not c.in_scratch))

    def amounts(self) -> dict[str, float]:
        """Return how much would be changed outside scratch, by what it counts."""
        outside = [change for change in self.changes if not change.in_scratch]
        sums = {"changes": float(len(outside))}
        for change in outside:
            for name, amount in change.amounts().items():
                sums[name] = sums.get(name, 0.0) + amount
        return sums

    def table(self) -> list[tuple[str, ...]]:
        if self.in_scratch:
            return [(change.sentence(), change.touches(), change.way_back()) for change in self.changes]
        return [
            (c.sentence(), c.before() or "–", c.after() or "–", c.touches(), c.way_back())
            for c in self.changes
        ]

    def head(self) -> tuple[str, ...]:
        states = () if self.in_scratch else ("from", "to")
        return ("what will be done", *states, "touches", "way back")

    def __repr__(self) -> str:
        lines = [f"{self.title}: {len(self.changes)} to do, digest {self.digest[:12]}"]
        names = self.head()[1:]
        for sentence, *rest in self.table():
            lines.append(f"  {sentence}")
            lines += [f"    {name}: {text}" for name, text in zip(names, rest, strict=True)]
        return "\n".join(lines)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        table = html_table(self.table(), head=self.head())
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


class RolledBack(Value):
    """What a rollback did: what was undone, newest first, what has no undo, what is left; and the health."""

    undone: tuple[str, ...]
    stays: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    health: tuple[Check, ...] = ()

    def rows(self) -> list[tuple[str, str]]:
        rows = [("undone", sentence) for sentence in self.undone] or [
            ("undone", "nothing: nothing was applied")
        ]
        rows += [("has no undo", text) for text in self.stays]
        rows += [("left", text) for text in self.left]
        return [*rows, *((check.title, f"{check.status}: {check.observed}") for check in self.health)]
