"""WAF and rate limiting rules by phase, and what the WAF did.

A phase without rules is a 404 to Cloudflare and an empty list here. A rule's PATCH takes the whole rule, so
it is read, changed and sent back. `http_ratelimit` on Free: one rule, 10 seconds; the action `log` needs
Enterprise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import ConfigDict

from runbook.errors import InputError, SurprisingReply, VendorRefused
from runbook.providers.cloudflare.dialect import API, One, settle
from runbook.providers.cloudflare.zones import Zone
from runbook.providers.connect import connect
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step
from runbook.values import Value

Phase = Literal["http_request_firewall_custom", "http_request_firewall_managed", "http_ratelimit"]
_NO_RULES: Final = "10003"
_EVENTS_MOST: Final = 10_000
_ENTRYPOINT: Final = "/zones/{zone}/rulesets/phases/{phase}/entrypoint"
_OWN: Final = ("version", "last_updated", "categories")
_QUERY: Final = """
query ($zone: String!, $since: Time!, $until: Time!, $limit: Int!) {
  viewer { zones(filter: {zoneTag: $zone}) {
    firewallEventsAdaptive(
      filter: {datetime_geq: $since, datetime_lt: $until}, limit: $limit, orderBy: [datetime_ASC]
    ) { action datetime }
  } }
}"""


class RateLimit(Value):
    """How often, counted by what, stopped for how long; counts are per data centre and lag seconds."""

    characteristics: tuple[str, ...]
    period_s: int
    requests_per_period: int
    mitigation_timeout_s: int


class Rule(Value):
    """A rule of a phase; `ref` is our name for it, kept through every change."""

    id: str
    ref: str
    action: str
    expression: str
    description: str
    enabled: bool
    rate_limit: RateLimit | None


class ActionCount(Value):
    """How often the WAF took an action."""

    action: str
    count: int


class _RateLimit(Shape):
    characteristics: tuple[str, ...]
    period: int
    requests_per_period: int
    mitigation_timeout: int


class _Rule(Shape):
    """A rule with all its fields: it is sent back whole."""

    model_config = ConfigDict(extra="allow")

    id: str
    ref: str
    action: str
    expression: str
    description: str = ""
    enabled: bool = True
    ratelimit: _RateLimit | None = None


class _Ruleset(Shape):
    id: str
    rules: tuple[_Rule, ...] = ()


class _Event(Shape):
    action: str


class _Events(Shape):
    firewallEventsAdaptive: tuple[_Event, ...]  # noqa: N815  # GraphQL's name


class _Zones(Shape):
    zones: tuple[_Events, ...]


class _Viewer(Shape):
    viewer: _Zones


class _Answer(Shape):
    data: _Viewer


def read_rules(step: Step, zone: Zone, *, phase: Phase) -> tuple[Rule, ...]:
    """Return the rules of a phase in their order; none when the phase has no ruleset yet."""
    with connect(step, API) as http:
        found = _entrypoint(http, zone, phase)
    return tuple(_rule(one) for one in found.rules) if found else ()


def apply_rule_enabled(step: Step, zone: Zone, *, phase: Phase, ref: str, enabled: bool) -> Rule:
    """Switch a rule on or off; InputError when the phase has none of that ref."""
    with connect(step, API) as http:
        held: tuple[_Ruleset, _Rule] | None = None

        def look() -> Rule | None:
            nonlocal held
            found = _entrypoint(http, zone, phase)
            rules = [one for one in found.rules if one.ref == ref] if found else []
            if found is None or not rules:
                raise InputError(
                    f"{zone.name} has no rule {ref!r} in {phase}; `read_rules` shows those there are"
                )
            held = found, rules[0]
            return _rule(rules[0]) if rules[0].enabled == enabled else None

        def act() -> None:
            if held is not None:
                body = {**_body(held[1]), "enabled": enabled}
                path = "/zones/{zone}/rulesets/{ruleset}/rules/{rule}"
                args = {"zone": zone.id, "ruleset": held[0].id, "rule": held[1].id}
                http.call("change_rule", "PATCH", path, args=args, json=body, into=One[_Ruleset], once=False)

        return settle(look, act, call="change_rule")


def apply_rule(
    step: Step,
    zone: Zone,
    *,
    phase: Phase,
    ref: str,
    action: str,
    expression: str,
    description: str = "",
    enabled: bool = True,
    rate_limit: RateLimit | None = None,
) -> Rule:
    """Have a rule of that ref last in its phase, as given; the phase's other rules are sent back as they are.

    All rules of a phase go in one call, which may be repeated; a rule somebody else adds in that same moment
    would be lost.
    """
    wanted = {"ref": ref, "action": action, "expression": expression, "description": description}
    body = {**wanted, "enabled": enabled, **_rate_limit_body(rate_limit)}
    with connect(step, API) as http:
        others: list[dict[str, Any]] = []

        def look() -> Rule | None:
            nonlocal others
            found = _entrypoint(http, zone, phase)
            rules = found.rules if found else ()
            others = [_body(one) for one in rules if one.ref != ref]
            last = _rule(rules[-1]) if rules else None
            same = last is not None and _is_as(last, body, rate_limit)
            return last if same else None

        return settle(
            look, _overwrite(http, zone, phase, lambda: [*others, body]), call="overwrite_entrypoint"
        )


def read_firewall_events(
    step: Step, zone: Zone, *, since: datetime, until: datetime
) -> tuple[ActionCount, ...]:
    """Return what the WAF did in [since, until), by action; more than 10,000 events are SurprisingReply."""
    times = {"since": _utc(since), "until": _utc(until)}
    asked = {"query": _QUERY, "variables": {"zone": zone.id, "limit": _EVENTS_MOST, **times}}
    with connect(step, API) as http:
        found = http.call("read_events", "POST", "/graphql", json=asked, into=_Answer, once=False)
    actions = [event.action for one in found.data.viewer.zones for event in one.firewallEventsAdaptive]
    if len(actions) >= _EVENTS_MOST:
        raise SurprisingReply(
            f"cloudflare read_events: {_EVENTS_MOST} events and perhaps more; ask for a shorter time",
            vendor="cloudflare",
            call="read_events",
        )
    counts = sorted(Counter(actions).items())
    return tuple(ActionCount(action=action, count=count) for action, count in counts)


def _entrypoint(http: Http, zone: Zone, phase: Phase) -> _Ruleset | None:
    args = {"zone": zone.id, "phase": phase}
    try:
        return http.call("read_entrypoint", "GET", _ENTRYPOINT, args=args, into=One[_Ruleset]).result
    except VendorRefused as error:
        if error.code != _NO_RULES:
            raise
        return None


def _overwrite(
    http: Http, zone: Zone, phase: Phase, rules: Callable[[], list[dict[str, Any]]]
) -> Callable[[], None]:
    def act() -> None:
        args = {"zone": zone.id, "phase": phase}
        http.call(
            "overwrite_entrypoint", "PUT", _ENTRYPOINT, args=args, json={"rules": rules()}, into=One[_Ruleset]
        )

    return act


def _body(rule: _Rule) -> dict[str, Any]:
    """Return a rule as it is sent back: all but what Cloudflare writes itself."""
    return {k: v for k, v in rule.model_dump(mode="json").items() if k not in _OWN and v is not None}


def _rule(found: _Rule) -> Rule:
    limit = found.ratelimit
    return Rule(
        id=found.id,
        ref=found.ref,
        action=found.action,
        expression=found.expression,
        description=found.description,
        enabled=found.enabled,
        rate_limit=None
        if limit is None
        else RateLimit(
            characteristics=limit.characteristics,
            period_s=limit.period,
            requests_per_period=limit.requests_per_period,
            mitigation_timeout_s=limit.mitigation_timeout,
        ),
    )


def _is_as(rule: Rule, body: dict[str, Any], rate_limit: RateLimit | None) -> bool:
    fields = ("ref", "action", "expression", "description", "enabled")
    return rule.rate_limit == rate_limit and all(getattr(rule, name) == body[name] for name in fields)


def _rate_limit_body(limit: RateLimit | None) -> dict[str, Any]:
    if limit is None:
        return {}
    return {
        "ratelimit": {
            "characteristics": list(limit.characteristics),
            "period": limit.period_s,
            "requests_per_period": limit.requests_per_period,
            "mitigation_timeout": limit.mitigation_timeout_s,
        }
    }


def _utc(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
