"""What a cell shows is masked before it leaves the kernel, whoever listens to it."""

import pytest

from tests.secrets.harness import RUN, leaks_of, outputs_of, papermill, project_of, runbook

CELLS = [
    f"places.{name}()"
    for name in (
        "print_them",
        "print_in_two",
        "print_letters",
        "print_around_an_update",
        "print_coloured",
        "write_past_python",
        "let_children_speak",
        "log_them",
        "warn_of_them",
        "speak_in_a_thread",
        "show_markup",
        "show_markup_taken_apart",
        "show_data",
        "update_displays",
        "return_them",
        "return_table",
        "show_figures",
        "show_pictures",
        "raise_theirs",
        "raise_chained",
        "raise_group",
        "raise_ours",
    )
]


PAST_PYTHON = ("places.write_past_python()", "places.let_children_speak()")


@pytest.fixture(scope="module", params=["papermill", "papermill, descriptors not captured", "runbook"])
def shown(request, tmp_path_factory):
    """Return a project in which every cell was run, the command's end, and the notebook it left."""
    project = project_of(tmp_path_factory.mktemp("shown"), *CELLS)
    if request.param == "runbook":
        return project, runbook(project, *RUN), project / "outputs/r1/notebook.ipynb"
    more = {"PYTEST_CURRENT_TEST": "x"} if "captured" in request.param else {}
    return project, papermill(project, more=more), project / "outputs/out.ipynb"


def test_no_canary_leaves_the_kernel(shown):
    """Not in a stream, a display, a result, an exception, a picture; not in any file that is left."""
    project, done, notebook = shown
    assert notebook.is_file(), done.stderr
    assert leaks_of(project, done) == {}


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_did_show_one(shown, cell):
    """What is masked reads `[NAME]` or says that it was left out, so the canaries did come this way."""
    _, done, notebook = shown
    shown_there = outputs_of(notebook)[cell]
    if cell in PAST_PYTHON and "[TOY_" not in shown_there:
        shown_there = done.stdout.decode()  # where a kernel does not capture its descriptors
    assert "[TOY_" in shown_there or "left out" in shown_there
