"""A runbook's parameters: declared in its notebook, given by files and the command line, checked first."""

import json
from pathlib import Path

import papermill.cli
import pytest

from runbook.errors import ParamsError, UnknownName
from runbook.parameters import check_parameters, describe, load_parameters, read_schema
from runbook.plan import Scenario

ROOT = Path(__file__).parents[2]

CELL = """\
from typing import Literal
environment: str = "sandbox"  # a folder of params/
run_id: str = ""  # the run's name; empty makes one
mode: Literal["", "plan", "apply"] = ""
# The next one spans lines; its comment stands on the last.
damage: Literal["rows deleted", "table dropped",
                "primary lost"] = "rows deleted"  # how the sandbox loses its database
size_mb: int = 50  # MB; size of the seeded database; 10 to 2048
jobs: int = 2  # how many at a time; 1 to 64
max_rate_mb_s: float | None = 20  # MB/s; pace of a live dump; none: unlimited; 0.5 to 1000
database: str = "omnihub"  # a database of environment.yaml
tables: list[str] = []
limits: dict[str, float] = {"a": 1}
since: date | None = None  # the first day
until: datetime = "2026-01-31T02:00:00Z"
dry: bool = False
"""


def notebook(path, *cells, tags=("parameters",)):
    """Write a notebook whose code cells are `cells`; the first has the tags."""
    written = [
        {
            "cell_type": "code",
            "metadata": {"tags": list(tags)} if index == 0 else {},
            "source": cell.splitlines(keepends=True),
        }
        for index, cell in enumerate(cells)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps({"cells": written, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8"
    )
    return path


@pytest.fixture
def schema(tmp_path):
    return read_schema(notebook(tmp_path / "notebooks/drills/01_drill.ipynb", CELL))


@pytest.fixture
def root(tmp_path):
    """Return a small project with one runbook, `drill`."""
    notebook(tmp_path / "notebooks/drills/01_drill.ipynb", CELL)
    (tmp_path / "params/sandbox").mkdir(parents=True)
    for name in ("plan.yaml", "sandbox/environment.yaml"):
        (tmp_path / "params" / name).write_bytes((ROOT / "params" / name).read_bytes())
    write(tmp_path, "environment: sandbox\nsize_mb: 60\n")
    return tmp_path


def write(root, text):
    (root / "params/sandbox/drill.yaml").write_text(text, encoding="utf-8")


def problems(function, *arguments, **options):
    """Return the problems a call raises: {key: (found, expected)}."""
    with pytest.raises(ParamsError) as caught:
        function(*arguments, **options)
    return {problem.key: (problem.found, problem.expected) for problem in caught.value.problems}


def declared(tmp_path, *lines):
    return problems(read_schema, notebook(tmp_path / "x.ipynb", "\n".join(lines)))


def scenario(**params):
    expected = {"status": "done", "exit_code": 0}
    row = {"name": "a row", "runbook": "drill", "params": params, "expected": expected}
    return Scenario.model_validate({**row, "in_make_drill": True, "proves": "x"})


# What a notebook declares


def test_a_cell_is_read_without_being_run(schema):
    """Names, types, defaults, units, help and ranges come from the source alone, in its order."""
    assert schema.names[:5] == ("environment", "run_id", "mode", "damage", "size_mb")
    size = schema.named("size_mb")
    assert (size.default, size.unit, size.help, size.least, size.most) == (
        50,
        "MB",
        "size of the seeded database",
        10,
        2048,
    )
    assert schema.named("jobs").unit == ""
    assert schema.named("jobs").help == "how many at a time"
    rate = schema.named("max_rate_mb_s")
    assert (rate.default, rate.help) == (20.0, "pace of a live dump; none: unlimited")
    assert schema.named("nothing") is None
    assert schema.file == "notebooks/drills/01_drill.ipynb"


def test_parameters_are_described_in_words(schema):
    """`runbook show` has a row for each: name, what fits, default, what it is for."""
    rows = {row[0]: row[1:] for row in describe(schema)}
    assert rows["size_mb"] == ("a whole number from 10 to 2048, in MB", "50", "size of the seeded database")
    assert rows["mode"] == ('one of: "", plan, apply', '""', "")
    assert rows["damage"][2] == "how the sandbox loses its database"
    assert rows["max_rate_mb_s"][0] == "a number, or null from 0.5 to 1000, in MB/s"
    assert rows["tables"][0] == "a list, each text"
    assert rows["limits"][0] == "a mapping from names to a number"


@pytest.mark.parametrize(
    ("line", "found", "expected"),
    [
        ("size = 50", "no type", "`name: type = literal"),
        ("size: int", "no default", "`name: type = literal"),
        ("size: int = 5 * 10", "a default that is computed", "a literal"),
        ("size: int = open('x')", "a default that is computed", "a literal"),
        ("size: decimal = 5", "the type decimal", "one of str, int, float"),
        ("size: list = []", "the type list", "list[...]"),
        ("size: dict[int, str] = {}", "the type dict[int, str]", "dict[str, ...]"),
        ("size: Literal[1.5] = 1.5", "the type Literal[1.5]", "Literal[...]"),
        ("size: 'no type' = 1", "the type 'no type'", "one of str"),
        ("size: int = '50'", 'the default "50"', "a whole number"),
        ("size: int = True", "the default true", "a whole number"),
        ("size: int = 5.0", "the default 5.0", "a whole number"),
        ("size: float = 1e999", "the default Infinity", "a number"),
        ("size: int = 5  # MB; x; 10 to 20", "the default 5", "a whole number from 10 to 20, in MB"),
        ("size: list[int] = [15, 5]  # MB; x; 10 to 20", "the default a list of 2", "from 10 to 20, in MB"),
        ("size: dict[str, int] = {'a': 5}  # MB; x; 10 to 20", "with the keys a", "from 10 to 20, in MB"),
        ("size: int | decimal = 5", "the type int | decimal", "one of str"),
        ("size: datetime = 'soon'", 'the default "soon"', "a time with its zone"),
        ("size: int = 5  # MB; x; 20 to 10", "the range 20 to 10", "the smaller number first"),
        ("size: str = ''  # x; 1 to 2", "a range on text", "only where the type is int or float"),
        ("size: Literal['a'] = 'b'", 'the default "b"', "a"),
        ("size: str = (1, 2)", "the default a list of 2", "text"),
        ("size: date = '2026-02-31'", 'the default "2026-02-31"', "a date such as"),
        ("size: datetime = '2026-01-31T02:00:00'", 'the default "2026-01-31T02', "a time with its zone"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path, line, found, expected):
    """Each mistake of the cell is reported with its cell and line, and what would be right."""
    said = declared(tmp_path, "", line)["size (cell 1, line 2)"]
    assert found in said[0]
    assert expected in said[1]


def test_every_wrong_declaration_is_reported_at_once(tmp_path):
    """One reading shows all mistakes of a cell, and what is no declaration at all."""
    found = declared(
        tmp_path, "import os", "a = 1", "b: int = 'x'", "print(b)", "b: int = 2", "c: int = 3", "c: int = 4"
    )
    assert set(found) == {
        "cell 1, line 1",
        "a (cell 1, line 2)",
        "b (cell 1, line 3)",
        "cell 1, line 4",
        "c (cell 1, line 7)",
    }
    assert found["c (cell 1, line 7)"][0] == "the name a second time"


@pytest.mark.parametrize("name", ["password", "slack_token", "api_key", "omnihub_dsn", "client_secret"])
def test_a_parameter_is_never_a_secret_by_name(tmp_path, name):
    """Parameters are written into the executed notebook, so a name that promises a secret is refused."""
    found, expected = declared(tmp_path, f"{name}: str = ''")[f"{name} (cell 1, line 1)"]
    assert found == "a parameter whose name promises a secret"
    assert "name an environment variable instead" in expected


def test_a_variable_that_holds_a_secret_may_be_named(tmp_path):
    """The name of an environment variable is no secret."""
    path = notebook(tmp_path / "x.ipynb", 'dsn_variable: str = "OMNIHUB_DSN"')
    assert read_schema(path).names == ("dsn_variable",)


def test_a_default_that_looks_like_a_secret_is_refused_and_not_shown(tmp_path):
    """A credential in the cell is named by its kind, never repeated."""
    said = declared(tmp_path, 'source: str = "postgres://a:hunter22@b/c"')
    assert "a default that looks like a URL with a password" in said["source (cell 1, line 1)"][0]
    assert "hunter22" not in str(said)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("not json", "a file that is no notebook"),
        ("[]", "a file that is no notebook"),
        ('{"cells": [{"cell_type": "code"}]}', "a file that is no notebook"),
        ('{"cells": []}', "no cells tagged `parameters`"),
    ],
)
def test_a_file_that_is_no_notebook_is_named(tmp_path, content, found):
    """What cannot be read as a notebook with parameters is one problem, not a traceback."""
    path = tmp_path / "x.ipynb"
    path.write_text(content, encoding="utf-8")
    assert problems(read_schema, path)["(the notebook)"][0] == found


def test_a_notebook_has_one_parameters_cell(tmp_path):
    """A missing notebook, and a second tagged cell, are told."""
    assert "cannot be read" in problems(read_schema, tmp_path / "none.ipynb")["(the notebook)"][0]
    path = notebook(tmp_path / "x.ipynb", "a: int = 1", "b: int = 2")
    content = json.loads(path.read_text(encoding="utf-8"))
    content["cells"][1]["metadata"]["tags"] = ["parameters"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert problems(read_schema, path)["(the notebook)"] == ("2 cells tagged `parameters`", "exactly one")


def test_a_syntax_error_has_its_line(tmp_path):
    """Broken Python in the cell is reported where it is."""
    assert "no Python" in declared(tmp_path, "a: int = 1", "b: int = (")["cell 1, line 2"][0]


def test_types_may_be_spelled_in_every_usual_way(tmp_path):
    """Optional, Union, typing.Literal, datetime.date and quoted annotations mean what they say."""
    lines = [
        "from __future__ import annotations",
        "a: Optional[int] = None",
        "b: Union[int, str] = 'x'",
        "c: typing.Literal['p', 'q'] = 'p'",
        "d: datetime.date = '2026-01-31'",
        "e: 'list[int] | None' = [1]",
        "f: Literal[True, 1, None] = 1",
        "g: float = -1.5",
    ]
    rows = {row[0]: row[1] for row in describe(read_schema(notebook(tmp_path / "x.ipynb", "\n".join(lines))))}
    assert rows == {
        "a": "a whole number, or null",
        "b": "a whole number, or text",
        "c": "one of: p, q",
        "d": "a date such as 2026-01-31",
        "e": "a list, each a whole number, or null",
        "f": "one of: true, 1, null",
        "g": "a number",
    }


# What is given


def test_defaults_are_filled_in(schema):
    """The result is the complete set, in the notebook's order, each value in its one form."""
    complete = check_parameters(schema, {"max_rate_mb_s": 7, "limits": {"b": 2}}, file="x.yaml")
    assert tuple(complete) == schema.names
    assert complete["size_mb"] == 50
    assert (complete["max_rate_mb_s"], type(complete["max_rate_mb_s"])) == (7.0, float)
    assert complete["limits"] == {"b": 2.0}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size_mb", "50", "a whole number from 10 to 2048, in MB"),
        ("size_mb", True, "a whole number from 10 to 2048, in MB"),
        ("size_mb", 50.0, "a whole number from 10 to 2048, in MB"),
        ("size_mb", None, "a whole number from 10 to 2048, in MB"),
        ("size_mb", 9, "a whole number from 10 to 2048, in MB"),
        ("size_mb", 2049, "a whole number from 10 to 2048, in MB"),
        ("max_rate_mb_s", 0.4, "a number, or null from 0.5 to 1000, in MB/s"),
        ("max_rate_mb_s", float("nan"), "a number, or null from 0.5 to 1000, in MB/s"),
        ("mode", "aply", 'one of: "", plan, apply'),
        ("mode", False, 'one of: "", plan, apply'),
        ("damage", "Rows deleted", "one of: rows deleted, table dropped, primary lost"),
        ("tables", "users", "a list, each text"),
        ("tables", ["users", 1], "a list, each text"),
        ("limits", {"a": "1"}, "a mapping from names to a number"),
        ("since", "31.01.2026", "a date such as 2026-01-31, or null"),
        ("until", "2026-01-31", "a time with its zone, such as 2026-01-31T02:00:00Z"),
        ("dry", 1, "true or false"),
        ("dry", "yes", "true or false"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(schema, name, value, expected):
    """Types are not guessed: true is no number, "50" is no number, 50.0 is no whole number."""
    assert problems(check_parameters, schema, {name: value}, file="x.yaml")[name][1] == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size_mb", 10),
        ("size_mb", 2048),
        ("max_rate_mb_s", None),
        ("since", "2026-01-31"),
        ("tables", []),
        ("mode", ""),
    ],
)
def test_edges_fit(schema, name, value):
    """A range holds its ends, and null fits where the type says so."""
    assert check_parameters(schema, {name: value}, file="x")[name] == value


def test_every_given_problem_is_reported_at_once(schema):
    """Unknown names with the nearest one, wrong types, and values out of range come together."""
    found = problems(
        check_parameters, schema, {"sise_mb": 1, "jobs": 65, "dry": "x", "zzz": 1}, file="x.yaml"
    )
    assert found["sise_mb"] == ("an unknown parameter `sise_mb`", "`size_mb`")
    assert found["jobs"] == ("65", "a whole number from 1 to 64")
    assert found["zzz"][1].startswith("one of: environment, run_id")
    assert set(found) == {"sise_mb", "jobs", "dry", "zzz"}


def test_a_given_secret_is_refused_and_not_shown(schema):
    """A credential given for a text parameter, or under a name that promises one, is never repeated."""
    given = {"database": "postgres://a:hunter22@b/c", "password": "hunter22"}
    found = problems(check_parameters, schema, given, file="x.yaml")
    assert "looks like a URL with a password" in found["database"][0]
    assert "name an environment variable instead" in found["password"][1]
    assert "hunter22" not in str(found)


# Files and the command line


def test_the_file_is_read_and_the_environment_is_set(root):
    """params/<environment>/<runbook>.yaml gives what differs from the notebook's defaults."""
    complete = load_parameters(root, "sandbox", "drill")
    assert (complete["environment"], complete["size_mb"], complete["jobs"]) == ("sandbox", 60, 2)


def test_later_layers_win(root):
    """Notebook, file, scenario, command line: each outranks the ones before."""
    row = scenario(size_mb=70, jobs=3, damage="primary lost")
    complete = load_parameters(root, "sandbox", "drill", ["jobs=4"], scenario=row)
    assert (complete["size_mb"], complete["jobs"], complete["damage"]) == (70, 4, "primary lost")


def test_all_layers_are_checked_each_with_its_place(root):
    """A mistake in a file is reported though the command line overrides it, with file and line."""
    write(root, "environment: production\nsize_mb: big\njobs: 2\njobs: 3\n")
    with pytest.raises(ParamsError) as caught:
        load_parameters(root, "sandbox", "drill", ["size_mb=60", "dry=maybe"], scenario=scenario(damage="x"))
    places = {(problem.file, problem.key) for problem in caught.value.problems}
    assert places == {
        ("params/sandbox/drill.yaml:1", "environment"),
        ("params/sandbox/drill.yaml:2", "size_mb"),
        ("params/sandbox/drill.yaml:4", "jobs"),
        ("params/sandbox/scenarios.yaml, 'a row'", "damage"),
        ("-p", "dry"),
    }


def test_the_files_around_are_checked_too(root):
    """Mistakes in the plan and in the environment are reported together with the parameters'."""
    for name, old in (
        ("plan.yaml", "total_usd_per_month: 106"),
        ("sandbox/environment.yaml", "default_mode: apply"),
    ):
        path = root / "params" / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, old + "1"), encoding="utf-8")
    found = problems(load_parameters, root, "sandbox", "drill", ["jobs=0"])
    assert {"costs.total_usd_per_month", "default_mode", "jobs"} <= set(found)


def test_a_database_must_be_in_the_environment(root):
    """An unknown database is known to be unknown before anything runs."""
    found = problems(load_parameters, root, "sandbox", "drill", ["database=omnihob"])
    assert found["database"] == ('"omnihob"', "a database of sandbox: omnihub")


def test_a_missing_parameter_file_is_told(root):
    """Without its file a runbook does not run in an environment."""
    (root / "params/sandbox/drill.yaml").unlink()
    assert problems(load_parameters, root, "sandbox", "drill")["(the whole file)"][0] == "no such file"


@pytest.mark.parametrize(("environment", "runbook"), [("sandbax", "drill"), ("sandbox", "dril")])
def test_unknown_names_are_told(root, environment, runbook):
    """A runbook or environment that is not there is named, with the nearest one."""
    with pytest.raises(UnknownName, match=r"sandbox|drill"):
        load_parameters(root, environment, runbook)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("size_mb=100", "size_mb", 100),
        ("max_rate_mb_s=1e1", "max_rate_mb_s", 10.0),
        ("max_rate_mb_s=None", "max_rate_mb_s", None),
        ("max_rate_mb_s=null", "max_rate_mb_s", None),
        ("dry=True", "dry", True),
        ("dry=true", "dry", True),
        ("run_id=123", "run_id", "123"),
        ("run_id=true", "run_id", "true"),
        ("run_id=a=b", "run_id", "a=b"),
        ("run_id=", "run_id", ""),
        ("run_id=nan", "run_id", "nan"),
        ("run_id=x: y", "run_id", "x: y"),
        ("tables=[users, orders]", "tables", ["users", "orders"]),
        ("limits={a: 2}", "limits", {"a": 2.0}),
        ("since=2026-01-31", "since", "2026-01-31"),
        ("damage=table dropped", "damage", "table dropped"),
    ],
)
def test_the_command_line_is_read_as_what_is_asked_for(root, text, name, value):
    """`-p` needs no quotes inside quotes: a value is read as the parameter's type wants it."""
    complete = load_parameters(root, "sandbox", "drill", [text])
    assert complete[name] == value
    assert type(complete[name]) is type(value)


@pytest.mark.parametrize("written", ["True", "False", "None", "12", "1.5", "-3", "1e3", "text", "12a", "a b"])
def test_the_command_line_agrees_with_papermill(tmp_path, written):
    """What papermill's own `-p` makes of a text is what ours makes of it, where that fits."""
    path = notebook(tmp_path / "notebooks/drills/any.ipynb", "x: bool | int | float | str | None = 0")
    kept = check_parameters(read_schema(path), {"x": papermill.cli._resolve_type(written)}, file="x")
    (tmp_path / "params/sandbox").mkdir(parents=True)
    for name in ("plan.yaml", "sandbox/environment.yaml"):
        (tmp_path / "params" / name).write_bytes((ROOT / "params" / name).read_bytes())
    (tmp_path / "params/sandbox/any.yaml").write_text("{}", encoding="utf-8")
    assert load_parameters(tmp_path, "sandbox", "any", [f"x={written}"]) == kept


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("size_mb", "size_mb", "no value"),
        ("=5", "=", "no value"),
        ("size_mb=5.5", "size_mb", "5.5"),
        ("size_mb=ten", "size_mb", '"ten"'),
        ("sizemb=50", "sizemb", "an unknown parameter `sizemb`"),
        ("environment=production", "environment", '"production"'),
        (
            "database=postgres://a:hunter22@b/c",
            "database",
            "what looks like a URL with a password, not shown here",
        ),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(root, text, key, found):
    """An override without a value, a wrong type, name or environment is refused; no secret is repeated."""
    assert problems(load_parameters, root, "sandbox", "drill", [text])[key][0] == found


def test_a_parameter_is_given_once(root):
    """The same name twice on the command line is a mistake, not a race."""
    found = problems(load_parameters, root, "sandbox", "drill", ["jobs=1", "jobs=2"])
    assert found["jobs"][0] == "the parameter a second time"
