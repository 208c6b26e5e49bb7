"""What only looks like a secret is none: public records of the DNS come through a run as they are."""

import json

import pytest

from tests.secrets.harness import RUN, outputs_of, project_of, runbook
from tests.secrets.public import DKIM, RECORDS, VERIFICATION

CELLS = (
    "from tests.secrets import public",
    'records = run.read("records at Vercel", public.read_records)\nrecords',
    'run.check("they are whole", public.compare_records, records)',
    'run.read("of a table", public.read_table)',
    "print(records)",
    'run.finish(run.read("what came of it", public.conclude, records))',
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Return a project whose run has read public records that look like secrets."""
    project = project_of(tmp_path_factory.mktemp("public"), *CELLS)
    done = runbook(project, *RUN)
    assert done.returncode == 0, done.stdout + done.stderr
    return project


def shown(project):
    return outputs_of(project / "outputs/r1/notebook.ipynb")


def test_public_records_are_recorded_as_they_are(project):
    """A DKIM key and two verification TXTs, in the journal letter by letter."""
    lines = (project / "outputs/r1/journal.jsonl").read_text().splitlines()
    done = [json.loads(line)["data"]["result"] for line in lines if '"kind":"done"' in line.replace(" ", "")]
    assert RECORDS in done


def test_public_records_are_shown_in_notebook_and_report(project):
    """Displayed, printed, in checks and conclusion, and nowhere masked."""
    for place in (shown(project)["print(records)"], (project / "outputs/r1/report.html").read_text()):
        assert DKIM in place
        assert VERIFICATION in place
    left = [
        path for path in (project / "outputs").rglob("*") if path.is_file() and b"[TOY_" in path.read_bytes()
    ]
    assert left == []
    assert (project / "outputs/r1/evidence/zone.txt").read_text() == "\n".join(RECORDS.values())


def test_public_records_survive_replay(project):
    """Shown again from the record they are the same, and the run verifies."""
    before = shown(project)
    sealed = runbook(project, "seal", "r1")
    assert sealed.returncode == 0, sealed.stderr
    assert shown(project)["print(records)"] == before["print(records)"]
    assert DKIM in (project / "outputs/r1/report.html").read_text()
    assert runbook(project, "verify", "r1").returncode == 0
