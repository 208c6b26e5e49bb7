"""What the command line says of a run: what it came to, how it is handed over, what to type next."""

from __future__ import annotations

import io
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console
from rich.text import Text

from runbook.gates.reservations import Reservation
from runbook.summary import RunStatus
from runbook.terminal import COLOURS, handover_lines, outcome_lines, run_lines
from tests.rollout_samples import BEGAN, REASON, rollouts
from tests.run_samples import summary

HOSTILE = "[red]x[/] [/] [link=file:///etc]"


def plain(lines: list[str]) -> str:
    """Return lines as a terminal shows them; markup that does not hold raises."""
    return "\n".join(Text.from_markup(line).plain for line in lines)


@pytest.mark.parametrize("status", get_args(RunStatus))
def test_every_status_has_its_lines_and_its_colour(tmp_path: Path, status: RunStatus) -> None:
    """No status falls through: five answers, an outcome, a line in the list."""
    run = summary(status)
    text = plain(handover_lines(run))
    assert [name for name in ("state", "last effect", "safe now?", "owner") if f"  {name}" not in text] == []
    assert run.verdict in plain(outcome_lines(run, folder=str(tmp_path)))
    assert run.run_id in plain(run_lines(run))
    assert status in COLOURS


def test_a_handover_reads_in_order() -> None:
    """State, last effect, safe now?, owner, then each command with what it is for below it."""
    run = rollouts()["in doubt"]
    held = (Reservation(resource="zone omnihub.dev", run_id=run.run_id, by="carol", since=BEGAN),)
    assert plain(handover_lines(run, held=held, now=BEGAN)).splitlines() == [
        "  state        left in between: a person is needed now",
        "  last effect  “set omnihub.dev NS to ada.ns.cloudflare.com, bob.ns.cloudflare.com” "
        "(delegation omnihub.dev): begun, and nobody saw it end, 2026-03-03 02:06 UTC",
        "  safe now?    No: “set omnihub.dev NS to ada.ns.cloudflare.com, bob.ns.cloudflare.com”: "
        "begun, and nobody saw it end; “lower the TTL of omnihub.dev NS to 300 s”: in place, and the rest of "
        "“move the delegation to Cloudflare: apply” is not.",
        "  owner        opened by carol, 2026-03-02 23:52 UTC; "
        "it holds zone omnihub.dev since 2026-03-03 01:52 UTC",
        f"  type next    runbook resume {run.run_id}",
        "                 each change is observed first; only what is missing is applied",
        f"               runbook abort {run.run_id} --rollback --reason …",
        "                 undo what it applied, newest first, and end it",
    ]


def test_broken_glass_comes_first_and_says_whether_it_was_reviewed() -> None:
    """The loudest line stands on top, with the reason; a review takes its edge off, not its place."""
    for kind, said in (
        ("broken glass", "(not reviewed yet)"),
        ("broken glass, reviewed", "(reviewed by bob"),
    ):
        first = plain(handover_lines(rollouts()[kind])).splitlines()[0]
        assert first.startswith("  BREAK GLASS  ")
        assert REASON in first
        assert said in first
    assert "BREAK GLASS, not reviewed yet" in plain(run_lines(rollouts()["broken glass"]))
    assert "BREAK GLASS" not in plain(run_lines(rollouts()["broken glass, reviewed"]))


def test_the_list_says_what_a_parked_run_waits_for() -> None:
    """Until when, for whom: the two things that a reader of the list asks of a parked run."""
    assert "for the signature of tech lead or cto" in plain(run_lines(rollouts()["waits for a signature"]))
    assert "until 2026-03-05 02:00 UTC" in plain(run_lines(rollouts()["waits for a time"]))


def test_an_outcome_says_how_to_go_on_and_nothing_when_it_is_over(tmp_path: Path) -> None:
    """Commands for what can go on; a run that is over has its verdict and its report."""
    open_run, over = rollouts()["stays in place"], rollouts()["rolled back"]
    text = plain(outcome_lines(open_run, folder=str(tmp_path)))
    assert f"to go on: runbook resume {open_run.run_id}" in text
    assert f"runbook seal {open_run.run_id}" in text
    (tmp_path / "report.html").write_text("x")
    text = plain(outcome_lines(over, folder=str(tmp_path)))
    assert text.splitlines()[-1] == f"  report: {tmp_path}/report.html"


def test_text_of_others_is_no_markup(tmp_path: Path) -> None:
    """What a run says cannot colour, link or break what the terminal shows."""
    run = rollouts()["broken glass"]
    hostile = run.model_copy(
        update={
            "verdict": HOSTILE,
            "reasons": (HOSTILE,),
            "opened_by": HOSTILE,
            "run_id": HOSTILE,
            "terminal": False,
            "status": "failed",
            "changes": tuple(
                c.model_copy(update={"sentence": HOSTILE, "status": "begun"}) for c in run.changes
            ),
            "approvals": tuple(
                a.model_copy(update={"break_glass": HOSTILE, "step": HOSTILE}) for a in run.approvals
            ),
        }
    )
    lines = [*handover_lines(hostile), *outcome_lines(hostile, folder=HOSTILE), *run_lines(hostile)]
    console = Console(width=2000, record=True, file=io.StringIO(), emoji=False)
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    shown = console.export_text()
    # Each field that was made hostile is there, letter for letter, wherever it is shown.
    assert shown.count(HOSTILE) >= 16
    assert shown.replace(HOSTILE, "").count("[") == 0
