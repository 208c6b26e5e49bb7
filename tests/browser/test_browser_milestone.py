"""The post-deployment report in a real browser: silent, accessible, phone, dark, on paper and as a PDF."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page

from runbook.charts import milestone as charts
from runbook.charts import trends
from runbook.charts.display import bundle
from runbook.errors import InputError, ProgramFailed, UnknownName
from runbook.milestone.drills import PastDrill, PastDrills
from runbook.milestone.judging import scorecard
from runbook.report import write_report
from runbook.report.printing import pdf_of, print_report
from tests.browser.conftest import find_browser
from tests.milestones import (
    DEPLOYED,
    PLAN,
    charge,
    costing,
    gathered,
    incident,
    kept,
    period,
    service,
    sources,
)
from tests.run_samples import summary, write_run
from tests.sample_notebooks import code_cell, notebook, prose_cell, shown

Open = Callable[..., Page]
KINDS = ("good", "bad")


def cell(value: object) -> dict[str, object]:
    """Return a cell that ends on a value, as the runbook's cells do."""
    return code_cell("value", shown({"text/html": value._repr_html_(), "text/plain": repr(value)}))  # type: ignore[attr-defined]


def chart(figure: object) -> dict[str, object]:
    return code_cell("chart", shown(*bundle(figure)))  # type: ignore[arg-type]


def report_of(folder: Path, *, good: bool) -> Path:
    """Write a report with every table and chart of the runbook, of a good rollout or of one in trouble."""
    made = sources()
    if not good:
        prices = {one.service: one.cost_usd_per_month for one in PLAN.costs.lines} | {"Sentry": None}
        tampered = kept(
            "restore drill", "db_restore_drill-x", problems=("summary.json: changed",), numbers={}
        )
        made = sources(
            gathered=gathered(drill=tampered, deployed_at=None),
            service=service(each=lambda number: {"down_min": 30, "silent_min": 100, "p95_ms": 700 + number}),
            costing=costing([*(charge(*one) for one in prices.items()), charge("Vercel", 300.0)]),
            period=period(DEPLOYED, DEPLOYED),
        )
        made = made.model_copy(update={"calls": made.calls.model_copy(update={"incidents": (incident(),)})})
    card = scorecard(PLAN, made)
    past = PastDrills(
        drills=tuple(
            PastDrill(run_id=f"d{n}", at=DEPLOYED, status="done", rto_s=4.0 + n, rpo_s=0.0) for n in range(5)
        ),
        doubtful=() if good else ("d9",),
        left_out=0,
        rto_limit_s=3600,
        rpo_limit_s=300,
    )
    month = made.costing.latest
    book = notebook(
        prose_cell("# Post-deployment report"),
        cell(made.gathered),
        chart(charts.timeline(made.gathered.timeline())),
        cell(past),
        chart(trends.drill_trend(past.drills, rto_limit_s=3600, rpo_limit_s=300)),
        cell(made.service),
        chart(charts.burn_down(made.service.days, allowed_min=43.2)),
        chart(trends.latency_by_day(made.service.days, p95_limit_ms=500, database_limit_ms=100)),
        cell(made.calls),
        cell(made.backups),
        cell(made.costing),
        chart(
            trends.cost_bars(
                month.services, planned_usd=month.planned_usd, limit_usd=116.6, alerts_usd=(120, 150)
            )
        ),
        cell(card),
        chart(charts.scorecard(card.criteria)),
        cell(card.of("technical")),
        cell(card.of("business")),
        cell(card.of("operational")),
    )
    account = summary("done" if good else "no-go", runbook="post_deployment_report", run_id=folder.name)
    return write_report(write_run(folder, account=account, book=book))


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    outputs = tmp_path_factory.mktemp("outputs")
    return {kind: report_of(outputs / kind, good=kind == "good") for kind in KINDS}


@pytest.fixture
def opened(browser: Browser, reports: dict[str, Path]) -> Iterator[Open]:
    """Open a report; at the end there was no request to anywhere, no message and no error."""
    contexts, complaints = [], []

    def open_page(kind: str, *, scheme: str = "light", width: int = 1280) -> Page:
        address = reports[kind].as_uri()
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: complaints.append(request.url) if request.url != address else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [one for one in complaints if not one.startswith("data:")] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360)]
)
def test_it_is_accessible_and_silent_in_both_schemes_wide_and_narrow(
    opened: Open, kind: str, scheme: str, width: int
) -> None:
    """axe finds nothing; the page is no wider than the screen; six charts, each one image with its words."""
    page = opened(kind, scheme=scheme, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    names = page.locator("figure > svg[role=img]").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert len(names) == 6
    assert all(name.endswith(".") for name in names)
    page.evaluate(Path(AXE_FILE_PATH).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document).then(result => result.violations)")
    told = [(rule["id"], node["target"], node["failureSummary"]) for rule in found for node in rule["nodes"]]
    assert told == [], json.dumps(told[:5], indent=1)


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_words_of_a_chart_cover_each_other(opened: Open, kind: str) -> None:
    """As the browser lays them out in its own font, and none leaves its chart."""
    page = opened(kind)
    overlaps = page.locator("figure > svg[role=img]").evaluate_all(
        """all => all.flatMap(svg => {
            const frame = svg.getBoundingClientRect();
            const texts = [...svg.querySelectorAll('text')];
            const boxes = texts.map(t => [t.textContent, t.getBoundingClientRect()]);
            const found = boxes.filter(([, b]) => b.left < frame.left - 1 || b.right > frame.right + 1);
            const pairs = boxes.flatMap(([s, a], n) => boxes.slice(n + 1).filter(([, b]) =>
                a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3)
                .map(([t]) => `${s} / ${t}`));
            return [...found.map(([s]) => `leaves: ${s}`), ...pairs];
        })"""
    )
    assert overlaps == []


def test_on_paper_there_is_a_place_to_sign_and_no_code(opened: Open) -> None:
    """Every criterion that needs a person has its line, unfolded, and charts are not cut between pages."""
    page = opened("good", scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    lines = page.locator("td", has_text="________________")
    assert lines.count() == len(scorecard(PLAN, sources()).to_sign)
    for place in range(lines.count()):
        assert lines.nth(place).bounding_box()["height"] > 5  # type: ignore[index]
    assert page.locator(".code").first.is_hidden()
    assert page.evaluate("getComputedStyle(document.querySelector('figure')).breakInside") == "avoid"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_the_pdf_lies_beside_the_run_and_nothing_is_added_to_it(
    reports: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Printed by the program that people use; the run's folder is as it was."""
    if (program := find_browser()) is None:
        pytest.skip("NOT TESTED: no chromium")
    monkeypatch.setenv("RUNBOOK_BROWSER", program)
    folder = reports["good"].parent
    before = sorted(folder.rglob("*"))
    made = print_report(folder)
    assert made == pdf_of(folder) == folder.parent / "good.pdf"
    assert made.read_bytes().startswith(b"%PDF")
    assert made.stat().st_size > 50_000
    assert sorted(folder.rglob("*")) == before


def test_without_chromium_it_says_so(reports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """No PDF, no half one, and the sentence says what to do."""
    folder = reports["bad"].parent
    monkeypatch.delenv("RUNBOOK_BROWSER", raising=False)
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(InputError, match="no chromium on this machine"):
        print_report(folder)
    monkeypatch.setenv("RUNBOOK_BROWSER", "/bin/false")
    with pytest.raises(ProgramFailed, match="chromium"):
        print_report(folder)
    assert not pdf_of(folder).exists()


def test_a_run_without_a_report_is_not_printed(tmp_path: Path) -> None:
    """It names the command that writes one."""
    with pytest.raises(UnknownName, match="runbook seal"):
        print_report(tmp_path)
