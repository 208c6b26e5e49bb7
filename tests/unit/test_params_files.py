"""The files under params/ as they are shipped: valid, complete, and fit for the notebooks."""

from pathlib import Path

import papermill.iorw
import pytest

from runbook import catalogue
from runbook.parameters import load_parameters, read_schema
from runbook.plan import environments, load_environment, load_scenarios

ROOT = Path(__file__).parents[2]
PARAMS = sorted(
    path.relative_to(ROOT / "params").with_suffix("").parts
    for path in (ROOT / "params").glob("*/*.yaml")
    if path.stem not in ("environment", "scenarios")
)
DRILLS = load_scenarios(ROOT).scenarios
DRILL = catalogue.find(ROOT, "db_restore_drill").path


def choices(name):
    return set(read_schema(DRILL).named(name).kind.choices)


def test_there_are_the_three_environments():
    """The sandbox applies by default; staging and production change nothing unless they are told to."""
    modes = {name: load_environment(ROOT, name).default_mode for name in environments(ROOT)}
    assert modes == {"production": "plan", "sandbox": "apply", "staging": "plan"}


@pytest.mark.parametrize("name", environments(ROOT))
def test_every_environment_has_the_database_with_invariants(name):
    """The drill finds its database in each environment, with what must be true of it."""
    database = load_environment(ROOT, name).database("omnihub")
    assert database.invariants
    assert database.freshness is not None
    assert (database.dsn_variable is None) == (name == "sandbox")


@pytest.mark.parametrize(("environment", "runbook"), PARAMS)
def test_every_parameter_file_fits_its_notebook(environment, runbook):
    """Each file names parameters its notebook declares, with values that fit."""
    assert load_parameters(ROOT, environment, runbook)["environment"] == environment


@pytest.mark.parametrize(("environment", "runbook"), PARAMS)
def test_papermill_reads_a_parameter_file_as_we_do(environment, runbook):
    """`papermill -f` and our own command give a notebook the same parameters."""
    theirs = papermill.iorw.read_yaml_file(str(ROOT / "params" / environment / f"{runbook}.yaml"))
    ours = load_parameters(ROOT, environment, runbook)
    assert {name: ours[name] for name in theirs} == theirs


@pytest.mark.parametrize("row", DRILLS, ids=lambda row: row.name)
def test_every_drill_can_begin(row):
    """Each row's parameters fit its notebook together with the sandbox's file."""
    complete = load_parameters(ROOT, "sandbox", row.runbook, scenario=row)
    assert {name: complete[name] for name in row.params} == row.params


def test_every_damage_is_drilled_clean():
    """Each damage has a drill without sabotage that must be recovered."""
    clean = {
        load_parameters(ROOT, "sandbox", row.runbook, scenario=row)["damage"]
        for row in DRILLS
        if row.runbook == "db_restore_drill"
        and row.expected.status == "done"
        and "sabotage" not in row.params
    }
    assert clean == choices("damage")


def test_every_sabotage_is_a_no_go():
    """Each way a backup can be broken has a drill that must end as a no-go, for a named reason."""
    rows = [row for row in DRILLS if "sabotage" in row.params]
    assert {row.params["sabotage"] for row in rows} == choices("sabotage") - {"none"}
    assert {(row.expected.status, row.expected.exit_code) for row in rows} == {("no-go", 3)}
    assert all(row.expected.because for row in rows)


def test_make_drill_runs_the_rollout_once_and_one_failing_row_a_runbook():
    """It stays short: each runbook once as it should be, alone or before another, and once failing."""
    rows = [row for row in DRILLS if row.in_make_drill]
    for runbook in {row.runbook for row in DRILLS}:
        failing = [row for row in rows if row.runbook == runbook and row.expected.status != "done"]
        well = [row for row in rows if row.runbook == runbook and row.expected.status == "done"]
        before = [row for row in rows if runbook in {one.runbook for one in row.first}]
        assert (runbook, len(failing)) == (runbook, 1)
        assert well or before
