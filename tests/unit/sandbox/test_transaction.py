"""One transaction: what it says it changed is what it changed."""

import psycopg
import pytest

from runbook.errors import StepFailed
from runbook.postgres.fingerprint import compare, fingerprint
from runbook.sandbox.ledger import acknowledge, offer, truth_at
from runbook.sandbox.transaction import BLOB_EVERY, Transactions, steps
from runbook.step import Step


def write(connect, ledger, serials) -> None:
    with connect(autocommit=False) as connection, ledger.open("ab", buffering=0) as file:
        transactions = Transactions(connection)
        for serial in serials:
            xid, tables = transactions.begin(serial)
            offer(file, serial=serial, xid=xid, tables=tables)
            committed_at, lsn = transactions.commit(xid)
            acknowledge(file, serial=serial, committed_at=committed_at, lsn=lsn)


def test_the_sum_of_the_deltas_is_the_truth(hub, tmp_path):
    """After any number of transactions, seed plus deltas is what a fingerprint finds, blobs included."""
    seeded = fingerprint(Step(), hub.connect)
    ledger = tmp_path / "ledger"
    for last, serials in ((1, [1]), (BLOB_EVERY, range(2, BLOB_EVERY + 1))):
        write(hub.connect, ledger, serials)
        checks = compare(truth_at(seeded, ledger, serial=last), fingerprint(Step(), hub.connect))
        assert {check.status for check in checks} == {"passed"}


def test_every_step_of_a_transaction_does_something(hub, tmp_path):
    """Orders are added and paid, counted, told of and forgotten, a blob is stored: no step is idle."""
    counts = (
        "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM events), (SELECT count(*) FROM blobs), "
    )
    counts += "(SELECT sum(order_count) FROM workspaces), (SELECT max(serial) FROM workload_serials), "
    counts += "(SELECT count(*) FROM orders WHERE number LIKE 'W-%' AND status = 'paid')"
    with hub.connect() as connection:
        before = connection.execute(counts).fetchall()[0]
        write(hub.connect, tmp_path / "ledger", range(1, BLOB_EVERY + 1))
        after = connection.execute(counts).fetchall()[0]
    gained = [int(new - old) for new, old in zip(after, before, strict=True)]
    assert gained == [50, 150, 1, 50, 50, 20]


def test_what_is_written_follows_from_the_serial(hub, hub_cluster, tmp_path):
    """Two databases given the same serials hold the same orders, but for the times."""
    rows = "SELECT number, workspace_id, user_id, amount_cents, lines FROM orders WHERE number LIKE 'W-%'"
    with hub_cluster.connect() as connection:
        connection.execute("CREATE DATABASE twin TEMPLATE pattern")
    twin = hub_cluster.model_copy(update={"database": "twin"})
    found = []
    for place in (hub, twin):
        write(place.connect, tmp_path / place.database, range(1, 6))
        with place.connect() as connection:
            found.append(connection.execute(rows).fetchall())
    with hub_cluster.connect() as connection:
        connection.execute("DROP DATABASE twin WITH (FORCE)")
    assert sorted(found[0], key=str) == sorted(found[1], key=str)
    assert len(found[0]) == 5


@pytest.mark.parametrize("dropped", ["orders", "events", "workspaces", "blobs", "workspace_members"])
def test_it_goes_on_without_a_table(hub, tmp_path, dropped):
    """When a table is gone the other steps are done all the same, and the ledger stays true."""
    with hub.connect() as connection:
        connection.execute(f"DROP TABLE {dropped} CASCADE")
    seeded = fingerprint(Step(), hub.connect)
    write(hub.connect, tmp_path / "ledger", range(1, 4))
    checks = compare(truth_at(seeded, tmp_path / "ledger", serial=3), fingerprint(Step(), hub.connect))
    assert {check.status for check in checks} == {"passed"}


def test_without_the_table_of_serials_it_ends(hub):
    """There is nothing to count with: that is said."""
    with hub.connect() as connection:
        connection.execute("DROP TABLE workload_serials")
    with hub.connect(autocommit=False) as connection, pytest.raises(StepFailed, match="cannot go on"):
        Transactions(connection)


def test_it_goes_on_after_the_highest_serial(hub, tmp_path):
    """A writer started again takes up where the database is."""
    write(hub.connect, tmp_path / "ledger", range(1, 4))
    with hub.connect(autocommit=False) as connection:
        assert Transactions(connection).next_serial() == 4


def test_a_serial_cannot_be_written_twice(hub, tmp_path):
    """The same serial again is refused by the server: a restored copy cannot count double."""
    write(hub.connect, tmp_path / "ledger", [1])
    with pytest.raises(psycopg.errors.UniqueViolation):
        write(hub.connect, tmp_path / "ledger", [1])


def test_every_step_of_the_file_is_read():
    """The file's steps all have a name, what they do, and a statement."""
    assert [(step.name, step.does) for step in steps()] == [
        ("ordered", "adds"),
        ("counted", "changes"),
        ("reported", "adds"),
        ("paid", "changes"),
        ("forgotten", "removes"),
        ("stored", "adds"),
        ("noted", "adds"),
    ]
