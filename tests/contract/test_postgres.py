"""The cases that need a real PostgreSQL in the world: its SQL answers, its restores restore."""

from datetime import timedelta

import psycopg
import pytest

from runbook.errors import VendorRefused, VendorUnavailable
from runbook.providers import supabase
from tests.contract.cases.supabase import arrange_marks, marks, restore
from tests.contract.conftest import make_step
from tests.contract.table import row_id, rows
from tests.contract.test_contract import test_a_case as case_holds
from tests.contract.test_faults import trials, try_fault

FEW = 24


@pytest.mark.parametrize(("vendor", "case"), rows("on_postgres"), ids=row_id)
def test_a_case_on_postgres(vendor, case, postgres_world):
    """The client does what the case says, on a database that is one."""
    case_holds(vendor, case, postgres_world, make_step(postgres_world))


@pytest.mark.parametrize(("vendor", "case", "fault", "options", "times"), trials("on_postgres", one_in=FEW))
def test_a_fault_on_postgres(vendor, case, fault, options, times, postgres_world):
    """The same as without a database: success is true, a resume doubles nothing."""
    try_fault(vendor, case, fault, options, times, postgres_world)


def test_a_restore_that_fails_says_so(postgres_world):
    """The project and its database are down then; nothing of ours brings them back, a new world does."""
    step = make_step(postgres_world)
    arrange_marks(postgres_world, step)
    postgres_world.play("restore-fails")
    with pytest.raises(VendorRefused, match="ended as RESTORE_FAILED; the project is down"):
        restore(step)
    assert supabase.read_project(step).status == "RESTORE_FAILED"
    with pytest.raises(psycopg.OperationalError):
        marks(postgres_world)
    postgres_world.reset()
    assert marks(postgres_world) == ["kept", "lost"]


def test_a_restore_that_is_stuck_is_waited_for_by_a_resume(postgres_world):
    """The error asks for no second one; six hours later the first is there."""
    step = make_step(postgres_world)
    arrange_marks(postgres_world, step)
    postgres_world.play("restore-stuck")
    with pytest.raises(VendorUnavailable, match="still RESTORING 4 h after"):
        restore(step)
    back = restore(make_step(postgres_world))
    assert len(postgres_world.dump()["supabase"]["restores"]) == 1
    assert marks(postgres_world) == ["kept"]
    assert timedelta(hours=1) < back.back_at - back.asked_at < timedelta(hours=3)
