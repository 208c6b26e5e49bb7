"""One charge, as every vendor's bill is brought to it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Literal

from runbook.values import Value

Source = Literal["billed", "usage", "declared", "unknown"]


class Charge(Value):
    """What a service costs for a stretch of time [since, until).

    `service` is the plan's word for it, `what` the vendor's for the thing. `source` says how we know:
    *billed* is money that the vendor tells; *usage* its price times what is used; *declared* our own
    constant; *unknown* is not known, and `cost_usd` is None, never 0. `recurring`: it is the price of a whole
    month, not of the stretch. One that is not recurring and has no cost says that the vendor tells nothing of
    that stretch.
    """

    service: str
    what: str
    cost_usd: float | None
    since: datetime
    until: datetime
    source: Source
    recurring: bool = False


def unknown(service: str, what: str, *, month: date) -> Charge:
    """Return a charge of which nothing is known; `what` says why."""
    since, until = month_bounds(month)
    return Charge(
        service=service, what=what, cost_usd=None, since=since, until=until, source="unknown", recurring=True
    )


def month_bounds(month: date) -> tuple[datetime, datetime]:
    """Return [begin, end) of the calendar month that a day lies in, UTC."""
    first = month.replace(day=1)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return datetime.combine(first, time(), UTC), datetime.combine(after, time(), UTC)


def month_before(month: date) -> date:
    """Return the first day of the month before the one that a day lies in."""
    first = month.replace(day=1)
    return first.replace(year=first.year - (first.month == 1), month=(first.month - 2) % 12 + 1)
