"""What a person types to end a run or to free what it holds is put on record without the secrets in it."""

import json

import pytest

from tests.secrets.canaries import VALUES, written
from tests.secrets.harness import RUN, command, leaks_of, project_of, runbook

TOKEN = VALUES["TOY_TOKEN"]
REASON = f"refused: {TOKEN}, {VALUES['TOY_PHRASE']}, {written(TOKEN)['base64 after 1']}"
# A rollback reads the changes from the record, which imports no class but those of the package.
KNOWING = "import runpy; from tests import toy; runpy.run_module('runbook.cli', run_name='__main__')"
CHANGE = 'run.apply(run.plan("write", toy.plan_write, 1))'


@pytest.fixture
def project(tmp_path):
    """Return a project with a run that has changed something, holds it, and failed."""
    project = project_of(tmp_path, CHANGE, "places.fail_with_ours(run)")
    assert runbook(project, *RUN).returncode == 1
    return project


@pytest.mark.parametrize("more", [[], ["--rollback"]])
def test_an_abort_is_recorded_without_the_secrets_of_its_reason(project, more):
    """In the journal, the summary, the report that is sealed again, and what is said."""
    done = command(project, "-c", KNOWING, "abort", "r1", "--reason", REASON, *more)
    assert done.returncode == 0, done.stderr
    assert leaks_of(project, done) == {}
    lines = [json.loads(line) for line in (project / "outputs/r1/journal.jsonl").read_text().splitlines()]
    aborted = next(line for line in lines if line["kind"] == "aborted")
    assert aborted["data"]["reason"].startswith("refused: [TOY_TOKEN], [TOY_PHRASE], ")


def test_a_release_is_recorded_without_the_secrets_of_its_reason(project):
    """In the list of releases and in the record of the run that held it."""
    held = next((project / "outputs/.reservations").rglob("*.json"))
    resource = json.loads(held.read_text())["resource"]
    done = runbook(project, "release", resource, "--reason", REASON)
    assert done.returncode == 0, done.stderr
    assert leaks_of(project, done) == {}
    assert "refused: [TOY_TOKEN]" in (project / "outputs/.reservations/released.jsonl").read_text()
    assert "refused: [TOY_TOKEN]" in (project / "outputs/r1/journal.jsonl").read_text()
