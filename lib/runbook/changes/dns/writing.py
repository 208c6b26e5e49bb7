"""Making the zone at Cloudflare and writing its records; the delegation stays, so nobody is sent there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import ClassVar

from runbook.changes.dns.parity import answers_alike, compare
from runbook.changes.dns.translating import Translation
from runbook.changes.dns.zone import plain, read_zone
from runbook.changes.interface import Change
from runbook.errors import OverLimit, StepFailed
from runbook.journal import digest
from runbook.providers import cloudflare
from runbook.providers.cloudflare import Entry
from runbook.providers.dns import for_people
from runbook.step import Step
from runbook.values import Check, Value, shown

QUOTAS: Mapping[str, int] = {"free": 200, "pro": 3_500, "business": 3_500}
"""Records that a zone may hold by its plan; on Enterprise the account's own limit counts."""

LOOK_EVERY_S = 15.0


class CreateZone(Change):
    """Have a zone of that name at Cloudflare, with nameservers of its own that nobody is sent to yet."""

    has_undo: ClassVar[bool] = False
    zone: str

    def sentence(self) -> str:
        return f"create the zone {for_people(self.zone)} at Cloudflare"

    def resource(self) -> str:
        return f"zone {plain(self.zone)} at Cloudflare"

    def before(self) -> str:
        return "no such zone"

    def after(self) -> str:
        return "a zone with nameservers of its own"

    def touches(self) -> str:
        return "our Cloudflare account; the delegation stays with Vercel, so nobody is sent there"

    def way_back(self) -> str:
        return "none is needed: nobody asks it. A person may delete it; on Free it goes after 28 days"

    def amounts(self) -> Mapping[str, float]:
        return {"zones": 1}

    def observe(self, step: Step) -> str:
        found = cloudflare.read_zone(step, name=plain(self.zone))
        return self.before() if found is None else self.after()

    def apply(self, step: Step) -> cloudflare.Zone:
        return cloudflare.apply_zone(step, name=plain(self.zone))

    def result(self, step: Step) -> cloudflare.Zone | None:
        return cloudflare.read_zone(step, name=plain(self.zone))


class Written(Value):
    """A zone at Cloudflare holds what was planned."""

    zone: str
    records: int
    nameservers: tuple[str, ...]

    def rows(self) -> list[tuple[str, str]]:
        servers = ", ".join(map(for_people, self.nameservers))
        return [("written", f"{shown(self.records)} records"), ("answered by", servers)]


class WriteRecords(Change):
    """Have exactly these records in the zone at Cloudflare; `was` is what it held when this was planned.

    More than a batch goes in several, so a run may be stopped with some of them done. Whatever lies between
    `was` and `records` is then half-way: what is missing is sent, or what was there is put back.
    """

    settles_within_s: ClassVar[float] = 300.0
    zone: str
    was: tuple[Entry, ...]
    records: tuple[Entry, ...]

    def sentence(self) -> str:
        made, changed, gone = self._edits()
        parts = [f"write {shown(made)} records"] if made else []
        parts += [f"change {shown(changed)}"] if changed else []
        parts += [f"remove {shown(gone)}"] if gone else []
        what = ", ".join(parts) or "leave the records as they are"
        return f"{what} in the zone {for_people(self.zone)} at Cloudflare"

    def resource(self) -> str:
        return f"records of {plain(self.zone)} at Cloudflare"

    def before(self) -> str:
        return described(self.was)

    def after(self) -> str:
        return described(self.records)

    def partly(self) -> str:
        return f"half-way from {self.before()} to {self.after()}"

    def touches(self) -> str:
        return "answers of Cloudflare's nameservers, which nobody is sent to; Vercel's stay as they are"

    def way_back(self) -> str:
        return "the records that were there are written back" if self.was else "the records are removed again"

    def amounts(self) -> Mapping[str, float]:
        return {"records": float(sum(self._edits()))}

    def observe(self, step: Step) -> str:
        found = cloudflare.read_zone(step, name=plain(self.zone))
        held = cloudflare.read_records(step, found) if found is not None else ()
        now, was, wanted = (set(map(_line, entries)) for entries in (held, self.was, self.records))
        on_the_way = was & wanted <= now <= was | wanted and now not in (was, wanted)
        return self.partly() if on_the_way else described(held)

    def apply(self, step: Step) -> Written:
        found = self._zone(step)
        kept = {entry.key for entry in self.records}
        remove = [entry for entry in self.was if entry.key not in kept]
        cloudflare.apply_records(step, found, put=self.records, remove=remove)
        return self._written(found)

    def result(self, step: Step) -> Written:
        return self._written(self._zone(step))

    def verify(self, step: Step, result: Value | None) -> None:
        """Raise StepFailed unless Cloudflare's nameservers come to answer as Vercel's zone says now."""
        del result
        until = step.clock.now() + timedelta(seconds=self.settles_within_s)
        while not (seen := compare(step, read_zone(step, self.zone), at="cloudflare")).agrees:
            now = step.clock.now()
            if now >= until:
                first, *more = seen.disagreements
                others = f" ({len(more)} more in evidence)" if more else ""
                raise StepFailed(
                    "the records are written, and not all is answered as Vercel's zone says: "
                    f"{first.in_a_line()}{others}. See which side is wrong, then resume; where Vercel's has "
                    "changed meanwhile, begin anew"
                )
            step.clock.sleep_until(min(until, now + timedelta(seconds=LOOK_EVERY_S)))

    def undo(self, step: Step) -> None:
        found = cloudflare.read_zone(step, name=plain(self.zone))
        if found is None:
            return
        kept = {entry.key for entry in self.was}
        remove = [entry for entry in self.records if entry.key not in kept]
        cloudflare.apply_records(step, found, put=self.was, remove=remove)

    def health(self, step: Step) -> Iterable[Check]:
        return answers_alike(step, self.zone, at="vercel")

    def _zone(self, step: Step) -> cloudflare.Zone:
        found = cloudflare.read_zone(step, name=plain(self.zone))
        if found is None:
            raise StepFailed(
                f"Cloudflare has no zone {plain(self.zone)} any more; expected the one made or found before. "
                "See the account's audit log for who deleted it, then begin anew"
            )
        return found

    def _written(self, found: cloudflare.Zone) -> Written:
        return Written(zone=self.zone, records=len(self.records), nameservers=found.nameservers)

    def _edits(self) -> tuple[int, int, int]:
        """Return how many records are made, changed and removed."""
        was, wanted = ({entry.key: _line(entry) for entry in side} for side in (self.was, self.records))
        changed = sum(was[key] != line for key, line in wanted.items() if key in was)
        return len(wanted.keys() - was.keys()), changed, len(was.keys() - wanted.keys())


def plan_zone(step: Step, zone: str) -> list[Change]:
    """Return the zone's creation at Cloudflare, nothing where it is there already."""
    there = cloudflare.read_zone(step, name=plain(zone))
    return [] if there is not None else [CreateZone(zone=f"{plain(zone)}.")]


def plan_records(step: Step, translation: Translation) -> list[Change]:
    """Return the change after which Cloudflare holds what was translated, nothing where it does already.

    Records that stand there and not at Vercel are removed: the zone is to be the same. Raises OverLimit when
    there are more than the zone may hold.
    """
    there = cloudflare.read_zone(step, name=plain(translation.zone))
    was = () if there is None else cloudflare.read_records(step, there)
    _require_room(step, there, len(translation.entries), plain(translation.zone))
    comments = {one.key: one.comment for one in was}
    entries = tuple(
        one.model_copy(update={"comment": comments.get(one.key, "")}) for one in translation.entries
    )
    change = WriteRecords(zone=translation.zone, was=_bare(was), records=entries)
    return [] if change.before() == change.after() else [change]


def described(entries: Iterable[Entry]) -> str:
    """Return records as one line that changes with any of them: how many, and their digest."""
    lines = sorted(map(_line, entries))
    return f"{shown(len(lines))} records, {digest(lines)[:16]}" if lines else "no records"


def _line(entry: Entry) -> str:
    ttl = "proxied" if entry.proxied else entry.ttl_s
    return f"{entry.name} {entry.type} {ttl} {entry.value}"


def _bare(records: Iterable[cloudflare.Record]) -> tuple[Entry, ...]:
    """Return records without their ids: what they are, not what Cloudflare calls them."""
    return tuple(Entry(**one.model_dump(exclude={"id"})) for one in records)


def _require_room(step: Step, there: cloudflare.Zone | None, count: int, zone: str) -> None:
    """Refuse more records than the zone may hold; one that is not there yet counts as of the plan's tier."""
    if there is not None:
        most, tier = cloudflare.read_quota(step, there).most, there.plan
    else:
        lines = {line.service.lower(): line.tier.lower() for line in step.rollout().costs.lines}
        tier = lines.get("cloudflare", "free")
        most = QUOTAS.get(tier)
    if most is not None and count > most:
        raise OverLimit(
            f"{shown(count)} records are to stand in Cloudflare's zone {zone}, which is on the plan {tier} "
            f"and holds {shown(most)}; no record was written. Put the zone on a larger plan and resume, or "
            "remove records at Vercel and begin anew"
        )
