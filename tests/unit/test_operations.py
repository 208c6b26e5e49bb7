"""What docs/operations.md and .github/workflows/ tell people and machines to type is what there is."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from runbook import approving
from runbook.due import due_runs
from runbook.plan import load_environment
from tests import toy
from tests.commands import commands_in, make_targets_in, parse
from tests.signed_runs import Office

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language in docs/operations.md."""
    return re.findall(rf"```{language}\n(.*?)```", OPERATIONS, re.S)


def workflow(path: Path) -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


# The workflows


def test_there_are_two_workflows() -> None:
    """One for each change, one for each night."""
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "nightly-drills.yml"]


@each_workflow
def test_a_workflow_runs_nothing_that_is_not_there(path: Path) -> None:
    """Each make target and each command with its options exists; the others are run by nobody."""
    scripts = [_plain(step["run"]) for step in steps(path) if "run" in step]
    assert scripts
    for script in scripts:
        targets, commands = make_targets_in(script), commands_in(script)
        assert set(targets) <= TARGETS
        assert targets or commands, f"neither make nor runbook: {script}"
        for command in commands:
            parse(command)


def _plain(script: str) -> str:
    """Return a script with its expressions filled in; they hold numbers of the run, no text of others."""
    filled = re.sub(r"\$\{\{ github\.(run_id|run_attempt) \}\}", "1", script)
    assert "${{" not in filled, "an expression in a script lets whoever writes its value write the script"
    return filled


@each_workflow
def test_a_workflow_may_read_and_nothing_more(path: Path) -> None:
    """Least rights, no credentials left in the checkout, one at a time, and an end for what hangs."""
    found = workflow(path)
    assert found["permissions"] == {"contents": "read"}
    assert set(found["concurrency"]) == {"group", "cancel-in-progress"}
    for job in found["jobs"].values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 120
        assert job["runs-on"] == "ubuntu-24.04"
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False] * len(found["jobs"])


@each_workflow
def test_actions_are_the_platforms_own_pinned_by_major_version(path: Path) -> None:
    """Nobody else's code runs beside our secrets."""
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", name)] == []


def test_ci_does_what_make_check_does_with_a_browser() -> None:
    """On the oldest and a newer Python; a browser suite that was not run fails."""
    job = workflow(WORKFLOWS[0])["jobs"]["check"]
    (check,) = [step for step in job["steps"] if "run" in step]
    assert (check["run"], check["env"]) == ("make check", {"RUNBOOK_REQUIRE_BROWSER": "1"})
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert oldest
    assert job["strategy"]["matrix"]["python"][0] == oldest[1]
    assert len(job["strategy"]["matrix"]["python"]) > 1


def test_the_night_keeps_its_runs_and_index_also_when_a_drill_failed() -> None:
    """The drill step alone decides; index and upload follow it whatever it came to."""
    found = workflow(WORKFLOWS[1])
    assert found[True]["schedule"]  # YAML 1.1 reads the key `on` as true
    for job in found["jobs"].values():
        *_, report, upload = job["steps"]
        assert report["run"] == ".venv/bin/runbook report"
        assert report["if"] == upload["if"] == "always()"
        kept = upload["with"]
        assert (kept["path"], kept["if-no-files-found"]) == ("outputs/", "error")
        assert kept["include-hidden-files"] is True
        assert kept["retention-days"] == 90
        assert not [step for step in job["steps"] if step.get("continue-on-error")]
    names = [job["steps"][-1]["with"]["name"] for job in found["jobs"].values()]
    assert len(set(names)) == len(names)


def test_every_scenario_is_rehearsed_at_night() -> None:
    """All rows, not those of `make drill` alone."""
    commands = [c for step in steps(WORKFLOWS[1]) if "run" in step for c in commands_in(_plain(step["run"]))]
    assert "--all" in next(command for command in commands if " drill " in command)


def test_secrets_reach_the_one_step_that_needs_them() -> None:
    """Never the job, never the sandbox; and they are those that the environment and sealing ask for."""
    given = []
    for path in WORKFLOWS:
        text = path.read_text(encoding="utf-8")
        assert "env" not in workflow(path)
        assert all("env" not in job for job in workflow(path)["jobs"].values())
        given += [step["env"] for step in steps(path) if "secrets." in str(step)]
        assert len(re.findall(r"secrets\.", text)) == 2 * (path is WORKFLOWS[1])
    (only,) = given
    dsn = load_environment(ROOT, "staging").databases["omnihub"].dsn_variable
    assert set(only) == {dsn, "RUNBOOK_SIGNING_KEY"}


# The rollout host


def test_every_command_in_operations_exists() -> None:
    """Shell blocks and inline commands alike, parsed by the real command line."""
    shell = [command for block in blocks("sh") for command in commands_in(block)]
    inline = re.findall(r"`(runbook [a-z][^`]*)`", OPERATIONS)
    assert len(shell) >= 2
    assert len(inline) >= 8
    for command in [*shell, *inline]:
        parse(command.replace("…", "why"))
    assert {target for block in blocks("sh") for target in make_targets_in(block)} <= TARGETS


def test_every_environment_variable_is_documented() -> None:
    """What the library and its tests read of the environment stands in the table, and nothing else does."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "lib").rglob("*.py")]
    texts += [(ROOT / "tests/browser/conftest.py").read_text(encoding="utf-8")]
    read = {name for text in texts for name in re.findall(r"\bRUNBOOK_[A-Z_]+\b", text)}
    table = OPERATIONS.partition("## Environment variables")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(RUNBOOK_[A-Z_]+)`", table)) == read


def unit() -> str:
    (found,) = blocks("ini")
    return found


def test_the_unit_starts_the_loop_and_lets_it_end_in_order() -> None:
    """Its command exists; a stop goes to the driver alone, which needs its time; a crash is mended."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit())
    service = parser["Service"]
    assert parse(service["ExecStart"]) == ["resume", "--due", "--loop"]
    assert (service["KillMode"], service["Restart"]) == ("mixed", "always")
    assert int(service["TimeoutStopSec"]) >= 60
    assert service["User"] != "root"
    assert "Environment=RUNBOOK_OUTPUTS=/var/lib/runbook/outputs" in unit()
    assert "RUNBOOK_SIGNING_KEY_FILE=%d/signing-key" in unit()


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """systemd-analyze finds nothing wrong with it, once its program is where it says."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip(
            "NOT TESTED by systemd: there is no systemd-analyze here; the unit's own test holds its lines"
        )
    text = unit().replace("/opt/runbook/.venv/bin/runbook", sys.executable)
    (tmp_path / "runbook-resume.service").write_text(text)
    found = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / "runbook-resume.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in found.stderr.splitlines() if "runbook-resume" in line]
    assert (found.returncode, ours) == (0, [])
    broken = text.replace("KillMode=mixed", "KillMode=gently").replace("Type=exec", "Type=exactly")
    (tmp_path / "runbook-resume.service").write_text(broken)
    found = subprocess.run([*found.args], capture_output=True, text=True, check=False)
    assert "gently" in found.stderr


def test_the_cron_line_is_whole() -> None:
    """Five fields, an account, a command that a shell reads and ours takes; no bare percent sign."""
    (table,) = blocks("crontab")
    *settings, line = table.strip().splitlines()
    assert all(re.fullmatch(r"[A-Z_]+=\S+", setting) for setting in settings)
    assert {"SHELL=/bin/sh", "RUNBOOK_OUTPUTS=/var/lib/runbook/outputs"} <= set(settings)
    *fields, account, command = line.split(None, 6)
    assert all(re.fullmatch(r"\*(/\d+)?|\d+", field) for field in fields)
    assert len(fields) == 5
    assert account == "runbook"
    assert "%" not in line  # cron makes a new line of it
    assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0
    (only,) = commands_in(command)
    assert parse(only) == ["resume", "--due"]


def test_the_handing_over_names_what_the_status_shows() -> None:
    """The words of the checklist are those that `runbook status RUN` prints."""
    shift = OPERATIONS.partition("## The end of a shift")[2]
    for word in ("*state*", "*safe now?*", "*type next*"):
        assert word in shift


def test_a_copy_can_be_signed_elsewhere_and_two_files_brought_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key never goes to the host: its next look takes up what was signed on a laptop."""
    office = Office(tmp_path)
    monkeypatch.setenv("RUNBOOK_ROOT", str(office.root))
    office.ask()._recorder.close()
    assert due_runs(office.root) == []
    laptop = tmp_path / "laptop"
    shutil.copytree(office.root, laptop)
    approving.approve(laptop, "r1", role="tech-lead", key=office.keys["ada"])
    brought = sorted((laptop / "outputs/r1/evidence").glob("approval-*.tech_lead.json*"))
    assert [path.name.partition(".")[2] for path in brought] == ["tech_lead.json", "tech_lead.json.sig"]
    for path in brought:
        shutil.copyfile(path, office.folder() / "evidence" / path.name)
    assert due_runs(office.root) == ["r1"]
    office.go_on()
    assert toy.written() == ["1"]
