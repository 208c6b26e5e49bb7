"""Every reason there is to proceed, to hold or to roll back, in sentences with their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np

from runbook.judge.bands import LEVEL, below_evidence, rate_band
from runbook.judge.comparing import ALPHA, MATERIAL, NAMES, RECENT_MINUTES, Compared
from runbook.judge.counts import INDICATORS, Indicator
from runbook.judge.policy import P95_SHARE, Rules, Signal, misses, percent
from runbook.judge.slo import Budget
from runbook.judge.verdict import (
    RATE_ALPHA,
    RATE_NAMES,
    SEVEREST,
    WHOLE_PERCENT,
    Decision,
    Judge,
    Judgement,
    Reason,
)
from runbook.plan.service import Gate

CALLED: Final[dict[Indicator, str]] = {
    "errors": "errors",
    "slow_500": "requests over 500 ms",
    "slow_1000": "requests over 1,000 ms",
    "slow_2000": "requests over 2,000 ms",
    "database_slow_100": "database calls over 100 ms",
}
# Fewer minutes of a phase than this, and its gate is judged on too little of it.
LEAST_SEEN: Final = 0.8
SILENT_MINUTES: Final = 10


def judged(
    judge: Judge, *, gate: Gate | None = None, at_end: bool = False, budget: Budget | None = None
) -> Judgement:
    """Return what is to be done after the minutes that a judge has seen.

    `gate` is the phase's, judged when `at_end` says that the phase is over; before that the decision says
    what would be done if nothing changed. `budget` is what is left of the uptime objective. Raises
    ValueError before the first minute, and for an end without a gate.
    """
    record = judge.record
    if record.last_at is None:
        raise ValueError("there is nothing to judge before the first minute")
    if at_end and gate is None:
        raise ValueError("at the end of a phase its gate is judged: give it one")
    found = [*_criticals(judge), *_evidence(judge), *_rates(judge)]
    ends = bool(found)
    found += _silence(judge)
    if at_end and gate is not None:
        found += _gate(judge, gate, budget)
    decision = min((one.decision for one in found), key=SEVEREST.index, default="proceed")
    found.sort(key=lambda one: SEVEREST.index(one.decision))
    found += [*_so_far(judge), *_caveats(judge)]
    return Judgement(
        at=record.last_at, decision=decision, ends=ends, reasons=tuple(found), numbers=numbers(judge, budget)
    )


def _criticals(judge: Judge) -> Iterator[Reason]:
    rules = judge.setup.rules
    for signal, shared in judge.streaks.criticals():
        says = _critical_words(rules, signal)
        if shared:
            says += "; the baseline too: shared cause"
        decision: Decision = judge.setup.shared_cause if shared else "rollback"
        yield Reason(rule="critical alert", decision=decision, says=says)


def _critical_words(rules: Rules, signal: Signal) -> str:
    if signal == "probes":
        return f"{rules.probes_in_a_row} health checks or more failed in a row"
    limits: dict[Signal, str] = {
        "errors": f"error rate over {percent(rules.error_critical)}",
        "p95": f"P95 over {rules.p95_critical_ms:,.0f} ms",
        "database": f"database over {rules.database_critical_ms:,.0f} ms on average",
    }
    return f"{limits[signal]} for {rules.minutes_of(signal)} minutes"


def _evidence(judge: Judge) -> Iterator[Reason]:
    if not _compares(judge):
        return
    log_e = judge.comparison.keys.log_e()
    for row, name in enumerate(NAMES):
        if log_e[row] < math.log(1 / ALPHA[name]) or not (lately := _material(judge, name)):
            continue
        beyond, sure = _beyond(judge), _is_sure(judge, name)
        decision: Decision = "rollback" if beyond else judge.setup.within_slo
        low, high = judge.comparison.ratio(name)
        says = (
            f"the canary has more {CALLED[name]}: {lately}; {_fold(judge, row)}; "
            f"{_ratio_words(low, high)}; "
            + (f"beyond the plan: {', '.join(beyond)}" if beyond else "still within the plan's objectives")
            + ("" if sure else "; one key and no measured noise: a person decides")
        )
        yield Reason(rule="evidence", decision=decision if sure else "hold", says=says)


def _is_sure(judge: Judge, name: Indicator) -> bool:
    """Whether evidence may roll back by itself: counts alone may not where the noise is but assumed."""
    return judge.comparison.keys.are_two or judge.setup.noise_of(name).minutes > 0


def _compares(judge: Judge) -> bool:
    """Whether the phase under way has had anything to compare; at 100 % it never has."""
    phase = judge.record.phase
    return phase is not None and phase.percent == judge.comparison.percent


def _material(judge: Judge, name: Indicator) -> str:
    """Return both arms' counts where they differ more, lately or over the phase; nothing when immaterial."""
    phase = judge.record.phase
    since = f"since {phase.began_at:%H:%M}" if phase else ""
    stretches = {
        f"in the last {RECENT_MINUTES} minutes": judge.comparison.recent(name),
        since: judge.comparison.phase(name),
    }
    found = [(one.difference, _both(one, words)) for words, one in stretches.items() if one.difference]
    most, says = max(found, default=(0.0, ""))
    return says if most > MATERIAL[name] else ""


def _both(one: Compared, when: str) -> str:
    ours, theirs = told(one.canary_bad, one.canary_all), told(one.baseline_bad, one.baseline_all)
    return f"{ours} against {theirs} {when}"


def _beyond(judge: Judge) -> list[str]:
    """Return which objectives the canary misses, lately or over the phase."""
    rules, record = judge.setup.rules, judge.record
    return misses(rules, record.recent_counts("canary")) or misses(rules, record.phase_counts("canary"))


def _fold(judge: Judge, row: int) -> str:
    keys, bound = judge.comparison.keys, 1 / ALPHA[NAMES[row]]
    counts = fold_text(float(keys.by_counts.log_e()[row]))
    if not keys.are_two:
        return f"evidence {counts} by counts, over {bound:,.0f}"
    slices = fold_text(float(keys.by_slices.log_e()[row]))
    return f"evidence {counts} by counts and {slices} by slices, both over {bound:,.0f}"


def _rates(judge: Judge) -> Iterator[Reason]:
    """Where no baseline is left, the plan's own limits are all that a canary can be held against."""
    if judge.record.phase is None or judge.record.phase.percent < WHOLE_PERCENT:
        return
    rules, log_e = judge.setup.rules, judge.rate_log_e()
    limits = (percent(rules.error_target), f"{percent(P95_SHARE)}, so P95 is over its target")
    for row, (name, limit) in enumerate(zip(RATE_NAMES, limits, strict=True)):
        if log_e[row] >= math.log(1 / RATE_ALPHA):
            recent = judge.record.recent_counts("canary")
            lately = told(getattr(recent, name), recent.requests)
            says = f"{CALLED[name]}: {lately} in the last {RECENT_MINUTES} minutes, surely over {limit}"
            yield Reason(rule="rate", decision="hold", says=f"{says}; no baseline is left to compare with")


def _silence(judge: Judge) -> Iterator[Reason]:
    if (minutes := judge.record.silent_minutes) >= SILENT_MINUTES:
        says = f"nothing came of the canary for {minutes} minutes"
        yield Reason(rule="no data", decision="hold", says=says)


def _gate(judge: Judge, gate: Gate, budget: Budget | None) -> Iterator[Reason]:
    phase = judge.record.phase
    if phase is None or not phase.seen:
        yield Reason(rule="no data", decision="hold", says="nothing came of the canary in the whole phase")
        return
    if phase.seen < LEAST_SEEN * phase.due:
        seen = f"data for {phase.seen:,} of the phase's {phase.due:,} minutes"
        says = f"{seen}, {percent(LEAST_SEEN)} are needed"
        yield Reason(rule="insufficient data", decision="hold", says=says)
    if gate.error_rate_below_percent is not None:
        yield from _error_gate(judge, gate, gate.error_rate_below_percent / 100)
    elif gate.error_budget_above_percent is not None:
        yield _budget_gate(gate, gate.error_budget_above_percent / 100, budget)
    elif gate.all_green_for_h is not None:
        yield from _green_gate(judge, gate, gate.all_green_for_h)


def _error_gate(judge: Judge, gate: Gate, limit: float) -> Iterator[Reason]:
    counts = judge.record.phase_counts("canary")
    if not counts.requests:
        says = "not one request reached the canary in the phase"
        yield Reason(rule="insufficient data", decision="hold", says=says)
        return
    noise = judge.setup.noise_of("errors").factor
    rate, band = counts.errors / counts.requests, rate_band(counts.errors, counts.requests, noise=noise)
    needed = f"under {percent(limit)} is needed"
    edges = f"surely between {percent(band.low)} and {percent(band.high)}"
    seen = f"errors {told(counts.errors, counts.requests)}, {edges}; {needed}"
    if rate >= limit:
        theirs = judge.record.phase_counts("baseline")
        too = theirs.requests and theirs.errors >= limit * theirs.requests
        says = f"{seen}; the baseline too: shared cause" if too else seen
        yield Reason(rule="gate", decision=gate.otherwise, says=says)
        return
    yield Reason(rule="gate", decision="proceed", says=seen)
    sums = np.array(float(counts.errors)), np.array(float(counts.requests))
    log_e = below_evidence(*sums, limit=limit, noise=noise)
    if log_e < math.log(1 / LEVEL):
        says = (
            f"{counts.requests:,} requests do not suffice to say that the rate is under {percent(limit)}: "
            f"evidence {fold_text(float(log_e))}, {1 / LEVEL:,.0f}-fold is needed"
        )
        yield Reason(rule="insufficient data", decision="hold", says=says)


def _budget_gate(gate: Gate, least: float, budget: Budget | None) -> Reason:
    if budget is None:
        return Reason(rule="no data", decision="hold", says="what is left of the error budget is not known")
    holds = budget.remaining - least > _ROUNDING
    says = f"{percent(budget.remaining)} of the error budget left, over {percent(least)} is needed"
    return Reason(rule="gate", decision="proceed" if holds else gate.otherwise, says=says)


def _green_gate(judge: Judge, gate: Gate, hours: float) -> Iterator[Reason]:
    last, rules = judge.record.last(hours), judge.setup.rules
    if last.seen < LEAST_SEEN * last.due or not last.counts.requests:
        says = f"data for {last.seen:,} of the last {last.due:,} minutes, {percent(LEAST_SEEN)} are needed"
        yield Reason(rule="insufficient data", decision="hold", says=says)
        return
    found = misses(rules, last.counts)
    if last.warned:
        found.append(f"a warning stood for {last.warned} minutes")
    if last.bad > (1 - rules.uptime_target) * last.due:
        found.append(f"{last.bad} bad minutes, more than uptime of {percent(rules.uptime_target)} allows")
    if found:
        yield Reason(
            rule="gate", decision=gate.otherwise, says=f"not green for {hours:g} h: {', '.join(found)}"
        )
    else:
        says = f"all green for {hours:g} h, {last.seen:,} of {last.due:,} minutes seen"
        yield Reason(rule="gate", decision="proceed", says=says)


def _so_far(judge: Judge) -> Iterator[Reason]:
    """Return how both arms stand, whatever is decided."""
    if not _compares(judge):
        counts = judge.record.phase_counts("canary")
        if counts.requests:
            says = f"errors: {told(counts.errors, counts.requests)} in the phase; no baseline beside it"
            yield Reason(rule="so far", decision="proceed", says=says)
        return
    log_e = judge.comparison.keys.log_e()
    for row, name in enumerate(NAMES[:2]):
        one = judge.comparison.phase(name)
        if one.difference is None:
            continue
        low, high = judge.comparison.ratio(name)
        says = (
            f"{CALLED[name]}: {_both(one, 'in the phase')}; {_ratio_words(low, high)}; "
            f"evidence {fold_text(float(log_e[row]))} of {1 / ALPHA[name]:,.0f}"
        )
        yield Reason(rule="so far", decision="proceed", says=says)


def _caveats(judge: Judge) -> Iterator[Reason]:
    """Return what makes the comparison weaker than it could be."""
    comparison, setup = judge.comparison, judge.setup
    if comparison.minutes > comparison.newcomer_minutes:
        says = (
            f"{comparison.minutes - comparison.newcomer_minutes:,} of {comparison.minutes:,} minutes without "
            "visitor buckets: all visitors are compared there, the canary's are newer"
        )
        says += "" if comparison.keys.are_two else "; one key serves alone"
        yield Reason(rule="weaker test", decision="proceed", says=says)
    if comparison.newcomer_minutes > comparison.keys.slice_minutes:
        says = "too few buckets for slices of equal size at this share; the counts alone add evidence there"
        yield Reason(rule="weaker test", decision="proceed", says=says)
    assumed = [name for name in NAMES[:2] if not setup.noise_of(name).minutes]
    if assumed:
        says = f"noise of {', '.join(CALLED[name] for name in assumed)} is assumed, not measured"
        yield Reason(rule="weaker test", decision="proceed", says=says)


def told(bad: int, total: int) -> str:
    """Return counts and their share in words: 12 of 1,240 (0.97 %)."""
    shown = percent(bad / total) if total else "–"
    return f"{bad:,} of {total:,} ({shown})"


def fold_text(log_e: float) -> str:
    """Return an e-value in words: 0.6-fold, 250-fold, over a million-fold."""
    if log_e > _LN_MILLION:
        return "over a million-fold"
    return f"{math.exp(log_e):,.2g}-fold" if log_e < _LN_TEN else f"{math.exp(log_e):,.0f}-fold"


_ROUNDING = 1e-9
_LN_MILLION, _LN_TEN = math.log(1e6), math.log(10)


def _ratio_words(low: float, high: float) -> str:
    if low == 0 and math.isinf(high):
        return "the ratio cannot be told yet"
    top = "" if math.isinf(high) else f" and {high:.2g}"
    return f"ratio between {low:.2g}{top}" if top else f"ratio over {low:.2g}"


def numbers(judge: Judge, budget: Budget | None = None) -> dict[str, float | None]:
    """Return what the charts draw of the last minute, flat: `<what>_<arm>`, ratios and shares as such."""
    record, keys = judge.record, judge.comparison.keys
    ours, theirs = record.phase_counts("canary"), record.phase_counts("baseline")
    found: dict[str, float | None] = {
        "canary_percent": record.phase.percent if record.phase else None,
        "budget_remaining": budget.remaining if budget and math.isfinite(budget.remaining) else None,
    }
    counts, slices = keys.by_counts.log_e(), keys.by_slices.log_e()
    for row, name in enumerate(NAMES):
        low, high = judge.comparison.ratio(name) if _compares(judge) else (0.0, math.inf)
        total = INDICATORS[name]
        found |= {
            f"{name}_canary": share(getattr(ours, name), getattr(ours, total)),
            f"{name}_baseline": share(getattr(theirs, name), getattr(theirs, total)),
            f"{name}_log_e_counts": float(counts[row]),
            f"{name}_log_e_slices": float(slices[row]) if keys.are_two else None,
            f"{name}_ratio_low": low,
            f"{name}_ratio_high": high if math.isfinite(high) else None,
        }
    for arm, sums in (("canary", ours), ("baseline", theirs)):
        band = rate_band(sums.errors, sums.requests, noise=judge.setup.noise_of("errors").factor)
        found |= {f"errors_{arm}_low": band.low, f"errors_{arm}_high": band.high}
    return found


def share(bad: float, total: float) -> float | None:
    """Return a share, None when there was nothing to count."""
    return bad / total if total else None
