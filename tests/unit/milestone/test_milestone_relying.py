"""Runs that are missing, unsigned or tampered with: each is named, and nothing of it is used."""

import json
import shutil

import pytest

from runbook.earlier import list_runs
from runbook.files import write_atomically
from runbook.milestone.drills import read_past_drills
from runbook.milestone.gathering import find, gather
from runbook.milestone.order import Order
from runbook.milestone.relying import examine, keep
from runbook.opening import _earlier_reader
from runbook.plan import load_environment, load_plan
from runbook.seals import SIGNATURE, SUMS, write_sums
from runbook.showing import SCRAP_TYPE
from runbook.signatures import SEAL
from runbook.step import Step
from tests.sample_notebooks import code_cell, notebook
from tests.signed_runs import Office


def scraps_of(folder):
    numbers = json.loads((folder / "summary.json").read_text())["numbers"]
    return {name: number["value"] for name, number in numbers.items()}


def write_book(folder, scraps):
    """Write a notebook that holds scraps, as `run.finish` leaves them."""
    shown = [
        {
            "output_type": "display_data",
            "data": {SCRAP_TYPE: {"name": name, "data": value, "encoder": "json", "version": 1}},
            "metadata": {"scrapbook": {"name": name, "data": True, "display": False}},
        }
        for name, value in scraps.items()
    ]
    book = notebook(code_cell("run.finish()", *shown))
    (folder / "notebook.ipynb").write_text(json.dumps(book))


def sign(office, folder, who="ci"):
    write_sums(folder)
    with office.key(who).opened() as pen:
        write_atomically(folder / SIGNATURE, pen.sign((folder / SUMS).read_bytes(), namespace=SEAL))


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    """A project with two runs that are done, sealed and signed, their scraps in their notebooks."""
    with pytest.MonkeyPatch.context() as patch:
        office = Office(tmp_path_factory.mktemp("milestone"))
        patch.setenv("RUNBOOK_ROOT", str(office.root))
        for run_id in ("r1", "r2"):
            folder = office.whole(run_id)
            write_book(folder, scraps_of(folder))
            sign(office, folder)
            (office.root / "world.txt").unlink()
        yield office


@pytest.fixture
def office(sealed, tmp_path, monkeypatch):
    """A copy of it, to be tampered with."""
    outputs = shutil.copytree(sealed.root / "outputs", tmp_path / "outputs", symlinks=True)
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(outputs))
    return sealed


def step_of(office, outputs):
    environment = load_environment(office.root, "production")
    return Step(
        earlier=_earlier_reader(office.root, environment),
        runs=lambda: list_runs(outputs),
        environment=lambda: environment,
        rollout=lambda: load_plan(office.root),
        run_id="the report",
    )


def changed(path, old, new):
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))


def without(name):
    return lambda _office, run: (run / name).unlink()


def with_changed(name, old, new, *, sums=False):
    def harm(_office, run):
        changed(run / name, old, new)
        if sums:
            write_sums(run)

    return harm


def scraps_changed(office, run):
    write_book(run, dict.fromkeys(scraps_of(run), -7.0))
    sign(office, run)


TAMPERED = {
    "a byte of the journal": with_changed("journal.jsonl", b'"x"', b'"y"'),
    "the journal's last line gone": lambda _o, run: (run / "journal.jsonl").write_bytes(
        b"".join((run / "journal.jsonl").read_bytes().splitlines(keepends=True)[:-1])
    ),
    "half a line at the journal's end": lambda _o, run: (run / "journal.jsonl").write_bytes(
        (run / "journal.jsonl").read_bytes()[:-30]
    ),
    "a better summary": with_changed("summary.json", b'"done"', b'"fine"'),
    "a better summary, summed anew": with_changed("summary.json", b'"done"', b'"fine"', sums=True),
    "a better report": with_changed("report.html", b"<h1", b"<h1 class=good"),
    "another notebook": lambda _o, run: write_book(run, {}),
    "scraps that are not the record's, signed": scraps_changed,
    "a file added": lambda _o, run: (run / "evidence.txt").write_text("all is well"),
    "no summary": without("summary.json"),
    "no sums": without(SUMS),
    "unsigned": without(SIGNATURE),
    "signed by somebody else": lambda office, run: sign(office, run, who="eve"),
    "another runbook by its first line": with_changed("journal.jsonl", b'"toy"', b'"toz"'),
    "an empty journal": lambda _o, run: (run / "journal.jsonl").write_bytes(b""),
}


def test_an_untouched_run_is_relied_on(office, tmp_path):
    """Sealed, signed by somebody on the list, its scraps its record's numbers: its numbers count."""
    run, earlier = keep(step_of(office, tmp_path / "outputs"), "x", "r1", runbook="toy")
    assert (run.relied_on, run.stands, run.problems) == (True, True, ())
    assert earlier is not None
    assert run.numbers == earlier.summary.numbers != {}


@pytest.mark.parametrize("way", TAMPERED)
def test_a_tampered_run_is_named_and_nothing_of_it_is_used(office, tmp_path, way):
    """However it is done: it is named with a reason, has no number and no verdict, and does not stand."""
    TAMPERED[way](office, tmp_path / "outputs/r1")
    run, earlier = keep(step_of(office, tmp_path / "outputs"), "x", "r1", runbook="toy")
    assert earlier is None
    assert (run.run_id, run.relied_on, run.stands) == ("r1", False, False)
    assert (run.numbers, run.status, run.verdict, run.ended_at) == ({}, "", "", None)
    assert run.problems
    assert "r1" in run.standing()


@pytest.mark.parametrize("way", TAMPERED)
def test_a_tampered_newest_run_is_named_beside_the_one_before(office, tmp_path, way):
    """Looked for by itself: the run before it is found, and stands only with the doubt beside it."""
    TAMPERED[way](office, tmp_path / "outputs/r2")
    step = step_of(office, tmp_path / "outputs")
    run_id, passed = find(step, "toy")
    assert (run_id, passed) == ("r1", ("r2",))
    run, _ = keep(step, "x", run_id, runbook="toy", passed_over=passed)
    assert run.relied_on
    assert not run.stands
    assert "r2" in run.standing()


@pytest.mark.parametrize("run_id", ["", "r9", "../r1", "."])
def test_a_run_that_is_not_there_is_named(office, tmp_path, run_id):
    """No such run: a reason, no exception, nothing to rely on."""
    earlier, problems = examine(step_of(office, tmp_path / "outputs"), run_id, runbook="toy")
    assert earlier is None
    assert "no run" in problems[0]


def test_a_run_of_another_runbook_or_environment_does_not_count(office, tmp_path):
    """Its name alone proves nothing."""
    step = step_of(office, tmp_path / "outputs")
    _, problems = examine(step, "r1", runbook="db_restore_drill")
    assert any("it is a run of toy" in one for one in problems)
    assert find(step, "db_restore_drill") == ("", ())


def test_a_copy_under_another_name_does_not_count(office, tmp_path):
    """A good run's folder under a new name is the record of another run."""
    shutil.copytree(tmp_path / "outputs/r1", tmp_path / "outputs/r3")
    _, problems = examine(step_of(office, tmp_path / "outputs"), "r3", runbook="toy")
    assert any("record of r1" in one for one in problems)


def test_without_any_run_the_rollout_is_gathered_and_nothing_stands(office, tmp_path):
    """Nothing on record: every part is there as missing, each phase of the plan too, and no end is known."""
    order = Order(
        milestone="T+24 h", drill="", preconfiguration="", migration="", canary="", report_before=""
    )
    found = gather(step_of(office, tmp_path / "outputs"), order)
    assert len(found.all()) == 3 + len(load_plan(office.root).canary.phases)
    assert not any(one.stands for one in found.all())
    assert found.deployed_at is None
    assert {one.word for one in found.timeline()} == {"no run"}


def test_past_drills_that_cannot_be_relied_on_are_listed_without_numbers(office, tmp_path):
    """A folder that calls itself a drill and is none: named as doubtful, no point of the trend."""
    shutil.copytree(tmp_path / "outputs/r1", tmp_path / "outputs/db_restore_drill-production-x")
    (tmp_path / "outputs/db_restore_drill-production-x/journal.jsonl").write_bytes(b"{}\n")
    found = read_past_drills(step_of(office, tmp_path / "outputs"))
    assert found.drills == ()
    assert found.doubtful == ("db_restore_drill-production-x",)


def test_runs_are_listed_newest_first_and_an_unreadable_one_by_its_name(office, tmp_path):
    """The list is a hint: what a first line says, or what the folder is called."""
    (tmp_path / "outputs/dns_migration-production-z").mkdir()
    (tmp_path / "outputs/dns_migration-production-z/journal.jsonl").write_bytes(b"not JSON\n")
    found = list_runs(tmp_path / "outputs")
    assert [one.run_id for one in found] == ["r2", "r1", "dns_migration-production-z"]
    assert (found[2].runbook, found[2].environment, found[2].opened_at) == (
        "dns_migration",
        "production",
        None,
    )
