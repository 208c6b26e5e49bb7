"""Against the report before: better, worse, new; one that cannot be relied on counts against this one."""

from dataclasses import dataclass
from types import SimpleNamespace

from runbook.errors import StepFailed, UnknownName
from runbook.milestone.comparing import CRITERIA, RUNBOOK, as_criterion, compare
from runbook.milestone.concluding import conclude, nothing_missed
from runbook.milestone.judging import scorecard
from runbook.milestone.order import Order
from runbook.step import Earlier, Sighting, Step
from runbook.values import Checks
from tests.milestones import DEPLOYED, PLAN, at, gathered, service, sources


@dataclass
class Shelf:
    """Reports as a step reads them: by name, with what is wrong with each."""

    reports: dict

    def earlier(self, run_id):
        if run_id not in self.reports:
            raise UnknownName(f"there is no run {run_id!r}")
        card, problems = self.reports[run_id]

        def result(title):
            if title != CRITERIA or card is None:
                raise StepFailed("no result")
            return card

        about = SimpleNamespace(runbook=RUNBOOK, mode="plan", status="no-go", numbers={})
        return Earlier(summary=about, problems=problems, result=result)

    def step(self):
        names = [Sighting(one, RUNBOOK, "sandbox", at(12, 7)) for one in self.reports]
        return Step(
            earlier=self.earlier,
            runs=lambda: tuple(names),
            environment=lambda: SimpleNamespace(name="sandbox"),
            rollout=lambda: PLAN,
            run_id="now",
        )


def order(report_before="", milestone="T+1 week"):
    return Order(
        milestone=milestone,
        drill="",
        preconfiguration="",
        migration="",
        canary="",
        report_before=report_before,
    )


def card(milestone="T+24 h", **changes):
    return scorecard(PLAN, sources(**changes)).model_copy(update={"milestone": milestone})


def test_each_criterion_is_better_worse_or_the_same():
    """Errors rose over the limit: worse, with the change of the number; nothing else moved."""
    bad = card("T+1 week", service=service(requests=4e6, errors=8e4))
    found = compare(Shelf({"r1": (card(), ())}).step(), order("r1"), bad)
    assert [one.title for one in found.worse] == ["error rate"]
    (rose,) = found.worse
    assert (rose.before, rose.now, rose.change()) == ("met", "not met", "+1.8 %")
    assert found.in_words() == "against T+24 h: 0 better, 1 worse"
    assert list(as_criterion(found)) == []


def test_a_report_that_cannot_be_relied_on_is_named_and_counts_against():
    """Tampered with, missing or about nothing: nothing is compared, and the check does not hold."""
    for reports in ({"r1": (card(), ("unsigned",))}, {}, {"r1": (None, ())}):
        found = compare(Shelf(reports).step(), order("r1"), card("T+1 week"))
        assert found.moved == ()
        assert "r1" in found.problems[0]
        checks = Checks(items=tuple(nothing_missed(Step(), card("T+1 week"), found)))
        assert [one.title for one in checks.failed] == ["the report before"]


def test_a_report_about_another_rollout_is_not_compared_with():
    """Another deployment's end: its numbers are not this rollout's."""
    other = card(gathered=gathered(deployed_at=at(11, 1)))
    found = compare(Shelf({"r1": (other, ())}).step(), order("r1"), card("T+1 week"))
    assert "another rollout" in found.problems[0]


def test_the_newest_earlier_milestone_of_this_rollout_is_found():
    """Not a later milestone, not another rollout, not one that is in doubt."""
    reports = {
        "later": (card("T+1 month"), ()),
        "other": (card(gathered=gathered(deployed_at=at(11, 1))), ()),
        "doubtful": (card(), ("unsigned",)),
        "right": (card(), ()),
    }
    assert compare(Shelf(reports).step(), order(), card("T+1 week")).run_id == "right"
    assert compare(Shelf(reports).step(), order(milestone="T+24 h"), card()).run_id == ""


def test_a_first_report_has_nothing_before_it():
    """That is no fault."""
    found = compare(Shelf({}).step(), order(), card())
    assert (found.problems, found.in_words()) == ((), "there is no report before this one")


def test_the_verdict_counts_and_names_what_is_to_sign():
    """In one sentence: how many of each; the lines that wait for a person are the run's open checks."""
    made, shelf = sources(), Shelf({})
    found = compare(shelf.step(), order(), card())
    said = conclude(shelf.step(), card(), found, made.service, made.calls, made.costing)
    assert said.verdict.startswith("T+24 h: 0 not met, 0 not known, ")
    checks = Checks(items=tuple(nothing_missed(Step(), card(), found)))
    assert [one.title for one in checks if one.status == "not checked"] == [
        one.title for one in card().to_sign
    ]
    assert said.numbers["down_min"].value == 0
    assert said.numbers["cost_usd"].value == 106.0
    assert card().deployed_at == DEPLOYED
