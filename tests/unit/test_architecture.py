"""The rooms: imports point one way, no circle, and the world is touched only where it may be."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "lib" / "runbook"

# From the ground up; a room may import those before it and itself.
FLOORS = [
    ["errors"],
    ["clock", "values", "files", "wording"],
    ["summary", "plan", "surroundings", "keeper", "catalogue", "outline"],
    ["step", "outcome", "judge"],
    ["parameters", "journal", "scratch", "masking", "signatures", "seals"],
    ["postgres", "costs"],
    ["sandbox", "providers"],
    ["gates"],
    ["changes"],
    ["milestone"],
    ["charts"],
    ["handover"],
    ["report"],
    ["account", "showing"],
    ["verifying"],
    ["earlier", "rehearsing"],
    ["recording"],
    ["stepping"],
    ["undoing"],
    ["effects"],
    ["waiting"],
    ["run"],
    ["opening"],
    ["warm"],
    ["kernels"],
    ["engine", "sealing"],
    ["driving", "campaign", "due", "approving", "harming"],
    ["drilling"],
    ["ending"],
    ["terminal", "commands_sandbox"],
    ["board"],
    ["cli"],
    ["__init__"],
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(LIBRARY.rglob("*.py"))


def room_of(path):
    return path.relative_to(LIBRARY).with_suffix("").parts[0]


def imported(path):
    """Return the rooms of ours that a module imports."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "runbook":
            parts = node.module.split(".")[1:]
            rooms |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("runbook.")}
    return rooms


def name_of(path):
    return str(path.relative_to(LIBRARY))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path):
    """A module imports its own room or a lower one; two rooms of one floor do not know each other."""
    room = room_of(path)
    assert room in LEVEL, f"{room} has no floor in this test: give it one"
    wrong = {other for other in imported(path) if other != room and LEVEL[other] >= LEVEL[room]}
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_are_short_and_say_their_duty(path):
    """At most 400 lines, and one sentence of duty on top."""
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))


FORBIDDEN = {
    r"(?<![.\w])print\(": {"cli/app.py"},
    r"os\.environ|os\.getenv": {
        "surroundings.py",
        "warm/forking.py",
        "warm/notebook.py",
        "plan/loading.py",
        "plan/secrets.py",
        "postgres/programs.py",
    },
    r"datetime\.now|time\.time\(": {"clock.py", "keeper.py", "scratch.py"},
    r"shell=True|verify=False|\bpickle\b|\beval\(|\bexec\(": set(),
}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_the_world_is_touched_only_where_it_may_be(pattern):
    """Printing, the environment, the time of day and dangerous calls each have their rooms, or none."""
    found = {name_of(path) for path in MODULES if re.search(pattern, path.read_text())}
    assert found <= FORBIDDEN[pattern]


def test_nothing_names_this_machine_or_a_registry():
    """No path of a person's machine and no package index in anything we ship."""
    shipped = [
        p for p in ROOT.rglob("*") if p.suffix in {".py", ".md", ".yaml", ".yml", ".toml", ".lock", ".ipynb"}
    ]
    tracked = [
        p
        for p in shipped
        if not set(p.relative_to(ROOT).parts) & {"outputs", ".git"} and ".venv" not in str(p)
    ]
    places = [r"/(?:home|root)/\w", "pypi" + r"\.org", "python" + "hosted"]
    words = [*places, "index" + "-url", "find" + "-links"]
    pattern = re.compile("|".join(words))
    assert len(tracked) > 40
    assert {
        str(p): found[0] for p in tracked if p != Path(__file__) and (found := pattern.findall(p.read_text()))
    } == {}


def test_conda_and_pip_draw_on_one_list():
    """environment.yml names Python as pyproject.toml does, and takes everything else from it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    plain = [name for name in conda if isinstance(name, str)]
    assert plain == [f"python{project['requires-python']}", "pip", "make"]
    extras = ",".join(project["optional-dependencies"])
    assert conda[-1] == {"pip": [f"--editable .[{extras}]"]}
    given = ["papermill", "nbclient", "scrapbook", "pandas", "matplotlib", "requests"]
    listed = {re.split(r"[<>=\[ ]", name)[0] for name in project["dependencies"]}
    assert set(given) <= listed


def test_the_lock_holds_every_dependency_with_hashes_and_no_address():
    """What is installed is what was looked at, wherever it comes from."""
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [n for more in project["optional-dependencies"].values() for n in more]
    locked = dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", lock, re.M))
    for name in wanted:
        assert re.split(r"[<>=\[ ]", name)[0].lower() in locked
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > len(locked)


def test_every_dependency_has_its_reason():
    """docs/architecture.md says why each package is there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [n for more in project["optional-dependencies"].values() for n in more]
    reasons = (ROOT / "docs/architecture.md").read_text().partition("## Dependencies")[2]
    names = [re.split(r"[<>=\[ ]", name)[0] for name in wanted]
    assert [n for n in names if n not in reasons and not n.startswith("types-")] == []
