"""Charts of a canary: what they say in words, what is marked, and what is missing stays missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from runbook.charts.canary import budget_burn, error_rate, evidence, latency, traffic_share
from runbook.charts.display import to_svg
from runbook.charts.theme import ALERT, PALETTE
from runbook.values import Skipped

BEGAN = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Look:
    at: datetime
    numbers: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    decision: str
    ended_at: datetime = BEGAN + timedelta(minutes=19)


def looks(count: int = 20, **numbers: float | None) -> list[Look]:
    """Return looks a minute apart, each with these numbers over those of a quiet canary."""
    quiet: dict[str, float | None] = {
        "canary_percent": 5.0,
        "errors_canary": 0.002,
        "errors_baseline": 0.0021,
        "errors_canary_low": 0.001,
        "errors_canary_high": 0.004,
        "slow_500_canary": 0.01,
        "slow_500_baseline": 0.011,
        "errors_log_e_counts": -0.5,
        "errors_log_e_slices": -0.4,
        "budget_remaining": 0.9,
    }
    return [Look(BEGAN + timedelta(minutes=number), quiet | numbers) for number in range(count)]


def words(figure: object) -> list[str]:
    found = re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(figure))  # type: ignore[arg-type]
    return [text.replace("\N{NO-BREAK SPACE}", " ") for text in found]


def label(figure: object) -> str:
    return str(figure.get_label()).replace("\N{NO-BREAK SPACE}", " ")  # type: ignore[attr-defined]


CHARTS: list[Callable[..., object]] = [
    lambda seen, **more: error_rate(seen, limit=0.01, **more),
    lambda seen, **more: latency(seen, limit_ms=500, **more),
    lambda seen, **more: evidence(seen, bound=200, **more),
    lambda seen, **more: budget_burn(seen, least=0.5, **more),
    traffic_share,
]
NAMES = ["errors", "latency", "evidence", "budget", "traffic"]


def test_both_rates_stand_beside_the_limit() -> None:
    """Rates, band and limit are told in words, on the page and in the description."""
    figure = error_rate(looks(), limit=0.01, verdict=Verdict("proceed"))
    assert words(figure)[0] == "Canary: 0.2 % of requests failed, under 1 %"
    assert {"canary 0.2 %", "baseline 0.21 %", "limit 1 %", "proceed", "02:00 UTC", "02:19 UTC"} <= set(
        words(figure)
    )
    assert label(figure) == (
        "Of the canary's requests 0.2 % failed, between 0.1 % and 0.4 % for sure, of the baseline's 0.21 %; "
        "the limit is 1 %. Decided after 19 min: proceed."
    )


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_at_the_limit_is_not_under_it(rate: float) -> None:
    """The gate is "less than": the limit itself is not under it."""
    assert "not under 1 %" in words(error_rate(looks(errors_canary=rate), limit=0.01))[0]
    assert words(latency(looks(slow_500_canary=0.05), limit_ms=500))[0] == "Canary: P95 not under 500 ms"


def test_evidence_is_told_in_folds_by_both_keys() -> None:
    """Logarithms are for the scale; people read by how much a bet has grown."""
    seen = looks(errors_log_e_counts=6.0, errors_log_e_slices=20.0)
    figure = evidence(seen, bound=200, verdict=Verdict("rollback"))
    assert words(figure)[0] == "Evidence: enough to stop the canary"
    assert {"counts 403", "slices over 1,000,000", "bound 200", "rollback"} <= set(words(figure))
    assert "403 by counts, over 1,000,000 by slices; both must be over 200-fold" in label(figure)
    one_key = evidence(looks(errors_log_e_counts=6.0), bound=200)
    assert "not enough to stop the canary" in words(one_key)[0]


def test_without_slices_the_counts_decide_alone() -> None:
    """A key that never was is shown as a dash, and the other one's evidence counts."""
    figure = evidence(looks(errors_log_e_counts=6.0, errors_log_e_slices=None), bound=200)
    assert "enough to stop the canary" in label(figure)
    assert "– by slices" in label(figure)


def test_a_budget_that_is_overdrawn_is_below_zero() -> None:
    """More than all of it is used: a minus, and the scale goes down to it."""
    figure = budget_burn(looks(budget_remaining=-0.2), least=0.5)
    assert words(figure)[0] == "Error budget: −20 % left, not over 50 %"


def test_the_share_is_told_step_by_step() -> None:
    """The description names each share once, in order."""
    seen = looks(10) + [Look(BEGAN + timedelta(minutes=n), {"canary_percent": 25.0}) for n in range(10, 20)]
    assert label(traffic_share(seen)) == "The canary had 5 %, then 25 % of the new visitors."
    assert "canary 25 %" in words(traffic_share(seen))


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
def test_what_is_not_known_is_said_in_words(chart: Callable[..., object]) -> None:
    """No looks, looks without the number, a skipped watch: two lines of words instead of an empty plot."""
    bare = [Look(BEGAN), Look(BEGAN + timedelta(minutes=1))]
    for seen, why in (
        ([], "fewer than two looks"),
        (bare, "no look has it on record"),
        (Skipped(title="the canary", why="mode plan").looks, "was skipped"),
    ):
        page = words(chart(seen))
        assert len(page) == 2
        assert page[0].endswith("not known")
        assert why in page[1]


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
def test_a_gap_in_the_numbers_is_a_gap_in_the_line(chart: Callable[..., object]) -> None:
    """Looks without data neither fail nor draw a zero; the last number known is the one that is told."""
    seen = looks(10) + [Look(BEGAN + timedelta(minutes=n), {}) for n in range(10, 15)]
    assert words(chart(seen)) != []
    assert "nan" not in to_svg(chart(seen)).lower()  # type: ignore[arg-type]
    assert "nan" not in label(chart(seen))


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
def test_a_decision_is_marked_and_colours_are_the_palettes(chart: Callable[..., object]) -> None:
    """A rollback stands in the ink of alarm; no ink is used that would not follow light and dark."""
    figure = chart(looks(), verdict=Verdict("rollback"))
    svg = to_svg(figure)  # type: ignore[arg-type]
    assert "rollback" in words(figure)
    assert ALERT in svg
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= set(PALETTE.values())
    assert label(figure).endswith("Decided after 19 min: rollback.")


@pytest.mark.parametrize("chart", CHARTS, ids=NAMES)
def test_the_words_stay_on_the_page(chart: Callable[..., object]) -> None:
    """Title and subtitle are short enough for the page: 324 points at 12 and 10."""
    title, subtitle = words(chart(looks(errors_canary=0.1234, errors_canary_high=0.2)))[:2]
    assert len(title) <= 48
    assert len(subtitle) <= 54
