"""The switch itself: other nameservers at the registrar, seen at every server of the parent; and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from runbook.changes.delegation.migration import Migration
from runbook.changes.dns.zone import plain
from runbook.changes.interface import Applied, Change
from runbook.changes.notices import tell
from runbook.errors import StepFailed
from runbook.providers import registrars
from runbook.providers.dns import for_people
from runbook.step import Step
from runbook.values import Check, Value, shown

PUBLISHED_WITHIN_S = 3_600.0
MOVED_KEPT_DAYS = 7
"""How long Cloudflare keeps a zone on Free whose delegation has left: longer than caches need."""


class Delegate(Change):
    """Have a domain delegated to other nameservers: in its registrar's book, then at the parent.

    Nothing is flung to and fro: what the book says decides, so a run that was killed at any point goes on
    from there. `kept_s` is for how long caches keep a delegation, which nothing can shorten.
    """

    settles_within_s: ClassVar[float] = 300.0
    look_every_s: ClassVar[float] = 10.0
    zone: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    kept_s: int
    registrar: str

    def sentence(self) -> str:
        return f"give {plain(self.zone)} the nameservers {_people(self.new)} at {self.registrar}"

    def resource(self) -> str:
        return f"zone {plain(self.zone)}"

    def before(self) -> str:
        return _people(self.old)

    def after(self) -> str:
        return _people(self.new)

    def touches(self) -> str:
        return (
            f"everybody who looks up {plain(self.zone)}, as caches let go within {self.kept_s / 3600:g} h; "
            "no record is changed"
        )

    def way_back(self) -> str:
        return (
            f"the nameservers {_people(self.old)} again; caches that have moved by then go back within "
            f"{self.kept_s / 3600:g} h, so both sides keep serving"
        )

    def amounts(self) -> Mapping[str, float]:
        return {"delegations": 1}

    def observe(self, step: Step) -> str:
        return _people(registrars.read_nameservers(step, zone=self.zone).names)

    def apply(self, step: Step) -> registrars.Handed:
        return registrars.apply_nameservers(step, zone=self.zone, nameservers=self.new)

    def verify(self, step: Step, result: Value | None) -> None:
        """Wait until every server of the parent says so; the world follows from then on."""
        del result
        registrars.read_published(step, zone=self.zone, nameservers=self.new, within_s=PUBLISHED_WITHIN_S)

    def undo(self, step: Step) -> None:
        """Have the old nameservers back, seen at every server of the parent."""
        registrars.apply_nameservers(step, zone=self.zone, nameservers=self.old)
        registrars.read_published(step, zone=self.zone, nameservers=self.old, within_s=PUBLISHED_WITHIN_S)

    def health(self, step: Step) -> Iterable[Check]:
        """Return, after the way back, until when caches may still send people to the other side."""
        now = step.clock.now()
        gone = now + timedelta(seconds=self.kept_s)
        seen = registrars.read_nameservers(step, zone=self.zone).names
        return [
            Check.of(
                f"{plain(self.zone)} is delegated as before",
                holds=_people(seen) == self.before(),
                observed=f"{_people(seen)}; caches that hold {_people(self.new)} let go until "
                f"{gone:%Y-%m-%d %H:%M} UTC: until then both sides serve the same (on Free, Cloudflare "
                f"deletes a zone {MOVED_KEPT_DAYS} days after its delegation has left)",
                expected=self.before(),
            )
        ]


class Switched(Value):
    """The parent's servers all send the world to the new side, seen at `seen_at`; when the old one is done.

    `ends_at` is when no cache can hold the old delegation, or a record asked through it, any more.
    """

    zone: str
    seen_at: datetime
    ends_at: datetime
    why: str

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("seen at the parent", shown(self.seen_at)),
            ("the last cache lets go", shown(self.ends_at)),
            ("which is", self.why),
        ]


def plan_switch(step: Step, migration: Migration) -> list[Change]:
    """Return a message that it begins, and the switch of the nameservers; StepFailed once it is done."""
    zone, deadlines = plain(migration.zone), migration.deadlines
    book = registrars.read_nameservers(step, zone=migration.zone)
    if set(book.names) != set(migration.old.nameservers):
        raise StepFailed(
            f"{book.registrar} has {_people(book.names)} for {zone}; expected "
            f"{_people(migration.old.nameservers)}, from which this run was to move it. Look who changed it, "
            "then begin anew"
        )
    hours = deadlines.delegation_ttl_s / 3600
    message = (
        f"DNS migration of {zone} begins: its nameservers become {_people(migration.new.nameservers)}. "
        f"Caches follow within {hours:g} h; both sides answer alike, so nobody should notice"
    )
    return [tell(step, message), delegate(migration, registrar=book.registrar)]


def delegate(migration: Migration, *, registrar: str) -> Delegate:
    """Return the change from the old side to the new one."""
    return Delegate(
        zone=migration.zone,
        old=migration.old.nameservers,
        new=migration.new.nameservers,
        kept_s=migration.deadlines.delegation_ttl_s + migration.deadlines.longest_record_s,
        registrar=registrar,
    )


def read_switched(step: Step, migration: Migration, applied: Applied) -> Switched:
    """Return since when the parent shows the new side, and until when caches may not."""
    del applied  # without it there is nothing to be seen
    proof = registrars.read_published(
        step, zone=migration.zone, nameservers=migration.new.nameservers, within_s=PUBLISHED_WITHIN_S
    )
    deadlines, most_h = migration.deadlines, step.rollout().dns.propagation_at_most_h
    ends_at = deadlines.all_gone_at(proof.seen_at)
    length_h = (ends_at - proof.seen_at).total_seconds() / 3600
    longer = "longer" if length_h > most_h else "not longer"
    which = (
        "the parent's NS" if deadlines.parent_ns_ttl_s >= deadlines.child_ns_ttl_s else "the zone's own NS"
    )
    return Switched(
        zone=migration.zone,
        seen_at=proof.seen_at,
        ends_at=ends_at,
        why=(
            f"{length_h:.4g} h: {deadlines.delegation_ttl_s / 3600:g} h of {which}, then "
            f"{shown(deadlines.longest_record_s)} s of the longest record; {longer} than the plan's "
            f"{most_h:g} h"
        ),
    )


def _people(names: Iterable[str]) -> str:
    return ", ".join(map(for_people, sorted(names)))
