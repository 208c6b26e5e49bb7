"""The index filters in a real browser: by keyboard, by a shared link, and not at all without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Browser, Page

from runbook.report import write_index
from tests.rollout_samples import rollouts
from tests.run_samples import summary, write_run

NEWEST = datetime(2026, 3, 2, 2, tzinfo=UTC)
Open = Callable[..., Page]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An index over 300 drills, each seventh failed, and one real run that waits for a signature."""
    outputs = tmp_path_factory.mktemp("filtered")
    for number in range(300):
        status = "failed" if number % 7 == 3 else "done"
        account = summary(status, began_at=NEWEST - timedelta(hours=number), opened_by=f"person{number}")
        write_run(outputs / f"run-{number:03}", account=account, book=None)
    waits = rollouts()["waits for a signature"]
    write_run(outputs / waits.run_id, account=waits, book=None)
    return write_index(outputs).as_uri()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Open]:
    """Open the index at a fragment; at the end there was no message and no request but for the page."""
    contexts, complaints = [], []

    def open_page(
        fragment: str = "", *, width: int = 1280, script: bool = True, scheme: str = "light"
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, java_script_enabled=script, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda request: complaints.append(request.url) if request.url[:4] == "http" else None
        )
        page.goto(f"{address}#{fragment}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def rows(page: Page) -> list[str]:
    """Return the words of the rows that are not filtered away, folded or not."""
    found: list[str] = page.locator("tr[data-t]:not([hidden])").evaluate_all(
        "all => all.map(r => r.textContent)"
    )
    return found


def test_a_shared_link_shows_what_its_sender_saw(opened: Open) -> None:
    """What stands behind # is looked for when the page opens, the fields say so, and the number is told."""
    page = opened("runbook=db_restore_drill&outcome=Failed&from=2026-02-28")
    found = rows(page)
    assert found
    assert all("Failed" in words and "db_restore_drill" in words for words in found)
    assert page.locator("#said").inner_text() == f"{len(found)} of 301 runs"
    assert page.locator("[name=outcome]").input_value() == "Failed"
    assert page.locator("[name=from]").input_value() == "2026-02-28"
    days = page.locator("tbody:not([hidden]) .day").evaluate_all("all => all.map(r => r.textContent.trim())")
    assert days
    assert min(days) >= "2026-02-28"


def test_what_is_typed_stands_in_the_address(opened: Open) -> None:
    """So that the address can be sent; typing makes no history to go back through."""
    page = opened()
    before = page.evaluate("history.length")
    page.locator("[name=words]").press_sequentially("person12 ")
    assert page.evaluate("location.hash") == "#words=person12"
    assert len(rows(page)) == 11  # person12 and person120 to person129
    page.locator("[name=environment]").select_option("production")
    assert page.evaluate("location.hash") == "#environment=production&words=person12"
    assert rows(page) == []
    assert page.locator("#said").inner_text() == "0 of 301 runs"
    assert page.evaluate("history.length") == before


def test_the_filter_is_reached_and_cleared_by_keyboard(opened: Open) -> None:
    """Tab goes through its fields in their order; its button shows all again, folded as before."""
    page = opened("outcome=Failed")
    page.locator("[name=runbook]").focus()
    names = []
    for _ in range(16):  # a date has fields of its own
        names.append(page.evaluate("document.activeElement.name || document.activeElement.type"))
        if names[-1] == "reset":
            break
        page.keyboard.press("Tab")
    assert list(dict.fromkeys(names)) == ["runbook", "environment", "outcome", "from", "to", "words", "reset"]
    page.keyboard.press("Enter")
    assert len(rows(page)) == 301
    assert page.locator("#said").inner_text() == ""
    assert page.locator("details.part[open]").count() == 0


def test_old_runs_that_fit_are_unfolded(opened: Open) -> None:
    """A match in a folded part is in sight; parts without one are gone."""
    page = opened("words=person299")
    (row,) = rows(page)
    assert "person299" in row
    assert page.locator("tr[data-t]:not([hidden])").is_visible()
    assert page.locator("details.part:not([hidden]) .found").inner_text() == "1 found"


def test_those_that_need_a_person_are_found(opened: Open) -> None:
    """Whatever their state is called."""
    page = opened("outcome=needs+a+person")
    (row,) = rows(page)
    assert "tech lead or cto" in row


def test_a_runbooks_trend_leads_to_its_runs(opened: Open) -> None:
    """The name of a trend is a link to the filter, and the address changes with it."""
    page = opened()
    page.locator(".trends a", has_text="dns_migration").click()
    assert page.evaluate("location.hash") == "#runbook=dns_migration&environment=production"
    assert len(rows(page)) == 1


def test_a_hostile_link_is_text(opened: Open) -> None:
    """What stands in the address is compared and shown, never read as markup."""
    page = opened("runbook=%3Cimg%20src%3Dx%20onerror%3D%22window.broken%3D1%22%3E&words=%3Cscript%3E")
    assert rows(page) == []
    assert page.locator("#filter img").count() == 0
    assert page.evaluate("window.broken") is None


def test_without_script_every_run_is_there_and_no_dead_filter(opened: Open) -> None:
    """The page is whole without it, and shows no field that does nothing."""
    page = opened("outcome=Failed", script=False)
    assert page.locator("#filter").is_hidden()
    assert page.locator("tr[data-t]").count() == 301
    assert page.locator("tr[data-t]").first.is_visible()
    assert page.locator(".trends a").count() == 0


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 360)])
def test_a_filtered_index_is_accessible_and_fits(opened: Open, scheme: str, width: int) -> None:
    """axe finds nothing, and a phone does not scroll sideways."""
    page = opened("outcome=Failed", scheme=scheme, width=width)
    page.evaluate(Path(AXE_FILE_PATH).read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document).then(result => result.violations)")
    assert [(rule["id"], node["target"]) for rule in found for node in rule["nodes"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_paper_says_that_it_shows_a_part(opened: Open) -> None:
    """Of a filtered list the number found is printed, its fields are not."""
    page = opened("outcome=Failed")
    page.emulate_media(media="print")
    assert page.locator("#said").is_visible()
    assert page.locator("[name=words]").is_hidden()
