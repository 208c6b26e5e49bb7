"""What is typed or written wrongly is refused without being repeated, whichever argument held the secret."""

import pytest
import yaml

from tests.project import PARAMETERS
from tests.secrets.canaries import FORMS, VALUES, written
from tests.secrets.harness import leaks_of, project_of, runbook

TOKEN = VALUES["TOY_TOKEN"]
PHRASE = VALUES["TOY_PHRASE"]
FREE = (
    f'from datetime import date\n{PARAMETERS}note: str = ""  # free text\nwhen: date | None = None  # a day\n'
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return project_of(tmp_path_factory.mktemp("inputs"), "run", parameters=FREE)


def run(*more):
    return ("run", "toy", "--env", "sandbox", "--run-id", "r1", *more)


TYPED = {
    **{f"a text parameter, {form}": run("-p", f"note=x {written(TOKEN)[form]}") for form in FORMS},
    **{f"a phrase, {form}": run("-p", f"note=x {written(PHRASE)[form]}") for form in FORMS},
    "a DSN": run("-p", f"note={VALUES['TOY_DSN']}"),
    "a key": run("-p", f"note={VALUES['TOY_KEY']}"),
    "a number": run("-p", f"x={TOKEN}"),
    "a day": run("-p", f"when={PHRASE}"),
    "an unknown parameter": run("-p", f"{TOKEN}=1"),
    "no pair": run("-p", PHRASE),
    "a run id": ("run", "toy", "--env", "sandbox", "--run-id", TOKEN),
    "a run id, encoded": ("run", "toy", "--env", "sandbox", "--run-id", written(TOKEN)["base64"].rstrip("=")),
    "a run id that none may have": ("run", "toy", "--env", "sandbox", "--run-id", f"../{PHRASE}"),
    "a mode": run("--mode", TOKEN),
    "a runbook": ("run", TOKEN, "--env", "sandbox"),
    "an environment": ("run", "toy", "--env", TOKEN),
    "an option": (*run(), f"--{TOKEN}"),
    "an argument": (*run(), PHRASE),
    "a command": (TOKEN,),
    "resume": ("resume", TOKEN),
    "status": ("status", PHRASE),
    "verify": ("verify", TOKEN),
    "show": ("show", PHRASE),
    "seal": ("seal", TOKEN),
    "drill": ("drill", TOKEN),
    "a scenario": ("drill", "--scenario", PHRASE),
    "abort": ("abort", TOKEN, "--reason", PHRASE),
    "release": ("release", TOKEN, "--reason", PHRASE),
}


@pytest.mark.parametrize("args", TYPED.values(), ids=TYPED)
def test_what_is_typed_is_refused_without_being_repeated(project, args):
    """Exit 2, nothing runs, and neither stream holds the secret."""
    done = runbook(project, *args)
    assert done.returncode == 2, done.stderr
    assert leaks_of(project, done) == {}
    assert not (project / "outputs").exists()


FILES = {
    "parameters": ("sandbox/toy.yaml", {"note": TOKEN}),
    "parameters of the wrong kind": ("sandbox/toy.yaml", {"x": PHRASE}),
    "parameters of an unknown name": ("sandbox/toy.yaml", {PHRASE: 1}),
    "an environment": ("sandbox/environment.yaml", {"default_mode": TOKEN}),
    "an environment's variable": ("sandbox/environment.yaml", {"secret_variables": ["TOY_TOKEN", TOKEN]}),
    "another environment": ("sandbox/environment.yaml", {"databases": {"toy": {"dsn_variable": PHRASE}}}),
}


@pytest.mark.parametrize(("name", "wrong"), FILES.values(), ids=FILES)
def test_what_is_written_is_refused_without_being_repeated(tmp_path, name, wrong):
    """A secret pasted into a file of params/ is named by its place, also where the file is invalid by it."""
    project = project_of(tmp_path, "run", parameters=FREE)
    path = project / "params" / name
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **wrong}, allow_unicode=True))
    done = runbook(project, *run())
    assert done.returncode == 2, done.stderr
    assert leaks_of(project, done) == {}
    assert not (project / "outputs").exists()
