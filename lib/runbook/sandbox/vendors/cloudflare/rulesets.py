"""A zone's WAF and rate limiting rules, by phase.

Sources: docs, ruleset-engine and waf/rate-limiting-rules (Free: one rule, 10 s; Pro: two, a minute; …); a
phase without rules is a 404 (10003); a rule's PATCH takes the whole rule, what is left out becomes the
default; the action `log` is Enterprise only; what 20000 says has no documented code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from runbook.sandbox.vendors.cloudflare.saying_no import NOT_FOUND, Refusal, no_such_object, success
from runbook.sandbox.vendors.cloudflare.zones import Zones
from runbook.sandbox.world.part import HEX, Answer, Call, Part, seconds_text
from runbook.sandbox.world.state import Doc, Table

PHASES: Final = ("http_request_firewall_custom", "http_request_firewall_managed", "http_ratelimit")
RATE_LIMITS: Final = {
    "free": (1, 10, 10),
    "pro": (2, 60, 3_600),
    "business": (5, 600, 86_400),
    "enterprise": (100, 65_535, 86_400),
}
"""How many rate limiting rules a plan has, their longest period and timeout in seconds."""

_PERIODS: Final = (
    10,
    15,
    20,
    30,
    40,
    45,
    60,
    90,
    120,
    180,
    240,
    300,
    480,
    600,
    900,
    1_200,
    1_800,
    2_400,
    3_600,
)
_ACTIONS: Final = ("block", "challenge", "js_challenge", "managed_challenge", "log", "skip", "execute")
_KEPT: Final = (
    "action",
    "expression",
    "description",
    "enabled",
    "ref",
    "action_parameters",
    "ratelimit",
    "logging",
)
_DATA_CENTRE: Final = "cf.colo.id"


class Rulesets:
    """Answers /zones/{zone_id}/rulesets."""

    def __init__(self, part: Part, zones: Zones) -> None:
        self._part, self._zones = part, zones

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Call], Answer]]]:
        """Return (method, path below the API, name of the call, handler)."""
        here = "/zones/{zone_id}/rulesets"
        entrypoint = here + "/phases/{phase}/entrypoint"
        yield "GET", entrypoint, "read_entrypoint", self.entrypoint
        yield "PUT", entrypoint, "overwrite_entrypoint", self.overwrite
        yield "POST", here + "/{ruleset_id}/rules", "create_rule", self.add
        yield "PATCH", here + "/{ruleset_id}/rules/{rule_id}", "change_rule", self.change
        yield "DELETE", here + "/{ruleset_id}/rules/{rule_id}", "delete_rule", self.remove

    # Calls

    def entrypoint(self, call: Call) -> Answer:
        zone, phase = self._zones.of(call), call.args["phase"]
        found = self._of(zone, phase)
        if found is None:
            raise Refusal(10003, f"could not find entrypoint ruleset in the {phase} phase", status=NOT_FOUND)
        return success(_shown(found))

    def overwrite(self, call: Call) -> Answer:
        """Replace all rules of a phase; the first time makes its ruleset."""
        zone, phase = self._zones.of(call), call.args["phase"]
        if phase not in PHASES:
            raise Refusal(20000, f"unknown phase {phase}")
        found = self._of(zone, phase)
        if found is None:
            key = self._part.token(32, HEX)
            found = {"id": key, "zone": zone["id"], "phase": phase, "version": 0, "rules": []}
        old = {rule["id"]: rule for rule in found["rules"]}
        rules = [self._rule(asked, old.get(str(asked.get("id")))) for asked in _rules(call.json())]
        return self._keep(zone, found, rules)

    def add(self, call: Call) -> Answer:
        zone, found = self._called(call)
        return self._keep(zone, found, [*found["rules"], self._rule(_object(call.json()), None)])

    def change(self, call: Call) -> Answer:
        zone, found = self._called(call)
        old = _rule_of(found, call)
        new = self._rule(_object(call.json()), old)
        return self._keep(zone, found, [new if rule is old else rule for rule in found["rules"]])

    def remove(self, call: Call) -> Answer:
        zone, found = self._called(call)
        old = _rule_of(found, call)
        return self._keep(zone, found, [rule for rule in found["rules"] if rule is not old])

    # What is kept

    def _keep(self, zone: Doc, found: Doc, rules: list[Doc]) -> Answer:
        _judge(found["phase"], zone["plan"], rules)
        made = {
            **found,
            "rules": rules,
            "version": found["version"] + 1,
            "updated": seconds_text(self._part.now),
        }
        self._table().put(found["id"], made)
        return success(_shown(made))

    def _rule(self, asked: Doc, old: Doc | None) -> Doc:
        """Return a rule as asked, what is left out at its default; an old one keeps id and counts on."""
        if asked.get("action") not in _ACTIONS or not asked.get("expression"):
            raise Refusal(20000, "a rule needs an action and an expression")
        key = old["id"] if old else self._part.token(32, HEX)
        made = {name: asked[name] for name in _KEPT if asked.get(name) is not None}
        return {
            "description": "",
            "enabled": True,
            "ref": old["ref"] if old else key,
            **made,
            "id": key,
            "version": str(int(old["version"]) + 1) if old else "1",
            "last_updated": seconds_text(self._part.now),
        }

    def _of(self, zone: Doc, phase: str) -> Doc | None:
        mine = [found for found in self._table().values() if found["zone"] == zone["id"]]
        return next((found for found in mine if found["phase"] == phase), None)

    def _called(self, call: Call) -> tuple[Doc, Doc]:
        zone = self._zones.of(call)
        found = self._table().get(call.args["ruleset_id"])
        if found is None or found["zone"] != zone["id"]:
            raise no_such_object()
        return zone, found

    def _table(self) -> Table:
        return self._part.table("rulesets")


def _judge(phase: str, plan: str, rules: list[Doc]) -> None:
    """Refuse rules that a zone's plan does not have."""
    if plan != "enterprise" and any(rule["action"] == "log" for rule in rules):
        raise Refusal(20000, "not entitled: the log action is only available on Enterprise plans")
    if phase != "http_ratelimit":
        return
    most, period_s, timeout_s = RATE_LIMITS[plan]
    if len(rules) > most:
        raise Refusal(20000, f"exceeded maximum number of rules in the phase {phase}: {most}")
    for rule in rules:
        limit = rule.get("ratelimit") or {}
        if _DATA_CENTRE not in limit.get("characteristics", ()):
            raise Refusal(20000, f"ratelimit.characteristics must contain {_DATA_CENTRE}")
        if limit.get("period") not in _PERIODS or limit["period"] > period_s:
            raise Refusal(20000, f"not entitled: a period of {limit.get('period')} s")
        if limit.get("mitigation_timeout", 0) > timeout_s:
            raise Refusal(20000, f"not entitled: a timeout of {limit['mitigation_timeout']} s")


def _rule_of(found: Doc, call: Call) -> Doc:
    rules: list[Doc] = [rule for rule in found["rules"] if rule["id"] == call.args["rule_id"]]
    if not rules:
        raise no_such_object()
    return rules[0]


def _object(asked: Any) -> Doc:
    if not isinstance(asked, dict):
        raise Refusal(20000, "the body is no rule")
    return asked


def _rules(asked: Any) -> list[Doc]:
    rules = asked.get("rules") if isinstance(asked, dict) else None
    if not isinstance(rules, list):
        raise Refusal(20000, "the body needs rules")
    return [_object(rule) for rule in rules]


def _shown(found: Doc) -> Doc:
    return {
        "id": found["id"],
        "name": "default",
        "description": "",
        "kind": "zone",
        "phase": found["phase"],
        "version": str(found["version"]),
        "last_updated": found["updated"],
        "rules": found["rules"],
    }
