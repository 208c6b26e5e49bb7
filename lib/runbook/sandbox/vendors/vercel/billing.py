"""Vercel's bill as FOCUS rows, one JSON object a line: the seat, what was used each day, the plan's credit.

- A day's rows are there six hours after it has ended: what is asked for earlier lacks the last day.
- A row is of one day; the seat's is of the day on which the billing cycle begins, with the month's price.
- Usage is charged and taken back by the credit that Pro includes, until that is used up in its cycle.
- A year at most is told at once.

No traffic is counted for it: a day's usage is seeded, less on weekends; `usage-surge` lets it grow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from runbook.sandbox.vendors.vercel.desk import MOUNT, Desk, no
from runbook.sandbox.world.part import Answer, Call, Route
from runbook.sandbox.world.state import Doc

TOLD_AFTER: Final = timedelta(hours=6)
CYCLE_BEGINS_ON: Final = 4
SEAT_USD, CREDIT_USD, SURGE = 20.0, 20.0, 12.0
_LONGEST: Final = timedelta(days=366)
_DAY: Final = timedelta(days=1)
_SATURDAY: Final = 5
# What is used: (service, unit, units on a weekday, USD for a unit)
_USED: Final = (
    ("Fast Data Transfer", "GB", 1.2, 0.15),
    ("Edge Requests", "requests", 52_000.0, 0.000002),
    ("Fluid Active CPU", "hours", 1.5, 0.128),
)


class Billing(Desk):
    """Answers /v1/billing/charges."""

    def routes(self) -> Iterable[Route]:
        yield Route("GET", f"{MOUNT}/v1/billing/charges", "read_charges", self.charges)

    def play(self, scenario: str) -> None:
        """Begin `charges-missing` or `usage-surge`, today."""
        self.table("bill").put(scenario, {"day": self.now.date().isoformat()})

    def charges(self, call: Call) -> Answer:
        since, until = (_time(call.one(name)) for name in ("from", "to"))
        if since is None or until is None or not since < until or until - since > _LONGEST:
            return no(400, "bad_request", "`from` and `to` must be dates, at most one year apart.")
        rows = [row for day in self._days(since, until) for row in self._rows(day)]
        text = "".join(f"{json.dumps(row)}\n" for row in rows)
        return Answer(200, text, content_type="application/jsonl")

    def _days(self, since: datetime, until: datetime) -> Iterator[date]:
        """Return the days of [since, until) that are told by now."""
        missing = self.table("bill").get("charges-missing", {}).get("day")
        day = since.date()
        while _begins(day) < until and _begins(day) + _DAY + TOLD_AFTER <= self.now:
            if _begins(day) >= since and day.isoformat() != missing:
                yield day
            day += _DAY

    def _rows(self, day: date) -> Iterator[Doc]:
        if day.day == CYCLE_BEGINS_ON:
            yield _row(day, "Pro", "Purchase", SEAT_USD, 1, "seats")
        used = self._used(day)
        for service, unit, units, price_usd in used:
            yield _row(day, service, "Usage", units * price_usd, units, unit)
        credit = min(self._cost(day), max(0.0, CREDIT_USD - self._spent_before(day)))
        if credit > 0:
            yield _row(day, "Pro Included Credit", "Credit", -credit, credit, "USD")

    def _used(self, day: date) -> list[tuple[str, str, float, float]]:
        digest = hashlib.sha256(f"{self.part.world.seed}/vercel/{day}".encode()).digest()
        begun = self.table("bill").get("usage-surge", {}).get("day", "9999")
        factor = (0.6 if day.weekday() >= _SATURDAY else 1.0) * (SURGE if day.isoformat() >= begun else 1.0)
        return [
            (service, unit, round(units * factor * (0.9 + digest[place] / 1275), 3), price_usd)
            for place, (service, unit, units, price_usd) in enumerate(_USED)
        ]

    def _cost(self, day: date) -> float:
        return sum(units * price_usd for _, _, units, price_usd in self._used(day))

    def _spent_before(self, day: date) -> float:
        """Return what was used of the credit in the cycle of a day, before it."""
        begun = day
        while begun.day != CYCLE_BEGINS_ON:
            begun -= _DAY
        return sum(self._cost(begun + number * _DAY) for number in range((day - begun).days))


def _row(day: date, service: str, category: str, cost_usd: float, quantity: float, unit: str) -> Doc:
    return {
        "BilledCost": round(cost_usd, 6),
        "BillingCurrency": "USD",
        "ChargeCategory": category,
        "ChargePeriodStart": f"{day}T00:00:00.000Z",
        "ChargePeriodEnd": f"{day + _DAY}T00:00:00.000Z",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "EffectiveCost": round(cost_usd, 6),
        "PricingCategory": "Standard",
        "PricingCurrency": "USD",
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "ServiceName": service,
        "ServiceProviderName": "Vercel",
        "Tags": {},
    }


def _begins(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
