"""What Supabase charges for besides the plan: add-ons with their prices, as its API lists them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runbook.sandbox.world.state import Doc

MICRO, SMALL, PITR_7 = "ci_micro", "ci_small", "pitr_7"
# id: (type, name, words, type of price, interval, amount in USD)
_VARIANTS: Final = {
    MICRO: ("compute_instance", "Micro", "$10/month (~$0.0134/hour)", "usage", "hourly", 0.01344),
    SMALL: ("compute_instance", "Small", "$15/month (~$0.0206/hour)", "usage", "hourly", 0.0206),
    PITR_7: ("pitr", "7 days", "$100/month (~$0.137/hour)", "usage", "hourly", 0.137),
    "ipv4_default": ("ipv4", "Dedicated IPv4 address", "$4/month (~$0.0055/hour)", "usage", "hourly", 0.0055),
    "cd_default": ("custom_domain", "Custom Domain", "$10/month (~$0.0137/hour)", "usage", "hourly", 0.0137),
}
_TYPES: Final = {
    "compute_instance": "Compute Instance",
    "pitr": "Point in Time Recovery",
    "ipv4": "IPv4 Address",
    "custom_domain": "Custom Domain",
}


def listed(selected: Iterable[str]) -> Doc:
    """Return the reply for a project that has these variants."""
    return {
        "selected_addons": [{"type": _VARIANTS[key][0], "variant": _variant(key)} for key in selected],
        "available_addons": [
            {
                "type": kind,
                "name": name,
                "variants": [_variant(key) for key, found in _VARIANTS.items() if found[0] == kind],
            }
            for kind, name in _TYPES.items()
        ],
    }


def _variant(key: str) -> Doc:
    _, name, words, kind, interval, amount = _VARIANTS[key]
    price = {"description": words, "type": kind, "interval": interval, "amount": amount}
    return {"id": key, "name": name, "price": price, "meta": {}}
