"""Charts of a milestone: what they say in words, what is marked, and what is missing stays missing."""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from runbook.charts.display import to_svg
from runbook.charts.milestone import burn_down, scorecard, timeline
from runbook.charts.theme import ALERT, PALETTE, theme
from runbook.charts.trends import cost_bars, drill_trend, latency_by_day
from runbook.values import Skipped

BEGAN = datetime(2026, 12, 5, 18, tzinfo=UTC)


@dataclass(frozen=True)
class Gauge:
    title: str = "error rate"
    finding: str = "met"
    share: float | None = 0.2
    limit: str = "1 %"
    number: str = "0.2 %"


@dataclass(frozen=True)
class Day:
    since: datetime
    until: datetime
    down_min: float = 0
    silent_min: float = 0
    p95_ms: float | None = 300
    database_ms: float | None = 40


@dataclass(frozen=True)
class Stretch:
    title: str
    since: datetime | None
    until: datetime | None
    word: str = "proceed"
    good: bool = True


@dataclass(frozen=True)
class Cost:
    service: str
    planned_usd: float | None
    forecast_usd: float | None
    known_usd: float = 0.0


@dataclass(frozen=True)
class Drill:
    at: datetime
    rto_s: float | None
    rpo_s: float | None = 0.0
    status: str = "done"


def words(figure):
    found = re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(figure))
    return [text.replace("\N{NO-BREAK SPACE}", " ").replace("&#x27;", "'") for text in found]


def label(figure):
    return str(figure.get_label()).replace("\N{NO-BREAK SPACE}", " ")


def days(count=7, **changes):
    each = [BEGAN + timedelta(days=number) for number in range(count + 1)]
    return [Day(since, until, **changes) for since, until in pairwise(each)]


def costs(**forecasts):
    planned = {"Cloudflare": 20.0, "Vercel": 20.0, "Sentry": 26.0}
    return [Cost(name, plan, forecasts.get(name, plan), 1.0) for name, plan in planned.items()]


def bars(services):
    return cost_bars(services, planned_usd=66, limit_usd=72.6, alerts_usd=(80, 100))


def drills(*rtos):
    return [Drill(BEGAN + timedelta(days=number), rto) for number, rto in enumerate(rtos)]


MADE = {
    "scorecard": lambda: scorecard([Gauge(), Gauge("uptime", "not known", None)]),
    "burn-down": lambda: burn_down(days(), allowed_min=43.2),
    "timeline": lambda: timeline([Stretch("canary, phase 1", BEGAN, BEGAN + timedelta(hours=4))]),
    "costs": lambda: bars(costs()),
    "latency": lambda: latency_by_day(days(), p95_limit_ms=500, database_limit_ms=100),
    "drills": lambda: drill_trend(drills(4.0, 5.0), rto_limit_s=3600, rpo_limit_s=300),
}


@pytest.mark.parametrize("name", MADE)
def test_a_chart_has_a_name_a_sentence_and_inks_of_the_palette_alone(name):
    """Its text says what it shows, and its colours follow the page into the dark."""
    figure = MADE[name]()
    assert figure.get_gid()
    assert label(figure).endswith(".")
    colours = {one.lower() for one in re.findall(r"#[0-9a-fA-F]{6}\b", to_svg(figure))}
    assert colours <= {*PALETTE.values(), "#000000"}


@pytest.mark.parametrize("name", MADE)
def test_no_text_leaves_the_page(name):
    """Every line of text fits between the margins, measured as it is drawn."""
    figure = MADE[name]()
    with theme():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        edge = figure.bbox.x1
        for axes in figure.axes:
            for text in axes.texts:
                box = text.get_window_extent(canvas.get_renderer())
                assert box.x0 >= -1, text.get_text()
                assert box.x1 <= edge + 1, text.get_text()


def test_the_scorecard_counts_what_is_met_and_hatches_what_is_not_known():
    """An unknown objective is no met one; its row says so."""
    figure = scorecard([Gauge(), Gauge("uptime", "not known", None, "43.2 bad minutes")])
    assert words(figure)[0] == "1 of 2 objectives met, 1 not known"
    assert "! uptime" in words(figure)
    assert "uptime is not known (limit 43.2 bad minutes)" in label(figure)


def test_over_its_limit_a_bar_is_drawn_in_the_ink_of_alarm():
    """The limit is inside the bar, and the words say how far beyond it is."""
    over = scorecard([Gauge(finding="not met", share=1.5, number="1.5 %")])
    assert ALERT in to_svg(over)
    assert "150 % of the limit of 1 %, not met" in label(over)


def test_criteria_without_a_limit_are_not_drawn():
    """A scorecard of objectives alone; without any it says so."""
    assert words(scorecard([Gauge(limit="")])) == ["Objectives", "no criterion has a limit"]


def test_the_budget_burns_down_by_what_was_down():
    """21.6 of 43.2 minutes: half is left; which day it was stands in the sentence."""
    each = days()
    each[2] = replace(each[2], down_min=21.6)
    figure = burn_down(each, allowed_min=43.2)
    assert words(figure)[0] == "50 % of the error budget left"
    assert "bad days: 12-07 21.6 min" in label(figure)


def test_an_overspent_budget_says_so():
    """More than all of it: no share of it is left, whatever the pace."""
    figure = burn_down(days(down_min=10), allowed_min=43.2)
    assert words(figure)[0] == "Error budget overspent"


def test_silent_minutes_are_told_and_not_counted_as_uptime():
    """A band shows what they could have used."""
    figure = burn_down(days(silent_min=60), allowed_min=43.2)
    assert "pale: 420 minutes without data" in words(figure)
    assert "420 minutes without data" in label(figure)


def test_a_day_without_latency_is_a_gap_and_is_named():
    """No line is drawn through a day of which nothing was told."""
    each = days()
    each[3] = replace(each[3], p95_ms=None, database_ms=None)
    figure = latency_by_day(each, p95_limit_ms=500, database_limit_ms=100)
    assert "days without data: 12-08" in label(figure)
    silent = latency_by_day(days(p95_ms=None), p95_limit_ms=500, database_limit_ms=100)
    assert words(silent) == ["Latency", "nothing was told of any day"]


@pytest.mark.parametrize(("p95", "says"), [(499.0, ", under"), (500.0, ", not under")])
def test_the_limit_itself_is_not_under_it(p95, says):
    """P95 is to be under 500 ms."""
    figure = latency_by_day(days(p95_ms=p95), p95_limit_ms=500, database_limit_ms=100)
    assert says in words(figure)[0]


def test_an_unknown_price_is_hatched_and_makes_the_sum_a_least_one():
    """Nothing known is not nought dollars."""
    figure = bars(costs(Sentry=None))
    assert words(figure)[0].startswith("At least $41.00 of $66.00")
    assert "unknown, plan $26" in words(figure)
    assert "Sentry unknown" in label(figure)
    assert "not known, for Sentry is not" in label(figure)


def test_over_the_limit_the_sum_is_drawn_in_the_ink_of_alarm():
    """And the sentence says that it is over what the criterion allows."""
    assert "over it" in label(bars(costs(Vercel=60.0)))
    assert "within it" in label(bars(costs()))


def test_a_service_beside_the_plan_is_no_part_of_the_sum():
    """It is drawn pale, below."""
    figure = bars([*costs(), Cost("Supabase", None, 25.0)])
    assert words(figure)[0].startswith("$66.00 of $66.00")
    assert "$25.00, not in the plan" in words(figure)


def test_a_run_that_is_not_relied_on_has_no_place_in_time():
    """It is a row with a word and without a bar."""
    known = Stretch("DNS migration", BEGAN, BEGAN + timedelta(days=2))
    figure = timeline([known, Stretch("canary, phase 1", None, None, "not relied on", good=False)])
    assert words(figure)[0] == "1 of 2 runs do not stand"
    assert "canary, phase 1: not relied on." in label(figure)
    nothing = timeline([Stretch("canary, phase 1", None, None, "no run", good=False)])
    assert words(nothing)[1] == "no run of it is on record that can be relied on"


def test_a_drill_without_an_rto_is_marked_and_no_fast_one():
    """It has a cross, not a bar of no height."""
    figure = drill_trend(drills(4.0, None, 5.0), rto_limit_s=3600, rpo_limit_s=300)
    assert "× 1 without an RTO" in words(figure)
    assert words(figure)[0] == "RTO 5 s at the longest, of 1 h allowed"
    none = drill_trend(drills(None), rto_limit_s=3600, rpo_limit_s=300)
    assert words(none)[1] == "no drill that can be relied on came to an RTO"


@pytest.mark.parametrize(
    "draw",
    [
        scorecard,
        timeline,
        lambda skipped: burn_down(skipped, allowed_min=43.2),
        bars,
        lambda skipped: latency_by_day(skipped, p95_limit_ms=500, database_limit_ms=100),
        lambda skipped: drill_trend(skipped, rto_limit_s=3600, rpo_limit_s=300),
    ],
)
def test_what_was_skipped_is_said_in_words(draw):
    """A chart of a step that was left out shows why."""
    assert "was skipped" in words(draw(Skipped(title="x", why="mode plan")))[1]
