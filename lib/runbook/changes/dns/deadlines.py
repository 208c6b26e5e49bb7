"""When caches let go: from TTLs as they were observed before anything was lowered, never from what is usual.

Three things are kept apart, since nobody can lower them together: the records (their owner's TTL), the
delegation (the parent's NS and DS), and the zone's own NS set, which child-centric resolvers go by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from runbook.changes.dns.asking import ask_sets, seen_ttl_s, servers_of
from runbook.changes.dns.zone import ZoneState, lasting, plain
from runbook.errors import StepFailed
from runbook.providers.dns import Delegation, Question, for_people, read_delegation
from runbook.providers.dns.asking import DIRECT, read_answers
from runbook.providers.registrars import network_of
from runbook.step import Step
from runbook.values import Value, html_table, shown

ROWS_SHOWN = 6


class SeenTtl(Value):
    """A record set's TTL in seconds as its nameservers give it, and when the set was last changed.

    `ours` False: every record of it is Vercel's own, so that its TTL cannot be changed.
    """

    name: str
    type: str
    ttl_s: int
    ours: bool = True
    changed_at: datetime | None = None


class Ttls(Value):
    """The TTLs of a zone before anything is lowered: at its nameservers, and at its parent.

    `ns_ttl_s` is that of the zone's own NS set; `delegation` holds the parent's NS and DS with theirs.
    """

    zone: str
    read_at: datetime
    records: tuple[SeenTtl, ...]
    ns_ttl_s: int
    delegation: Delegation

    @property
    def longest_s(self) -> int:
        return max((one.ttl_s for one in self.records), default=0)

    def rows(self) -> list[tuple[str, str]]:
        parent, ds = self.delegation, self.delegation.ds
        return [
            ("records", f"{shown(len(self.records))} sets, kept for {lasting(self.longest_s)} at most"),
            ("the zone's own NS", f"kept for {lasting(self.ns_ttl_s)}"),
            (f"NS at {for_people(parent.parent)}", f"kept for {lasting(parent.ns.ttl_s or 0)}"),
            ("DS there", "none: not signed" if ds is None else f"kept for {lasting(ds.ttl_s or 0)}"),
            ("delegated to", ", ".join(map(for_people, parent.nameservers))),
            ("read", shown(self.read_at)),
        ]


class Held(Value):
    """How long caches hold a record set as it was: `before_s`, so until `gone_at`; since then `after_s`."""

    name: str
    type: str
    before_s: int
    after_s: int
    gone_at: datetime


class Deadlines(Value):
    """When caches let go. `counted_from`: when Vercel's nameservers were seen to give the lowered TTLs.

    A zone's delegation is kept for `parent_ns_ttl_s` by resolvers that go by the parent, for `child_ns_ttl_s`
    by those that go by the zone's own NS set; nobody can lower the former. `ds_ttl_s` None: there was no DS;
    else the old one is gone at `ds_gone_at`. `waits_s` is how long the rollout plan waits after lowering.
    """

    zone: str
    counted_from: datetime
    records: tuple[Held, ...]
    parent_ns_ttl_s: int
    child_ns_ttl_s: int
    ds_ttl_s: int | None = None
    ds_gone_at: datetime | None = None
    waits_s: float

    @property
    def old_ttls_gone_at(self) -> datetime:
        """Return when no cache holds a record with a TTL from before the lowering (or an old DS) any more."""
        times = [self.counted_from, *(one.gone_at for one in self.records)]
        return max([*times, *([self.ds_gone_at] if self.ds_gone_at else [])])

    @property
    def switch_from(self) -> datetime:
        """Return when the nameservers may be switched: caches have let go, and the plan's wait is over."""
        return max(self.old_ttls_gone_at, self.counted_from + timedelta(seconds=self.waits_s))

    @property
    def longest_record_s(self) -> int:
        """Return the longest TTL of a record as it is now, in seconds."""
        return max((one.after_s for one in self.records), default=0)

    @property
    def delegation_ttl_s(self) -> int:
        """Return how long a delegation is kept at most, in seconds: by the parent's TTL or the zone's."""
        return max(self.parent_ns_ttl_s, self.child_ns_ttl_s)

    def all_gone_at(self, switched_at: datetime) -> datetime:
        """Return when nobody can be sent to the old side any more, after a switch seen at the parent.

        The delegation for its TTL, and whatever was asked in its last second for the longest record's.
        """
        return switched_at + timedelta(seconds=self.delegation_ttl_s + self.longest_record_s)

    def rows(self) -> list[tuple[str, str]]:
        parent, child = lasting(self.parent_ns_ttl_s), lasting(self.child_ns_ttl_s)
        after_h = (self.delegation_ttl_s + self.longest_record_s) / 3600
        rows = [
            ("counted from", shown(self.counted_from)),
            ("old TTLs are gone", shown(self.old_ttls_gone_at)),
            ("the switch may begin", f"{shown(self.switch_from)} (the plan waits {self.waits_s / 3600:g} h)"),
            ("records are kept now", f"{lasting(self.longest_record_s)} at most"),
            ("the delegation is kept", f"{parent} by the parent's TTL, {child} by the zone's own"),
            ("after a switch", f"the last cache lets go {after_h:.4g} h later"),
        ]
        if self.ds_ttl_s is not None:
            rows.append(("old DS is gone", f"{shown(self.ds_gone_at)} (kept for {lasting(self.ds_ttl_s)})"))
        return rows

    def table(self) -> list[tuple[str, str, str, str]]:
        """Return sets that caches let go of together, the last ones first: who, TTL before, TTL now, when."""
        alike: dict[tuple[datetime, int, int], list[Held]] = {}
        for one in self.records:
            alike.setdefault((one.gone_at, one.before_s, one.after_s), []).append(one)
        groups = sorted(alike.items(), reverse=True)
        rows = [
            (_who(found), lasting(before_s), lasting(after_s), shown(gone_at))
            for (gone_at, before_s, after_s), found in groups[:ROWS_SHOWN]
        ]
        left = sum(len(found) for _, found in groups[ROWS_SHOWN:])
        return [*rows, *([(f"{shown(left)} more, gone earlier", "", "", "")] if left else [])]

    def __repr__(self) -> str:
        return "\n".join([super().__repr__(), "", *("  ".join(row) for row in self.table())])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        table = html_table(self.table(), head=("record sets", "TTL before", "TTL now", "old ones gone"))
        return html_table(self.rows()) + table


class Lowered(Value):
    """TTLs were lowered: how many records, to what at the most, and when Vercel's nameservers gave them."""

    zone: str
    records: int
    ttl_s: int
    seen_at: datetime

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("lowered", f"the TTL of {shown(self.records)} records, to {lasting(self.ttl_s)}"),
            ("seen at the nameservers", shown(self.seen_at)),
        ]


def read_ttls(step: Step, state: ZoneState) -> Ttls:
    """Return the TTLs that resolvers are given now: asked of Vercel's nameservers and of the parent's.

    Raises StepFailed when a nameserver of Vercel's does not answer, or the zone is not sent to Vercel.
    """
    network = network_of(step)
    delegation = read_delegation(step, network, state.zone)
    if set(delegation.nameservers) != set(state.nameservers):
        raise StepFailed(
            f"{plain(state.zone)} is delegated to {_people(delegation.nameservers)}; expected Vercel's "
            f"{_people(state.nameservers)}. Only what Vercel answers can be moved from there: see who does"
        )
    servers = servers_of(step, network, state.nameservers)
    apex = Question.of(state.zone, "NS", zone=state.zone)
    own = [one.require() for one in read_answers(step, servers, [apex], manner=DIRECT)]
    seen = {
        key: max(ttls_s)
        for key, answers in ask_sets(step, servers, state.zone, state.served).items()
        if (ttls_s := seen_ttl_s(answers))
    }
    return Ttls(
        zone=state.zone,
        read_at=step.clock.now(),
        records=_seen(state, seen),
        ns_ttl_s=max(one.ttl_s or 0 for one in own),
        delegation=delegation,
    )


def _seen(state: ZoneState, ttls_s: dict[tuple[str, str], int]) -> tuple[SeenTtl, ...]:
    """Return every set with the TTL observed, or the listed one where a set cannot be asked for itself."""
    changed: dict[tuple[str, str], datetime] = {}
    for one in state.records:
        for at in (one.created_at, one.updated_at):
            if at is not None:
                changed[one.name, one.type] = max(at, changed.get((one.name, one.type), at))
    return tuple(
        SeenTtl(
            name=one.name,
            type=one.type,
            ttl_s=max(ttls_s.get(one.key, 0), 0 if one.key in ttls_s else one.ttl_s or 0),
            ours=one.key in state.own,
            changed_at=changed.get(one.key),
        )
        for one in state.served
    )


def read_deadlines(step: Step, ttls: Ttls, lowered: Lowered | None = None) -> Deadlines:
    """Return when caches let go of what was there before, counted from the lowering that was seen.

    Without a lowering nothing was above the plan's TTL, and the TTLs count from when they were read.
    """
    dns = step.rollout().dns
    counted_from = ttls.read_at if lowered is None else lowered.seen_at
    waits_s = dns.ttl_lowered_before_h * 3600
    most_s = dns.ttl_lowered_s if lowered is None else lowered.ttl_s
    ds = ttls.delegation.ds
    return Deadlines(
        zone=ttls.zone,
        counted_from=counted_from,
        records=held(ttls, counted_from=counted_from, most_s=most_s, waits_s=waits_s),
        parent_ns_ttl_s=ttls.delegation.ns.ttl_s or 0,
        child_ns_ttl_s=ttls.ns_ttl_s,
        ds_ttl_s=None if ds is None else ds.ttl_s,
        ds_gone_at=None if ds is None else counted_from + timedelta(seconds=ds.ttl_s or 0),
        waits_s=waits_s,
    )


def held(ttls: Ttls, *, counted_from: datetime, most_s: int, waits_s: float) -> tuple[Held, ...]:
    """Return until when caches hold what each record set said before.

    A set that its owner changed less than `waits_s` before it was read may have had any TTL until then (an
    earlier lowering, for one): nobody can tell which, so the plan's wait counts from that change.
    """
    found, wait = [], timedelta(seconds=waits_s)
    for one in ttls.records:
        gone_at = counted_from + timedelta(seconds=one.ttl_s)
        if one.changed_at is not None and ttls.read_at - one.changed_at < wait:
            gone_at = max(gone_at, one.changed_at + wait)
        found.append(
            Held(
                name=one.name,
                type=one.type,
                before_s=one.ttl_s,
                after_s=min(one.ttl_s, most_s) if one.ours else one.ttl_s,
                gone_at=gone_at,
            )
        )
    return tuple(found)


def _who(sets: Sequence[Held]) -> str:
    """Return whom a row is about: a record set by name, several by number."""
    if len(sets) == 1:
        return f"{for_people(sets[0].name)} {sets[0].type}"
    return f"{shown(len(sets))} record sets"


def _people(names: Sequence[str]) -> str:
    return ", ".join(map(for_people, names))
