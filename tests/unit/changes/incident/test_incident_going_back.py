"""The way back in an incident: one build for everybody, told, and its alert resolved when it has helped."""

from datetime import timedelta

import pytest

from runbook.changes.applying import apply_change
from runbook.changes.incident.finding import diagnose
from runbook.changes.incident.going_back import Close, GoBack, errors_are_down, plan_way
from runbook.changes.incident.picture import Order, look_around
from runbook.errors import Drifted, StepFailed
from runbook.providers import pagerduty, slack
from tests.canary_projects import CURRENT, shares
from tests.unit.changes.traffic.test_traffic_moving import Record

HOUR = timedelta(hours=1)
KEY = "monitor-5xx"


def order(key=KEY):
    return Order(incident_key=key, look_back_h=4, lately_min=15)


@pytest.fixture
def bad_canary(world, step):
    """A release of somebody's that fails for an hour and a half, and the alert it raised."""
    for scenario in ("release-under-way", "bad-release"):
        world.play(scenario)
    pagerduty.apply_event(
        step, dedup_key=KEY, summary="High error rate", source="datadog", severity="critical"
    )
    step.clock.sleep_until(step.clock.now() + 1.5 * HOUR)
    return look_around(step, order())


def test_a_picture_has_every_vendor_in_it(bad_canary):
    """Who serves, who is released, how each does, what Sentry saw, which incident is open; nothing unseen."""
    assert bad_canary.unseen == ()
    assert bad_canary.production == CURRENT
    canary = bad_canary.build(bad_canary.canary)
    assert canary.lately.ratio > 0.01 > bad_canary.build(CURRENT).lately.ratio
    assert any("TypeError" in issue for issue in bad_canary.new_issues)
    assert "triggered" in bad_canary.incidents[0]


def test_the_way_back_helps_is_told_and_closes_the_alert(world, step, bad_canary):
    """One plan: the build before serves everybody, and good minutes later the alert is resolved."""
    finding = diagnose(step, bad_canary)
    assert finding.cause == "canary"
    changes = plan_way(step, order(), bad_canary, finding)
    record = Record(step)
    for change in changes:
        apply_change(change, record.site(change))
    assert shares(world)[-1] == 0.0
    assert errors_are_down(step, finding).status == "passed"
    world.advance(timedelta(minutes=1))
    assert pagerduty.read_incidents(step, dedup_key=KEY)[0].status == "resolved"
    since = step.clock.now() - HOUR
    assert any("serves everybody again" in message.text for message in slack.read_history(step, since=since))


def test_without_its_key_no_alert_is_touched(step, bad_canary):
    """The run was not told which it is; nobody's alert is resolved by guessing."""
    finding = diagnose(step, bad_canary)
    kinds = [type(change) for change in plan_way(step, order(""), bad_canary, finding)]
    assert Close not in kinds
    assert GoBack in kinds


def test_an_alert_stays_open_while_errors_go_on(world, step):
    """All builds fail, so going back does not help; the message says what to type next."""
    for scenario in ("release-under-way", "both-arms-bad"):
        world.play(scenario)
    step.clock.sleep_until(step.clock.now() + timedelta(minutes=62))
    closing = Close(key=KEY, to=CURRENT)
    with pytest.raises(StepFailed, match=r"stays open.*runbook resume r1"):
        apply_change(closing, Record(step).site(closing))


def test_what_has_moved_meanwhile_is_not_moved_blindly(world, step, bad_canary):
    """Somebody else gave the canary to everybody since it was looked at: it wants a new look."""
    finding = diagnose(step, bad_canary)
    vercel = world.dump()["vercel"]["releases"]
    assert len(vercel) == 1
    moved = plan_way(step, order(), bad_canary, finding)[0].model_copy(update={"found": "as it never was"})
    with pytest.raises(Drifted, match="Somebody else was here"):
        apply_change(moved, Record(step).site(moved))
