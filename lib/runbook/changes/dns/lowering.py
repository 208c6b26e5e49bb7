"""Lowering TTLs at Vercel where that lowers anything, and seeing its nameservers give the lower ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar

from runbook.changes.dns.asking import ask_sets, cut_over, cuts_of, seen_ttl_s, servers_of
from runbook.changes.dns.deadlines import Lowered
from runbook.changes.dns.parity import answers_alike
from runbook.changes.dns.zone import ZoneState, plain, read_zone
from runbook.changes.interface import Change
from runbook.errors import StepFailed
from runbook.journal import digest
from runbook.providers import vercel
from runbook.providers.dns import Answer, RecordSet, for_people
from runbook.providers.registrars import network_of
from runbook.step import Step
from runbook.values import Check, Value, shown


class Retime(Value):
    """A record of ours, by its id at Vercel, with its TTL as it was when this was planned."""

    id: str
    name: str
    type: str
    ttl_s: int


class LowerTtls(Change):
    """Let records at Vercel have a TTL of `ttl_s` and no longer; their values stay."""

    settles_within_s: ClassVar[float] = 300.0
    seen_within_s: ClassVar[float] = 600.0
    zone: str
    ttl_s: int
    records: tuple[Retime, ...]

    def sentence(self) -> str:
        return (
            f"lower the TTL of {shown(len(self.records))} records of {for_people(self.zone)} at Vercel "
            f"to {shown(self.ttl_s)} s"
        )

    def resource(self) -> str:
        return f"TTLs of {plain(self.zone)} at Vercel"

    def before(self) -> str:
        return described({one.id: one.ttl_s for one in self.records})

    def after(self) -> str:
        return described(dict.fromkeys((one.id for one in self.records), self.ttl_s))

    def partly(self) -> str:
        return f"half-way from {self.before()} to {self.after()}"

    def touches(self) -> str:
        return "how long the world keeps answers; what is answered stays as it is"

    def way_back(self) -> str:
        return "every record gets its TTL back; a cache that has the lower one asks again within it"

    def amounts(self) -> Mapping[str, float]:
        return {"records": float(len(self.records))}

    def observe(self, step: Step) -> str:
        now = {one.id: one.ttl_s for one in vercel.read_records(step, domain=plain(self.zone))}
        there = {one.id: now[one.id] for one in self.records if one.id in now}
        on_the_way = len(there) == len(self.records) and all(
            there[one.id] in (one.ttl_s, self.ttl_s) for one in self.records
        )
        seen = described(there)
        return self.partly() if on_the_way and seen not in (self.before(), self.after()) else seen

    def apply(self, step: Step) -> Lowered:
        ttls_s = dict.fromkeys((one.id for one in self.records), self.ttl_s)
        vercel.apply_ttls(step, domain=plain(self.zone), ttls_s=ttls_s)
        return self.result(step)

    def result(self, step: Step) -> Lowered:
        """Return once Vercel's nameservers give the lower TTLs, with the time at which they were seen."""
        self._wait_until_seen(step)
        return Lowered(zone=self.zone, records=len(self.records), ttl_s=self.ttl_s, seen_at=step.clock.now())

    def undo(self, step: Step) -> None:
        ttls_s = {one.id: one.ttl_s for one in self.records}
        vercel.apply_ttls(step, domain=plain(self.zone), ttls_s=ttls_s)

    def health(self, step: Step) -> Iterable[Check]:
        return answers_alike(step, self.zone, at="vercel")

    def _wait_until_seen(self, step: Step) -> None:
        state = read_zone(step, self.zone)
        sets = self._answered(state)
        servers = servers_of(step, network_of(step), state.nameservers)
        until = step.clock.now() + timedelta(seconds=self.seen_within_s)
        while True:
            answers = ask_sets(step, servers, self.zone, sets)
            late = [key for key, found in answers.items() if not self._given(found)]
            if not late:
                return
            now = step.clock.now()
            if now >= until:
                name, kind = late[0]
                raise StepFailed(
                    f"{len(late)} record sets do not have the lower TTL at Vercel's nameservers after "
                    f"{self.seen_within_s:g} s, {for_people(name)} {kind} for one; expected {self.ttl_s} s. "
                    "Look at Vercel's status page, then resume: it is asked again"
                )
            step.clock.sleep_until(min(until, now + timedelta(seconds=self.look_every_s * 10)))

    def _given(self, answers: Sequence[Answer]) -> bool:
        """Say whether every server gives a TTL that is low enough; one that says nothing does not."""
        told = all(one.outcome in ("answer", "nodata", "referral") for one in answers)
        return told and max(seen_ttl_s(answers), default=0) <= self.ttl_s

    def _answered(self, state: ZoneState) -> list[RecordSet]:
        """Return the sets that hold a lowered record and are answered, not hidden behind a zone cut."""
        ours = {(one.name, one.type) for one in self.records}
        cuts = cuts_of(state.zone, state.served)
        return [one for one in state.served if one.key in ours and cut_over(one, cuts) is None]


def plan_ttls(step: Step, state: ZoneState) -> list[Change]:
    """Return the lowering of every record of ours above the rollout plan's TTL; nothing where none is."""
    ttl_s = step.rollout().dns.ttl_lowered_s
    asked = vercel.above(state.records, ttl_s)
    records = tuple(
        Retime(id=one.id, name=one.name, type=one.type, ttl_s=one.ttl_s)
        for one in state.records
        if one.id in asked
    )
    return [LowerTtls(zone=state.zone, ttl_s=ttl_s, records=records)] if records else []


def described(ttls_s: Mapping[str, int]) -> str:
    """Return TTLs by record as one line that changes with any of them."""
    if not ttls_s:
        return "none of the records is there"
    low, high = min(ttls_s.values()), max(ttls_s.values())
    span = f"{shown(low)} s" if low == high else f"{shown(low)} to {shown(high)} s"
    return f"{shown(len(ttls_s))} records at {span}, {digest(dict(ttls_s))[:16]}"
