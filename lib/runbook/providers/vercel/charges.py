"""Vercel's bill: FOCUS rows of a day each, one JSON object a line, brought to charges.

A row of the category Purchase is a month's price (the seat), on the day its cycle begins; the others are what
the day cost, credits less than nothing. The last day comes hours after it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, Literal

from pydantic import AwareDatetime

from runbook.clock import utc_text
from runbook.costs.charges import Charge, month_before, month_bounds
from runbook.providers.dialect import Reply
from runbook.providers.shape import Shape, parsed
from runbook.providers.vercel.api import VENDOR, open_api
from runbook.step import Step

SERVICE: Final = "Vercel"
PURCHASE: Final = "Purchase"


class _Row(Shape):
    BilledCost: float
    BillingCurrency: Literal["USD"]
    ChargeCategory: str
    ChargePeriodStart: AwareDatetime
    ChargePeriodEnd: AwareDatetime
    ServiceName: str


def read_charges(step: Step, *, month: date) -> tuple[Charge, ...]:
    """Return what Vercel bills for a month, up to now; a stretch without any row is told as such.

    The month before is read too: a price that was paid in it is still in force.
    """
    begins, ends = month_bounds(month)
    until = min(step.clock.now(), ends)
    before, _ = month_bounds(month_before(month))
    query = {"from": utc_text(before), "to": utc_text(max(until, begins))}
    with open_api(step) as api:
        reply = api.http.exchange(
            "read_charges", "GET", "/v1/billing/charges", query={**query, "teamId": api.team}
        )
    rows = _rows(reply)
    usage = [
        _charge(row) for row in rows if row.ChargeCategory != PURCHASE and row.ChargePeriodStart >= begins
    ]
    if not usage and until > begins:
        words = "usage, of which Vercel tells nothing yet"
        usage = [
            Charge(service=SERVICE, what=words, cost_usd=None, since=begins, until=until, source="unknown")
        ]
    return (*_in_force(rows), *usage)


def _rows(reply: Reply) -> list[_Row]:
    lines = [line for line in reply.content.splitlines() if line.strip()]
    return [parsed(line, _Row, vendor=VENDOR, call="read_charges") for line in lines]


def _in_force(rows: Iterable[_Row]) -> list[Charge]:
    """Return the newest of each price; those of one day add up, since there may be several seats."""
    bought = [row for row in rows if row.ChargeCategory == PURCHASE]
    newest = {
        row.ServiceName: row.ChargePeriodStart for row in sorted(bought, key=lambda r: r.ChargePeriodStart)
    }
    return [
        Charge(
            service=SERVICE,
            what=row.ServiceName,
            cost_usd=row.BilledCost,
            since=row.ChargePeriodStart,
            until=row.ChargePeriodStart + timedelta(days=62),  # until the next one is seen
            source="billed",
            recurring=True,
        )
        for row in bought
        if row.ChargePeriodStart == newest[row.ServiceName]
    ]


def _charge(row: _Row) -> Charge:
    return Charge(
        service=SERVICE,
        what=row.ServiceName,
        cost_usd=row.BilledCost,
        since=row.ChargePeriodStart,
        until=row.ChargePeriodEnd,
        source="billed",
    )
