"""What a run did to the world, on whose word, and how it stands: in the report, loud where it must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runbook.report import standing
from runbook.summary import ChangeLine, Summary
from tests.rollout_samples import BEGAN, DIGEST, KEY, REASON, changes, rollouts
from tests.run_samples import summary
from tests.unit.report.test_report_page import Page, page, styled


def shown(folder: Path, kind: str, **more: Any) -> Page:
    return page(folder, rollouts()[kind].model_copy(update=more))


def section(html: Page, ident: str) -> bool:
    """Return whether the page has a part of this id or class."""
    return any(ident in (attrs.get("id"), *str(attrs.get("class")).split()) for _, attrs in html.tags)


def test_the_verdict_stays_first_and_effects_come_before_checks(tmp_path: Path) -> None:
    """Verdict, broken glass, facts, how it stands, changes, approvals, checks, steps, the record."""
    html = shown(tmp_path, "broken glass, reviewed", terminal=False, status="failed", exit_code=1)
    text = html.text[html.text.index("dns_migration · production") :]
    marks = [
        "omnihub.dev is served by Cloudflare",
        "Break glass: one person alone approved",
        "Opened by",
        "Where it stands",
        "Changes outside scratch",
        "project omnihub-web 2026-03-03",
        "Approvals",
        "Checks",
        "Steps",
        "The record",
    ]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_a_change_is_shown_with_what_when_and_how_it_stands(tmp_path: Path) -> None:
    """Each change outside scratch: sentence, resource, state, time of record, and why where it was stuck."""
    html = shown(tmp_path, "not undone")
    for words in (
        "Changes outside scratch 1 not undone, 1 undone",
        "undone lower the TTL of omnihub.dev NS to 300 s",
        "not undone set omnihub.dev NS to ada.ns.cloudflare.com, bob.ns.cloudflare.com the registrar answers",
        "zone omnihub.dev 2026-03-03 02:05:10",
    ):
        assert words in html.text


def test_a_drill_says_that_it_changed_nothing_outside_scratch(tmp_path: Path) -> None:
    """No table of nothing, but a fact in words."""
    html = page(tmp_path, summary())
    assert "Changes none outside scratch" in html.text
    assert not section(html, "changes")
    assert not section(html, "stands")


def test_a_change_under_way_is_in_doubt_only_once_nobody_is_at_it(tmp_path: Path) -> None:
    """The same line on record reads `under way` in a running run and `in doubt` in every other."""
    assert "under way set omnihub.dev NS" in shown(tmp_path, "in doubt", status="running").text
    assert "in doubt set omnihub.dev NS" in shown(tmp_path, "in doubt").text


def many(count: int, *odd: int) -> Summary:
    lines = [
        ChangeLine(
            step="a",
            number=n,
            sentence=f"c{n}",
            resource="z",
            at=BEGAN,
            status="begun" if n in odd else "applied",
        )
        for n in range(count)
    ]
    return summary("left in between", changes=tuple(lines))


def test_many_changes_fold_and_what_is_in_doubt_stays_in_sight() -> None:
    """Worst first where they are folded; in the order of the record where they are few; counted whole."""
    found = standing.change_table(many(700, 600, 3))
    assert found is not None
    assert [row.line.number for row in found.open[:3]] == [3, 600, 0]
    assert (len(found.open), len(found.folded), found.left_out) == (12, 488, 200)
    assert found.tally == "2 in doubt, 698 applied"
    few = standing.change_table(many(15, 7))
    assert few is not None
    assert [row.line.number for row in few.open] == list(range(15))
    doubtful = standing.change_table(many(40, *range(30)))
    assert doubtful is not None
    assert len(doubtful.open) == 30


def test_an_approval_says_who_until_when_and_what_was_signed(tmp_path: Path) -> None:
    """Signer, key, time, expiry, the digest in full, and the file that anyone can check it with."""
    text = shown(tmp_path, "waits for a time").text
    for words in (
        "Signed by tech lead ada@omnihub.dev at 2026-03-03 01:58:21 UTC with " + KEY,
        "To be used until 2026-03-04 01:52:10 UTC",
        f"evidence/approval-{DIGEST[:12]}.json , SHA-256 {DIGEST}",
    ):
        assert words in text
    assert "Break glass" not in text


def test_broken_glass_is_loud_until_it_was_reviewed(tmp_path: Path) -> None:
    """A banner with the reason below the verdict; that nobody reviewed it is said, with the command."""
    html = shown(tmp_path, "broken glass")
    banners = [attrs["class"] for tag, attrs in html.tags if tag == "div" and attrs.get("role") == "note"]
    assert banners == ["glass open"]
    assert f"Reason {REASON}" in html.text
    assert "Looked at afterwards by nobody yet" in html.text
    assert " --review --as ROLE --key FILE --reason …" in html.text
    assert "Break glass, not reviewed" in html.text
    html = shown(tmp_path, "broken glass, reviewed")
    banners = [attrs["class"] for tag, attrs in html.tags if tag == "div" and attrs.get("role") == "note"]
    assert banners == ["glass reviewed"]
    assert "Looked at afterwards by bob@omnihub.dev: looked at all three, right so" in html.text
    assert "nobody yet" not in html.text


def test_one_review_of_two_is_not_enough() -> None:
    """The mark stays the loud one as long as any emergency was not looked at."""
    seen, unseen = (rollouts()[kind].approvals[0] for kind in ("broken glass, reviewed", "broken glass"))
    assert standing.marks(summary(approvals=(seen, unseen))) == [standing.BROKEN]
    assert standing.marks(summary(approvals=(seen,))) == [standing.REVIEWED]
    assert standing.marks(summary()) == standing.marks(None) == []


@pytest.mark.parametrize(
    ("kind", "tone", "words"),
    [
        ("waits for a signature", "good", "State parked for the signature of tech lead or cto"),
        ("waits for a time", "good", "State parked until 2026-03-05 02:00 UTC"),
        ("in doubt", "bad", "Safe now? No: “set omnihub.dev NS to"),
        ("not undone", "bad", "Safe now? No: 3 lines were lost of the record"),
        ("stays in place", "wait", "Safe now? Nothing is half-done, but 2 changes are in place and verified"),
    ],
)
def test_a_run_that_is_not_over_says_how_it_stands(tmp_path: Path, kind: str, tone: str, words: str) -> None:
    """State, safety, last effect, owner and what to type, above everything but the verdict."""
    html = shown(tmp_path, kind)
    assert words in html.text
    stands = next(str(attrs["class"]) for tag, attrs in html.tags if tag == "section")
    assert stands == f"stands {tone}"
    run_id = rollouts()[kind].run_id
    verb = {"waits for a signature": "approve", "not undone": "abort"}.get(kind, "resume")
    assert f"runbook {verb} {run_id}" in html.text


def test_a_run_that_is_over_and_safe_is_told_by_its_verdict(tmp_path: Path) -> None:
    """Weeks later nobody needs to know what to type; that it was verified stands with the changes."""
    html = shown(tmp_path, "rolled back")
    assert not section(html, "stands")
    assert "Yes: rolled back, 2 changes were undone and verified." in html.text
    aborted = shown(tmp_path, "in doubt", terminal=True, status="no-go", exit_code=3)
    assert section(aborted, "stands")


def test_lost_lines_make_the_evidence_incomplete(tmp_path: Path) -> None:
    """Said at the head, among what the report lacks, and in the record: a hole is not to be overlooked."""
    html = shown(tmp_path, "not undone")
    assert "Evidence incomplete" in html.text
    assert "The evidence is incomplete: 3 lines of the journal could not be written" in html.text
    assert "Lost 3 lines of the journal, during a rollback" in html.text


def test_the_record_tells_hands_edits_and_the_seal_before(tmp_path: Path) -> None:
    """Who took it up and how often, that the notebook was edited, and what it was sealed with before."""
    text = shown(tmp_path, "broken glass, reviewed", taken_up_by=("bob", "bob", "ci", "bob")).text
    assert "Taken up by bob (2 times), then ci, then bob" in text
    assert "Notebook edited 2 times while the run was under way" in text
    assert "Sealed before with SHA256SUMS of SHA-256 9b1de0c4" in text
    assert standing.record_facts(summary()) == []


def test_a_waiting_step_is_neither_done_nor_failed(tmp_path: Path) -> None:
    """A parked step has its own word and sign, and what it waits for below its title."""
    html = shown(tmp_path, "waits for a signature")
    assert "waiting approve move the delegation to Cloudflare: approval waits for the signature" in html.text
    assert ("use", {"href": "#i-pause"}) in html.tags


def test_an_abandoned_drill_is_quiet(tmp_path: Path) -> None:
    """Its tone is that of the unknown, it asks for nothing, and it lacks nothing that one would look for."""
    html = page(tmp_path, summary("abandoned", terminal=True))
    assert styled(html) == "unknown"
    assert not section(html, "stands")
    assert "No number is on record" not in html.text


def test_every_state_of_a_change_has_its_look() -> None:
    """A state without a look would break the page; colour never stands alone."""
    for look in standing.CHANGES.values():
        assert look.word
        assert look.sign
    assert {line.status for line in changes("applied", "begun", "was in place")} <= set(standing.CHANGES)
