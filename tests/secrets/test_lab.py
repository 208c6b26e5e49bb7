"""Whoever speaks to a kernel as JupyterLab does hears no secret; a notebook edited there keeps none."""

import json
import tempfile

import nbformat
import pytest
from jupyter_client.manager import KernelManager

from tests.secrets.canaries import VALUES, leaks
from tests.secrets.harness import RUN, environment, leaks_of, project_of, runbook

OPENING = """\
from runbook import open_run
from tests.secrets import places
open_run('toy', environment='sandbox')
"""
RUN_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1ydW4ta2V5LXYxAAAA\n-----END\n"
TOKEN = VALUES["TOY_TOKEN"]


class Ear:
    """A client that keeps every message it gets, and answers a kernel that asks for input."""

    def __init__(self, client):
        self.client, self.heard = client, []
        client.start_channels()

    def keep(self, message):
        self.heard.append(message)
        if message["msg_type"] == "input_request":
            self.client.input("x")

    def ask(self, method, *args, **options):
        reply = getattr(self.client, method)(*args, reply=True, timeout=60, **options)
        self.heard.append(reply)
        return reply["content"]

    def run(self, code, **options):
        reply = self.client.execute_interactive(
            code, output_hook=self.keep, stdin_hook=self.keep, allow_stdin=True, timeout=60, **options
        )
        self.heard.append(reply)
        return reply["content"]


@pytest.fixture(scope="module")
def ear(tmp_path_factory):
    """Return a listener at a kernel in which a run is open."""
    project = project_of(tmp_path_factory.mktemp("lab"))
    with tempfile.TemporaryDirectory(prefix="rb-ear-") as sockets:  # a short path, as sockets need it
        file = f"{sockets}/k.json"
        manager = KernelManager(kernel_name="python3", transport="ipc", connection_file=file)
        manager.start_kernel(env=environment(project, RUNBOOK_SIGNING_KEY=RUN_KEY), cwd=str(project))
        listener = Ear(manager.client())
        try:
            listener.client.wait_for_ready(timeout=60)
            assert listener.run(OPENING)["status"] == "ok"
            yield listener
        finally:
            listener.client.stop_channels()
            manager.shutdown_kernel(now=True)


def said(ear):
    """Return what was heard since the last time, as text; headers lead messages home and hold nothing."""
    heard, ear.heard = ear.heard, []
    return json.dumps([[message["content"], message["metadata"]] for message in heard], default=str)


ASKED = {
    "a result": lambda ear: ear.run(f"token = {TOKEN!r}\ntoken"),
    "an expression": lambda ear: ear.run("None", user_expressions={"x": "places.VALUES"}),
    "an error": lambda ear: ear.run("raise ValueError(places.VALUES)"),
    "a syntax error": lambda ear: ear.run(f"token = = '{TOKEN}'"),
    "the pager": lambda ear: ear.run("token?"),
    "the next cell": lambda ear: ear.run("get_ipython().set_next_input(token)"),
    "a question": lambda ear: ear.run("input(f'{token} ok? ')"),
    "history": lambda ear: ear.run("%history"),
    "variables": lambda ear: ear.run("%whos"),
    "an inspection": lambda ear: ear.ask("inspect", "token", 3),
    "a completion": lambda ear: (
        ear.run(f"table = {{{TOKEN!r}: 1}}") and ear.ask("complete", "table['tok", 10)
    ),
    "past inputs": lambda ear: ear.ask("history", raw=True, output=False, hist_access_type="tail", n=9),
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_no_channel_of_a_kernel_says_a_secret(ear, ask):
    """Replies, broadcasts and questions, masked; the mask shows that there was one to say."""
    ask(ear)
    heard = said(ear)
    assert leaks(heard) == set()
    assert "[TOY_" in heard


def test_the_key_that_signs_runs_is_a_secret_too(ear):
    """JupyterLab handed it on to the kernel; whoever read it before a run was opened cannot show it."""
    ear.run(f"print({RUN_KEY!r}, end='')")
    heard = said(ear)
    assert RUN_KEY.splitlines()[1] not in heard
    assert "[RUNBOOK_SIGNING_KEY]" in heard


def test_a_second_run_in_the_kernel_is_guarded_too(ear):
    """The guard is put on once and stays."""
    ear.run("open_run('toy', environment='production')\nprint(places.VALUES)")
    heard = said(ear)
    assert leaks(heard) == set()
    assert heard.count("[TOY_TOKEN]") > 0


def test_a_notebook_edited_in_lab_is_sealed_without_what_was_typed_into_it(tmp_path):
    """Secrets in code, comments, prose, attachments, tags and old outputs: none reaches the run's files."""
    phrase = VALUES["TOY_PHRASE"]
    project = project_of(
        tmp_path, f"token = {TOKEN!r}  # {phrase}\nprint(token)", f"key = {VALUES['TOY_KEY']!r}\n1 / 0"
    )
    path = project / "notebooks/drills/toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    prose = nbformat.v4.new_markdown_cell(f"# {TOKEN}\n\n<b>{TOKEN[:9]}</b>{TOKEN[9:]}")
    prose["attachments"] = {"x.png": {"text/plain": TOKEN}}
    raw = nbformat.v4.new_raw_cell(VALUES["TOY_DSN"], metadata={"tags": [TOKEN], "note": phrase})
    notebook.cells += [prose, raw]
    notebook.cells[-3].outputs = [nbformat.v4.new_output("stream", text=TOKEN)]
    notebook.metadata["note"] = VALUES["TOY_WEBHOOK"]
    nbformat.write(notebook, path)
    done = runbook(project, *RUN)
    assert leaks_of(project, done) == {}
    kept = (project / "outputs/r1/notebook.ipynb").read_text()
    typed = ("TOY_TOKEN", "TOY_PHRASE", "TOY_KEY", "TOY_DSN", "TOY_WEBHOOK")
    assert all(f"[{name}]" in kept for name in typed)
    assert leaks_of(project, runbook(project, "seal", "r1")) == {}
