"""GraphQL analytics, as much as counts what the WAF did: errors come inside HTTP 200.

Only the dataset `firewallEventsAdaptive` of one zone is understood, asked with the variables `zone`, `since`
and `until`; what is selected is not parsed: every field of an event that a query names is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

from runbook.sandbox.vendors.cloudflare.zones import Zones
from runbook.sandbox.world.part import HEX, Answer, Call, Part, seconds_text
from runbook.sandbox.world.state import Doc

DATASET: Final = "firewallEventsAdaptive"
_MOST, _MINUTES = 10_000, 10
_ACTIONS: Final = (*["block"] * 5, "managed_challenge")


class Analytics:
    """Answers POST /graphql."""

    def __init__(self, part: Part, zones: Zones) -> None:
        self._part, self._zones = part, zones

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Call], Answer]]]:
        """Return (method, path below the API, name of the call, handler)."""
        yield "POST", "/graphql", "read_events", self.query

    def block(self) -> None:
        """Let the WAF have acted on each zone: ten requests blocked a minute, two challenged."""
        for zone in self._zones.all():
            for minute in range(_MINUTES):
                for number in range(12):
                    key = self._part.token(16, HEX)
                    event = {
                        "zone": zone["id"],
                        "rayName": key,
                        "datetime": seconds_text(
                            self._part.now - timedelta(seconds=60 * minute + 5 * number + 1)
                        ),
                        "action": _ACTIONS[number % len(_ACTIONS)],
                        "source": "firewallCustom",
                        "clientRequestPath": "/api/search",
                    }
                    self._part.table("events").put(key, event)

    def query(self, call: Call) -> Answer:
        asked = call.json()
        query, variables = (
            (asked.get("query"), asked.get("variables") or {}) if isinstance(asked, dict) else ("", {})
        )
        if DATASET not in str(query):
            return _wrong("unknown field, or none")
        if variables.get("zone") not in [zone["id"] for zone in self._zones.all()]:
            return _wrong("zone " + str(variables.get("zone")) + " is not authorized")
        events = [event for event in self._part.table("events").values() if _within(event, variables)]
        shown = [{name: value for name, value in event.items() if name in str(query)} for event in events]
        zones = [{DATASET: shown[: min(_MOST, int(variables.get("limit") or _MOST))]}]
        return Answer(200, {"data": {"viewer": {"zones": zones}}, "errors": None})


def _within(event: Doc, variables: Doc) -> bool:
    return bool(
        event["zone"] == variables["zone"] and variables["since"] <= event["datetime"] < variables["until"]
    )


def _wrong(words: Any) -> Answer:
    return Answer(200, {"data": None, "errors": [{"message": words, "path": None, "extensions": {}}]})
