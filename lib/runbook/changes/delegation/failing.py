"""The DNS fails after a migration: which case it is, and both ways out, with what each can promise.

Wrong records are mended at Cloudflare: its nameservers have it within seconds, every cache within the
records' TTL. The nameservers' way back is the switch once more: within minutes at the parent, and no
sooner in a cache than it lets go, so that both sides must serve the same until the last one has.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal

from runbook.changes.delegation.migration import Migration, SideName
from runbook.changes.delegation.propagation import Propagation, read_propagation
from runbook.changes.delegation.switching import Delegate
from runbook.changes.delegation.watching import measured, percent
from runbook.changes.dns import Disagreement, compare, plan_records, read_zone, translate_zone
from runbook.changes.dns.parity import zone_at_cloudflare
from runbook.changes.dns.zone import lasting, plain
from runbook.changes.interface import Applied, Change
from runbook.changes.notices import tell
from runbook.errors import StepFailed
from runbook.gates.watching import Decision, Look
from runbook.providers import cloudflare, registrars
from runbook.providers.dns import for_people, read_delegation, read_security
from runbook.providers.registrars import network_of
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check, Checks, Value, shown

Case = Literal[
    "wrong records",
    "proxied, and the edge fails",
    "a nameserver does not answer",
    "the site fails through Cloudflare",
    "the site fails through both sides",
    "a DS that no key fits",
    "nothing is wrong",
]
Way = Literal["", "mend the records", "take the nameservers back"]
PREPARED: Final = "what was prepared"  # the step of dns_migration that returns its Migration
NAMED: Final = 5
_FITS: Final[dict[Case, Way]] = {
    "wrong records": "mend the records",
    "proxied, and the edge fails": "mend the records",
    "a nameserver does not answer": "take the nameservers back",
    "the site fails through Cloudflare": "take the nameservers back",
}
_ADVICE: Final[dict[Case, str]] = {
    "the site fails through both sides": "the DNS is not to blame: open high_error_rate",
    "a DS that no key fits": "a person removes the DS at the registrar; resolvers follow within its TTL",
    "nothing is wrong": "look again when somebody sees it fail: runbook resume RUN",
}


class Diagnosis(Value):
    """What fails, by what was seen, and the way out: `way` as asked for, else the one that fits the case."""

    at: datetime
    case: Case
    because: tuple[str, ...]
    way: Way
    records_wrong: bool
    delegated_to: tuple[str, ...]
    users_new: float
    failed_new: float | None
    failed_old: float | None

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("case", self.case),
            *(("because", text) for text in self.because),
            ("users with Cloudflare", percent(self.users_new)),
            (
                "visits failed",
                f"{_share(self.failed_new)} through Cloudflare, {_share(self.failed_old)} through Vercel",
            ),
            ("delegated to", ", ".join(map(for_people, self.delegated_to))),
            ("way out", self.way or _ADVICE[self.case]),
        ]


class Mended(Value):
    """The way out is taken: since when the nameservers or the parent show it, until when caches may not.

    `took_s` is from the diagnosis on, on the run's clock.
    """

    way: Way
    at: datetime
    took_s: float
    caches_until: datetime
    why: str

    @property
    def to(self) -> SideName:
        """Return the side that users are on their way to."""
        return "old" if self.way == "take the nameservers back" else "new"

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("done", f"{self.way}, seen at {shown(self.at)}"),
            ("after", f"{lasting(self.took_s)} from the diagnosis"),
            ("the last cache lets go", f"{shown(self.caches_until)}: {self.why}"),
        ]


def read_moved(step: Step, *, migration: str) -> Migration:
    """Return what a run of dns_migration went by, however that run stands: in an incident its end is no gate.

    Raises UnknownName when there is no such run, StepFailed when it did not get that far.
    """
    earlier = step.earlier(migration)
    found = earlier.result(PREPARED)
    if not isinstance(found, Migration):
        raise StepFailed(
            f"“{PREPARED}” of {migration} returned {type(found).__name__}; name a run of dns_migration "
            "(-p migration=…)"
        )
    for problem in earlier.problems:
        step.remark(f"the record of {migration}: {problem}")
    return found


def diagnose(step: Step, migration: Migration, *, way: Way = "") -> Diagnosis:
    """Return which case it is: the delegation, records, nameservers, resolvers and the site are looked at."""
    seen = read_propagation(step, migration)
    parity = compare(step, read_zone(step, migration.zone), at="cloudflare")
    wrong = [one for one in parity.disagreements if one.kind != "no answer"]
    mute = [one for one in parity.disagreements if one.kind == "no answer"]
    proxied = _proxied(step, migration)
    delegation = read_delegation(step, network_of(step), migration.zone)
    signed = delegation.ds is not None
    broken = signed and read_security(step, network_of(step), delegation).state == "broken"
    case, because = classify(seen, wrong=wrong, mute=mute, proxied=proxied, broken=broken)
    return Diagnosis(
        at=step.clock.now(),
        case=case,
        because=because,
        way=way or _FITS.get(case, ""),
        records_wrong=bool(wrong or proxied),
        delegated_to=delegation.nameservers,
        users_new=seen.share("new", users=True),
        failed_new=seen.failed_share("new"),
        failed_old=seen.failed_share("old"),
    )


def classify(
    seen: Propagation,
    *,
    wrong: Sequence[Disagreement],
    mute: Sequence[Disagreement],
    proxied: Sequence[str],
    broken: bool,
) -> tuple[Case, tuple[str, ...]]:
    """Return the case and what speaks for it; pure. What a person alone can mend goes first."""
    failed = [one.in_a_line() for one in seen.visits_new if not one.ok]
    failed_old = [one.in_a_line() for one in seen.visits_old if not one.ok]
    if broken:
        return "a DS that no key fits", (
            "the parent has a DS, and the zone's nameservers have no key for it",
        )
    if wrong:
        return "wrong records", tuple(one.in_a_line() for one in wrong[:NAMED])
    if failed and proxied:
        return "proxied, and the edge fails", (
            *failed[:NAMED],
            f"proxied: {', '.join(map(for_people, proxied))}",
        )
    if mute:
        return "a nameserver does not answer", tuple(one.in_a_line() for one in mute[:NAMED])
    if failed and failed_old:
        return "the site fails through both sides", tuple([*failed, *failed_old][:NAMED])
    if failed:
        return "the site fails through Cloudflare", tuple(failed[:NAMED])
    return "nothing is wrong", ("both sides answer alike, and the site is there through both",)


def way_is_clear(step: Step, diagnosis: Diagnosis) -> Checks:
    """Return whether there is something to do that this runbook can do."""
    del step
    return Checks(
        items=(
            Check.of(
                "there is a way out",
                holds=bool(diagnosis.way),
                observed=f"{diagnosis.case}: {'; '.join(diagnosis.because)}",
                expected=diagnosis.way or _ADVICE[diagnosis.case],
            ),
        )
    )


def plan_way(step: Step, migration: Migration, diagnosis: Diagnosis) -> list[Change]:
    """Return the changes of the way out; either mends records: until caches let go both sides serve."""
    zone = plain(migration.zone)
    records = plan_records(step, translate_zone(step, read_zone(step, migration.zone)))
    changes: list[Change] = [tell(step, f"DNS of {zone} fails: {diagnosis.case}. Under way: {diagnosis.way}")]
    if diagnosis.records_wrong or diagnosis.way == "mend the records":
        changes += records
    if diagnosis.way == "take the nameservers back":
        book = registrars.read_nameservers(step, zone=migration.zone)
        kept_s = migration.deadlines.delegation_ttl_s + migration.deadlines.longest_record_s
        changes.append(
            Delegate(
                zone=migration.zone,
                old=migration.new.nameservers,
                new=migration.old.nameservers,
                kept_s=kept_s,
                registrar=book.registrar,
            )
        )
    return changes


def read_mended(step: Step, migration: Migration, diagnosis: Diagnosis, applied: Applied) -> Mended:
    """Return when it was seen to be mended, and when the last cache will have let go."""
    del applied  # without it nothing is mended
    deadlines, now = migration.deadlines, step.clock.now()
    if diagnosis.way == "take the nameservers back":
        proof = registrars.read_published(step, zone=migration.zone, nameservers=migration.old.nameservers)
        at, until = proof.seen_at, deadlines.all_gone_at(proof.seen_at)
        why = (
            f"those that had moved keep the delegation for {lasting(deadlines.delegation_ttl_s)}, then "
            f"records for {lasting(deadlines.longest_record_s)}; so both sides go on serving"
        )
    else:
        at, until = now, now + timedelta(seconds=deadlines.longest_record_s)
        why = f"records are kept for {lasting(deadlines.longest_record_s)} at the longest"
    took_s = (at - diagnosis.at).total_seconds()
    return Mended(way=diagnosis.way, at=at, took_s=took_s, caches_until=until, why=why)


def look_after(step: Step, past: Sequence[Look], migration: Migration, mended: Mended) -> Look:
    """Return one look at how the world follows the way out; a look of `run.watch`."""
    seen = read_propagation(step, migration, number=len(past))
    numbers, now = measured(seen), step.clock.now()
    back = mended.way == "take the nameservers back"
    decision, says = judge_after(seen, back=back, over=now >= mended.caches_until)
    since = now - mended.at
    dense = 60.0 if since < timedelta(minutes=10) else 300.0 if since < timedelta(hours=1) else 3_600.0
    found = Look(at=now, says=says, decision=decision, numbers=numbers, again_s=dense)
    if now >= mended.caches_until:
        tell(step, f"DNS of {plain(migration.zone)}, the way out: {says}").model_copy(
            update={"since": mended.at}
        ).apply(step)
    return found


def judge_after(seen: Propagation, *, back: bool, over: bool) -> tuple[Decision, str]:
    """Return what a look after the way out shows; pure.

    Until the last cache has let go a user may still see what was wrong; when it has, a side that nobody asks
    any more is nobody's trouble.
    """
    wrong = [one.resolver for one in seen.seen if one.fails]
    asked = seen.visits_old if back and over else (*seen.visits_old, *seen.visits_new)
    failed = [one.in_a_line() for one in asked if not one.ok]
    late = [one.resolver for one in seen.seen if back and over and one.where == "new"]
    side = "Vercel" if back else "Cloudflare"
    share = seen.share("old" if back else "new", users=True)
    stands = f"{percent(share)} of users are with {side}"
    troubles = {
        "the nameservers do not answer alike": []
        if back and over
        else [one.in_a_line() for one in seen.apart],
        "the site fails": failed,
        "resolvers still give what was wrong": wrong if over else [],
        "resolvers still ask Cloudflare": late,
    }
    told = [f"{what}: {', '.join(which[:NAMED])}" for what, which in troubles.items() if which]
    return ("hold", f"{'; '.join(told)}. {stands}") if told else ("proceed", stands)


def conclude_failure(step: Step, diagnosis: Diagnosis, mended: Mended, looks: Sequence[Look]) -> Conclusion:
    """Return what the way out came to, against the plan's 5 to 10 minutes, and what no one can hasten."""
    limit_s = step.rollout().rollback.dns_issues.rto_below_minutes * 60
    last = looks[-1]
    caches_h = (mended.caches_until - mended.at).total_seconds() / 3600
    within = "within" if mended.took_s < limit_s else "beyond"
    return Conclusion(
        verdict=(
            f"{diagnosis.case.capitalize()}: {mended.way}, after {lasting(mended.took_s)} at the source, "
            f"{within} the plan's {limit_s / 60:g} minutes; the last cache let go {_length(caches_h)} later, "
            f"which nobody can hasten. {last.says}."
        ),
        numbers={
            "rto_s": Number(title="Mended at the source after", value=mended.took_s, unit="s", limit=limit_s),
            "caches_h": Number(title="Then caches let go within", value=round(caches_h, 3), unit="h"),
            "looks_amiss": Number(
                title="Looks that found something amiss",
                value=sum(one.decision == "hold" for one in looks),
                unit="looks",
            ),
        },
    )


def _proxied(step: Step, migration: Migration) -> tuple[str, ...]:
    there = zone_at_cloudflare(step, migration.zone)
    return tuple(sorted({one.name for one in cloudflare.read_records(step, there) if one.proxied}))


def _share(share: float | None) -> str:
    return "none made" if share is None else percent(share)


def _length(hours: float) -> str:
    return f"{hours:.4g} h" if hours >= 1 else f"{hours * 60:.3g} min"
