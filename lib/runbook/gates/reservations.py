"""Reservations: a resource that a run changes is held from the first effect until the run is over.

Held means a small file below outputs/.reservations/, one a resource, so a reservation outlives every
process and a parked run keeps it. All who share that folder see it; hosts that do not share it do not.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from runbook.errors import Reserved, UnknownName
from runbook.files import write_atomically
from runbook.values import Value

FOLDER = ".reservations"


class Reservation(Value):
    """Who holds a resource; `kept_for` names the runbook whose next run takes it over."""

    resource: str
    run_id: str
    by: str
    since: datetime
    kept_for: str = ""


@dataclass(frozen=True)
class Reservations:
    """The reservations of one environment, or of one rehearsal world.

    `is_over(run_id)` says that a run has come to its end, so that what it holds is free.
    """

    outputs: Path
    scope: str
    is_over: Callable[[str], bool]

    def take(self, resources: Iterable[str], *, run_id: str, runbook: str, by: str, now: datetime) -> None:
        """Hold all of the resources, or none: raises Reserved when another run holds one."""
        wanted = list(resources)
        with self._alone():
            for resource in wanted:
                holder = self._read(resource)
                if holder is not None and not self._may_follow(holder, run_id, runbook):
                    raise Reserved(_held(holder, over=self.is_over(holder.run_id)))
            for resource in wanted:
                self._write(Reservation(resource=resource, run_id=run_id, by=by, since=now))

    def give_back(self, run_id: str, *, keep: Iterable[str] = (), kept_for: str = "") -> None:
        """Free what a run holds, but for what it keeps for the next run of a runbook."""
        kept = set(keep)
        if not self._home().is_dir():
            return
        with self._alone():
            for held in self.held():
                if held.run_id != run_id:
                    continue
                if held.resource in kept:
                    self._write(held.model_copy(update={"kept_for": kept_for}))
                else:
                    self._path(held.resource).unlink(missing_ok=True)

    def release(self, resource: str) -> Reservation:
        """Free a resource whoever holds it; raises UnknownName when nobody does."""
        with self._alone():
            holder = self._read(resource)
            if holder is None:
                held = ", ".join(r.resource for r in self.held()) or "nothing is held"
                raise UnknownName(f"nobody holds {resource!r}; held: {held}")
            self._path(resource).unlink(missing_ok=True)
        return holder

    def held(self) -> list[Reservation]:
        """Return all reservations, in the order of their resources."""
        paths = list(self._home().glob("*.json"))
        found = [held for held in map(_read, paths) if held is not None]
        return sorted(found, key=lambda reservation: reservation.resource)

    def _may_follow(self, holder: Reservation, run_id: str, runbook: str) -> bool:
        if holder.run_id == run_id:
            return True
        return self.is_over(holder.run_id) and holder.kept_for in ("", runbook)

    def _home(self) -> Path:
        return self.outputs / FOLDER / self.scope

    def _path(self, resource: str) -> Path:
        return self._home() / f"{hashlib.sha256(resource.encode()).hexdigest()[:24]}.json"

    def _read(self, resource: str) -> Reservation | None:
        return _read(self._path(resource))

    def _write(self, reservation: Reservation) -> None:
        write_atomically(self._path(reservation.resource), reservation.model_dump_json(indent=1) + "\n")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._home().mkdir(parents=True, exist_ok=True)
        handle = os.open(self._home() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _read(path: Path) -> Reservation | None:
    """Return what a file holds, None when it was given back meanwhile."""
    try:
        return Reservation.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None


def _held(holder: Reservation, *, over: bool) -> str:
    kept = over and holder.kept_for
    wait = f"It is over, and keeps it for the next run of {holder.kept_for}" if kept else "Let it end"
    return (
        f"{holder.resource} is held by the run {holder.run_id} since {holder.since:%Y-%m-%d %H:%M} UTC "
        f"(opened by {holder.by}); nothing was done. {wait}, or, when you are sure that nobody works "
        f"there: runbook release {shlex.quote(holder.resource)} --reason …"
    )
