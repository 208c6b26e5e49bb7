"""What a step carries reaches no file of its run: not its record, evidence, report, scraps or summary."""

import json

import pytest

from tests.project import PARAMETERS
from tests.secrets import places
from tests.secrets.canaries import VALUES, spoken
from tests.secrets.harness import RUN, leaks_of, outputs_of, papermill, project_of, runbook

CELLS = [
    f"places.{name}(run)"
    for name in (
        "read_each",
        "read_shapes",
        "title_with",
        "give_as_input",
        "check_that_holds",
        "check_that_fails",
        "keep_evidence",
        "keep_pictures",
        "keep_packed",
        "keep_wide",
        "keep_named",
        "show_progress",
        "name_phase",
        "fail_with_ours",
        "fail_with_theirs",
        "change_telltale",
        "watch_telltale",
        "conclude",
        "finish_with",
        "open_with",
        "open_named",
    )
] + ["places.leave_scraps()"]


@pytest.fixture(scope="module", params=["papermill", "runbook"])
def done(request, tmp_path_factory):
    """Return a project in which every step was tried, and the command's end."""
    parameters = f'{PARAMETERS}note: str = ""  # free text\n'
    project = project_of(tmp_path_factory.mktemp("steps"), *CELLS, parameters=parameters)
    if request.param == "papermill":
        return project, papermill(project, "-p", "run_id", "r1"), project / "outputs/out.ipynb"
    return project, runbook(project, *RUN), project / "outputs/r1/notebook.ipynb"


def test_no_canary_is_in_any_file_or_stream(done):
    """Journal, summary, notebook, report, index, evidence, its names, scraps, stdout, stderr."""
    project, ended, notebook = done
    assert notebook.is_file(), ended.stderr
    assert leaks_of(project, ended) == {}


def test_a_secret_inside_a_result_is_refused_by_its_name(done):
    """Plain, base64 at any offset, percent-encoded: the step fails and says whose value it would hold."""
    said = outputs_of(done[2])["places.read_each(run)"]
    for name, form, _ in spoken():
        assert f"“{form} of {name}”: done would hold the value of {name}" in said


@pytest.mark.parametrize("shape", places.SHAPES)
def test_a_secret_is_refused_in_a_result_of_any_shape(done, shape):
    """In a key, a path, a value's field, a table's cell or column; a part of it, and JSON inside JSON."""
    said = outputs_of(done[2])["places.read_shapes(run)"]
    assert f"“{shape}”: done would hold the value of TOY_" in said


@pytest.mark.parametrize("cell", [cell for cell in CELLS if "keep_" not in cell and "give_" not in cell])
def test_every_place_did_carry_one(done, cell):
    """What was masked or refused names the variable."""
    assert "TOY_" in outputs_of(done[2])[cell]


def test_evidence_is_kept_masked_or_not_at_all(done):
    """Text and binary evidence hold `[NAME]`; what is packed or in another encoding is refused."""
    project, _, notebook = done
    evidence = project / "outputs/r1/evidence"
    kept = [path.read_bytes() for path in sorted(evidence.glob("reply-*"))]
    assert len(kept) == 2 * len(spoken())
    assert all(b"[TOY_" in content for content in kept)
    assert len(list(evidence.glob("toy_*.png"))) == len(VALUES)
    for cell in ("places.keep_packed(run)", "places.keep_wide(run)"):
        assert "cannot be masked" in outputs_of(notebook)[cell]


def test_what_is_shown_again_is_clean_too(done):
    """status, seal, report and verify read the record and say nothing that it does not hold."""
    project, _, _ = done
    for command in (["status"], ["status", "r1"], ["status", "r1", "--json"], ["seal", "r1"], ["report"]):
        ended = runbook(project, *command)
        assert leaks_of(project, ended) == {}, command
    assert json.loads((project / "outputs/r1/summary.json").read_text())["status"] != "done"
