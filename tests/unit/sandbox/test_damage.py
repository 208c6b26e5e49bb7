"""Each damage is really done, in the middle of the workload, which goes on where it can."""

from pathlib import Path
from typing import get_args

import pytest

from runbook.errors import InputError, StepFailed
from runbook.plan import load_environment, project_root
from runbook.postgres.cluster import create_cluster
from runbook.postgres.fingerprint import compare, fingerprint
from runbook.postgres.invariants import evaluate
from runbook.postgres.pages import check_pages
from runbook.sandbox import omnihub
from runbook.sandbox.damage import SERIALS_AFTER, DamageKind, do_damage
from runbook.sandbox.ledger import read_ledger, truth_at
from runbook.sandbox.workload import is_running, start_workload, stop_workload, wait_for_serial
from runbook.step import Step

COMMITTED = ("rows deleted", "updated without WHERE", "table dropped", "schema dropped")
INVARIANTS = load_environment(project_root(Path(__file__)), "sandbox").databases["omnihub"].invariants


@pytest.fixture
def folder(scratch, tmp_path):
    made = scratch / tmp_path.name
    made.mkdir()
    return made


@pytest.fixture
def workload(hub, folder):
    running = start_workload(hub.conninfo(), ledger=folder / "ledger", folder=folder, rate_per_s=300.0)
    wait_for_serial(running, 10)
    yield running
    stop_workload(running)


def broken(hub) -> set[str]:
    found = evaluate(hub.connect, INVARIANTS)
    return {finding.check.title.removeprefix("invariant: ") for finding in found if finding.failed}


BROKEN = {
    "rows deleted": {"events per order"},
    "updated without WHERE": {"share of orders paid", "paid orders with a date of payment, and only those"},
    "table dropped": {
        "workspaces count their orders",
        "share of orders paid",
        "paid orders with a date of payment, and only those",
        "events per order",
    },
    "schema dropped": {"invoices per workspace", "the billing schema exists"},
}


@pytest.mark.parametrize("kind", COMMITTED)
def test_a_committed_damage_breaks_its_invariants_and_the_workload_goes_on(hub, workload, kind):
    """The invariants of the sandbox's params hold before and break as they should; serials follow."""
    assert broken(hub) == set()
    damage = do_damage(Step(), kind, cluster=hub, workload=workload)
    assert broken(hub) == BROKEN[kind]
    assert not is_running(workload)
    entries = read_ledger(workload.ledger)
    assert damage.after == max(entries) >= damage.before + SERIALS_AFTER
    with hub.connect() as connection:
        query = "SELECT serial FROM workload_serials WHERE pg_xact_commit_timestamp(xmin) > "
        query += "pg_xact_commit_timestamp(%s::text::xid) ORDER BY serial"
        later = [serial for (serial,) in connection.execute(query, (damage.xid,))]
    assert len(later) >= SERIALS_AFTER
    assert later[-1] == damage.after
    assert kind in damage.sentence
    assert str(damage.xid) in damage.sentence


def test_without_damage_the_ledger_is_the_truth_and_after_it_no_more(hub, workload):
    """Up to the damage the ledger knows what the database holds; the damage itself is not in it."""
    seeded = fingerprint(Step(), lambda: hub.connect(database="pattern"))
    damage = do_damage(Step(), "rows deleted", cluster=hub, workload=workload)
    truth = truth_at(seeded, workload.ledger, serial=damage.after)
    failed = {
        check.title for check in compare(truth, fingerprint(Step(), hub.connect)) if check.status == "failed"
    }
    assert "public.events: rows and checksum" in failed
    assert "public.workspaces: rows and checksum" not in failed


def test_a_page_is_overwritten_behind_the_servers_back(hub, workload):
    """No commit does it and no invariant breaks; only the page on disk is not what was written."""
    damage = do_damage(Step(), "page overwritten", cluster=hub, workload=workload)
    assert broken(hub) == set()
    assert damage.after >= damage.before + SERIALS_AFTER
    assert damage.xid is None
    with hub.connect() as connection:
        [(path,)] = connection.execute("SELECT pg_relation_filepath('billing.invoices')").fetchall()
    faults = [fault for fault in check_pages(hub.data).faults if fault.file == path]
    assert [fault.block for fault in faults] == [damage.block]


def test_a_cluster_without_checksums_cannot_have_its_page_found(programs, scratch, folder):
    """Where nothing could find the page, the damage is not done."""
    cluster = create_cluster(programs, scratch / "no checksums", checksums=False, settings={"fsync": "off"})
    cluster.start(programs)
    omnihub.fill(Step(), cluster.connect, size_mb=1)
    running = start_workload(cluster.conninfo(), ledger=folder / "ledger", folder=folder)
    try:
        with pytest.raises(StepFailed, match="no page checksums"):
            do_damage(Step(), "page overwritten", cluster=cluster, workload=running)
    finally:
        stop_workload(running)
        cluster.stop(mode="immediate")


def test_a_lost_primary_is_gone(programs, scratch, folder):
    """The server is stopped at once, its data directory removed, and the writer has ended."""
    cluster = create_cluster(programs, scratch / "soon lost", settings={"fsync": "off"})
    cluster.start(programs)
    omnihub.fill(Step(), cluster.connect, size_mb=1)
    running = start_workload(cluster.conninfo(), ledger=folder / "ledger", folder=folder)
    damage = do_damage(Step(), "primary lost", cluster=cluster, workload=running)
    assert not cluster.data.exists()
    assert cluster.postmaster() is None
    assert not is_running(running)
    assert damage.before == damage.after >= 1


def test_an_unknown_damage_is_refused(hub, workload):
    """The names of those there are are in the message, and nothing is touched."""
    with pytest.raises(InputError, match=r"'set on fire'.*rows deleted, updated without WHERE"):
        do_damage(Step(), "set on fire", cluster=hub, workload=workload)
    assert is_running(workload)


def test_there_are_six_damages():
    """The kinds are those that the drill offers."""
    assert set(get_args(DamageKind)) == {*COMMITTED, "page overwritten", "primary lost"}
