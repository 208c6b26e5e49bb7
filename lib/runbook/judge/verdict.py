"""Proceed, hold or roll back, and why: the plan's rules first, then the evidence, then what cannot be
known.

The most severe reason decides, and all of them are told. A rollback is called for by a critical alert, by a
gate that says so, or by evidence against a canary that is beyond the plan's objectives. Evidence against a
canary that is still within them holds for a person, as do too little data and none. To proceed, a gate must
pass and the data must suffice to say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, Self

import numpy as np
from pydantic import Field

from runbook.judge.calibrating import ASSUMED, Noise
from runbook.judge.comparing import NAMES, Comparison
from runbook.judge.counts import Counts, Floats, Indicator, Minute
from runbook.judge.evidence import Mixture, Restarts, rate_evidence
from runbook.judge.policy import P95_SHARE, SIGNALS, Rules, Streaks
from runbook.judge.record import Record
from runbook.values import Value

Decision = Literal["proceed", "hold", "rollback"]
Rule = Literal[
    "critical alert", "gate", "evidence", "rate", "insufficient data", "no data", "weaker test", "so far"
]
SEVEREST: Final[tuple[Decision, ...]] = ("rollback", "hold", "proceed")

# Against the plan's limits themselves, where no baseline is left; a part of it for each of the two.
RATE_ALPHA: Final = 0.001
WHOLE_PERCENT: Final = 100
RATE_NAMES: Final[tuple[Indicator, ...]] = ("errors", "slow_500")


class Setup(Value):
    """What the judge is told before the first minute; noise that is not named is assumed."""

    rules: Rules
    noise: dict[Indicator, Noise] = Field(default_factory=dict)
    within_slo: Literal["hold", "rollback"] = "hold"
    shared_cause: Literal["hold", "rollback"] = "rollback"

    def noise_of(self, name: Indicator) -> Noise:
        return self.noise.get(name, ASSUMED)


class Reason(Value):
    """One thing that speaks for a decision: the rule it comes from, and the numbers in a sentence."""

    rule: Rule
    decision: Decision
    says: str

    def in_a_line(self) -> str:
        return f"{self.rule}: {self.says}"


class Judgement(Value):
    """What is to be done as of the end of a minute. `ends`: no later minute can make it better."""

    at: datetime
    decision: Decision
    ends: bool
    reasons: tuple[Reason, ...]
    numbers: dict[str, float | None]

    @property
    def says(self) -> str:
        """Return the most severe reasons in a sentence."""
        return "; ".join(one.in_a_line() for one in self.reasons if one.decision == self.decision)

    def rows(self) -> list[tuple[str, str]]:
        return [("decision", self.decision), *((one.rule, one.says) for one in self.reasons)]


class Judge:
    """What follows from the minutes so far; another process that sees the same minutes gets the same."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.record = Record(setup.rules)
        self.streaks = Streaks(setup.rules)
        self.comparison = Comparison({name: setup.noise_of(name) for name in NAMES})
        self._rates = Mixture.begun((len(RATE_NAMES),))
        self._restarts = Restarts()

    @classmethod
    def of(cls, setup: Setup, minutes: Iterable[Minute]) -> Self:
        """Return a judge that has seen these minutes, in their order."""
        judge = cls(setup)
        for minute in minutes:
            judge.see(minute)
        return judge

    def see(self, minute: Minute) -> None:
        """Take in the next minute; raises ValueError when it is not after the one before."""
        self.record.check(minute)
        self.streaks.see(minute)
        warns = any(self.streaks.fires(signal, severity="warning") for signal in SIGNALS)
        self.record.see(minute, warns=warns)
        self.comparison.see(minute)
        if minute.canary is not None and minute.canary_percent >= WHOLE_PERCENT:
            part = self._restarts.next(minute.canary_percent)
            self._rates = self._rates.after(self._against_limits(minute.canary.total), part)

    def _against_limits(self, counts: Counts) -> Floats:
        limits = (self.setup.rules.error_target, P95_SHARE)
        gains = [
            rate_evidence(
                np.array(float(getattr(counts, name))),
                np.array(float(counts.requests)),
                limit=limit,
                noise=self.setup.noise_of(name).factor,
            )
            for name, limit in zip(RATE_NAMES, limits, strict=True)
        ]
        return np.stack(gains)

    def rate_log_e(self) -> Floats:
        """Return ln E against "the rate is the plan's at most", for each of RATE_NAMES."""
        return self._rates.log_e()
