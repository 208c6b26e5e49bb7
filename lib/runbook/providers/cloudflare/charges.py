"""Cloudflare's bill: subscriptions with their price, and usage that is paid as it goes, as charges."""

from __future__ import annotations

from datetime import date
from typing import Final, Literal

from pydantic import AwareDatetime

from runbook.clock import utc_text
from runbook.costs.charges import Charge, month_before, month_bounds
from runbook.providers.cloudflare.dialect import API, One
from runbook.providers.connect import connect, vendor_id
from runbook.providers.http import Http
from runbook.providers.shape import Shape
from runbook.step import Step

SERVICE: Final = "Cloudflare"
_MONTHS: Final = {"weekly": 12 / 52, "monthly": 1.0, "quarterly": 3.0, "yearly": 12.0}
_NOT_PAID: Final = frozenset({"Cancelled", "Failed", "Expired"})


class _RatePlan(Shape):
    public_name: str


class _Subscription(Shape):
    price: float
    currency: Literal["USD"]
    frequency: Literal["weekly", "monthly", "quarterly", "yearly"]
    state: str
    rate_plan: _RatePlan


_Subscriptions = One[tuple[_Subscription, ...]]


class _Usage(Shape):
    BillingCurrency: Literal["USD"]
    ChargePeriodStart: AwareDatetime
    ChargePeriodEnd: AwareDatetime
    ServiceName: str
    BilledCost: float
    ContractedCost: float | None = None


def read_charges(step: Step, *, month: date) -> tuple[Charge, ...]:
    """Return what Cloudflare charges for a month, up to now: prices for a whole month, usage by the day.

    An account that pays for no subscription is told as a charge of 0. Usage comes a day late.
    """
    account = vendor_id(step, "cloudflare", "account")
    begins, ends = month_bounds(month)
    with connect(step, API) as http:
        path = "/accounts/{account_id}/subscriptions"
        found = http.call(
            "read_subscriptions",
            "GET",
            path,
            args={"account_id": account},
            into=One[tuple[_Subscription, ...]],
        ).result
        used = _read_usage(http, step, account, month)
    paid = [one for one in found if one.state not in _NOT_PAID]
    prices = [(one.rate_plan.public_name, one.price / _MONTHS[one.frequency]) for one in paid]
    usage = [_usage(one) for one in used if begins <= one.ChargePeriodStart < ends]
    return (
        *(
            Charge(
                service=SERVICE,
                what=what,
                cost_usd=price,
                since=begins,
                until=ends,
                source="billed",
                recurring=True,
            )
            for what, price in prices or [("no subscription", 0.0)]
        ),
        *usage,
    )


def _read_usage(http: Http, step: Step, account: str, month: date) -> tuple[_Usage, ...]:
    """Read the usage of this month and the one before: the range must hold a billing month's first day."""
    before, _ = month_bounds(month_before(month))
    _, ends = month_bounds(month)
    until = max(min(step.clock.now(), ends), month_bounds(month)[0])
    return http.call(
        "read_billable_usage",
        "GET",
        "/accounts/{account_id}/billable/usage",
        args={"account_id": account},
        query={"from": utc_text(before), "to": utc_text(until)},
        into=One[tuple[_Usage, ...]],
    ).result


def _usage(row: _Usage) -> Charge:
    return Charge(
        service=SERVICE,
        what=row.ServiceName,
        cost_usd=row.BilledCost if row.ContractedCost is None else row.ContractedCost,
        since=row.ChargePeriodStart,
        until=row.ChargePeriodEnd,
        source="billed",
    )
