"""Looks at a canary: the same whoever looks, late or not; what others do, what cannot be seen."""

import gzip
from datetime import timedelta

import pytest

from runbook.changes.applying import apply_change
from runbook.changes.interface import Applied
from runbook.changes.traffic import watching
from runbook.changes.traffic.between import read_under_way
from runbook.changes.traffic.moving import plan_phase
from runbook.changes.traffic.order import read_phase
from runbook.changes.traffic.preflight import ordinary_day, read_ground
from runbook.errors import Parked
from runbook.judge.counts import Minute
from runbook.judge.reasons import judged
from runbook.judge.verdict import Judge
from runbook.providers import slack
from tests.canary_projects import incidents
from tests.unit.changes.traffic.test_traffic_moving import NOTHING, Record, order

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    monkeypatch.setattr(watching, "_memories", {})
    monkeypatch.setattr(watching, "_rehearsals", {})


def begin(step, *, hours=1.0):
    """Begin the first phase, made short, and return it."""
    ground = read_ground(step, order(), NOTHING)
    phase = read_phase(step, order()).model_copy(update={"hours": hours})
    baseline = ordinary_day(step, ground, NOTHING)
    record = Record(step)
    results = [apply_change(change, record.site(change)) for change in plan_phase(step, phase, ground)]
    raised = Applied(title="raise", results=tuple(results))
    return read_under_way(step, phase, ground, baseline, raised)


def watch(step, under_way, *, every=timedelta(minutes=10)):
    """Look until the phase is judged or a look ends it."""
    looks = []
    while not looks or not (looks[-1].ends or looks[-1].at >= under_way.judged_at):
        if looks:
            step.clock.sleep_until(min(under_way.judged_at, looks[-1].at + every))
        looks.append(watching.look(step, tuple(looks), under_way))
    return looks


def said(step):
    return [message.text for message in slack.read_history(step, since=step.clock.now() - 24 * HOUR)]


def last(looks):
    return looks[-1].decision, looks[-1].says, looks[-1].numbers


def test_a_good_phase_proceeds_by_its_gate(step):
    """The last look says which rule and which numbers; people hear that it is through."""
    looks = watch(step, begin(step))
    assert looks[-1].decision == "proceed"
    assert looks[-1].says.startswith("gate: errors")
    assert any("is through: go" in text for text in said(step))


def test_who_takes_a_watch_up_sees_what_the_first_one_saw(step):
    """Another process, with nothing but the record: the same decision, word for word, number for number."""
    under_way = begin(step)
    looks = watch(step, under_way)
    watching._memories.clear()
    again = watching.look(step, tuple(looks[:-1]), under_way)
    assert last([again]) == last(looks)


def test_a_gap_is_backfilled(step):
    """A look after an hour judges every minute of it."""
    under_way = begin(step)
    first = watching.look(step, (), under_way)
    step.clock.sleep_until(under_way.judged_at)
    second = watching.look(step, (first,), under_way)
    memory = watching._memories["r1"]
    assert second.decision == "proceed", second.says
    assert len(memory.minutes) >= 59
    assert second.numbers[watching.COUNTED_UNTIL] == memory.until.timestamp()


def test_a_bad_canary_ends_the_watch_at_the_minute_that_says_so(world, step):
    """Looked at every minute, or once at the end: the same minute decides, as if somebody had looked then."""
    found = []
    for every in (timedelta(minutes=1), timedelta(minutes=30)):
        world.reset()
        world.play("bad-release")
        watching._memories.clear()
        looks = watch(step, begin(step), every=every)
        counted = looks[-1].numbers[watching.COUNTED_UNTIL]
        found.append((looks[-1].decision, looks[-1].ends, len(looks) > 2, counted < looks[-1].at.timestamp()))
        world.advance_to(world.now() + HOUR)
    assert found == [("rollback", True, True, True), ("rollback", True, False, True)]


def test_the_minutes_that_were_judged_are_kept(step):
    """Anybody can work the verdict out again from the evidence."""
    kept = {}
    watching_step = step
    watching_step.evidence_sink = kept.__setitem__
    looks = watch(watching_step, begin(watching_step))
    (name,) = [name for name in kept if name.startswith("minutes-phase")]
    memory = watching._memories["r1"]
    minutes = [Minute.model_validate_json(line) for line in gzip.decompress(kept[name]).splitlines()]
    again = judged(
        Judge.of(memory.judge.setup, minutes),
        gate=read_phase(step, order()).gate,
        at_end=True,
        budget=memory.budget,
    )
    assert again.decision == looks[-1].decision
    assert again.says in looks[-1].says


@pytest.mark.parametrize(
    ("scenario", "says"), [("foreign-promote", "to all visitors"), ("release-under-way", "Vercel gives")]
)
def test_somebody_else_at_work_parks_and_pages(world, step, scenario, says):
    """Nothing is decided over their heads; a person is paged once, however often the run is taken up."""
    under_way = begin(step, hours=3)
    first = watching.look(step, (), under_way)
    world.play(scenario)
    step.clock.sleep_until(step.clock.now() + 1.5 * HOUR)
    for _ in range(2):
        with pytest.raises(Parked, match=says) as parked:
            watching.look(step, (first,), under_way)
        assert "runbook abort r1 --rollback" in str(parked.value)
    assert incidents(world) == ["r1/interference"]
    assert sum("Somebody else is at work" in text for text in said(step)) == 1


def test_without_data_to_the_end_a_phase_holds(world, step):
    """Datadog does not answer: no look calls that good, and the last one waits for a person."""
    under_way = begin(step)
    world.set_fault("status", vendor="datadog", call="query_timeseries", times=None, status=503)
    looks = [watching.look(step, (), under_way)]
    step.clock.sleep_until(under_way.judged_at)
    looks.append(watching.look(step, tuple(looks), under_way))
    assert [look.decision for look in looks] == ["hold", "hold"]
    assert looks[-1].says.startswith("no data")
    assert any("waits for a person" in text for text in said(step))
    assert incidents(world) == ["r1/hold"]


def test_vercel_that_does_not_answer_ends_no_watch(world, step):
    """Whether somebody else is at work cannot be seen then; what comes of the canary can."""
    under_way = begin(step)
    world.set_fault("status", vendor="vercel", call="read_release", times=None, status=503)
    looks = watch(step, under_way, every=timedelta(minutes=30))
    assert looks[-1].decision == "proceed"
    assert any("could not be seen" in remark for remark in step.remarks)


def test_a_person_is_called_once_nothing_is_seen(world, step):
    """A minute without an answer is nothing; after a quarter of an hour nobody sees the canary any more."""
    under_way = begin(step)
    looks = [watching.look(step, (), under_way)]
    world.set_fault("status", vendor="datadog", call="query_timeseries", times=None, status=503)
    for minutes in (5, 25, 35):
        step.clock.sleep_until(under_way.began_at + timedelta(minutes=minutes))
        looks.append(watching.look(step, tuple(looks), under_way))
        assert bool(incidents(world)) == (minutes >= 25)
    assert incidents(world) == ["r1/hold"]


def test_a_status_is_told_every_few_hours_once(step):
    """As the plan says, by the clock; a look that is done again after a kill says nothing twice."""
    under_way = begin(step, hours=9)
    first = watching.look(step, (), under_way)
    step.clock.sleep_until(under_way.began_at + 4 * HOUR + timedelta(minutes=1))
    for _ in range(2):
        watching._memories.clear()
        watching.look(step, (first,), under_way)
    assert sum("status of" in text for text in said(step)) == 1


def test_a_look_keeps_little(step):
    """A sentence and the numbers of the charts: thousands of looks fit a journal."""
    looks = watch(step, begin(step))
    assert max(len(look.model_dump_json()) for look in looks[1:]) < 2500
    assert len(looks[-1].numbers) < 25
