"""The rollout plan's rules, verbatim: criticals at every minute, gates at the end of a phase.

Nothing is estimated here: a threshold is over or not. Where the plan leaves a length of time open it is
said at the rule: P95 has no duration in the plan and takes that of the error rate's alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final, Literal, Self

from runbook.errors import ParamsError, Problem
from runbook.judge.counts import ArmName, Counts, Minute
from runbook.plan import RolloutPlan
from runbook.values import Value

Signal = Literal["errors", "p95", "database", "probes"]
SIGNALS: Final[tuple[Signal, ...]] = ("errors", "p95", "database", "probes")
Severity = Literal["critical", "warning"]
SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "warning")
ARMS: Final[tuple[ArmName, ...]] = ("canary", "baseline")

# "P95 under x ms" is "fewer than 5 % of requests are slower than x ms".
P95_SHARE: Final = 0.05
COUNTED_MS: Final = (500.0, 1000.0, 2000.0)


class Rules(Value):
    """The plan's thresholds in the judge's units: ratios, milliseconds, minutes."""

    error_target: float
    error_warning: float
    error_critical: float
    p95_target_ms: float
    p95_warning_ms: float
    p95_critical_ms: float
    database_target_ms: float
    database_warning_ms: float
    database_critical_ms: float
    uptime_target: float
    uptime_critical: float
    errors_for_minutes: int
    database_for_minutes: int
    probes_in_a_row: int

    @classmethod
    def of(cls, plan: RolloutPlan) -> Self:
        """Return the plan's thresholds; raises ParamsError where it names what nobody counts."""
        slos, p95 = plan.slos, plan.slos.p95_latency
        if (found := (p95.target_below_ms, p95.warning_above_ms, p95.critical_above_ms)) != COUNTED_MS:
            said, counted = (" / ".join(f"{ms:g}" for ms in row) for row in (found, COUNTED_MS))
            wrong = f"requests slower than {counted} ms: others are not counted by the judge"
            raise ParamsError([Problem("params/plan.yaml", "slos.p95_latency", f"{said} ms", wrong)])
        errors = next((a for a in plan.alerts if a.error_rate_above_percent is not None), None)
        database = next((a for a in plan.alerts if a.database_latency_above_ms is not None), None)
        probes = next((a for a in plan.alerts if a.failures_in_a_row is not None), None)
        rate = slos.error_rate
        critical = (errors and errors.error_rate_above_percent) or rate.critical_above_percent
        slow = (database and database.database_latency_above_ms) or slos.database_latency.critical_above_ms
        return cls(
            error_target=_share(rate.target_below_percent),
            error_warning=_share(rate.warning_above_percent),
            error_critical=_share(critical),
            p95_target_ms=p95.target_below_ms,
            p95_warning_ms=p95.warning_above_ms,
            p95_critical_ms=p95.critical_above_ms,
            database_target_ms=slos.database_latency.target_below_ms,
            database_warning_ms=slos.database_latency.warning_above_ms,
            database_critical_ms=slow,
            uptime_target=_share(slos.uptime.target_percent),
            uptime_critical=_share(slos.uptime.critical_below_percent),
            errors_for_minutes=round((errors and errors.for_minutes) or _ERRORS_MINUTES),
            database_for_minutes=round((database and database.for_minutes) or _DATABASE_MINUTES),
            probes_in_a_row=(probes and probes.failures_in_a_row) or _PROBES,
        )

    def minutes_of(self, signal: Signal) -> int:
        """Return how many minutes on end a signal must be over its threshold."""
        if signal == "probes":
            return 1
        return self.database_for_minutes if signal == "database" else self.errors_for_minutes


def _share(percent_of: float) -> float:
    """Return a percentage as a share, 99.9 as 0.999."""
    return round(percent_of / 100, 12)


_ERRORS_MINUTES, _DATABASE_MINUTES, _PROBES = 5.0, 10.0, 2


def over(rules: Rules, signal: Signal, counts: Counts, severity: Severity) -> bool | None:
    """Whether one minute of an arm is over a signal's threshold; None when there was nothing to count."""
    critical = severity == "critical"
    if signal == "errors":
        limit = rules.error_critical if critical else rules.error_warning
        return counts.errors > limit * counts.requests if counts.requests else None
    if signal == "p95":
        slow = counts.slow_2000 if critical else counts.slow_1000
        return slow > P95_SHARE * counts.requests if counts.requests else None
    if signal == "database":
        limit = rules.database_critical_ms if critical else rules.database_warning_ms
        return counts.database_ms > limit * counts.database_calls if counts.database_calls else None
    return None


class Streaks:
    """For how many minutes on end each arm has been over each threshold.

    A minute without data changes nothing, unless so many are missing that what was before is another story:
    a gap as long as the threshold must last begins it anew.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._streaks: dict[tuple[ArmName, Signal, Severity], tuple[int, datetime]] = {}
        self._probes: int = 0

    def see(self, minute: Minute) -> None:
        for name in ARMS:
            if (arm := minute.arm(name)) is None:
                continue
            for signal in SIGNALS:
                for severity in SEVERITIES:
                    found = over(self._rules, signal, arm.total, severity)
                    if found is not None:
                        length = self._before(name, signal, severity, minute.at) + 1 if found else 0
                        self._streaks[name, signal, severity] = length, minute.at
        if minute.failed_probes_in_a_row is not None:
            self._probes = minute.failed_probes_in_a_row

    def _before(self, arm: ArmName, signal: Signal, severity: Severity, at: datetime) -> int:
        """Return the length of a streak that may go on at a time."""
        length, last_at = self._streaks.get((arm, signal, severity), (0, at))
        return length if at - last_at <= timedelta(minutes=self._rules.minutes_of(signal)) else 0

    def fires(self, signal: Signal, *, arm: ArmName = "canary", severity: Severity = "critical") -> bool:
        """Whether a signal has been over its threshold for as long as the plan says."""
        if signal == "probes":
            return self._probes >= self._rules.probes_in_a_row
        length, _ = self._streaks.get((arm, signal, severity), (0, None))
        return length >= self._rules.minutes_of(signal)

    def criticals(self) -> Iterator[tuple[Signal, bool]]:
        """Return the critical alerts of the canary, each with whether the baseline breaches it too.

        Probes ask the service, not an arm: the canary's share of the blame is unknown, so it is never
        shared.
        """
        for signal in SIGNALS:
            if self.fires(signal):
                yield signal, signal != "probes" and self.fires(signal, arm="baseline")


def summed(counts: Iterable[Counts]) -> Counts:
    """Return the sum of counts."""
    sums = dict.fromkeys(Counts.model_fields, 0.0)
    for one in counts:
        for name in sums:
            sums[name] += getattr(one, name)
    return Counts.model_validate({name: int(v) if name != "database_ms" else v for name, v in sums.items()})


def misses(rules: Rules, counts: Counts) -> list[str]:
    """Return the objectives that an arm's counts of any length miss, in words; none: all are met."""
    found = []
    if counts.requests and counts.errors >= rules.error_target * counts.requests:
        rate = counts.errors / counts.requests
        found.append(f"error rate {percent(rate)}, not under {percent(rules.error_target)}")
    if counts.requests and counts.slow_500 >= P95_SHARE * counts.requests:
        share = counts.slow_500 / counts.requests
        found.append(f"{percent(share)} of requests over {rules.p95_target_ms:g} ms, so P95 is not under it")
    if counts.database_calls and counts.database_ms >= rules.database_target_ms * counts.database_calls:
        mean_ms = counts.database_ms / counts.database_calls
        found.append(f"database {mean_ms:.0f} ms, not under {rules.database_target_ms:g} ms")
    return found


def percent(share: float) -> str:
    """Return a share in words, two places where it is small: 0.21 %, 4.9 %, 97 %."""
    places = 2 if share < _SMALL else 1 if share < _LARGE else 0
    return f"{share * 100:.{places}f} %"


_SMALL, _LARGE = 0.02, 0.2
