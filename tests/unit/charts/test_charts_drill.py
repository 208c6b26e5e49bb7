"""Charts of the restore drill: what they say in words, and what is on the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from runbook.charts.display import to_svg
from runbook.charts.drill import rto_by_phase, workload_around
from runbook.charts.theme import ALERT, MAIN, PALETTE
from runbook.values import Phase, Skipped

PHASES = [
    Phase(name="copy", seconds=0.4),
    Phase(name="replay WAL", seconds=2.6),
    Phase(name="verify", seconds=1.2),
]
DAMAGE = datetime(2026, 3, 2, 2, 14, 7, tzinfo=UTC)


def words(figure: object) -> list[str]:
    """Return every text on the page, as a reader sees it."""
    found = re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(figure))  # type: ignore[arg-type]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found]


def label(figure: object) -> str:
    return str(figure.get_label()).replace("\N{NO-BREAK SPACE}", " ")  # type: ignore[attr-defined]


def test_phases_are_written_out_with_their_sum_and_its_share_of_the_limit() -> None:
    """Seconds beside an hour: both scales are told in words, so that neither has to be guessed."""
    page = words(rto_by_phase(PHASES, limit_s=3600))
    assert page[0] == "RTO 4.2 s of 1 h allowed"
    assert {"copy", "0.40 s", "replay WAL", "2.60 s", "verify", "1.20 s", "4.20 s"} <= set(page)
    assert "0.12 % of the limit" in page
    assert "1 h, the limit" in page


def test_the_description_carries_the_numbers_of_the_phases() -> None:
    """Alt text is a whole sentence with every number of the chart."""
    assert label(rto_by_phase(PHASES, limit_s=3600)) == (
        "Recovery took 4.2 s, within the limit of 1 h (0.12 % of it), by phase: "
        "copy 400 ms, replay WAL 2.6 s, verify 1.2 s."
    )


@pytest.mark.parametrize("limit_s", [4.2, 3.0])
def test_at_or_past_the_limit_is_over_it(limit_s: float) -> None:
    """The gate is "less than": the limit itself is over, and the ink of alarm appears."""
    figure = rto_by_phase(PHASES, limit_s=limit_s)
    assert "over the limit" in words(figure)[0]
    assert "over the limit" in label(figure)
    assert ALERT in to_svg(figure)


def test_no_phases_is_not_a_fast_restore() -> None:
    """Without a phase on record the time reads not measured, never zero seconds."""
    figure = rto_by_phase([], limit_s=3600)
    assert words(figure) == ["RTO not measured", "no phase is on record; the limit is 1 h"]
    assert label(figure) == "RTO not measured: no phase is on record; the limit is 1 h."


def test_many_phases_are_gathered_and_still_sum_up() -> None:
    """Beyond a dozen rows the shortest become one, which is never shown as the longest phase."""
    phases = [Phase(name=f"phase {number}", seconds=number) for number in range(30)]
    page = words(rto_by_phase(phases, limit_s=600))
    assert "19 shorter phases" in page
    assert page.count("435.0 s") == 1
    assert "phase 29" in page
    assert "phase 3" not in page


def test_a_limit_of_nothing_is_refused() -> None:
    """A share of zero has no meaning."""
    with pytest.raises(ValueError, match="above zero"):
        rto_by_phase(PHASES, limit_s=0)


def commits(*offsets_s: float) -> list[datetime]:
    return [DAMAGE + timedelta(seconds=offset_s) for offset_s in offsets_s]


def test_commits_are_told_apart_by_what_became_of_them() -> None:
    """Restored, lost and after the damage are counted from the times alone."""
    figure = workload_around(
        commits(-4, -3, -2, -1, -0.5, 1, 2),
        damage_at=DAMAGE,
        restored_to_at=DAMAGE - timedelta(seconds=2),
        limit_s=300,
    )
    assert label(figure) == (
        "Of 7 commits in 6 s, 3 were restored, up to 2 s before the damage; 2 were lost, an RPO of 1.5 s "
        "(limit 5 min); 2 were made after the damage and are no part of the restored database."
    )
    assert words(figure)[0] == "RPO 1.5 s of 5 min allowed"
    assert {"damage 02:14:07 UTC", "restored to 2 s before it", "3 commits", "2 commits"} <= set(
        words(figure)
    )


def test_a_restore_to_the_last_commit_lost_nothing() -> None:
    """RPO is measured from commit to commit: quiet time before the damage is no loss."""
    figure = workload_around([-5.0, -4.0], damage_at=0.0, restored_to_at=-4.0, limit_s=300)
    assert words(figure)[0] == "RPO 0 s of 5 min allowed: nothing was lost"


def test_a_restore_past_the_damage_keeps_what_came_after() -> None:
    """Damage without a commit (a page on disk) is passed: what was restored later counts as restored."""
    figure = workload_around([-1.0, 1.0, 2.0], damage_at=0.0, restored_to_at=2.0)
    assert "3 were restored, up to 2 s after the damage; 0 were lost" in label(figure)


def test_an_rpo_over_its_limit_says_so() -> None:
    """The title carries the verdict against the limit."""
    figure = workload_around([-600.0, -1.0], damage_at=0.0, restored_to_at=-600.0, limit_s=300)
    assert words(figure)[0] == "RPO 9 min 59 s, over the limit of 5 min"


def test_nothing_restored_is_an_unknown_rpo() -> None:
    """When no commit came back the RPO is unknown, not zero."""
    figure = workload_around([-2.0, -1.0], damage_at=0.0, restored_to_at=None)
    assert words(figure)[0] == "RPO unknown: no commit came back"
    assert "0 were restored; 2 were lost, an unknown RPO" in label(figure)


def test_no_commits_is_not_a_perfect_restore() -> None:
    """An empty workload leaves the RPO unmeasured."""
    figure = workload_around([], damage_at=0.0, restored_to_at=0.0)
    assert words(figure)[0] == "RPO not measured"
    assert label(figure) == "RPO not measured: no commit is on record around the damage."


def test_a_skipped_restore_is_said_in_words() -> None:
    """In plan mode there is nothing to draw; the cell still ends well, and says why it is empty."""
    left_out = Skipped(title="the restore", why="mode plan")
    for figure in (
        rto_by_phase(left_out.phases, limit_s=left_out.rto_limit_s),
        workload_around(
            left_out.commits, damage_at=left_out.damage_at, restored_to_at=left_out.restored_to_at
        ),
    ):
        assert "not measured: “the restore” was skipped." in label(figure)


def test_a_commit_in_the_moment_of_the_damage_was_before_it() -> None:
    """A lost primary is dated by its last commit: that one is lost, not left out."""
    figure = workload_around([-5.0, 0.0], damage_at=0.0, restored_to_at=-5.0)
    assert "1 were restored, up to 5 s before the damage; 1 were lost, an RPO of 5 s" in label(figure)
    assert "0 were made after the damage" in label(workload_around([0.0], damage_at=0.0, restored_to_at=0.0))


def test_times_without_a_zone_are_refused() -> None:
    """A naive time would be read in the machine's own zone."""
    with pytest.raises(ValueError, match="timezone-aware"):
        workload_around([DAMAGE.replace(tzinfo=None)], damage_at=DAMAGE, restored_to_at=DAMAGE)


def test_a_long_workload_keeps_few_columns() -> None:
    """Slices widen with the span, so that a phone can still tell them apart."""
    figure = workload_around([float(at) for at in range(-7200, 900)], damage_at=0.0, restored_to_at=-700.0)
    columns = re.findall(rf'fill: {MAIN}"', to_svg(figure))
    assert 10 < len(columns) <= 60
    assert words(figure)[1] == "Commits per 5 min"


def test_only_inks_of_the_palette_are_used() -> None:
    """What is not of the palette would not follow the reader's light or dark."""
    figure = workload_around([-2.0, -1.0, 1.0], damage_at=0.0, restored_to_at=-2.0)
    used = set(re.findall(r"#[0-9a-f]{6}\b", to_svg(figure) + to_svg(rto_by_phase(PHASES, limit_s=1))))
    assert used <= set(PALETTE.values())
