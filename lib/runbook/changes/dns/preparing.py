"""The pre-configuration's own steps: what must hold before and after, the two plans, the numbers."""

from __future__ import annotations

from runbook.changes.dns.deadlines import Deadlines, Lowered, Ttls, read_deadlines
from runbook.changes.dns.lowering import plan_ttls
from runbook.changes.dns.tabling import FAILED_ROWS
from runbook.changes.dns.translating import Translation
from runbook.changes.dns.writing import plan_records, plan_zone
from runbook.changes.dns.zone import ZoneState, cut, lasting, plain, read_zone
from runbook.changes.interface import Applied, Change
from runbook.changes.notices import tell
from runbook.providers.dns import differences, for_people, read_delegation
from runbook.providers.registrars import network_of
from runbook.step import Step
from runbook.summary import Conclusion, Number
from runbook.values import Check, Checks, shown


def not_signed(step: Step, zone: str) -> Checks:
    """Return whether the parent has a DS for the zone: with one, it would not validate after the switch."""
    found = read_delegation(step, network_of(step), zone)
    title = f"a DS at {for_people(found.parent)}"
    if found.ds is None:
        return Checks(items=(Check.of(title, holds=True, observed="none", expected="none"),))
    what = f"{' | '.join(found.ds.values)}, kept for {lasting(found.ds.ttl_s or 0)}"
    expected = (
        "none: with one, resolvers that validate answer SERVFAIL after the switch. A person switches DNSSEC "
        f"off at the registrar of {plain(zone)}, then resumes the run: the parent is asked again, and the "
        "old DS' TTL counts among the deadlines"
    )
    return Checks(items=(Check.of(title, holds=False, observed=what, expected=expected),))


def unchanged(step: Step, state: ZoneState) -> Checks:
    """Return whether Vercel's zone is still as it was read: what is about to be written follows from that."""
    now = read_zone(step, plain(state.zone))
    found = differences(state.served, now.served)
    total = len(state.served)
    whole = Check.of(
        "record sets as they were read",
        holds=not found,
        observed=f"{total - sum(one.kind != 'extra' for one in found)} of {total}",
        expected=f"{total}; the zone was changed meanwhile: begin anew" if found else total,
    )
    rows = [
        Check.of(
            f"{for_people(one.name)} {one.type}, {one.kind}",
            holds=False,
            observed="nothing" if one.observed is None else cut(one.observed.in_a_line()),
            expected="nothing" if one.expected is None else cut(one.expected.in_a_line()),
        )
        for one in found[:FAILED_ROWS]
    ]
    return Checks(items=(whole, *rows))


def delegated_as_before(step: Step, ttls: Ttls) -> Checks:
    """Return whether the parent still sends the world where it did before this run."""
    now, before = read_delegation(step, network_of(step), ttls.zone), ttls.delegation
    servers = ", ".join(map(for_people, now.nameservers))
    expected = ", ".join(map(for_people, before.nameservers))
    same = set(now.nameservers) == set(before.nameservers)
    return Checks(
        items=(Check.of("the nameservers at the parent", holds=same, observed=servers, expected=expected),)
    )


def plan_beginning(step: Step, zone: str) -> list[Change]:
    """Return a message that it begins, and the zone's creation where Cloudflare does not have it."""
    message = f"DNS pre-configuration of {plain(zone)} begins. Its nameservers stay as they are"
    return [tell(step, message), *plan_zone(step, zone)]


def plan_filling(step: Step, state: ZoneState, translation: Translation, ttls: Ttls) -> list[Change]:
    """Return the records at Cloudflare, then the lower TTLs at Vercel, then a message that both are done."""
    lowering = plan_ttls(step, state)
    lowered, longest = lasting(step.rollout().dns.ttl_lowered_s), lasting(ttls.longest_s)
    caches = f"no TTL at Vercel was above {lowered}"
    if lowering:
        caches = f"TTLs at Vercel are {lowered} at most, old answers are kept for {longest} from now"
    message = (
        f"DNS pre-configuration of {plain(state.zone)} is done: {shown(len(translation.entries))} records "
        f"stand at Cloudflare; {caches}. Its nameservers are as they were"
    )
    return [*plan_records(step, translation), *lowering, tell(step, message)]


def when_caches_let_go(step: Step, ttls: Ttls, applied: Applied) -> Deadlines:
    """Return the deadlines, counted from the lowering among what was applied."""
    lowered = next((one for one in applied.results if isinstance(one, Lowered)), None)
    return read_deadlines(step, ttls, lowered)


def conclude(step: Step, translation: Translation, deadlines: Deadlines) -> Conclusion:
    """Return what the run comes to, with the numbers that the migration and the report go by."""
    del step
    before_s = max((one.before_s for one in deadlines.records), default=0)
    left_s = (deadlines.old_ttls_gone_at - deadlines.counted_from).total_seconds()
    numbers = {
        "records": Number(title="Records carried over", value=len(translation.entries), unit="records"),
        "longest_ttl_before_s": Number(title="Longest TTL before", value=before_s, unit="s"),
        "longest_ttl_now_s": Number(title="Longest TTL now", value=deadlines.longest_record_s, unit="s"),
        "old_ttls_gone_after_s": Number(title="Old TTLs are gone after", value=left_s, unit="s"),
        "delegation_ttl_s": Number(
            title="Delegation is kept for", value=deadlines.delegation_ttl_s, unit="s"
        ),
    }
    return Conclusion(
        verdict=(
            f"{plain(deadlines.zone)} is answered alike by Vercel and Cloudflare; the nameservers may be "
            f"switched from {deadlines.switch_from:%Y-%m-%d %H:%M} UTC on"
        ),
        numbers=numbers,
    )
