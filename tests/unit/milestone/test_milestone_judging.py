"""The criteria: each is judged by its evidence; what is missing or harmed lets nothing look better."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.milestone.judging import scorecard
from runbook.milestone.people import Calls
from runbook.milestone.rollbacks import Rollbacks
from runbook.values import Checks
from tests.milestones import (
    DEPLOYED,
    PLAN,
    at,
    charge,
    costing,
    gathered,
    incident,
    kept,
    phase,
    service,
    sources,
)

RANK = ("not met", "not known", "needs a person", "met")
PARTS = ("drill", "preconfiguration", "migration", "phase 1", "phase 2", "phase 3", "phase 4")
HARM = {
    "missing": {"run_id": "", "problems": ("there is no run",), "status": "", "numbers": {}},
    "tampered": {
        "problems": ("journal.jsonl: its content is not what was sealed",),
        "status": "",
        "numbers": {},
    },
    "no-go": {"status": "no-go"},
    "a newer one in doubt": {"passed_over": ("x-2",)},
}


def found(made):
    return {one.title: one for one in scorecard(PLAN, made).criteria}


def test_after_a_good_rollout_all_that_is_measured_is_met():
    """Only what a person must say is open, and that is the plan's list of it."""
    card = scorecard(PLAN, sources())
    assert card.missed == ()
    assert [one.title for one in card.to_sign] == [
        "staging tests pass",
        "support tickets",
        *PLAN.success.business,
        *(says for says in PLAN.success.operational if "restore" not in says),
    ]
    assert "0 not met, 0 not known" in card.counts()
    assert Checks(items=tuple(one.as_check() for one in card.criteria)).holds


def test_every_criterion_of_the_plan_has_a_row():
    """Technical, business, operational: none is left out, whatever its words."""
    titles = " ".join(found(sources()))
    for word in ("staging", "rollback", "error rate", "P95", "uptime", "cost", "incidents", "tickets"):
        assert word in titles
    for says in (*PLAN.success.business, *PLAN.success.operational):
        assert says in titles


def degraded(harms):
    """Return what was gathered with some runs harmed, as gathering would leave it."""

    def harmed(part, good):
        return good.model_copy(update=HARM[harms[part]]) if part in harms else good

    runs = {part: harmed(part, getattr(gathered(), part)) for part in PARTS[:3]}
    phases = [
        phase(number).model_copy(update={"run": harmed(f"phase {number}", phase(number).run)})
        for number in (1, 2, 3, 4)
    ]
    last = phases[-1].run
    ended = DEPLOYED if last.relied_on and last.status == "done" else None
    return gathered(phases=tuple(phases), deployed_at=ended, **runs)


@given(harms=st.dictionaries(st.sampled_from(PARTS), st.sampled_from(list(HARM)), min_size=1))
def test_a_run_that_is_missing_or_tampered_with_makes_nothing_look_better(harms):
    """Whatever runs are harmed and how: no finding rises, each harmed run is a line that is not met."""
    good, now = found(sources()), found(sources(gathered=degraded(harms)))
    assert set(good) == set(now)
    for title, one in now.items():
        assert RANK.index(one.finding) <= RANK.index(good[title].finding), title
    for part in harms:
        title = {
            "drill": "restore drill",
            "preconfiguration": "DNS pre-configuration",
            "migration": "DNS migration",
        }
        assert now[title.get(part, f"canary, {part}")].finding == "not met"


def test_numbers_of_an_unverified_drill_are_not_used():
    """A drill that was tampered with has no RTO here, however good the one in its file."""
    one = found(sources(gathered=degraded({"drill": "tampered"})))[restore()]
    assert (one.finding, one.value, one.share) == ("not known", None, None)


def restore():
    return next(says for says in PLAN.success.operational if "restore" in says)


def test_a_drill_over_its_limit_is_not_met():
    """Done is not enough: the RTO is held against the plan's hour."""
    slow = kept("restore drill", "db_restore_drill-x")
    number = slow.numbers["rto_s"].model_copy(update={"value": 3600.0})
    slow = slow.model_copy(update={"numbers": {**slow.numbers, "rto_s": number}})
    assert found(sources(gathered=gathered(drill=slow)))[restore()].finding == "not met"


@pytest.mark.parametrize(
    ("down", "silent", "finding"),
    [
        (0, 0, "met"),
        (1, 0, "met"),
        (2, 0, "not met"),
        (0, 1, "met"),
        (0, 2, "not known"),
        (1, 1, "not known"),
    ],
)
def test_uptime_is_judged_from_both_ends(down, silent, finding):
    """Of a day's 1,440 minutes 1.44 may be bad: silent minutes are taken for up and for down."""
    each = lambda number: {"down_min": down, "silent_min": silent} if number == 0 else {}  # noqa: E731
    assert found(sources(service=service(each=each)))["uptime"].finding == finding


@given(silent=st.integers(0, 1440), down=st.integers(0, 30))
def test_more_silence_never_makes_it_better(silent, down):
    """Losing metrics raises no finding above what it was with them: bad minutes cannot be hidden."""
    told = found(sources(service=service(each=lambda n: {"down_min": down if n == 0 else 0})))
    hidden = found(
        sources(
            service=service(
                each=lambda n: {"down_min": max(0, down - silent), "silent_min": silent} if n == 0 else {}
            )
        )
    )
    if silent >= down:
        assert hidden["uptime"].finding != "met" or told["uptime"].finding == "met"


def test_without_data_nothing_is_met():
    """No metrics: uptime, errors and both latencies are not known, and the check does not hold."""
    none = {"requests": None, "errors": None, "p95_ms": None, "database_ms": None, "silent_min": 720}
    made = sources(service=service(each=lambda number: {**none, "silent_min": 360 if number == 0 else 1080}))
    now = found(made)
    for title in ("uptime", "error rate", "P95 latency", "database latency"):
        assert now[title].finding == "not known", title
        assert now[title].as_check().status == "failed"


@pytest.mark.parametrize(("errors", "finding"), [(39_999, "met"), (40_000, "not met"), (40_001, "not met")])
def test_one_percent_of_errors_is_not_under_one_percent(errors, finding):
    """The limit itself is over."""
    made = service(requests=4e6, errors=errors)
    assert found(sources(service=made))["error rate"].finding == finding


def test_a_marked_rollback_counts_although_its_run_is_gone():
    """Datadog's marks are a second witness: nobody who deletes a run's folder deletes them."""
    mark = (at(12, 4, 3), "Canary phase 1 of dpl_0 was rolled back from 5 %")
    made = Rollbacks(since=DEPLOYED, until=DEPLOYED, marks=(mark,), marks_of_canaries=9)
    one = found(sources(rollbacks=made))["production deployment without a rollback"]
    assert (one.finding, one.value) == ("not met", 1.0)


def test_a_canary_without_any_mark_is_not_known():
    """Runs that say all went well, and no mark of them: one witness is missing."""
    made = Rollbacks(since=DEPLOYED, until=DEPLOYED, marks=(), marks_of_canaries=0)
    assert found(sources(rollbacks=made))["production deployment without a rollback"].finding == "not known"


@pytest.mark.parametrize(
    ("incidents", "down", "finding"),
    [(0, 0, "met"), (1, 0, "needs a person"), (0, 3, "needs a person"), (1, 3, "not met")],
)
def test_incidents_and_downtime_are_two_witnesses(incidents, down, finding):
    """Both is an incident that users noticed; one alone, a person has to say."""
    calls = Calls(
        since=DEPLOYED,
        until=DEPLOYED + timedelta(days=1),
        incidents=tuple(incident(number + 1) for number in range(incidents)),
    )
    made = service(each=lambda number: {"down_min": down if number == 0 else 0})
    one = found(sources(calls=calls, service=made))["incidents that users notice"]
    assert one.finding == finding


def priced(total):
    """Return charges that come to a total, all of it Vercel's beyond the rest."""
    rest = {one.service: one.cost_usd_per_month for one in PLAN.costs.lines}
    rest["Vercel"] = total - sum(cost for name, cost in rest.items() if name != "Vercel")
    return [charge(name, cost) for name, cost in rest.items()]


@pytest.mark.parametrize(
    ("total", "finding", "alert"),
    [
        (106.0, "met", "none"),
        (116.60, "met", "none"),
        (116.61, "not met", "none"),
        (120.01, "not met", "warning"),
        (150.01, "not met", "critical"),
    ],
)
def test_costs_are_held_against_the_plan_to_the_cent(total, finding, alert):
    """Ten percent over is allowed, a cent more is not; the alerts have limits of their own."""
    made = costing(priced(total))
    assert found(sources(costing=made))["cost within the budget"].finding == finding
    assert made.latest.alert == alert
    assert made.latest.forecast_usd == pytest.approx(total)


def test_a_price_nobody_knows_is_not_nought():
    """One unknown service: the sum is *at least*, the criterion not known."""
    charges = [
        charge(one.service, None if one.service == "Sentry" else one.cost_usd_per_month)
        for one in PLAN.costs.lines
    ]
    one = found(sources(costing=costing(charges)))["cost within the budget"]
    assert (one.finding, one.value) == ("not known", None)
    assert "Sentry" in one.observed


def test_each_month_that_is_touched_is_held_against_the_budget():
    """A milestone over New Year has two months; one over the budget is enough."""
    december, january = at(12, 5).date(), at(1, 1, year=2027).date()
    flat = [
        charge(one.service, one.cost_usd_per_month, m)
        for m in (december, january)
        for one in PLAN.costs.lines
    ]
    over = [charge("Vercel", 90.0, december)]
    as_of = at(1, 4, year=2027)
    good = costing(flat, months=(december, january), as_of=as_of)
    assert found(sources(costing=good))["cost within the budget"].finding == "met"
    bad = costing([*flat, *over], months=(december, january), as_of=as_of)
    assert found(sources(costing=bad))["cost within the budget"].finding == "not met"
    assert [one.month for one in bad.months] == [december.replace(day=1), january]


@given(costs=st.lists(st.floats(0, 5), min_size=1, max_size=20))
def test_a_usage_forecast_is_the_mean_of_the_days_told(costs):
    """Days of usage forecast the month evenly; a day without a bill is missing, not free."""
    told = [charge("Vercel", cost, recurring=False, days=(n + 1, n + 2)) for n, cost in enumerate(costs)]
    as_of = at(12, 1) + timedelta(days=len(costs) + 1)
    month = costing(told, as_of=as_of).latest.of("Vercel")
    assert month.known_usd == pytest.approx(sum(costs))
    assert month.forecast_usd == pytest.approx(sum(costs) / len(costs) * 31)
    assert [day.day for day in month.missing_days] == [len(costs) + 1]
