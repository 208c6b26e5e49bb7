"""A month's costs: per service against the plan's breakdown, in all against its total, forecast to its end.

Pure functions of charges. A recurring charge counts in full in each month that it touches. Of others the part
that lies in the month, up to `as_of`, counts, evenly over its stretch; the forecast is what the known time
cost, for the whole month (linear). Time that no charge with a number covers is missing, not free; a service
without a known price is unknown.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Literal

from runbook.costs.charges import Charge, Source, month_bounds
from runbook.plan.organisation import Costs
from runbook.values import Value, html_table

Alert = Literal["none", "warning", "critical", "unknown"]
DAY = timedelta(days=1)
NO_BILL = "no bill was read"
NOTHING_YET = "nothing is told yet"


class ServiceCost(Value):
    """One service in a month; `planned_usd` is None where the plan's breakdown does not have it.

    `known_usd` is what is known by `as_of`, recurring prices in full; `forecast_usd` is of the whole month,
    None while it is unknown, and `why_unknown` says why. `missing_days` are whole days that no bill has.
    """

    service: str
    planned_usd: float | None
    known_usd: float
    forecast_usd: float | None
    sources: tuple[Source, ...]
    missing_days: tuple[date, ...]
    why_unknown: str = ""

    @property
    def over_usd(self) -> float | None:
        """Return how much the forecast is over the plan (negative: under), None when either is not known."""
        if self.planned_usd is None or self.forecast_usd is None:
            return None
        return self.forecast_usd - self.planned_usd

    def cells(self) -> tuple[str, ...]:
        """Return it as a line of a table: service, planned, known, forecast, how we know, what is missing."""
        days = ", ".join(f"{day:%m-%d}" for day in self.missing_days)
        return (
            self.service,
            usd(self.planned_usd, none="not in the plan"),
            usd(self.known_usd),
            usd(self.forecast_usd, none=f"unknown: {self.why_unknown}"),
            ", ".join(self.sources),
            f"no data for {days}" if days else "",
        )


class MonthCosts(Value):
    """A month's costs as they stand at `as_of`.

    The plan's total and its alerts are about the services of the plan's breakdown: `forecast_usd` is theirs,
    at least, if `unknown` names some of them. `beside_usd` is the forecast of services that we pay and the
    plan does not list. `alert` goes by the plan's services, `alert_with_beside` by everything that is paid.
    """

    month: date
    as_of: datetime
    services: tuple[ServiceCost, ...]
    planned_usd: float
    known_usd: float
    forecast_usd: float
    beside_usd: float
    unknown: tuple[str, ...]
    unknown_beside: tuple[str, ...]
    alert: Alert
    alert_with_beside: Alert
    within_tolerance: bool | None

    def of(self, service: str) -> ServiceCost:
        """Return one service's costs; KeyError when it is not there."""
        return {one.service: one for one in self.services}[service]

    def table(self) -> list[tuple[str, ...]]:
        """Return the services as text, and their sum."""
        at_least = "at least " if self.unknown else ""
        total = (
            "the plan's services",
            usd(self.planned_usd),
            at_least + usd(self.known_usd),
            at_least + usd(self.forecast_usd),
            f"unknown: {', '.join(self.unknown)}" if self.unknown else "",
            "",
        )
        return [*(one.cells() for one in self.services), total]

    def rows(self) -> list[tuple[str, str]]:
        """Return it as pairs: each service's forecast, the sums, the alert."""
        lines = [(cells[0], _line(cells)) for cells in self.table()]
        alerts = [("alert", self.alert), ("alert with it", self.alert_with_beside)]
        return [*lines, ("beside the plan", usd(self.beside_usd)), *alerts]

    def _repr_html_(self) -> str:
        head = ("service", "planned", "known so far", "forecast", "how we know", "missing")
        alert = html.escape(
            f"{self.month:%Y-%m}, alert: {self.alert}; with everything: {self.alert_with_beside}"
        )
        return f"<p>{alert}</p>{html_table(self.table(), head=head)}"


def _line(cells: tuple[str, ...]) -> str:
    """Return a line of the table as a sentence: forecast, plan, how we know, what is missing."""
    _, planned, _, forecast, how, missing = cells
    plan = f"plan {planned}" if planned.startswith("$") else planned
    return f"{forecast} ({'; '.join(one for one in (plan, how, missing) if one)})"


def usd(amount: float | None, *, none: str = "unknown") -> str:
    """Return an amount as people read it."""
    if amount is None:
        return none
    cents = round(amount, 2) + 0.0
    return f"-${-cents:,.2f}" if cents < 0 else f"${cents:,.2f}"


def month_costs(
    charges: Iterable[Charge], *, plan: Costs, month: date, as_of: datetime, tolerance_percent: float
) -> MonthCosts:
    """Return the costs of the calendar month that `month` lies in, as known at `as_of`.

    `tolerance_percent` is how far over the plan's total the success criterion lets it be.
    """
    begins, ends = month_bounds(month)
    as_of = min(max(as_of, begins), ends)
    by_service: dict[str, list[Charge]] = {line.service: [] for line in plan.lines}
    for charge in charges:
        by_service.setdefault(charge.service, []).append(charge)
    planned = {line.service: line.cost_usd_per_month for line in plan.lines}
    services = tuple(
        _service(service, found, planned.get(service), (begins, as_of, ends))
        for service, found in by_service.items()
    )
    ours = [one for one in services if one.planned_usd is not None]
    others = [one for one in services if one.planned_usd is None]
    forecast, beside = _forecast(ours), _forecast(others)
    unknown, unknown_beside = _unknown(ours), _unknown(others)
    limit = plan.total_usd_per_month * (1 + tolerance_percent / 100)
    within = False if _over(forecast, limit) else None if unknown else True
    return MonthCosts(
        month=begins.date(),
        as_of=as_of,
        services=services,
        planned_usd=plan.total_usd_per_month,
        known_usd=math.fsum(one.known_usd for one in ours),
        forecast_usd=forecast,
        beside_usd=beside,
        unknown=unknown,
        unknown_beside=unknown_beside,
        alert=_alert(forecast, plan, known=not unknown),
        alert_with_beside=_alert(forecast + beside, plan, known=not unknown and not unknown_beside),
        within_tolerance=within,
    )


def _service(
    service: str, charges: Sequence[Charge], planned: float | None, month: tuple[datetime, datetime, datetime]
) -> ServiceCost:
    begins, as_of, ends = month
    touching = [one for one in charges if one.since < ends and one.until > begins]
    monthly = [one for one in touching if one.recurring]
    usage = [one for one in touching if not one.recurring]
    why = _why_unknown(touching)
    fixed = math.fsum(one.cost_usd or 0.0 for one in monthly)
    so_far = math.fsum(_within(one, begins, as_of) for one in usage)
    told = [one for one in usage if one.cost_usd is not None]
    covered = _union([(max(one.since, begins), min(one.until, as_of)) for one in told])
    known_time = sum((until - since for since, until in covered), timedelta())
    if not why and usage and not known_time:
        why = NOTHING_YET
    whole = so_far * ((ends - begins) / known_time) if known_time else 0.0
    return ServiceCost(
        service=service,
        planned_usd=planned,
        known_usd=fixed + so_far,
        forecast_usd=None if why else fixed + whole,
        sources=tuple(dict.fromkeys(one.source for one in touching)) or ("unknown",),
        missing_days=_missing(covered, begins, as_of) if usage else (),
        why_unknown=why,
    )


def _why_unknown(charges: Sequence[Charge]) -> str:
    if not charges:
        return NO_BILL
    return "; ".join(dict.fromkeys(one.what for one in charges if one.recurring and one.cost_usd is None))


def _within(charge: Charge, begins: datetime, as_of: datetime) -> float:
    """Return the part of a charge that lies in [begins, as_of), evenly over its stretch."""
    since, until = max(charge.since, begins), min(charge.until, as_of)
    if charge.cost_usd is None or until <= since:
        return 0.0
    return charge.cost_usd * ((until - since) / (charge.until - charge.since))


def _union(stretches: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Return stretches that do not overlap, in order."""
    found: list[tuple[datetime, datetime]] = []
    for since, until in sorted(one for one in stretches if one[0] < one[1]):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(until, found[-1][1]))
        else:
            found.append((since, until))
    return found


def _missing(
    covered: Sequence[tuple[datetime, datetime]], begins: datetime, as_of: datetime
) -> tuple[date, ...]:
    """Return the whole days of [begins, as_of) that are not covered from end to end."""
    days = [begins + number * DAY for number in range((as_of - begins) // DAY)]
    return tuple(
        day.date() for day in days if not any(since <= day and day + DAY <= until for since, until in covered)
    )


def _forecast(services: Iterable[ServiceCost]) -> float:
    """Return the sum of forecasts; where there is none, what is known counts: it costs at least that."""
    return math.fsum(one.known_usd if one.forecast_usd is None else one.forecast_usd for one in services)


def _unknown(services: Iterable[ServiceCost]) -> tuple[str, ...]:
    return tuple(one.service for one in services if one.forecast_usd is None)


def _alert(forecast_usd: float, plan: Costs, *, known: bool) -> Alert:
    if _over(forecast_usd, plan.critical_usd_per_month):
        return "critical"
    if _over(forecast_usd, plan.warning_usd_per_month):
        return "warning"
    return "none" if known else "unknown"


def _over(amount_usd: float, limit_usd: float) -> bool:
    """Whether an amount is over a limit, by whole cents: 116.60 is not over 116.60."""
    return round(amount_usd, 2) > round(limit_usd, 2)
