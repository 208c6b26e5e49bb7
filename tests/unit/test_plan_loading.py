"""Finding the project, and loading its environments and drills."""

from pathlib import Path

import pytest

from runbook.errors import InputError, ParamsError, UnknownName
from runbook.plan import environments, known_secrets, load_environment, load_scenarios, project_root

ENVIRONMENT = """
name: staging
says: the copy of production
default_mode: plan
databases:
  omnihub:
    dsn_variable: OMNIHUB_DSN
    invariants:
      - {name: users are there, sql: SELECT count(*) FROM public.users, min: 1}
    freshness: {sql: SELECT max(at) FROM public.events, max_age_s: 300}
secret_variables: [SLACK_TOKEN]
"""
SCENARIO = """
scenarios:
  - name: rows deleted
    runbook: db_restore_drill
    params: {damage: rows deleted}
    expected: {status: done, exit_code: 0}
    in_make_drill: true
    proves: it works
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNBOOK_ROOT", raising=False)
    (tmp_path / "notebooks/drills").mkdir(parents=True)
    for folder in ("sandbox", "staging"):
        (tmp_path / "params" / folder).mkdir(parents=True)
    (tmp_path / "params/plan.yaml").write_text("", encoding="utf-8")
    (tmp_path / "params/staging/environment.yaml").write_text(ENVIRONMENT, encoding="utf-8")
    (tmp_path / "params/sandbox/scenarios.yaml").write_text(SCENARIO, encoding="utf-8")
    return tmp_path


def environment_problems(root, *edits):
    text = ENVIRONMENT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (root / "params/staging/environment.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_environment(root, "staging")
    return {problem.key: problem for problem in caught.value.problems}


def test_the_project_is_found_from_any_folder_inside(root):
    """The search goes upward, as when JupyterLab starts a kernel beside its notebook."""
    assert project_root(root / "notebooks/drills") == root
    assert project_root(root) == root


def test_the_environment_variable_outranks_the_folder(root, tmp_path_factory, monkeypatch):
    """RUNBOOK_ROOT names the project wherever a command is started."""
    monkeypatch.setenv("RUNBOOK_ROOT", str(root))
    assert project_root(tmp_path_factory.mktemp("elsewhere")) == root


def test_no_project_says_where_it_looked(root, tmp_path_factory, monkeypatch):
    """Outside a project, and with a wrong RUNBOOK_ROOT, the message says what to do."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with pytest.raises(
        InputError, match=r"no project at .*change into the project's folder, or set RUNBOOK_ROOT"
    ):
        project_root(elsewhere)
    monkeypatch.setenv("RUNBOOK_ROOT", str(elsewhere))
    with pytest.raises(InputError, match="point it at the project or unset it"):
        project_root(root)


def test_an_environment_says_where_things_are(root):
    """What stands in the file is there by name, and every secret variable is known."""
    environment = load_environment(root, "staging")
    assert environment.database("omnihub").invariants[0].expected == "1 or more"
    assert environment.database("omnihub").freshness.max_age_s == 300
    assert environment.secret_names == ("SLACK_TOKEN", "OMNIHUB_DSN")
    with pytest.raises(UnknownName, match="has no database 'omnihob'; right would be omnihub"):
        environment.database("omnihob")


@pytest.mark.parametrize("name", ["stagin", "", "..", "../staging", "Staging", "sandbox"])
def test_an_unknown_environment_is_named(root, name):
    """A name without an environment.yaml is no environment; no name leaves params/."""
    with pytest.raises(UnknownName, match="right would be staging"):
        load_environment(root, name)
    assert environments(root) == ("staging",)


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("name: staging", "name: production", "name", "staging, the folder's name"),
        ("default_mode: plan", "default_mode: apply", "default_mode", "only the sandbox changes things"),
        ("default_mode: plan", "default_mode: dry", "default_mode", "one of: plan, apply"),
        (
            "OMNIHUB_DSN",
            "postgres://a:hunter22@b/c",
            "databases.omnihub.dsn_variable",
            "no secret in a file",
        ),
        ("[SLACK_TOKEN]", "[xoxb-123456789012-abcdef]", "secret_variables[0]", "no secret in a file"),
        ("  omnihub:\n", "  Omni Hub:\n", "databases.Omni Hub", "a name such as tech_lead"),
        ("databases:", "database:", "database", "`databases`"),
        (", min: 1}", "}", "databases.omnihub.invariants[0]", "either `equals`, or `min` or `max` or both"),
        (", min: 1}", ", min: 1, equals: 2}", "databases.omnihub.invariants[0]", "either `equals`"),
        (", min: 1}", ", min: 3, max: 2}", "databases.omnihub.invariants[0].max", "3 or more"),
        (
            ", min: 1}",
            ", equals: [1]}",
            "databases.omnihub.invariants[0].equals",
            "true or false, or a whole number",
        ),
        ("SELECT count(*)", "DELETE", "databases.omnihub.invariants[0].sql", "begins with SELECT"),
        ("SELECT max(at)", "SELECT 1; DROP", "databases.omnihub.freshness.sql", "one query"),
        ("max_age_s: 300", "max_age_s: -1", "databases.omnihub.freshness.max_age_s", "above 0, in seconds"),
    ],
)
def test_what_is_wrong_in_an_environment_is_named(root, old, new, key, expected):
    """Each mistake is reported at its key with what would be right, and no secret is shown."""
    problems = environment_problems(root, (old, new))
    assert expected in problems[key].expected
    assert "hunter22" not in str(problems)
    assert "xoxb-" not in str(problems)


def test_an_invariant_needs_no_second_of_its_name(root):
    """Findings are told apart by their names."""
    line = "      - {name: users are there, sql: SELECT count(*) FROM public.users, min: 1}\n"
    assert "databases.omnihub.invariants[1].name" in environment_problems(root, (line, line * 2))


@pytest.mark.parametrize(
    ("value", "holds"),
    [(3, False), (4, True), (6.5, True), (7, True), (8, False), (True, False), (None, False), ("5", False)],
)
def test_a_band_holds_its_edges_and_numbers_only(root, value, holds):
    """`min` and `max` belong to the band; NULL, text and truth values are never in it."""
    invariant = load_environment(root, "staging").database("omnihub").invariants[0]
    assert invariant.model_copy(update={"min": 4.0, "max": 7.0}).holds(value) is holds


def test_equal_means_the_same_kind_too(root):
    """true is not 1: a query that asks whether something exists must answer true."""
    invariant = load_environment(root, "staging").database("omnihub").invariants[0]
    exists = invariant.model_copy(update={"min": None, "equals": True})
    assert [value for value in (True, 1, False, None, "true") if exists.holds(value)] == [True]
    assert exists.holds(value=True)
    assert exists.expected == "yes"
    assert invariant.model_copy(update={"min": None, "equals": 1}).holds(1.0)


def test_drills_are_listed_in_order_and_found_by_name(root):
    """A runbook's drills are found by name; an unknown one tells which there are."""
    drills = load_scenarios(root)
    assert [row.name for row in drills.of("db_restore_drill", only_make_drill=True)] == ["rows deleted"]
    assert drills.of("dns_migration") == ()
    assert drills.named("db_restore_drill", "rows deleted").params == {"damage": "rows deleted"}
    with pytest.raises(UnknownName, match="right would be rows deleted"):
        drills.named("db_restore_drill", "row deleted")


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("exit_code: 0", "exit_code: 3", "scenarios[0].expected.exit_code", "0, which belongs to done"),
        (
            "done, exit_code: 0",
            "no-go, exit_code: 3",
            "scenarios[0].expected.because",
            "for the right reason",
        ),
        ("status: done", "status: finished", "scenarios[0].expected.status", "one of: done, failed, no-go"),
        ("in_make_drill: true", 'in_make_drill: "yes"', "scenarios[0].in_make_drill", "true or false"),
        ("    proves: it works\n", "", "scenarios[0].proves", "what a passed drill shows"),
    ],
)
def test_what_is_wrong_in_a_drill_is_named(root, old, new, key, expected):
    """A row says how its run must end, and its exit code belongs to its status."""
    assert old in SCENARIO
    (root / "params/sandbox/scenarios.yaml").write_text(SCENARIO.replace(old, new), encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_scenarios(root)
    assert expected in {problem.key: problem.expected for problem in caught.value.problems}[key]


def test_a_drill_stands_once(root):
    """Two rows of a runbook may not share a name."""
    rows = SCENARIO + SCENARIO.partition("scenarios:\n")[2]
    (root / "params/sandbox/scenarios.yaml").write_text(rows, encoding="utf-8")
    with pytest.raises(ParamsError, match="'rows deleted' a second time for db_restore_drill"):
        load_scenarios(root)


def test_a_drill_passes_only_as_its_row_says(root):
    """Status, exit code and the words of `because` must all be met; letters may be capitals or not."""
    done = load_scenarios(root).scenarios[0].expected
    no_go = done.model_copy(update={"status": "no-go", "exit_code": 3, "because": "missing"})
    assert done.met_by(status="done", exit_code=0, texts=())
    assert not done.met_by(status="no-go", exit_code=3, texts=())
    assert no_go.met_by(status="no-go", exit_code=3, texts=("No.", "WAL is Missing"))
    assert not no_go.met_by(status="no-go", exit_code=3, texts=("checksums differ",))


def test_the_secrets_of_every_environment_are_known(root, monkeypatch):
    """Whichever is opened; with the key that signs runs; a file with mistakes still gives its names."""
    values = {"OMNIHUB_DSN": "a dsn, say", "SLACK_TOKEN": "a token, say", "RUNBOOK_SIGNING_KEY": "a key, say"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert known_secrets(root).found_in(list(values.values())) == ["RUNBOOK_SIGNING_KEY", *list(values)[:2]]
    path = root / "params/staging/environment.yaml"
    path.write_text(ENVIRONMENT.replace("default_mode: plan", "default_mode: 7\nnonsense: [a]"))
    assert known_secrets(root).mask("a token, say") == "[SLACK_TOKEN]"
    path.write_text("{")
    assert known_secrets(root).mask("a token, say") == "a token, say"
    assert known_secrets(root).mask("a key, say") == "[RUNBOOK_SIGNING_KEY]"
    path.write_text(ENVIRONMENT.replace("[SLACK_TOKEN]", "[not a name, SLACK_TOKEN]"))
    assert known_secrets(root).mask("a token, say") == "[SLACK_TOKEN]"


def test_a_missing_file_is_a_problem(tmp_path):
    """A project without a list of drills says which file it misses."""
    with pytest.raises(ParamsError, match=r"params/sandbox/scenarios\.yaml: .*no such file"):
        load_scenarios(tmp_path)


def test_the_tests_look_at_this_project():
    """The project's own folder is found from this file."""
    assert project_root(Path(__file__).parent) == Path(__file__).parents[2]
