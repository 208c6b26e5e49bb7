"""Supabase: the project, its backups, a restore to a time, SQL, add-ons.

What needs the world's real PostgreSQL stands under `on_postgres`; a restore takes seconds of real time there.
"""

from contextlib import closing
from datetime import timedelta

import psycopg

from runbook.providers import supabase
from tests.contract.table import Case, Refusal, Vendor

KILL = "UPDATE public.emergency_controls SET kill_switch = true, reason = $1 WHERE NOT kill_switch"
IS_KILLED = "SELECT kill_switch FROM public.emergency_controls"
TARGET = {}  # where the restore that was arranged goes


def by_dsn(world, *statements):
    """Run SQL on the database itself, past Supabase; return what the last statement brought."""
    dsn = world.secrets()["database"]["dsn"]
    with closing(psycopg.connect(dsn, passfile="/dev/null")) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
    return rows


def switched(world):
    return int(by_dsn(world, IS_KILLED)[0][0])


def arrange_switch(world, step):
    by_dsn(world, "UPDATE public.emergency_controls SET kill_switch = false")


def kill(step):
    return supabase.apply_sql(step, sql=KILL, parameters=["rehearsal"], done=IS_KILLED)


def expect_killed(result, world):
    assert by_dsn(world, "SELECT kill_switch, reason FROM public.emergency_controls") == [(True, "rehearsal")]


def ask(step):
    sql = "SELECT id::text, reason, updated_at FROM public.emergency_controls WHERE reason = $1 OR true"
    return supabase.read_sql(step, sql=sql, parameters=["none"])


def expect_row(result, world):
    (row,) = result.found
    assert row["id"] == "00000000-0000-0000-0000-000000000001"
    assert row["updated_at"].startswith("2025-01-01T00:00:00")


def arrange_marks(world, step):
    """Write something, let time pass, and write what a restore is to lose."""
    world.play("pitr")
    table = "CREATE TABLE IF NOT EXISTS public.marks (mark text)"
    by_dsn(world, table, "TRUNCATE public.marks", "INSERT INTO public.marks VALUES ('kept')")
    world.advance(timedelta(minutes=10))
    by_dsn(world, "INSERT INTO public.marks VALUES ('lost')")
    world.advance(timedelta(minutes=5))
    TARGET["at"] = world.now() - timedelta(minutes=8)


def restore(step):
    return supabase.apply_restore(step, to=TARGET["at"])


def apply_now(step):
    return supabase.apply_restore(step, to=step.clock.now())


def marks(world):
    return [row[0] for row in by_dsn(world, "SELECT mark FROM public.marks ORDER BY mark")]


def restores(world):
    return len(world.dump()["supabase"].get("restores", {}))


def expect_restored(result, world):
    assert marks(world) == ["kept"]
    assert result.asked_at <= result.down_at < result.back_at


def expect_window(backups, world):
    assert backups.pitr
    assert backups.nightly == ()
    assert backups.earliest_at <= backups.latest_at <= world.now()


def expect_nightly(backups, world):
    assert not backups.pitr
    assert backups.earliest_at is None
    assert [one.taken_at for one in backups.nightly] == sorted(
        (one.taken_at for one in backups.nightly), reverse=True
    )
    today = world.now().date()
    assert backups.told_since() == today - timedelta(days=6)
    assert backups.nights_without(today - timedelta(days=60), today + timedelta(days=9)) == ()


def arrange_gap(world, step):
    world.play("backups-missing")
    world.advance(timedelta(days=3))


def expect_gap(backups, world):
    today = world.now().date()
    missing = backups.nights_without(today - timedelta(days=6), today)
    assert len(missing) == 2
    assert missing[1] - missing[0] == timedelta(days=1)


def expect_project(project, world):
    assert project.is_healthy
    assert (project.name, project.postgres[:3]) == ("omnihub production", "17.")


def expect_compute(addons, world):
    ((kind, per),) = [(one.kind, one.per) for one in addons]
    assert (kind, per) == ("compute_instance", "hour")


def expect_bill(charges, world):
    """Compute and the log for point-in-time recovery, about 15 and 100 USD a month by the hour."""
    by_what = {one.what: one.cost_usd for one in charges}
    assert 13 < by_what["compute instance: Small"] < 16
    assert 90 < by_what["pitr: 7 days"] < 103
    assert {(one.source, one.recurring) for one in charges} == {("usage", True)}


VENDOR = Vendor(
    name="supabase",
    specs={"/supabase": "supabase"},
    cases=[
        Case(
            "projects are listed",
            do=supabase.read_projects,
            expect=lambda found, world: expect_project(found[0], world),
        ),
        Case("the project is read", do=supabase.read_project, expect=expect_project),
        Case("its plan is read", do=supabase.read_plan, expect=lambda plan, _world: plan == "pro"),
        Case(
            "its services are healthy",
            do=lambda step: supabase.read_health(step, services=("db", "auth")),
            expect=lambda found, _world: (
                [(s.name, s.healthy) for s in found] == [("db", True), ("auth", True)]
            ),
        ),
        Case("nightly backups are listed", do=supabase.read_backups, expect=expect_nightly),
        Case("a missing backup is found", arrange=arrange_gap, do=supabase.read_backups, expect=expect_gap),
        Case("add-ons are read", do=supabase.read_addons, expect=expect_compute),
        Case(
            "the bill is read",
            arrange=lambda world, _step: world.play("pitr"),
            do=lambda step: supabase.read_charges(step, month=step.clock.now().date()),
            expect=expect_bill,
        ),
    ],
    on_postgres=[
        Case("a question is asked", do=ask, expect=expect_row),
        Case(
            "the kill switch is thrown",
            arrange=arrange_switch,
            do=kill,
            expect=expect_killed,
            effect=switched,
        ),
        Case(
            "the window of a restore is read",
            arrange=arrange_marks,
            do=supabase.read_backups,
            expect=expect_window,
        ),
        Case(
            "the project is restored to a time",
            arrange=arrange_marks,
            do=restore,
            expect=expect_restored,
            effect=restores,
            at_least_once="one that is over cannot be told from none; again, it brings back the same",
        ),
    ],
    refusals=[
        Refusal("a restore without point-in-time recovery", do=apply_now, code="window"),
        Refusal(
            "a restore where nothing was ever backed up",
            arrange=lambda world, _step: world.play("pitr"),
            do=apply_now,
            code="window",
        ),
        Refusal(
            "a question to a database that does not answer",
            do=lambda step: supabase.read_sql(step, sql="SELECT 1"),
            code="",
        ),
    ],
)
