"""docs/vendor-operations.md holds: every operation has cases, its calls are made by them, its trap is met."""

import ast
import re
from dataclasses import dataclass

import pytest

from runbook.sandbox.world.world import World
from tests.contract.conftest import make_step
from tests.contract.table import TABLES
from tests.contract.wire import ABSENT, ROOT, SPECS

DOCUMENT = ROOT / "docs" / "vendor-operations.md"
REALITY = ROOT / "docs" / "plan-vs-reality.md"
FACTS = SPECS / "FACTS.md"
# Calls that no client of ours makes: the world's own, a person's at a web page, foreign ones, unknown ones.
FOREIGN_ONLY = {
    "cloudflare": {"create_rule", "delete_rule"},
    "datadog": {"read_monitor", "read_slos", "validate"},
    "dns": {"dns_query_post", "answers", "zones", "set_fault"},
    "namecheap": {"unknown"},
    "sentry": {"read_releases"},
    "vercel": {"read_promote_aliases", "read_rollback_aliases", "upload_zone_file"},
}


@dataclass(frozen=True)
class Operation:
    """One line of the table."""

    name: str
    calls: frozenset
    cases: tuple
    traps: tuple
    realities: tuple


def rows_below(text, heading):
    """Return the cells of each row below a heading, up to the next; the table's head left out."""
    section = re.split(r"\n## ", text.partition(heading)[2])[0]
    lines = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line] for line in lines[1:]]


def calls_of(cell):
    """Read `vendor call, call; vendor call` as pairs."""
    for part in cell.split("; "):
        vendor, _, names = part.partition(" ")
        for name in names.split(", "):
            if name.isidentifier():
                yield vendor, name


def named(cell):
    """Read `vendor: case` parts; what is not one is prose."""
    vendors = {vendor.name for vendor in TABLES}
    parts = [part.partition(": ") for part in cell.split("; ")]
    return tuple((vendor, case) for vendor, _, case in parts if vendor in vendors)


def table():
    for name, calls, cases, trap in rows_below(DOCUMENT.read_text(), "# Operations and their proof"):
        realities = tuple(re.findall(r"see plan-vs-reality: ([^;|]+)", trap))
        yield Operation(name, frozenset(calls_of(calls)), named(cases), named(trap), realities)


OPERATIONS = list(table())
LATER = dict(rows_below(DOCUMENT.read_text(), "## Not yet"))


def rows_of(vendor):
    found = next(one for one in TABLES if one.name == vendor)
    kinds = (found.cases, found.on_postgres, found.refusals, found.foreign)
    return {row.name: row for rows in kinds for row in rows}


def world_of(request, vendor, name):
    """Return a world in which a case can be run: one with PostgreSQL where it needs that."""
    wants = any(row.name == name for one in TABLES if one.name == vendor for row in one.on_postgres)
    return request.getfixturevalue("postgres_world" if wants else "world")


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_the_cases_make_the_calls(operation, request):
    """Run plain, they make each call that the table names; what they prove stands in the cases."""
    assert operation.cases
    for vendor, name in operation.cases:
        assert name in rows_of(vendor), f"{vendor} has no case {name!r}"
    made = set()
    for vendor, name in operation.cases:
        world = world_of(request, vendor, name)
        world.reset()
        step = make_step(world)
        case = rows_of(vendor)[name]
        case.arrange(world, step)
        case.see(case.do(step), world)
        made |= {(one["vendor"], one["call"]) for one in world.requests()}
    assert operation.calls - made == set()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_a_trap_is_met(operation):
    """By a case, a refusal or a foreign client, or by a line that says how reality differs from the plan."""
    assert operation.traps or operation.realities
    for vendor, name in operation.traps:
        assert name in rows_of(vendor), f"{vendor} has no case {name!r}"
    lines = [row[0] for row in rows_below(REALITY.read_text(), "# Where")]
    for words in operation.realities:
        assert [line for line in lines if line.startswith(words.strip())], f"no line begins {words!r}"


def test_what_comes_later_is_not_there_yet():
    """A vendor with a client has its operations in the table."""
    assert set(LATER.values()) & {vendor.name for vendor in TABLES} == set()
    assert set(LATER) & {one.name for one in OPERATIONS} == set()


def test_no_operation_of_the_facts_is_left_out():
    """The table names exactly what the vendors' facts name."""
    if not FACTS.is_file():
        pytest.skip(ABSENT)
    listed = {row[0] for row in rows_below(FACTS.read_text(), "## 1. Operations map")}
    assert {one.name for one in OPERATIONS} | set(LATER) == listed


def test_every_call_of_an_emulator_is_made_by_a_client():
    """No emulator rehearses what our client cannot do, under the very name the client gives it."""
    written = {
        node.value
        for path in (ROOT / "lib/runbook/providers").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    left = {
        name: {route.call for route in part.routes()} - written - FOREIGN_ONLY.get(name, set())
        for name, part in World(None).parts.items()
    }
    assert {name: calls for name, calls in left.items() if calls} == {}


def test_the_table_is_read_right():
    """Calls, cases, prose and references are told apart."""
    assert list(calls_of("slack post_message, read_history; dns by packets, no call")) == [
        ("slack", "post_message"),
        ("slack", "read_history"),
    ]
    assert named("nothing: at all; slack: a webhook is told; see plan-vs-reality: x") == (
        ("slack", "a webhook is told"),
    )
