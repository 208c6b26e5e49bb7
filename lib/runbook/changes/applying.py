"""How a change is applied and undone: observe, act on what is missing, look until it has settled.

What is on record of a change is a list of its states, oldest first:

    applying   its application has begun
    applied    it is in place by our doing, and was verified
    found      it was in place before we did anything
    undoing    its undo has begun
    undone     the state before is back, and was verified
    stuck      its undo failed; the line says why
    stays      it has no undo, and a rollback passed it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from runbook.changes.interface import Change
from runbook.clock import Clock
from runbook.errors import Drifted, LeftInBetween, StepFailed
from runbook.journal import decode, encode
from runbook.step import Step
from runbook.values import Value

State = Literal["applying", "applied", "found", "undoing", "undone", "stuck", "stays"]
Answer = Literal["", "took effect", "try again"]


@dataclass(frozen=True)
class Site:
    """What applying one change needs of its run.

    `past` are the data of its lines on record, oldest first; `note` puts a further one on record. `answer`
    is what a person said of a change that nobody can tell of.
    """

    step: Step
    clock: Clock
    past: Sequence[dict[str, Any]]
    note: Callable[[State, dict[str, Any]], None]
    answer: Answer = ""

    @property
    def last(self) -> State | None:
        return self.past[-1]["state"] if self.past else None

    @property
    def began(self) -> bool:
        """Whether we ever began to apply it."""
        return any(line["state"] == "applying" for line in self.past)

    @property
    def ours(self) -> bool:
        """Whether we began to apply it, and no rollback has dealt with it since."""
        return self.began and self.last not in ("undone", "stays")

    def recorded_result(self) -> Value | None:
        """Return what the change returned when it was applied."""
        results = [line["result"] for line in self.past if "result" in line]
        found = decode(results[-1]) if results else None
        return found if isinstance(found, Value) else None


def apply_change(change: Change, site: Site) -> Value | None:
    """Bring a change about, or find it in place; return its result.

    Raises Drifted when the state is neither the one before nor the one after, StepFailed when the change
    does not settle in its time, LeftInBetween when only a person can tell whether it took effect.
    """
    if change.in_scratch:
        return _apply_in_scratch(change, site)
    seen = change.observe(site.step)
    if site.last == "applying" and seen is not None and seen not in _known(change):
        seen = _settled(change, site, wanted=_known(change))
    if seen is None:
        return _apply_blindly(change, site)
    if seen == change.after():
        return _in_place(change, site, seen)
    if site.last == "applying" and change.effect == "asks" and site.answer != "try again":
        raise _ask(change, site, seen)
    if seen != change.before() and not (site.ours and seen == change.partly()):
        raise _drifted(change, seen)
    return _act(change, site, seen)


def _known(change: Change) -> tuple[str, ...]:
    """Return the states that are of a change's own making."""
    partly = change.partly()
    return (change.before(), change.after(), *(() if partly is None else (partly,)))


def _apply_in_scratch(change: Change, site: Site) -> Value | None:
    site.note("applying", {})
    result = change.apply(site.step)
    change.verify(site.step, result)
    site.note("applied", {})
    return result


def _in_place(change: Change, site: Site, seen: str) -> Value | None:
    """Put on record that a change holds: by our doing if we began it, else as we found it."""
    result = change.result(site.step)
    change.verify(site.step, result)
    if site.last not in ("applied", "found"):
        site.note("applied" if site.ours else "found", {"observed": seen, "result": encode(result)})
    return result


def _act(change: Change, site: Site, seen: str | None) -> Value | None:
    site.note("applying", {"observed": seen})
    result = change.apply(site.step)
    settled = None if seen is None else _settled(change, site, wanted=(change.after(),))
    if settled is not None and settled != change.after():
        raise StepFailed(
            f"“{change.sentence()}” was applied, and after {change.settles_within_s:g} s there is still "
            f"{settled!r}; expected {change.after()!r}"
        )
    change.verify(site.step, result)
    site.note("applied", {"observed": settled, "result": encode(result)})
    return result


def _apply_blindly(change: Change, site: Site) -> Value | None:
    """Apply a change whose state cannot be observed: the record and its class decide."""
    if site.last in ("applied", "found"):
        return site.recorded_result()
    if site.last == "applying":
        if site.answer == "took effect":
            site.note("applied", {"observed": "a person said so", "result": encode(None)})
            return None
        if change.effect not in ("keyed", "at least once") and site.answer != "try again":
            raise _ask(change, site, None)
    return _act(change, site, None)


def _ask(change: Change, site: Site, seen: str | None) -> LeftInBetween:
    shows = "its state cannot be observed" if seen is None else f"what is there now: {seen}"
    run = site.step.run_id
    return LeftInBetween(
        f"“{change.sentence()}” was begun and nobody saw it end; {shows}. A second time might do harm. "
        f"Look yourself, then: runbook resume {run} --took-effect, or: runbook resume {run} --try-again"
    )


def _drifted(change: Change, seen: str) -> Drifted:
    return Drifted(
        f"“{change.sentence()}”: observed {seen!r}; expected {change.before()!r} (as planned from) or "
        f"{change.after()!r} (as planned to). Somebody else was here; nothing more is applied"
    )


def _settled(change: Change, site: Site, *, wanted: tuple[str, ...]) -> str | None:
    """Look until one of the wanted states is there, or the change's time is up; return what is there."""
    until = site.clock.now() + timedelta(seconds=change.settles_within_s)
    with site.step.progress(change.sentence(), total=change.settles_within_s, unit="s") as bar:
        while True:
            seen = change.observe(site.step)
            now = site.clock.now()
            if seen in wanted or now >= until:
                return seen
            bar.at(change.settles_within_s - (until - now).total_seconds())
            site.clock.sleep_until(min(until, now + timedelta(seconds=change.look_every_s)))


def undo_change(change: Change, site: Site) -> str:
    """Bring back the state before, if it is ours to undo; return what is left, or nothing.

    Never raises for what the world does: a rollback goes on past a failing undo.
    """
    if not site.ours:
        return ""
    try:
        return _undo(change, site)
    except Exception as error:  # noqa: BLE001  # whatever it is, the others are still to be undone
        why = f"{change.sentence()}: its undo failed: {error}"
        site.note("stuck", {"why": str(error)})
        return why


def _undo(change: Change, site: Site) -> str:
    back = change.undone()
    seen = change.observe(site.step)
    if seen is not None and seen != back and not change.is_ours(seen):
        seen = _settled(change, site, wanted=(back, *_known(change)[1:]))
    if seen is not None and seen == back:
        site.note("undone", {"observed": seen})
        return ""
    if seen is not None and not change.is_ours(seen):
        site.note("stuck", {"why": f"observed {seen!r}"})
        return (
            f"{change.sentence()}: observed {seen!r}, which is not of our making; "
            f"left as it is (before, it was {change.before()!r})"
        )
    site.note("undoing", {"observed": seen})
    change.undo(site.step)
    settled = None if seen is None else _settled(change, site, wanted=(back,))
    if settled is not None and settled != back:
        site.note("stuck", {"why": f"still {settled!r}"})
        return f"{change.sentence()}: undone, and there is still {settled!r}; expected {back!r}"
    site.note("undone", {"observed": settled})
    return ""
