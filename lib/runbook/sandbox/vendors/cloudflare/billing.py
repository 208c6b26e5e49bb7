"""Cloudflare's bill: subscriptions with their price, and usage that is paid as it goes, a day after it.

- A subscription is a zone's paid plan, monthly, from the twelfth; an account without one has an empty list.
- Usage is told a day late, and only for a range that holds the day on which the billing month begins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from runbook.sandbox.vendors.cloudflare.saying_no import FORBIDDEN, Refusal, failure, success
from runbook.sandbox.vendors.cloudflare.zones import PLANS, Zones
from runbook.sandbox.world.part import Answer, Call, Part, seconds_text
from runbook.sandbox.world.state import Doc

ANCHOR_DAY: Final = 12
TOLD_AFTER: Final = timedelta(days=1)
LOOKUPS_A_DAY, USD_PER_LOOKUP = 24_000, 0.5 / 500_000
_DAY: Final = timedelta(days=1)


class Billing:
    """Answers for the account's subscriptions and usage."""

    def __init__(self, part: Part, zones: Zones, account: str) -> None:
        self._part, self._zones, self._account = part, zones, account

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Call], Answer]]]:
        """Return (method, path below the API, name of the call, handler)."""
        yield "GET", "/accounts/{account_id}/subscriptions", "read_subscriptions", self.subscriptions
        yield "GET", "/accounts/{account_id}/billable/usage", "read_billable_usage", self.usage

    def subscriptions(self, call: Call) -> Answer:
        if call.args["account_id"] != self._account:
            return failure(FORBIDDEN)
        return success([self._subscription(zone) for zone in self._paid()])

    def usage(self, call: Call) -> Answer:
        if call.args["account_id"] != self._account:
            return failure(FORBIDDEN)
        try:
            since, until = (datetime.fromisoformat(call.one(name)) for name in ("from", "to"))
        except ValueError as error:
            raise Refusal(1004, "from and to must be dates") from error
        days = [since.date() + number * _DAY for number in range((until - since) // _DAY)]
        if all(day.day != ANCHOR_DAY for day in days):
            raise Refusal(1004, "the range must include the first day of a billing period")
        told = [
            day for day in days if datetime.combine(day, time(), UTC) + _DAY + TOLD_AFTER <= self._part.now
        ]
        return success([self._row(zone, day) for zone in self._paid() for day in told])

    def _paid(self) -> list[Doc]:
        return [zone for zone in self._zones.all() if PLANS[zone["plan"]].price_usd]

    def _subscription(self, zone: Doc) -> Doc:
        plan, begun = PLANS[zone["plan"]], self._period_of(self._part.now.date())
        return {
            "id": zone["plan_id"],
            "state": "Paid",
            "price": plan.price_usd,
            "currency": "USD",
            "frequency": "monthly",
            "current_period_start": seconds_text(begun),
            "current_period_end": seconds_text(self._period_of((begun + 32 * _DAY).date())),
            "rate_plan": {
                "id": zone["plan"],
                "public_name": plan.name,
                "currency": "USD",
                "scope": "zone",
                "is_contract": False,
                "externally_managed": False,
                "sets": [],
            },
            "zone": {"id": zone["id"], "name": zone["name"]},
        }

    def _row(self, zone: Doc, day: date) -> Doc:
        cost = round(LOOKUPS_A_DAY * USD_PER_LOOKUP, 6)
        return {
            "BillingAccountId": self._account,
            "BillingCurrency": "USD",
            "BillingPeriodStart": seconds_text(self._period_of(day)),
            "ChargeCategory": "Usage",
            "ChargePeriodStart": f"{day}T00:00:00Z",
            "ChargePeriodEnd": f"{day + _DAY}T00:00:00Z",
            "ConsumedUnit": "lookups",
            "PricingUnit": "lookups",
            "ServiceName": "Load Balancing DNS queries",
            "ZoneId": zone["id"],
            "ZoneName": zone["name"],
            "BilledCost": 0.0,
            "ContractedCost": cost,
            "ConsumedQuantity": LOOKUPS_A_DAY,
            "PricingQuantity": LOOKUPS_A_DAY,
        }

    @staticmethod
    def _period_of(day: date) -> datetime:
        """Return when the billing period of a day began."""
        first = day if day.day >= ANCHOR_DAY else day.replace(day=1) - _DAY
        return datetime.combine(first.replace(day=ANCHOR_DAY), time(), UTC)
