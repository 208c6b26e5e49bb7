"""Datadog's bill: its estimate by the day, up to three days late, told for this month and the last one.

Only the parent organisation's keys may read it. The invoice follows by the middle of the next month.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from pydantic import AwareDatetime

from runbook.clock import utc_text
from runbook.costs.charges import Charge, month_before, month_bounds, unknown
from runbook.providers.connect import connect
from runbook.providers.datadog.api import API
from runbook.providers.shape import Shape
from runbook.step import Step

SERVICE: Final = "Datadog"


class _Product(Shape):
    product_name: str
    cost: float
    charge_type: str


class _Attributes(Shape):
    date: AwareDatetime
    charges: tuple[_Product, ...]


class _Day(Shape):
    attributes: _Attributes


class _Days(Shape):
    data: tuple[_Day, ...]


def read_charges(step: Step, *, month: date) -> tuple[Charge, ...]:
    """Return what Datadog estimates for a month, by day and product, up to what it tells by now."""
    now = step.clock.now()
    begins, ends = month_bounds(month)
    earliest, _ = month_bounds(month_before(now.date()))
    if not earliest <= begins <= now:
        return (unknown(SERVICE, "Datadog tells this month and the last one only", month=month),)
    until = min(now, ends)
    with connect(step, API) as http:
        found = http.call(
            "read_estimated_cost",
            "GET",
            "/api/v2/usage/estimated_cost",
            query={"view": "summary", "start_date": utc_text(begins), "end_date": utc_text(until)},
            into=_Days,
        )
    return tuple(_charges(found)) or (_nothing_yet(begins, until),)


def _charges(found: _Days) -> list[Charge]:
    """Return a charge for each product of each day; a line of the type `total` sums others up."""
    return [
        Charge(
            service=SERVICE,
            what=product.product_name,
            cost_usd=product.cost,
            since=day.attributes.date,
            until=day.attributes.date + timedelta(days=1),
            source="billed",
        )
        for day in found.data
        for product in day.attributes.charges
        if product.charge_type != "total"
    ]


def _nothing_yet(begins: datetime, until: datetime) -> Charge:
    words = "usage, of which Datadog tells nothing yet"
    return Charge(service=SERVICE, what=words, cost_usd=None, since=begins, until=until, source="unknown")
