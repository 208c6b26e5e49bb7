"""Who was called and who answered, what was taken back, what was backed up: by what the vendors tell."""

from datetime import timedelta

import pytest

from runbook.milestone.backups import read_backup_record
from runbook.milestone.costing import read_costing
from runbook.milestone.people import read_build_errors, read_calls
from runbook.milestone.rollbacks import read_rollbacks
from runbook.providers import datadog, pagerduty
from tests.memory_worlds import memory_world
from tests.milestones import at, period

MINUTE = timedelta(minutes=1)


def page(world, key, *, action="trigger"):
    pagerduty.apply_event(
        world.step(),
        dedup_key=key,
        action=action,
        summary="errors over 5 %",
        source="test",
        severity="critical",
    )
    world.pass_s(60)


def answered_by(world, user, after_s):
    """Let a person acknowledge the newest incident in PagerDuty itself, as from their phone."""
    world.pass_s(after_s)
    part = world.world.part("pagerduty")
    incident = list(part.table("incidents"))[-1]
    part.table("incidents").change(incident, status="acknowledged")
    part._log(incident, "acknowledge_log_entry", "Acknowledged by phone", user=user)


def test_who_was_called_and_who_answered_how_soon():
    """One answered by a person after four minutes, one by nobody: both are told, in their order."""
    with memory_world() as world:
        since = world.now()
        page(world, "a")
        answered_by(world, "PUSER01", 180)
        page(world, "b")
        found = read_calls(world.step(), period(since, world.now() + MINUTE))
    first, second = found.incidents
    assert (first.answered_by, first.answered_after_s) == ("Ada Okafor", 239.0)
    assert (first.notified, second.answered_by, second.answered_at) == ("Ada Okafor", "", None)
    assert found.unanswered == (second,)
    assert found.slowest_answer_s == 239.0


def test_incidents_before_and_after_the_milestone_are_not_its_own():
    """Only what began in it; an acknowledgement by a machine is no person's."""
    with memory_world() as world:
        page(world, "before")
        since = world.now()
        page(world, "within")
        page(world, "within", action="acknowledge")
        page(world, "within", action="resolve")
        until = world.now()
        page(world, "after")
        found = read_calls(world.step(), period(since, until))
    (only,) = found.incidents
    assert only.incident.title.endswith("errors over 5 %")
    assert only.answered_by == "through the API"
    assert only.resolved_at is not None


def test_rollbacks_are_found_by_their_marks():
    """A canary's mark that says it was rolled back counts, one that says it began does not."""
    with memory_world() as world:
        for what, title in (
            ("began", "Canary phase 1 of x begins"),
            ("back", "Canary phase 1 of x was rolled back"),
        ):
            datadog.apply_mark(
                world.step(), key=what, title=title, text="why", at=world.now(), tags=("canary",)
            )
            world.pass_s(60)
        found = read_rollbacks(world.step(), period(world.now(), world.now() + MINUTE))
        world.pass_s(60)
    assert (len(found.marks), found.marks_of_canaries) == (1, 2)


def test_errors_are_counted_by_release_and_no_release_has_no_issues():
    """Without a canary's record nobody knows which release to ask about; errors are there all the same."""
    with memory_world() as world:
        since = world.now()
        world.pass_s(3600)
        found = read_build_errors(world.step(), period(since, world.now() - 3 * MINUTE), version="")
    assert found.errors
    assert found.new_issues == ()
    assert ("issues it brought", "not known") in found.rows()


def test_a_night_without_a_backup_is_named():
    """Supabase lists what it has: the night that is missing has a date."""
    with memory_world() as world:
        world.world.advance_to(at(12, 5, 12))
        whole = read_backup_record(world.step(), period(at(12, 1), at(12, 5)))
        world.world.play("backups-missing")
        world.world.advance_to(at(12, 7, 12))
        broken = read_backup_record(world.step(), period(at(12, 3), at(12, 7)))
    assert whole.holds
    assert (whole.days, whole.days_listed) == (4, 4)
    assert broken.holds is False
    assert broken.days_without
    assert all(f"{day:%Y-%m-%d}" in broken.observed() for day in broken.days_without)


def test_a_backup_that_is_no_longer_listed_is_no_missing_one():
    """A list is as long as it is kept: older days are said to be untold, and none of them is called good."""
    with memory_world() as world:
        world.world.advance_to(at(12, 13, 2))
        week = read_backup_record(world.step(), period(at(12, 5, 18), at(12, 12, 18)))
        world.world.advance_to(at(1, 20, 2, year=2027))
        old = read_backup_record(world.step(), period(at(12, 5, 18), at(12, 12, 18)))
    assert week.holds
    assert week.days_listed < week.days == 7
    assert "too long ago to be listed" in week.observed()
    assert (old.days_listed, old.holds) == (0, None)


def test_a_night_that_is_missing_is_not_taken_for_one_too_long_ago():
    """Within the time that backups are kept every day counts, however short the list is."""
    with memory_world() as world:
        world.world.advance_to(at(12, 5, 12))
        world.world.play("backups-missing")
        world.world.advance_to(at(12, 10, 2))
        found = read_backup_record(world.step(), period(at(12, 1), at(12, 9)))
    assert found.holds is False
    assert [day.day for day in found.days_without] == [5, 6]
    assert (found.days, found.days_listed) == (8, 6)


def test_vercels_bill_is_the_sum_of_its_raw_rows_in_each_month_that_is_touched():
    """Over a month's end there are two months; the seat counts whole, usage and credit by the days told."""
    with memory_world() as world:
        world.world.play("usage-surge")
        world.world.advance_to(at(12, 9, 12))
        found = read_costing(world.step(), period(at(11, 29), at(12, 9)))
        bill = world.world.part("vercel").billing
        told = [row for day in bill._days(at(11, 1), at(12, 9)) for row in bill._rows(day)]
    assert [f"{one.month:%m}" for one in found.months] == ["11", "12"]
    seat = sum(r["BilledCost"] for r in told if r["ChargeCategory"] == "Purchase") / 2  # two cycles began
    for month, costs in zip(("2026-11", "2026-12"), found.months, strict=True):
        mine = [row for row in told if row["ChargePeriodStart"].startswith(month)]
        used = sum(row["BilledCost"] for row in mine if row["ChargeCategory"] != "Purchase")
        assert costs.of("Vercel").known_usd == pytest.approx(seat + used, abs=1e-4)
    assert found.latest.of("Vercel").forecast_usd == pytest.approx(seat + used / 8 * 31, abs=1e-2)
    assert found.within is False
    assert found.latest.alert in ("warning", "critical")
