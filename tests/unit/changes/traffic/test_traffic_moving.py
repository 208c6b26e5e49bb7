"""The canary's share: one stage at a time, and from any of them back to what was before the canary."""

import pytest

from runbook.changes.applying import Site, apply_change, undo_change
from runbook.changes.traffic.between import Previous
from runbook.changes.traffic.moving import Free, Hold, Raise, Stages, plan_closing, plan_phase
from runbook.changes.traffic.order import Order, read_phase
from runbook.changes.traffic.preflight import may_begin, read_ground
from runbook.changes.traffic.telling import StandBy
from runbook.errors import Drifted, StepFailed
from runbook.providers import vercel
from tests.canary_projects import CANARY, CURRENT, incidents, shares
from tests.canary_projects import vercel as tables

NOTHING = Previous(run_id="", runbook="", status="", mode="", problems=(), decision="", under_way=None)


def order(phase=1, deployment=CANARY):
    return Order(
        deployment=deployment,
        phase=phase,
        previous="",
        schema_attested_by="ada",
        look_every_s=60,
        max_look_gap_s=180,
    )


class Record:
    """The lines of changes, as a run keeps them."""

    def __init__(self, step):
        self.step, self.lines = step, {}

    def site(self, change):
        past = self.lines.setdefault(change.sentence(), [])
        return Site(
            step=self.step,
            clock=self.step.clock,
            past=past,
            note=lambda state, data: past.append({"state": state, **data}),
        )

    def apply(self, changes):
        return [apply_change(change, self.site(change)) for change in changes]

    def undo(self, changes):
        return [undo_change(change, self.site(change)) for change in reversed(changes)]


@pytest.fixture
def record(step):
    return Record(step)


@pytest.fixture
def ground(step):
    return read_ground(step, order(), NOTHING)


def phases(step, ground, *, to):
    """Return the changes of the phases up to one, in their order."""
    return [plan_phase(step, read_phase(step, order(number)), ground) for number in range(1, to + 1)]


def as_before(world):
    """Whether the project is as it was before any canary."""
    (project,) = tables(world)["project"].values()
    return (project["production"], project["config"], project["auto_assign"], project["rolled_back"]) == (
        CURRENT,
        None,
        True,
        False,
    )


def test_the_first_phase_makes_the_project_ready(step, ground):
    """Told first, so that it is undone last; builds are held before anything is released."""
    first, second = phases(step, ground, to=2)
    assert [type(change) for change in first] == [StandBy, Hold, Stages, Raise]
    assert [type(change) for change in second] == [StandBy, Raise]


def test_a_project_that_holds_its_builds_is_left_so(step, ground):
    """What was not ours to change is not ours to change back."""
    vercel.apply_auto_assign(step, on=False)
    held = read_ground(step, order(), NOTHING)
    (first,) = phases(step, held, to=1)
    assert [type(change) for change in first] == [StandBy, Stages, Raise]
    closing = plan_closing(step, read_phase(step, order(4)), held)
    assert [type(change) for change in closing] == [Stages]


@pytest.mark.parametrize("last", [1, 2, 3, 4])
def test_any_phase_leads_back_to_before_the_canary(world, step, record, ground, last):
    """Its canary has no visitors, builds and stages are as they were, and somebody is paged."""
    done = phases(step, ground, to=last)
    for changes in done:
        record.apply(changes)
    assert shares(world) == [0.0, 5.0, 25.0, 50.0, 100.0][: last + 1]
    assert record.undo(done[-1]) == [""] * len(done[-1])
    assert shares(world)[-1] == 0.0
    assert as_before(world)
    assert incidents(world) == ["r1/rollback"]


def test_a_share_is_raised_once(world, step, record, ground):
    """Applied again it is found in place; a stage is never left out."""
    (first,) = phases(step, ground, to=1)
    record.apply(first)
    record.apply(first)
    assert shares(world) == [0.0, 5.0]
    third = Raise(ground=ground, phase=read_phase(step, order(3)))
    with pytest.raises(Drifted, match="to 5 % of the visitors"):
        apply_change(third, record.site(third))


def test_what_somebody_else_promoted_is_taken_back_all_the_same(world, step, record, ground):
    """The canary is ours, whoever sent visitors to it: a no-go leaves nobody with it."""
    world.play("foreign-promote")
    (first,) = phases(step, ground, to=1)
    record.apply(first)
    step.clock.sleep_until(step.clock.now().replace(hour=14))
    assert shares(world)[-1] == 100.0
    assert record.undo(first) == [""] * 4
    assert shares(world)[-1] == 0.0
    assert as_before(world)


def test_another_build_in_production_is_left_alone(world, step, record, ground):
    """Somebody else's release is not ours to end; what is left is named."""
    (first,) = phases(step, ground, to=1)
    raising = first[-1]
    site = record.site(raising)
    site.note("applying", {})
    world.play("release-under-way")
    before = shares(world)
    left = undo_change(raising, record.site(raising))
    assert "not of our making" in left
    assert shares(world) == before


def test_a_rollback_that_was_cut_short_is_carried_through(world, step, record, ground):
    """Killed after the visitors were back, builds still wait: the next attempt sets them free."""
    (first,) = phases(step, ground, to=1)
    record.apply(first)
    vercel.apply_rollback(step, to=CURRENT, reason="cut short")
    assert not as_before(world)
    assert undo_change(first[-1], record.site(first[-1])) == ""
    assert as_before(world)


def test_a_rollback_that_fails_says_so(world, step, record, ground):
    """Vercel moved nothing: what is left is named, and somebody is paged all the same."""
    (first,) = phases(step, ground, to=1)
    record.apply(first)
    world.play("rollback-fails")
    left = [why for why in record.undo(first) if why]
    assert any("did not move" in why for why in left)
    assert incidents(world) == ["r1/rollback"]


def test_after_the_last_phase_the_project_is_as_before(world, step, record, ground):
    """Everybody has the canary, builds go live by themselves, releases have no stages."""
    for changes in phases(step, ground, to=4):
        record.apply(changes)
    closing = plan_closing(step, read_phase(step, order(4)), ground)
    assert [type(change) for change in closing] == [Stages, Free]
    record.apply(closing)
    (project,) = tables(world)["project"].values()
    assert (project["production"], project["config"], project["auto_assign"]) == (CANARY, None, True)


def test_stages_of_somebody_else_are_not_ours(step, ground):
    """A release that goes through other stages than the plan's is refused, with the way to end it."""
    vercel.apply_stages(step, percents=(10, 100))
    vercel.apply_release_start(step, canary=CANARY)
    raising = Raise(ground=ground, phase=read_phase(step, order(1)))
    with pytest.raises(StepFailed, match="somebody set its stages"):
        raising.verify(step, None)


def test_it_may_begin_on_quiet_ground(step, ground):
    """Every check passes, and each says what was observed."""
    checks = may_begin(step, order(), read_phase(step, order()), ground)
    assert [check.status for check in checks] == ["passed"] * len(checks)
    assert all(check.observed for check in checks)


@pytest.mark.parametrize(
    ("scenario", "asked", "title"),
    [
        ("release-under-way", order(), "who serves"),
        ("hobby-plan", order(), "rolling releases may be used"),
        ("", order().model_copy(update={"schema_attested_by": " "}), "runs on the schema"),
        ("", order(deployment="dpl_Wm2VbXc5RzJ8LpN4YhDe7f3Kq9Tt"), "can be released"),
    ],
)
def test_what_keeps_a_phase_from_beginning_is_named(world, step, scenario, asked, title):
    """Somebody else's release, the wrong plan at Vercel, nobody's word, a preview: one failed check each."""
    if scenario:
        world.play(scenario)
    ground = read_ground(step, asked, NOTHING)
    failed = [
        c.title for c in may_begin(step, asked, read_phase(step, asked), ground) if c.status == "failed"
    ]
    assert len(failed) == 1
    assert title in failed[0]


def test_nobody_on_call_keeps_a_phase_from_beginning(world, step):
    """A gap anywhere in the phase's hours counts, not only now."""
    world.play("on-call-gap")
    step.clock.sleep_until(step.clock.now().replace(hour=22))
    ground = read_ground(step, order(), NOTHING)
    long = read_phase(step, order()).model_copy(update={"hours": 24.0})
    failed = [c for c in may_begin(step, order(), long, ground) if c.status == "failed"]
    assert [c.title.split()[0] for c in failed] == ["secondary"]


def test_a_later_phase_wants_its_release_as_it_was_left(step, record, ground):
    """At the share of the phase before, builds held; else it does not begin."""
    (first,) = phases(step, ground, to=1)
    record.apply(first)
    second = order(2)
    assert {c.status for c in may_begin(step, second, read_phase(step, second), ground)} == {"passed"}
    vercel.apply_rollback(step, to=CURRENT, reason="somebody")
    failed = [
        c.title for c in may_begin(step, second, read_phase(step, second), ground) if c.status == "failed"
    ]
    assert failed == ["who serves"]
