"""Supabase's emulator: nights of backups, the window of a restore, its limit, and no database behind it."""

from datetime import UTC, date, datetime, timedelta

import pytest

from runbook.errors import StepFailed
from runbook.sandbox.vendors.supabase import Supabase, backups
from runbook.sandbox.vendors.supabase.emulator import REF
from runbook.sandbox.world.part import Call, Part
from runbook.sandbox.world.world import BEGINS, World

DAY = timedelta(days=1)
NOON = datetime(2026, 12, 8, 12, tzinfo=UTC)
PROJECT = f"/supabase/v1/projects/{REF}"


class Engine(Part):
    """Stands in for PostgreSQL: says what is asked of it, and fails to recover when told to."""

    name = "database"
    earliest = BEGINS - DAY

    def __init__(self, world):
        super().__init__(world)
        self.serves, self.asked, self.fails = True, [], False

    def go_down(self):
        self.serves = False

    def recover(self, to):
        self.asked.append(to)
        if self.fails:
            raise StepFailed("there is no backup from before")
        self.serves = True


@pytest.fixture
def world():
    return World(None, kinds=[Supabase])


def ask(world, method, path, body=b"", **query):
    token = world.part("supabase").secrets()["token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = world.answer(Call(method, path, list(query.items()), headers, body)).answer
    return answer.status, answer.body


def nights(now, *missing):
    found = backups.nightly(now, {str(day) for day in missing})
    return [(datetime.fromisoformat(one["inserted_at"]).date(), one["status"]) for one in found]


def test_seven_nights_are_kept():
    """Newest first; the eighth is gone."""
    days = [day for day, _ in nights(NOON)]
    assert days == [date(2026, 12, 8) - n * DAY for n in range(7)]
    assert {status for _, status in nights(NOON)} == {"COMPLETED"}


def test_a_backup_takes_its_minutes():
    """At 03:17 it is begun, at 03:23 it is there."""
    at = datetime(2026, 12, 8, 3, 17, tzinfo=UTC)
    assert nights(at - timedelta(seconds=1))[0] == (date(2026, 12, 7), "COMPLETED")
    assert nights(at)[0] == (date(2026, 12, 8), "PENDING")
    assert nights(at + timedelta(minutes=6))[0] == (date(2026, 12, 8), "COMPLETED")


def test_a_night_that_is_missing_stays_missing(world):
    """The last night's and the next one's; before and after there are backups again."""
    world.play("backups-missing")
    world.advance(4 * DAY)
    _, body = ask(world, "GET", f"{PROJECT}/database/backups")
    days = {one["inserted_at"][:10] for one in body["backups"]}
    assert {"2026-11-29", "2026-11-30"} & days == set()
    assert {"2026-11-28", "2026-12-01", "2026-12-02", "2026-12-03"} <= days


def test_the_last_two_minutes_cannot_be_restored_to():
    """And the window is never turned round, nor told without a first backup."""
    assert backups.window(None, NOON) == {}
    told = backups.window(NOON - DAY, NOON)
    assert told["earliest_physical_backup_date_unix"] == (NOON - DAY).timestamp()
    assert told["latest_physical_backup_date_unix"] == NOON.timestamp() - 120
    fresh = NOON - timedelta(seconds=30, microseconds=1)
    told = backups.window(fresh, NOON)
    assert told["earliest_physical_backup_date_unix"] == told["latest_physical_backup_date_unix"]
    assert told["earliest_physical_backup_date_unix"] >= fresh.timestamp()


def test_without_postgresql_it_refuses_what_needs_one(world):
    """SQL, and every restore: nothing was ever backed up."""
    status, body = ask(world, "POST", f"{PROJECT}/database/query", b'{"query": "SELECT 1"}')
    assert (status, body["message"][:24]) == (400, "Failed to run sql query:")
    restore, target = f"{PROJECT}/database/backups/restore-pitr", b'{"recovery_time_target_unix": 1796000000}'
    assert ask(world, "POST", restore, target) == (400, {"message": "PITR is not enabled for this project"})
    world.play("pitr")
    assert ask(world, "POST", restore, target)[1]["message"].startswith("Recovery target is outside")


def test_sixty_calls_a_minute(world):
    """One more is refused without a time, until the minute is over; an unknown project is none."""
    for _ in range(60):
        assert ask(world, "GET", PROJECT)[0] == 200
    assert ask(world, "GET", PROJECT)[0] == 429
    world.advance(timedelta(minutes=1))
    assert ask(world, "GET", "/supabase/v1/projects/another")[0] == 404


def test_health_wants_services_that_there_are(world):
    """Without any, or with another, it is refused."""
    assert ask(world, "GET", f"{PROJECT}/health")[0] == 400
    assert ask(world, "GET", f"{PROJECT}/health", services="mail")[0] == 400
    assert ask(world, "GET", f"{PROJECT}/health", services="db")[1][0]["healthy"]


RESTORE = f"{PROJECT}/database/backups/restore-pitr"
TARGET = b'{"recovery_time_target_unix": %d}' % (BEGINS - timedelta(hours=1)).timestamp()


def on_an_engine(*scenarios):
    world = World(None, kinds=[Supabase, Engine])
    for scenario in ("pitr", *scenarios):
        world.play(scenario)
    assert ask(world, "POST", RESTORE, TARGET) == (201, None)
    return world, world.part("database")


def status(world, seconds=0):
    world.advance(timedelta(seconds=seconds))
    return ask(world, "GET", PROJECT)[1]["status"]


def test_a_restore_still_reads_healthy_then_is_down_then_comes_up():
    """Twenty seconds as if nothing were; four minutes down with its database; half a minute of coming up."""
    world, engine = on_an_engine()
    assert (status(world), status(world, 19), engine.serves) == ("ACTIVE_HEALTHY", "ACTIVE_HEALTHY", True)
    assert ask(world, "POST", RESTORE, TARGET)[0] == 400  # one at a time
    assert (status(world, 1), engine.serves) == ("RESTORING", False)
    assert ask(world, "GET", f"{PROJECT}/health", services="db")[1][0]["status"] == "UNHEALTHY"
    assert ask(world, "POST", f"{PROJECT}/database/query", b'{"query": "SELECT 1"}')[0] == 400
    assert (status(world, 239), status(world, 1)) == ("RESTORING", "COMING_UP")
    assert (status(world, 29), status(world, 1)) == ("COMING_UP", "ACTIVE_HEALTHY")
    assert engine.asked == [BEGINS - timedelta(hours=1)]


def test_a_restore_that_cannot_be_done_fails():
    """As when a world was killed, and its new database has no backup from then; or by the scenario."""
    world, engine = on_an_engine()
    engine.fails = True
    assert status(world, 300) == "RESTORE_FAILED"
    world, engine = on_an_engine("restore-fails")
    assert status(world, 300) == "RESTORE_FAILED"
    assert engine.asked == []
