"""Who is told of a canary: once, and whatever else does not answer."""

from datetime import timedelta

import pytest

from runbook.changes.traffic.order import read_phase
from runbook.changes.traffic.telling import StandBy, reasons, say, say_status
from runbook.errors import VendorError
from runbook.gates.watching import Verdict
from runbook.providers import datadog, slack
from runbook.step import Earlier
from tests.canary_projects import incidents, make_step
from tests.unit.changes.traffic.test_traffic_moving import order

HOUR = timedelta(hours=1)


@pytest.fixture
def stand_by(step):
    phase = read_phase(step, order())
    return StandBy(run="r1", phase=phase, canary="new", current="old", planned_at=step.clock.now())


def said(step):
    return [message.text for message in slack.read_history(step, since=step.clock.now() - HOUR)]


def test_a_status_is_found_by_its_head_not_its_numbers(step):
    """Done again after a kill the numbers have moved on; it is still the same status."""
    since = step.clock.now()
    say_status(step, "status of 16:00 UTC", "errors 1 of 100", since=since)
    say_status(step, "status of 16:00 UTC", "errors 2 of 140", since=since)
    say_status(step, "status of 20:00 UTC", "errors 9 of 900", since=since)
    assert sum("status of" in text for text in said(step)) == 2
    assert sum("errors 2" in text for text in said(step)) == 0


def test_another_runs_words_are_not_ours(world, step):
    """The same head of another run keeps nobody from being told of this one."""
    since = step.clock.now()
    for run_id in ("r1", "r2"):
        say_status(make_step(world, run_id=run_id), "status of 16:00 UTC", "fine", since=since)
    assert sum("status of" in text for text in said(step)) == 2


def test_slack_keeps_nobody_from_their_work(world, step):
    """What it does not take is remarked."""
    world.set_fault("status", vendor="slack", times=None, status=500)
    told = say(step, "a phase begins", since=step.clock.now())
    assert told.trouble
    assert any("Slack did not take" in remark for remark in step.remarks)


def test_a_rollback_pages_though_slack_and_datadog_do_not_answer(world, step, stand_by):
    """The page is what counts; the others are remarked."""
    for vendor in ("slack", "datadog"):
        world.set_fault("status", vendor=vendor, times=None, status=500)
    stand_by.undo(step)
    assert incidents(world) == ["r1/rollback"]


def test_slack_is_told_though_nobody_could_be_paged(world, step, stand_by):
    """A page that is not taken is a failure that the run ends with; the channel hears of it first."""
    world.set_fault("status", vendor="pagerduty", times=None, status=500)
    with pytest.raises(VendorError):
        stand_by.undo(step)
    assert any("was rolled back" in text for text in said(step))


def test_begin_and_rollback_are_marked_once_each(step, stand_by):
    """Datadog's timelines show both; said again after a kill, each is there once."""
    for _ in range(2):
        stand_by.apply(step)
        step.clock.sleep_until(step.clock.now() + timedelta(minutes=2))
    stand_by.undo(step)
    step.clock.sleep_until(step.clock.now() + timedelta(minutes=2))
    titles = [
        e.title for e in datadog.read_events(step, since=stand_by.planned_at - HOUR, until=step.clock.now())
    ]
    assert sum("begins" in title for title in titles) == 1
    assert sum("was rolled back" in title for title in titles) == 1


def test_the_reasons_of_a_rollback_are_the_watchs(world, step):
    """As its verdict has them on record; whatever is wrong with the record, it says where to look."""
    now = step.clock.now()
    verdict = Verdict(
        title="w", decision="rollback", reasons=("too many errors",), looks=3, began_at=now, ended_at=now
    )
    told = Earlier(summary=None, problems=(), result=lambda _title: verdict)
    assert "Because: too many errors" in reasons(make_step(world, earlier=lambda _run: told))
    assert reasons(step) == "See: runbook status r1"
