"""One look at a canary: what came of it since the last, judged; who else is at work; who is told.

A look is done every minute of a day or two, so it keeps little: a sentence and the numbers of the charts.
What the judge knows follows from the minutes since the release began; a process that takes a watch up reads
them again, and with them those that nobody watched.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from runbook.changes.traffic.between import UnderWay
from runbook.changes.traffic.counting import MINUTE, floor, read_budget, read_counted
from runbook.changes.traffic.moving import share_text, state_of
from runbook.changes.traffic.telling import mark, page, say, say_status
from runbook.clock import Clock
from runbook.errors import Parked, VendorError
from runbook.gates.watching import Look
from runbook.judge.comparing import ALPHA
from runbook.judge.counts import Minute
from runbook.judge.policy import Rules
from runbook.judge.reasons import judged
from runbook.judge.slo import PERIOD_DAYS, Budget
from runbook.judge.verdict import Judge, Judgement, Setup
from runbook.providers import sentry, vercel
from runbook.providers.connect import vendor_id
from runbook.providers.datadog.marks import Tone
from runbook.step import Rehearsal, Step, no_evidence

# Of the judge's numbers, what charts draw; the others follow from the minutes, which are evidence.
DRAWN: Final = ("canary_percent", "budget_remaining", "errors_", "slow_500_")
COUNTED_UNTIL: Final = "counted_until"
EVIDENCE_BOUND: Final = 1 / ALPHA["errors"]  # how many fold a bet against the canary's errors must grow
_WORDS: Final = {"proceed": "is through: go", "hold": "waits for a person"}
_ASK_EVERY = timedelta(minutes=15)
_ISSUES_NAMED = 3
_SILENCE = timedelta(minutes=15)  # without a settled minute: nobody sees the canary any more


@dataclass
class _Memory:
    """What this process has read of a release so far; it only spares reading it again.

    `found` is what there was to say after the last minute that was judged; up to `judged_from` others were
    judged by looks on record.
    """

    judge: Judge
    until: datetime
    judged_from: datetime
    minutes: list[Minute] = field(default_factory=list)
    found: Judgement | None = None
    budget: Budget | None = None
    issues: tuple[sentry.Issue, ...] = ()
    asked_at: datetime | None = None
    called: bool = False

    def see(self, minute: Minute) -> None:
        self.judge.see(minute)
        self.minutes.append(minute)
        self.until = minute.at + MINUTE
        if minute.at >= self.judged_from:
            self.found = judged(self.judge, budget=self.budget)


_memories: dict[str, _Memory] = {}
_rehearsals: dict[str, Rehearsal] = {}


def look(step: Step, looks: tuple[Look, ...], under_way: UnderWay) -> Look:
    """Return what there is to see of the canary now, and what it would come to.

    Raises Parked when somebody else has moved the traffic, or has a build waiting: a person has to settle it.
    """
    quiet = _quiet(step)
    now = quiet.clock.now()
    if who := _somebody_else(quiet, under_way):
        raise _call_a_person(step, under_way, who)
    memory = _memory(step, looks, under_way)
    trouble = _count(quiet, memory, under_way, now)
    at_end = now >= under_way.judged_at
    if at_end or memory.asked_at is None or now - memory.asked_at >= _ASK_EVERY:
        _ask_around(quiet, memory, under_way, now)
    seen = _look(memory, under_way, trouble, now=now, at_end=at_end)
    last = at_end or seen.ends
    if _needs_somebody(memory, seen, last=last):
        _call_somebody(step, under_way, seen, last=last)
        memory.called = True
    _tell(step, looks, under_way, seen, last=last)
    if last:
        _keep(step, memory, under_way)
    return seen


def _somebody_else(step: Step, under_way: UnderWay) -> str:
    """Return who interferes; while Vercel does not say, the counts are watched all the same."""
    try:
        return interference(step, under_way)
    except VendorError as error:
        step.remark(f"whether somebody else is at work could not be seen: {error}")
        return ""


def interference(step: Step, under_way: UnderWay) -> str:
    """Return what somebody else has done to the release, or is about to; nothing: it is as we left it."""
    phase, canary = under_way.phase, under_way.ground.canary
    release = vercel.read_release(step)
    wanted = share_text(canary, phase.percent)
    if phase.is_last or release is None or not release.active:
        seen = state_of(vercel.read_project(step), release)
    else:
        seen = share_text(release.canary, release.percent)
    if seen != wanted:
        return f"Vercel gives {seen}, and this phase gave {wanted}"
    if release is not None and release.active and release.queued:
        return f"{release.queued} was built for production and waits to be released"
    return ""


def _call_a_person(step: Step, under_way: UnderWay, who: str) -> Parked:
    """Page and tell that somebody else is at work; return what parks the run."""
    run, canary = step.run_id, under_way.ground.called
    text = f"Somebody else is at work on the release of {canary}: {who}. Nobody watches the canary now"
    try:
        page(step, what="interference", summary=text)
    except VendorError as error:
        step.remark(f"nobody was paged: {error}")
    say(step, text, since=under_way.began_at)
    return Parked(
        f"{who}; somebody else is at work, and nobody watches the canary now. Settle with them which build "
        f"it shall be. When the release is as it was: runbook resume {run}. To end it: "
        f"runbook abort {run} --rollback --reason …"
    )


# Counting


def _memory(step: Step, looks: tuple[Look, ...], under_way: UnderWay) -> _Memory:
    """Return what this process knows, if it is what is on record; else begin with the first minute."""
    known = _memories.get(step.run_id)
    recorded = looks[-1].numbers.get(COUNTED_UNTIL) if looks else None
    if known is None or recorded != known.until.timestamp():
        setup = Setup(rules=Rules.of(step.rollout()), noise=under_way.baseline.noise)
        begins = floor(under_way.ground.shares[0].at)
        known = _Memory(
            judge=Judge(setup),
            until=begins,
            judged_from=floor(under_way.began_at)
            if recorded is None
            else datetime.fromtimestamp(recorded, UTC),
        )
        _memories[step.run_id] = known
    return known


def _count(step: Step, memory: _Memory, under_way: UnderWay, now: datetime) -> str:
    """Let the judge see the minutes that have settled since; return what kept it from that, if anything."""
    until = min(now, floor(under_way.ends_at))
    if memory.until >= until:
        return ""
    try:
        counted = read_counted(step, under_way.ground, since=memory.until, until=until)
    except VendorError as error:
        return str(error)
    for minute in counted.minutes:
        memory.see(minute)
        if memory.found is not None and is_over(memory.found):
            return ""  # as if somebody had looked just then, however late it is seen
    memory.until = counted.until
    return ""


def is_over(found: Judgement) -> bool:
    """Say whether nothing that comes can change the decision; what holds may yet become a rollback."""
    return found.ends and found.decision == "rollback"


def _ask_around(step: Step, memory: _Memory, under_way: UnderWay, now: datetime) -> None:
    """Ask what need not be asked every minute: the error budget, and issues that Sentry saw first with it."""
    until = floor(now)
    try:
        memory.budget = read_budget(step, since=until - timedelta(days=PERIOD_DAYS), until=until)
    except VendorError:
        memory.budget = None  # not known: at a gate that asks for it, that holds
    since = under_way.ground.shares[0].at
    try:
        version = sentry_release(step, under_way.ground.version)
        memory.issues = sentry.read_new_issues(step, version=version, since=since, until=until)
    except VendorError:
        memory.issues = ()  # a signal beside others: nothing rests on it
    memory.asked_at = now


def sentry_release(step: Step, version: str) -> str:
    """Return a version as Sentry has it: `omnihub-web@8.0.0`."""
    return f"{vendor_id(step, 'sentry', 'project')}@{version.removeprefix('v')}"


def _look(memory: _Memory, under_way: UnderWay, trouble: str, *, now: datetime, at_end: bool) -> Look:
    counted = {COUNTED_UNTIL: memory.until.timestamp()}
    known = memory.judge.record.phase
    if known is None or known.percent != under_way.phase.percent:
        says = trouble or "no minute of the phase has settled yet"
        return Look(at=now, says=f"no data: {says}", decision="hold", numbers=counted)
    found = memory.found or judged(memory.judge, budget=memory.budget)
    if at_end and not is_over(found):
        found = judged(memory.judge, gate=under_way.phase.gate, at_end=True, budget=memory.budget)
    decision, says = found.decision, _says(found, at_end=at_end)
    if trouble or (at_end and memory.until < floor(under_way.ends_at)):
        short = f"no data: counted until {memory.until:%Y-%m-%d %H:%M} UTC"
        says = "; ".join(filter(None, (short, trouble, says)))
        decision = "hold" if decision == "proceed" else decision
    numbers = {**_drawn(found), **counted, "new_issues": float(len(memory.issues))}
    says = "; ".join(filter(None, (says, _issues_text(memory.issues))))
    return Look(at=now, says=says, decision=decision, ends=is_over(found), numbers=numbers)


def _issues_text(issues: Sequence[sentry.Issue]) -> str:
    """Return the issues that a release has brought, the most frequent first; nothing when there are none."""
    if not issues:
        return ""
    most = sorted(issues, key=lambda one: -one.count)[:_ISSUES_NAMED]
    named = ", ".join(f"{one.short_id} {one.title} ({one.count:,} times)" for one in most)
    return f"new in Sentry with this build: {named}"


def _says(found: Judgement, *, at_end: bool) -> str:
    """Return the reasons; while all is well and nothing is to be decided, the first of them."""
    if found.decision != "proceed" or at_end:
        return found.says
    return found.reasons[0].says if found.reasons else "nothing to compare yet"


def _drawn(found: Judgement) -> dict[str, float | None]:
    drawn = {name: value for name, value in found.numbers.items() if name.startswith(DRAWN)}
    return {name: None if value is None else float(f"{value:.6g}") for name, value in drawn.items()}


# Telling


def _tell(step: Step, looks: Sequence[Look], under_way: UnderWay, seen: Look, *, last: bool) -> None:
    """Post the status that came due since the last look, and what the last look came to."""
    every, head = timedelta(hours=under_way.phase.status_every_h), _head(under_way)
    before = looks[-1].at if looks else under_way.began_at
    number = int((seen.at - under_way.began_at) / every)
    due = under_way.began_at + number * every
    if number and before < due and not last:
        say_status(step, f"{head}, status of {due:%Y-%m-%d %H:%M} UTC", seen.says, since=due)
    if last and seen.decision != "rollback":  # that is told once it is done; nothing may hold it up
        title = f"{head}, {_WORDS[seen.decision]}"
        say_status(step, title, seen.says, since=under_way.began_at)
        tone: Tone = "success" if seen.decision == "proceed" else "warning"
        mark(step, what="decision", title=title, text=seen.says, at=seen.at, tone=tone)


def _head(under_way: UnderWay) -> str:
    phase = under_way.phase
    return f"Canary {under_way.ground.called}, phase {phase.number}, {phase.percent:g} % of the visitors"


def _needs_somebody(memory: _Memory, seen: Look, *, last: bool) -> bool:
    """Say whether a person is to be called now: it speaks against the canary, nothing is seen, it waits."""
    if seen.decision != "hold" or memory.called:
        return False
    speaks = memory.found is not None and memory.found.ends
    return last or speaks or seen.at - memory.until > _SILENCE


def _call_somebody(step: Step, under_way: UnderWay, seen: Look, *, last: bool) -> None:
    """Call whoever is on call, once a watch; before its end it goes on meanwhile."""
    title = f"{_head(under_way)}, {'waits for a person' if last else 'would not go on as it is now'}"
    try:
        page(step, what="hold", summary=f"{title}: {seen.says}", severity="warning")
    except VendorError as error:
        step.remark(f"nobody was paged: {error}")
    if not last:
        say_status(step, title, seen.says, since=under_way.began_at)


def _keep(step: Step, memory: _Memory, under_way: UnderWay) -> None:
    """Keep the phase's minutes, so that with those of the phases before anybody can judge them again."""
    since = floor(under_way.began_at)
    lines = "".join(f"{minute.model_dump_json()}\n" for minute in memory.minutes if minute.at >= since)
    name = f"minutes-phase-{under_way.phase.number}.jsonl.gz"
    step.evidence(name, gzip.compress(lines.encode(), 6, mtime=0))


# A look is cheap


class _Still:
    """A clock that jumps, as one look sees it: it stands still unless the look waits."""

    jumps: ClassVar[bool] = True

    def __init__(self, clock: Clock) -> None:
        self._clock, self._now = clock, clock.now()

    def now(self) -> datetime:
        return self._now

    def monotonic_s(self) -> float:
        return self._clock.monotonic_s()

    def sleep_until(self, when: datetime) -> None:
        self._clock.sleep_until(when)
        self._now = self._clock.now()


def _quiet(step: Step) -> Step:
    """Return a step whose reading leaves no evidence: what thousands of looks came to is on record."""

    def rehearsal() -> Rehearsal:
        if step.run_id not in _rehearsals:
            _rehearsals[step.run_id] = step.rehearsal()
        return _rehearsals[step.run_id]

    clock = _Still(step.clock) if step.clock.jumps else step.clock
    return replace(step, clock=clock, rehearsal=rehearsal, evidence_sink=no_evidence)
