"""The suite can fail: its search finds what is packed, and a kernel without a guard leaks everywhere."""

import base64
import gzip
import html
import json

import nbformat
import pytest

from tests.secrets import places
from tests.secrets.canaries import FORMS, VALUES, leaks, written
from tests.secrets.harness import papermill, project_of
from tests.secrets.test_kernel import CELLS

PACKED = {
    "alone": str,
    "JSON": lambda text: json.dumps({"a": [text]}),
    "JSON in JSON": lambda text: json.dumps([json.dumps({"a": text})]),
    "Python's literal": lambda text: f"KeyError({text!r})",
    "HTML": lambda text: f"<p>{html.escape(text)}</p>",
    "references": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "tags": lambda text: f"<i>{html.escape(text[:9])}</i><!-- x --><b>{html.escape(text[9:])}</b>",
    "colours": lambda text: "".join(f"\x1b[31m{letter}\x1b[0m" for letter in text),
    "gzip": lambda text: gzip.compress(text.encode()),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "a picture's remarks": places.remarked,
    "a picture in a page": lambda text: (
        f'<img src="data:image/png;base64,{base64.b64encode(places.remarked(text)).decode()}">'
    ),
}


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_canary_is_found_however_it_is_packed(name, pack):
    """One layer around it, or two."""
    assert any(found.startswith(name) for found in leaks(pack(VALUES[name])))


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("form", FORMS)
def test_a_canary_is_found_in_every_form(name, form):
    """As the places of the suite say it."""
    assert any(found.startswith(name) for found in leaks(f"it is {written(VALUES[name])[form]} and so on"))


def test_what_is_masked_is_no_leak():
    """A variable's name, a digest and a picture are none."""
    assert leaks("[TOY_TOKEN] 9f8e7d6c5b4a3210 " + "0123456789abcdef" * 4) == set()
    assert leaks(places.remarked("nothing")) == set()


def test_without_a_guard_every_cell_leaks(tmp_path):
    """The same cells in a kernel where no run was opened: each of them shows canaries."""
    project = project_of(tmp_path, *CELLS)
    path = project / "notebooks/drills/toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    figures = "from runbook.charts import display; display.install(get_ipython())"  # as `open_run` does
    opening = next(cell for cell in notebook.cells if "open_run" in cell.source)
    opening.source = figures
    nbformat.write(notebook, path)
    assert papermill(project).stderr
    shown = nbformat.read(project / "outputs/out.ipynb", as_version=4).cells
    silent = [cell.source for cell in shown if cell.source in CELLS and not leaks(json.dumps(cell))]
    assert silent == []
