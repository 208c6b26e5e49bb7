"""PagerDuty: events, their delivery, who is on call."""

from contextlib import closing
from datetime import timedelta

from pagerduty import EventsApiV2Client, RestApiV2Client

from runbook.providers import pagerduty
from runbook.sandbox.vendors.pagerduty.emulator import PRIMARY
from tests.contract.table import Case, Foreign, Refusal, Vendor

DAY = timedelta(days=1)


def send(step, **more):
    given = {"dedup_key": "rehearsal/test-alert", "summary": "Test alert", "source": "runbook", **more}
    return pagerduty.apply_event(step, **given)


def incidents(world):
    return len(world.dump()["pagerduty"].get("incidents", {}))


def settled(world):
    """Count incidents once all that is under way has come to its end."""
    world.advance(timedelta(minutes=5))
    return incidents(world)


def resolved(world):
    """Count what is resolved: more than one is never right."""
    world.advance(timedelta(minutes=5))
    return [doc["status"] for doc in world.dump()["pagerduty"]["incidents"].values()].count("resolved")


def expect_accepted(event, world):
    assert event.dedup_key == "rehearsal/test-alert"


def expect_log(log, world):
    assert [entry.kind for entry in log] == ["notify_log_entry", "trigger_log_entry"]
    assert log[0].user == "Ada Okafor"


def expect_three_quarters(found, world):
    assert found.percent == 75.0


def deliver(step):
    return pagerduty.read_delivery(step, send(step))


def expect_delivery(result, world):
    assert result.notified == "Ada Okafor"
    assert result.incident.title == "Test alert"
    assert result.took_s == 30


def resolve(step):
    return send(step, action="resolve")


def arrange_incident(world, step):
    send(step)
    world.advance(timedelta(seconds=40))


def read_log(step):
    (incident,) = pagerduty.read_incidents(step, dedup_key="rehearsal/test-alert")
    return pagerduty.read_log_entries(step, incident_id=incident.id)


def answered(step):
    now = step.clock.now()
    return pagerduty.read_answered(step, since=now - DAY, until=now)


def expect_answered(found, world):
    (one,) = found
    assert (one.notified, one.answered_by, one.incident.status) == ("Ada Okafor", "", "triggered")


def on_call(step, days=3):
    now = step.clock.now()
    return pagerduty.read_on_call(step, since=now, until=now + days * DAY)


def expect_on_call(result, world):
    assert result.gaps == ()
    for level in (1, 2):
        duties = result.at_level(level)
        assert (duties[0].since, duties[-1].until) == (result.since, result.until)
        assert [one.until for one in duties[:-1]] == [two.since for two in duties[1:]]
    assert result.at_level(1)[0].user != result.at_level(2)[0].user


def expect_gap(result, world):
    (gap,) = result.gaps
    assert (gap.level, gap.until - gap.since) == (2, timedelta(hours=12))


def coverage(step):
    now = step.clock.now()
    return pagerduty.read_coverage(step, schedule="secondary_schedule", since=now, until=now + 2 * DAY)


def sdk_reads_on_call(world):
    """The SDK refuses plain http where it is told its address; behind that it works."""
    since, until = world.now(), world.now() + DAY
    window = {"since": f"{since:%Y-%m-%dT%H:%M:%SZ}", "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
    with closing(RestApiV2Client(world.secrets()["pagerduty"]["token"])) as client:
        client._url = f"{world.url}/pagerduty"
        assert {item["escalation_level"] for item in client.list_all("oncalls", params=window)} == {1, 2}
        assert client.rget(f"schedules/{PRIMARY}")["name"] == "OmniHub primary"


def sdk_sends_an_event(world):
    with closing(EventsApiV2Client(world.secrets()["pagerduty"]["routing_key"])) as client:
        client._url = f"{world.url}/pagerduty-events"
        assert client.trigger("from their SDK", "sdk", dedup_key="theirs") == "theirs"
        client.trigger("from their SDK", "sdk", dedup_key="theirs")
    assert settled(world) == 1


VENDOR = Vendor(
    name="pagerduty",
    specs={"/pagerduty": "pagerduty-rest", "/pagerduty-events/v2": "pagerduty-events"},
    cases=[
        Case(
            "an event is accepted",
            do=send,
            expect=expect_accepted,
            effect=settled,
            unproven="202 only says accepted; the case after this one proves delivery",
        ),
        Case("an event reaches a person", do=deliver, expect=expect_delivery, effect=settled),
        Case(
            "an incident is resolved by its key",
            arrange=arrange_incident,
            do=resolve,
            expect=expect_accepted,
            effect=resolved,
            unproven="202 only says accepted",
        ),
        Case(
            "an incident's log is read",
            arrange=arrange_incident,
            do=read_log,
            expect=expect_log,
        ),
        Case(
            "a time's incidents are read with who answered",
            arrange=arrange_incident,
            do=answered,
            expect=expect_answered,
        ),
        Case("primary and secondary are on call", do=on_call, expect=expect_on_call),
        Case(
            "a gap on call is found",
            arrange=lambda world, _step: world.play("on-call-gap"),
            do=on_call,
            expect=expect_gap,
        ),
        Case(
            "a schedule's coverage is read",
            arrange=lambda world, _step: world.play("on-call-gap"),
            do=coverage,
            expect=expect_three_quarters,
        ),
    ],
    refusals=[
        Refusal(
            "a log of an incident that is not there",
            do=lambda step: pagerduty.read_log_entries(step, incident_id="Q0"),
            code="2100",
        ),
        Refusal(
            "a severity that does not exist",
            do=lambda step: send(step, severity="severe"),
            code="",
        ),
    ],
    foreign=[
        Foreign("pagerduty reads who is on call", sdk_reads_on_call),
        Foreign("pagerduty sends an event", sdk_sends_an_event),
    ],
)
