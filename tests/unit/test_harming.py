"""What a rehearsal does to a sealed run is found by who verifies it."""

import pytest

from runbook.harming import harm
from tests.signed_runs import Office


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        made = Office(tmp_path_factory.mktemp("harm"))
        patch.setenv("RUNBOOK_ROOT", str(made.root))
        for run_id in ("r1", "r2", "r3"):
            made.whole(run_id)
            (made.root / "world.txt").unlink()
        yield made


def test_nothing_is_done_unless_it_is_asked_for(office):
    """The default harms nobody."""
    harm(office.folder("r1"), "nothing")
    assert office.verify("r1").holds


def test_a_summary_is_made_better_and_no_longer_as_sealed(office):
    """Its first number is half of one now, and verify names the file."""
    harm(office.folder("r1"), "summary changed")
    assert '"value": 0.5' in (office.folder("r1") / "summary.json").read_text()
    assert any("summary.json" in line for line in office.verify("r1").wrong)


def test_a_signature_is_taken_away(office):
    """Nobody signs for it any more."""
    harm(office.folder("r2"), "signature removed")
    found = office.verify("r2")
    assert found.seal == "unsigned"


def test_a_run_is_gone(office):
    """Folder and all."""
    harm(office.folder("r3"), "run removed")
    assert not office.folder("r3").exists()
