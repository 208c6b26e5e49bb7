"""The post-deployment report end to end: whole although its rollout is missing, printed, and not doubled."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import papermill
import pytest

from tests.project import ROOT

GONE = dict.fromkeys(("drill", "preconfiguration", "migration", "canary"), "not-run")
NOTEBOOK = ROOT / "notebooks/rollout/07_post_deployment_report.ipynb"
CHARTS = [
    "01-rollout-timeline.svg",
    "02-drill-trend.svg",
    "03-burn-down.svg",
    "04-latency-by-day.svg",
    "05-cost-bars.svg",
    "06-slo-scorecard.svg",
]


def runbook(outputs, *args):
    return subprocess.run(
        [sys.executable, "-m", "runbook.cli", *args],
        env={**os.environ, "RUNBOOK_ROOT": str(ROOT), "RUNBOOK_OUTPUTS": str(outputs)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """One run of the report whose rollout nobody made."""
    folder = tmp_path_factory.mktemp("outputs")
    params = [part for name, value in GONE.items() for part in ("-p", f"{name}={value}")]
    done = runbook(folder, "run", "post_deployment_report", "--env", "sandbox", "--run-id", "r1", *params)
    assert done.returncode == 3, done.stdout + done.stderr
    return folder


def summary(outputs, run_id="r1"):
    return json.loads((outputs / run_id / "summary.json").read_text())


def test_without_a_rollout_it_is_no_go_with_the_whole_report_above(outputs):
    """Every table and chart is there, every number that could be measured, and each missing run by name."""
    found = summary(outputs)
    assert (found["status"], found["exit_code"]) == ("no-go", 3)
    assert sorted(path.name for path in (outputs / "r1/charts").iterdir()) == CHARTS
    failed = {line["title"]: line["observed"] for line in found["checks"] if line["status"] == "failed"}
    for part in ("restore drill", "DNS pre-configuration", "DNS migration", "canary, phase 4"):
        assert "there is no run" in failed[part]
    assert found["numbers"]["down_min"]["value"] == 0
    assert "changes" not in found or found["changes"] == []


def test_it_verifies_and_so_it_does_with_a_pdf_beside_it(outputs):
    """The PDF is no part of the sealed folder; without chromium the command says so and exits 2."""
    assert runbook(outputs, "verify", "r1").returncode == 0
    printed = runbook(outputs, "report", "r1", "--pdf")
    if any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))):
        assert printed.returncode == 0, printed.stderr
        assert (outputs / "r1.pdf").read_bytes().startswith(b"%PDF")
    else:
        assert (printed.returncode, "no chromium" in printed.stderr) == (2, True)
    assert runbook(outputs, "verify", "r1").returncode == 0
    assert runbook(outputs, "report").returncode == 0


def test_a_resume_reads_nothing_again_and_tries_its_check(outputs):
    """What is on record stays: the same bill, the same minutes; only the check is tried again."""
    before = summary(outputs)
    assert runbook(outputs, "resume", "r1").returncode == 3
    after = {step["title"]: step for step in summary(outputs)["steps"]}
    for step in before["steps"]:
        again = 1 if step["title"] == "nothing is missed" else 0
        assert after[step["title"]]["attempts"] == step["attempts"] + again


def test_asking_for_a_pdf_of_nothing_is_refused(outputs):
    """It names what to type."""
    refused = runbook(outputs, "report", "--pdf")
    assert refused.returncode == 2
    assert "runbook report RUN --pdf" in refused.stderr


def test_plain_papermill_ends_as_the_command_line_does(tmp_path, monkeypatch):
    """The exception names the check, and the notebook holds what came before it."""
    monkeypatch.setenv("RUNBOOK_ROOT", str(ROOT))
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path / "outputs"))
    out = tmp_path / "out.ipynb"
    with pytest.raises(papermill.PapermillExecutionError, match="nothing is missed"):
        papermill.execute_notebook(
            str(NOTEBOOK), str(out), {**GONE, "run_id": "plain"}, cwd=str(tmp_path), progress_bar=False
        )
    shown = [cell for cell in nbformat.read(out, 4).cells if cell.cell_type == "code" and cell.outputs]
    assert len(shown) > 20
    assert summary(tmp_path / "outputs", "plain")["status"] == "no-go"
