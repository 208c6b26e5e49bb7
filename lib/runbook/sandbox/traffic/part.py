"""The part `traffic`: what every deployment did in any minute gone by, for the emulators that tell of it.

Nothing is kept but what scenarios were armed: the rest follows from the seed and from Vercel's table
`traffic`, so a killed world tells the same as before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final

import numpy as np

from runbook.clock import utc_text
from runbook.sandbox.traffic import numbers
from runbook.sandbox.traffic.draws import Hour, Ints, Setting, setting
from runbook.sandbox.traffic.noise import HOUR_MIN
from runbook.sandbox.traffic.split import Split, minute_of
from runbook.sandbox.traffic.trouble import SCENARIOS, Armed, Bools, Trouble, into_a_release
from runbook.sandbox.world.part import Part
from runbook.sandbox.world.state import Doc
from runbook.sandbox.world.world import World

Settings = Callable[[int, int], Setting]
Counted = Callable[[str, int, str, int, Callable[[str, int], Settings]], Ints]
HOURS_AT_HAND: Final = 240


@dataclass(frozen=True)
class Stream:
    """What one deployment did in some minutes: `counts` by name, as draws.py says, or their totals."""

    deployment: str
    version: str
    counts: Mapping[str, Ints]


class Traffic(Part):
    name = "traffic"
    scenarios: ClassVar[Mapping[str, str]] = SCENARIOS

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._hours: OrderedDict[tuple[str, int], Hour] = OrderedDict()
        self._totals: dict[tuple[str, int, str], Ints] = {}
        self._known: tuple[Any, ...] = ()
        self._split: Split | None = None
        self._trouble: Trouble | None = None

    def play(self, scenario: str) -> None:
        number = str(len(self.table("armed")) + 1)
        self.table("armed").put(number, {"what": scenario, "at": utc_text(self.now)})

    def status(self) -> Doc:
        return {"armed": [f"{doc['what']} since {doc['at'][:16]}Z" for doc in self.table("armed").values()]}

    # What the emulators ask

    @property
    def begins(self) -> datetime:
        """Since when there is anything to tell: the monitoring stack came with the week."""
        born = datetime.fromisoformat(self.world.state.table("world", "meta")["clock"]["began"])
        return max(self.split.begins, born - numbers.TOLD_BEFORE)

    @property
    def split(self) -> Split:
        self._look()
        assert self._split is not None  # noqa: S101  # for mypy
        return self._split

    @property
    def trouble(self) -> Trouble:
        self._look()
        assert self._trouble is not None  # noqa: S101  # for mypy
        return self._trouble

    def streams(self, since: int, until: int, names: Iterable[str]) -> list[Stream]:
        """Return what each deployment did in the minutes [since, until), those to come left out.

        Deployments that nobody could reach then are left out.
        """
        return self._streams(since, until, names, self._drawn)

    def totals(self, since: int, until: int, names: Iterable[str]) -> list[Stream]:
        """Return the same as one number a minute; weeks of it are at hand."""
        return self._streams(since, until, names, self._total)

    def silent(self, since: int, until: int) -> Bools:
        """Return of which minutes in [since, until) no metrics were reported."""
        return self.trouble.silent(since, until)

    def into_a_release(self, armed: datetime) -> datetime | None:
        """Return when that begins which befalls everybody, had it been armed at a time."""
        return into_a_release(self.split, armed)

    # How it is found out

    def _look(self) -> None:
        """Take in what has changed since the last time; what was drawn stays true unless the past changed."""
        rows = tuple(tuple(row.values()) for row in self._vercel().table("traffic").values())
        armed = tuple((doc["what"], doc["at"]) for doc in self.table("armed").values())
        if (rows, armed) == self._known:
            return
        before = self._known or ((), ())
        grown = rows[: len(before[0])] == before[0] and armed[: len(before[1])] == before[1]
        if not grown or any(what == "budget-spent" for what, _ in armed[len(before[1]) :]):
            self._hours.clear()
            self._totals.clear()
        self._known = (rows, armed)
        self._split = Split(self._vercel().traffic.shares())
        given = [Armed(what, datetime.fromisoformat(at)) for what, at in armed]
        self._trouble = Trouble(given, self._split)

    def _streams(self, since: int, until: int, names: Iterable[str], counted: Counted) -> list[Stream]:
        until = min(until, minute_of(self.now))
        wanted = tuple(names)
        if since >= until:
            return []
        weights, settings = self.split.crowd(since, until).weights, self._settings()

        def of(deployment: str, name: str) -> Ints:
            found = []
            for hour in range(since // HOUR_MIN, (until - 1) // HOUR_MIN + 1):
                begins = hour * HOUR_MIN
                rows = min(until - begins, HOUR_MIN)
                found.append(counted(deployment, hour, name, rows, settings)[max(0, since - begins) :])
            return np.concatenate(found) if len(found) > 1 else found[0]

        return [
            Stream(deployment, self.version(deployment), {name: of(deployment, name) for name in wanted})
            for deployment, own in weights.items()
            if own.any()
        ]

    def _drawn(
        self, deployment: str, hour: int, name: str, rows: int, settings: Callable[[str, int], Settings]
    ) -> Ints:
        return self._hour(deployment, hour).take(name, rows, settings(deployment, hour * HOUR_MIN))

    def _total(
        self, deployment: str, hour: int, name: str, rows: int, settings: Callable[[str, int], Settings]
    ) -> Ints:
        key = (deployment, hour, name)
        if key in self._totals:
            return self._totals[key][:rows]
        total: Ints = self._drawn(deployment, hour, name, rows, settings).sum(axis=(1, 2))
        if rows == HOUR_MIN:  # the hour is over
            self._totals[key] = total
        return total

    def _settings(self) -> Callable[[str, int], Settings]:
        """Return what makes settings, each of them once."""
        made: dict[tuple[str, int, int], Setting] = {}

        def of(deployment: str, begins: int) -> Settings:
            def at(low: int, high: int) -> Setting:
                key = (deployment, begins + low, begins + high)
                if key not in made:
                    made[key] = self._setting(*key)
                return made[key]

            return at

        return of

    def _setting(self, deployment: str, since: int, until: int) -> Setting:
        crowd = self.split.crowd(since, until)
        harm = self.trouble.harm(deployment, since, until, crowd.share_of(deployment))
        low = self.trouble.low(since, until)
        return setting(self.world.seed, deployment, since, until, crowd, harm, low)

    def _hour(self, deployment: str, hour: int) -> Hour:
        key = (deployment, hour)
        if key not in self._hours:
            self._hours[key] = Hour(self.world.seed, deployment, hour)
            if len(self._hours) > HOURS_AT_HAND:
                self._hours.popitem(last=False)
        self._hours.move_to_end(key)
        return self._hours[key]

    def version(self, deployment: str) -> str:
        """Return what a deployment's build calls itself."""
        return str(self._vercel().table("deployments")[deployment]["meta"].get("version", deployment))

    def _vercel(self) -> Any:
        return self.world.part("vercel")


PART = Traffic
