"""What a rehearsal under way shows: where each drill is, and how far the whole is."""

from __future__ import annotations

import io

from rich.console import Console

from runbook.board import Board
from runbook.campaign import RUN_BEGINS, Result
from runbook.plan import Scenario
from runbook.plan.scenarios import Expected
from runbook.showing import PROGRESS_TYPE, STEP_TYPE
from tests.run_samples import summary


def scenario(name: str = "clean") -> Scenario:
    return Scenario(
        name=name,
        runbook="canary_phase",
        expected=Expected(status="done", exit_code=0),
        in_make_drill=True,
        proves="x",
    )


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120, emoji=False, color_system=None), file


def shown(board: Board) -> str:
    """Return the live table as text."""
    page = Console(file=io.StringIO(), width=120, record=True)
    page.print(board.table())
    return page.export_text()


RUN_TWO = {"runbook": "canary_phase", "run_id": "r2", "place": 2, "of": 4}


def test_a_drill_under_way_shows_its_run_its_step_and_its_time() -> None:
    """Which of its runs, what the last step said, and how long it has been at it."""
    board = Board(console(terminal=True)[0], total=3)
    with board.drill(scenario()) as hear:
        hear(RUN_BEGINS, RUN_TWO)
        hear(STEP_TYPE, {"line": "✓ read  who serves  0.2 s", "mark": "✓"})
        text = shown(board)
        assert "clean" in text
        assert "2 of 4 · canary_phase" in text
        assert "who serves" in text
        assert "0:0" in text
        assert "0 of 3 ended, 2 to begin" in text
        state = {"what": "canary at 5 %", "done": 3.0, "total": 10.0, "unit": "min", "elapsed_s": 1.0}
        hear(PROGRESS_TYPE, {**state, "finished": False, "left_s": 2.3})
        assert "canary at 5 %" in shown(board)
    assert "clean" not in shown(board)


def test_a_run_beside_its_drill_has_a_line_of_its_own_and_is_no_drill() -> None:
    """It is shown, and does not count among what is to begin."""
    board = Board(console(terminal=True)[0], total=3)
    with board.drill(scenario(), aside=True) as hear:
        hear(RUN_BEGINS, {"runbook": "db_restore_drill", "run_id": "r1", "place": 1, "of": 4})
        assert "1 of 4 · db_restore_drill" in shown(board)
        assert "0 of 3 ended, 3 to begin" in shown(board)
    out, file = console(terminal=False)
    with Board(out, total=1) as board, board.drill(scenario(), aside=True) as hear:
        hear(RUN_BEGINS, RUN_TWO)
    assert file.getvalue().splitlines() == ["  clean: run 2 of 4 · canary_phase"]


def test_what_ended_is_counted_and_said_once() -> None:
    """Above the live lines, with why where it is not as expected."""
    out, file = console(terminal=True)
    board = Board(out, total=2)
    board.tell(Result(scenario(), summary(), 2.0, ""))
    board.tell(Result(scenario("bad"), summary("failed"), 3.0, "expected done (0); got failed (1)"))
    assert "2 of 2 ended, 0 to begin" in shown(board)
    assert "1 not as expected" in shown(board)
    assert file.getvalue().count("clean: done, as expected, in 2.0 s") == 1
    assert "expected done (0); got failed (1)" in file.getvalue()


def test_without_a_terminal_there_are_plain_lines() -> None:
    """One when a drill begins, one for each run of several; no step by step of drills side by side."""
    out, file = console(terminal=False)
    with Board(out, total=1) as board, board.drill(scenario()) as hear:
        hear(RUN_BEGINS, RUN_TWO)
        hear(STEP_TYPE, {"line": "✓ read  who serves", "mark": "✓"})
    assert file.getvalue().splitlines() == [
        "clean · canary_phase · to end done",
        "  clean: run 2 of 4 · canary_phase",
    ]


def test_a_terminal_is_left_as_it_was() -> None:
    """The live table goes when the rehearsal ends; what was said stays."""
    out, file = console(terminal=True)
    with Board(out, total=1) as board:
        with board.drill(scenario()):
            pass
        board.tell(Result(scenario(), summary(), 2.0, ""))
    assert (
        file.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in file.getvalue()
    )  # the cursor is back


def test_hostile_names_are_no_markup() -> None:
    """What a row or a step is called cannot colour the terminal or break the table."""
    board = Board(console(terminal=True)[0], total=1)
    with board.drill(scenario("[red]x[/] [/]")) as hear:
        hear(STEP_TYPE, {"line": "[bold]y[/] [/]", "mark": "✓"})
        assert "[red]x[/] [/]" in shown(board)
        assert "[bold]y[/] [/]" in shown(board)
