"""The pre-configuration as people run it: its drills, in mode plan, rolled back, and a second time."""

import json
import os
import subprocess
import sys

import pytest

from runbook.plan import load_scenarios
from runbook.sandbox.world.launch import WorldProcess
from tests.project import ROOT

ROWS = load_scenarios(ROOT).of("dns_preconfiguration")
RUN = ("run", "dns_preconfiguration", "--env", "sandbox", "--run-id", "r1")


@pytest.fixture
def runbook(tmp_path):
    """The command line, with outputs of its own."""

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "runbook.cli", *words],
            env={**os.environ, "RUNBOOK_OUTPUTS": str(tmp_path / "outputs"), "RUNBOOK_ROOT": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def summary(tmp_path):
    return json.loads((tmp_path / "outputs/r1/summary.json").read_text())


def test_the_drills_of_make_drill_end_as_their_rows_say(runbook):
    """The one that refuses; the clean one is run there before the migration and the report."""
    done = runbook("drill", "dns_preconfiguration")
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = [row.name for row in ROWS if row.in_make_drill]
    assert wanted
    assert all(f"✓ dns_preconfiguration: {name}: " in done.stdout for name in wanted)


@pytest.mark.exhaustive
def test_every_drill_ends_as_its_row_says(runbook):
    """All of them, one after the other."""
    done = runbook("drill", "dns_preconfiguration", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(f"✓ dns_preconfiguration: {row.name}: " in done.stdout for row in ROWS)


def test_in_mode_plan_everything_is_shown_and_nothing_is_done(runbook, tmp_path):
    """What would be written is read and judged; without a zone there is nothing to compare it with."""
    done = runbook(*RUN, "--mode", "plan")
    assert done.returncode == 0, done.stderr
    told = summary(tmp_path)
    assert (told["status"], told["mode"], told["changes"]) == ("done", "plan", [])
    skipped = [step["title"] for step in told["steps"] if step["status"] == "skipped"]
    assert "Cloudflare answers as Vercel does" in skipped
    planned = [step["title"] for step in told["steps"] if step["verb"] == "plan" and step["status"] == "done"]
    assert len(planned) == 2
    notebook = (tmp_path / "outputs/r1/notebook.ipynb").read_text()
    assert "write 20 records in the zone omnihub.dev at Cloudflare" in notebook


def test_rolled_back_everything_is_as_it_was_but_for_an_empty_zone(runbook, tmp_path, monkeypatch):
    """A lame nameserver stops it half-way; the way back removes the records and names what stays."""
    with WorldProcess(tmp_path / "world") as world:
        monkeypatch.setenv("RUNBOOK_WORLD", str(tmp_path / "world"))
        before = world.remote.dump()["vercel"]["records"]
        world.remote.play("lame-delegation")
        stopped = runbook(*RUN)
        assert stopped.returncode == 4, stopped.stderr
        assert held(world.remote) == 20
        back = runbook("abort", "r1", "--rollback", "--reason", "its nameserver is lame")
        assert back.returncode == 0, back.stdout + back.stderr
        assert held(world.remote) == 0
        assert world.remote.dump()["vercel"]["records"] == before
    told = {change["sentence"].split(" ")[0]: change["status"] for change in summary(tmp_path)["changes"]}
    assert told == {"tell": "stays", "create": "stays", "write": "undone"}


def test_after_an_outage_a_resume_goes_on_where_it_stopped(runbook, tmp_path, monkeypatch):
    """What was read and judged before is not done again, and nothing has to be typed but that."""
    with WorldProcess(tmp_path / "world") as world:
        monkeypatch.setenv("RUNBOOK_WORLD", str(tmp_path / "world"))
        world.remote.play("cloudflare-outage")
        stopped = runbook(*RUN)
        assert stopped.returncode == 1, stopped.stderr
        assert "runbook resume r1" in stopped.stdout + stopped.stderr
        read = len(world.remote.requests(vendor="vercel", call="read_domain"))
        world.remote.lift_faults()
        resumed = runbook("resume", "r1")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
        assert held(world.remote) == 20
        tries = {step["title"]: step["attempts"] for step in summary(tmp_path)["steps"]}
    assert read == 2
    assert tries["the zone at Vercel"] == 1
    assert tries["the certificate at Cloudflare"] == 2


def test_once_the_ds_is_taken_out_a_resume_goes_on_and_waits_for_the_old_one(runbook, tmp_path, monkeypatch):
    """A person does it at the registrar; caches keep the DS for its TTL, which counts among the deadlines."""
    with WorldProcess(tmp_path / "world") as world:
        monkeypatch.setenv("RUNBOOK_WORLD", str(tmp_path / "world"))
        world.remote.play("ds-left-at-parent")
        assert runbook(*RUN).returncode == 3
        assert held(world.remote) == 0
        world.remote.play("ds-taken-out")
        resumed = runbook("resume", "r1")
        assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    gone = summary(tmp_path)["numbers"]["old_ttls_gone_after_s"]["value"]
    assert gone == 86_400


def held(world):
    """Return how many records Cloudflare holds."""
    tables = world.dump()["cloudflare"]
    return sum(len(table) for name, table in tables.items() if name.startswith("records "))


def test_the_notebook_reads_calmly():
    """A median of three lines a cell, one idea each, and no function of its own."""
    cells = json.loads((ROOT / "notebooks/rollout/03_dns_preconfiguration.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lengths = sorted(len(text.splitlines()) for text in code)
    assert lengths[len(lengths) // 2] <= 3
    assert not any(word in text for text in code for word in ("def ", "class ", "try:"))
