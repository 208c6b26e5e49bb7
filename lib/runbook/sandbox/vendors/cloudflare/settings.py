"""A zone's settings, one by one: those that decide how a site behaves behind the edge."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from runbook.sandbox.vendors.cloudflare.saying_no import Refusal, success
from runbook.sandbox.vendors.cloudflare.zones import Zones
from runbook.sandbox.world.part import Answer, Call, Part, seconds_text
from runbook.sandbox.world.state import Doc

DEFAULTS: Final = {
    "ssl": ("full", ("off", "flexible", "full", "strict")),
    "always_use_https": ("off", ("on", "off")),
    "min_tls_version": ("1.0", ("1.0", "1.1", "1.2", "1.3")),
    "cname_flattening": ("flatten_at_root", ("flatten_at_root", "flatten_all")),
    "http3": ("on", ("on", "off")),
    "security_level": ("medium", ("off", "essentially_off", "low", "medium", "high", "under_attack")),
}
"""What a new zone has, and what there is."""

_PAID: Final = {"cname_flattening": "flatten_all"}


class Settings:
    """Answers /zones/{zone_id}/settings/{setting_id}; the list of all of them is gone from the API."""

    def __init__(self, part: Part, zones: Zones) -> None:
        self._part, self._zones = part, zones

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Call], Answer]]]:
        """Return (method, path below the API, name of the call, handler)."""
        here = "/zones/{zone_id}/settings/{setting_id}"
        yield "GET", here, "read_setting", self.one
        yield "PATCH", here, "change_setting", self.change

    def one(self, call: Call) -> Answer:
        zone, name = self._zones.of(call), _known(call)
        kept = self._part.table("settings").get(f"{zone['id']} {name}")
        return success(_shown(name, kept or {"value": DEFAULTS[name][0], "at": None}))

    def change(self, call: Call) -> Answer:
        zone, name = self._zones.of(call), _known(call)
        asked = call.json()
        value = asked.get("value") if isinstance(asked, dict) else None
        if value not in DEFAULTS[name][1]:
            raise Refusal(1007, f"Invalid value for zone setting {name}")
        if zone["plan"] == "free" and _PAID.get(name) == value:
            raise Refusal(1006, f"Changing {name} is not allowed on this plan")
        doc = {"value": value, "at": seconds_text(self._part.now)}
        return success(_shown(name, self._part.table("settings").put(f"{zone['id']} {name}", doc)))


def _known(call: Call) -> str:
    name = call.args["setting_id"]
    if name not in DEFAULTS:
        raise Refusal(1003, f"Unrecognized zone setting name {name}")
    return name


def _shown(name: str, kept: Doc) -> Doc:
    return {"id": name, "value": kept["value"], "editable": True, "modified_on": kept["at"]}
