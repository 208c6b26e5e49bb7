"""Whether a side's nameservers answer as Vercel's zone says now: names, types, wildcards, what is not there.

Both sides are held against the same thing, what Vercel is to serve: Vercel's own nameservers (its API and
what really answers may disagree), and those that Cloudflare assigned, which are asked directly, before
anybody is sent there. Nothing is drawn by lot: names that nobody has asked for follow from run and time.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from runbook.changes.dns.asking import addresses, ask_sets, cut_over, cuts_of, servers_of
from runbook.changes.dns.judging import Disagreement, Expected, judge, merged
from runbook.changes.dns.tabling import Parity, Side, parity_checks
from runbook.changes.dns.translating import translate
from runbook.changes.dns.zone import ZoneState, cut, plain, read_zone
from runbook.changes.interface import Applied
from runbook.errors import StepFailed
from runbook.providers import cloudflare
from runbook.providers.dns import Network, Question, RecordSet, Server, differences
from runbook.providers.dns.asking import DIRECT, read_answers
from runbook.providers.dns.records import ALIAS, is_wildcard
from runbook.providers.registrars import network_of
from runbook.step import Step
from runbook.values import Checks, shown

API = "Cloudflare's API"
AUTOMATIC_S = 300
ABSENT_AT_MOST = 2_000
"""How often a type is asked for that a name should not have; in larger zones the API's list has to do."""


def compare(step: Step, state: ZoneState, *, at: Side) -> Parity:
    """Ask a side's nameservers for the whole zone; every answer of theirs is kept as evidence.

    Raises StepFailed when Cloudflare has no such zone, or a nameserver has no address.
    """
    network = network_of(step)
    if at == "vercel":
        hosts, (expected, before) = state.nameservers, _at_vercel(state)
    else:
        there = zone_at_cloudflare(step, state.zone)
        hosts, (expected, before) = there.nameservers, _at_cloudflare(step, state, there)
    servers, silent = _answering(step, servers_of(step, network, hosts), state.zone)
    expected = _with_addresses(step, network, state, expected, ask_vercel=at == "cloudflare")
    probes = _probes(step, state.zone, expected)
    answers = ask_sets(step, servers, state.zone, [one.one for one in (*expected, *probes)])
    found = [wrong for one in (*expected, *probes) for wrong in judge(one, answers.get(one.one.key, ()))]
    absent = _absent(expected, zone=state.zone)
    found += _judge_absent(step, servers, state.zone, absent)
    parity = Parity(
        zone=state.zone,
        side=at,
        compared_with=state.read_at,
        asked_at=step.clock.now(),
        servers=tuple(hosts),
        silent=tuple(at for one in silent for at in one.at),
        asked=dict(sorted(Counter(one.one.type for one in expected).items())),
        absent=len(absent),
        probes=tuple(one.one.name for one in probes),
        disagreements=merged([*before, *silent, *found]),
    )
    step.evidence(f"parity-{at}.txt", _listing(parity, expected, probes, absent))
    return parity


def answers_alike(step: Step, zone: str, *, at: Side, after: Applied | None = None) -> Checks:
    """Read the zone at Vercel as it is now, and return whether a side's nameservers answer just so.

    `after` is what was applied before, without which there is nothing to ask: skipped, this is skipped too.
    """
    del after
    return parity_checks(compare(step, read_zone(step, zone), at=at))


def zone_at_cloudflare(step: Step, zone: str) -> cloudflare.Zone:
    """Return Cloudflare's zone of that name; StepFailed when there is none."""
    found = cloudflare.read_zone(step, name=plain(zone))
    if found is None:
        raise StepFailed(
            f"Cloudflare has no zone {plain(zone)}; expected the one that dns_preconfiguration makes. "
            "Run that first: runbook run dns_preconfiguration"
        )
    return found


def _answering(step: Step, servers: Sequence[Server], zone: str) -> tuple[list[Server], list[Disagreement]]:
    """Return the servers that answer for a zone at all, and what is wrong with the others.

    One that is silent or lame would be asked thousands of questions, each waited for.
    """
    soa = Question.of(zone, "SOA", zone=zone)
    answers = read_answers(step, servers, [soa], manner=DIRECT)
    wrong = [
        Disagreement(
            name=zone,
            type="SOA",
            kind="no answer",
            at=(one.server.name,),
            expected="an answer for the zone",
            observed=": ".join(filter(None, [one.outcome, one.trouble])),
        )
        for one in answers
        if one.outcome != "answer"
    ]
    return [one.server for one in answers if one.outcome == "answer"], wrong


def _at_vercel(state: ZoneState) -> tuple[list[Expected], list[Disagreement]]:
    """Return what Vercel's nameservers are to say; the TTLs of its own records are its business."""
    shows = [
        Expected(one, ttl="exact" if one.key in state.own and one.type != ALIAS else "any")
        for one in state.served
    ]
    return _behind_cuts(state.zone, shows), []


def _at_cloudflare(
    step: Step, state: ZoneState, there: cloudflare.Zone
) -> tuple[list[Expected], list[Disagreement]]:
    """Return what Cloudflare's nameservers are to say, and where its API's list is not as it should be.

    A proxied name of an active zone is answered with Cloudflare's own addresses: only the list tells of it.
    """
    made = translate(state.served, zone=state.zone, ttl_s=step.rollout().dns.ttl_lowered_s)
    wanted = cloudflare.record_sets(made.entries)
    held = cloudflare.read_records(step, there)
    listed = [
        Disagreement(
            name=one.name,
            type=one.type,
            kind="extra" if one.kind == "extra" else "missing" if one.kind == "missing" else "values",
            at=(API,),
            expected="no such record" if one.expected is None else cut(" | ".join(one.expected.values)),
            observed="no such record" if one.observed is None else cut(" | ".join(one.observed.values)),
        )
        for one in differences(wanted, cloudflare.record_sets(held), ttls=False)
    ]
    listed += [
        Disagreement(
            name=one.name,
            type=one.type,
            kind="missing",
            at=(API,),
            observed=one.why,
            expected=cut(" | ".join(one.values)),
        )
        for one in made.left
    ]
    hidden = {one.name for one in held if one.proxied} if there.status in ("active", "moved") else set()
    shows = [
        Expected(
            one.model_copy(update={"ttl_s": max(one.ttl_s or 0, AUTOMATIC_S)}),
            ttl="at most",
            more_issuers=one.type == "CAA",
        )
        for one in wanted
        if one.name not in hidden
    ]
    return _behind_cuts(state.zone, shows), listed


def _behind_cuts(zone: str, shows: Sequence[Expected]) -> list[Expected]:
    """Return expectations that know which zone cut hides them."""
    cuts = {one.one.name: one.one for one in shows if one.one.type == "NS" and one.one.name != zone}
    names = cuts_of(zone, cuts.values())
    hiding = [(one, cut_over(one.one, names)) for one in shows]
    return [one if name is None else replace(one, hidden_by=cuts[name]) for one, name in hiding]


def _with_addresses(
    step: Step, network: Network, state: ZoneState, shows: list[Expected], *, ask_vercel: bool
) -> list[Expected]:
    """Return expectations that know what an alias may be answered with.

    An alias' target may give every asker other addresses: whatever resolvers know of it will do, and with
    `ask_vercel` whatever Vercel's nameservers say at the name.
    """
    aliases = [one.one for one in shows if one.one.type == ALIAS]
    if not aliases:
        return shows
    known = addresses(step, network, [one.values[0] for one in aliases])
    told: Mapping[tuple[str, str], Iterable[str]] = {}
    if ask_vercel:
        servers = servers_of(step, network, state.nameservers)
        answers = ask_sets(step, servers, state.zone, aliases)
        told = {key: [value for one in found for value in one.values] for key, found in answers.items()}
    return [
        replace(one, addresses=known[one.one.values[0]] | frozenset(told.get(one.one.key, ())))
        if one.one.type == ALIAS
        else one
        for one in shows
    ]


def _probes(step: Step, zone: str, shows: Sequence[Expected]) -> list[Expected]:
    """Return questions for names that are not there: below each wildcard, and below the apex in any case."""
    token = hashlib.sha256(f"{step.run_id} {step.clock.now()} {zone}".encode()).hexdigest()[:12]
    found = []
    for one in shows:
        if is_wildcard(one.one.name):
            name = f"probe-{token}{one.one.name.removeprefix('*')}"
            found.append(replace(one, one=one.one.model_copy(update={"name": name})))
    below = f"probe-{token}.{zone}"
    if not any(one.one.name == below for one in found):
        nothing = RecordSet(name=below, type="A", ttl_s=None, values=())
        found.append(Expected(nothing, absent="name"))
    return found


def _absent(shows: Sequence[Expected], *, zone: str) -> list[Expected]:
    """Return a question for every type in use that a name should not have; none for a very large zone."""
    kinds = sorted({one.one.type for one in shows} - {ALIAS, "CNAME", "NS"} | {"A", "AAAA"})
    at: dict[str, set[str]] = {}
    for one in shows:
        more = {"A", "AAAA"} if one.one.type == ALIAS else set()
        at.setdefault(one.one.name, set()).update({one.one.type, *more})
    clear = {
        name: has for name, has in at.items() if "CNAME" not in has and (name == zone or "NS" not in has)
    }
    behind = {one.one.name for one in shows if one.hidden_by is not None}
    found = [
        Expected(RecordSet(name=name, type=kind, ttl_s=None, values=()), absent="type")
        for name, has in clear.items()
        if name not in behind
        for kind in kinds
        if kind not in has
    ]
    return found if len(found) <= ABSENT_AT_MOST else []


def _judge_absent(
    step: Step, servers: Sequence[Server], zone: str, absent: Sequence[Expected]
) -> list[Disagreement]:
    """Ask for what should not be there, each server for its share."""
    found = []
    for number, server in enumerate(servers):
        share = absent[number :: len(servers)]
        answers = ask_sets(step, [server], zone, [one.one for one in share])
        found += [wrong for one in share for wrong in judge(one, answers[one.one.key])]
    return found


def _listing(
    parity: Parity, shows: Sequence[Expected], probes: Sequence[Expected], absent: Sequence[Expected]
) -> str:
    """Return the whole comparison as lines: verdict, name, type, what was expected."""
    wrong: dict[tuple[str, str], list[Disagreement]] = {}
    for found in parity.disagreements:
        wrong.setdefault((found.name, found.type), []).append(found)
    lines = [f"# asked at {shown(parity.asked_at)}: {', '.join(parity.servers)}"]
    for expected in (*shows, *probes, *absent):
        one = expected.one
        said = "; ".join(each.in_a_line() for each in wrong.pop(one.key, []))
        lines.append(f"{said or 'as expected'}\t{one.name}\t{one.type}\t{' | '.join(one.values) or 'none'}")
    lines += [each.in_a_line() for left in wrong.values() for each in left]
    return "\n".join([*lines, ""])
