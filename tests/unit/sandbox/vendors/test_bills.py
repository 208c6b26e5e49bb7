"""The emulators' bills: by the day, told late, across the month's end, credits used up."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from runbook.sandbox.dns.part import PART as DNS
from runbook.sandbox.vendors.cloudflare import PART as CLOUDFLARE
from runbook.sandbox.vendors.cloudflare.billing import Billing
from runbook.sandbox.vendors.upstash import usage
from runbook.sandbox.vendors.vercel import PART as VERCEL
from runbook.sandbox.vendors.vercel.desk import TEAM
from runbook.sandbox.world.part import Call
from runbook.sandbox.world.world import World

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
def world():
    return World(None, kinds=[DNS, CLOUDFLARE, VERCEL])


def rows(world, since, until):
    token = world.part("vercel").secrets()["token"]
    query = [("from", since), ("to", until), ("teamId", TEAM)]
    headers = {"Authorization": f"Bearer {token}"}
    answer = world.answer(Call("GET", "/vercel/v1/billing/charges", query, headers)).answer
    return answer.status, [
        json.loads(line) for line in answer.body.splitlines()
    ] if answer.status == 200 else []


def test_a_day_is_told_six_hours_after_it_has_ended(world):
    """The world begins on 2026-11-30 at 01:00: the 28th is told, the 29th from 06:00 on."""
    days = [{row["ChargePeriodStart"][:10] for row in rows(world, "2026-11-28", "2026-12-01")[1]}]
    world.advance(5 * HOUR)
    days.append({row["ChargePeriodStart"][:10] for row in rows(world, "2026-11-28", "2026-12-01")[1]})
    assert days == [{"2026-11-28"}, {"2026-11-28", "2026-11-29"}]


def test_the_seat_comes_on_the_day_of_its_cycle_and_the_credit_takes_usage_back(world):
    """Twenty dollars on the fourth; what is used costs nothing until twenty dollars of it are gone."""
    world.advance(40 * DAY)
    _, found = rows(world, "2026-11-04", "2026-12-04")
    seats = [
        (row["ChargePeriodStart"][:10], row["BilledCost"])
        for row in found
        if row["ChargeCategory"] == "Purchase"
    ]
    assert seats == [("2026-11-04", 20.0)]
    by_kind = {
        kind: sum(row["BilledCost"] for row in found if row["ChargeCategory"] == kind)
        for kind in ("Usage", "Credit")
    }
    assert 5 < by_kind["Usage"] < 20
    assert by_kind["Credit"] == pytest.approx(-by_kind["Usage"], abs=1e-3)


def test_a_surge_uses_the_credit_up_and_no_more(world):
    """From then on usage is paid; the credit is never more than twenty dollars a cycle."""
    world.advance_to(datetime(2026, 12, 4, 12, tzinfo=UTC))
    world.play("usage-surge")
    world.advance(29 * DAY)
    _, found = rows(world, "2026-12-04", "2027-01-02")
    credit = sum(row["BilledCost"] for row in found if row["ChargeCategory"] == "Credit")
    assert credit == pytest.approx(-20, abs=1e-3)
    assert sum(row["BilledCost"] for row in found) > 100


def test_what_is_no_range_is_refused(world):
    """No dates, turned round, or longer than a year."""
    for since, until in (("", ""), ("2026-12-02", "2026-12-01"), ("2025-01-01", "2026-12-01")):
        assert rows(world, since, until)[0] == 400


def test_a_billing_period_begins_on_the_twelfth():
    """Across the month's and the year's end."""
    for day, begun in (
        (date(2026, 12, 12), date(2026, 12, 12)),
        (date(2026, 12, 11), date(2026, 11, 12)),
        (date(2027, 1, 1), date(2026, 12, 12)),
        (date(2027, 3, 1), date(2027, 2, 12)),
    ):
        assert Billing._period_of(day).date() == begun


def test_upstash_sums_whole_hours_across_days_and_months():
    """The running month from its first hour on; days add up to what is told of them one by one."""
    seed = "a seed"
    since, until = datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 3, 12, tzinfo=UTC)
    expected = sum(usage.requests_on(date(2026, 11, 30) + n * DAY, seed) for n in range(3))
    expected += usage.requests_on(date(2026, 12, 3), seed) // 2
    assert usage.requests_between(since, until, seed) == expected
    told = usage.stats(datetime(2026, 12, 1, 0, 59, tzinfo=UTC), seed, more=0)
    assert (told["total_monthly_requests"], told["total_monthly_billing"]) == (0, 0)
    told = usage.stats(datetime(2026, 12, 31, 23, 59, tzinfo=UTC), seed, more=0)
    whole = sum(usage.requests_on(date(2026, 12, 1) + n * DAY, seed) for n in range(31))
    assert 0.98 * whole < told["total_monthly_requests"] < whole
    assert told["total_monthly_billing"] == pytest.approx(
        told["total_monthly_requests"] * 0.2 / 100_000, abs=1e-4
    )
