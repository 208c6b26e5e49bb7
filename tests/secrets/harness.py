"""Runs of a project whose environment is full of canaries, and the look at everything they leave."""

import os
import subprocess
import sys
import time

import nbformat

from tests.notebooks import KERNEL
from tests.project import OPEN, PARAMETERS, ROOT, make_project
from tests.secrets.canaries import ENVIRONMENT, VALUES, leaks

IMPORT = "from tests.secrets import places"
RUN = ("run", "toy", "--env", "sandbox", "--run-id", "r1")


def project_of(folder, *cells, parameters=PARAMETERS):
    """Write a project with these cells; each may raise and the next one runs all the same.

    Its environments name every canary, and are otherwise those of the toy project.
    """
    made = make_project(folder, parameters=parameters)
    for name, mode in (("sandbox", "apply"), ("production", "plan")):
        path = made / "params" / name / "environment.yaml"
        gates = path.read_text().partition("\ngates:")
        path.write_text(ENVIRONMENT.format(name=name, mode=mode) + "".join(gates[1:]).lstrip("\n"))
    path = made / "notebooks/drills/toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [*notebook.cells[:2], *map(_cell, (OPEN, IMPORT, *cells))]
    notebook.metadata.kernelspec = KERNEL
    nbformat.write(notebook, path)
    return made


def _cell(source):
    cell = nbformat.v4.new_code_cell(source)
    cell.metadata.tags = ["raises-exception"]
    return cell


def environment(project, **more):
    """Return the environment of a command; a kernel that sees pytest in it would capture less than usual."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH", ""), str(ROOT)]))
    return {**inherited, "RUNBOOK_ROOT": str(project), "PYTHONPATH": path, **VALUES, **more}


def runbook(project, *args, **options):
    """Run the command line and return how it ended; its streams are bytes."""
    return command(project, "-m", "runbook.cli", *args, **options)


def papermill(project, *args, **options):
    """Run plain papermill on the toy runbook into out.ipynb beside the outputs."""
    paths = (project / "notebooks/drills/toy.ipynb", project / "outputs/out.ipynb")
    (project / "outputs").mkdir(exist_ok=True)
    return command(project, "-m", "papermill", *map(str, paths), *args, **options)


def command(project, *args, more=None, **options):
    return subprocess.run(
        [sys.executable, *args],
        env=environment(project, **(more or {})),
        cwd=project,
        capture_output=True,
        check=False,
        timeout=300,
        **options,
    )


def wait_for(path):
    """Wait until a child has made a file; the time is only a bound for one that never does."""
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        os.sched_yield()


def leaks_of(project, done):
    """Return every leak in the streams of a command and in every file and name below outputs/."""
    places = {"stdout": done.stdout, "stderr": done.stderr}
    for path in sorted((project / "outputs").rglob("*")):
        name = str(path.relative_to(project))
        places[f"the name {name}"] = name.encode("utf-8", "surrogateescape")
        if path.is_file():
            places[name] = path.read_bytes()
    return {place: found for place, content in places.items() if (found := leaks(content))}


def outputs_of(path):
    """Return the outputs of the cells of an executed notebook as text, by the cell's source."""
    cells = nbformat.read(path, as_version=4).cells
    return {cell.source: str(cell.get("outputs", "")) for cell in cells}
