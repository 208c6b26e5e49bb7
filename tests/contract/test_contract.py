"""Every vendor's table: our client and the emulator agree, and both with the vendor's own description."""

import pytest

from runbook.errors import VendorRefused
from runbook.sandbox.world.world import found_parts
from tests.contract.table import TABLES, row_id, rows
from tests.contract.wire import ABSENT, SPECS


@pytest.mark.parametrize(("vendor", "case"), rows("cases"), ids=row_id)
def test_a_case(vendor, case, world, step):
    """The client does what the case says, and the emulator holds it."""
    case.arrange(world, step)
    before = case.effect(world)
    result = case.do(step)
    case.see(result, world)
    if case.effect(world) != before:
        again = case.effect(world)
        case.do(step)
        assert case.effect(world) == again or case.at_least_once


@pytest.mark.parametrize(("vendor", "row"), rows("refusals"), ids=row_id)
def test_a_refusal(vendor, row, world, step):
    """What the vendor refuses raises VendorRefused with the vendor's own code."""
    row.arrange(world, step)
    with pytest.raises(VendorRefused) as caught:
        row.do(step)
    assert caught.value.code == row.code
    assert caught.value.vendor == vendor.name


@pytest.mark.parametrize(("vendor", "row"), rows("foreign"), ids=row_id)
def test_a_foreign_client(vendor, row, world):
    """Somebody else's client does its work on the emulator, unchanged but for the address."""
    row.do(world)


def test_every_emulator_has_its_table():
    """No vendor is rehearsed that is not held against its description; visitors and the site are none."""
    ours = {"traffic", "site", "users"}
    assert {part.name for part in found_parts()} - ours == {vendor.name for vendor in TABLES}


def test_the_descriptions_are_there():
    """Says so when they are not: client and emulator are then held against each other only."""
    if not SPECS.is_dir():
        pytest.skip(ABSENT)
    for vendor in TABLES:
        for name in vendor.specs.values():
            assert (SPECS / f"{name}.openapi.json").is_file()
