"""Every bill of a month against the plan: by the world's own numbers, and unknown where one is not told."""

from datetime import timedelta
from pathlib import Path

import pytest

from runbook.costs import month_costs
from runbook.plan import load_plan
from runbook.providers import cloudflare
from runbook.providers.bills import read_bills
from runbook.sandbox.vendors.datadog.bills import costs_on
from runbook.sandbox.vendors.upstash.usage import USD_PER_REQUEST, requests_on
from runbook.sandbox.world.world import SEED

ROOT = Path(__file__).parents[2]
PLAN = load_plan(ROOT)


def the_eleventh(world):
    """Move the world to the eleventh of the next month, 07:00; return that time."""
    first = (world.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    when = first.replace(day=11, hour=7, minute=0, second=0, microsecond=0)
    world.advance_to(when)
    return when


def costs(step, when):
    charges = read_bills(step, month=when.date())
    tolerance = PLAN.success.cost_tolerance_percent
    return month_costs(charges, plan=PLAN.costs, month=when.date(), as_of=when, tolerance_percent=tolerance)


def test_the_month_is_as_its_vendors_tell_it(world, step):
    """Each service from its own source; nothing is unknown, and what the plan does not list stands beside."""
    world.play("cloudflare-pro")
    when = the_eleventh(world)
    create_zone(step)
    result = costs(step, when)
    assert result.unknown == result.unknown_beside == ()
    days = (when.replace(day=1).date() + timedelta(days=n) for n in range(10))
    requests = sum(requests_on(day, SEED) for day in days) + requests_on(when.date(), SEED) * 7 // 24
    upstash = result.of("Upstash Redis")
    assert upstash.known_usd == pytest.approx(requests * USD_PER_REQUEST, abs=1e-3)
    length = (when.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0) - when.replace(day=1, hour=0)
    share = length / timedelta(days=10, hours=7)
    assert upstash.forecast_usd == pytest.approx(requests * USD_PER_REQUEST * share, abs=1e-2)
    assert result.of("Vercel").forecast_usd == pytest.approx(20, abs=0.01)
    assert result.of("Vercel").missing_days == ()
    assert result.of("Cloudflare").forecast_usd == pytest.approx(20 + 0.024 * length.days, abs=0.01)
    assert result.of("Sentry").sources == ("declared",)
    told = [(when.replace(day=1).date() + timedelta(days=n)) for n in range(8)]
    datadog = sum(sum(costs_on(day, SEED).values()) for day in told)
    assert result.of("Datadog").known_usd == pytest.approx(datadog, abs=1e-3)
    assert result.of("Datadog").forecast_usd == pytest.approx(datadog * length.days / 8, abs=1e-2)
    assert [day.day for day in result.of("Datadog").missing_days] == [9, 10]
    hours = length / timedelta(hours=1)
    assert result.beside_usd == pytest.approx(25 - 10 + 0.01344 * hours)
    assert (result.alert, result.within_tolerance) == ("none", True)


def create_zone(step):
    cloudflare.apply_zone(step, name="omnihub.dev.")


def test_a_bill_that_cannot_be_read_is_unknown(world, step):
    """With the vendor's own words on record; the rest is read all the same."""
    world.play("upstash-marketplace")
    world.set_fault("status", vendor="cloudflare", call="read_subscriptions", times=None)
    result = costs(step, the_eleventh(world))
    assert result.unknown == ("Cloudflare", "Upstash Redis")
    assert result.of("Upstash Redis").why_unknown == "its bill could not be read (upstash read_stats)"
    assert result.alert == "unknown"
    assert [words for words in step.remarks if "bill of Upstash Redis could not be read" in words]
    assert result.of("Vercel").forecast_usd is not None


def test_a_missing_day_and_a_surge_show(world, step):
    """The day is named, the forecast is by the days that are told, and it raises the alert."""
    world.play("cloudflare-pro")
    when = the_eleventh(world)
    create_zone(step)
    world.play("usage-surge")
    world.advance(timedelta(days=1))
    world.play("charges-missing")
    world.advance(timedelta(days=7))
    now = world.now()
    vercel = costs(step, now).of("Vercel")
    assert vercel.missing_days == ((when + timedelta(days=1)).date(),)
    assert vercel.forecast_usd > vercel.known_usd > 20
    assert costs(step, now).alert in ("warning", "critical")
