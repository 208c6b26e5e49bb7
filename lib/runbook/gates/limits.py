"""How much one plan may change: the environment's limits against what a plan counts."""

from __future__ import annotations

from collections.abc import Mapping

from runbook.errors import OverLimit


def require_within(title: str, amounts: Mapping[str, float], limits: Mapping[str, float]) -> None:
    """Raise OverLimit when a plan changes more of something than its limit."""
    over = [
        f"{amounts[name]:g} {name}, at most {limit:g} are allowed"
        for name, limit in limits.items()
        if amounts.get(name, 0.0) > limit
    ]
    if over:
        raise OverLimit(
            f"“{title}” would change {'; '.join(over)}. Nothing was done. Split the plan, "
            "or raise gates.limits in environment.yaml where that is what you want"
        )
