"""The workload's ledger: what was changed up to any serial, whatever became of the server."""

from datetime import UTC, datetime

import pytest

from runbook.errors import StepFailed
from runbook.postgres.fingerprint import TableFingerprint, Truth
from runbook.sandbox.ledger import (
    TAIL_BYTES,
    Delta,
    acknowledge,
    newest_acknowledged,
    offer,
    read_ledger,
    truth_at,
)

AT = datetime(2026, 3, 1, 2, 0, 0, 123456, tzinfo=UTC)
SEEDED = Truth(tables={"public.a": TableFingerprint(row_count=10, checksum="100")})


@pytest.fixture
def ledger(tmp_path):
    """Three serials: the first two acknowledged, the third only offered when the server was lost."""
    path = tmp_path / "ledger"
    with path.open("wb", buffering=0) as file:
        for serial in (1, 2, 3):
            changed = {
                "public.a": Delta(row_count=1, checksum=serial),
                "public.b": Delta(row_count=0, checksum=-7),
            }
            offer(file, serial=serial, xid=900 + serial, tables=changed)
            if serial < 3:
                acknowledge(file, serial=serial, committed_at=AT, lsn=f"0/{serial}")
    return path


def test_what_was_offered_is_known_and_what_was_acknowledged_too(ledger):
    """Every serial is there with its changes; of the last nobody was told that it is safe."""
    entries = read_ledger(ledger)
    assert [(entry.serial, entry.xid, entry.lsn) for entry in entries.values()] == [
        (1, 901, "0/1"),
        (2, 902, "0/2"),
        (3, 903, None),
    ]
    assert entries[2].committed_at == AT
    assert newest_acknowledged(ledger) == entries[2]


@pytest.mark.parametrize(("serial", "rows", "checksum"), [(0, 10, 100), (1, 11, 101), (3, 13, 106)])
def test_the_truth_at_a_serial_is_the_seed_and_every_change_up_to_it(ledger, serial, rows, checksum):
    """Also one that was never acknowledged is counted when the restored copy has it."""
    truth = truth_at(SEEDED, ledger, serial=serial)
    assert truth.tables["public.a"] == TableFingerprint(row_count=rows, checksum=str(checksum))
    assert truth.serial == serial


def test_a_table_without_rows_so_far_starts_from_nothing(ledger):
    """Changes to a table that was empty when seeded are counted from zero, modulo 2**64."""
    truth = truth_at(SEEDED, ledger, serial=2)
    assert truth.tables["public.b"] == TableFingerprint(row_count=0, checksum=str(2**64 - 14))


def test_a_serial_the_ledger_does_not_know_is_an_error(ledger):
    """A restored copy that is further than the ledger has no truth to be compared with."""
    with pytest.raises(StepFailed, match="has no serial 4"):
        truth_at(SEEDED, ledger, serial=4)


def test_a_torn_last_line_is_left_out(ledger):
    """A writer that was killed in the middle of a line leaves the others readable."""
    with ledger.open("ab") as file:
        file.write(b'{"serial":4,"xid":904,"tab')
    assert max(read_ledger(ledger)) == 3
    assert newest_acknowledged(ledger).serial == 2


def test_a_serial_tried_again_counts_once(ledger):
    """After a deadlock the same serial is offered anew; only the last try was committed."""
    with ledger.open("ab", buffering=0) as file:
        offer(file, serial=3, xid=999, tables={"public.a": Delta(row_count=5, checksum=50)})
        acknowledge(file, serial=3, committed_at=AT, lsn="0/9")
    assert read_ledger(ledger)[3].xid == 999
    assert truth_at(SEEDED, ledger, serial=3).tables["public.a"].row_count == 17


def test_the_newest_is_found_without_reading_all(tmp_path):
    """In a long ledger the end is enough; before the first commit there is none."""
    path = tmp_path / "long"
    assert newest_acknowledged(path) is None
    with path.open("wb", buffering=0) as file:
        for serial in range(1, 2001):
            offer(file, serial=serial, xid=serial, tables={"public.a": Delta(row_count=1, checksum=serial)})
            acknowledge(file, serial=serial, committed_at=AT, lsn="0/1")
    assert path.stat().st_size > 2 * TAIL_BYTES
    assert newest_acknowledged(path).serial == 2000
