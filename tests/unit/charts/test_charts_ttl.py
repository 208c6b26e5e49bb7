"""The timeline of TTLs: what it says in words, and what is on the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from runbook.charts.display import to_svg
from runbook.charts.theme import PALETTE
from runbook.charts.ttl import ttl_timeline
from runbook.values import Skipped

BEGAN = datetime(2026, 11, 30, 1, tzinfo=UTC)
DAY_S = 86_400.0


@dataclass(frozen=True)
class Held:
    """A record set as caches hold it."""

    name: str
    type: str
    before_s: int
    after_s: int
    gone_at: datetime


def held(name: str, before_s: int, kind: str = "A") -> Held:
    return Held(
        f"{name}.omnihub.dev.", kind, before_s, min(before_s, 300), BEGAN + timedelta(seconds=before_s)
    )


RECORDS = [held("status", 14_400, "CNAME"), *(held(f"n{n}", 3600) for n in range(8)), held("www", 60)]


def drawn(records: list[Held], *, switch_after_s: float = DAY_S, delegation_s: float = 2 * DAY_S) -> object:
    switch_from = BEGAN + timedelta(seconds=switch_after_s)
    return ttl_timeline(records, counted_from=BEGAN, switch_from=switch_from, delegation_s=delegation_s)


def words(figure: object) -> list[str]:
    """Return every text on the page, as a reader sees it."""
    found = re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(figure))  # type: ignore[arg-type]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found]


def label(figure: object) -> str:
    return str(figure.get_label()).replace("\N{NO-BREAK SPACE}", " ")  # type: ignore[attr-defined]


def test_it_says_when_old_ttls_are_gone_and_when_the_switch_may_begin() -> None:
    """The two are apart: the caches' physics, and the plan's day."""
    page = words(drawn(RECORDS))
    assert page[0] == "Old TTLs gone after 4 h, switch after 1 d"
    assert "From the lowering, 2026-11-30 01:00 UTC" in page
    assert "the line: switch from 12-01 01:00 UTC" in page


def test_sets_that_are_let_go_of_together_are_one_row_the_last_on_top() -> None:
    """One set goes by its name, several by their number."""
    page = words(drawn(RECORDS))
    rows = [text for text in page if text in ("4 h", "1 h", "1 min")]
    assert rows == ["4 h", "1 h", "1 min"]
    assert page.index("status.omnihub.dev") < page.index("8 record sets") < page.index("www.omnihub.dev A")


def test_what_a_switch_takes_has_a_scale_of_its_own() -> None:
    """The delegation's TTL, and the longest record's after it."""
    page = words(drawn(RECORDS))
    assert "A switch then takes up to 2 d" in page
    assert {"the delegation, 2 d", "then records, 5 min"} <= set(page)


def test_the_description_carries_every_number() -> None:
    """Alt text is whole sentences."""
    assert label(drawn(RECORDS[:1])) == (
        "Caches have let go of every old TTL 4 h after the lowering, and the nameservers may be switched 1 d "
        "after it; by record set: status.omnihub.dev CNAME 4 h. A switch then takes up to 2 d: the "
        "delegation is kept for 2 d, records after it for 5 min."
    )


def test_of_very_many_times_the_earlier_ones_are_one_row() -> None:
    """The page stays a page."""
    many = [held(f"n{number}", 60 + number) for number in range(40)]
    page = words(drawn(many))
    assert "32 sets gone earlier" in page
    assert len(page) < 40


@pytest.mark.parametrize("ttl_s", [0, 1, 10**7])
def test_extremes_are_drawn(ttl_s: int) -> None:
    """Nothing at all, a second, and months beyond the switch."""
    figure = drawn([held("www", ttl_s)], delegation_s=0.0)
    assert set(re.findall(r"#[0-9a-f]{6}", to_svg(figure))) <= set(PALETTE.values())  # type: ignore[arg-type]


def test_without_records_and_where_it_was_skipped_it_says_so() -> None:
    """A figure of words, never an empty one."""
    assert words(drawn([])) == ["Caches not known", "no record is on record"]
    skipped = Skipped(title="when caches let go", why="mode is plan")
    figure = ttl_timeline(
        skipped.records, counted_from=skipped.at, switch_from=skipped.at, delegation_s=skipped.delegation
    )
    assert words(figure)[0] == "Caches not known"
