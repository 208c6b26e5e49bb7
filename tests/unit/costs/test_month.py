"""A month's costs: held against an independent computation, hour by hour, with exact numbers."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.costs import Charge, month_bounds, month_costs
from runbook.costs.charges import month_before, unknown
from runbook.journal.codec import decode, encode
from runbook.plan import load_plan

PLAN = load_plan(Path(__file__).parents[3]).costs
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SERVICES = [line.service for line in PLAN.lines]
DECEMBER = date(2026, 12, 1)
BEGINS, ELEVENTH = datetime(2026, 12, 1, tzinfo=UTC), datetime(2026, 12, 11, tzinfo=UTC)
MONTHS = [DECEMBER, date(2027, 2, 1), date(2026, 11, 30)]


def at(day, hour=0, month=12):
    return datetime(2026, month, day, hour, tzinfo=UTC)


def usage(service, cost_usd, since, until, what="use"):
    return Charge(
        service=service,
        what=what,
        cost_usd=cost_usd,
        since=since,
        until=until,
        source="billed" if cost_usd is not None else "unknown",
    )


def price(service, cost_usd, *, source="declared", month=DECEMBER):
    since, until = month_bounds(month)
    return Charge(
        service=service,
        what="plan",
        cost_usd=cost_usd,
        since=since,
        until=until,
        source=source,
        recurring=True,
    )


def judged(charges, *, as_of=ELEVENTH, month=DECEMBER, tolerance_percent=10.0):
    return month_costs(charges, plan=PLAN, month=month, as_of=as_of, tolerance_percent=tolerance_percent)


def as_planned(**other):
    """Every service of the plan at its price, but for those named otherwise."""
    prices = {line.service: line.cost_usd_per_month for line in PLAN.lines} | other
    return [price(service, cost) for service, cost in prices.items() if cost != "left out"]


# The independent computation: hours, one by one, in fractions.


def by_hours(charges, service, month, as_of):
    """Return (known, forecast or None, missing days) of a service."""
    begins = datetime(month.year, month.month, 1, tzinfo=UTC)
    after = begins + 32 * DAY
    ends = after.replace(day=1)
    as_of = min(max(as_of, begins), ends)
    fixed, told = Fraction(0), False
    spent, covered, dark = defaultdict(Fraction), set(), False
    for one in charges:
        if one.service != service or one.until <= begins or one.since >= ends:
            continue
        told = True
        if one.recurring:
            dark = dark or one.cost_usd is None
            fixed += Fraction(one.cost_usd or 0)
            continue
        hours = (one.until - one.since) // HOUR
        for number in range(hours):
            hour = one.since + number * HOUR
            if begins <= hour < as_of and one.cost_usd is not None:
                spent[hour] += Fraction(one.cost_usd) / hours
                covered.add(hour)
    used = any(
        one.service == service and not one.recurring and one.since < ends and one.until > begins
        for one in charges
    )
    known = fixed + sum(spent.values())
    missing = [
        (begins + number * DAY).date()
        for number in range((as_of - begins) // DAY)
        if used and any(begins + number * DAY + hour * HOUR not in covered for hour in range(24))
    ]
    if not told or dark or (used and not covered):
        return known, None, missing
    whole = sum(spent.values()) * ((ends - begins) // HOUR) / len(covered) if covered else 0
    return known, fixed + whole, missing


moments = st.integers(-40 * 24, 80 * 24).map(lambda hours: BEGINS + hours * HOUR)
costs = st.one_of(st.none(), st.integers(-500, 20_000).map(lambda cents: cents / 100))


@st.composite
def charges(draw):
    since = draw(moments)
    return Charge(
        service=draw(st.sampled_from([*SERVICES[:3], "Supabase"])),
        what="something",
        cost_usd=draw(costs),
        since=since,
        until=since + draw(st.integers(1, 24 * 40)) * HOUR,
        source="billed",
        recurring=draw(st.booleans()),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(charges(), max_size=8),
    moments,
    st.sampled_from(MONTHS),
)
def test_it_equals_the_computation_by_hours(found, as_of, month):
    """Per service: known, forecast, missing days; across months' ends, with gaps, overlaps and unknowns."""
    result = judged(found, as_of=as_of, month=month)
    for one in result.services:
        known, forecast, missing = by_hours(found, one.service, month, as_of)
        assert one.known_usd == pytest.approx(float(known), abs=1e-6)
        assert (one.forecast_usd is None) == (forecast is None)
        if forecast is not None:
            assert one.forecast_usd == pytest.approx(float(forecast), abs=1e-6)
            assert one.why_unknown == ""
        else:
            assert one.why_unknown
        assert list(one.missing_days) == missing
    ours = [one for one in result.services if one.service in SERVICES]
    assert result.unknown == tuple(one.service for one in ours if one.forecast_usd is None)
    least = sum(one.known_usd if one.forecast_usd is None else one.forecast_usd for one in ours)
    assert result.forecast_usd == pytest.approx(least, abs=1e-6)
    assert {one.service for one in result.services} >= set(SERVICES)


def test_as_planned_is_the_plans_total():
    """Every price as in the breakdown: 106 USD, nothing unknown, no alert, within the tolerance."""
    result = judged(as_planned())
    assert result.forecast_usd == result.planned_usd == 106
    assert (result.unknown, result.alert, result.within_tolerance) == ((), "none", True)
    assert result.of("Datadog").over_usd == 0


def test_a_service_without_a_bill_is_unknown_and_never_free():
    """Left out, without a number, or with nothing told yet: each says why, and no alert reads none."""
    nothing_yet = [usage("Vercel", None, at(1), at(11))]
    for left_out, why in (
        (as_planned(Vercel="left out"), "no bill was read"),
        (
            [*as_planned(Vercel="left out"), unknown("Vercel", "the account may not see it", month=DECEMBER)],
            "the account may not see it",
        ),
        ([*as_planned(Vercel="left out"), *nothing_yet], "nothing is told yet"),
    ):
        result = judged(left_out)
        assert result.of("Vercel").forecast_usd is None
        assert result.of("Vercel").why_unknown == why
        assert result.unknown == ("Vercel",)
        assert result.forecast_usd == 86
        assert (result.alert, result.within_tolerance) == ("unknown", None)
        assert "at least $86.00" in repr(result)
        assert f"unknown: {why}" in result._repr_html_()


@pytest.mark.parametrize(
    ("datadog", "alert", "within"),
    [
        (30, "none", True),
        (40.60, "none", True),
        (40.61, "none", False),
        (44, "none", False),
        (44.01, "warning", False),
        (74, "warning", False),
        (74.01, "critical", False),
    ],
)
def test_alerts_and_tolerance_are_by_whole_cents(datadog, alert, within):
    """116.60 is within 10 %, 116.61 is not; 120 raises nothing, 120.01 a warning; 150.01 is critical."""
    result = judged(as_planned(Datadog=datadog))
    assert (result.alert, result.within_tolerance) == (alert, within)


def test_what_is_over_is_over_whatever_is_unknown():
    """A partial sum above a limit is an alert, not an unknown."""
    result = judged(as_planned(Datadog=130.0, Vercel="left out"))
    assert (result.alert, result.within_tolerance) == ("critical", False)


def test_a_missing_day_is_shown_and_not_free():
    """Ten days known but one: the forecast is by the nine."""
    days = [usage("Vercel", 1.0, at(day), at(day) + DAY) for day in range(1, 11) if day != 4]
    result = judged([*as_planned(Vercel="left out"), *days]).of("Vercel")
    assert result.missing_days == (date(2026, 12, 4),)
    assert result.known_usd == 9
    assert result.forecast_usd == pytest.approx(31)


def test_a_month_is_as_long_as_it_is():
    """A dollar a day is 30 in November, 31 in December, 28 or 29 in February; what is over is known."""
    for month, days in (
        (date(2026, 11, 5), 30),
        (date(2026, 12, 5), 31),
        (date(2027, 2, 1), 28),
        (date(2028, 2, 9), 29),
    ):
        begins, ends = month_bounds(month)
        assert (ends - begins).days == days
        ten = [usage("Vercel", 10.0, begins, begins + 10 * DAY)]
        assert judged(ten, month=month, as_of=begins + 10 * DAY).of("Vercel").forecast_usd == pytest.approx(
            days
        )
        whole = [usage("Vercel", 77.0, begins - DAY, ends)]
        part = judged(whole, month=month, as_of=ends + 9 * DAY).of("Vercel")
        assert part.forecast_usd == pytest.approx(part.known_usd) == pytest.approx(77.0 * days / (days + 1))
    assert month_before(date(2027, 1, 31)) == date(2026, 12, 1)
    assert month_before(date(2026, 12, 31)) == date(2026, 11, 1)


def test_what_is_beside_the_plan_is_shown_beside_it():
    """Supabase is in no line of the plan: its costs do not hide, and do not pass as the plan's."""
    result = judged([*as_planned(), price("Supabase", 130.0)])
    assert (result.forecast_usd, result.beside_usd) == (106, 130)
    assert (result.alert, result.alert_with_beside) == ("none", "critical")
    assert result.of("Supabase").planned_usd is None
    assert "not in the plan" in repr(result)


def test_it_goes_into_a_record_and_comes_back():
    """As a step's result."""
    result = judged([*as_planned(Vercel="left out"), usage("Vercel", 3.0, at(2), at(3))])
    assert decode(encode(result)) == result
