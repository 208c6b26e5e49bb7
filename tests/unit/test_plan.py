"""The rollout plan: what fits together, and how what does not is reported."""

from pathlib import Path

import pytest

from runbook.errors import ParamsError
from runbook.journal import decode, encode
from runbook.plan import RolloutPlan, load_plan
from runbook.plan.judging import judge
from runbook.plan.reading import parse_document

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "params/plan.yaml").read_text(encoding="utf-8")


def problems(*edits):
    """Return the problems of plan.yaml with (old, new) edits, as (key, found, expected)."""
    text = TEXT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    plan, found = judge(RolloutPlan, parse_document(text, file="params/plan.yaml"))
    assert (plan is None) == bool(found)
    return [(problem.key, problem.found, problem.expected) for problem in found]


def test_the_plan_loads_with_its_numbers():
    """The shipped plan is valid, and its numbers are where the drill's gates look for them."""
    plan = load_plan(ROOT)
    assert plan.rollback.database_corruption.rto_below_minutes == 60
    assert plan.rollback.database_corruption.rpo_below_minutes == 5
    assert [phase.percent for phase in plan.canary.phases] == [5, 25, 50, 100]


def test_the_plan_can_be_recorded():
    """The plan fits the journal, so that its digest can stand in a run's first line."""
    plan = load_plan(ROOT)
    assert decode(encode(plan)) == plan


@pytest.mark.parametrize(
    ("old", "new", "key", "found", "expected"),
    [
        (
            "total_usd_per_month: 106",
            "total_usd_per_month: 107",
            "costs.total_usd_per_month",
            "107",
            "106, the sum",
        ),
        (
            "cost_usd_per_month: 56",
            "cost_usd_per_month: 57",
            "costs.groups[0].cost_usd_per_month",
            "57",
            "56, the sum",
        ),
        ("services: [Datadog", "services: [Datdog", "costs.groups[0].services[0]", "`Datdog`", "Datadog"),
        ("service: Vercel", "service: Cloudflare", "costs.lines[2].service", "a second time", "once"),
        (
            "warning_usd_per_month: 120",
            "warning_usd_per_month: 90",
            "costs.warning_usd_per_month",
            "90",
            "more than",
        ),
        (
            "      from_h: 8",
            "      from_h: 9",
            "canary.phases[2].from_h",
            "9",
            "8, where the phase before ends",
        ),
        ("from_h: 0", "from_h: 1", "canary.phases[0].from_h", "1", "0: the first phase"),
        ("percent: 25", "percent: 4", "canary.phases[1].percent", "4", "more than the 5"),
        (
            "percent: 100\n      from",
            "percent: 90\n      from",
            "canary.phases[3].percent",
            "90",
            "100 in the last",
        ),
        ("to_h: 4\n", "to_h: 0.0\n", "canary.phases[0].to_h", "0", "a number above 0, in hours"),
        ("{all_green_for_h: 24, ", "{", "canary.phases[3].gate", "no condition", "exactly one of"),
        (
            "warning_above_percent: 2",
            "warning_above_percent: 6",
            "slos.error_rate.critical_above_percent",
            "5",
            "6",
        ),
        (
            "critical_below_percent: 99.5",
            "critical_below_percent: 99.95",
            "slos.uptime.target_percent",
            "99.9",
            "99.95",
        ),
        (
            "warning_above_ms: 1000",
            "warning_above_ms: 400",
            "slos.p95_latency.warning_above_ms",
            "400",
            "500",
        ),
        ("    for_minutes: 10\n", "", "alerts[2].for_minutes", "nothing", "how many minutes"),
        ("    failures_in_a_row: 2\n", "", "alerts[1].name", "no condition", "exactly one of"),
        ("tell: [devops]", "tell: [devop]", "alerts[2].tell[0]", "`devop`", "devops"),
        ("name: service_down", "name: high_error_rate", "alerts[1].name", "a second time", "once"),
        (
            'closes_utc: "04:00"',
            'closes_utc: "01:00"',
            "schedule.windows[0].closes_utc",
            "01:00",
            "after 02:00",
        ),
        (
            'opens_utc: "02:00"',
            "opens_utc: 2",
            "schedule.windows[0].opens_utc",
            "2",
            "a time of day in quotes",
        ),
        (
            "last_day: 2, title: Inf",
            "last_day: 4, title: Inf",
            "schedule.stages[1].first_day",
            "day 3",
            "a day after",
        ),
        ("any_of: [tech_lead, cto]", "any_of: [tech_lead, ceo]", "approval.any_of[1]", "`ceo`", "cto"),
        (
            "signatures_at_least: 1",
            "signatures_at_least: 3",
            "approval.signatures_at_least",
            "3",
            "at most 2",
        ),
        ("owner: devops", "owner: nobody_known", "source.owner", "`nobody_known`", "one of: tech_lead"),
        (
            "to: [stakeholders]",
            "to: [shareholders]",
            "communication.messages[0].to[0]",
            "`shareholders`",
            "stakeholders",
        ),
        ("issues_by: incidents", "issues_by: incident", "communication.issues_by", "`incident`", "incidents"),
        (
            "authority_primary: null",
            "authority_primary: boss",
            "rollback.authority_primary",
            "`boss`",
            "one of",
        ),
        ("{name: cto, title", "{name: tech_lead, title", "roles[1].name", "a second time", "once"),
        (
            "name: ssl_certificates",
            "name: unit_tests",
            "readiness.infrastructure[1].name",
            "a second time",
            "once",
        ),
        ("ttl_lowered_s: 300", "ttl_lowered_s: 86400", "dns.ttl_lowered_s", "86400", "less than the 24 h"),
        (
            "rto_below_minutes: 10",
            "rto_below_minutes: 5",
            "rollback.dns_issues.rto_below_minutes",
            "5",
            "more than",
        ),
        ('"8.8.8.8"', '"dns.google"', "dns.resolvers[0]", '"dns.google"', "an IP address"),
    ],
)
def test_what_does_not_fit_together_is_named(old, new, key, found, expected):
    """A misfit is reported at the key to change, with what was found and what would be right."""
    matching = [row for row in problems((old, new)) if row[0] == key]
    assert matching
    assert found in matching[0][1]
    assert expected in matching[0][2]


def test_every_problem_is_reported_at_once_in_the_order_of_the_file():
    """Errors of several kinds in several sections come in one report, and none hides another."""
    found = problems(
        ("stamped_on: 2026-02-20", "stamped_on: 2026-02-31"),
        ("primary: devops", "primary: devop"),
        ("percent: 25", "percnt: 25"),
        ("otherwise: hold", "otherwise: wait"),
        ("  staging_days: 7\n", ""),
        ("rollbacks_at_most: 0", "rollbacks_at_most: yes"),
        ("status_every_h: 4", 'status_every_h: "4"'),
    )
    share = "a number above 0 and at most 100, in percent (share of the traffic on the new release)"
    assert found == [
        ("source.stamped_on", '"2026-02-31"', "a date such as 2026-01-31"),
        (
            "on_call.primary",
            "`devop`, which is not defined",
            "devops (one of: tech_lead, cto, devops, backend, team, stakeholders, users)",
        ),
        ("canary.phases[1].percent", "no such key", f"`percent`: {share}"),
        ("canary.phases[1].percnt", "an unknown key `percnt`", "`percent`"),
        ("canary.phases[2].gate.otherwise", '"wait"', "one of: rollback, hold"),
        (
            "success.staging_days",
            "no such key",
            "`staging_days`: a whole number of at least 1, in days (for how long they pass)",
        ),
        ("success.rollbacks_at_most", "yes, which YAML reads as true", "a whole number of at least 0"),
        ("communication.status_every_h", '"4"', "a number above 0, in hours"),
    ]


def test_a_problem_names_file_and_line():
    """A problem points at the line of its key; a missing key at the line of what it is missing from."""
    plan, found = judge(
        RolloutPlan, parse_document("source:\n  title: x\nservic: {}\n", file="params/plan.yaml")
    )
    places = {problem.key: problem.file for problem in found}
    assert plan is None
    assert places["servic"] == "params/plan.yaml:3"
    assert places["source.version"] == "params/plan.yaml:1"
    assert places["slos"] == "params/plan.yaml:1"


def test_no_message_speaks_pydantic():
    """Whatever is wrong is said in plain words: no type names of Python, no jargon of the validator."""
    broken = "\n".join(f"{name}: [5]" for name in RolloutPlan.model_fields)
    _, found = judge(RolloutPlan, parse_document(broken, file="x"))
    text = "\n".join(map(str, found)).lower()
    assert len(found) >= len(RolloutPlan.model_fields)
    jargon = ("input", "instance", "pydantic", "str ", "int ", "tuple", "nonetype", "basemodel")
    assert [word for word in jargon if word in text] == []


def test_params_error_lists_all(tmp_path):
    """Loading raises ParamsError, which holds the problems and shows every one of them."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params/plan.yaml").write_text("slo: 1\nnotes: 2\n", encoding="utf-8")
    with pytest.raises(ParamsError) as caught:
        load_plan(tmp_path)
    assert caught.value.exit_code == 2
    assert len(caught.value.problems) == len(RolloutPlan.model_fields) + 1
    assert "params/plan.yaml:1: slo: found an unknown key `slo`; right would be `slos`" in str(caught.value)
