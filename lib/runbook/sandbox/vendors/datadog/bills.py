"""Datadog's estimated cost: by day and product, up to three days late, for this month and the last one.

A day's cost is there 72 hours after it has begun: a host's, logs', sessions'; seeded, by the week.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from runbook.sandbox.world.part import Answer, Call, Part
from runbook.sandbox.world.state import Doc

TOLD_AFTER: Final = timedelta(hours=72)
RFC3339: Final = "application/json;datetime-format=rfc3339"
_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
# (product, USD on a weekday, how much of it on a weekend)
_PRODUCTS: Final = (("infra_host", 0.50, 1.0), ("logs_indexed_15day", 0.26, 0.7), ("rum", 0.22, 0.6))


def estimated(part: Part, call: Call) -> Answer:
    """Answer GET /api/v2/usage/estimated_cost, asked by `start_date` and `end_date`."""
    try:
        since, until = (datetime.fromisoformat(call.one(name)).date() for name in ("start_date", "end_date"))
    except ValueError:
        return Answer(400, {"errors": ["start_date and end_date must be dates"]}, content_type=RFC3339)
    first = part.now.date().replace(day=1)
    if since < (first - _DAY).replace(day=1):
        words = "estimated cost is available for the current and the previous month only"
        return Answer(400, {"errors": [words]}, content_type=RFC3339)
    return Answer(200, {"data": list(_days(part, since, until))}, content_type=RFC3339)


def _days(part: Part, since: date, until: date) -> Iterator[Doc]:
    day = since
    while day < until and datetime.combine(day, time(), UTC) + TOLD_AFTER <= part.now:
        costs = costs_on(day, part.world.seed)
        charges = [
            {"product_name": name, "charge_type": "on_demand", "cost": cost} for name, cost in costs.items()
        ]
        attributes = {
            "org_name": "OmniHub",
            "public_id": "omnihub",
            "account_name": "OmniHub",
            "region": "us",
            "date": f"{day}T00:00:00Z",
            "total_cost": round(sum(costs.values()), 4),
            "charges": charges,
        }
        yield {"id": f"{day}", "type": "cost_by_org", "attributes": attributes}
        day += _DAY


def costs_on(day: date, seed: str) -> dict[str, float]:
    """Return what each product costs on a day, in USD."""
    digest = hashlib.sha256(f"{seed}/datadog/{day}".encode()).digest()
    weekend = day.weekday() >= _SATURDAY
    return {
        name: round(usd * (share if weekend else 1.0) * (0.95 + digest[place] / 2550), 4)
        for place, (name, usd, share) in enumerate(_PRODUCTS)
    }
