"""The rehearsal database: the same for the same size and seed, and whole in itself."""

from functools import partial

import pytest

from runbook.errors import InputError, StepFailed
from runbook.postgres.content import verify_content
from runbook.postgres.fingerprint import fingerprint
from runbook.sandbox import omnihub
from runbook.step import ProgressState, Step
from tests.hubs import SIZE_MB

# Of size 1 MB and seed 1, on whatever PostgreSQL: also a change of the rows would be seen here.
KNOWN = {
    "billing.invoices": (400, "5413475358183105802"),
    "public.blobs": (48, "14874333608221680446"),
    "public.emergency_controls": (1, "3602200230589204532"),
    "public.events": (1800, "5202940384239168825"),
    "public.orders": (600, "15350228985235730239"),
    "public.users": (120, "14125899355431102726"),
    "public.workload_serials": (1, "8487323537032361484"),
    "public.workspace_members": (160, "4770495692126064262"),
    "public.workspaces": (8, "7146456187134957901"),
}


@pytest.fixture(scope="module")
def connect_to(hub_cluster):
    made = []

    def make(name: str):
        with hub_cluster.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        made.append(name)
        return partial(hub_cluster.connect, database=name)

    yield make
    with hub_cluster.connect() as connection:
        for name in made:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def small(connect_to):
    connect = connect_to("small")
    omnihub.fill(Step(), connect, size_mb=1, seed=1)
    return connect


def test_size_and_seed_decide_every_row(small):
    """The same arguments give the same content on any version: the checksums are known."""
    found = {
        name: (table.row_count, table.checksum) for name, table in fingerprint(Step(), small).tables.items()
    }
    assert found == KNOWN


def test_another_seed_gives_other_rows(small, connect_to):
    """As many rows of each table, none of the large ones with the same content."""
    other = connect_to("other seed")
    omnihub.fill(Step(), other, size_mb=1, seed=2)
    ours, theirs = (fingerprint(Step(), connect).tables for connect in (small, other))
    alike = {name for name in ours if ours[name] == theirs[name]}
    assert {name: table.row_count for name, table in ours.items()} == {
        name: table.row_count for name, table in theirs.items()
    }
    assert alike == {"public.emergency_controls", "public.workload_serials"}


def test_it_is_whole_in_itself(small, programs):
    """Keys, sequences, indexes and views of a freshly filled database pass every check."""
    checks = verify_content(Step(), small, truth=None, has_amcheck=programs.has_amcheck).checks
    assert checks.failed == ()
    titles = [check.title for check in checks]
    assert sum(title.startswith("foreign key") for title in titles) == 7
    assert "materialised view public.daily_revenue is readable" in titles


def test_it_holds_what_a_restore_may_lose(small):
    """Large values out of line, arrays, documents, partial and GIN indexes, one emergency control."""
    with small() as connection:
        ask = lambda query: connection.execute(query).fetchall()[0][0]  # noqa: E731
        assert ask("SELECT min(length(preview)) FROM blobs WHERE preview IS NOT NULL") > 90_000
        stored = "SELECT sum(pg_column_size(preview))::float8 / sum(length(preview)) FROM blobs"
        assert ask(stored) == pytest.approx(1, abs=0.01)  # it does not compress
        methods = "SELECT array_agg(DISTINCT amname::text) FROM pg_class JOIN pg_am a ON a.oid = relam"
        assert {"btree", "gin"} <= set(ask(methods))
        assert ask("SELECT count(*) FROM pg_index WHERE indpred IS NOT NULL AND indrelid >= 16384") == 2
        assert ask("SELECT array_agg(id::text) FROM emergency_controls") == [omnihub.EMERGENCY_CONTROL_ID]


def test_the_size_is_what_was_asked_for(hub_cluster):
    """The tables with their indexes come to about the size in MB."""
    with hub_cluster.connect(database="pattern") as connection:
        query = (
            "SELECT sum(pg_total_relation_size(c.oid)) / 1e6 FROM pg_class c JOIN pg_namespace n "
            "ON n.oid = relnamespace WHERE relkind = 'r' AND nspname IN ('public', 'billing')"
        )
        size_mb = float(connection.execute(query).fetchall()[0][0])
    assert size_mb == pytest.approx(SIZE_MB, abs=1)  # small tables have pages to spare


def test_progress_is_told_in_mb_and_reaches_the_end(connect_to):
    """The bar counts to the size asked for, then through the keys."""
    told: list[ProgressState] = []
    seeded = omnihub.fill(Step(progress_sink=told.append), connect_to("watched"), size_mb=1, seed=1)
    ends = [state for state in told if state.finished]
    assert [(state.what, state.unit) for state in ends] == [
        ("filling OmniHub", "MB"),
        ("building keys and indexes", "statements"),
    ]
    assert ends[0].done == pytest.approx(1, rel=0.1)
    assert seeded.rows_by_table["public.events"] == 3 * seeded.rows_by_table["public.orders"]


@pytest.mark.parametrize("size_mb", [0, -1, 100_001])
def test_a_size_out_of_bounds_is_refused(size_mb, connect_to):
    """Nothing is created for a size that makes no sense."""
    with pytest.raises(InputError, match="right would be 1 to"):
        omnihub.fill(Step(), lambda: pytest.fail("it connected"), size_mb=size_mb)


def test_a_database_that_is_not_empty_is_left_alone(small):
    """Filling twice fails in the server's words."""
    with pytest.raises(StepFailed, match="already exists"):
        omnihub.fill(Step(), small, size_mb=1)
