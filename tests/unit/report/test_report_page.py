"""report.html: the verdict first, nothing from outside, and never better than the record."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import pytest

from runbook.errors import UnknownName
from runbook.report import view, write_charts, write_report
from runbook.summary import ApprovalLine, ChangeLine, CheckLine, Number, RunStatus, StepLine
from runbook.values import Check, Checks, Phase
from tests.rollout_samples import rollouts
from tests.run_samples import BEGAN, checks, summary, write_run, write_samples
from tests.sample_notebooks import code_cell, drill_notebook, notebook, prose_cell, shown, stream

HOSTILE = (
    "</title></style><script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "שלום \u202egnp.exe\u202c عربى",
    "w" * 5000,
    "👩‍🚀🏳️‍🌈",
    "a\x00b\x1b[31mc\ud800",
    "-->]]>\n\n<!--",
)


class Page(HTMLParser):
    """A page read back: its tags with attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        self.text = re.sub(r"\s+", " ", self.text.replace("\N{NO-BREAK SPACE}", " "))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def page(folder: Path, account: Any = None, book: Any = None) -> Page:
    return Page(write_report(write_run(folder, account=account, book=book)).read_text(encoding="utf-8"))


def styled(html: Page) -> str:
    """Return the tone in which the head of the page is shown."""
    return next(str(attrs["class"]) for tag, attrs in html.tags if tag == "header").removeprefix("mast ")


def test_the_sections_stand_in_their_order(tmp_path: Path) -> None:
    """Verdict, facts, numbers, charts, checks, steps, versions, narrative: the order a reviewer reads in."""
    account = summary()
    text = page(tmp_path, account, drill_notebook(table())).text
    marks = [
        account.verdict,
        account.run_id,
        "0.12 % of 1 h",
        "RTO 4.2 s of 1 h allowed",
        "observed",
        "copies destroyed",
        "PostgreSQL 16.14",
        "Restore drill of the database",
        "SHA-256",
    ]
    body = text[text.index("db_restore_drill · sandbox") :]
    places = [body.lower().index(mark.lower()) for mark in marks]
    assert places == sorted(places)


def table() -> Checks:
    return Checks(items=tuple(checks()))


def test_nothing_in_it_comes_from_outside(tmp_path: Path) -> None:
    """One file: no script, no address, no loaded file; the policy in its head forbids the rest."""
    html = page(tmp_path, summary(), drill_notebook(table()))
    tags = [tag for tag, _ in html.tags]
    assert not {"script", "iframe", "object", "embed", "base", "form"} & set(tags)
    for _, attrs in html.tags:
        for name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert str(attrs.get(name, "#")).startswith(("#", "data:"))
        assert not [name for name in attrs if name.startswith("on")]
    policies = [attrs["content"] for tag, attrs in html.tags if tag == "meta" and "http-equiv" in attrs]
    assert str(policies[0]).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    style = (tmp_path / "report.html").read_text(encoding="utf-8").partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_in_its_place(tmp_path: Path, hostile: str) -> None:
    """Whatever a field holds, the page has the same tags as with harmless text, and shows the text."""

    def made(text: str) -> Page:
        safe = text.encode("utf-8", "replace").decode()  # a summary cannot hold half a character
        step = StepLine(
            verb=safe,
            title=safe,
            status="failed",
            began_at=BEGAN,
            seconds=1,
            message=safe,
            phases=(Phase(name=safe, seconds=1),),
        )
        account = summary(
            "no-go",
            **dict.fromkeys(("run_id", "runbook", "environment", "verdict", "opened_by"), safe),
            reasons=(safe,),
            approvals=tuple(
                ApprovalLine(
                    step=safe,
                    says=safe,
                    request_digest=safe,
                    expires_at=BEGAN,
                    break_glass=safe,
                    review=safe if reviewed else "",
                )
                for reviewed in (True, False)
            ),
            changes=tuple(
                ChangeLine(
                    step=safe,
                    number=number,
                    sentence=safe,
                    resource=safe,
                    status="begun",
                    at=BEGAN,
                    remark=safe,
                )
                for number in range(20)
            ),
            waits_for=(safe,),
            taken_up_by=(safe, "b"),
            predecessor=safe,
            lost_lines=1,
            edits=1,
            params={safe: [safe]},
            versions={safe: safe},
            numbers={"a": Number(title=safe, value=1, unit=safe, limit=2)},
            steps=(step,),
            times=(Phase(name=safe, seconds=1),),
            checks=(CheckLine(step=safe, **dict(Check.of(safe, holds=False, observed=safe, expected=safe))),),
        )
        book = notebook(
            code_cell(
                text, stream(text), shown({"text/plain": text}), {"output_type": "error", "ename": text}
            ),
        )
        return page(tmp_path, account, book)

    harmless, page_ = made("x"), made(hostile)
    expected = [tag for tag, _ in harmless.tags if tag not in {"span", "details", "summary"}]
    assert [tag for tag, _ in page_.tags if tag not in {"span", "details", "summary"}] == expected
    assert "\u202e" not in page_.text
    assert "\x00" not in page_.text


@pytest.mark.parametrize("status", get_args(RunStatus))
def test_every_state_has_a_word_a_sign_and_a_tone(tmp_path: Path, status: RunStatus) -> None:
    """Colour never stands alone, and only a run that is done looks good."""
    html = page(tmp_path, summary(status))
    assert (styled(html) == "good") == (status == "done")
    look = view.RUNS[status]
    assert look.word in html.text
    assert ("use", {"href": f"#i-{look.sign}"}) in html.tags
    assert ("symbol", {"id": f"i-{look.sign}", "viewbox": "0 0 16 16"}) in html.tags


def test_a_planned_run_does_not_look_done(tmp_path: Path) -> None:
    """Nothing was changed: the page says planned, not done."""
    html = page(tmp_path, summary(mode="plan"))
    assert styled(html) == "busy"
    assert "Planned only" in html.text
    assert "plan: nothing was changed" in html.text


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exit_code": 3}, "yet its exit code is 3"),
        ({"checks": summary("no-go").checks}, "yet 2 checks failed"),
        (
            {"steps": summary("failed").steps},
            "yet a step did not end well: “restore to just before the damage”",
        ),
        ({"steps": summary("running").steps}, "yet a step did not end well"),
        ({"steps": rollouts()["waits for a time"].steps}, "did not end well: “old TTLs have run out”"),
        ({"changes": rollouts()["in doubt"].changes}, "yet a change is in doubt: “set omnihub.dev NS"),
        ({"changes": rollouts()["not undone"].changes}, "yet a change is in doubt"),
    ],
)
def test_a_summary_at_odds_with_itself_is_shown_at_its_worst(tmp_path: Path, changes: Any, said: str) -> None:
    """`done` beside a failure is a contradiction, and is never green."""
    html = page(tmp_path, summary(**changes))
    assert styled(html) == "bad"
    assert "Contradictory record" in html.text
    assert said in html.text


def test_a_folder_with_nothing_in_it_gets_an_honest_report(tmp_path: Path) -> None:
    """No summary, no notebook: unknown, with the gaps named."""
    html = page(tmp_path)
    assert styled(html) == "unknown"
    for words in ("No verdict is on record.", "summary.json is not there", "notebook.ipynb is not there"):
        assert words in html.text
    assert "none could be read" in html.text


def test_a_running_run_says_that_it_had_not_ended(tmp_path: Path) -> None:
    """What is shown of a running run is how far it had come."""
    text = page(tmp_path, summary("running"), drill_notebook(table(), status="running")).text
    assert "The run had not ended when this was written" in text
    assert "Ended not ended" in text
    assert "Took not known" in text
    assert "4 of the notebook’s 12 cells did not run" in text
    assert "No number is on record" in text


def test_a_number_not_measured_never_looks_good() -> None:
    """A missing value is not within its limit; a value at its limit is over it."""
    missing, at, within = view.tiles(
        [Number(title="RTO", value=value, unit="s", limit=60) for value in (None, 60.0, 59.0)]
    )
    assert (missing.look.tone, missing.value, missing.percent) == ("wait", "not measured", 0)
    assert (at.look.tone, at.percent) == ("bad", 100)
    assert (within.look.tone, within.limit.replace("\N{NO-BREAK SPACE}", " ")) == ("good", "98 % of 1 min")


def test_a_limit_of_zero_has_no_share() -> None:
    """Where nothing is allowed, anything is over and nothing divides by zero."""
    (tile,) = view.tiles([Number(title="lost", value=0, unit="rows", limit=0)])
    assert (tile.look.tone, tile.limit.replace("\N{NO-BREAK SPACE}", " ")) == ("bad", "limit 0 rows")


def lines(count: int, *, failed: int, step: str = "s") -> list[CheckLine]:
    return [
        CheckLine(step=step, **dict(Check.of(f"c{n}", holds=n >= failed, observed=n, expected=n)))
        for n in reversed(range(count))
    ]


def test_failures_come_first_and_stay_in_sight() -> None:
    """A step with failures goes before the others, its failures before its passes, however long the table."""
    found = view.check_groups([*lines(40, failed=0, step="early"), *lines(40, failed=20, step="late")])
    assert [group.step for group in found] == ["late", "early"]
    assert {line.status for line in found[0].open} == {"failed"}
    assert (len(found[0].open), len(found[0].folded)) == (20, 20)
    assert (len(found[1].open), len(found[1].folded)) == (12, 28)
    assert found[0].tally == "20 failed, 20 passed"


def test_short_tables_are_not_folded() -> None:
    """Folding three rows away saves nobody anything."""
    (group,) = view.check_groups(lines(15, failed=0))
    assert (len(group.open), group.folded) == (15, ())


def test_a_hundred_thousand_checks_are_counted_and_not_all_written(tmp_path: Path) -> None:
    """The page stays small; the count is whole, and what is left out is said."""
    html = page(tmp_path, summary("no-go", checks=tuple(lines(100_000, failed=700))))
    assert "700 failed, 99,300 passed" in html.text
    assert "And 99,500 more checks in summary.json" in html.text
    assert (tmp_path / "report.html").stat().st_size < 400_000


def test_time_nobody_accounts_for_is_shown() -> None:
    """The bars of time add up to the wall time, or a bar says what is missing."""
    bars = view.time_bars((Phase(name="a", seconds=6), Phase(name="b", seconds=2)), 10.0)
    assert [(bar.name, bar.percent) for bar in bars] == [("a", 60), ("b", 20), ("not accounted for", 20)]
    assert view.time_bars((), 10.0) == []
    assert [bar.name for bar in view.time_bars((Phase(name="a", seconds=6),), None)] == ["a"]
    waited = view.time_bars((Phase(name="a", seconds=6),), 10.0, waited=True)
    assert waited[-1].name == "parked, or between its processes"


def test_steps_tell_attempts_messages_and_phases(tmp_path: Path) -> None:
    """A second attempt, the words of a failure and the phases of a step are in its row."""
    text = page(tmp_path, summary("failed")).text
    assert "workload and damage attempt 2" in text
    assert "initdb 800 ms · seed 5.2 s · base backup 700 ms" in text
    assert "could not start server" in text


def test_every_toggle_has_its_label(tmp_path: Path) -> None:
    """One box for all code and one for each cell, each named for who cannot see it."""
    html = page(tmp_path, summary(), notebook(code_cell("a"), prose_cell("p"), code_cell("b")))
    boxes = [attrs["id"] for tag, attrs in html.tags if tag == "input"]
    labels = [attrs["for"] for tag, attrs in html.tags if tag == "label"]
    assert boxes == labels == ["all-code", "code-1", "code-3"]
    assert "code of cell 3" in html.text


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """The report holds no time of its own: written again from the same files it is the same."""
    folder = write_run(tmp_path, account=summary(), book=drill_notebook(table()))
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first
    assert sorted(path.name for path in folder.iterdir()) == ["notebook.ipynb", "report.html", "summary.json"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A wrong name is the caller's mistake, not a run without files."""
    for write in (write_report, write_charts):
        with pytest.raises(UnknownName, match="no folder of a run"):
            write(tmp_path / "nowhere")


def test_charts_are_written_out_and_old_ones_go(tmp_path: Path) -> None:
    """charts/ mirrors the notebook: numbered, named, and nothing of an earlier state; other files stay."""
    folder = write_run(tmp_path, account=summary(), book=drill_notebook(table()))
    (folder / "charts").mkdir()
    for name in ("07-old.svg", "mine.svg"):
        (folder / "charts" / name).write_text("x")
    written = write_charts(folder)
    assert [path.name for path in written] == ["01-rto-by-phase.svg", "02-workload-around-the-damage.svg"]
    assert sorted(path.name for path in (folder / "charts").iterdir()) == [p.name for p in written] + [
        "mine.svg"
    ]
    assert written[0].read_text(encoding="utf-8").startswith("<svg ")
    assert write_charts(tmp_path / "charts") == ()


def test_a_run_without_charts_leaves_no_empty_folder(tmp_path: Path) -> None:
    """charts/ appears with the first chart."""
    assert write_charts(write_run(tmp_path, account=summary(), book=notebook(code_cell("a")))) == ()
    assert not (tmp_path / "charts").exists()


def test_the_samples_cover_every_state(tmp_path: Path) -> None:
    """What is looked at by eye is what the tests hold."""
    for folder in write_samples(tmp_path).values():
        assert write_report(folder).stat().st_size > 10_000
    assert BEGAN + timedelta(0) == summary().opened_at
