"""index.html: every run is there, newest first, and a broken folder is named."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runbook.clock import WallClock
from runbook.errors import UnknownName
from runbook.journal import FileJournal
from runbook.report import index, write_index
from runbook.report.remembered import Row, read_rows
from runbook.report.runs import RunLine, read_run
from runbook.report.view import CONTRADICTORY, PLANNED, RUNS, UNKNOWN
from tests.rollout_samples import REASON, rollouts
from tests.run_samples import BEGAN, summary, write_run, write_samples


def write(outputs: Path, name: str, **changes: object) -> Path:
    return write_run(outputs / name, account=summary(**changes), book=None)  # type: ignore[arg-type]


def read_runs(outputs: Path) -> list[RunLine]:
    return [row.line for row in read_rows(outputs)]


def html(outputs: Path) -> str:
    return write_index(outputs).read_text(encoding="utf-8")


def test_runs_are_listed_newest_first(tmp_path: Path) -> None:
    """By the time they were opened, whatever their folders are called."""
    for place, name in enumerate(("b", "c", "a")):
        write(tmp_path, name, began_at=BEGAN - timedelta(hours=3 * place))
    assert [line.folder for line in read_runs(tmp_path)] == ["b", "c", "a"]
    page = html(tmp_path)
    assert page.index(">2026-03-02<") < page.index(">2026-03-01<")


def test_every_state_is_labelled_and_counted(tmp_path: Path) -> None:
    """Each state has its word and its count, the worst first; unsigned runs are counted too."""
    write_samples(tmp_path)
    counts = html(tmp_path).partition('<p class="counts">')[2].partition("</p>")[0]
    words = re.findall(r"</svg>([^<]+)</span> (\d+)</span>", counts)
    assert words == [
        ("Left in between", "3"),
        ("Failed", "2"),
        ("No-go", "2"),
        ("Unknown", "1"),
        ("Parked", "3"),
        ("Running", "1"),
        ("Done", "3"),
        ("Abandoned", "1"),
    ]
    assert {look.word for look in [*RUNS.values(), UNKNOWN]} == {word for word, _ in words}
    for words_ in ("break glass, not reviewed 1<", "evidence incomplete 1<", "unsigned 8<"):
        assert words_ in counts


def urgent(outputs: Path) -> str:
    """Return the section of what needs a person, as text and links."""
    return html(outputs).partition('<section class="urgent"')[2].partition("</section>")[0]


def write_rollout(outputs: Path, kind: str, **changes: object) -> Path:
    account = rollouts()[kind].model_copy(update=changes)
    return write_run(outputs / account.run_id, account=account, book=None)


@pytest.mark.parametrize(
    ("kind", "title", "said"),
    [
        ("in doubt", "Left in between", "begun, and nobody saw it end"),
        ("not undone", "Left in between", "3 lines were lost of the record of a rollback"),
        ("stays in place", "Stopped, with changes in place", "2 changes are in place and verified"),
        ("waits for a signature", "Waiting for a signature", "for the signature of tech lead or cto"),
        ("broken glass", "Break glass, not looked at since", REASON),
    ],
)
def test_what_needs_a_person_comes_first_and_says_why(
    tmp_path: Path, kind: str, title: str, said: str
) -> None:
    """Above the list, with the reason and the command that goes on."""
    write_rollout(tmp_path, kind)
    page = html(tmp_path)
    assert page.index("What needs a person") < page.index("<table")
    found = urgent(tmp_path)
    assert re.findall(r"<h3[^>]*>([^<]+) <span", found) == [title]
    assert said in found
    verb = "status" if "place" in kind or kind in ("in doubt", "not undone") else "approve"
    assert f"<code>runbook {verb} dns_migration-production-" in found


@pytest.mark.parametrize("kind", ["waits for a time", "rolled back", "broken glass, reviewed"])
def test_what_goes_on_by_itself_or_is_over_does_not_shout(tmp_path: Path, kind: str) -> None:
    """Nobody is called for a wait that ends by itself, a verified rollback, a review that was made."""
    write_rollout(tmp_path, kind)
    assert urgent(tmp_path) == ""


def test_a_person_who_ended_a_run_is_not_called_again(tmp_path: Path) -> None:
    """What was aborted with open eyes is in the list, with its state, and no longer on top."""
    write_rollout(tmp_path, "in doubt", status="no-go", terminal=True, exit_code=3)
    assert urgent(tmp_path) == ""


def test_left_in_between_comes_before_signatures(tmp_path: Path) -> None:
    """The groups stand in the order in which a person should look."""
    write_samples(tmp_path)
    titles = re.findall(r"<h3[^>]*>([^<]+) <span", urgent(tmp_path))
    assert titles == [
        "Left in between",
        "Stopped, with changes in place",
        "Waiting for a signature",
        "Break glass, not looked at since",
    ]


def test_rehearsals_do_not_drown_the_real(tmp_path: Path) -> None:
    """What a drill left in between is folded away under its own line; an abandoned one is not even there."""
    write(tmp_path, "a", status="left in between")
    write(tmp_path, "b", status="abandoned", terminal=True)
    page = html(tmp_path)
    assert urgent(tmp_path) == ""
    folded = page.partition('<details class="rehearsed">')[2].partition("</details>")[0]
    assert "in the sandbox, where nothing real is at stake" in folded
    assert re.findall(r"<bdi>(\w+)</bdi>", folded) == ["a"]


def test_a_need_names_fifty_and_counts_the_others(tmp_path: Path) -> None:
    """A heap of parked runs does not push the list out of sight."""
    for number in range(53):
        write_rollout(tmp_path, "waits for a signature", run_id=f"r{number}")
    found = urgent(tmp_path)
    assert found.count("<li>") == 50
    assert "And 3\N{NO-BREAK SPACE}more runs, in the list below." in found
    assert 'Waiting for a signature <span class="tally">53<' in found


def test_who_when_and_until_when_are_in_the_row(tmp_path: Path) -> None:
    """Who opened it and who took it up, the day, what it waits for, and that glass was broken."""
    write_rollout(tmp_path, "waits for a time")
    write_rollout(tmp_path, "broken glass, reviewed")
    rows = html(tmp_path).partition("<table")[2]
    assert '<bdi>carol</bdi><span class="aside">, then <bdi>bob</bdi></span>' in rows
    assert '<span class="waits">until 2026-03-05 02:00 UTC</span>' in rows
    assert "Break glass, reviewed" in rows


OPENED = {"run_id": "r", "runbook": "toy", "environment": "production", "mode": "apply", "opened_by": "ada"}


def begin(folder: Path, *kinds: str) -> FileJournal:
    """Return the open journal of a run with these lines in it."""
    folder.mkdir(exist_ok=True)
    journal = FileJournal.open(folder / "journal.jsonl", clock=WallClock())
    journal.append("opened", "toy", data=OPENED)
    for kind in kinds:
        journal.append(kind, "s", data={})  # type: ignore[arg-type]
    return journal


def test_a_run_that_is_executed_now_is_running_whatever_its_summary_says(tmp_path: Path) -> None:
    """The lock tells, not an account that was written before it was taken up again."""
    write(tmp_path, "taken up", status="parked", waits_for=("cto",))
    journals = [begin(tmp_path / "taken up", "ended", "resumed"), begin(tmp_path / "fresh")]
    lines = {line.folder: line for line in read_runs(tmp_path)}
    for journal in journals:
        journal.close()
    assert {line.look for line in lines.values()} == {RUNS["running"]}
    assert [line.needs for line in lines.values()] == [(), ()]
    assert lines["fresh"].opened_by == "ada"
    assert lines["fresh"].verdict.startswith("Running since ")


def test_a_run_whose_process_died_is_unknown_and_asks_for_a_person(tmp_path: Path) -> None:
    """Its journal went on after its summary, or there is none, and nobody holds it: nobody knows the end."""
    write(tmp_path, "taken up", environment="production")
    begin(tmp_path / "taken up", "ended", "resumed", "started").close()
    begin(tmp_path / "fresh", "started").close()
    lines = {line.folder: line for line in read_runs(tmp_path)}
    assert {line.look for line in lines.values()} == {UNKNOWN}
    assert all("Nobody executes it, and it came to no end" in line.verdict for line in lines.values())
    found = urgent(tmp_path)
    assert "Came to no end" in found
    assert "<code>runbook status fresh</code>" in found


def test_a_settled_run_is_taken_from_its_summary_even_while_it_is_being_sealed(tmp_path: Path) -> None:
    """The driver writes the index while it still holds the run: what has ended is not called running."""
    write(tmp_path, "a")
    journal = begin(tmp_path / "a", "started", "failed", "ended", "reviewed")
    line = read_run(tmp_path / "a")
    journal.close()
    assert (line.look, line.verdict) == (RUNS["done"], summary().verdict)


def test_a_run_never_looks_better_than_its_report(tmp_path: Path) -> None:
    """Planned runs and contradictory records are labelled as in the report."""
    assert read_run(write(tmp_path, "p", mode="plan")).look is PLANNED
    assert read_run(write(tmp_path, "c", exit_code=1)).look is CONTRADICTORY


def test_a_broken_folder_is_named_and_breaks_nothing(tmp_path: Path) -> None:
    """No summary, a torn one, a folder in its place, a link to nowhere: each is listed as unknown."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "summary.json").write_text('{"format": 1')
    (tmp_path / "odd" / "summary.json").mkdir(parents=True)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    lines = {line.folder: line for line in read_runs(tmp_path)}
    assert set(lines) == {"empty", "torn", "odd", "gone"}
    assert {line.look for line in lines.values()} == {UNKNOWN}
    assert lines["empty"].verdict == "no summary: what became of this run is unknown"
    assert "Is a directory" in lines["odd"].verdict
    assert "Invalid JSON" in lines["torn"].verdict
    page = html(tmp_path)
    for name in lines:
        assert f"<bdi>{name}</bdi>" in page


def test_a_run_without_a_summary_stands_where_its_folder_changed_last(tmp_path: Path) -> None:
    """An unknown run has no time of opening; it is not lost among the oldest."""
    folder = tmp_path / "empty"
    folder.mkdir()
    at = datetime(2026, 3, 5, tzinfo=UTC).timestamp()
    os.utime(folder, (at, at))
    write(tmp_path, "a")
    assert [line.folder for line in read_runs(tmp_path)] == ["empty", "a"]


def test_only_folders_of_runs_are_listed(tmp_path: Path) -> None:
    """Files and hidden folders beside the runs are none."""
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".tmp").mkdir()
    assert read_runs(tmp_path) == []
    assert "No run has left a folder here yet." in html(tmp_path)


def test_links_lead_to_the_report_from_disk_and_only_where_there_is_one(tmp_path: Path) -> None:
    """A link is relative, and a folder's name cannot make it lead elsewhere."""
    for name in ("a b#c?d", "javascript:x", "plain"):
        write(tmp_path, name)
    for name in ("a b#c?d", "javascript:x"):
        (tmp_path / name / "report.html").write_text("x")
    page = html(tmp_path)
    assert 'href="./a%20b%23c%3Fd/report.html"' in page
    assert 'href="./javascript%3Ax/report.html"' in page
    assert "plain/report.html" not in page


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    """Names of folders and words of summaries are escaped, and their unseen characters are seen."""
    (tmp_path / "<b>\u202e").mkdir()
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    write(tmp_path, "a", verdict="</style><script>alert(1)</script>")
    page = html(tmp_path)
    assert page.count("<script") == 1  # our own
    assert "alert(1)</script>" not in page
    assert "&lt;b&gt;⟨U+202E⟩" in page
    assert "⟨U+DCFF⟩" in page


def test_the_index_refers_to_nothing_outside(tmp_path: Path) -> None:
    """No address, no script but the one whose hash the policy names, and the same bytes each time."""
    write(tmp_path, "a")
    page = html(tmp_path)
    assert "://" not in page
    assert "default-src 'none'; script-src 'sha256-" in page
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page
    assert html(tmp_path) == page


def test_many_runs_make_a_page_that_unfolds_in_parts(tmp_path: Path) -> None:
    """Less than a kilobyte a run; the newest days are open, older ones folded with their counts."""
    for number in range(1000):
        write(tmp_path, f"run-{number:04}", began_at=BEGAN - timedelta(hours=number))
    assert write_index(tmp_path).stat().st_size < 1_000_000
    page = html(tmp_path)
    assert page.count('<details class="part">') == 4
    titles = re.findall(r'<span class="days">([^<]+)</span>', page)
    assert titles[0] == "2026-02-12 to 2026-02-20"
    opened, *folded = page.split('<details class="part">')
    assert opened.count('class="id"') >= 200
    # No day is torn apart, and no run is lost.
    days = re.findall(r'colspan="6">([0-9-]+)<', page)
    assert days == sorted(set(days), reverse=True)
    assert len(set(re.findall(r"run-\d{4}", page))) == 1000
    assert all(part.partition("</summary>")[0].count("Done") == 1 for part in folded)


def test_runs_are_read_under_the_lock_they_are_written_under(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads later writes later: of two runs that end together none is missing in the end."""
    free: list[bool] = []

    def read(outputs: Path) -> list[Row]:
        with (outputs / index.LOCK).open() as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                free.append(True)
            except BlockingIOError:
                free.append(False)
        return []

    monkeypatch.setattr(index, "read_rows", read)
    write_index(tmp_path)
    assert free == [False]


def test_outputs_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """A wrong folder is named; no index is made up."""
    with pytest.raises(UnknownName, match="is no folder"):
        write_index(tmp_path / "nowhere")


def rehearsed(outputs: Path, name: str, **opened: object) -> Path:
    """Write a run whose own clock was a world's."""
    world = datetime(2026, 11, 30, 1, tzinfo=UTC)
    folder = write(outputs, name, opened_at=world, calendar_s=183_600.0, run_id=name)
    if opened:
        journal = FileJournal.open(folder / "journal.jsonl", clock=WallClock())
        journal.append("opened", "toy", data={**OPENED, "clock": "world", **opened})
        journal.append("ended", "toy", data={})
        journal.close()
    return folder


def test_rehearsals_stand_where_they_were_really_made(tmp_path: Path) -> None:
    """By the record, else by the time in the run's name; the world's calendar stands beside it."""
    rehearsed(tmp_path, "by hand", made_at="2026-03-04T05:06:07+00:00")
    rehearsed(tmp_path, "toy-sandbox-20260305T060708Z-a1b2")
    rehearsed(tmp_path, "toy-sandbox-20260306T060708Z-a1b2", made_at="not a time")
    lines = read_runs(tmp_path)
    assert [f"{line.at:%Y-%m-%d %H:%M}" for line in lines] == [
        "2026-03-06 06:07",
        "2026-03-05 06:07",
        "2026-03-04 05:06",
    ]
    said = "rehearsed 2\N{NO-BREAK SPACE}d 3\N{NO-BREAK SPACE}h from Mon 2026-11-30 01:00"
    assert {line.calendar for line in lines} == {said}
    assert html(tmp_path).count(said) == 3


def test_a_wait_that_ends_by_itself_is_named_with_its_time(tmp_path: Path) -> None:
    """What waits for whom: people on top, the clock below, rehearsals in neither."""
    write_rollout(tmp_path, "waits for a time")
    write_rollout(tmp_path, "waits for a signature")
    write(tmp_path, "drill", status="parked", waits_until=BEGAN)
    page = html(tmp_path)
    calm = page.partition('<section class="waiting"')[2].partition("</section>")[0]
    assert re.findall(r"until [\d-]+ [\d:]+ UTC", calm) == ["until 2026-03-05 02:00 UTC"]
    assert "for the signature of tech lead or cto" in urgent(tmp_path)


def test_the_last_rehearsal_is_linked_where_there_is_one(tmp_path: Path) -> None:
    """A page beside the index, which is none of its runs."""
    write(tmp_path, "a")
    assert "rehearsal.html" not in html(tmp_path)
    (tmp_path / "rehearsal.html").write_text("x")
    assert '<a href="./rehearsal.html">' in html(tmp_path)
