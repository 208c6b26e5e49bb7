"""The world's times on a real PostgreSQL's log: recovered is what was done by then, in place."""

from contextlib import closing
from datetime import timedelta

import psycopg
import pytest

from runbook.errors import StepFailed
from runbook.sandbox.database import NAME, Database
from runbook.sandbox.world.world import BEGINS, World

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def world():
    made = World(None, kinds=[Database])
    part = made.part("database")
    part._begin()
    yield made
    part._recovery.cluster.stop(mode="immediate")
    part._scratch.close()


def by_dsn(world, statement, *parameters):
    with closing(psycopg.connect(world.secrets()["database"]["dsn"], passfile="/dev/null")) as connection:
        cursor = connection.execute(statement, parameters or None)
        rows = cursor.fetchall() if cursor.description else []
        connection.commit()
    return rows


def test_it_holds_what_was_done_by_then(world):
    """Several times of the world, milliseconds of real time apart; a restore may be undone by another."""
    part = world.part("database")
    by_dsn(world, "CREATE TABLE public.done (hour int)")
    for hour in range(4):
        by_dsn(world, "INSERT INTO public.done VALUES (%s)", hour)
        world.advance(HOUR)
    count = "SELECT count(*)::int AS n FROM public.done"
    assert part.ask(count, [], read_only=True) == [{"n": 4}]
    part.go_down()
    assert not part.serves
    with pytest.raises(psycopg.OperationalError):
        by_dsn(world, count)
    part.recover(BEGINS + 2 * HOUR + timedelta(minutes=59))
    assert part.serves
    assert by_dsn(world, count) == [(3,)]
    world.advance(HOUR)
    by_dsn(world, "INSERT INTO public.done VALUES (9)")
    world.advance(HOUR)
    part.recover(BEGINS + 3 * HOUR)  # in the first life, hours before the restore
    assert by_dsn(world, "SELECT max(hour) FROM public.done") == [(3,)]
    part.recover(BEGINS + 5 * HOUR)  # in the second
    assert by_dsn(world, "SELECT max(hour) FROM public.done") == [(9,)]
    with pytest.raises(StepFailed, match="no backup from before"):
        part.recover(BEGINS - HOUR)


def test_a_reader_changes_nothing_and_names_schemas(world):
    """As Supabase's read-only user: everything can be read, by its whole name."""
    part = world.part("database")
    assert part.ask("SELECT count(*)::int AS n FROM public.orders WHERE id > $1", [0], read_only=True)
    with pytest.raises(StepFailed, match="42P01: relation"):
        part.ask("SELECT 1 FROM orders", [], read_only=True)
    with pytest.raises(StepFailed, match=r"^25006: cannot execute DELETE"):
        part.ask("DELETE FROM public.events", [], read_only=True)


def test_a_shadow_leaves_no_trace(world):
    """What a fault only pretends to do is not done."""
    shadow = world._shadow(world.dump()).part("database")
    before = by_dsn(world, "SELECT count(*) FROM public.users")
    shadow.ask("DELETE FROM public.events", [], read_only=False)
    assert by_dsn(world, "SELECT count(*) > 0 FROM public.events") == [(True,)]
    assert by_dsn(world, "SELECT count(*) FROM public.users") == before
    assert NAME == "omnihub"
