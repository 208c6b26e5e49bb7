"""Trends: last outcomes and numbers of each runbook, in words for who cannot see them."""

from __future__ import annotations

import re
from datetime import timedelta

from runbook.report.runs import RunLine
from runbook.report.trends import LAST, trends
from runbook.report.view import RUNS
from runbook.summary import Number, RunStatus
from tests.run_samples import BEGAN


def line(number: int, status: RunStatus = "done", **changes: object) -> RunLine:
    """Return the line of the run that began `number` hours before the newest."""
    fields = {"runbook": "db_restore_drill", "environment": "sandbox", **changes}
    at = BEGAN - timedelta(hours=number)
    return RunLine(f"r{number}", RUNS[status], "", at, **fields)  # type: ignore[arg-type]


def rto(value: float | None, *, limit: float = 3600.0) -> Number:
    return Number(title="RTO", value=value, unit="s", limit=limit)


def labels(svg: str) -> list[str]:
    return re.findall(r'aria-label="([^"]*)"', svg)


def test_a_strip_counts_the_last_runs_and_ends_with_the_newest() -> None:
    """What ended, worst first, in words; the newest is named. Only the last thirty count."""
    lines = [line(0, "failed"), *(line(n) for n in range(1, 40)), line(40, "no-go")]
    (trend,) = trends(lines)
    assert trend.runs == 41
    says = f"The last {LAST}\N{NO-BREAK SPACE}runs: 1 failed, 29 done; the last one failed."
    assert labels(trend.strip) == [says]
    cells = re.findall(r'<rect class="(\w+)" x="(\d+)"', trend.strip)
    assert len(cells) == LAST
    assert cells[-1] == ("bad", str(max(int(x) for _, x in cells)))


def test_a_worse_end_stands_higher() -> None:
    """Colour does not stand alone."""
    (trend,) = trends([line(0, "failed"), line(1, "no-go"), line(2, "parked"), line(3)])
    heights = [int(height) for height in re.findall(r'height="(\d+)"/', trend.strip)]
    assert heights == sorted(heights)
    assert len(set(heights)) == 4


def test_runs_under_way_and_abandoned_ones_are_no_outcomes() -> None:
    """Nor is a folder that does not say what it is."""
    assert trends([line(0, "running"), line(1, "abandoned"), line(2, runbook="")]) == []


def test_the_real_stand_before_the_rehearsed_and_apart() -> None:
    """An outcome in production is not lost among drills."""
    found = trends([line(0), line(1, environment="staging"), line(2, environment="production")])
    assert [(trend.environment, trend.runs) for trend in found] == [
        ("production", 1),
        ("staging", 1),
        ("sandbox", 1),
    ]


def test_a_number_is_told_by_its_last_value_its_range_and_its_limit() -> None:
    """The newest run's is the last; the scale begins at nothing."""
    values = (4.0, 3.0, 6.0)  # newest first
    (trend,) = trends([line(n, numbers=(rto(value),)) for n, value in enumerate(values)])
    (course,) = trend.courses
    assert (course.title, course.last) == ("RTO", "4\N{NO-BREAK SPACE}s")
    assert course.range.replace("\N{NO-BREAK SPACE}", " ") == "3 s to 6 s · limit 1 h"
    (says,) = labels(course.svg)
    assert "over 3" in says
    assert "between 3" in says
    drawn = re.search(r'points="([^"]+)"', course.svg)
    ground = re.search(r"M0 (\d+)H", course.svg)
    assert drawn
    assert ground
    heights = [float(ground[1]) - float(point.partition(",")[2]) for point in drawn[1].split()]
    assert [round(height / heights[0] * 6, 1) for height in heights] == [6.0, 3.0, 4.0]  # the oldest first


def test_a_limit_is_drawn_only_where_it_is_near() -> None:
    """At 4 s of an hour it would press the line flat; at 4 s of 6 it tells how far there is to go."""
    near, far = (trends([line(0, numbers=(rto(4.0, limit=limit),))])[0].courses[0].svg for limit in (6, 3600))
    assert 'class="limit"' in near
    assert 'class="limit"' not in far


def test_what_was_not_measured_is_left_out() -> None:
    """No value is no point at nothing."""
    (trend,) = trends([line(0, numbers=(rto(None),)), line(1, numbers=(rto(5.0),))])
    assert trend.courses[0].last == "5\N{NO-BREAK SPACE}s"
    assert trends([line(0, numbers=(rto(None),))])[0].courses == ()


def test_hostile_titles_stay_text() -> None:
    """A number's title comes from a record of others."""
    number = Number(title='"><script>', value=1.0, unit="<b>", limit=2.0)
    (trend,) = trends([line(0, numbers=(number,))])
    assert "<script" not in trend.courses[0].svg
    assert "<b>" not in trend.courses[0].svg
