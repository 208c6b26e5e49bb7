"""Reports and the index in a real browser: for a reader, a phone, a keyboard, a printer, a screen reader."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page

KINDS = (
    *("done", "no-go", "failed", "running", "abandoned", "hostile", "empty", "index", "many", "rehearsal"),
    *("waits for a signature", "in doubt", "not undone", "stays in place", "broken glass"),
    "broken glass, reviewed",
)
Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, pages: dict[str, Path]) -> Iterator[Open]:
    """Open a page by its kind; at the end there was no request, no message and no error."""
    contexts, complaints = [], []

    def open_page(kind: str, *, scheme: str = "light", width: int = 1280) -> Page:
        address = pages[kind].as_uri()
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == address or request.url.startswith("data:")
                else complaints.append(f"request: {request.url}")
            ),
        )
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def open_everything(page: Page) -> None:
    """Unfold all there is to unfold."""
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    page.evaluate("document.querySelectorAll('input[type=checkbox]').forEach(box => box.checked = true)")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_opens_from_disk_in_silence(opened: Open, kind: str, scheme: str) -> None:
    """No request, no console message, no script but the index's own: the fixture fails on any."""
    page = opened(kind, scheme=scheme)
    assert page.locator("h1").count() == 1
    assert page.locator("script").count() == (kind in ("index", "many"))
    assert page.evaluate("window.broken") is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_a_page_is_accessible(opened: Open, kind: str, scheme: str, width: int) -> None:
    """axe finds no violation, folded and unfolded: names, roles, order of headings, contrast."""
    page = opened(kind, scheme=scheme, width=width)
    page.evaluate(Path(AXE_FILE_PATH).read_text(encoding="utf-8"))
    for unfold in (False, True):
        if unfold:
            open_everything(page)
        found = page.evaluate("axe.run(document).then(result => result.violations)")
        told = [
            (rule["id"], node["target"], node["failureSummary"]) for rule in found for node in rule["nodes"]
        ]
        assert told == [], json.dumps(told[:5], indent=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [320, 360, 768])
def test_a_phone_scrolls_down_only(opened: Open, kind: str, width: int) -> None:
    """The page is never wider than the screen, also with all code shown and all tables unfolded."""
    page = opened(kind, width=width)
    for unfold in (False, True):
        if unfold:
            open_everything(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_hostile_text_stays_where_it_belongs(opened: Open) -> None:
    """The browser's own reading of the page: its parts are ours alone, and nothing covers them."""
    page = opened("hostile")
    open_everything(page)
    assert page.evaluate("[...document.body.children].map(part => part.localName)") == [
        "svg",
        "header",
        "main",
        "footer",
    ]
    assert page.locator("main > :not(section)").count() == 0
    assert page.locator("main style, main script, main iframe, main [style*=position]").count() == 0
    assert page.locator("main [onclick], main [onerror], main img[src=x]").count() == 0
    assert page.locator("h1").is_visible()
    assert page.locator("footer").is_visible()
    assert page.evaluate("window.broken") is None


def test_code_is_hidden_until_asked_for_by_keyboard(opened: Open) -> None:
    """Tab reaches the toggle for all and those of the cells; the space bar shows and hides."""
    page = opened("done")
    code = page.locator(".code")
    total = code.count()
    assert total > 5
    assert not any(code.nth(place).is_visible() for place in range(total))
    tab_to(page, "all-code")
    page.keyboard.press("Space")
    assert all(code.nth(place).is_visible() for place in range(total))
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert str(page.evaluate("document.activeElement.id")).startswith("code-")
    page.keyboard.press("Space")
    assert [code.nth(place).is_visible() for place in range(total)].count(True) == 1


def tab_to(page: Page, wanted: str) -> None:
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == wanted:
            return
    pytest.fail(f"no Tab leads to {wanted}")


def test_focus_is_seen(opened: Open) -> None:
    """The toggle's box is unseen, so its label carries the outline."""
    page = opened("done")
    tab_to(page, "all-code")
    assert (
        page.evaluate("getComputedStyle(document.querySelector('label[for=all-code]')).outlineStyle")
        == "solid"
    )


def test_charts_follow_light_and_dark(opened: Open) -> None:
    """Ink and paper of the charts are those of the page, in both schemes."""
    seen = set()
    for scheme in ("light", "dark"):
        page = opened("done", scheme=scheme)
        ink, body, paper = page.evaluate(
            "[getComputedStyle(document.querySelector('figure text')).fill,"
            " getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert ink == body != paper
        seen.add(paper)
    assert len(seen) == 2


def test_every_chart_has_words_for_who_cannot_see_it(opened: Open) -> None:
    """A chart is one image with a sentence for a name."""
    page = opened("done")
    names = page.locator("figure > svg[role=img]").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert len(names) == 2
    assert all(name.endswith(".") and ("an RPO of" in name or "Recovery took" in name) for name in names)


def test_paper_shows_the_checks_and_no_code(opened: Open) -> None:
    """In print the ground is white whatever the screen was, folded checks are open, code is gone."""
    page = opened("done", scheme="dark")
    page.locator("label[for=all-code]").click()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".code").first.is_hidden()
    assert page.locator("label[for=all-code]").is_hidden()
    folded = page.locator("#checks details tr").last
    assert folded.evaluate("row => row.checkVisibility({contentVisibilityAuto: true})")
    assert folded.bounding_box()["height"] > 5  # type: ignore[index]
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_index_leads_to_the_reports(opened: Open, pages: dict[str, Path]) -> None:
    """A link opens the run's report from disk."""
    page = opened("index")
    target = page.locator("table a").first.evaluate("link => link.href")
    assert target in {path.as_uri() for path in pages.values()}


def test_broken_glass_is_louder_than_the_page(opened: Open) -> None:
    """The banner is a filled field of another colour than the page, in both schemes, also on paper."""
    for scheme in ("light", "dark"):
        page = opened("broken glass", scheme=scheme)
        banner = page.locator(".glass.open")
        assert banner.is_visible()
        ground = "[getComputedStyle(document.querySelector('.glass')).backgroundColor, "
        filled, paper = page.evaluate(ground + "getComputedStyle(document.body).backgroundColor]")
        assert filled != paper
        assert banner.bounding_box()["y"] < 600  # type: ignore[index]
        page.emulate_media(media="print")
        assert banner.evaluate("part => getComputedStyle(part).printColorAdjust") == "exact"


def test_what_to_type_is_reached_without_scrolling_far(opened: Open) -> None:
    """On a desk the first command of a run left in between is on the first screen."""
    page = opened("in doubt")
    command = page.locator(".commands code").first
    assert command.bounding_box()["y"] < 900  # type: ignore[index]
    assert command.inner_text().startswith("runbook resume dns_migration-production-")


def test_older_runs_unfold_by_keyboard_and_are_not_laid_out_before(opened: Open) -> None:
    """Only the newest part costs the browser anything; Tab and Enter open the next."""
    page = opened("many")
    parts = page.locator("details.part")
    assert parts.count() == 1
    assert not parts.first.locator("tr").last.is_visible()
    parts.first.locator("summary").focus()
    page.keyboard.press("Enter")
    assert parts.first.locator("tr").last.is_visible()


def test_paper_shows_all_runs(opened: Open) -> None:
    """What is folded on a screen is printed."""
    page = opened("many")
    page.emulate_media(media="print")
    row = page.locator("details.part").last.locator("tr").last
    assert row.evaluate("row => row.checkVisibility({contentVisibilityAuto: true})")
    assert row.bounding_box()["height"] > 5  # type: ignore[index]
